package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// slackTeam is the claim with the workspace that somebody signed in with.
const slackTeam = "https://slack.com/team_id"

// Slack is "Sign in with Slack", by OpenID Connect, for members of any
// workspace: whoever likes can make one. SlackWorkspace admits one workspace.
//
// User.Subject is the person in the workspace; in another one, the same human
// being is somebody else. OpenID Connect has it unique at Slack. Slack's own
// older documentation promises that only of the id together with the
// workspace's, the claim https://slack.com/team_id: see SlackWorkspace.
func Slack(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "slack", Preset: "slack", DisplayName: "Slack", Color: "#4a154b",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://slack.com/.well-known/openid-configuration
		Issuer: "https://slack.com",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// https://docs.slack.dev/reference/methods/openid.connect.token
		// has id and secret among the arguments. It answers errors under status 200,
		// as do all of Slack's methods.
		AuthMethod: "client_secret_post",

		// An app with PKCE switched on becomes a public client for ever, and only
		// such an app may send its parameters.
		// https://docs.slack.dev/authentication/using-pkce
		Quirks: ginauth.Quirks{DisablePKCE: true},

		// The ID token has all claims; the picture is among them in several sizes.
		// https://docs.slack.dev/authentication/sign-in-with-slack
		Scopes:     []string{"openid", "profile", "email"},
		Userinfo:   "never",
		ClaimPaths: map[string]string{"picture": "https://slack.com/user_image_512"},

		// team is the workspace that people are asked to sign in with.
		LoginParams: []string{"team"},
	}
}

// SlackWorkspace is Slack for the members of one workspace; others are refused
// (identity_rejected). team is its id, such as T0123ABCD, which begins the
// workspace's address in a browser: https://app.slack.com/client/T0123ABCD.
func SlackWorkspace(team, clientID, clientSecret string) ginauth.Provider {
	p := Slack(clientID, clientSecret)
	p.Name, p.Preset, p.Err = "slack-workspace", "slack-workspace", segment("team", team)
	p.AuthParams, p.LoginParams = map[string]string{"team": team}, nil
	p.Admits = []string{"team=" + team}
	// The parameter can be changed by the person, the token cannot.
	p.VerifyClaims = func(claims map[string]any) error {
		if claims[slackTeam] != team {
			return errors.New("not a member of the workspace " + team)
		}
		return nil
	}
	return p
}

// https://docs.slack.dev/authentication/using-token-rotation
var slackRefresh = refreshTokens{
	console: "Switch on *Token rotation* in the app's settings.",
	about:   "Each use returns a new one and invalidates the old one.",
}

var presetSlack = preset{
	name: "slack", function: "Slack", make: plain(Slack),
	console:  "https://api.slack.com/apps",
	register: "Under *OAuth & Permissions* add the redirect URI, which must be https, and the user token scopes `openid`, `profile` and `email`.",
	user:     "An id for this user in the workspace, name, picture, locale, email address with Slack's verified flag. The claim `https://slack.com/team_id` is the workspace.",
	quirks: []string{
		"Members of all workspaces can sign in: for one, use `slack-workspace`.",
		"Slack accepts no http redirect URI, not even on localhost.",
		"`/login/slack` forwards `team`, the workspace to sign in with.",
	},

	refresh: slackRefresh,
}

var presetSlackWorkspace = preset{
	name: "slack-workspace", function: "SlackWorkspace",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return SlackWorkspace(arg["team"], clientID, clientSecret)
	},
	args:     []argument{{name: "team", env: "_TEAM", about: "the workspace's id", example: "T01KVARNBY"}},
	console:  "https://api.slack.com/apps",
	register: "As for `slack`.",
	user:     "As with `slack`.",
	quirks:   []string{"Decided by the claim `https://slack.com/team_id` of the ID token."},

	refresh: slackRefresh,
}
