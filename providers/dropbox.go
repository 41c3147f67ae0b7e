package providers

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
)

// Dropbox configures "Sign in with Dropbox", as plain OAuth 2.0.
//
// User.Subject is the account_id, which stays when the address changes. EmailVerified is true
// if Dropbox reports the address as verified.
func Dropbox(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "dropbox", Preset: "dropbox", DisplayName: "Dropbox", Color: "#0061fe",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://www.dropbox.com/developers/documentation/http/documentation#authorization
		// has the two endpoints, PKCE, and the secret among the parameters. Dropbox also
		// supports OpenID Connect; the profile has more data, such as the picture.
		AuthorizeURL: "https://www.dropbox.com/oauth2/authorize",
		TokenURL:     "https://api.dropboxapi.com/oauth2/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://www.dropbox.com",

		Scopes:      []string{"account_info.read"},
		LoginParams: []string{"force_reauthentication", "locale"},

		// https://www.dropbox.com/developers/documentation/http/documentation#users-get_current_account
		// is a POST without a body. email and email_verified have these names.
		Profile: func(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
			return postForObject(ctx, client, "https://api.dropboxapi.com/2/users/get_current_account", "", "")
		},
		ClaimPaths: map[string]string{"sub": "account_id", "name": "name.display_name", "picture": "profile_photo_url"},
	}
}

var presetDropbox = preset{
	name: "dropbox", function: "Dropbox", make: plain(Dropbox), domains: []string{"dropboxapi.com"},
	console:  "https://www.dropbox.com/developers/apps",
	register: "A *Scoped access* app with the permission `account_info.read`. The app key is the client id.",
	user:     "Stable account id, name, locale, picture if there is one, e-mail address (verified if Dropbox says so).",
	quirks:   []string{"`/login/dropbox` forwards `force_reauthentication` and `locale`."},

	// https://www.dropbox.com/developers/documentation/http/documentation#authorization
	// https://www.dropbox.com/developers/documentation/http/documentation#auth-token-revoke
	refresh: refreshTokens{
		params: map[string]string{"token_access_type": "offline"},
		about:  "Revocation: `POST https://api.dropboxapi.com/2/auth/token/revoke` with the access token, which revokes the refresh token too.",
	},
}
