package ginauth_test

import (
	"net/http"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// earlyLoads are the headers of browsers that load a page before its user asks.
var earlyLoads = []http.Header{
	{"Sec-Purpose": {"prefetch"}},
	{"Sec-Purpose": {"prefetch;prerender"}},
	{"Sec-Purpose": {"prefetch;anonymous-client-ip"}},
	{"Sec-Purpose": {"Prerender"}},
	{"Sec-Purpose": {"other", "prefetch"}},
	{"Purpose": {"prefetch"}},
	{"X-Purpose": {"preview"}},
	{"X-Moz": {"prefetch"}},
}

// A browser keeps a successful answer to a prefetch, and uses it for the click. So
// the answer is a failure, which it drops, and the click begins the sign-in.
func TestPrefetchFails(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sitetest.Site, *ginauth.Options){
		"one provider": nil,
		"several providers": func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers = append(o.Providers, sitetest.Client("other", sitetest.StartProvider(t, authtest.Config{})))
		},
		"a login page of its own": func(_ *sitetest.Site, o *ginauth.Options) { o.LoginPage = "/" },
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, change)
			for _, path := range []string{"/login", "/login/demo", "/authorize/demo?state=x&code=y", "/logout", "/logout/return?state=x", "/logout/demo/frontchannel", "/me", "/page/x", "/admin"} {
				for _, header := range earlyLoads {
					s.Browser.Header = header
					p := s.Open(path)
					if p.Status != http.StatusServiceUnavailable || len(p.Body) > 0 || len(p.Header["Set-Cookie"]) > 0 || p.Header.Get("Location") != "" {
						t.Errorf("%s with %v: %d to %q, %v: %s", path, header, p.Status, p.Header.Get("Location"), p.Header["Set-Cookie"], p.Text())
					}
					sitetest.WantHeaders(t, p)
				}
			}
			s.Browser.Header = nil
			if n := s.IDP.Count(authtest.Discovery) + s.IDP.Count(authtest.Authorize); n > 0 {
				t.Errorf("the provider was asked %d times", n)
			}
			s.SignIn()
		})
	}
}

// A prefetch neither signs out nor keeps a signed-in user from a page.
func TestPrefetchOfASignedInUser(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.Browser.Header = http.Header{"Sec-Purpose": {"prefetch;prerender"}}
	if p := s.Open("/me"); p.Status != http.StatusOK {
		t.Errorf("a guarded page answered %d", p.Status)
	}
	for _, path := range []string{"/logout", "/login/demo"} {
		if p := s.Open(path); p.Status != http.StatusServiceUnavailable {
			t.Errorf("%s answered %d", path, p.Status)
		}
	}
	s.Browser.Header = nil
	if s.User() == nil {
		t.Error("the user is signed out")
	}
}

// An address without a route for the method, or with an unknown one, does not begin
// to exist by being prefetched.
func TestPrefetchByAnotherMethod(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.WantError(s.Ask("DELETE", "/login/demo", "Sec-Purpose", "prefetch"), ginauth.ErrMethodNotAllowed)
}
