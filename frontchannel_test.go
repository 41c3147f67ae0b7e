package ginauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func (s *site) frame(b *authtest.Browser, from, query string) *authtest.Page {
	s.t.Helper()
	return s.must(b.Frame(authtest.At(from), s.URL+"/logout/demo/frontchannel"+query))
}

func testFrontChannel(t *testing.T) {
	t.Parallel()
	// The provider is on the same site: another port of localhost.
	s := newLogoutSite(t, func(s *site, o *ginauth.Options) {
		s.idp = startIDP(t, authtest.Config{Addr: "localhost:0", Now: s.clock.Now})
		o.Providers[0] = client("demo", s.idp)
	})
	s.signIn()
	sid := s.sid()
	good := "?iss=" + url.QueryEscape(s.idp.Issuer) + "&sid=" + url.QueryEscape(sid)
	body := ""
	for name, query := range map[string]string{
		"wrong issuer": "?iss=https://evil.example&sid=" + url.QueryEscape(sid), "wrong sid": "?iss=" + url.QueryEscape(s.idp.Issuer) + "&sid=other",
		"nothing": "", "no sid": "?iss=" + url.QueryEscape(s.idp.Issuer), "no iss": "?sid=" + url.QueryEscape(sid), "twice": good + "&sid=" + url.QueryEscape(sid), "issuer twice": good + "&iss=https://evil.example", "empty": "?iss=&sid=",
	} {
		p := s.frame(s.browser, s.idp.Issuer, query)
		if p.Status != http.StatusOK || s.user() == nil {
			t.Errorf("%s: %d, signed in %v", name, p.Status, s.user() != nil)
		}
		body = p.Text()
	}
	if p := s.frame(s.newBrowser(), s.idp.Issuer, good); p.Status != http.StatusOK || s.user() == nil || p.Text() != body {
		t.Errorf("a browser without a session: %d %s", p.Status, p.Text())
	}
	// In a frame on another site the browser sends no Lax cookie: nothing happens.
	if p := s.frame(s.browser, "http://idp.localhost:1", good); p.Status != http.StatusOK || s.user() == nil {
		t.Errorf("a cross-site frame: %d, signed in %v", p.Status, s.user() != nil)
	}
	copied := s.browser.Clone()
	p := s.frame(s.browser, s.idp.Issuer, good)
	if p.Status != http.StatusOK || p.Text() != body || s.user() != nil || s.userOf(copied) != nil {
		t.Errorf("the right one: %d, same answer %v, signed in %v\n%s", p.Status, p.Text() == body, s.user() != nil, s.logs)
	}
	csp := p.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "frame-ancestors "+s.idp.Issuer) || !strings.Contains(csp, "default-src 'none'") || p.Header.Get("X-Frame-Options") != "" || p.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Content-Security-Policy %q, X-Frame-Options %q", csp, p.Header.Get("X-Frame-Options"))
	}
}

func testFrontChannelFlood(t *testing.T) {
	t.Parallel()
	calls := &brokenRevocations{}
	s := newLogoutSite(t, func(s *site, o *ginauth.Options) { o.Revocations = calls })
	s.signIn()
	before := calls.revoked.Load()
	for i := range 200 {
		s.frame(s.browser, s.URL, fmt.Sprintf("?iss=%s&sid=%d", url.QueryEscape(s.idp.Issuer), i))
	}
	if got := calls.revoked.Load(); got != before {
		t.Errorf("%d revocations were kept for sids that are nobody's", got-before)
	}
}

// A member called sid in the profile of a plain OAuth 2.0 provider is not a
// session at the provider: a link that names it, as a user name could be named,
// signs nobody out.
func TestFrontChannelNeedsAnIDToken(t *testing.T) {
	t.Parallel()
	s := plainSite(t, `{"id":"1","sid":"ada"}`, func(_ *site, p *ginauth.Provider) { p.ClaimPaths = map[string]string{"sub": "id"} })
	s.signIn()
	s.frame(s.browser, s.URL, "?iss="+url.QueryEscape(s.user().Issuer)+"&sid=ada")
	if s.user() == nil {
		t.Error("a link signed somebody out")
	}
}
