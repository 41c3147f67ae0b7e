package providers

import "github.com/ginauth/ginauth"

// Atlassian configures "Sign in with Atlassian" (OAuth 2.0, 3LO), for accounts of Jira,
// Confluence, Trello and others in Atlassian's cloud.
//
// User.Subject is the account_id, the same in all of Atlassian's products. Atlassian does not
// report whether the address is verified, so EmailVerified is always false.
func Atlassian(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "atlassian", Preset: "atlassian", DisplayName: "Atlassian", Color: "#0052cc",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developer.atlassian.com/cloud/oauth/getting-started/implementing-oauth-3lo/
		// has the audience, and the secret in the body.
		AuthorizeURL: "https://auth.atlassian.com/authorize",
		TokenURL:     "https://auth.atlassian.com/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://auth.atlassian.com",
		AuthParams:   map[string]string{"audience": "api.atlassian.com"},

		// consent shows the consent screen again to users who agreed before. The guide sets it,
		// Auth.js does not.
		LoginParams: []string{"prompt"},

		// read:me permits only this request.
		Scopes:      []string{"read:me"},
		UserinfoURL: "https://api.atlassian.com/me",
		ClaimPaths:  map[string]string{"sub": "account_id"},

		// No claim in the profile is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetAtlassian = preset{
	name: "atlassian", function: "Atlassian", make: plain(Atlassian),
	console:  "https://developer.atlassian.com/console/myapps/",
	register: "An *OAuth 2.0 integration* with the *User identity API* among its permissions and the redirect URI under *Authorization*. Until it is shared (*Distribution*), only its owner can sign in.",
	user:     "Stable account id, name, locale, picture, e-mail address, which is never verified.",
	quirks:   []string{"`/login/atlassian` forwards `prompt`."},

	// https://developer.atlassian.com/cloud/oauth/getting-started/implementing-oauth-3lo/
	refresh: refreshTokens{scope: "offline_access", about: "Each refresh returns a new one and invalidates the old one."},
}
