package ginauth_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// boosted are the headers of HTMX that loads a link in the browser's place.
func boosted(s *sitetest.Site, page string) http.Header {
	return http.Header{"Hx-Request": {"true"}, "Hx-Boosted": {"true"}, "Hx-Current-Url": {s.URL + page}}
}

// boost sends what HTMX sends for a link, or with a form, on a page of the
// application.
func boost(s *sitetest.Site, method, path string, form url.Values) *authtest.Page {
	s.T.Helper()
	header := boosted(s, "/list")
	if form != nil {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return s.Must(s.Browser.Fetch(authtest.At(s.URL+"/list"), method, s.URL+path, header, form.Encode()))
}

// wantOpened fails the test unless HTMX is told to open an address.
func wantOpened(s *sitetest.Site, p *authtest.Page, address string) {
	s.T.Helper()
	if got := p.Header.Get("HX-Redirect"); p.Status != http.StatusNoContent || got != address || len(p.Header["Set-Cookie"]) > 0 {
		s.T.Errorf("%s: %d with HX-Redirect %q and cookies %v; want %q: %s", p.URL, p.Status, got, p.Header["Set-Cookie"], address, p.Text())
	}
	sitetest.WantHeaders(s.T, p)
}

// HTMX cannot show our pages, nor go to a provider: it opens the address that it
// asked for.
func TestBoostedLinksAreOpened(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, sitetest.Client("other", sitetest.StartProvider(t, authtest.Config{})))
	})
	for _, path := range []string{"/login", "/login?return_to=%2Fx", "/login/demo", "/login/demo?return_to=%2Fpage%2Fx%3Fy%3D1&login_hint=ada", "/login/nobody", "/logout", "/logout?return_to=%2Fx"} {
		wantOpened(s, boost(s, "GET", path, nil), path)
	}
	if n := s.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	if p := s.Get(boost(s, "GET", "/login/demo?return_to=%2Fpage%2Fx", nil).Header.Get("HX-Redirect")); p.URL.Path != "/page/x" || p.Status != http.StatusOK {
		t.Errorf("the sign-in ended at %s with %d", p.URL, p.Status)
	}
	if boost(s, "GET", "/logout", nil); s.User() == nil {
		t.Error("a link to the sign-out signed out")
	}
}

func TestBoostedFormsAreOpened(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	wantOpened(s, boost(s, "POST", "/login/demo", url.Values{}), "/login/demo")
	wantOpened(s, boost(s, "POST", "/login/demo?return_to=%2Fx", url.Values{}), "/login/demo?return_to=%2Fx")
	wantOpened(s, boost(s, "POST", "/login/demo?return_to=%2Fx", url.Values{"return_to": {"/y z"}, "prompt": {"login"}}), "/login/demo?prompt=login&return_to=%2Fy+z")
	s.SignIn()
	s.WantError(boost(s, "POST", "/login/demo", url.Values{"link": {"true"}}), ginauth.ErrCrossOrigin)
	if p := boost(s, "POST", "/logout", url.Values{}); p.Status != http.StatusNoContent || p.Header.Get("HX-Redirect") == "" || s.User() != nil {
		t.Errorf("the sign-out answered %d with HX-Redirect %q", p.Status, p.Header.Get("HX-Redirect"))
	}
}

// A boosted link to a guarded page leads to that page, and not to the one that it
// was on. A form, and what HTMX loads into a page, lead to the page that is open.
func TestBoostedLinkToAGuardedPage(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
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
		p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/list"), tt.method, s.URL+tt.path, header, ""))
		if got := p.Header.Get("HX-Redirect"); p.Status != http.StatusUnauthorized || got != tt.want {
			t.Errorf("%s: %d with HX-Redirect %q, want %q", tt.name, p.Status, got, tt.want)
		}
	}
}

// What is no boosted link is refused as before.
func TestHTMXWithoutBoostBeginsNoSignIn(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.WantError(s.Ask("GET", "/login/demo", sitetest.Plus(sitetest.Fetch, "HX-Request", "true")...), ginauth.ErrCrossOrigin)
	s.WantError(s.Ask("GET", "/login/demo", sitetest.Plus(sitetest.Fetch, "HX-Boosted", "true")...), ginauth.ErrCrossOrigin)
}

// An address that begins with two slashes would lead to another host.
func TestBoostedLinkStaysHere(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Engine.RemoveExtraSlash = true
		o.BaseURL = s.URL + "/app"
	})
	wantOpened(s, boost(s, "GET", "/login", nil), "/app/login")
	wantOpened(s, boost(s, "GET", "//login/demo?x=1", nil), "/app/login/demo?x=1")
	p := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.Engine.RemoveExtraSlash = true })
	wantOpened(p, boost(p, "GET", "//login/demo", nil), "/login/demo")
}
