package providers

import "github.com/ginauth/ginauth"

// Patreon configures "Log in with Patreon", as plain OAuth 2.0, for patrons and creators.
//
// User.Subject is the numeric account id. EmailVerified is true if Patreon reports that the
// user confirmed the address.
func Patreon(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "patreon", Preset: "patreon", DisplayName: "Patreon", Color: "#ff424d",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.patreon.com/#oauth
		AuthorizeURL: "https://www.patreon.com/oauth2/authorize",
		TokenURL:     "https://www.patreon.com/api/oauth2/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://www.patreon.com",

		// https://docs.patreon.com/#apiv2-oauth
		Scopes: []string{"identity", "identity[email]"},

		// https://docs.patreon.com/#get-api-oauth2-v2-identity
		// The older current_user, which other packages use, belongs to version 1. The response
		// has only the requested attributes.
		UserinfoURL: "https://www.patreon.com/api/oauth2/v2/identity?fields%5Buser%5D=email,full_name,image_url,is_email_verified,vanity",
		ClaimPaths: map[string]string{
			"sub": "data.id", "name": "data.attributes.full_name", "preferred_username": "data.attributes.vanity",
			"picture": "data.attributes.image_url", "email": "data.attributes.email", "email_verified": "data.attributes.is_email_verified",
		},
	}
}

var presetPatreon = preset{
	name: "patreon", function: "Patreon", make: plain(Patreon),
	console:  "https://www.patreon.com/portal/registration/register-clients",
	register: "A client of API version 2.",
	user:     "Stable number, name, the page name of creators, picture, e-mail address (confirmed if Patreon says so).",

	// https://docs.patreon.com/#oauth
	refresh: refreshTokens{always: true, about: "It is valid for one refresh, which returns a new one."},
}
