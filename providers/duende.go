package providers

import "github.com/ginauth/ginauth"

// Duende configures a Duende IdentityServer, or an IdentityServer4, at the root of host. For
// one below a path set Issuer.
//
// User.Subject is the subject id of its user store. User.Groups are the claims "role": create
// an identity resource for them, usually called "roles", and add it to Scopes.
func Duende(host, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "duende", Preset: "duende", DisplayName: "IdentityServer", Color: "#2c2e76",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.duendesoftware.com/identityserver/reference/endpoints/discovery
		Issuer: serverAt(host),
		Err:    hostError(host),

		// The metadata names this and client_secret_post.
		AuthMethod: "client_secret_basic",

		// If there is an access token, the ID token has only the subject; the profile is in
		// userinfo, unless the client has AlwaysIncludeUserClaimsInIdToken.
		// https://docs.duendesoftware.com/identityserver/reference/models/client
		Scopes:     []string{"openid", "profile", "email"},
		ClaimPaths: map[string]string{"groups": "role"},

		// acr_values with tenant: or idp: belongs in AuthParams.
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age"},

		// Without id_token_hint, which is sent by default, users are asked to confirm, and do
		// not return:
		// https://docs.duendesoftware.com/identityserver/reference/endpoints/end-session
	}
}

var presetDuende = preset{
	name: "duende", function: "Duende",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Duende(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the server's host", example: "login.kvarnbygd.example"}},
	register: "A client with the grant type `code`, a secret, the scopes `openid`, `profile` and `email`, and `BaseURL/logout/return` among its `PostLogoutRedirectUris`. `BackChannelLogoutUri` is `BaseURL/logout/duende/backchannel`.",
	user:     "The subject ID of its user store, and the available parts of the profile: name, user name, picture, e-mail address (verified if the server says so).",
	quirks: []string{
		"For roles add the identity resource that has the claim `role` to `Scopes`; it is usually called `roles`.",
		"`/login/duende` forwards `prompt`, `login_hint`, `ui_locales` and `max_age`.",
	},

	// https://docs.duendesoftware.com/identityserver/reference/models/client/#refresh-token
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Set `AllowOfflineAccess` for the client.",
		about:   "It is valid for 30 days and does not rotate, unless the client has other settings. Revocation: in the metadata.",
	},

	// https://docs.duendesoftware.com/identityserver/fundamentals/resources/api-resources/
	// https://docs.duendesoftware.com/identityserver/apis/aspnetcore/authorization
	api: apiTokens{how: "define an `ApiResource` with scopes: its name is `Audience`. The client requests one of its scopes. Reference tokens do not work: their introspection needs the secret of the `ApiResource`."},
}
