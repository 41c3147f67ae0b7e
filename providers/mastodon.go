package providers

import "github.com/ginauth/ginauth"

// Mastodon configures "Sign in with Mastodon", for the accounts of one server, its instance:
// "mastodon.social". Each server has its own clients and accounts; configure a Provider with
// its own Name for each.
//
// User.Subject is the account's number on that server. User.Username is its name
// there, without the server's: "petra", not "petra@kvarnbygd.example". There is no
// e-mail address.
func Mastodon(instance, clientID, clientSecret string) ginauth.Provider {
	server := serverAt(instance)
	return ginauth.Provider{
		Name: "mastodon", Preset: "mastodon", DisplayName: "Mastodon", Color: "#6364ff",
		ClientID: clientID, ClientSecret: clientSecret, Err: serverError("instance", instance),

		// https://docs.joinmastodon.org/methods/oauth/
		AuthorizeURL: server + "/oauth/authorize",
		TokenURL:     server + "/oauth/token",
		Namespace:    server,
		AuthMethod:   "client_secret_post",

		// The narrowest scope, since version 4.3; read:accounts on older servers.
		// https://docs.joinmastodon.org/api/oauth-scopes/#profile
		Scopes: []string{"profile"},

		// https://docs.joinmastodon.org/methods/accounts/#verify_credentials
		UserinfoURL: server + "/api/v1/accounts/verify_credentials",
		ClaimPaths: map[string]string{
			"sub": "id", "name": "display_name", "preferred_username": "username", "picture": "avatar", "profile": "url",
		},

		// force_login makes users sign in again: Mastodon's name for prompt=login.
		LoginParams: []string{"force_login", "lang"},
	}
}

var presetMastodon = preset{
	name: "mastodon", function: "Mastodon",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Mastodon(arg["instance"], clientID, clientSecret)
	},
	args:     []argument{{name: "instance", env: "_INSTANCE", about: "the server's host", example: "social.kvarnbygd.example"}},
	register: "An application with the scope `profile`, under *Preferences*, *Development* of any account on that server.",
	user:     "A stable number, name, username and picture; no e-mail address.",
	quirks: []string{
		"Servers before version 4.3 do not support the scope: set `Scopes` to `read:accounts`, and register the application with it.",
		"For a second server, give the Provider another `Name`.",
		"`/login/mastodon` forwards `force_login` and `lang`.",
	},

	// https://docs.joinmastodon.org/api/oauth-tokens/
	refresh: refreshTokens{
		never: "Mastodon has no refresh tokens: its access tokens do not expire",
		fix:   "remove Offline, and keep the access token",
	},
}
