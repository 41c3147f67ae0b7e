package providers

import "github.com/ginauth/ginauth"

// Notion configures "Log in with Notion", as plain OAuth 2.0, for a public integration. Users
// must choose a workspace and pages when they sign in.
//
// User.Subject is the id of the user that gave consent, not that of the bot: the profile is
// the bot's, with the user as its owner. Notion does not report whether the address is
// verified, so EmailVerified is always false.
func Notion(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "notion", Preset: "notion", DisplayName: "Notion", Color: "#000000",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.notion.com/docs/authorization has the secret in the
		// header. It does not mention PKCE, which Auth.js sends, too.
		AuthorizeURL: "https://api.notion.com/v1/oauth/authorize",
		TokenURL:     "https://api.notion.com/v1/oauth/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://www.notion.so",

		// Without it the owner could be a workspace, which is not a user.
		AuthParams: map[string]string{"owner": "user"},

		// What an integration may read is set in the console, not by scopes.
		Scopes: nil,

		// Notion answers 400 to requests without a version.
		// https://developers.notion.com/reference/versioning
		Quirks: ginauth.Quirks{Header: map[string]string{"Notion-Version": "2022-06-28"}},

		// https://developers.notion.com/reference/get-self
		UserinfoURL: "https://api.notion.com/v1/users/me",
		ClaimPaths: map[string]string{
			"sub": "bot.owner.user.id", "name": "bot.owner.user.name",
			"email": "bot.owner.user.person.email", "picture": "bot.owner.user.avatar_url",
		},
	}
}

var presetNotion = preset{
	name: "notion", function: "Notion", make: plain(Notion),
	console:  "https://www.notion.so/profile/integrations",
	register: "A *public* integration, with the capability *Read user information including e-mail addresses*.",
	user:     "The user's id, name, picture, and the e-mail address, which is never verified.",
	quirks:   []string{"Notion asks the user for a workspace and for pages, even if the application needs neither."},

	// https://developers.notion.com/reference/refresh-a-token
	refresh: refreshTokens{
		console: "Notion decides which integrations get one: `refresh_token` in its response may be null.",
		about:   "Each refresh returns a new one.",
	},
}
