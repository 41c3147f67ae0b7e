package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// Okta configures "Sign in with Okta", for the users of one organization. domain is the
// organization's domain: "kvarnbygd.okta.com", or a custom one. server is the id of a custom
// authorization server, such as "default"; "" is the organization's own. The two have different
// issuers and so a different User.ID: choose one and keep it.
//
// User.Subject is the user's id in the organization.
func Okta(domain, server, clientID, clientSecret string) ginauth.Provider {
	p := ginauth.Provider{
		Name: "okta", Preset: "okta", DisplayName: "Okta", Color: "#007dc1",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developer.okta.com/docs/concepts/auth-servers/
		Issuer: "https://" + domain,

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		Err: host("domain", domain),

		// The default of a web application:
		// https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Application/
		AuthMethod: "client_secret_basic",

		// If there is an access token, the ID token has little more than the subject; the
		// profile is in userinfo, which is then called.
		// https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/
		Scopes: []string{"openid", "profile", "email"},

		// https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/OrgAS/
		LoginParams: []string{"prompt", "login_hint", "idp", "max_age"},

		// Okta requires id_token_hint, which is sent by default:
		// https://support.okta.com/help/s/article/the-purpose-of-id-token-hint-in-the-logout-api-and-how-does-it-affect-the-single-logout-process
	}
	if server != "" {
		p.Issuer += "/oauth2/" + server
		p.Err = errors.Join(p.Err, segment("server", server))
	}
	return p
}

var presetOkta = preset{
	name: "okta", function: "Okta",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Okta(arg["domain"], arg["server"], clientID, clientSecret)
	},
	args: []argument{
		{name: "domain", env: "_DOMAIN", about: "the organization's domain, without `-admin`", example: "login.kvarnbygd.example"},
		{name: "server", env: "_SERVER", optional: true, about: "the id of a custom authorization server; default: the organization's authorization server", example: "default"},
	},
	register: "An app integration of the type *OIDC - OpenID Connect*, *Web Application*, with `BaseURL/logout/return` among its *Sign-out redirect URIs*, and users or groups assigned to it.",
	user:     "An id in the organization, name, user name, locale, e-mail address (verified if the organization says so).",
	quirks: []string{
		"For groups add `groups` to `Scopes`, and a groups claim to the app or the authorization server.",
		"The organization's server and a custom one have different issuers, so the same person has another `User.ID()`.",
		"`/login/okta` forwards `prompt`, `login_hint`, `idp` and `max_age`.",
	},

	// https://developer.okta.com/docs/guides/refresh-tokens/main/
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Give the application the grant *Refresh Token*.",
		about:   "It does not expire, unless the access policy sets an expiry. Each refresh returns a new one if *Rotate token after every use* is on; the old one is then valid for 30 seconds.",
	},

	// https://developer.okta.com/docs/guides/validate-access-tokens/go/overview/
	// https://support.okta.com/help/s/article/Signature-Validation-Failed-on-Access-Token
	api: apiTokens{how: "from a custom authorization server, which has the scopes and the audience of the API. The tokens of the organization's authorization server are for Okta only. The scopes are in `scp`, as a list. `User.Subject` is the claim `uid`: `sub` is the login name."},
}
