package providers

import (
	"errors"
	"strings"

	"github.com/ginauth/ginauth"
)

// Webex configures "Login with Webex", by OpenID Connect.
//
// User.Subject is the account's id. User.Issuer is that of the region of the user's
// organization, such as https://idbroker-b-us.webex.com/idb, so User.ID changes if the
// organization moves to another region.
func Webex(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "webex", Preset: "webex", DisplayName: "Webex", Color: "#00bceb",
		ClientID: clientID, ClientSecret: clientSecret,

		// The location of the metadata, whose issuer differs. All of the following is from
		// https://developer.webex.com/docs/login-with-webex
		Issuer: "https://webexapis.com/v1",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		TokenIssuer: webexIssuer,

		// Of the two methods in the guide, the one in the metadata.
		AuthMethod: "client_secret_basic",

		// The ID token has the subject, userinfo has the rest.
		Scopes: []string{"openid", "profile", "email"},

		LoginParams: []string{"prompt", "login_hint", "max_age"},

		// Written as text: "true".
		EmailVerified: func(claims map[string]any) bool {
			return claims["email_verified"] == true || claims["email_verified"] == "true"
		},
	}
}

// webexIssuer is TokenIssuer: it returns the token's own issuer if that is one of Webex's. The
// documentation shows tokens of https://idbroker.webex.com/idb and metadata of
// https://idbroker-b-us.webex.com/idb, and has no list. The signature proves that the token is
// Webex's: all issuers share the keys at webexapis.com.
func webexIssuer(claims map[string]any) (string, error) {
	issuer, _ := claims["iss"].(string)
	region, idb := strings.CutSuffix(issuer, ".webex.com/idb")
	region, broker := strings.CutPrefix(region, "https://idbroker")
	if !idb || !broker || strings.Trim(region, alphanumeric+"-") != "" || region != "" && region[0] != '-' {
		return "", errors.New("it is not an issuer of Webex")
	}
	return issuer, nil
}

var presetWebex = preset{
	name: "webex", function: "Webex", make: plain(Webex), domains: []string{"webexapis.com"},
	console:  "https://developer.webex.com/my-apps/new/integration",
	register: "An integration. The OpenID scopes need no selection.",
	user:     "Stable id, name, e-mail address (verified if Webex says so). No picture.",
	quirks: []string{
		"`User.Issuer` is that of the organization's region.",
		"`/login/webex` forwards `prompt`, `login_hint` and `max_age`.",
	},

	// https://developer.webex.com/docs/login-with-webex
	refresh: refreshTokens{always: true, about: "It is valid for 90 days."},
}
