package providers

import "github.com/ginauth/ginauth"

// Asgardeo is an organization at Asgardeo, of WSO2. organization is its name, as
// behind /t/ in its addresses.
//
// User.Subject is the id of the user in the organization, unless the application
// is set to have another attribute for its subject: leave that as it is, since an
// address or a user name can go to somebody else.
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
	args:     []argument{{name: "organization", env: "_TENANT", about: "the organization's name: the part after `/t/` in its addresses", example: "kvarnbygd"}},
	console:  "https://console.asgardeo.io/",
	register: "A *Traditional Web Application* with OpenID Connect. The redirect URI and `BaseURL/logout/return` are *Authorized redirect URLs*. Under *User Attributes* choose what it may know: email address, names, picture.",
	user:     "Id in the organization, and what was chosen of name, picture and email address, with Asgardeo's verified flag.",
	quirks: []string{
		"For groups add the scope `groups`, and choose the attribute.",
		"`/login/asgardeo` forwards `prompt`, `login_hint` and `max_age`.",
	},

	// https://wso2.com/asgardeo/docs/references/tokens/refresh-tokens/
	refresh: refreshTokens{
		console: "Give the application the grant *Refresh Token*.",
		about:   "It stays the same, unless *Renew refresh token* is on.",
	},

	// https://wso2.com/asgardeo/docs/references/tokens/access-tokens/
	api: apiTokens{never: "in the examples of its documentation `aud` is the client's id, as that of its ID tokens"},
}
