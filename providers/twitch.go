package providers

import "github.com/ginauth/ginauth"

// Twitch configures "Log in with Twitch", by OpenID Connect.
//
// User.Subject is the numeric account id. Name and Username are the display name, which can be
// changed.
func Twitch(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "twitch", Preset: "twitch", DisplayName: "Twitch", Color: "#9146ff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://dev.twitch.tv/docs/authentication/getting-tokens-oidc/
		Issuer: "https://id.twitch.tv/oauth2",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		AuthMethod: "client_secret_post",

		// There is no scope profile or email. The claims of the ID token are requested
		// individually; the address also needs user:read:email.
		Scopes: []string{"openid", "user:read:email"},
		AuthParams: map[string]string{
			"claims": `{"id_token":{"email":null,"email_verified":null,"picture":null,"preferred_username":null}}`,
		},
		ClaimPaths: map[string]string{"name": "preferred_username"},

		// Userinfo has no more than the ID token.
		Userinfo: "never",

		// force_verify=true asks users to confirm again, so that they can choose another
		// account.
		// https://dev.twitch.tv/docs/authentication/getting-tokens-oauth/#authorization-code-grant-flow
		LoginParams: []string{"force_verify"},
	}
}

var presetTwitch = preset{
	name: "twitch", function: "Twitch", make: plain(Twitch),
	console:  "https://dev.twitch.tv/console/apps",
	register: "An application of the client type *Confidential*.",
	user:     "Stable number, display name, picture, e-mail address (verified if Twitch says so).",
	quirks: []string{
		"The Helix API expects a `Client-Id` header in addition to the access token.",
		"`/login/twitch` forwards `force_verify`.",
	},

	// https://dev.twitch.tv/docs/authentication/refresh-tokens/
	refresh: refreshTokens{always: true, about: "A refresh may return a new one. Only access tokens can be revoked."},
}
