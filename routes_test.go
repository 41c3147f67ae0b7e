package ginauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// A guard in front of everything lets ginauth's routes respond, for any method.
func TestOptionsOfOwnRoutesBehindTheGuard(t *testing.T) {
	t.Parallel()
	var auth *ginauth.Auth
	var err error
	engine := gin.New()
	engine.Use(func(c *gin.Context) { auth.RequireAuth()(c) })
	auth, err = ginauth.Mount(engine, ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{sitetest.Key}, Logger: new(sitetest.Logs).Logger(), Providers: []ginauth.Provider{sitetest.Offline("demo")},
	})
	if err != nil {
		t.Fatal(err)
	}
	engine.OPTIONS("/other", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	for path, want := range map[string]int{"/login": http.StatusMethodNotAllowed, "/other": http.StatusUnauthorized} {
		if got := statusOf(engine, "OPTIONS", path); got != want {
			t.Errorf("OPTIONS %s: %d, want %d", path, got, want)
		}
	}
}

func statusOf(h http.Handler, method, path string) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code
}

// places are the ways to run an application: behind a proxy, on a group, or both.
var places = []struct{ name, prefix, group string }{
	{"neither", "", ""}, {"a prefix", "/shop", ""}, {"a group", "", "/auth"}, {"a prefix and a group", "/shop", "/auth"},
	{"the same word twice", "/auth", "/auth"}, {"deep ones", "/a/b.c", "/d/e"},
}

// everywhere runs a test for each place.
func everywhere(t *testing.T, test func(t *testing.T, s *sitetest.Site, group string)) {
	inModes(t, []string{"query"}, test)
}

// inModes is everywhere, for each response mode.
func inModes(t *testing.T, modes []string, test func(t *testing.T, s *sitetest.Site, group string)) {
	for _, place := range places {
		for _, mode := range modes {
			t.Run(place.name+" with "+mode, func(t *testing.T) {
				t.Parallel()
				s := sitetest.NewProxy(t, "app.example.com").Behind(t, place.prefix, place.group, func(_ *sitetest.Site, o *ginauth.Options) {
					o.Providers[0].ResponseMode = mode
				})
				test(t, s, place.group)
			})
		}
	}
}

// paths returns the paths of a page's hops on app.example.com.
func paths(p *authtest.Page) (list []string) {
	for _, hop := range p.Hops {
		if hop.URL.Host == "app.example.com" {
			list = append(list, hop.URL.Path)
		}
	}
	return slices.Compact(list)
}

func TestSignInBehindAProxy(t *testing.T) {
	inModes(t, []string{"query", "form_post"}, func(t *testing.T, s *sitetest.Site, group string) {
		p := s.Get("/page/a%2Fb?x=1&y=%2F")
		if p.Status != http.StatusOK || p.URL.String() != s.URL+"/page/a%2Fb?x=1&y=%2F" {
			t.Fatalf("the sign-in ended at %s with %d: %s\n%s", p.URL, p.Status, p.Text(), s.Logs)
		}
		at := strings.TrimPrefix(s.URL, "https://app.example.com")
		want := []string{at + "/page/a/b", at + group + "/login", at + group + "/login/demo", at + group + "/authorize/demo", at + "/page/a/b"}
		if got := paths(p); !slices.Equal(got, want) {
			t.Errorf("the way was %q, want %q", got, want)
		}
		for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.Token} {
			if got := s.IDP.LastRequest(e).Form.Get("redirect_uri"); got != s.URL+group+"/authorize/demo" {
				t.Errorf("the redirect URI sent to %s is %q", e, got)
			}
		}
		if refused := s.Browser.RefusedCookies(); len(refused) > 0 {
			t.Errorf("the browser refused cookies: %q", refused)
		}
		if u := s.User(); u == nil || u.Subject != "ada" {
			t.Errorf("%v is signed in", u)
		}
	})
}

