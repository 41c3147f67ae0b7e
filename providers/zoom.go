package providers

import (
	"encoding/json"

	"github.com/ginauth/ginauth"
)

// Zoom configures "Sign in with Zoom", as plain OAuth 2.0, for a user-managed app.
//
// User.Subject is the user's id. EmailVerified is true if Zoom reports the address as
// verified.
func Zoom(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "zoom", Preset: "zoom", DisplayName: "Zoom", Color: "#0b5cff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.zoom.us/docs/integrations/oauth/ has the header and PKCE.
		AuthorizeURL: "https://zoom.us/oauth/authorize",
		TokenURL:     "https://zoom.us/oauth/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://zoom.us",

		// The console selects what users consent to; there are no scopes.
		Scopes: nil,

		// https://developers.zoom.us/docs/api/users/#tag/users/get/users/{userId}
		UserinfoURL: "https://api.zoom.us/v2/users/me",
		ClaimPaths: map[string]string{
			"sub": "id", "name": "display_name", "given_name": "first_name", "family_name": "last_name", "picture": "pic_url", "locale": "language",
		},

		// A number, 1 for verified. Each phone number has a separate verified flag.
		EmailVerified: func(claims map[string]any) bool { return claims["verified"] == json.Number("1") },
	}
}

var presetZoom = preset{
	name: "zoom", function: "Zoom", make: plain(Zoom),
	console:  "https://marketplace.zoom.us/develop/create",
	register: "A *General app*, *User-managed*, with the scope `user:read:user` (older apps: `user:read`). Add the redirect URI to the *OAuth allow list* too.",
	user:     "Stable id, name, locale, picture, e-mail address (verified if Zoom says so).",
	quirks:   []string{"`Scopes` is empty: Zoom uses the scopes of the app in the console."},

	// https://developers.zoom.us/docs/integrations/oauth/
	refresh: refreshTokens{always: true, about: "Each refresh returns a new one."},
}
