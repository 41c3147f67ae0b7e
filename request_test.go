package ginauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// earlyLoads are the headers of browsers that load a page before the user opens it.
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

// A browser keeps a successful response to a prefetch, and uses it for the click. The response
// is therefore a failure, which the browser discards, so that the click begins the sign-in.
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
				t.Errorf("the provider got %d authorization requests", n)
			}
			s.SignIn()
		})
	}
}

// A prefetch does not sign out, and a signed-in user's prefetch gets the page.
func TestPrefetchOfASignedInUser(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.Browser.Header = http.Header{"Sec-Purpose": {"prefetch;prerender"}}
	if p := s.Open("/me"); p.Status != http.StatusOK {
		t.Errorf("a guarded page responded %d", p.Status)
	}
	for _, path := range []string{"/logout", "/login/demo"} {
		if p := s.Open(path); p.Status != http.StatusServiceUnavailable {
			t.Errorf("%s responded %d", path, p.Status)
		}
	}
	s.Browser.Header = nil
	if s.User() == nil {
		t.Error("the user is signed out")
	}
}

// A prefetch of an address without a route for the method gets the same response as without
// prefetch.
func TestPrefetchByAnotherMethod(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.WantError(s.Ask("DELETE", "/login/demo", "Sec-Purpose", "prefetch"), ginauth.ErrMethodNotAllowed)
}

// Unused parameters may have any value. RFC 6749, 4.1.2: "The client MUST ignore unrecognized
// response parameters."
func TestOddForeignParameters(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{"x=a;b", "x=100%", "%zz", "%", ";", ";;=", "x=%&x=%", "x=1;y=2", "error_description=a;b", "error_description=100%", "error_uri=https://id.example/?a;b", "session_state=a;b=c", "encoded=1;states=2"} {
		for _, mode := range []string{"query", "form_post"} {
			f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].ResponseMode = mode })
			if mode == "query" {
				callback := f.Begin("/login/demo?return_to=/page/odd&" + odd)
				f.Lands(t, sitetest.WithQuery(callback, odd+"&"+callback.RawQuery+"&"+odd), "/page/odd")
				continue
			}
			if p := f.Get("/login/demo?return_to=/page/odd&" + odd); p.URL.Path != "/page/odd" || p.Status != http.StatusOK {
				t.Errorf("%q: ended at %s with %d: %s", odd, p.URL, p.Status, p.Text())
			}
		}
	}
}

// The provider's error_description reaches the log, in any encoding.
func TestOddDescriptionOfARefusal(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{"a;b": "a;b", "100%": "100%", "100%+sure": "100% sure", "50%25;%zz": "50%;%zz"} {
		f := sitetest.NewFlow(t, nil)
		callback := sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "access_denied")
		p := f.Must(f.Browser.Open(sitetest.WithQuery(callback, callback.RawQuery+"&error_description="+raw).String()))
		f.WantError(p, ginauth.ErrProviderDenied)
		if !strings.Contains(f.Logs.String(), want) {
			t.Errorf("%q: the log lacks %q:\n%s", raw, want, f.Logs)
		}
	}
}

// A back-channel logout reads one parameter.
func TestOddParametersOfALogoutToken(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	for body, code := range map[string]ginauth.Code{
		"logout_token=a.b.c&x=%": ginauth.ErrLogoutTokenInvalid, "logout_token=%zz": ginauth.ErrBadRequest, "x=1;logout_token=a.b.c": ginauth.ErrBadRequest, "logout_token=a;b": ginauth.ErrBadRequest,
	} {
		r, _ := http.NewRequest("POST", s.URL+"/logout/demo/backchannel", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		p := s.Must(s.Browser.Do(r))
		if p.Status != http.StatusBadRequest || strings.Contains(s.Logs.String(), "request.parameters_malformed") != (code == ginauth.ErrBadRequest) {
			t.Errorf("%q: %d %s\n%s", body, p.Status, p.Text(), s.Logs)
		}
		s.Logs.Reset()
	}
}
