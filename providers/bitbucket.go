package providers

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
)

// Bitbucket configures "Log in with Bitbucket", Bitbucket Cloud, as plain OAuth 2.0.
//
// User.Subject is the Atlassian account id, which is the same in all of
// Atlassian's products and never changes. User.Username is the nickname, which
// need not be unique. The address is the primary one, verified if it is
// confirmed.
func Bitbucket(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "bitbucket", Preset: "bitbucket", DisplayName: "Bitbucket", Color: "#0052cc",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developer.atlassian.com/cloud/bitbucket/oauth-2/
		// has the secret in the header.
		AuthorizeURL: "https://bitbucket.org/site/oauth2/authorize",
		TokenURL:     "https://bitbucket.org/site/oauth2/access_token",
		AuthMethod:   "client_secret_basic",
		Namespace:    "https://bitbucket.org",

		// The profile requires account, and the addresses require email. Users consent to the
		// permissions of the consumer, which must include these.
		// https://developer.atlassian.com/cloud/bitbucket/rest/intro/#scopes
		Scopes: []string{"account", "email"},

		// https://developer.atlassian.com/cloud/bitbucket/rest/api-group-users/
		// User names were removed from it, because they could be reassigned:
		// https://developer.atlassian.com/cloud/bitbucket/bitbucket-api-changes-gdpr
		Profile: bitbucketProfile,
		ClaimPaths: map[string]string{
			"sub": "account_id", "name": "display_name", "preferred_username": "nickname", "picture": "links.avatar.href",
		},
	}
}

// bitbucketProfile adds the primary address to the profile, which has none. Other addresses are
// ignored, since the user did not choose them.
func bitbucketProfile(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
	const user = "https://api.bitbucket.org/2.0/user"
	claims, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "profile", URL: user})
	if err != nil {
		return nil, err
	}
	delete(claims, "email")
	claims["email_verified"] = false
	list, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "e-mail addresses", URL: user + "/emails"})
	if e, ok := errors.AsType[*fetch.Error](err); ok && e.Status == http.StatusForbidden {
		return claims, nil // the scope email was not granted
	}
	if err != nil {
		return nil, err
	}
	values, _ := list["values"].([]any)
	for _, item := range values {
		if entry, ok := item.(map[string]any); ok && entry["is_primary"] == true {
			claims["email"], claims["email_verified"] = entry["email"], entry["is_confirmed"] == true
			break
		}
	}
	return claims, nil
}

var presetBitbucket = preset{
	name: "bitbucket", function: "Bitbucket", make: plain(Bitbucket),
	console:  "https://bitbucket.org/account/workspaces/",
	register: "In a workspace's settings, *OAuth consumers*: a private consumer with *Account: Email* and *Account: Read*. The redirect URI is its callback URL.",
	user:     "The Atlassian account id, display name, nickname, picture, and the primary e-mail address (confirmed if Bitbucket says so).",
	quirks:   []string{"Nicknames are not unique."},

	// https://developer.atlassian.com/cloud/bitbucket/oauth-2/
	refresh: refreshTokens{always: true},
}
