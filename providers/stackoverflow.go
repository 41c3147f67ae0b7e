package providers

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
)

// StackOverflow configures "Log in with Stack Overflow", as plain OAuth 2.0, for users with a
// profile there.
//
// User.Subject is the number of the account in the whole Stack Exchange network
// (account_id), not that of the profile on one of its sites. There is no e-mail
// address.
func StackOverflow(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "stackoverflow", Preset: "stackoverflow", DisplayName: "Stack Overflow", Color: "#f58025",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://stackapps.com/help/api-authentication has the secret in the form,
		// and PKCE since June 2025.
		AuthorizeURL: "https://stackoverflow.com/oauth",
		TokenURL:     "https://stackoverflow.com/oauth/access_token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://stackexchange.com",
		Quirks:       ginauth.Quirks{NormalizeToken: stackOverflowToken},

		// A token without scopes identifies the user and permits nothing else.
		Scopes: nil,

		// The token belongs in the header since June 2026, when the API stopped accepting it,
		// and a key, as parameters:
		// https://meta.stackexchange.com/questions/417382
		Profile: stackOverflowProfile,
		ClaimPaths: map[string]string{
			"sub": "items.0.account_id", "picture": "items.0.profile_image",
		},
	}
}

// stackOverflowToken reads a response in the form encoding, in which expires_in is called
// expires: https://api.stackexchange.com/docs/authentication
func stackOverflowToken(_ http.Header, body []byte) ([]byte, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("access_token") == "" || form.Has("error") {
		return nil, errors.New("the response is not a form with an access_token, or has an error")
	}
	answer := map[string]string{"token_type": "Bearer", "access_token": form.Get("access_token")}
	if expires := form.Get("expires"); expires != "" {
		answer["expires_in"] = expires
	}
	return json.Marshal(answer)
}

// stackOverflowProfile reads the profile, in which names are HTML-escaped:
// https://api.stackexchange.com/docs/filters
func stackOverflowProfile(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
	claims, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "profile", URL: "https://api.stackexchange.com/2.3/me?site=stackoverflow"})
	if err != nil {
		return nil, err
	}
	put(claims, "name", html.UnescapeString(textAt(claims, "items.0.display_name")))
	return claims, nil
}

var presetStackOverflow = preset{
	name: "stackoverflow", function: "StackOverflow", make: plain(StackOverflow), domains: []string{"stackexchange.com", "stackapps.com"},
	console:  "https://stackapps.com/apps/oauth",
	register: "An application with the host of your application as its *OAuth Domain*. No API key is needed.",
	user:     "Number of the account in the Stack Exchange network, display name, picture. No e-mail address.",

	// https://api.stackexchange.com/docs/authentication
	refresh: refreshTokens{
		never: "Stack Exchange has no refresh tokens; with its scope no_expiry, access tokens do not expire",
		fix:   "remove Offline, and add \"no_expiry\" to Scopes",
	},
}
