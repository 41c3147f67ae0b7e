package faults

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsFrontchannelLogout(t *testing.T) {
	runFaults(t, []fault{
		{"H23_front_channel", h23FrontChannel},
		{"H24_random_front_channel_sids", h24RandomFrontChannelSids},
	})
}

func h23FrontChannel(t *testing.T) {
	t.Parallel()
	// The provider is on the same site: another port of localhost.
	s := sitetest.NewLogout(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP = sitetest.StartProvider(t, authtest.Config{Addr: "localhost:0", Now: s.Clock.Now})
		o.Providers[0] = sitetest.Client("demo", s.IDP)
	})
	s.SignIn()
	sid := s.SID()
	good := "?iss=" + url.QueryEscape(s.IDP.Issuer) + "&sid=" + url.QueryEscape(sid)
	body := ""
	for name, query := range map[string]string{
		"wrong issuer": "?iss=https://evil.example&sid=" + url.QueryEscape(sid), "wrong sid": "?iss=" + url.QueryEscape(s.IDP.Issuer) + "&sid=other",
		"nothing": "", "no sid": "?iss=" + url.QueryEscape(s.IDP.Issuer), "no iss": "?sid=" + url.QueryEscape(sid), "twice": good + "&sid=" + url.QueryEscape(sid), "issuer twice": good + "&iss=https://evil.example", "empty": "?iss=&sid=",
	} {
		p := s.Frame(s.Browser, s.IDP.Issuer, query)
		if p.Status != http.StatusOK || s.User() == nil {
			t.Errorf("%s: %d, signed in %v", name, p.Status, s.User() != nil)
		}
		body = p.Text()
	}
	if p := s.Frame(s.NewBrowser(), s.IDP.Issuer, good); p.Status != http.StatusOK || s.User() == nil || p.Text() != body {
		t.Errorf("a browser without a session: %d %s", p.Status, p.Text())
	}
	// In a frame on another site the browser sends no Lax cookie: nothing happens.
	if p := s.Frame(s.Browser, "http://idp.localhost:1", good); p.Status != http.StatusOK || s.User() == nil {
		t.Errorf("a cross-site frame: %d, signed in %v", p.Status, s.User() != nil)
	}
	copied := s.Browser.Clone()
	p := s.Frame(s.Browser, s.IDP.Issuer, good)
	if p.Status != http.StatusOK || p.Text() != body || s.User() != nil || s.UserOf(copied) != nil {
		t.Errorf("the right one: %d, same response %v, signed in %v\n%s", p.Status, p.Text() == body, s.User() != nil, s.Logs)
	}
	csp := p.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "frame-ancestors "+s.IDP.Issuer) || !strings.Contains(csp, "default-src 'none'") || p.Header.Get("X-Frame-Options") != "" || p.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Content-Security-Policy %q, X-Frame-Options %q", csp, p.Header.Get("X-Frame-Options"))
	}
}

func h24RandomFrontChannelSids(t *testing.T) {
	t.Parallel()
	calls := &sitetest.BrokenRevocations{}
	s := sitetest.NewLogout(t, func(s *sitetest.Site, o *ginauth.Options) { o.Revocations = calls })
	s.SignIn()
	before := calls.Revoked.Load()
	for i := range 200 {
		s.Frame(s.Browser, s.URL, fmt.Sprintf("?iss=%s&sid=%d", url.QueryEscape(s.IDP.Issuer), i))
	}
	if got := calls.Revoked.Load(); got != before {
		t.Errorf("%d revocations were kept for unknown sids", got-before)
	}
}

// A member sid in the profile of a plain OAuth 2.0 provider is not a session at the provider: a
// link with its value, which could be a guessable user name, signs no user out.
func TestFrontChannelNeedsAnIDToken(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":"1","sid":"ada"}`, func(_ *sitetest.Site, p *ginauth.Provider) { p.ClaimPaths = map[string]string{"sub": "id"} })
	s.SignIn()
	s.Frame(s.Browser, s.URL, "?iss="+url.QueryEscape(s.User().Issuer)+"&sid=ada")
	if s.User() == nil {
		t.Error("a link signed a user out")
	}
}
