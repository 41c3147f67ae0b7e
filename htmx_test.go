package ginauth_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// boosted are the headers of HTMX that loads a link in the browser's place.
func boosted(s *site, page string) http.Header {
	return http.Header{"Hx-Request": {"true"}, "Hx-Boosted": {"true"}, "Hx-Current-Url": {s.URL + page}}
}

// boost sends what HTMX sends for a link, or with a form, on a page of the
// application.
func (s *site) boost(method, path string, form url.Values) *authtest.Page {
	s.t.Helper()
	header := boosted(s, "/list")
	if form != nil {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return s.must(s.browser.Fetch(authtest.At(s.URL+"/list"), method, s.URL+path, header, form.Encode()))
}

// wantOpened fails the test unless HTMX is told to open an address.
func (s *site) wantOpened(p *authtest.Page, address string) {
	s.t.Helper()
	if got := p.Header.Get("HX-Redirect"); p.Status != http.StatusNoContent || got != address || len(p.Header["Set-Cookie"]) > 0 {
		s.t.Errorf("%s: %d with HX-Redirect %q and cookies %v; want %q: %s", p.URL, p.Status, got, p.Header["Set-Cookie"], address, p.Text())
	}
	wantHeaders(s.t, p)
}

// HTMX cannot show our pages, nor go to a provider: it opens the address that it
// asked for.
func TestBoostedLinksAreOpened(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers = append(o.Providers, client("other", startIDP(t, authtest.Config{})))
	})
	for _, path := range []string{"/login", "/login?return_to=%2Fx", "/login/demo", "/login/demo?return_to=%2Fpage%2Fx%3Fy%3D1&login_hint=ada", "/login/nobody", "/logout", "/logout?return_to=%2Fx"} {
		s.wantOpened(s.boost("GET", path, nil), path)
	}
	if n := s.idp.Count(authtest.Discovery); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	if p := s.get(s.boost("GET", "/login/demo?return_to=%2Fpage%2Fx", nil).Header.Get("HX-Redirect")); p.URL.Path != "/page/x" || p.Status != http.StatusOK {
		t.Errorf("the sign-in ended at %s with %d", p.URL, p.Status)
	}
	if s.boost("GET", "/logout", nil); s.user() == nil {
		t.Error("a link to the sign-out signed out")
	}
}

func TestBoostedFormsAreOpened(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.wantOpened(s.boost("POST", "/login/demo", url.Values{}), "/login/demo")
	s.wantOpened(s.boost("POST", "/login/demo?return_to=%2Fx", url.Values{}), "/login/demo?return_to=%2Fx")
	s.wantOpened(s.boost("POST", "/login/demo?return_to=%2Fx", url.Values{"return_to": {"/y z"}, "prompt": {"login"}}), "/login/demo?prompt=login&return_to=%2Fy+z")
	s.signIn()
	s.wantError(s.boost("POST", "/login/demo", url.Values{"link": {"true"}}), ginauth.ErrCrossOrigin)
	if p := s.boost("POST", "/logout", url.Values{}); p.Status != http.StatusNoContent || p.Header.Get("HX-Redirect") == "" || s.user() != nil {
		t.Errorf("the sign-out answered %d with HX-Redirect %q", p.Status, p.Header.Get("HX-Redirect"))
	}
}

// A boosted link to a guarded page leads to that page, and not to the one that it
// was on. A form, and what HTMX loads into a page, lead to the page that is open.
func TestBoostedLinkToAGuardedPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, tt := range []struct {
		name, method, path string
		change             func(http.Header)
		want               string
	}{
		{"a link", "GET", "/page/x?y=1", func(http.Header) {}, "/login?return_to=%2Fpage%2Fx%3Fy%3D1"},
		{"a link on another site's page", "GET", "/page/x", func(h http.Header) { h.Set("HX-Current-URL", "https://evil.example/") }, "/login?return_to=%2Fpage%2Fx"},
		{"a form", "POST", "/me", func(http.Header) {}, "/login?return_to=%2Flist"},
		{"a part of a page", "GET", "/page/x?y=1", func(h http.Header) { h.Del("HX-Boosted") }, "/login?return_to=%2Flist"},
		{"another value", "GET", "/page/x?y=1", func(h http.Header) { h.Set("HX-Boosted", "false") }, "/login?return_to=%2Flist"},
	} {
		header := boosted(s, "/list")
		tt.change(header)
		p := s.must(s.browser.Fetch(authtest.At(s.URL+"/list"), tt.method, s.URL+tt.path, header, ""))
		if got := p.Header.Get("HX-Redirect"); p.Status != http.StatusUnauthorized || got != tt.want {
			t.Errorf("%s: %d with HX-Redirect %q, want %q", tt.name, p.Status, got, tt.want)
		}
	}
}

// What is no boosted link is refused as before.
func TestHTMXWithoutBoostBeginsNoSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.wantError(s.ask("GET", "/login/demo", plus(fetches, "HX-Request", "true")...), ginauth.ErrCrossOrigin)
	s.wantError(s.ask("GET", "/login/demo", plus(fetches, "HX-Boosted", "true")...), ginauth.ErrCrossOrigin)
}

// An address that begins with two slashes would lead to another host.
func TestBoostedLinkStaysHere(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) { s.engine.RemoveExtraSlash = true; o.BaseURL = s.URL + "/app" })
	s.wantOpened(s.boost("GET", "/login", nil), "/app/login")
	s.wantOpened(s.boost("GET", "//login/demo?x=1", nil), "/app/login/demo?x=1")
	p := newSite(t, func(s *site, _ *ginauth.Options) { s.engine.RemoveExtraSlash = true })
	p.wantOpened(p.boost("GET", "//login/demo", nil), "/login/demo")
}
