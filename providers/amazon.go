package providers

import "github.com/ginauth/ginauth"

// Amazon is "Login with Amazon", as plain OAuth 2.0, for customers of Amazon.
//
// User.Subject begins with amzn1.account and is the person for all applications
// of one developer. Amazon does not say that the address is verified, so it
// never is.
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

		// Nothing in the profile is documented to mean it.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

var presetAmazon = preset{
	name: "amazon", function: "Amazon", make: plain(Amazon),
	console:  "https://developer.amazon.com/loginwithamazon/console/site/lwa/overview.html",
	register: "A security profile; the redirect URI is an *Allowed Return URL* in its *Web Settings*.",
	user:     "An id for this user and developer, name, email address, which is never verified. There is no picture.",
	quirks:   []string{"Users of Amazon Cognito and AWS IAM Identity Center are not Amazon customer accounts."},

	// https://developer.amazon.com/docs/login-with-amazon/refresh-token.html
	refresh: refreshTokens{
		always: true,
		about:  "It is valid until the user revokes the permission. A use may return a new one.",
	},
}
