package interop

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// spring is Spring Authorization Server, run by the program in spring.
type spring struct{ control }

func (s *spring) register(t *testing.T, c client) ginauth.Provider {
	t.Helper()
	s.add(t, map[string]any{
		"id": c.ID, "secret": c.Secret, "method": c.AuthMethod,
		"redirect": c.RedirectURI, "postLogout": c.PostLogoutURI, "consent": c.Consent,
	})
	return providers.OIDC("corp", s.address(t), c.ID, c.Secret)
}

func (*spring) asks(p *authtest.Page) bool {
	return p.URL.Path == "/login" && strings.Contains(p.Text(), `name="password"`)
}

// logIn gives the consent that is asked for, which those who refused it once are
// asked for at once.
func (s *spring) logIn(b *authtest.Browser, form *authtest.Page, username, password string) (*authtest.Page, error) {
	if s.asks(form) {
		p, err := b.SubmitForm(form, "Sign in", url.Values{"username": {username}, "password": {password}})
		if err != nil || p.URL.Path != "/oauth2/authorize" || p.Status != http.StatusOK {
			return p, err
		}
		form = p
	}
	return b.SubmitForm(form, "Submit Consent", url.Values{"scope": {"profile", "email"}})
}

func (*spring) refuse(b *authtest.Browser, form *authtest.Page) (*authtest.Page, error) {
	p, err := b.SubmitForm(form, "Sign in", url.Values{"username": {ada}, "password": {password}})
	if err != nil {
		return nil, err
	}
	// Cancel is a script's button: it sends the form without its scopes.
	return b.SubmitForm(p, "Submit Consent", nil)
}

func TestSpring(t *testing.T) {
	with := &spring{control{process: process{"spring"}}}
	everyServer(t, with)
	t.Run("a new key under an old kid", func(t *testing.T) { tryANewKeyUnderAnOldKid(t, with) })
	t.Run("prompt=none", func(t *testing.T) { tryPromptNone(t, with) })
	t.Run("signing out without a hint", func(t *testing.T) {
		s := newSite(t, with, config{change: withoutHint})
		s.signIn("/private", ada)
		if p := s.signOut(); p.Status != http.StatusBadRequest || strings.HasPrefix(p.URL.String(), s.URL) {
			t.Errorf("the server takes a sign-out without a hint: %s, status %d", p.URL, p.Status)
		}
		s.wantHome(s.browser, "home")
	})
}
