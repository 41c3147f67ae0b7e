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
type spring struct {
	control

	// format is that of the access tokens of tools that are registered from now on: "jwt",
	// "without client_id", which is a JWT too, or "opaque".
	format string
}

func newSpring() *spring { return &spring{control: control{process: process{"spring"}}} }

func (s *spring) register(t *testing.T, c client) ginauth.Provider {
	t.Helper()
	settings := map[string]any{
		"id": c.ID, "secret": c.Secret, "method": c.AuthMethod,
		"redirect": c.RedirectURI, "postLogout": c.PostLogoutURI, "consent": c.Consent,
	}
	if c.Tool {
		settings["tool"] = s.format
	}
	s.add(t, settings)
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
	with := newSpring()
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

// Access tokens for an API, whose aud a customizer sets.
func TestSpringBearer(t *testing.T) {
	with, conf := newSpring(), bearerConfig{change: introspects}
	for _, with.format = range []string{"jwt", "opaque"} {
		t.Run(with.format, func(t *testing.T) { tryBearer(t, with, conf) })
		t.Run(with.format+", of a program", func(t *testing.T) { tryBearerProgram(t, with, conf) })
	}
	t.Run("a revoked opaque token", func(t *testing.T) { tryBearerRevoked(t, with, conf) })
	t.Run("what is in the tokens", func(t *testing.T) {
		with.format = "jwt"
		b := newBearerSite(t, with, bearerConfig{})
		got := b.person(ada, "openid orders:read")
		header, claims := claimsOf(t, got.Access)
		wantClaims(t, header, map[string]any{"typ": nil})
		wantClaims(t, claims, map[string]any{"aud": theAPI, "sub": ada, "azp": nil, "sid": nil})
		if scope, _ := claims["scope"].([]any); len(scope) != 2 {
			t.Errorf("scope is %v", claims["scope"])
		}
		_, claims = claimsOf(t, got.ID)
		wantClaims(t, claims, map[string]any{"aud": b.tool.ID, "azp": b.tool.ID, "at_hash": nil, "nonce": nil})
		_, claims = claimsOf(t, b.program("orders:read").Access)
		wantClaims(t, claims, map[string]any{"sub": b.tool.ID})
	})
	t.Run("by itself it does not say whose client", func(t *testing.T) {
		with.format = "without client_id"
		b := newBearerSite(t, with, bearerConfig{})
		b.invalid(b.person(ada, "openid orders:read").Access)
		token := b.program("orders:read").Access
		_, claims := claimsOf(t, token)
		wantClaims(t, claims, map[string]any{"sub": b.tool.ID, "client_id": nil, "azp": nil})
		b.invalid(token)
		if !b.logs.has("id=access_token.client") {
			t.Error("the log does not say that client_id is missing")
		}
	})
}
