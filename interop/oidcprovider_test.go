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
		"redirect_uris": []string{c.RedirectURI},
	}
	if o.rotation != "" {
		settings["rotation"] = o.rotation
	}
	if c.Tool {
		settings["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials"}
	} else {
		settings["post_logout_redirect_uris"] = []string{c.PostLogoutURI}
		settings["backchannel_logout_uri"], settings["backchannel_logout_session_required"] = c.BackChannelURI, true
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

// Access tokens for an API, which oidc-provider calls a resource.
func TestBearerOIDCProvider(t *testing.T) {
	with := newOIDCProvider()
	jwt := bearerConfig{asking: url.Values{"resource": {theAPI}}}
	opaque := bearerConfig{audience: theAPI + "/opaque", asking: url.Values{"resource": {theAPI + "/opaque"}}, change: introspects}
	alone := jwt
	alone.change = withoutClient
	for name, conf := range map[string]bearerConfig{"JWTs": jwt, "opaque tokens": opaque, "JWTs, at an application without a client": alone} {
		t.Run(name, func(t *testing.T) { tryBearer(t, with, conf) })
		t.Run(name+", of a program", func(t *testing.T) { tryBearerProgram(t, with, conf) })
	}
	t.Run("a revoked opaque token", func(t *testing.T) { tryBearerRevoked(t, with, opaque) })
	for name, conf := range map[string]bearerConfig{"JWT": jwt, "opaque": opaque} {
		t.Run("a bound token, "+name, func(t *testing.T) { tryBearerBound(t, with, conf) })
	}
	t.Run("what is in the tokens", func(t *testing.T) {
		b := newBearerSite(t, with, jwt)
		got := b.person(ada, "openid orders:read")
		header, claims := claimsOf(t, got.Access)
		wantClaims(t, header, map[string]any{"typ": "at+jwt"})
		wantClaims(t, claims, map[string]any{"aud": theAPI, "client_id": b.tool.ID, "sub": ada, "scope": "orders:read", "sid": nil, "auth_time": nil})
		header, claims = claimsOf(t, got.ID)
		wantClaims(t, header, map[string]any{"typ": nil})
		wantClaims(t, claims, map[string]any{"aud": b.tool.ID, "at_hash": nil, "nonce": nil})
		_, claims = claimsOf(t, b.program("orders:read").Access)
		wantClaims(t, claims, map[string]any{"sub": b.tool.ID})
	})
}
