package providers

import "github.com/ginauth/ginauth"

// Vercel configures "Sign in with Vercel", by OpenID Connect.
//
// User.Subject is the account's id. User.Username can be changed. EmailVerified comes from
// userinfo; the ID token does not have it.
func Vercel(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "vercel", Preset: "vercel", DisplayName: "Vercel", Color: "#000000",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://vercel.com/docs/sign-in-with-vercel/authorization-server-api
		// PKCE is required.
		Issuer: "https://vercel.com",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// The metadata names this and client_secret_basic.
		AuthMethod: "client_secret_post",

		// Scopes that the app does not have are ignored without an error.
		Scopes: []string{"openid", "profile", "email"},
	}
}

var presetVercel = preset{
	name: "vercel", function: "Vercel", make: plain(Vercel),
	console:  "https://vercel.com/dashboard",
	register: "An app in the settings of a team, with the permissions `openid`, `profile` and `email`, and the redirect URI among its *Authorization Callback URLs*.",
	user:     "Stable id, name, username, picture, e-mail address, verified if userinfo says so.",

	// https://vercel.com/docs/sign-in-with-vercel/tokens
	// https://vercel.com/docs/sign-in-with-vercel/scopes-and-permissions
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Give the app the permission `offline_access`.",
		about:   "It is valid for 30 days; each refresh returns a new one. Revocation: in the metadata.",
	},
}
