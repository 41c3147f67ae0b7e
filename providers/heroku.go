package providers

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
)

// Heroku configures "Log in with Heroku", as plain OAuth 2.0.
//
// User.Subject is the account's id. EmailVerified is always false: the flag verified in
// Heroku's profile concerns a credit card.
func Heroku(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "heroku", Preset: "heroku", DisplayName: "Heroku", Color: "#430098",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://devcenter.heroku.com/articles/oauth has the secret in the form. It does not
		// mention PKCE.
		AuthorizeURL: "https://id.heroku.com/oauth/authorize",
		TokenURL:     "https://id.heroku.com/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://id.heroku.com",

		// The narrowest scope: https://devcenter.heroku.com/articles/oauth#scopes
		Scopes: []string{"identity"},

		Profile:    herokuProfile,
		ClaimPaths: map[string]string{"sub": "id"},
		// No claim in the profile is documented to mean this, even if one is added later.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

// herokuProfile reads GET /account, whose version is selected by Accept:
// https://devcenter.heroku.com/articles/platform-api-reference#clients
func herokuProfile(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.heroku.com/account", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.heroku+json; version=3")
	return objectOf(client, req)
}

var presetHeroku = preset{
	name: "heroku", function: "Heroku", make: plain(Heroku),
	console:  "https://dashboard.heroku.com/account/applications",
	register: "An API client.",
	user:     "Stable id, name if there is one, and the e-mail address, which is never verified. No picture.",

	// https://devcenter.heroku.com/articles/oauth
	refresh: refreshTokens{always: true},
}
