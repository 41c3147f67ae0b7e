package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// Cognito configures a user pool of Amazon Cognito: region is its region, "eu-north-1", pool
// its id, "eu-north-1_AbCdEfGhI", and domain the domain of its sign-in pages,
// "kvarnbygd.auth.eu-north-1.amazoncognito.com" or its own.
//
// User.Subject is the account's id in the pool, and User.Groups are its groups there.
// cognito:username is not mapped: the name of a deleted account can be reassigned.
func Cognito(region, pool, domain, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "cognito", Preset: "cognito", DisplayName: "Amazon Cognito", Color: "#dd344c",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.aws.amazon.com/cognito/latest/developerguide/federation-endpoints.html
		Issuer: "https://cognito-idp." + region + ".amazonaws.com/" + pool,

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		Err: errors.Join(label("region", region), segment("pool", pool), host("domain", domain)),

		// https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
		AuthMethod: "client_secret_basic",

		// The ID token has every attribute that the client may read, and the groups, which
		// userinfo lacks.
		// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
		Scopes:     []string{"openid", "profile", "email"},
		Userinfo:   "never",
		ClaimPaths: map[string]string{"groups": "cognito:groups"},

		// A boolean in the documentation's ID token; a string in its userinfo, and in ID tokens
		// that markbates/goth has seen.
		EmailVerified: func(claims map[string]any) bool {
			return claims["email_verified"] == true || claims["email_verified"] == "true"
		},

		// https://docs.aws.amazon.com/cognito/latest/developerguide/authorization-endpoint.html
		LoginParams: []string{"prompt", "login_hint", "lang", "identity_provider", "idp_identifier"},

		// logout_uri must equal one of the client's sign-out URLs, so it cannot contain a state:
		// users return to AfterLogout.
		// https://docs.aws.amazon.com/cognito/latest/developerguide/logout-endpoint.html
		Logout: ginauth.ProviderLogout{URL: "https://" + domain + "/logout?client_id={client_id}&logout_uri={post_logout_redirect_uri}"},
	}
}

var presetCognito = preset{
	name: "cognito", function: "Cognito", domains: []string{"amazonaws.com", "aws.amazon.com"},
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Cognito(arg["region"], arg["pool"], arg["domain"], clientID, clientSecret)
	},
	args: []argument{
		{name: "region", env: "_REGION", about: "the pool's region", example: "eu-north-1"},
		{name: "pool", env: "_POOL", about: "the user pool's id", example: "eu-north-1_AbCdEfGhI"},
		{name: "domain", env: "_DOMAIN", about: "the domain of the pool's sign-in pages", example: "login.kvarnbygd.example"},
	},
	console:  "https://console.aws.amazon.com/cognito/v2/idp/user-pools",
	register: "An app client with a secret, the authorization code grant and the scopes `openid`, `profile` and `email`; `BaseURL/logout/return` is an *Allowed sign-out URL*. Allow the client to read the attributes `name`, `email`, `email_verified` and `picture`.",
	user:     "An id in the pool, name, picture, e-mail address (verified if the pool says so), and the pool's groups.",
	quirks: []string{
		"The sign-out returns to `AfterLogout`.",
		"A pool with open sign-up admits anyone.",
		"`/login/cognito` forwards `prompt`, `login_hint`, `lang`, `identity_provider` and `idp_identifier`.",
	},

	// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-refresh-token.html
	refresh: refreshTokens{
		always: true,
		about:  "It is valid for 30 days, or as set in the app client (1 hour to 10 years). Each refresh returns a new one if rotation is on; the old one is then valid for up to 60 seconds. Revocation: in the metadata.",
	},

	// https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-define-resource-servers.html
	// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ResourceServerScopeType.html
	api: apiTokens{how: "define a resource server in the pool, with scopes: its identifier is `Audience`. The client requests `IDENTIFIER/SCOPE`, which is the name for `HasScope`. There is an `aud` only if the client sends the identifier as `resource` (plans Essentials and Plus; not for programs); without it, such a scope identifies the API."},
}
