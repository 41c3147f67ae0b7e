package providers

import "github.com/ginauth/ginauth"

// Roblox configures "Log in with Roblox", by OpenID Connect.
//
// User.Subject is the numeric account id. User.Name, the display name, and User.Username can
// change, and must not be used to identify users (Roblox's documentation). There is no e-mail
// address: its scope is only for Roblox's own applications.
func Roblox(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "roblox", Preset: "roblox", DisplayName: "Roblox", Color: "#335fff",
		ClientID: clientID, ClientSecret: clientSecret,

		// The slash is part of it:
		// https://create.roblox.com/docs/cloud/auth/oauth2-reference#discovery
		Issuer: "https://apis.roblox.com/oauth/",

		// The only one in the metadata.
		IDTokenAlg: "ES256",

		// The metadata names this and client_secret_basic; the examples have this.
		AuthMethod: "client_secret_post",

		Scopes: []string{"openid", "profile"},

		// https://create.roblox.com/docs/cloud/auth/oauth2-reference#get-v1authorize
		LoginParams: []string{"prompt"},
	}
}

var presetRoblox = preset{
	name: "roblox", function: "Roblox", make: plain(Roblox),
	console:  "https://create.roblox.com/dashboard/credentials",
	register: "An OAuth 2.0 app with the scopes `openid` and `profile`. Until Roblox has reviewed it, only a few users can sign in.",
	user:     "Stable number, display name, username, and the picture, once there is one. No e-mail address.",
	quirks:   []string{"`/login/roblox` forwards `prompt` (`login`, `consent`, `select_account`, `none`)."},

	// https://create.roblox.com/docs/cloud/auth/oauth2-reference
	refresh: refreshTokens{
		always: true,
		about:  "It is valid for 90 days and for one refresh, which returns a new one. Revocation: in the metadata.",
	},
}
