package providers

import "github.com/ginauth/ginauth"

// Spotify configures "Log in with Spotify", as plain OAuth 2.0.
//
// User.Subject is the Spotify user id, which cannot be changed; Spotify does not say whether
// the id of a deleted account is reassigned. The address is unverified according to Spotify,
// so EmailVerified is always false.
func Spotify(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "spotify", Preset: "spotify", DisplayName: "Spotify", Color: "#1db954",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developer.spotify.com/documentation/web-api/tutorials/code-flow
		// has the secret in the header; PKCE is on another page.
		AuthorizeURL: "https://accounts.spotify.com/authorize",
		TokenURL:     "https://accounts.spotify.com/api/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://accounts.spotify.com",

		// Name and picture need no scope.
		// https://developer.spotify.com/documentation/web-api/concepts/scopes
		Scopes: []string{"user-read-email"},

		// show_dialog=true asks users to confirm again, so that they can choose another account.
		LoginParams: []string{"show_dialog"},

		// https://developer.spotify.com/documentation/web-api/reference/get-current-users-profile
		UserinfoURL:   "https://api.spotify.com/v1/me",
		ClaimPaths:    map[string]string{"sub": "id", "name": "display_name", "picture": "images.0.url"},
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetSpotify = preset{
	name: "spotify", function: "Spotify", make: plain(Spotify),
	console:  "https://developer.spotify.com/dashboard",
	register: "An app with the *Web API*. In development mode only users on its list can sign in. The redirect URI is https, or http on `127.0.0.1`, not on `localhost`.",
	user:     "The Spotify user id, display name, picture, and the e-mail address, which is never verified.",
	quirks:   []string{"`/login/spotify` forwards `show_dialog`."},

	// https://developer.spotify.com/documentation/web-api/tutorials/refreshing-tokens
	refresh: refreshTokens{always: true, about: "A refresh may return a new one."},
}
