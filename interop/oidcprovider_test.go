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

// oidcProvider is oidc-provider, run by oidcprovider/server.js.
type oidcProvider struct {
	control

	// rotation of refresh tokens, for clients that are registered from now on: "always",
	// which is the default, "grace" or "never".
	rotation string
}

func newOIDCProvider() *oidcProvider {
	return &oidcProvider{control: control{process: process{"oidcprovider"}}}
}

func (o *oidcProvider) register(t *testing.T, c client) ginauth.Provider {
	t.Helper()
	settings := map[string]any{
		"client_id": c.ID, "client_secret": c.Secret, "token_endpoint_auth_method": c.AuthMethod,
		"grant_types":   []string{"authorization_code", "refresh_token"},
		"redirect_uris": []string{c.RedirectURI}, "post_logout_redirect_uris": []string{c.PostLogoutURI},
		"backchannel_logout_uri": c.BackChannelURI, "backchannel_logout_session_required": true,
	}
	if o.rotation != "" {
		settings["rotation"] = o.rotation
	}
	if c.JWKS != nil {
		settings["jwks"] = c.JWKS
		delete(settings, "client_secret")
	}
	o.add(t, settings)
	return providers.OIDC("corp", o.address(t), c.ID, c.Secret)
}

func (*oidcProvider) asks(p *authtest.Page) bool {
	return strings.HasPrefix(p.URL.Path, "/interaction/") && strings.Contains(p.Text(), `name="password"`)
}

// logIn presses "Allow" too, which the server asks of everybody once.
func (*oidcProvider) logIn(b *authtest.Browser, form *authtest.Page, username, password string) (*authtest.Page, error) {
	p, err := b.SubmitForm(form, "Sign in", url.Values{"username": {username}, "password": {password}})
	if err != nil || !strings.HasPrefix(p.URL.Path, "/interaction/") || p.Status != http.StatusOK {
		return p, err
	}
	return b.SubmitForm(p, "Allow", nil)
}

func (*oidcProvider) refuse(b *authtest.Browser, form *authtest.Page) (*authtest.Page, error) {
	return b.SubmitForm(form, "Cancel", nil)
}

func TestOIDCProvider(t *testing.T) {
	with := newOIDCProvider()
	everyServer(t, with)
	t.Run("form_post", func(t *testing.T) { tryFormPost(t, with) })
	t.Run("a new key under an old kid", func(t *testing.T) { tryANewKeyUnderAnOldKid(t, with) })
	t.Run("prompt=none", func(t *testing.T) { tryPromptNone(t, with) })
	t.Run("prompt=login", func(t *testing.T) { tryPromptLogin(t, with) })
	t.Run("signing out without a hint", func(t *testing.T) { trySigningOutWithoutAHint(t, with) })
	t.Run("assertions", func(t *testing.T) { tryAssertions(t, with, "RS256", "ES256", "EdDSA") })
	t.Run("tokens", func(t *testing.T) { tryTokens(t, with, "revocation") })
	t.Run("back-channel logout", func(t *testing.T) { tryBackChannelLogout(t, with, signOutAtTheServer("/session/end")) })
}
