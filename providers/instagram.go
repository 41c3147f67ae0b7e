package providers

import (
	"encoding/json"
	"net/http"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// Instagram configures "Business Login for Instagram", as plain OAuth 2.0, only for
// professional accounts (businesses and creators): the Basic Display API for other accounts
// ended in December 2024.
//
// User.Subject is the number of the professional account. User.Username can be changed and
// then taken by another user. There is no e-mail address.
func Instagram(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "instagram", Preset: "instagram", DisplayName: "Instagram", Color: "#e4405f",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login
		AuthorizeURL: "https://www.instagram.com/oauth/authorize",
		TokenURL:     "https://api.instagram.com/oauth/access_token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://www.instagram.com",
		Quirks:       ginauth.Quirks{ScopeSeparator: ",", NormalizeToken: instagramToken},

		// Required for all requests. Scopes are separated by commas.
		Scopes: []string{"instagram_business_basic"},

		// true asks for the password.
		LoginParams: []string{"force_reauth"},

		// https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/get-started
		// The token response also has a user_id, which is specific to the application.
		UserinfoURL: "https://graph.instagram.com/me?fields=user_id,username,name,profile_picture_url",
		ClaimPaths:  map[string]string{"sub": "user_id", "preferred_username": "username", "picture": "profile_picture_url"},
	}
}

// instagramToken converts the response to the standard's form: it has no token_type and, except
// for older applications, is in a list under data.
func instagramToken(_ http.Header, body []byte) ([]byte, error) {
	answer, err := strictjson.Object(body)
	if err != nil {
		return nil, err
	}
	if _, failed := answer["error"]; failed {
		return body, nil
	}
	if inner, ok := strictjson.Lookup(answer, "data.0"); ok {
		if answer, ok = inner.(map[string]any); !ok {
			answer = map[string]any{}
		}
	}
	answer["token_type"] = "Bearer"
	return json.Marshal(answer)
}

var presetInstagram = preset{
	name: "instagram", function: "Instagram", make: plain(Instagram),
	console: "https://developers.facebook.com/apps/", domains: []string{"developers.facebook.com"},
	register: "A business app with the product *Instagram*, *API setup with Instagram login*. ID and secret are the *Instagram app ID* and its secret, not those of the Facebook app.",
	user:     "Number of the professional account, name, username, picture. There is no e-mail address.",
	quirks: []string{
		"Only professional accounts can sign in: the Basic Display API for other accounts has ended.",
		"A user name can be changed and then taken by another user: it is `Username`, and never the subject.",
		"`/login/instagram?force_reauth=true` asks for the password.",
	},

	// https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login
	refresh: refreshTokens{
		never: "Instagram has no refresh tokens, but exchanges and renews access tokens",
		fix:   "remove Offline; for a long-lived access token, make these requests (ig_exchange_token, ig_refresh_token) yourself",
	},
}
