package ginauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

// A front-channel request ends a session of its own provider alone, and of one
// that named it.
func TestFrontChannelOfAnotherProvider(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, func(s *site, o *ginauth.Options) {
		o.Providers = append(o.Providers, client("other", startIDP(t, authtest.Config{Now: s.clock.Now})))
	})
	s.signIn()
	named := "?iss=" + url.QueryEscape(s.idp.Issuer) + "&sid=" + url.QueryEscape(s.sid())
	s.must(s.browser.Frame(pageOf(s), s.URL+"/logout/other/frontchannel"+named))
	if s.user() == nil {
		t.Error("another provider ended the session")
	}
	s.browser = s.newBrowser()
	s.as("ada") // without a sid
	s.frame(s.browser, s.URL, "?iss="+url.QueryEscape(s.idp.Issuer)+"&sid=")
	if s.user() == nil {
		t.Error("an empty sid ended a session that has none")
	}
}

func TestSignOutThatCannotBeWrittenDown(t *testing.T) {
	t.Parallel()
	f := &faultyRevocations{}
	s := newLogoutSite(t, func(s *site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 1<<20)
		o.Revocations = f
	})
	s.signIn()
	f.writeErr = errBroken
	if err := s.auth.LogoutEverywhere(t.Context(), s.user().ID()); !errors.Is(err, ginauth.ErrStoreUnavailable) {
		t.Errorf("everywhere: %v", err)
	}
	p := s.frame(s.browser, s.URL, "?iss="+url.QueryEscape(s.idp.Issuer)+"&sid="+url.QueryEscape(s.sid()))
	s.wantError(p, ginauth.ErrStoreUnavailable)
}

// Where a sign-out comes back to is known for ten minutes, also to a browser
// that keeps cookies for longer.
func TestReturnFromTheProviderAfterTenMinutes(t *testing.T) {
	t.Parallel()
	for after, path := range map[time.Duration]string{9 * time.Minute: "/page/bye", 11 * time.Minute: "/"} {
		s := newSite(t, nil)
		s.signIn()
		s.browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.idp.Issuer) }
		p := s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", url.Values{"return_to": {"/page/bye"}}))
		to, err := url.Parse(p.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		var pairs []string
		for _, line := range p.Header.Values("Set-Cookie") {
			pair, _, _ := strings.Cut(line, ";")
			pairs = append(pairs, pair)
		}
		s.clock.Advance(after)
		s.browser = s.newBrowser()
		back := s.ask("GET", "/logout/return?state="+url.QueryEscape(to.Query().Get("state")), "Cookie", strings.Join(pairs, "; "))
		if got := back.Header.Get("Location"); got != s.URL+path+"#" {
			t.Errorf("after %v the browser goes to %q", after, got)
		}
	}
}

// A plain OAuth 2.0 provider has no keys, and so no word in signing out.
func TestBackChannelOfAPlainProvider(t *testing.T) {
	t.Parallel()
	s := plainSite(t, `{"id":7}`, nil)
	s.signIn()
	p := s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "7"})))
	s.refused(t, p)
}

// A logout token that cannot be verified now is the provider's to send again.
func TestBackChannelDuringAnOutage(t *testing.T) {
	t.Parallel()
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS} {
		s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.Fail(e, authtest.Down) })
		s.as("ada")
		p := s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "ada"})))
		if p.Status != http.StatusBadGateway || !strings.Contains(p.Text(), string(ginauth.ErrProviderUnavailable)) || s.user() == nil {
			t.Errorf("without %v: %d %s", e, p.Status, p.Text())
		}
	}
}
