package providers

import (
	"net/url"

	"github.com/ginauth/ginauth"
)

// PayPal configures "Log in with PayPal", as plain OAuth 2.0. [PayPalSandbox] is for sandbox
// accounts.
//
// User.Subject is a URL that identifies the user within this application. The address is
// verified if PayPal says so; verified_account refers to the account.
func PayPal(clientID, clientSecret string) ginauth.Provider {
	p := paypal("paypal.com", clientID, clientSecret)
	p.Name, p.Preset, p.DisplayName = "paypal", "paypal", "PayPal"
	return p
}

// PayPalSandbox configures PayPal for development: with the accounts and the credentials of
// the sandbox.
func PayPalSandbox(clientID, clientSecret string) ginauth.Provider {
	p := paypal("sandbox.paypal.com", clientID, clientSecret)
	p.Name, p.Preset, p.DisplayName = "paypal-sandbox", "paypal-sandbox", "PayPal Sandbox"
	return p
}

// paypal returns the settings that both functions share.
func paypal(domain, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Color:    "#003087",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://www.paypal.com/.well-known/openid-configuration has these endpoints (the
		// second at api.paypal.com, which api-m replaces), the header, and PKCE. Of the ID token
		// algorithms it names HS256 first, whose key would be the secret, and it is not
		// documented which one is used: so the profile is fetched instead of reading the ID
		// token.
		AuthorizeURL: "https://www." + domain + "/signin/authorize",
		TokenURL:     "https://api-m." + domain + "/v1/oauth2/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://www." + domain,

		// https://developer.paypal.com/docs/log-in-with-paypal/reference/ PayPal requires
		// openid, too.
		Scopes: []string{"profile", "email"},
		Quirks: ginauth.Quirks{EditAuthorize: func(params url.Values) { params.Set("scope", "openid "+params.Get("scope")) }},

		// https://developer.paypal.com/docs/api/identity/v1/#userinfo_get
		UserinfoURL: "https://api-m." + domain + "/v1/identity/openidconnect/userinfo?schema=openid",
		ClaimPaths:  map[string]string{"sub": "user_id"},
	}
}

const paypalRegister = "An app with *Log in with PayPal* switched on. In its advanced settings choose *Full name* and *Email*; the redirect URI is the *Return URL*, with 127.0.0.1 instead of localhost."

var paypalQuirks = []string{"The scope `openid` is requested in addition to `Scopes`; the ID token is not read."}

// https://developer.paypal.com/docs/log-in-with-paypal/reference/
var paypalRefresh = refreshTokens{always: true}

var presetPayPal = preset{
	name: "paypal", function: "PayPal", make: plain(PayPal),
	console:  "https://developer.paypal.com/dashboard/applications/live",
	register: paypalRegister,
	user:     "An ID for this user and application, name, e-mail address (verified if PayPal says so).",
	quirks:   paypalQuirks,

	refresh: paypalRefresh,
}

var presetPayPalSandbox = preset{
	name: "paypal-sandbox", function: "PayPalSandbox", make: plain(PayPalSandbox),
	console:  "https://developer.paypal.com/dashboard/applications/sandbox",
	register: paypalRegister,
	user:     "As for `paypal`: accounts of the sandbox.",
	quirks:   paypalQuirks,

	refresh: paypalRefresh,
}
