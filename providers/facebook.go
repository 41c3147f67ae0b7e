package providers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
)

// facebookVersion is the version of the Graph API. Requests for a retired version are answered
// by the oldest current one, so that sign-ins continue.
// https://developers.facebook.com/docs/graph-api/guides/versioning
const facebookVersion = "v24.0"

// Facebook configures "Continue with Facebook", as plain OAuth 2.0.
//
// User.Subject identifies the user within this application; other applications get another id.
// The address is present if the user has one and consented to share it; Facebook does not
// report whether it is verified, so EmailVerified is always false.
//
// The secret is also in Profile, which proves with it that the request is the application's
// own: do not change ClientSecret afterwards; create another Provider.
func Facebook(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "facebook", Preset: "facebook", DisplayName: "Facebook", Color: "#1877f2",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
		// has the secret among the parameters. PKCE is described in
		// https://developers.facebook.com/docs/facebook-login/guides/advanced/oidc-token
		// together with ID tokens, which Facebook calls still in testing there.
		AuthorizeURL: "https://www.facebook.com/" + facebookVersion + "/dialog/oauth",
		TokenURL:     "https://graph.facebook.com/" + facebookVersion + "/oauth/access_token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://www.facebook.com",

		// https://developers.facebook.com/docs/permissions
		Scopes: []string{"public_profile", "email"},

		// auth_type: reauthenticate asks for the password, rerequest for a
		// permission that was declined.
		// https://developers.facebook.com/docs/facebook-login/guides/advanced/re-authentication
		LoginParams: []string{"auth_type"},

		// https://developers.facebook.com/docs/graph-api/reference/user
		Profile:    facebookProfile(clientSecret),
		ClaimPaths: map[string]string{"sub": "id", "picture": "picture.data.url"},

		// No claim in the profile is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

// facebookProfile sends appsecret_proof, which an application can require for all requests: then
// a stolen access token is useless to others.
// https://developers.facebook.com/docs/graph-api/guides/secure-requests#appsecret_proof
func facebookProfile(secret string) profile {
	return func(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
		proof := hmac.New(sha256.New, []byte(secret))
		proof.Write([]byte(token.AccessToken))
		q := url.Values{"fields": {"id,name,email,picture.type(large)"}, "appsecret_proof": {hex.EncodeToString(proof.Sum(nil))}}
		claims, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "profile", URL: "https://graph.facebook.com/" + facebookVersion + "/me?" + q.Encode()})
		return claims, err
	}
}

var presetFacebook = preset{
	name: "facebook", function: "Facebook", make: plain(Facebook),
	console:  "https://developers.facebook.com/apps/",
	register: "An app with the use case *Authenticate and request data from users with Facebook Login*, and in it the permission `email`. The redirect URI is a *Valid OAuth Redirect URI*. *Require app secret* may be on.",
	user:     "An ID for this user and application, name, picture, and the e-mail address, if there is one, which is never verified.",
	quirks: []string{
		"Users can decline to share the address: `/login/facebook?auth_type=rerequest` asks once more, `auth_type=reauthenticate` asks for the password.",
		"Profile requests include `appsecret_proof`.",
	},

	// https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived
	refresh: refreshTokens{
		never: "Facebook has no refresh tokens, but exchanges access tokens for ones that are valid for about 60 days",
		fix:   "remove Offline; for a long-lived access token, make that exchange (fb_exchange_token) in OnLogin",
	},
}
