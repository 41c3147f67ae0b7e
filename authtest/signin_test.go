package authtest_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/leaktest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	m.Run()
}

// newApp runs an application at baseURL, whose host and scheme are its own, and
// a browser that reaches it.
func newApp(t *testing.T, baseURL string, p *authtest.Provider, edit func(*ginauth.Provider)) (*ginauth.Auth, *authtest.Browser) {
	t.Helper()
	watch := leaktest.Of(t)
	watch.Provider(p)
	base, err := url.Parse(baseURL)
	if err != nil {
		t.Fatal(err)
	}
	client := p.Client("demo")
	if edit != nil {
		edit(&client)
	}
	engine := gin.New()
	var log bytes.Buffer
	auth, err := ginauth.Mount(engine, ginauth.Options{
		BaseURL: baseURL, Providers: []ginauth.Provider{client},
		HTTPClient: p.HTTPClient(), Keys: []string{"a key of 32 bytes or more, for tests"},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	watch.Log(log.String) // when all is over
	engine.GET("/me", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).Name) })
	certificate, err := authtest.Certificate(base.Hostname())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(engine)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	if base.Scheme == "https" {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	b := authtest.NewBrowser()
	watch.Browser(b)
	b.Resolve(base.Hostname(), server.Listener.Addr().String())
	return auth, b
}

func TestSignIn(t *testing.T) {
	for _, base := range []string{"http://app.localhost", "https://app.example.com"} {
		t.Run(base, func(t *testing.T) {
			p := start(t, authtest.Config{TLS: true})
			auth, b := newApp(t, base, p, nil)
			for _, name := range []string{"Ada", "Grace"} {
				if err := authtest.SignIn(auth, b, &ginauth.User{Provider: "demo", Subject: name, Name: name}); err != nil {
					t.Fatal(err)
				}
				if page, err := b.Get(base + "/me"); err != nil || page.Text() != name {
					t.Errorf("%v, %v", page, err)
				}
			}
			if err := authtest.SignIn(auth, b, &ginauth.User{Provider: "other", Subject: "x"}); !errors.Is(err, ginauth.ErrUnknownProvider) {
				t.Errorf("another provider: %v", err)
			}
			if page, err := b.Get(base + "/me"); err != nil || page.Text() != "Grace" {
				t.Errorf("after a sign-in that failed: %v, %v", page, err)
			}
			if p.Count(authtest.Discovery)+p.Count(authtest.Token) != 0 {
				t.Error("the provider was asked")
			}
			if refused := b.RefusedCookies(); len(refused) != 0 {
				t.Errorf("refused %q", refused)
			}
		})
	}
}

func TestWholeLogin(t *testing.T) {
	for _, test := range []struct {
		name   string
		config authtest.Config
		base   string
		edit   func(*ginauth.Provider)
	}{
		{"one site", authtest.Config{Addr: "idp.app.localhost:0"}, "http://app.localhost", nil},
		{"two sites", authtest.Config{Addr: "idp.localhost:0"}, "http://app.localhost", nil},
		{"https", authtest.Config{Addr: "idp.localhost:0", TLS: true}, "https://app.example.com", nil},
		{"form_post between two sites", authtest.Config{Addr: "idp.localhost:0", TLS: true}, "https://app.example.com", func(p *ginauth.Provider) { p.ResponseMode = "form_post" }},
		{"a public client", authtest.Config{Public: true}, "http://app.localhost", nil},
		{"the secret in the body", authtest.Config{}, "http://app.localhost", func(p *ginauth.Provider) { p.AuthMethod = "client_secret_post" }},
		{"an odd secret", authtest.Config{ClientSecret: "s: %+&é secret"}, "http://app.localhost", nil},
		{"ES256", authtest.Config{SigningAlg: "ES256"}, "http://app.localhost", nil},
		{"names in userinfo alone", authtest.Config{ThinIDToken: true}, "http://app.localhost", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, test.config)
			_, b := newApp(t, test.base, p, test.edit)
			page, err := b.Get(test.base + "/me")
			if err != nil || !strings.HasPrefix(page.URL.String(), p.URL(authtest.Authorize)) {
				t.Fatalf("%v, %v", page, err)
			}
			page, err = b.SubmitForm(page, "Zoë Ångström", nil)
			if err != nil || page.Status != http.StatusOK || page.Text() != "Zoë Ångström" || page.URL.Path != "/me" {
				t.Fatalf("%+v, %v", page, err)
			}
			if refused := b.RefusedCookies(); len(refused) != 0 {
				t.Errorf("refused %q", refused)
			}
		})
	}
}

func TestLoginThatIsCancelled(t *testing.T) {
	p := start(t, authtest.Config{Addr: "idp.localhost:0"})
	_, b := newApp(t, "http://app.localhost", p, nil)
	page, err := b.Get("http://app.localhost/me")
	if err != nil {
		t.Fatal(err)
	}
	page, err = b.SubmitForm(page, "Cancel", nil)
	if err != nil || page.Status != http.StatusForbidden || page.URL.Host != "app.localhost" {
		t.Fatalf("%+v, %v", page, err)
	}
	if page, err := b.Get("http://app.localhost/me"); err != nil || !strings.HasPrefix(page.URL.String(), p.Issuer) {
		t.Errorf("signed in all the same: %v, %v", page, err)
	}
}
