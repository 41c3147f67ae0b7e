package providers

import "github.com/ginauth/ginauth"

// WorkOS configures AuthKit of WorkOS as an OpenID provider (WorkOS Connect). domain is
// AuthKit's, "hollow-oak-12.authkit.app" or your own.
//
// User.Subject is the id of the user in the environment: "user_01J…".
func WorkOS(domain, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "workos", Preset: "workos", DisplayName: "WorkOS", Color: "#6363f1",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://workos.com/docs/reference/workos-connect/metadata/openid-configuration
		Issuer: "https://" + domain,

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		Err: host("domain", domain),

		// https://workos.com/docs/reference/workos-connect/token
		AuthMethod: "client_secret_post",

		// https://workos.com/docs/reference/workos-connect/authorize lists what each scope adds
		// to the ID token: names, address and whether it is verified.
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",
	}
}

var presetWorkOS = preset{
	name: "workos", function: "WorkOS",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return WorkOS(arg["domain"], clientID, clientSecret)
	},
	args:     []argument{{name: "domain", env: "_DOMAIN", about: "AuthKit's domain", example: "login.kvarnbygd.example"}},
	console:  "https://dashboard.workos.com/",
	register: "Under *Connect* an OAuth application, and the redirect URI. A first-party application does not ask for consent.",
	user:     "Id in the environment, name, e-mail address (verified if WorkOS says so). No picture.",

	// https://workos.com/docs/reference/workos-connect/authorize
	refresh: refreshTokens{scope: "offline_access"},

	// https://workos.com/docs/authkit/connect/token-claims
	api: apiTokens{how: "for applications of *Connect*: `Audience` is the resource indicator that the client sends. The audience of a program's token is the client ID of the environment."},
}
