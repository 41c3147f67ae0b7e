package providers

import "github.com/ginauth/ginauth"

// OryHydra is an Ory Hydra at the root of host, or a project of Ory Network:
// "hopeful-mill-x1y2z3.projects.oryapis.com".
//
// User.Subject is what the login application that belongs to Hydra accepts as
// subject: take care that it is an id. All other claims are its consent
// application's too; the User has what it grants.
func OryHydra(host, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "ory-hydra", Preset: "ory-hydra", DisplayName: "Ory", Color: "#5528ff",
		ClientID: clientID, ClientSecret: clientSecret,

		// Version 1 put a slash at its end.
		// https://www.ory.com/docs/oauth2-oidc/wellknown-endpoint-discovery
		Issuer: serverAt(host),
		Err:    hostError(host),

		// What a client is registered with unless it says otherwise:
		// https://www.ory.com/docs/hydra/reference/api#tag/oAuth2/operation/createOAuth2Client
		AuthMethod: "client_secret_basic",

		Scopes:      []string{"openid", "profile", "email"},
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age"},

		// post_logout_redirect_uri is refused without id_token_hint, which is sent by
		// default:
		// https://www.ory.com/docs/oauth2-oidc/oidc-logout
	}
}

var presetOryHydra = preset{
	name: "ory-hydra", function: "OryHydra",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return OryHydra(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the server's public host", example: "login.kvarnbygd.example"}},
	register: "A client with the grant `authorization_code`, the response type `code`, the scopes `openid profile email`, and `BaseURL/logout/return` among its `post_logout_redirect_uris`.",
	user:     "What the login and consent applications grant.",
	quirks: []string{
		"The subject is what the login application says: it should be an id, never a username or an email address.",
		"Hydra 1 has a slash at the end of its issuer: set `Issuer` explicitly.",
		"`/login/ory-hydra` forwards `prompt`, `login_hint`, `ui_locales` and `max_age`.",
	},

	// https://www.ory.com/docs/hydra/debug
	// https://www.ory.com/docs/hydra/guides/graceful-token-refresh
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Give the client the grant `refresh_token` and the scope `offline_access`, which the consent application has to grant.",
		about:   "Each use returns a new one and invalidates the old one, unless a grace period is set. Revocation: in the metadata.",
	},

	// https://github.com/ory/hydra/blob/3838cdc580ad0a684b4120fb9dc057aa328a11b3/docs/docs/advanced.md
	// https://www.ory.com/docs/hydra/guides/oauth2-token-introspection
	api: apiTokens{how: "list `Audience` in the metadata of the client (`audience`), which asks for it by the parameter `audience`. Set `strategies.access_token` to `jwt`: opaque tokens are introspected in the admin API, which is not public."},
}
