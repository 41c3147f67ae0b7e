package ginauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// A sign-in that cannot begin since the provider does not answer has a link that
// begins the same sign-in, for the time when it does.
func TestRetryWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]authtest.Fault{"down": authtest.Down, "broken": authtest.HTML} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].LoginParams = []string{"login_hint", "ui_locales"} })
			s.idp.Fail(authtest.Discovery, fault)
			from := authtest.At(s.URL + "/")
			p := s.must(s.browser.Submit(from, s.URL+"/login/demo", url.Values{"return_to": {"/page/x?y=1"}, "login_hint": {"ada@example.com&x"}}))
			if p.Status < 500 {
				t.Fatalf("answered %d", p.Status)
			}
			s.idp.Heal()
			s.clock.Advance(deadline * 60)
			p, err := s.browser.ClickLink(p, "Try again")
			if err != nil || p.Status != http.StatusOK || p.URL.RequestURI() != "/page/x?y=1" {
				t.Fatalf("the sign-in ended with %v: %+v", err, p)
			}
			if got := s.idp.LastRequest(authtest.Authorize).Form.Get("login_hint"); got != "ada@example.com&x" {
				t.Errorf("the login hint is %q", got)
			}
		})
	}
}

// To link an account takes a form: a link would sign in with it instead.
func TestNoRetryOfALinking(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.as("ada")
	s.idp.Fail(authtest.Discovery, authtest.Down)
	p := s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/login/demo", url.Values{"link": {"true"}}))
	s.wantError(p, ginauth.ErrProviderUnavailable)
	if strings.Contains(p.Text(), "/login/demo") {
		t.Errorf("the page leads to a sign-in: %s", p.Text())
	}
}
