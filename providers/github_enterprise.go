package providers

import "github.com/ginauth/ginauth"

// GitHubEnterprise configures "Sign in with GitHub" at a GitHub Enterprise Server, by its host:
// "github.example.com". It is not for organizations at github.com, which use GitHub, or at
// ghe.com, which use GitHub with other URLs.
//
// It is like GitHub except for the endpoints and the users. The administrator of the server
// decides which e-mail addresses are verified there. Older servers ignore PKCE and omit iss.
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
	register: "As for `github`, at the server's */settings/developers*.",
	user:     "As for `github`; the server's administrators decide which addresses are verified.",

	refresh: githubRefresh,
}
