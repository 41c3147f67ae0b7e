package providers

import (
	"maps"
	"slices"

	"github.com/ginauth/ginauth"
)

// zitadelRoles is the claim with an object of roles, each with the organizations that granted
// it: {"miller": {"2784": "kvarnbygd.example"}}.
const zitadelRoles = "urn:zitadel:iam:org:project:roles"

// Zitadel configures a ZITADEL instance: "kvarnbygd-x1y2z3.eu1.zitadel.cloud", or a
// self-hosted server.
//
// User.Subject is the user's id. User.Groups are the roles in the application's project,
// granted by any organization: if the project is granted to other organizations, do not
// include roles that only yours may assign.
func Zitadel(host, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "zitadel", Preset: "zitadel", DisplayName: "ZITADEL", Color: "#2073c4",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://zitadel.com/docs/apis/openidoauth/endpoints
		Issuer: serverAt(host),
		Err:    hostError(host),

		// The method of an application of the type Web with the method CODE or BASIC:
		// https://zitadel.com/docs/apis/openidoauth/authn-methods
		AuthMethod: "client_secret_basic",

		// The roles need no scope if the project asserts them.
		// https://zitadel.com/docs/apis/openidoauth/scopes
		Scopes: []string{"openid", "profile", "email"},

		// Without a setting of the application, the ID token has no profile and no
		// roles; userinfo has both.
		// https://zitadel.com/docs/apis/openidoauth/claims
		Profile:    profileAt(serverAt(host)+"/oidc/v1/userinfo", zitadelGroups),
		ClaimPaths: map[string]string{"groups": "roles"},

		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age"},
	}
}

// zitadelGroups adds the list of the roles.
func zitadelGroups(claims map[string]any) error {
	if roles, ok := claims[zitadelRoles].(map[string]any); ok && claims["roles"] == nil {
		claims["roles"] = slices.Sorted(maps.Keys(roles))
	}
	return nil
}

var presetZitadel = preset{
	name: "zitadel", function: "Zitadel",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Zitadel(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the instance's domain", example: "login.kvarnbygd.example"}},
	register: "An application of the type *Web* with the method *CODE* and the authentication *Basic*, and `BaseURL/logout/return` among its *Post Logout URIs*. For roles, switch on *Assert Roles on Authentication* in the project.",
	user:     "A stable id, name, user name, picture, locale, roles, and an e-mail address (verified if the instance says so).",
	quirks: []string{
		"A role counts regardless of the organization that granted it. `Claims` has the roles with their organizations, under `" + zitadelRoles + "`.",
		"`/login/zitadel` forwards `prompt`, `login_hint`, `ui_locales` and `max_age`.",
	},

	// https://help.zitadel.com/how-to-enable-and-receive-refresh-tokens
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Switch on *Refresh Token* for the application.",
		about:   "Each refresh returns a new one. Settings of the instance determine how long it is valid. Revocation: in the metadata.",
	},

	// https://github.com/zitadel/zitadel/blob/main/internal/api/oidc/introspect.go
	// https://github.com/zitadel/zitadel/blob/main/internal/api/oidc/token.go
	// https://zitadel.com/docs/guides/integrate/token-introspection/basic-auth
	api: apiTokens{how: "opaque ones, with `Introspect`: `Audience` is the id of the project that the application is in. The client requests the scope `urn:zitadel:iam:org:project:id:PROJECT_ID:aud`, which `HasScope` can name. JWTs have no scopes, so `HasScope` rejects them. Service users count as users, not as programs."},
}
