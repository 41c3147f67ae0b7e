package providers

import "github.com/ginauth/ginauth"

// OIDC is any provider that speaks OpenID Connect, under a name of your choice:
// Keycloak, authentik, Zitadel, Okta, Auth0, a company's own. The issuer is
// what its configuration page calls so: the address before
// /.well-known/openid-configuration, with the same slash, or none, at its end.
//
// How the client authenticates is read from the provider's metadata. A public
// client has no secret: pass "" and set AuthMethod to "none".
func OIDC(name, issuer, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: name, Issuer: issuer, ClientID: clientID, ClientSecret: clientSecret,
		// OpenID Connect Core 3.1.2.1. max_age and acr_values are left out: many
		// providers ignore them, and then nobody could sign in with them.
		LoginParams: []string{"prompt", "login_hint", "ui_locales"},
	}
}
