package providers

import "github.com/ginauth/ginauth"

// Kick configures "Log in with Kick", as plain OAuth 2.0.
//
// User.Subject is the numeric account id. User.Name is the user name, which can change. Kick
// does not report whether the address is verified, so EmailVerified is always false.
func Kick(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "kick", Preset: "kick", DisplayName: "Kick", Color: "#53fc18",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.kick.com/getting-started/generating-tokens-oauth2-flow
		// has the secret in the form, and requires PKCE with S256.
		AuthorizeURL: "https://id.kick.com/oauth/authorize",
		TokenURL:     "https://id.kick.com/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://kick.com",

		// https://docs.kick.com/getting-started/scopes
		Scopes: []string{"user:read"},

		// Without an id it returns the signed-in user: https://docs.kick.com/apis/users
		UserinfoURL: "https://api.kick.com/public/v1/users",
		ClaimPaths: map[string]string{
			"sub": "data.0.user_id", "name": "data.0.name", "preferred_username": "data.0.name",
			"email": "data.0.email", "picture": "data.0.profile_picture",
		},
	}
}

var presetKick = preset{
	name: "kick", function: "Kick", make: plain(Kick),
	console:  "https://kick.com/settings/developer",
	register: "An app with the scope *Read user information* (`user:read`).",
	user:     "Stable number, username, picture, and the e-mail address, which is never verified.",

	// https://docs.kick.com/getting-started/generating-tokens-oauth2-flow
	refresh: refreshTokens{
		always: true,
		about:  "A refresh returns a new one. Revocation: `https://id.kick.com/oauth/revoke`, with its parameters in the query.",
	},
}
