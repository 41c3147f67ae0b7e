package providers

import "github.com/ginauth/ginauth"

// Figma configures "Log in with Figma", as plain OAuth 2.0.
//
// User.Subject is the id of the account, which Figma calls stable. User.Name is the handle: a
// display name, which need not be unique. Figma does not report whether the address is
// verified, so EmailVerified is always false.
func Figma(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "figma", Preset: "figma", DisplayName: "Figma", Color: "#f24e1e",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.figma.com/docs/rest-api/authentication/ has the secret
		// in the header, and PKCE. A code is valid for 30 seconds.
		AuthorizeURL: "https://www.figma.com/oauth",
		TokenURL:     "https://api.figma.com/v1/oauth/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://www.figma.com",

		// Some descriptions of the token response lack token_type.
		Quirks: ginauth.Quirks{NormalizeToken: addTokenType},

		// https://developers.figma.com/docs/rest-api/scopes/
		Scopes: []string{"current_user:read"},

		// https://developers.figma.com/docs/rest-api/users-types/
		UserinfoURL: "https://api.figma.com/v1/me",
		ClaimPaths:  map[string]string{"sub": "id", "name": "handle", "picture": "img_url"},
		// No claim in the profile is documented to mean this, even if one is added later.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetFigma = preset{
	name: "figma", function: "Figma", make: plain(Figma),
	console:  "https://www.figma.com/developers/apps",
	register: "An app with the scope `current_user:read`, published publicly or for your organization.",
	user:     "Stable id, name, picture, and the e-mail address, which is never verified.",

	// https://github.com/figma/rest-api-spec has another URL for refreshes.
	refresh: refreshTokens{
		never: "Figma issues one at each sign-in, and refreshes it at a separate endpoint",
		fix:   "remove Offline, keep the refresh token in OnLogin and send it to https://api.figma.com/v1/oauth/refresh",
	},
}
