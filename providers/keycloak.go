package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// Keycloak is a realm of a Keycloak server at the root of host:
// "login.example.com", or for development "http://localhost:8180". For a server
// below a path, as all were before version 17 ("/auth"), set Issuer by hand.
//
// User.Subject is the account's id in the realm. User.Groups are the realm's
// roles. For groups in their place set ClaimPaths["groups"] to "groups", and for
// the roles of one client to "resource_access.CLIENT.roles". Each has to be in the
// ID token or in userinfo, which the realm's configuration decides.
func Keycloak(host, realm, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "keycloak", Preset: "keycloak", DisplayName: "Keycloak", Color: "#4d4d4d",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://www.keycloak.org/securing-apps/oidc-layers
		Issuer: serverAt(host) + "/realms/" + realm,
		Err:    errors.Join(hostError(host), segment("realm", realm)),

		// The metadata names several; a confidential client takes both that have a
		// secret.
		AuthMethod: "client_secret_basic",

		Scopes:     []string{"openid", "profile", "email"},
		ClaimPaths: map[string]string{"groups": "realm_access.roles"},

		// kc_idp_hint goes straight to another identity provider:
		// https://www.keycloak.org/docs/latest/server_admin/#_client_suggested_idp
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age", "kc_idp_hint"},

		// Without id_token_hint, which is sent by default, people are asked to confirm:
		// https://www.keycloak.org/securing-apps/oidc-layers
	}
}

var presetKeycloak = preset{
	name: "keycloak", function: "Keycloak",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Keycloak(arg["host"], arg["realm"], clientID, clientSecret)
	},
	args: []argument{
		{name: "host", env: "_HOST", about: "the server's host", example: "login.kvarnbygd.example"},
		{name: "realm", env: "_REALM", about: "the realm's name", example: "staff"},
	},
	register: "An OpenID Connect client with *Client authentication* and the *Standard flow*, and `BaseURL/logout/return` among the *Valid post logout redirect URIs*. For roles, switch on *Add to ID token* in the mapper *realm roles* of the client scope *roles*. The back-channel logout URL is `BaseURL/logout/keycloak/backchannel`.",
	user:     "An id in the realm, name, username, locale, email address with the realm's verified flag. The groups are the realm's roles.",
	quirks: []string{
		"By default, roles are only in the access token, and users have no groups until a mapper adds them to the ID token or userinfo.",
		"Every user has the realm roles `default-roles-REALM`, `offline_access` and `uma_authorization`: do not use them to grant access.",
		"Groups in place of roles need a mapper *Group Membership*, and `ClaimPaths[\"groups\"]` set to its claim. *Full group path* is on by default: the group is `/staff` then, and one below it `/staff/bakers`. Without it, two groups of one name at different places are the same.",
		"*Front channel logout*, which is on in new clients, keeps Keycloak from calling the back-channel logout URL: switch it off.",
		"*Sign out all active sessions*, and disabling or deleting an account, end no session here, because Keycloak sends no notification. See [logout.md](logout.md#what-keycloak-tells-and-what-not).",
		"*Exclude Issuer From Authentication Response* stops every sign-in, and *Always use lightweight access token* some: see [interop.md](interop.md#keycloak), and what else was seen there with version 26.7.",
		"Servers before version 17 have `/auth` in their addresses: set `Issuer` explicitly.",
		"`/login/keycloak` forwards `prompt`, `login_hint`, `ui_locales`, `max_age` and `kc_idp_hint`.",
	},

	// https://www.keycloak.org/docs/latest/server_admin/#_offline-access
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Users need the realm role `offline_access` and the client the optional scope, which they have by default.",
		about:   "It is valid while it is used once in 30 days, also after people have signed out at Keycloak (without `Offline`, the refresh token ends with their session there). Each use returns a new one if *Revoke Refresh Token* is on.",
	},

	// Tried: see docs/interop.md.
	api: apiTokens{how: "add a client scope with a mapper of the type *Audience*, whose custom audience is `Audience`, and which is included in the token scope. The client asks for it by its name. Without the mapper, `aud` is `account`. A service account is a program. The clients keep the default scope `basic`, which has `sub`. Lightweight access tokens have neither `sub` nor `aud`, and are refused."},
}
