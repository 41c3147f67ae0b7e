package providers

import "github.com/ginauth/ginauth"

// GitLab configures "Sign in with GitLab" at gitlab.com, by OpenID Connect. GitLabSelfManaged
// is for a self-hosted server.
//
// User.Subject is the numeric account id. User.Username can be renamed and then taken by another
// user. User.Groups are the full paths of the groups that the user is a member of, directly or
// through a parent group: "kvarnbygd/web". A path can be renamed and taken as well.
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

		// With the scope email, the address is the primary one, and email_verified refers to it.
		// On older servers the ID token has few other claims, and the groups come only from
		// userinfo, which is called if a claim is missing.
		// https://docs.gitlab.com/integration/openid_connect_provider/#shared-information
		Scopes:     []string{"openid", "profile", "email"},
		ClaimPaths: map[string]string{"groups": "groups"},

		// GitLab's own configuration signs users out for prompt=login and for an exceeded
		// max_age, so that they must sign in again:
		// config/initializers/doorkeeper_openid_connect.rb in its source.
		LoginParams: []string{"prompt", "max_age"},
	}
}

// GitLabSelfManaged configures GitLab for a self-hosted server, at the root of host:
// "gitlab.example.com". For one below a path set Issuer, to the address that the server calls
// its external URL.
//
// The administrator of the server decides which addresses are verified there.
func GitLabSelfManaged(host, clientID, clientSecret string) ginauth.Provider {
	p := GitLab(clientID, clientSecret)
	p.Name, p.Preset, p.Issuer, p.Err = "gitlab-self-managed", "gitlab-self-managed", serverAt(host), hostError(host)
	return p
}

// https://docs.gitlab.com/ee/api/oauth2.html#authorization-code-flow
var gitlabRefresh = refreshTokens{
	always: true,
	about:  "Each refresh returns a new one and invalidates the old one and its access token. Revocation: in the metadata.",
}

var presetGitLab = preset{
	name: "gitlab", function: "GitLab", make: plain(GitLab),
	console:  "https://gitlab.com/-/user_settings/applications",
	register: "A confidential application with the scopes `openid`, `profile` and `email`. An application of a group, under its *Settings*, outlives a person's account.",
	user:     "Stable number, name, user name, picture, the primary e-mail address (verified if GitLab says so), and the paths of all groups.",
	quirks: []string{
		"User names and the paths of groups can be renamed, and then taken by another user.",
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
	register: "As for `gitlab`, or for the whole instance under *Admin*, *Applications*.",
	user:     "As for `gitlab`; the server's administrators decide which addresses are verified.",

	refresh: gitlabRefresh,
}
