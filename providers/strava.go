package providers

import "github.com/ginauth/ginauth"

// Strava configures "Connect with Strava", as plain OAuth 2.0.
//
// User.Subject is the athlete's number. Strava provides no e-mail address.
func Strava(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "strava", Preset: "strava", DisplayName: "Strava", Color: "#fc4c02",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.strava.com/docs/authentication/
		AuthorizeURL: "https://www.strava.com/oauth/authorize",
		TokenURL:     "https://www.strava.com/api/v3/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://www.strava.com",

		// read is the public profile. Scopes are separated by commas.
		Scopes: []string{"read"},
		Quirks: ginauth.Quirks{ScopeSeparator: ","},

		// approval_prompt is auto, or force to ask users again.
		LoginParams: []string{"approval_prompt"},

		// https://developers.strava.com/docs/reference/#api-Athletes-getLoggedInAthlete For
		// users without a picture it is a relative path, which is dropped.
		UserinfoURL: "https://www.strava.com/api/v3/athlete",
		ClaimPaths: map[string]string{
			"sub": "id", "given_name": "firstname", "family_name": "lastname", "preferred_username": "username", "picture": "profile",
		},
	}
}

var presetStrava = preset{
	name: "strava", function: "Strava", make: plain(Strava),
	console:  "https://www.strava.com/settings/api",
	register: "*Authorization Callback Domain* is the host name only; localhost always works. Only one athlete can use a new application until Strava has reviewed it.",
	user:     "Stable number, name, picture. There is no e-mail address.",
	quirks:   []string{"`/login/strava` forwards `approval_prompt`; `approval_prompt=force` asks the user again."},

	// https://developers.strava.com/docs/authentication/
	refresh: refreshTokens{always: true, about: "A refresh may return a new one, which invalidates the old one."},
}
