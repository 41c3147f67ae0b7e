package providers

import (
	"net/url"

	"github.com/ginauth/ginauth"
)

// Nextcloud configures "Sign in with Nextcloud", for a server at the root of host:
// "cloud.example.com", by the OAuth 2.0 that every Nextcloud supports. For a server with an
// OpenID Connect app use [OIDC] with the issuer that the app shows; its User.ID differs.
//
// User.Subject is the user id, which Nextcloud never renames. An administrator can create an
// account with the id of a deleted one: delete the data of the first account before.
// User.Groups are the ids of the groups.
//
// An access token of Nextcloud has no scopes and grants access to the whole account, including
// files. ginauth fetches the profile with it and does not store it.
func Nextcloud(host, clientID, clientSecret string) ginauth.Provider {
	server := serverAt(host)
	return ginauth.Provider{
		Name: "nextcloud", Preset: "nextcloud", DisplayName: "Nextcloud", Color: "#0082c9",
		ClientID: clientID, ClientSecret: clientSecret, Err: hostError(host),

		// With /index.php these exist on every server, without it only on servers with pretty
		// URLs.
		// https://docs.nextcloud.com/server/latest/admin_manual/configuration_server/oauth2.html
		AuthorizeURL: server + "/index.php/apps/oauth2/authorize",
		TokenURL:     server + "/index.php/apps/oauth2/api/v1/token",
		Namespace:    server,
		AuthMethod:   "client_secret_post",

		// The header is required for requests that do not come from a page of Nextcloud:
		// https://docs.nextcloud.com/server/latest/developer_manual/client_apis/OCS/ocs-api-overview.html
		Quirks:     ginauth.Quirks{Header: map[string]string{"OCS-APIRequest": "true"}},
		Profile:    profileAt(server+"/ocs/v2.php/cloud/user?format=json", nextcloudProfile(server)),
		ClaimPaths: map[string]string{"sub": "ocs.data.id", "preferred_username": "ocs.data.id", "email": "ocs.data.email", "locale": "ocs.data.language", "groups": "ocs.data.groups"},

		// The profile does not say whether the address is verified: an administrator may have
		// entered it.
	}
}

// nextcloudProfile adds the name and the picture. In this response of the API the name may be
// called display-name.
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
	user:     "The user id, name, picture, language, groups, and an e-mail address that counts as unverified.",
	quirks: []string{
		"A user ID is never renamed. Do not reuse the ID of a deleted account: ginauth would treat it as the same user.",
		"An access token gives access to the whole account, including files: store it securely if `OnLogin` keeps it.",
		"With an OpenID Connect app on the server, use `oidc` with the issuer that the app shows.",
	},

	// This is not documented, but in the source:
	// https://github.com/nextcloud/server/blob/master/apps/oauth2/lib/Controller/OauthApiController.php
	refresh: refreshTokens{always: true, about: "Each refresh returns a new one and invalidates the old one and its access token."},
}
