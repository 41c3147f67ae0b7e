package providers

import (
	"encoding/json"

	"github.com/ginauth/ginauth"
)

// Zoom is "Sign in with Zoom", as plain OAuth 2.0, for a user-managed app.
//
// User.Subject is the user's id. The address is verified if Zoom says so.
func Zoom(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "zoom", Preset: "zoom", DisplayName: "Zoom", Color: "#0b5cff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.zoom.us/docs/integrations/oauth/ has the header and PKCE.
		AuthorizeURL: "https://zoom.us/oauth/authorize",
		TokenURL:     "https://zoom.us/oauth/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://zoom.us",

		// What is asked of people is chosen in the console, not by scopes.
		Scopes: nil,

		// https://developers.zoom.us/docs/api/users/#tag/users/get/users/{userId}
		UserinfoURL: "https://api.zoom.us/v2/users/me",
		ClaimPaths: map[string]string{
			"sub": "id", "name": "display_name", "given_name": "first_name", "family_name": "last_name", "picture": "pic_url", "locale": "language",
		},

		// A number, 1 for verified. Each phone number has a verified of its own.
		EmailVerified: func(claims map[string]any) bool { return claims["verified"] == json.Number("1") },
	}
}

var presetZoom = preset{
	name: "zoom", function: "Zoom", make: plain(Zoom),
	console:  "https://marketplace.zoom.us/develop/create",
	register: "A *General app*, *User-managed*, with the scope `user:read:user` (older apps: `user:read`). The redirect URI stands in the *OAuth allow list* too.",
	user:     "Stable id, name, locale, picture, email address with Zoom's verified flag.",
	quirks:   []string{"`Scopes` are empty: Zoom asks for those that the app has in the console."},

	// https://developers.zoom.us/docs/integrations/oauth/
	refresh: refreshTokens{always: true, about: "Each use returns a new one."},
}
