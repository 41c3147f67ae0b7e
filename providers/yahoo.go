package providers

import "github.com/ginauth/ginauth"

// Yahoo configures "Sign in with Yahoo", by OpenID Connect.
//
// User.Subject is the account's GUID. EmailVerified is true if Yahoo reports the address as
// verified.
func Yahoo(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "yahoo", Preset: "yahoo", DisplayName: "Yahoo", Color: "#6001d2",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://api.login.yahoo.com/.well-known/openid-configuration
		Issuer: "https://api.login.yahoo.com",

		// The first of the two in the metadata. The guide is
		// https://developer.yahoo.com/oauth2/guide/openid_connect/getting_started.html
		AuthMethod: "client_secret_basic",

		// The ID token has no picture, so userinfo is called.
		Scopes:      []string{"openid", "profile", "email"},
		LoginParams: []string{"prompt", "max_age"},
	}
}

var presetYahoo = preset{
	name: "yahoo", function: "Yahoo", make: plain(Yahoo),
	console:  "https://developer.yahoo.com/apps/",
	register: "A *Confidential Client* with *OpenID Connect Permissions*: *Email* and *Profile*. Redirect URIs must be https.",
	user:     "Stable GUID, name, locale, picture, e-mail address (verified if Yahoo says so).",
	quirks: []string{
		"Yahoo rejects http redirect URIs, even on localhost.",
		"`/login/yahoo` forwards `prompt` and `max_age`.",
	},

	// https://developer.yahoo.com/oauth2/guide/openid_connect/getting_started.html
	refresh: refreshTokens{always: true},
}
