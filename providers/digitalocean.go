package providers

import "github.com/ginauth/ginauth"

// DigitalOcean configures "Sign in with DigitalOcean", as plain OAuth 2.0: users choose a team
// when they sign in.
//
// User.Subject is the user's UUID. EmailVerified is true if DigitalOcean reports the address
// as verified. The claim account.team is the team.
func DigitalOcean(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "digitalocean", Preset: "digitalocean", DisplayName: "DigitalOcean", Color: "#0080ff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.digitalocean.com/reference/api/oauth/
		AuthorizeURL: "https://cloud.digitalocean.com/v1/oauth/authorize",
		TokenURL:     "https://cloud.digitalocean.com/v1/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://cloud.digitalocean.com",

		// read is the default, and permits more than the profile. Narrower scopes (account:read)
		// are documented only for personal tokens.
		Scopes: []string{"read"},

		// https://docs.digitalocean.com/reference/api/reference/account/
		UserinfoURL: "https://api.digitalocean.com/v2/account",
		ClaimPaths: map[string]string{
			"sub": "account.uuid", "name": "account.name", "email": "account.email", "email_verified": "account.email_verified",
		},
	}
}

var presetDigitalOcean = preset{
	name: "digitalocean", function: "DigitalOcean", make: plain(DigitalOcean),
	console:  "https://cloud.digitalocean.com/account/api/applications",
	register: "An OAuth application with the redirect URI as callback URL.",
	user:     "Stable UUID, name, e-mail address (verified if DigitalOcean says so). There is no picture.",
	quirks:   []string{"The scope `read` lets the token read the team's resources; no narrower scope is documented for applications."},

	// https://docs.digitalocean.com/reference/api/oauth/
	refresh: refreshTokens{always: true},
}
