package providers

import "github.com/ginauth/ginauth"

// Box configures "Sign in with Box", as plain OAuth 2.0.
//
// User.Subject is the user's number. The e-mail address is the login; Box does not report
// whether it is verified, so EmailVerified is always false.
func Box(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "box", Preset: "box", DisplayName: "Box", Color: "#0061d5",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developer.box.com/reference/get-authorize/
		// https://developer.box.com/reference/post-oauth2-token/
		AuthorizeURL: "https://account.box.com/api/oauth2/authorize",
		TokenURL:     "https://api.box.com/oauth2/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://account.box.com",

		// There is no scope for only the profile. Without scopes, those of the application in
		// the console apply.
		// https://developer.box.com/guides/api-calls/permissions-and-errors/scopes/
		Scopes: nil,

		// https://developer.box.com/reference/get-users-me/
		UserinfoURL: "https://api.box.com/2.0/users/me?fields=id,name,login,language,avatar_url",
		ClaimPaths:  map[string]string{"sub": "id", "email": "login", "locale": "language", "picture": "avatar_url"},

		// No claim in the profile is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetBox = preset{
	name: "box", function: "Box", make: plain(Box),
	console:  "https://app.box.com/developers/console",
	register: "A *Custom App* with *User Authentication (OAuth 2.0)*. Switch off the application scopes that it does not need.",
	user:     "Stable number, name, language, a picture URL that only users signed in at Box can open, and the login as e-mail address, which is never verified.",

	// https://developer.box.com/guides/authentication/tokens/refresh
	// https://developer.box.com/reference/post-oauth2-revoke/
	refresh: refreshTokens{
		always: true,
		about:  "It is valid for 60 days and for one refresh, which returns a new one. Revocation: `https://api.box.com/oauth2/revoke`.",
	},
}
