package providers

import "github.com/ginauth/ginauth"

// Twitch is "Log in with Twitch", by OpenID Connect.
//
// User.Subject is the account's number. Name and Username are the display name,
// which can be changed.
func Twitch(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "twitch", Preset: "twitch", DisplayName: "Twitch", Color: "#9146ff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://dev.twitch.tv/docs/authentication/getting-tokens-oidc/
		Issuer: "https://id.twitch.tv/oauth2",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		AuthMethod: "client_secret_post",

		// There is no scope profile or email. What the ID token has is asked for
		// claim by claim; the address needs user:read:email beside that.
		Scopes: []string{"openid", "user:read:email"},
		AuthParams: map[string]string{
			"claims": `{"id_token":{"email":null,"email_verified":null,"picture":null,"preferred_username":null}}`,
		},
		ClaimPaths: map[string]string{"name": "preferred_username"},

		// It has no more than the ID token.
		Userinfo: "never",

		// force_verify=true asks people to confirm anew, so that they can take
		// another account.
		// https://dev.twitch.tv/docs/authentication/getting-tokens-oauth/#authorization-code-grant-flow
		LoginParams: []string{"force_verify"},
	}
}

var presetTwitch = preset{
	name: "twitch", function: "Twitch", make: plain(Twitch),
	console:  "https://dev.twitch.tv/console/apps",
	register: "An application of the client type *Confidential*.",
	user:     "Stable number, display name, picture, email address with Twitch's verified flag.",
	quirks: []string{
		"The Helix API requires a `Client-Id` header in addition to the access token.",
		"`/login/twitch` forwards `force_verify`.",
	},

	// https://dev.twitch.tv/docs/authentication/refresh-tokens/
	refresh: refreshTokens{always: true, about: "A use may return a new one. Only access tokens can be revoked."},
}