func TestCookiesBehindAProxy(t *testing.T) {
	inModes(t, []string{"query", "form_post"}, func(t *testing.T, s *sitetest.Site, group string) {
		set := 0
		base, _ := url.Parse(s.URL)
		for _, hop := range s.Get("/me").Hops {
			for _, line := range hop.Header["Set-Cookie"] {
				if hop.URL.Host != "app.example.com" {
					continue
				}
				set++
				prefix, path := "__Host-ginauth-", "; Path=/;"
				if strings.HasPrefix(line, "__Secure-") { // the ID token, which no other request has
					prefix, path = "__Secure-ginauth-", "; Path="+base.Path+group+"/logout;"
				}
				for _, want := range []string{prefix, path, "; HttpOnly", "; Secure", "; SameSite=Lax"} {
					if !strings.Contains(line, want) {
						t.Errorf("%.40s… lacks %q", line, want)
					}
				}
				if strings.Contains(line, "Domain") {
					t.Errorf("%.40s… has a domain", line)
				}
			}
		}
		if set == 0 || s.User() == nil {
			t.Errorf("%d cookies were set, and %v is signed in", set, s.User())
		}
		s.Clock.Advance(10 * time.Second) // the time for which sign-ins are counted
		if left := s.Browser.Cookies(s.URL); len(left) != 1 {
			t.Errorf("%d cookies remain, want only the session's: %v", len(left), left)
		}
	})
}

func TestLoginURLBehindAProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sitetest.Site, group string) {
		for provider, want := range map[string]string{"": s.URL + group + "/login", "demo": s.URL + group + "/login/demo"} {
			if got := s.Auth.LoginURL(provider, ""); got != want {
				t.Errorf("LoginURL(%q) is %s, want %s", provider, got, want)
			}
			address := s.Auth.LoginURL(provider, "/page/x?y=1#z")
			if p := s.Must(s.Browser.Get(address)); p.URL.String() != s.URL+"/page/x?y=1#z" || p.Status != http.StatusOK {
				t.Errorf("%s led to %s with %d: %s", address, p.URL, p.Status, p.Text())
			}
		}
	})
}

func TestSignOutBehindAProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sitetest.Site, group string) {
		for _, old := range []bool{false, true} {
			s.Browser = s.Browser.Clone()
			s.Browser.NoFetchMetadata = old // then only Origin identifies the sender
			s.Get("/me")
			if s.User() == nil {
				t.Fatal("no user is signed in")
			}
			kept := s.Browser.Clone()
			page := s.Get(group + "/logout" + sitetest.ReturnTo("/?from=logout"))
			if p := s.Must(s.Browser.ClickLink(page, "Stay signed in")); p.URL.String() != s.URL+"/" || p.Text() != "home of Ada Lovelace" {
				t.Errorf("staying led to %s: %s", p.URL, p.Text())
			}
			if p := s.Must(s.Browser.SubmitForm(page, "Sign out", nil)); p.URL.String() != s.URL+"/?from=logout" || p.Text() != "home" {
				t.Errorf("signing out led to %s with %d: %s", p.URL, p.Status, p.Text())
			}
			if s.User() != nil || s.UserOf(kept) != nil {
				t.Error("still signed in")
			}
		}
		s.Get("/me")
		p := s.Must(s.Browser.Submit(authtest.At("https://other.example.com/"), s.URL+group+"/logout", nil))
		s.WantError(p, ginauth.ErrCrossOrigin)
		if s.User() == nil {
			t.Error("another origin could sign a user out")
		}
	})
}

func TestReturnPathsBehindAProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sitetest.Site, group string) {
		for raw, want := range map[string]string{
			"/page/x?y=1": "/page/x?y=1", group + "/logout": "/", group + "/login/demo": "/", group + "/authorize/demo?code=x": "/",
			"/../page": "/", "/%2e%2e/page": "/", "//evil.example": "/", s.URL + "/page/x": "/", `/\evil.example`: "/",
		} {
			p := s.Get(group + "/login/demo" + sitetest.ReturnTo(raw))
			if got := p.URL.String(); got != s.URL+want || p.Status != http.StatusOK {
				t.Errorf("%q led to %s with %d, want %s", raw, got, p.Status, want)
			}
		}
		header := http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {s.URL + "/page/list?x=1"}}
		s.Browser = s.Browser.Clone()
		for _, c := range s.Browser.Cookies(s.URL) {
			s.Browser.RemoveCookie(s.URL, c.Name)
		}
		at := strings.TrimPrefix(s.URL, "https://app.example.com")
		p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/me", header, ""))
		if got, want := p.Header.Get("HX-Redirect"), at+group+"/login"+sitetest.ReturnTo("/page/list?x=1"); got != want {
			t.Errorf("HTMX is sent to %q, want %q", got, want)
		}
		p = s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", nil, ""))
		if want := `"login_url":"` + at + group + `/login"`; p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), want) {
			t.Errorf("the response to a script is %d %s, want %s", p.Status, p.Text(), want)
		}
	})
}

func TestPagesBehindAProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *sitetest.Site, group string) {
		s.IDP.DenyConsent(true)
		p := s.Get(group + "/login/demo" + sitetest.ReturnTo("/page/x"))
		s.WantError(p, ginauth.ErrProviderDenied)
		if home := s.Must(s.Browser.ClickLink(p, "Home")); home.Text() != "home" || home.URL.String() != s.URL+"/" {
			t.Errorf("Home led to %s with %d", home.URL, home.Status)
		}
		s.IDP.DenyConsent(false)
		if again := s.Must(s.Browser.ClickLink(p, "Try again")); again.URL.String() != s.URL+"/page/x" || again.Status != http.StatusOK {
			t.Errorf("trying again led to %s with %d: %s", again.URL, again.Status, again.Text())
		}
	})
}

func TestChooserBehindAProxy(t *testing.T) {
	for _, place := range places {
		s := sitetest.NewProxy(t, "app.example.com").Behind(t, place.prefix, place.group, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers = append(o.Providers, sitetest.Offline("other"))
			o.Providers[0].DisplayName = "Demo & Sons"
		})
		p := s.Get("/page/x?y=1&z")
		sitetest.WantHeaders(t, p)
		if p = s.Must(s.Browser.ClickLink(p, "Demo & Sons")); p.URL.String() != s.URL+"/page/x?y=1&z" || p.Status != http.StatusOK {
			t.Errorf("%s: choosing led to %s with %d: %s", place.name, p.URL, p.Status, p.Text())
		}
	}
}

// Two applications on one host share the browser's cookie jar, and here even their keys, but no
// sessions.
func TestApplicationsOnOneHostDoNotMeet(t *testing.T) {
	f := sitetest.NewProxy(t, "app.example.com")
	shop, blog := f.Behind(t, "/shop", "", nil), f.Behind(t, "/blog", "", nil)
	signInAt(shop, "/login/demo")
	blog.Browser = shop.Browser
	if blog.User() != nil {
		t.Fatal("the shop's user is the blog's as well")
	}
	blog.IDP.SignInAs("eve")
	signInAt(blog, "/login/demo")
	if a, b := shop.User(), blog.User(); a == nil || b == nil || a.Subject != "ada" || b.Subject != "eve" {
		t.Errorf("the shop has %v, the blog %v", a, b)
	}
	shop.Must(shop.Browser.Submit(authtest.At(shop.URL+"/"), shop.URL+"/logout", nil))
	if shop.User() != nil || blog.User() == nil {
		t.Error("signing out of the shop did not sign out there alone")
	}
}

func signInAt(s *sitetest.Site, path string) {
	s.T.Helper()
	if p := s.Get(path); p.Status != http.StatusOK || s.User() == nil {
		s.T.Fatalf("signing in ended at %s with %d: %s\n%s", p.URL, p.Status, p.Text(), s.Logs)
	}
}
