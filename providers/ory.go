package providers

import "github.com/ginauth/ginauth"

// OryHydra configures an Ory Hydra at the root of host, or a project of Ory Network:
// "hopeful-mill-x1y2z3.projects.oryapis.com".
//
// User.Subject is the subject that Hydra's login application accepts: make sure that it is a
// stable id. All other claims are those that its consent application grants.
func OryHydra(host, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "ory-hydra", Preset: "ory-hydra", DisplayName: "Ory", Color: "#5528ff",
		ClientID: clientID, ClientSecret: clientSecret,

		// Version 1 has a slash at the end.
		// https://www.ory.com/docs/oauth2-oidc/wellknown-endpoint-discovery
		Issuer: serverAt(host),
		Err:    hostError(host),

		// The default of a client:
		// https://www.ory.com/docs/hydra/reference/api#tag/oAuth2/operation/createOAuth2Client
		AuthMethod: "client_secret_basic",

		Scopes:      []string{"openid", "profile", "email"},
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age"},

		// post_logout_redirect_uri is rejected without id_token_hint, which is sent by default:
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
	user:     "The claims that the login and consent applications grant.",
	quirks: []string{
		"The login application chooses the subject: use an ID, never a user name or an e-mail address.",
		"Hydra 1 has a slash at the end of its issuer: set `Issuer` explicitly.",
		"`/login/ory-hydra` forwards `prompt`, `login_hint`, `ui_locales` and `max_age`.",
	},

	// https://www.ory.com/docs/hydra/debug
	// https://www.ory.com/docs/hydra/guides/graceful-token-refresh
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Give the client the grant `refresh_token` and the scope `offline_access`, which the consent application must grant.",
		about:   "Each refresh returns a new one and invalidates the old one, unless a grace period is set. Revocation: in the metadata.",
	},

	// https://github.com/ory/hydra/blob/3838cdc580ad0a684b4120fb9dc057aa328a11b3/docs/docs/advanced.md
	// https://www.ory.com/docs/hydra/guides/oauth2-token-introspection
	api: apiTokens{how: "list `Audience` in the metadata of the client (`audience`); the client requests it with the parameter `audience`. Set `strategies.access_token` to `jwt`: opaque tokens are introspected in the admin API, which is not public."},
}
