package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// Authentik configures an application of an authentik server at the root of host, by its slug.
//
// User.Subject is the user's hashed id, unless the provider has another *Subject mode*: do not
// choose user name or e-mail address, which can be reassigned. User.Groups are the names of the
// user's groups.
func Authentik(host, slug, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "authentik", Preset: "authentik", DisplayName: "authentik", Color: "#fd4b2d",
		ClientID: clientID, ClientSecret: clientSecret,

		// With *Issuer mode* "each provider has a different issuer", the default. The
		// slash is part of it.
		// https://docs.goauthentik.io/add-secure-apps/providers/oauth2/
		Issuer: serverAt(host) + "/application/o/" + slug + "/",
		Err:    errors.Join(hostError(host), segment("slug", slug)),

		// The metadata names this and client_secret_post.
		AuthMethod: "client_secret_basic",

		// groups come with profile. email_verified is false in the default mapping; an
		// administrator's own mapping may set it. blueprints/system/providers-oauth2.yaml in its
		// source
		Scopes:     []string{"openid", "profile", "email"},
		ClaimPaths: map[string]string{"groups": "groups"},

		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age"},
	}
}

var presetAuthentik = preset{
	name: "authentik", function: "Authentik",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Authentik(arg["host"], arg["slug"], clientID, clientSecret)
	},
	args: []argument{
		{name: "host", env: "_HOST", about: "the server's host", example: "login.kvarnbygd.example"},
		{name: "slug", env: "_SLUG", about: "the application's slug", example: "mill-app"},
	},
	register: "An application with a provider *OAuth2/OpenID*, *Confidential*, with a signing key (RS256 or ES256: without one, tokens are signed with the client secret and rejected). `BaseURL/logout/return` is another of its redirect URIs.",
	user:     "A hashed id, name, user name, groups, and an e-mail address (unverified unless your mapping says otherwise).",
	quirks: []string{
		"Keep *Subject mode* at the hashed user ID: user names and e-mail addresses are reassigned.",
		"For *Issuer mode* \"same issuer for all\", set `Issuer` to the value on the provider's page.",
		"`/login/authentik` forwards `prompt`, `login_hint`, `ui_locales` and `max_age`.",
	},

	// https://docs.goauthentik.io/add-secure-apps/providers/oauth2/
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Give the provider the scope mapping `offline_access`.",
		about:   "Revocation: in the metadata.",
	},

	// https://github.com/goauthentik/authentik/blob/main/authentik/providers/oauth2/id_token.py
	api: apiTokens{never: "their `aud` is the client ID, as in ID tokens, and they have no scopes"},
}
