package providers

import "github.com/ginauth/ginauth"

// Asgardeo configures an organization at Asgardeo, of WSO2. organization is its name, the part
// after /t/ in its URLs.
//
// User.Subject is the id of the user in the organization, unless the application is configured
// with another subject attribute: keep the default, since an address or a user name can be
// reassigned.
func Asgardeo(organization, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "asgardeo", Preset: "asgardeo", DisplayName: "Asgardeo", Color: "#ff7300",
		ClientID: clientID, ClientSecret: clientSecret,

		// The issuer is the address of the token endpoint:
		// https://wso2.com/asgardeo/docs/guides/authentication/oidc/discover-oidc-configs
		Issuer: "https://api.asgardeo.io/t/" + organization + "/oauth2/token",
		Err:    segment("organization", organization),

		// https://wso2.com/asgardeo/docs/guides/authentication/oidc/implement-auth-code/
		AuthMethod: "client_secret_basic",

		// The scope groups would add the claim groups:
		// https://wso2.com/asgardeo/docs/guides/users/attributes/manage-scopes
		Scopes: []string{"openid", "profile", "email"},

		LoginParams: []string{"prompt", "login_hint", "max_age"},
	}
}

var presetAsgardeo = preset{
	name: "asgardeo", function: "Asgardeo",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Asgardeo(arg["organization"], clientID, clientSecret)
	},
	args:     []argument{{name: "organization", env: "_TENANT", about: "the organization's name: the part after `/t/` in its URLs", example: "kvarnbygd"}},
	console:  "https://console.asgardeo.io/",
	register: "A *Traditional Web Application* with OpenID Connect. The redirect URI and `BaseURL/logout/return` are *Authorized redirect URLs*. Under *User Attributes* choose the attributes: e-mail address, names, picture.",
	user:     "ID in the organization, and the chosen ones of name, picture and e-mail address (verified if Asgardeo says so).",
	quirks: []string{
		"For groups add the scope `groups`, and choose the attribute.",
		"`/login/asgardeo` forwards `prompt`, `login_hint` and `max_age`.",
	},

	// https://wso2.com/asgardeo/docs/references/tokens/refresh-tokens/
	refresh: refreshTokens{
		console: "Give the application the grant *Refresh Token*.",
		about:   "It does not rotate, unless *Renew refresh token* is on.",
	},

	// https://wso2.com/asgardeo/docs/references/tokens/access-tokens/
	api: apiTokens{never: "in the examples of its documentation `aud` is the client ID, as in ID tokens"},
}
