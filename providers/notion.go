package providers

import "github.com/ginauth/ginauth"

// Notion is "Log in with Notion", as plain OAuth 2.0, for a public integration.
// People choose a workspace and pages on the way: Notion has no sign-in without.
//
// User.Subject is the id of the person who gave the permission, not that of the
// bot which acts in their name: the profile is the bot's, and has the person as
// its owner. Notion does not say whether an address is verified, so it never is.
func Notion(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "notion", Preset: "notion", DisplayName: "Notion", Color: "#000000",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.notion.com/docs/authorization has the secret in the
		// header. Of PKCE it says nothing; Auth.js sends it there as well.
		AuthorizeURL: "https://api.notion.com/v1/oauth/authorize",
		TokenURL:     "https://api.notion.com/v1/oauth/token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://www.notion.so",

		// Without it the owner could be a workspace, which is nobody.
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
	register: "A *public* integration, with the capability *Read user information including email addresses*.",
	user:     "The user's id, name, picture, and the email address, which is never verified.",
	quirks:   []string{"Users are asked to select a workspace and pages, even if the application needs neither."},

	// https://developers.notion.com/reference/refresh-a-token
	refresh: refreshTokens{
		console: "Notion decides whether an integration gets one: the `refresh_token` in its response may be null.",
		about:   "Each use returns a new one.",
	},
}
