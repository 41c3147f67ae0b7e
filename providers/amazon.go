package providers

import "github.com/ginauth/ginauth"

// Amazon configures "Login with Amazon", as plain OAuth 2.0, for customers of Amazon.
//
// User.Subject begins with amzn1.account and is the same for all applications of one
// developer. Amazon does not report whether the address is verified, so EmailVerified is
// always false.
func Amazon(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "amazon", Preset: "amazon", DisplayName: "Amazon", Color: "#ff9900",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developer.amazon.com/docs/login-with-amazon/authorization-code-grant.html
		// has PKCE (S256) and the secret among the parameters.
		AuthorizeURL: "https://www.amazon.com/ap/oa",
		TokenURL:     "https://api.amazon.com/auth/o2/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://www.amazon.com",

		// https://developer.amazon.com/docs/login-with-amazon/customer-profile.html
		Scopes:      []string{"profile"},
		UserinfoURL: "https://api.amazon.com/user/profile",
		ClaimPaths:  map[string]string{"sub": "user_id"},

		// No claim in the profile is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetAmazon = preset{
	name: "amazon", function: "Amazon", make: plain(Amazon),
	console:  "https://developer.amazon.com/loginwithamazon/console/site/lwa/overview.html",
	register: "A security profile; the redirect URI is an *Allowed Return URL* in its *Web Settings*.",
	user:     "An ID for this user and developer, name, e-mail address, which is never verified. There is no picture.",
	quirks:   []string{"Users of Amazon Cognito and of AWS IAM Identity Center are different accounts."},

	// https://developer.amazon.com/docs/login-with-amazon/refresh-token.html
	refresh: refreshTokens{
		always: true,
		about:  "It is valid until the user revokes the permission. A refresh may return a new one.",
	},
}
