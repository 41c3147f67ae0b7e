package providers

import "github.com/ginauth/ginauth"

// OIDC configures any OpenID Connect provider, under a name of your choice: Keycloak,
// authentik, Zitadel, Okta, Auth0, a company's own. issuer is the issuer identifier on its
// configuration page: the URL before /.well-known/openid-configuration, with or without a
// trailing slash exactly as there.
//
// The client authentication method is taken from the provider's metadata. A public client has
// no secret: pass "" and set AuthMethod to "none".
func OIDC(name, issuer, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: name, Preset: "oidc", Issuer: issuer, ClientID: clientID, ClientSecret: clientSecret,
		// OpenID Connect Core 3.1.2.1. max_age and acr_values are omitted: many providers ignore
		// them, and then every sign-in with them would fail.
		LoginParams: []string{"prompt", "login_hint", "ui_locales"},
	}
}

var presetOIDC = preset{
	name: "oidc", function: "OIDC",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return OIDC("oidc", arg["issuer"], clientID, clientSecret)
	},
	args: []argument{{
		name: "issuer", env: "_ISSUER", example: "https://login.oidc.example", free: true,
		about: "the provider's issuer URL: the part before `/.well-known/openid-configuration`",
	}},
	register: "A confidential web client with the authorization code flow.",
	user:     "The standard claims that the provider sends.",
	quirks: []string{
		"The environment variables accept any name: `CORP_ISSUER`, `CORP_CLIENT_ID` and `CORP_CLIENT_SECRET` make the provider `corp`.",
	},

	// https://openid.net/specs/openid-connect-core-1_0.html#OfflineAccess: the provider ignores
	// offline_access without consent, unless other conditions permit it.
	refresh: refreshTokens{scope: "offline_access", params: map[string]string{"prompt": "consent"}},
}
