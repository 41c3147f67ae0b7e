package providers

import "github.com/ginauth/ginauth"

// GitHubEnterprise is "Sign in with GitHub" at a GitHub Enterprise Server, by
// its host: "github.example.com". An organization at github.com or ghe.com has
// none: the first is GitHub, the second a GitHub with other addresses.
//
// It is GitHub in everything but the addresses and the people. Who administers
// the server says which e-mail addresses are verified there. Older servers ignore
// PKCE, and leave iss out.
//
// https://docs.github.com/en/enterprise-server/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
func GitHubEnterprise(host, clientID, clientSecret string) ginauth.Provider {
	p := GitHub(clientID, clientSecret)
	p.Name, p.Preset, p.DisplayName, p.Err = "github-enterprise", "github-enterprise", "GitHub Enterprise", hostError(host)
	p.AuthorizeURL = serverAt(host) + "/login/oauth/authorize"
	p.TokenURL = serverAt(host) + "/login/oauth/access_token"
	p.Namespace = serverAt(host) + "/login/oauth"
	p.ResponseIssuer = p.Namespace
	p.Profile = GitHubProfile(serverAt(host) + "/api/v3")
	return p
}

var presetGitHubEnterprise = preset{
	name: "github-enterprise", function: "GitHubEnterprise",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return GitHubEnterprise(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the server's host", example: "github.kvarnbygd.example"}},
	register: "As for `github`, at the server's own */settings/developers*.",
	user:     "As with `github`; the server's administrator decides which addresses are verified.",

	refresh: githubRefresh,
}
