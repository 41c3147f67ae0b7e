package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// Keycloak configures a realm of a Keycloak server at the root of host: "login.example.com",
// or for development "http://localhost:8180". For a server below a path, as all were before
// version 17 ("/auth"), set Issuer.
//
// User.Subject is the account's id in the realm. User.Groups are the realm's roles. For groups
// instead, set ClaimPaths["groups"] to "groups"; for the roles of one client, to
// "resource_access.CLIENT.roles". The realm must be configured to include them in the ID token
// or in userinfo.
func Keycloak(host, realm, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "keycloak", Preset: "keycloak", DisplayName: "Keycloak", Color: "#4d4d4d",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://www.keycloak.org/securing-apps/oidc-layers
		Issuer: serverAt(host) + "/realms/" + realm,
		Err:    errors.Join(hostError(host), segment("realm", realm)),

		// The metadata names several; a confidential client accepts both methods with a secret.
		AuthMethod: "client_secret_basic",

		Scopes:     []string{"openid", "profile", "email"},
		ClaimPaths: map[string]string{"groups": "realm_access.roles"},

		// kc_idp_hint redirects to another identity provider directly:
		// https://www.keycloak.org/docs/latest/server_admin/#_client_suggested_idp
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age", "kc_idp_hint"},

		// Without id_token_hint, which is sent by default, users are asked to confirm:
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
	user:     "An ID in the realm, name, user name, locale, e-mail address (verified if the realm says so). The groups are the realm's roles.",
	quirks: []string{
		"Without a mapper, roles are only in the access token, and no user has a group.",
		"Every user has the realm roles `default-roles-REALM`, `offline_access` and `uma_authorization`: do not admit users by them.",
		"Groups instead of roles need a mapper *Group Membership*, and `ClaimPaths[\"groups\"]` set to its claim. *Full group path* is on by default: the group is then `/staff`, and a subgroup `/staff/bakers`. Without it, two groups with the same name become one.",
		"*Front channel logout*, which is on in new clients, keeps Keycloak from calling the back-channel logout URL: switch it off.",
		"*Sign out all active sessions*, and disabling or deleting an account, end no session of ginauth: Keycloak sends nothing. See [logout.md](logout.md#what-keycloak-tells-and-what-not).",
		"*Exclude Issuer From Authentication Response* makes every sign-in fail, and *Always use lightweight access token* some: see [interop.md](interop.md#keycloak), which has test results for version 26.7.",
		"Servers before version 17 have `/auth` in their addresses: set `Issuer` explicitly.",
		"`/login/keycloak` forwards `prompt`, `login_hint`, `ui_locales`, `max_age` and `kc_idp_hint`.",
	},

	// https://www.keycloak.org/docs/latest/server_admin/#_offline-access
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Users need the realm role `offline_access` and the client the optional scope; both are there by default.",
		about:   "It expires after 30 days without a refresh, and survives a sign-out at Keycloak (without `Offline`, the refresh token ends with the session at Keycloak). Each refresh returns a new one if *Revoke Refresh Token* is on.",
	},

	// Tried: see docs/interop.md.
	api: apiTokens{how: "add a client scope with a mapper of the type *Audience*, whose custom audience is `Audience`, and which is included in the token scope. The client requests the scope by its name. Without the mapper, `aud` is `account`. A service account is a program. Keep the client's default scope `basic`, which has `sub`. Lightweight access tokens have neither `sub` nor `aud`, and are rejected."},
}
