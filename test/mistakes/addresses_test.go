package mistakes

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// mistakesInAddresses are mistakes about the application's address.
func mistakesInAddresses() []commonMistake {
	return []commonMistake{
		{"localhost and 127.0.0.1", twoNames},
		{"BaseURL on http, and the browser on https", httpBase},
		{"no BaseURL, behind a proxy", atMount(func(o *ginauth.Options) { o.BaseURL = "" }, "options.base_url.empty", `"https://app.example.com"`, `"http://localhost:8080"`)},
		{"BaseURL is where the server listens", atMount(func(o *ginauth.Options) { o.BaseURL = "http://0.0.0.0:8080" }, "options.base_url.unspecified", `"http://0.0.0.0:8080"`, `"http://localhost:PORT"`)},
		{"BaseURL with more than it should have", atMount(func(o *ginauth.Options) { o.BaseURL = "https://app.example.com/?x=1" }, "options.base_url.extra")},
		{"BaseURL with a slash", slashedBase},
		{"the redirect URI to register", registered},
		{"another redirect URI is registered", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusBadRequest)
					_, _ = w.Write([]byte(`{"error":"redirect_uri_mismatch"}`))
				})
			},
			make: comesBack, code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			id: "token.redirect_uri_mismatch", names: []string{`"redirect_uri_mismatch"`, "{url}/authorize/demo"},
		}.run},
		{"another redirect URI is registered, and the provider says so at once", told{
			make: func(f *sitetest.Flow) string {
				return sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "redirect_uri_mismatch").String()
			},
			code: ginauth.ErrProviderMisconfigured, level: "ERROR",
			id: "response.redirect_uri_mismatch", names: []string{`"redirect_uri_mismatch"`, "{url}/authorize/demo"},
		}.run},
		{"a guard that does not stop handlers", guardStops},
		{"a guard in front of the login routes", guardInFront},
		{"a guard in front of the login page", told{
			change: func(_ *sitetest.Site, o *ginauth.Options) { o.LoginPage = "/sign-in?from=app" },
			make: func(f *sitetest.Flow) string {
				f.Engine.GET("/sign-in", f.Auth.RequireAuth(), sitetest.Teapot)
				return f.URL + "/sign-in?return_to=/page/x"
			},
			code: ginauth.ErrSessionError, level: "ERROR",
			id: "guard.login_page", names: []string{"Options.LoginPage", "RequireAuth"},
		}.run},
	}
}

// A page load on the other name is redirected to BaseURL's before a sign-in begins, so the
// cookie is on the host that receives the response.
func twoNames(t *testing.T) {
	s := sitetest.New(t, nil)
	p := s.Must(s.Browser.Get(strings.Replace(s.URL, "localhost", "127.0.0.1", 1) + "/page/x"))
	if p.Status != http.StatusOK || p.URL.String() != s.URL+"/page/x" {
		t.Errorf("the visit ended at %s with %d: %s", p.URL, p.Status, p.Text())
	}
}

func httpBase(t *testing.T) {
	for name, forwarded := range map[string][]string{
		"one proxy": {"X-Forwarded-Proto", "https"}, "two": {"X-Forwarded-Proto", "HTTPS, http"}, "the standard's header": {"Forwarded", `for=10.0.0.3;proto="https";by=x, proto=http`},
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, nil)
			for range 3 {
				s.Ask("GET", "/login/demo", append(forwarded, sitetest.Navigation...)...)
			}
			warns(s, t, "login.over_https", "Options.BaseURL", "https", "base_url="+s.URL)
		})
	}
	t.Run("TLS of its own", func(t *testing.T) {
		s := sitetest.New(t, nil)
		r := httptest.NewRequest("GET", s.URL+"/login/demo", nil)
		r.TLS = &tls.ConnectionState{}
		s.Engine.ServeHTTP(httptest.NewRecorder(), r)
		warns(s, t, "login.over_https")
	})
	t.Run("a proxy that says nothing", func(t *testing.T) {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
		s.Engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://app.example.com/login/demo", nil))
		if log := s.Logs.String(); strings.Contains(log, "id=login.over_http") {
			t.Errorf("the log warns:\n%s", s.Logs)
		}
	})
	t.Run("nobody says otherwise", func(t *testing.T) {
		secure, open := sitetest.NewTLS(t, nil), sitetest.New(t, nil)
		for _, headers := range [][]string{nil, {"X-Forwarded-Proto", "gopher"}, {"Forwarded", "for=10.0.0.3"}, {"X-Forwarded-Proto", ""}} {
			secure.Ask("GET", "/login/demo", append(headers, sitetest.Navigation...)...)
			open.Ask("GET", "/login/demo", append(headers, sitetest.Navigation...)...)
		}
		secure.Ask("GET", "/login/demo", append([]string{"X-Forwarded-Proto", "https"}, sitetest.Navigation...)...)
		open.Ask("GET", "/login/demo", append([]string{"X-Forwarded-Proto", "http"}, sitetest.Navigation...)...)
		if log := secure.Logs.String() + open.Logs.String(); strings.Contains(log, "level=WARN") {
			t.Errorf("the log warns:\n%s", log)
		}
	})
}

func slashedBase(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.BaseURL += "/" })
	s.SignIn()
	if got := s.IDP.LastRequest(authtest.Authorize).Form.Get("redirect_uri"); got != s.URL+"/authorize/demo" {
		t.Errorf("the redirect URI is %s", got)
	}
}

// The log has the redirect URI to register before any sign-in can return to a wrong one.
func registered(t *testing.T) {
	s := sitetest.New(t, nil)
	want := " provider=demo redirect_uri=" + s.URL + "/authorize/demo\n"
	if lines := s.Logs.Lines("INFO", "provider.redirect_uri"); len(lines) != 1 || !strings.Contains(lines[0], want) {
		t.Errorf("the log lacks %q:\n%s", want, s.Logs)
	}
}

func guardStops(t *testing.T) {
	s := sitetest.New(t, nil)
	for _, path := range []string{"/me", "/page/x", "/admin"} {
		s.Ask("GET", path, sitetest.Fetch...)
		s.Ask("GET", path, sitetest.Navigation...)
	}
	if n := s.Ran.Load(); n != 0 {
		t.Errorf("%d protected handlers ran without a user", n)
	}
}

// A guard around everything, including ginauth's routes, does not block sign-ins.
func guardInFront(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) { s.Auth.RequireAuth()(c) })
	})
	if p := s.Get("/page/x"); p.URL.Path != "/page/x" || p.Status != http.StatusOK {
		t.Errorf("the visit ended at %s with %d: %s\n%s", p.URL, p.Status, p.Text(), s.Logs)
	}
	if p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/logout", nil, "")); p.Status != http.StatusOK || s.User() != nil {
		t.Errorf("signing out got %d: %s", p.Status, p.Text())
	}
}
