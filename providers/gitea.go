package providers

import "github.com/ginauth/ginauth"

// Gitea configures "Sign in with Gitea", for a server at the root of host: "git.example.com".
// For one below a path set Issuer, to the address that the server calls its ROOT_URL.
//
// User.Subject is the numeric account id. User.Username can be renamed and then taken by
// another user. For organizations and teams ("mill", "mill:owners") add "groups" to Scopes:
// they are User.Groups.
//
// An address counts as verified only if you set EmailVerified to nil: the claim says that the
// account is active, which is also true if the server does not require addresses to be
// confirmed.
func Gitea(host, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "gitea", Preset: "gitea", DisplayName: "Gitea", Color: "#609926",
		ClientID: clientID, ClientSecret: clientSecret,

		// ROOT_URL without its last slash, since version 1.25; before, and with the
		// legacy setting of 1.25.1, with it. The two are different issuers, and the
		// log says which one a server has.
		// https://github.com/go-gitea/gitea/issues/35830
		Issuer: serverAt(host),
		Err:    hostError(host),

		// The metadata of older servers names no method; the server accepts both methods with a
		// secret: routers/web/auth/oauth.go.
		// https://docs.gitea.com/development/oauth2-provider
		AuthMethod: "client_secret_basic",

		// The ID token has every claim of these scopes, and the groups if they are requested;
		// userinfo has fewer.
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",

		// email_verified is user.IsActive: services/oauth2_provider/access_token.go.
		EmailVerified: giteaEmailVerified,

		// No re-authentication: the server ignores prompt and max_age, and has no end-session
		// endpoint.
	}
}

func giteaEmailVerified(map[string]any) bool { return false }

// Forgejo configures "Sign in with Forgejo", for a server at the root of host. It is a fork of
// Gitea and behaves like it.
func Forgejo(host, clientID, clientSecret string) ginauth.Provider {
	p := Gitea(host, clientID, clientSecret)
	p.Name, p.Preset, p.DisplayName, p.Color = "forgejo", "forgejo", "Forgejo", "#d40000"
	return p
}

// Codeberg configures "Sign in with Codeberg", the Forgejo server of the association Codeberg.
func Codeberg(clientID, clientSecret string) ginauth.Provider {
	p := Forgejo("codeberg.org", clientID, clientSecret)
	p.Name, p.Preset, p.DisplayName, p.Color = "codeberg", "codeberg", "Codeberg", "#2185d0"
	return p
}

const (
	giteaRegister = "An OAuth2 application, under *Settings*, *Applications* of an account or an organization, with *Confidential Client*."
	giteaUser     = "A stable number, name, username, picture, locale, and an e-mail address that does not count as verified."
)

var giteaQuirks = []string{
	"Older servers (Gitea before 1.25) put a slash at the end of the issuer. The log then reports it: set `Issuer` to that value. If a server update removes the slash, every `User.ID()` changes.",
	"`email_verified` says that the account is active, not that the address is confirmed. If the server requires confirmation from every user, set `EmailVerified` to nil.",
	"For organizations and teams (`mill`, `mill:owners`) add `groups` to `Scopes`. These and user names can be renamed, and then taken by another user.",
	"There is no sign-out at the server: signing out ends only ginauth's session.",
}

// https://docs.gitea.com/administration/config-cheat-sheet#oauth2-oauth2
var giteaRefresh = refreshTokens{
	always: true,
	about:  "It is valid for 730 hours, and for any number of refreshes, unless the server's `REFRESH_TOKEN_EXPIRATION_TIME` and `INVALIDATE_REFRESH_TOKENS` say otherwise.",
}

var presetGitea = preset{
	name: "gitea", function: "Gitea",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Gitea(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the server's host", example: "git.kvarnbygd.example"}},
	register: giteaRegister, user: giteaUser, quirks: giteaQuirks,

	refresh: giteaRefresh,

	// https://github.com/go-gitea/gitea/blob/main/services/oauth2_provider/token.go
	api: apiTokens{never: "they are JWTs without `iss` and `aud`, for its own API"},
}

var presetForgejo = preset{
	name: "forgejo", function: "Forgejo",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Forgejo(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the server's host", example: "git.kvarnbygd.example"}},
	register: giteaRegister, user: giteaUser, quirks: giteaQuirks,

	// Gitea's settings, which Forgejo has kept.
	refresh: giteaRefresh,
}

var presetCodeberg = preset{
	name: "codeberg", function: "Codeberg", make: plain(Codeberg),
	console:  "https://codeberg.org/user/settings/applications",
	register: giteaRegister, user: giteaUser, quirks: giteaQuirks[1:],

	// As Forgejo, whose settings Codeberg does not publish.
	refresh: refreshTokens{always: true},
}
