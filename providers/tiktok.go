package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// TikTok configures "Log in with TikTok" (Login Kit for Web), as plain OAuth 2.0.
//
// clientID is the client key. User.Subject is the open_id, which identifies the user within
// this application; other applications get another id. The claim data.user.union_id is the
// same for all applications of one developer. TikTok provides no e-mail address.
func TikTok(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "tiktok", Preset: "tiktok", DisplayName: "TikTok", Color: "#000000",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.tiktok.com/doc/login-kit-web
		// https://developers.tiktok.com/doc/oauth-user-access-token-management
		// client_id is called client_key there, in both requests. PKCE is described for other
		// platforms, in a non-standard form; for the web, other packages also send the standard
		// parameters (Auth.js, Arctic).
		AuthorizeURL: "https://www.tiktok.com/v2/auth/authorize/",
		TokenURL:     "https://open.tiktokapis.com/v2/oauth/token/",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://www.tiktok.com",
		Quirks:       ginauth.Quirks{ClientIDParam: "client_key", ScopeSeparator: ","},

		// user.info.basic is name and picture. Scopes are separated by commas.
		Scopes: []string{"user.info.basic"},

		// 1 also prompts users who are signed in there.
		LoginParams: []string{"disable_auto_auth"},

		// https://developers.tiktok.com/doc/tiktok-api-v2-get-user-info
		UserinfoURL: "https://open.tiktokapis.com/v2/user/info/?fields=open_id,union_id,avatar_url,display_name",
		ClaimPaths:  map[string]string{"sub": "data.user.open_id", "name": "data.user.display_name", "picture": "data.user.avatar_url"},
		VerifyClaims: func(claims map[string]any) error {
			if textAt(claims, "error.code") != "ok" {
				return errors.New("TikTok's response is not a profile: error.code is not ok")
			}
			return nil
		},
	}
}

var presetTikTok = preset{
	name: "tiktok", function: "TikTok", make: plain(TikTok), domains: []string{"tiktokapis.com"},
	console:  "https://developers.tiktok.com/apps/",
	register: "An app with the product *Login Kit* for the platform *Web*. The client key is the client id. Redirect URIs must be https.",
	user:     "An ID for this user and application, display name, picture. There is no e-mail address.",
	quirks: []string{
		"TikTok rejects http redirect URIs, even on localhost.",
		"`/login/tiktok` forwards `disable_auto_auth`.",
	},

	// https://developers.tiktok.com/doc/oauth-user-access-token-management
	refresh: refreshTokens{always: true, about: "It is valid for a year. A refresh may return a new one."},
}
