package providers

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// Linear configures "Log in with Linear", as plain OAuth 2.0, for members of any workspace.
//
// User.Subject is the id of the member; the same person has another subject in another
// workspace. Linear does not report whether the address is verified, so EmailVerified is
// always false.
func Linear(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "linear", Preset: "linear", DisplayName: "Linear", Color: "#5e6ad2",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://linear.app/developers/oauth-2-0-authentication has the secret in
		// the form, PKCE, and commas between scopes.
		AuthorizeURL: "https://linear.app/oauth/authorize",
		TokenURL:     "https://api.linear.app/oauth/token",
		AuthMethod:   "client_secret_post",
		Namespace:    "https://linear.app",
		Quirks:       ginauth.Quirks{ScopeSeparator: ","},

		// The narrowest scope: Linear adds it to every request.
		Scopes: []string{"read"},

		// "consent" asks again, so that users can choose another workspace.
		LoginParams: []string{"prompt"},

		Profile: linearProfile,
		ClaimPaths: map[string]string{
			"sub": "data.viewer.id", "name": "data.viewer.name", "preferred_username": "data.viewer.displayName",
			"email": "data.viewer.email", "picture": "data.viewer.avatarUrl",
		},
		VerifyClaims: func(claims map[string]any) error {
			_, there := strictjson.Lookup(claims, "data.viewer.id")
			if active, _ := strictjson.Lookup(claims, "data.viewer.active"); there && active != true { // the query requests active
				return errors.New("the member of the workspace is suspended")
			}
			return nil
		},
	}
}

// linearProfile queries GraphQL, Linear's only API:
// https://linear.app/developers/graphql
func linearProfile(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
	const query = `{"query":"{ viewer { id name displayName email avatarUrl active } }"}`
	return postForObject(ctx, client, "https://api.linear.app/graphql", "application/json", query)
}

var presetLinear = preset{
	name: "linear", function: "Linear", make: plain(Linear),
	console:  "https://linear.app/settings/api/applications/new",
	register: "An OAuth2 application, *public* to admit members of other workspaces.",
	user:     "Id of the member of the workspace, name, display name, picture, and the e-mail address, which is never verified.",
	quirks: []string{
		"The same person has another subject in another workspace.",
		"`/login/linear?prompt=consent` asks again, to choose another workspace.",
	},

	// https://linear.app/developers/oauth-2-0-authentication
	refresh: refreshTokens{always: true},
}
