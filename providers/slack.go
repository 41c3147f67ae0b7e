package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// slackTeam is the claim with the workspace of the user.
const slackTeam = "https://slack.com/team_id"

// Slack configures "Sign in with Slack", by OpenID Connect, for members of any workspace.
// Anyone can create a workspace; [SlackWorkspace] admits only one.
//
// User.Subject identifies the member of the workspace; the same person has another subject in
// another workspace. OpenID Connect requires it to be unique at Slack. Slack's older
// documentation guarantees that only together with the workspace id, the claim
// https://slack.com/team_id: see SlackWorkspace.
//
// There is no PKCE: Slack accepts it only from public clients. The nonce protects the code.
func Slack(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "slack", Preset: "slack", DisplayName: "Slack", Color: "#4a154b",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://slack.com/.well-known/openid-configuration
		Issuer: "https://slack.com",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// https://docs.slack.dev/reference/methods/openid.connect.token
		// has id and secret among the arguments. Like all of Slack's methods, it returns errors
		// with status 200.
		AuthMethod: "client_secret_post",

		// An app with PKCE switched on becomes a public client permanently, and only such an app
		// may send the parameters of PKCE.
		// https://docs.slack.dev/authentication/using-pkce
		Quirks: ginauth.Quirks{DisablePKCE: true},

		// The ID token has all claims; the picture is among them in several sizes.
		// https://docs.slack.dev/authentication/sign-in-with-slack
		Scopes:     []string{"openid", "profile", "email"},
		Userinfo:   "never",
		ClaimPaths: map[string]string{"picture": "https://slack.com/user_image_512"},

		// team is the workspace that users are asked to sign in with.
		LoginParams: []string{"team"},
	}
}

// SlackWorkspace configures Slack for the members of one workspace; other users are rejected
// ([ginauth.ErrIdentityRejected]). team is its id, such as T0123ABCD, which begins the
// workspace's address in a browser: https://app.slack.com/client/T0123ABCD.
func SlackWorkspace(team, clientID, clientSecret string) ginauth.Provider {
	p := Slack(clientID, clientSecret)
	p.Name, p.Preset, p.Err = "slack-workspace", "slack-workspace", segment("team", team)
	p.AuthParams, p.LoginParams = map[string]string{"team": team}, nil
	p.Admits = []string{"team=" + team}
	// The user can change the parameter, but not the token.
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
	about:   "Each refresh returns a new one and invalidates the old one.",
}

var presetSlack = preset{
	name: "slack", function: "Slack", make: plain(Slack),
	console:  "https://api.slack.com/apps",
	register: "Under *OAuth & Permissions* add the redirect URI, which must be https, and the user token scopes `openid`, `profile` and `email`.",
	user:     "An ID for this user in the workspace, name, picture, locale, e-mail address (verified if Slack says so). The claim `https://slack.com/team_id` is the workspace.",
	quirks: []string{
		"Members of all workspaces can sign in: for one, use `slack-workspace`.",
		"PKCE is off: Slack accepts it only from public clients.",
		"Slack rejects http redirect URIs, even on localhost.",
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
	user:     "As for `slack`.",
	quirks:   []string{"Admission is decided by the claim `https://slack.com/team_id` of the ID token."},

	refresh: slackRefresh,
}
