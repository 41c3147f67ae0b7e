package providers

import "github.com/ginauth/ginauth"

// Strava is "Connect with Strava", as plain OAuth 2.0.
//
// User.Subject is the athlete's number. Strava hands over no e-mail address.
func Strava(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "strava", Preset: "strava", DisplayName: "Strava", Color: "#fc4c02",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.strava.com/docs/authentication/
		AuthorizeURL: "https://www.strava.com/oauth/authorize",
		TokenURL:     "https://www.strava.com/api/v3/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://www.strava.com",

		// read is the public profile. Several are separated by commas.
		Scopes: []string{"read"},
		Quirks: ginauth.Quirks{ScopeSeparator: ","},

		// approval_prompt: auto, or force, to ask people anew.
		LoginParams: []string{"approval_prompt"},

		// https://developers.strava.com/docs/reference/#api-Athletes-getLoggedInAthlete
		// Who has no picture has the path of one, which is no address and is dropped.
		UserinfoURL: "https://www.strava.com/api/v3/athlete",
		ClaimPaths: map[string]string{
			"sub": "id", "given_name": "firstname", "family_name": "lastname", "preferred_username": "username", "picture": "profile",
		},
	}
}

var presetStrava = preset{
	name: "strava", function: "Strava", make: plain(Strava),
	console:  "https://www.strava.com/settings/api",
	register: "*Authorization Callback Domain* is only the host; localhost always works. A new application is limited to one athlete until Strava has reviewed it.",
	user:     "Stable number, name, picture. There is no email address.",
	quirks:   []string{"`/login/strava` forwards `approval_prompt`; `approval_prompt=force` asks users again."},

	// https://developers.strava.com/docs/authentication/
	refresh: refreshTokens{always: true, about: "A use may return a new one, which invalidates the old one."},
}
