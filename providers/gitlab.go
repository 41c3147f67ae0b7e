package providers

import "github.com/ginauth/ginauth"

// GitLab is "Sign in with GitLab" at gitlab.com, by OpenID Connect.
// GitLabSelfManaged is for a server of one's own.
//
// User.Subject is the account's number. User.Username can be renamed, and then
// be taken by somebody else. User.Groups are the full paths of the groups that
// the person is a member of, also through a group above: "kvarnbygd/web". A path
// can be renamed and taken as well.
func GitLab(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "gitlab", Preset: "gitlab", DisplayName: "GitLab", Color: "#fc6d26",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://gitlab.com/.well-known/openid-configuration
		Issuer: "https://gitlab.com",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// The metadata names this and client_secret_post.
		AuthMethod: "client_secret_basic",

		// With email, the address is the primary one, and email_verified speaks of
		// it. The ID token has few claims beside these two on older servers, and the
		// groups come from userinfo alone, which is asked for a claim that is missing.
		// https://docs.gitlab.com/integration/openid_connect_provider/#shared-information
		Scopes:     []string{"openid", "profile", "email"},
		ClaimPaths: map[string]string{"groups": "groups"},

		// GitLab's own configuration signs people out for prompt=login and for a
		// max_age that has passed, and has them sign in anew:
		// config/initializers/doorkeeper_openid_connect.rb in its source.
		LoginParams: []string{"prompt", "max_age"},
	}
}

// GitLabSelfManaged is GitLab for a server of one's own, at the root of host:
// "gitlab.example.com". For one below a path set Issuer by hand, to the address
// that the server calls its external URL.
//
// Who administers the server says which addresses are verified there.
func GitLabSelfManaged(host, clientID, clientSecret string) ginauth.Provider {
	p := GitLab(clientID, clientSecret)
	p.Name, p.Preset, p.Issuer, p.Err = "gitlab-self-managed", "gitlab-self-managed", serverAt(host), hostError(host)
	return p
}

// https://docs.gitlab.com/ee/api/oauth2.html#authorization-code-flow
var gitlabRefresh = refreshTokens{
	always: true,
	about:  "Each use returns a new one and invalidates the old one and its access token. Revocation: in the metadata.",
}

var presetGitLab = preset{
	name: "gitlab", function: "GitLab", make: plain(GitLab),
	console:  "https://gitlab.com/-/user_settings/applications",
	register: "A confidential application with the scopes `openid`, `profile` and `email`. An application of a group, under its *Settings*, remains when a member leaves.",
	user:     "Stable number, name, username, picture, the primary email address with GitLab's verified flag, and the paths of all groups.",
	quirks: []string{
		"Usernames and group paths can be renamed and then be taken by others.",
		"`/login/gitlab` forwards `prompt` and `max_age`.",
	},

	refresh: gitlabRefresh,
}

var presetGitLabSelfManaged = preset{
	name: "gitlab-self-managed", function: "GitLabSelfManaged",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return GitLabSelfManaged(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the server's host", example: "git.kvarnbygd.example"}},
	register: "As for `gitlab`, or for all users under *Admin*, *Applications*.",
	user:     "As with `gitlab`; the server's administrator decides which addresses are verified.",

	refresh: gitlabRefresh,
}
