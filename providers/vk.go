package providers

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
)

// VK configures "Sign in with VK ID", as plain OAuth 2.0: id.vk.com, which replaced
// oauth.vk.com.
//
// clientID is the application's number. There is no client secret: VK ID protects the code
// only by PKCE.
//
// User.Subject is the numeric account id. VK does not report whether the address is verified;
// verified in its profile concerns the account.
func VK(clientID string) ginauth.Provider {
	return ginauth.Provider{
		Name: "vk", Preset: "vk", DisplayName: "VK", Color: "#0077ff",
		ClientID: clientID,

		// https://id.vk.com/about/business/go/docs/ru/vkid/latest/vk-id/connection/api-integration/api-description
		// PKCE is required (VK writes s256 for the method; better-auth sends S256, as we do).
		// Other packages redeem the code without a secret, as in
		// https://github.com/atinux/nuxt-auth-utils.
		AuthorizeURL: "https://id.vk.com/authorize",
		TokenURL:     "https://id.vk.com/oauth2/auth",
		AuthMethod:   "none",
		Namespace:    "https://id.vk.com",

		// vkid.personal_info is name and picture.
		Scopes:      []string{"vkid.personal_info", "email"},
		LoginParams: []string{"prompt", "lang_id", "scheme"},

		Quirks: ginauth.Quirks{
			// The response has a device_id that identifies the browser; the token request
			// requires it and the state.
			EditToken: func(form, callback url.Values) {
				form.Set("device_id", callback.Get("device_id"))
				form.Set("state", callback.Get("state"))
			},
		},

		Profile:    vkProfile(clientID),
		ClaimPaths: map[string]string{"sub": "user.user_id", "email": "user.email", "picture": "user.avatar", "given_name": "user.first_name", "family_name": "user.last_name"},

		// No claim in the profile is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

// vkProfile sends the token and the application in a form.
func vkProfile(clientID string) profile {
	return func(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
		form := url.Values{"access_token": {token.AccessToken}, "client_id": {clientID}}
		return postForObject(ctx, client, "https://id.vk.com/oauth2/user_info", "application/x-www-form-urlencoded", form.Encode())
	}
}

var presetVK = preset{
	name: "vk", function: "VK", noSecret: true,
	make:     func(clientID, _ string, _ arguments) ginauth.Provider { return VK(clientID) },
	console:  "https://id.vk.com/about/business/go",
	register: "An application for the platform *Web*, with the redirect URI as trusted redirect URL. The client id is the number of the application.",
	user:     "Stable number, name, picture, the e-mail address, if the user shares it, which is never verified.",
	quirks: []string{
		"This is VK ID, not the older oauth.vk.com: applications registered there must be migrated.",
		"`/login/vk` forwards `prompt`, `lang_id` and `scheme`.",
	},

	// https://id.vk.com/about/business/go/docs/ru/vkid/latest/vk-id/connection/api-integration/api-description
	refresh: refreshTokens{
		never: "VK ID issues one at each sign-in, and refreshes it with the device_id of the authorization response",
		fix:   "remove Offline, keep the refresh token and the device_id, and make that request yourself",
	},
}
