package providers

import "github.com/ginauth/ginauth"

// Coinbase configures "Sign in with Coinbase", as plain OAuth 2.0.
//
// User.Subject is the user's id. Coinbase does not report whether the address is verified, so
// EmailVerified is always false.
func Coinbase(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "coinbase", Preset: "coinbase", DisplayName: "Coinbase", Color: "#0052ff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.cdp.coinbase.com/coinbase-app/oauth2-integration/integrations
		// has these, with a space between scopes; the older ones were at
		// www.coinbase.com/oauth. PKCE (S256) is in the reference beside it.
		AuthorizeURL: "https://login.coinbase.com/oauth2/auth",
		TokenURL:     "https://login.coinbase.com/oauth2/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://login.coinbase.com",

		Scopes: []string{"wallet:user:read", "wallet:user:email"},

		// All members are under data.
		UserinfoURL: "https://api.coinbase.com/v2/user",
		ClaimPaths: map[string]string{
			"sub": "data.id", "name": "data.name", "preferred_username": "data.username", "picture": "data.avatar_url", "email": "data.email",
		},

		// No claim in the profile is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetCoinbase = preset{
	name: "coinbase", function: "Coinbase", make: plain(Coinbase),
	console:  "https://portal.cdp.coinbase.com/",
	register: "An OAuth client, with both scopes. Coinbase creates new ones for approved partners only.",
	user:     "Stable id, name, username, picture, e-mail address, which is never verified.",

	// https://docs.cdp.coinbase.com/coinbase-app/oauth2-integration/integrations. The scope is
	// in its list of permissions: "Return a refresh token in response".
	refresh: refreshTokens{scope: "offline_access"},
}
