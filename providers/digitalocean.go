package providers

import "github.com/ginauth/ginauth"

// DigitalOcean is "Sign in with DigitalOcean", as plain OAuth 2.0: people choose
// a team as they sign in.
//
// User.Subject is the user's UUID. The address is verified if DigitalOcean says
// so. The claim account.team is the team.
func DigitalOcean(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "digitalocean", Preset: "digitalocean", DisplayName: "DigitalOcean", Color: "#0080ff",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.digitalocean.com/reference/api/oauth/
		AuthorizeURL: "https://cloud.digitalocean.com/v1/oauth/authorize",
		TokenURL:     "https://cloud.digitalocean.com/v1/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://cloud.digitalocean.com",

		// read is what comes without a scope, and more than the profile. Smaller ones
		// (account:read) are documented for personal tokens alone.
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
	user:     "Stable UUID, name, email address with DigitalOcean's verified flag. There is no picture.",
	quirks:   []string{"The scope `read` lets the token read the team's resources: no smaller one is documented for applications."},

	// https://docs.digitalocean.com/reference/api/oauth/
	refresh: refreshTokens{always: true},
}
