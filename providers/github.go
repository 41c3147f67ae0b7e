package providers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// GitHub configures "Sign in with GitHub", for an OAuth app
// (https://github.com/settings/developers) or a GitHub App. A GitHub App needs the account
// permission "Email addresses: read" to learn verified addresses.
//
// User.Subject is the numeric account id. User.Username, the login, can be renamed and then
// taken by another user. The e-mail address is the primary one, private or not; see
// GitHubProfile for when it is verified.
//
// GitHubEnterprise is for a GitHub Enterprise Server.
func GitHub(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "github", Preset: "github", DisplayName: "GitHub", Color: "#24292f",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
		// describes the two endpoints, the secret in the form, PKCE (S256, since July 2025) and
		// the parameters. The token endpoint returns JSON only if the request accepts it, and
		// errors with status 200: ginauth always sends that header, and checks for an error
		// regardless of the status.
		AuthorizeURL: "https://github.com/login/oauth/authorize",
		TokenURL:     "https://github.com/login/oauth/access_token",
		AuthMethod:   "client_secret_post",
		LoginParams:  []string{"login", "prompt", "allow_signup"},

		// The iss of GitHub's authorization responses (RFC 9207): compared only if present,
		// since older servers omit it. GitHub issues no ID tokens; if it ever does, this is
		// their issuer, and stored ids stay valid.
		// https://docs.github.com/en/apps/github-authentication-discovery-endpoints
		ResponseIssuer: "https://github.com/login/oauth",
		Namespace:      "https://github.com/login/oauth",

		// The public profile needs no scope (read:user would add the plan, the
		// number of private repositories and the like).
		// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
		Scopes: []string{"user:email"},

		// https://docs.github.com/en/rest/users/users#get-the-authenticated-user
		Profile:    GitHubProfile("https://api.github.com"),
		ClaimPaths: map[string]string{"sub": "id", "preferred_username": "login", "picture": "avatar_url"},
		Quirks:     ginauth.Quirks{IncludedScopes: githubIncludes},
	}
}

// githubIncludes returns the scopes that a scope of GitHub includes. GitHub omits them from its
// response if it grants the broader one ("Normalized scopes").
// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
func githubIncludes(scope string) []string {
	switch scope {
	case "repo":
		return []string{"repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events", "notifications"}
	case "user":
		return []string{"read:user", "user:email", "user:follow"}
	case "project", "audit_log":
		return []string{"read:" + scope}
	case "codespace":
		return []string{"codespace:secrets"}
	}
	level, of, _ := strings.Cut(scope, ":") // admin:org
	switch level {
	case "admin":
		return []string{"write:" + of, "read:" + of}
	case "write":
		return []string{"read:" + of}
	}
	return nil
}

// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
var githubRefresh = refreshTokens{
	console: "A GitHub App gives one, unless *User-to-server token expiration* is off; an OAuth app has none.",
	about:   "It is valid for 6 months and for one refresh, which returns a new one and invalidates the old access token.",
}

var presetGitHub = preset{
	name: "github", function: "GitHub", make: plain(GitHub),
	console:  "https://github.com/settings/developers",
	register: "An OAuth app, or a GitHub App with the account permission *Email addresses: read*.",
	user:     "Stable number, name (the login if it is empty), login, picture, the primary e-mail address, private or not (verified if GitHub says so).",
	quirks: []string{
		"A login can be renamed and then taken by another user: it is `Username`, and never the subject.",
		"`/login/github` forwards `login`, `prompt` and `allow_signup`.",
	},

	refresh: githubRefresh,
}

// GitHubProfile returns the Profile function of [GitHub], for an API at another URL.
//
// The claims are those of GET /user as GitHub sends them, except: name is the login for users
// without a name; email is the primary address, which GET /user has only if it is public; and
// email_verified is true if GitHub verified it. Without the scope user:email the list of
// addresses cannot be read; email is then the public one, unverified.
//
// It sends no X-GitHub-Api-Version: GitHub answers 400 to a retired version, which would end
// all sign-ins.
func GitHubProfile(api string) func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
	return func(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
		claims, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "profile", URL: api + "/user"})
		if err != nil {
			return nil, err
		}
		if name, _ := claims["name"].(string); name == "" {
			claims["name"] = claims["login"]
		}
		claims["email_verified"] = false
		if !mayReadEmails(token) {
			return claims, nil
		}
		primary, err := primaryEmail(ctx, client, api+"/user/emails?per_page=100")
		if err != nil {
			return nil, err
		}
		if primary != nil {
			claims["email"], claims["email_verified"] = primary["email"], primary["verified"] == true
		}
		return claims, nil
	}
}

// mayReadEmails reports whether the token may have access to the addresses: it has the scope or,
// like the token of a GitHub App, permissions instead of scopes.
func mayReadEmails(token *oauth2.Token) bool {
	granted, _ := token.Extra("scope").(string)
	scopes := strings.FieldsFunc(granted, func(r rune) bool { return r == ',' || r == ' ' })
	return len(scopes) == 0 || slices.Contains(scopes, "user:email") || slices.Contains(scopes, "user")
}

// primaryEmail returns the entry of the primary address, or nil if there is none or the
// addresses cannot be read. Other addresses are ignored, since the user did not choose them.
// https://docs.github.com/en/rest/users/emails#list-email-addresses-for-the-authenticated-user
func primaryEmail(ctx context.Context, client *http.Client, address string) (map[string]any, error) {
	body, err := get(ctx, client, address)
	if e, ok := errors.AsType[*fetch.Error](err); ok && (e.Status == http.StatusForbidden || e.Status == http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := strictjson.Array(body)
	if err != nil {
		return nil, fetch.JSONError("e-mail addresses", "", http.StatusOK, err)
	}
	for _, item := range list {
		if entry, ok := item.(map[string]any); ok && entry["primary"] == true {
			return entry, nil
		}
	}
	return nil, nil
}

// get fetches a response that is a list; fetch.JSON is for objects.
func get(ctx context.Context, client *http.Client, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return "", fetch.StatusError("e-mail addresses", req.URL.Host, resp.StatusCode)
	}
	return fetch.Read(resp, "e-mail addresses", fetch.MaxBody)
}
