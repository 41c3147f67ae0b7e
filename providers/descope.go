package providers

import "github.com/ginauth/ginauth"

// Descope configures the default OIDC application of a project at Descope, whose client id is
// the project's: "P2abc…", and whose secret is an access key. For another application, or
// another region, set Issuer to what its page in the console shows.
//
// User.Subject is the id of the user in the project.
func Descope(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "descope", Preset: "descope", DisplayName: "Descope", Color: "#00acee",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.descope.com/getting-started/oidc-endpoints, which has PKCE too.
		// Auth.js has the same issuer.
		Issuer: "https://api.descope.com/" + clientID,

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		Err: segment("ClientID", clientID),

		// The default of the standard, which Auth.js also uses.
		AuthMethod: "client_secret_basic",

		// descope.claims would add roles and tenants.
		Scopes: []string{"openid", "profile", "email"},
	}
}

var presetDescope = preset{
	name: "descope", function: "Descope", make: plain(Descope),
	console:  "https://app.descope.com/applications",
	register: "The default OIDC application, which already exists. Its client ID is the project's ID, its secret an access key (*Access Keys*). The host of the redirect URI is one of the project's *Approved Domains*.",
	user:     "Id in the project, name, picture, e-mail address (verified if Descope says so).",
	quirks:   []string{"With the scope `descope.claims` roles are in the claim `roles`: set `ClaimPaths[\"groups\"]` to it."},

	// https://docs.descope.com/getting-started/oidc-endpoints does not mention refresh tokens;
	// this preset is not for inbound applications, which have them.
	refresh: refreshTokens{unknown: true},
}
