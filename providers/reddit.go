package providers

import "github.com/ginauth/ginauth"

// Reddit configures "Log in with Reddit", as plain OAuth 2.0.
//
// User.Subject is the account's id. Name and Username are the user name. Reddit provides no
// e-mail address.
func Reddit(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "reddit", Preset: "reddit", DisplayName: "Reddit", Color: "#ff4500",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://github.com/reddit-archive/reddit/wiki/OAuth2
		AuthorizeURL: "https://www.reddit.com/api/v1/authorize",
		TokenURL:     "https://www.reddit.com/api/v1/access_token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://www.reddit.com",

		Scopes: []string{"identity"},

		// Reddit limits the rate of a shared User-Agent, and requires
		// "platform:application:version".
		// https://github.com/reddit-archive/reddit/wiki/API
		Quirks: ginauth.Quirks{Header: map[string]string{"User-Agent": "web:" + clientID + ":1 (ginauth)"}},

		// Without raw_json, & is &amp; in the picture's URL.
		// https://www.reddit.com/dev/api/#response_body_encoding
		UserinfoURL: "https://oauth.reddit.com/api/v1/me?raw_json=1",
		ClaimPaths:  map[string]string{"sub": "id", "preferred_username": "name", "picture": "icon_img"},

		// has_verified_email refers to an address that is not in the profile.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetReddit = preset{
	name: "reddit", function: "Reddit", make: plain(Reddit),
	console:  "https://www.reddit.com/prefs/apps",
	register: "An app of the type *web app*. The client ID is below its name.",
	user:     "Stable id, username, picture. There is no e-mail address.",
	quirks: []string{
		"The header `User-Agent` names the application by its client id, as Reddit requires; `Quirks.Header` changes it.",
	},

	// https://github.com/reddit-archive/reddit/wiki/OAuth2
	refresh: refreshTokens{
		params: map[string]string{"duration": "permanent"},
		about:  "It does not rotate. Revocation: `https://www.reddit.com/api/v1/revoke_token`.",
	},
}
