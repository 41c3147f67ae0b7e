package providers

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// Linear is "Log in with Linear", as plain OAuth 2.0, for members of any
// workspace.
//
// User.Subject is the id of the member, which is another one in another
// workspace. Linear does not say whether an address is verified, so it never is.
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

		// The least there is: Linear adds it to every request.
		Scopes: []string{"read"},

		// "consent" asks again, so that people can take another workspace.
		LoginParams: []string{"prompt"},

		Profile: linearProfile,
		ClaimPaths: map[string]string{
			"sub": "data.viewer.id", "name": "data.viewer.name", "preferred_username": "data.viewer.displayName",
			"email": "data.viewer.email", "picture": "data.viewer.avatarUrl",
		},
		VerifyClaims: func(claims map[string]any) error {
			_, there := strictjson.Lookup(claims, "data.viewer.id")
			if active, _ := strictjson.Lookup(claims, "data.viewer.active"); there && active != true { // it is asked for
				return errors.New("the member of the workspace is suspended")
			}
			return nil
		},
	}
}

// linearProfile asks with GraphQL, Linear's only API:
// https://linear.app/developers/graphql
func linearProfile(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
	const query = `{"query":"{ viewer { id name displayName email avatarUrl active } }"}`
	return postForObject(ctx, client, "https://api.linear.app/graphql", "application/json", query)
}

var presetLinear = preset{
	name: "linear", function: "Linear", make: plain(Linear),
	console:  "https://linear.app/settings/api/applications/new",
	register: "An OAuth2 application, *public* if members of other workspaces are to sign in.",
	user:     "Id of the member of the workspace, name, display name, picture, and the email address, which is never verified.",
	quirks: []string{
		"The same user has another subject in another workspace.",
		"`/login/linear?prompt=consent` asks again, to choose another workspace.",
	},

	// https://linear.app/developers/oauth-2-0-authentication
	refresh: refreshTokens{always: true},
}
