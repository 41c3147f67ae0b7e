package providers

import "github.com/ginauth/ginauth"

// Logto configures a Logto tenant: "x1y2z3.logto.app", a custom domain, or a self-hosted
// server.
//
// User.Subject is the user's id in the tenant, and User.Groups are the names of the user's
// roles.
func Logto(host, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "logto", Preset: "logto", DisplayName: "Logto", Color: "#5d34f2",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.logto.io/integrate-logto/application-data-structure
		Issuer: serverAt(host) + "/oidc",
		Err:    hostError(host),

		// The method of a traditional web application.
		AuthMethod: "client_secret_basic",

		// The roles need their scope. Whether they are in the ID token is a setting;
		// userinfo has them either way.
		// https://docs.logto.io/developers/custom-id-token
		Scopes:     []string{"openid", "profile", "email", "roles"},
		ClaimPaths: map[string]string{"groups": "roles"},

		// first_screen and direct_sign_in choose the page:
		// https://docs.logto.io/end-user-flows/authentication-parameters
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "first_screen", "direct_sign_in"},
	}
}

var presetLogto = preset{
	name: "logto", function: "Logto",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Logto(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the tenant's domain", example: "login.kvarnbygd.example"}},
	console:  "https://cloud.logto.io/",
	register: "A *Traditional web* application, with `BaseURL/logout/return` among its *Post sign-out redirect URIs*.",
	user:     "An id in the tenant, name, user name, picture, roles, and an e-mail address (verified if the tenant says so).",
	quirks: []string{
		"Give a third-party application the scope `roles`, or remove it from `Scopes`.",
		"`/login/logto` forwards `prompt`, `login_hint`, `ui_locales`, `first_screen` and `direct_sign_in`.",
	},

	// The metadata has the scope. Without prompt=consent there is no refresh token, unless
	// alwaysIssueRefreshToken is set in Logto's management API.
	refresh: refreshTokens{scope: "offline_access", params: map[string]string{"prompt": "consent"}},

	// https://docs.logto.io/authorization/api-resources/protect-your-api
	// https://docs.logto.io/quick-starts/m2m
	api: apiTokens{how: "register an *API resource*, whose indicator is `Audience`. The client sends that as `resource`, in the authorization and in the token request; without it, the token is opaque."},
}
