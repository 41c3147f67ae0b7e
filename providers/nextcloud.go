package providers

import (
	"net/url"

	"github.com/ginauth/ginauth"
)

// Nextcloud is "Sign in with Nextcloud", for a server at the root of host:
// "cloud.example.com", by the OAuth 2.0 that every Nextcloud has. One with an
// OpenID Connect app is an OIDC provider with the issuer that the app shows; its
// User.ID is another.
//
// User.Subject is the user id, which Nextcloud never renames, and there is no
// other. Only after deleting an account can an administrator create another one
// with the same id: do not, or delete what you keep of the first. User.Groups are
// the groups' ids.
//
// An access token of Nextcloud has no scopes and opens the whole account, files
// included. ginauth asks for the profile with it and does not keep it.
func Nextcloud(host, clientID, clientSecret string) ginauth.Provider {
	server := serverAt(host)
	return ginauth.Provider{
		Name: "nextcloud", Preset: "nextcloud", DisplayName: "Nextcloud", Color: "#0082c9",
		ClientID: clientID, ClientSecret: clientSecret, Err: hostError(host),

		// With /index.php they are there on every server; without, on those with
		// pretty URLs alone.
		// https://docs.nextcloud.com/server/latest/admin_manual/configuration_server/oauth2.html
		AuthorizeURL: server + "/index.php/apps/oauth2/authorize",
		TokenURL:     server + "/index.php/apps/oauth2/api/v1/token",
		Namespace:    server,
		AuthMethod:   "client_secret_post",

		// The header is required of whoever asks without a page of Nextcloud's:
		// https://docs.nextcloud.com/server/latest/developer_manual/client_apis/OCS/ocs-api-overview.html
		Quirks:     ginauth.Quirks{Header: map[string]string{"OCS-APIRequest": "true"}},
		Profile:    profileAt(server+"/ocs/v2.php/cloud/user?format=json", nextcloudProfile(server)),
		ClaimPaths: map[string]string{"sub": "ocs.data.id", "preferred_username": "ocs.data.id", "email": "ocs.data.email", "locale": "ocs.data.language", "groups": "ocs.data.groups"},

		// Nothing says whether the address is verified: an administrator may have
		// entered it.
	}
}

// nextcloudProfile names the name and the picture. The name has been called
// display-name in this one answer of the API.
// https://docs.nextcloud.com/server/latest/developer_manual/client_apis/OCS/ocs-api-overview.html#user-metadata
func nextcloudProfile(server string) func(map[string]any) error {
	return func(claims map[string]any) error {
		put(claims, "name", textAt(claims, "ocs.data.displayname", "ocs.data.display-name"))
		if id := textAt(claims, "ocs.data.id"); id != "" {
			claims["picture"] = server + "/index.php/avatar/" + url.PathEscape(id) + "/512"
		}
		return nil
	}
}

var presetNextcloud = preset{
	name: "nextcloud", function: "Nextcloud",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Nextcloud(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the server's host", example: "cloud.kvarnbygd.example"}},
	register: "An OAuth 2.0 client, under *Administration settings*, *Security*.",
	user:     "The user id, name, picture, language, groups, and an email address that does not count as verified.",
	quirks: []string{
		"The user id is never renamed. After deleting an account, do not create another one with its id: it would be the same user here.",
		"An access token opens the whole account, files included: if `OnLogin` keeps it, keep it safe.",
		"With an OpenID Connect app on the server, use `oidc` with the issuer that the app shows.",
	},

	// The documentation says nothing of it, the source does:
	// https://github.com/nextcloud/server/blob/master/apps/oauth2/lib/Controller/OauthApiController.php
	refresh: refreshTokens{always: true, about: "Each use returns a new one and invalidates the old one and its access token."},
}
