package providers

import "github.com/ginauth/ginauth"

// OneLogin configures "Sign in with OneLogin", for the users of one account, by its subdomain:
// "kvarnbygd" of kvarnbygd.onelogin.com.
//
// User.Subject is the user's number in the account. For groups add "groups" to Scopes.
func OneLogin(subdomain, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "onelogin", Preset: "onelogin", DisplayName: "OneLogin", Color: "#1c1f2a",
		ClientID: clientID, ClientSecret: clientSecret,

		// /oidc/2; the URL without a number is that of the withdrawn first version.
		// https://developers.onelogin.com/openid-connect/api/provider-config
		Issuer: "https://" + subdomain + ".onelogin.com/oidc/2",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		Err: label("subdomain", subdomain),

		// The app's *Token Endpoint* setting says which; this is Basic.
		// https://developers.onelogin.com/openid-connect/api/authorization-code
		AuthMethod: "client_secret_basic",

		// Without "params" or a setting, the ID token has little of the profile, and userinfo is
		// called.
		// https://developers.onelogin.com/openid-connect/scopes
		Scopes:      []string{"openid", "profile", "email"},
		LoginParams: []string{"prompt", "login_hint", "max_age"},

		// id_token_hint, which is sent by default, is "required when
		// post_logout_redirect_uri is used":
		// https://developers.onelogin.com/openid-connect/api/logout
	}
}

var presetOneLogin = preset{
	name: "onelogin", function: "OneLogin",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return OneLogin(arg["subdomain"], clientID, clientSecret)
	},
	args:     []argument{{name: "subdomain", env: "_SUBDOMAIN", about: "the account's subdomain of onelogin.com", example: "kvarnbygd"}},
	register: "An app *OpenId Connect (OIDC)*, *Web*, with the token endpoint method *Basic*, and `BaseURL/logout/return` among its *Post Logout Redirect URIs*.",
	user:     "A number in the account, name, user name, and an e-mail address; OneLogin does not send whether it is verified.",
	quirks: []string{
		"For groups add `groups` to `Scopes`, and define them in the app's parameters.",
		"`/login/onelogin` forwards `prompt`, `login_hint` and `max_age`.",
	},

	// https://developers.onelogin.com/openid-connect/api/authorization-code
	refresh: refreshTokens{always: true, about: "Revocation: in the metadata."},
}
