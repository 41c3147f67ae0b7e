package providers

import "github.com/ginauth/ginauth"

// Auth0 configures a tenant at Auth0. domain is the tenant's, "kvarnbygd.eu.auth0.com", or a
// custom one; the two have different issuers.
//
// User.Subject is the account id in the tenant, prefixed with its connection:
// "auth0|5f7c8ec7c33c6c004bbafe82", "google-oauth2|104729". A verified address may have been
// verified by the upstream provider only.
func Auth0(domain, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "auth0", Preset: "auth0", DisplayName: "Auth0", Color: "#eb5424",
		ClientID: clientID, ClientSecret: clientSecret,

		// The slash is part of it:
		// https://auth0.com/docs/secure/tokens/id-tokens/validate-id-tokens
		Issuer: "https://" + domain + "/",
		Err:    host("domain", domain),

		// The default of a regular web application:
		// https://auth0.com/docs/get-started/applications/application-settings
		AuthMethod: "client_secret_post",

		// The ID token has the claims of these scopes.
		// https://auth0.com/docs/get-started/apis/scopes/openid-connect-scopes
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",

		// organization is not included: it decides who may sign in.
		// https://auth0.com/docs/api/authentication/authorization-code-flow/authorize-application
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age", "screen_hint", "connection"},

		// Unlike /oidc/logout, this needs no confirmation and exists in every tenant. It does
		// not forward state; the query of returnTo is not compared with the list of allowed
		// URLs.
		// https://auth0.com/docs/authenticate/login/logout/redirect-users-after-logout
		Logout: ginauth.ProviderLogout{URL: "https://" + domain + "/v2/logout?client_id={client_id}&returnTo={post_logout_redirect_uri}%3Fstate%3D{state}"},
	}
}

var presetAuth0 = preset{
	name: "auth0", function: "Auth0",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Auth0(arg["domain"], clientID, clientSecret)
	},
	args:     []argument{{name: "domain", env: "_DOMAIN", about: "the tenant's domain, or its custom one", example: "login.kvarnbygd.example"}},
	console:  "https://manage.auth0.com/",
	register: "A *Regular Web Application*. The redirect URI is an *Allowed Callback URL*, `BaseURL/logout/return` an *Allowed Logout URL*.",
	user:     "An id in the tenant, name, picture, e-mail address (verified if the tenant says so).",
	quirks: []string{
		"Roles are in a custom claim, which an Action adds: set `ClaimPaths[\"groups\"]` to its name, `https://kvarnbygd.example/roles`.",
		"A tenant with open sign-up admits anyone.",
		"`/login/auth0` forwards `prompt`, `login_hint`, `ui_locales`, `max_age`, `screen_hint` and `connection`. To admit one organization, set `organization` in `AuthParams`, and check `org_id` in `VerifyClaims`.",
	},

	// https://auth0.com/docs/secure/tokens/refresh-tokens
	// https://auth0.com/docs/secure/tokens/refresh-tokens/configure-refresh-token-expiration
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "If `AuthParams` name an API as `audience`, switch on its *Allow Offline Access*.",
		about:   "Each refresh returns a new one if *Refresh Token Rotation* is on. Its lifetime is set in the application. Revocation: in the metadata.",
	},

	// https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
	// https://support.auth0.com/center/s/article/value-of-the-audience-attribute-in-access-token-requests-and-its-significance
	api: apiTokens{how: "register it under *APIs*: its *Identifier* is `Audience`. The client requests it with the parameter `audience`; without that, the token is opaque and only for the userinfo endpoint. Both token profiles work."},
}
