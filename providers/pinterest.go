package providers

import "github.com/ginauth/ginauth"

// Pinterest configures "Log in with Pinterest", as plain OAuth 2.0.
//
// User.Subject is the number of the account. User.Username can be changed and then taken by
// another user; some other packages use it as the subject. There is no e-mail address.
func Pinterest(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "pinterest", Preset: "pinterest", DisplayName: "Pinterest", Color: "#bd081c",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.pinterest.com/docs/getting-started/set-up-authentication-and-authorization/
		// has the secret in the header, and commas between scopes. It does not mention PKCE,
		// which Auth.js sends, too.
		AuthorizeURL: "https://www.pinterest.com/oauth/",
		TokenURL:     "https://api.pinterest.com/v5/oauth/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://www.pinterest.com",
		Quirks:       ginauth.Quirks{ScopeSeparator: ","},

		Scopes: []string{"user_accounts:read"},

		// https://developers.pinterest.com/docs/api/v5/user_account-get
		// Only businesses have a name in addition to the user name.
		Profile: profileAt("https://api.pinterest.com/v5/user_account", func(claims map[string]any) error {
			put(claims, "name", textAt(claims, "business_name", "username"))
			return nil
		}),
		ClaimPaths: map[string]string{"sub": "id", "preferred_username": "username", "picture": "profile_image"},
	}
}

var presetPinterest = preset{
	name: "pinterest", function: "Pinterest", make: plain(Pinterest),
	console:  "https://developers.pinterest.com/apps/",
	register: "An app. Pinterest reviews it before other users can sign in.",
	user:     "Stable number, username, name of a business, picture. No e-mail address.",
	quirks:   []string{"A user name can be changed and then taken by another user: it is `Username`, and never the subject."},

	// https://developers.pinterest.com/docs/getting-started/set-up-authentication-and-authorization/
	refresh: refreshTokens{
		always: true,
		about:  "It is valid for 60 days; each refresh returns a new one. Applications from before 25 September 2025 must send `continuous_refresh=true` to the token endpoint for that.",
	},
}
