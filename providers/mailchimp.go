package providers

import "github.com/ginauth/ginauth"

// Mailchimp configures "Log in with Mailchimp", as plain OAuth 2.0.
//
// User.Subject is the number of the login, which belongs to one person; an account can have
// several. User.Username can be changed. Mailchimp does not report whether the address is
// verified, so EmailVerified is always false.
func Mailchimp(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "mailchimp", Preset: "mailchimp", DisplayName: "Mailchimp", Color: "#ffe01b",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://mailchimp.com/developer/marketing/guides/access-user-data-oauth-2/
		// has the secret in the form, no scopes, and a token response without token_type. It
		// does not mention PKCE, which Auth.js sends, too.
		AuthorizeURL: "https://login.mailchimp.com/oauth2/authorize",
		TokenURL:     "https://login.mailchimp.com/oauth2/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://login.mailchimp.com",
		Quirks:       ginauth.Quirks{NormalizeToken: addTokenType},

		// Responds with 200 to an invalid token, without a login.
		UserinfoURL: "https://login.mailchimp.com/oauth2/metadata",
		ClaimPaths: map[string]string{
			"sub": "login.login_id", "name": "accountname", "preferred_username": "login.login_name",
			"email": "login.email", "picture": "login.avatar",
		},
	}
}

var presetMailchimp = preset{
	name: "mailchimp", function: "Mailchimp", make: plain(Mailchimp),
	console:  "https://admin.mailchimp.com/account/oauth2/",
	register: "A registered app. On a development machine its redirect URI, and `BaseURL`, must have `127.0.0.1` instead of `localhost`.",
	user:     "Number of the login, name of the account, username, picture if there is one, and the e-mail address, which is never verified.",
	quirks:   []string{"Mailchimp has no scopes: an access token has all permissions of the user, and does not expire."},

	// https://mailchimp.com/developer/marketing/guides/access-user-data-oauth-2/
	refresh: refreshTokens{
		never: "Mailchimp has no refresh tokens: its access tokens do not expire",
		fix:   "remove Offline, and keep the access token",
	},
}
