package leaktest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// leaky is an application that leaks secrets on request.
type leaky struct {
	t       *testing.T
	watch   *Watch
	url     string
	idp     *authtest.Provider
	browser *authtest.Browser
	log     bytes.Buffer
	token   string // of the last sign-in
	tell    func(c *gin.Context)
}

func newLeaky(t *testing.T) *leaky {
	gin.SetMode(gin.TestMode)
	l := &leaky{t: t, watch: newWatch(t), browser: authtest.NewBrowser()}
	idp, err := authtest.Start(authtest.Config{Addr: "idp.localhost:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	idp.SignInAs("ada")
	engine := gin.New()
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	t.Cleanup(l.browser.Close)
	l.idp, l.url = idp, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	provider := idp.Client("demo")
	_, err = ginauth.Mount(engine, ginauth.Options{
		BaseURL: l.url, Keys: []string{"a key for tests, which is 32 bytes and more"}, Providers: []ginauth.Provider{provider}, HTTPClient: idp.HTTPClient(),
		Logger: slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Hooks: ginauth.Hooks{OnLogin: func(_ *gin.Context, login *ginauth.Login) error {
			l.token = login.Token.AccessToken
			return nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	engine.NoRoute(func(c *gin.Context) {
		if l.tell != nil && c.Request.URL.Path == "/tell" {
			l.tell(c)
		}
	})
	l.watch.Browser(l.browser)
	l.watch.Provider(idp)
	l.watch.Log(l.log.String)
	return l
}

// visit signs in, opens /tell, and signs out.
func (l *leaky) visit() {
	l.t.Helper()
	for _, path := range []string{"/login/demo", "/tell"} {
		if _, err := l.browser.Get(l.url + path); err != nil {
			l.t.Fatal(err)
		}
	}
	if _, err := l.browser.Submit(authtest.At(l.url+"/"), l.url+"/logout", nil); err != nil {
		l.t.Fatal(err)
	}
}

// last returns a parameter of the last request to an endpoint.
func (l *leaky) last(e authtest.Endpoint, name string) string {
	return l.idp.LastRequest(e).Form.Get(name)
}

func TestNothingLeaksFromASignIn(t *testing.T) {
	l := newLeaky(t)
	l.visit()
	if found := l.watch.leaks(); found != nil {
		t.Errorf("found %q", found)
	}
	kinds := map[string]bool{}
	for _, patterns := range l.watch.secrets.byKey {
		for _, p := range patterns {
			kinds[p.kind] = true
		}
	}
	for _, kind := range []string{state, nonce, verifier, code, accessToken, idToken, logoutState, cookie, clientSecret} {
		if !kinds[kind] {
			t.Errorf("no %s was seen", kind)
		}
	}
}

func TestLeaksAreFound(t *testing.T) {
	page := func(text func(l *leaky) string) func(l *leaky) {
		return func(l *leaky) {
			l.tell = func(c *gin.Context) { c.String(http.StatusOK, "so it was %s, you see", text(l)) }
		}
	}
	for _, tt := range []struct {
		name string
		leak func(l *leaky)
		want string
	}{
		{"a state on a page", page(func(l *leaky) string { return l.last(authtest.Authorize, "state") }), "the page, with status 200, has a state, raw"},
		{"half a state", page(func(l *leaky) string { return l.last(authtest.Authorize, "state")[9:30] }), "has a state, raw"},
		{"a nonce", page(func(l *leaky) string { return l.last(authtest.Authorize, "nonce") }), "has a nonce, raw"},
		{"a verifier in hexadecimal", page(func(l *leaky) string { return hex.EncodeToString([]byte(l.last(authtest.Token, "code_verifier"))) }), "has a code_verifier, hex"},
		{"the beginning of an access token", page(func(l *leaky) string { return l.token[:16] }), "has an access token, raw"},
		{"a client secret in base64", page(func(l *leaky) string { return base64.StdEncoding.EncodeToString([]byte(l.idp.ClientSecret)) }), "has a client secret, base64"},
		{"a cookie", page(func(l *leaky) string { return l.browser.Cookies(l.url)[0].Value }), "has a cookie, raw"},
		{"the claims of an ID token", page(func(l *leaky) string {
			_, rest, _ := strings.Cut(string(l.idp.LastRequest(authtest.Token).Answer), `"id_token":"`)
			return strings.Split(rest, ".")[1]
		}), "has an ID token, raw"},
		{"a code in a redirect", func(l *leaky) {
			l.tell = func(c *gin.Context) {
				c.Redirect(http.StatusSeeOther, "/elsewhere?was="+l.last(authtest.Token, "code"))
			}
		}, "Location has a code"},
		{"a code in an address", func(l *leaky) {
			l.tell = func(c *gin.Context) {
				c.Redirect(http.StatusSeeOther, "/elsewhere?was="+l.last(authtest.Token, "code"))
			}
		}, "/elsewhere: the address has a code"},
		{"a code in a header", func(l *leaky) {
			l.tell = func(c *gin.Context) { c.Header("X-Debug", l.last(authtest.Token, "code")) }
		}, "the header X-Debug has a code"},
		{"a token in a cookie", func(l *leaky) {
			l.tell = func(c *gin.Context) { c.SetCookie("token", l.token, 60, "/", "", false, true) }
		}, "Set-Cookie has an access token"},
		{"a code in the log", func(l *leaky) {
			l.tell = func(*gin.Context) { l.log.WriteString(url.QueryEscape(l.last(authtest.Token, "code"))) }
		}, "the log has a code"},
		{"a token in a Referer", func(l *leaky) {
			l.tell = func(c *gin.Context) {
				if _, err := l.browser.Fetch(authtest.At(l.url+"/?"+l.token), "GET", l.url+"/other", nil, ""); err != nil {
					l.t.Error(err)
				}
			}
		}, "the Referer has an access token"},
		{"a verifier at another endpoint", func(l *leaky) {
			l.tell = func(*gin.Context) {
				resp, err := l.idp.HTTPClient().Get(l.idp.URL(authtest.JWKS) + "?v=" + l.last(authtest.Token, "code_verifier"))
				if err != nil {
					l.t.Error(err)
					return
				}
				resp.Body.Close()
			}
		}, "the jwks endpoint: the address has a code_verifier"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLeaky(t)
			tt.leak(l)
			l.visit()
			if found := l.watch.leaks(); !strings.Contains(strings.Join(found, "\n"), tt.want) {
				t.Errorf("found %q, want one that contains %q", found, tt.want)
			}
		})
	}
}
