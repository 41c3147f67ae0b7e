package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// PingOne configures an environment of PingOne. domain is its region's, "auth.pingone.com",
// "auth.pingone.eu", "auth.pingone.ca", "auth.pingone.asia", "auth.pingone.com.au" or
// "auth.pingone.sg", and environment its id. With a custom domain, set Issuer to
// "https://DOMAIN/as".
//
// User.Subject is the user's id, unless the application maps another attribute to sub.
func PingOne(domain, environment, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "pingone", Preset: "pingone", DisplayName: "PingOne", Color: "#b3282d",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developer.pingidentity.com/pingone-api/auth/openid-connect-oauth-2.html
		Issuer: "https://" + domain + "/" + environment + "/as",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		Err: errors.Join(host("domain", domain), guid("environment", environment)),

		// The method of an application of the type OIDC Web App.
		AuthMethod: "client_secret_basic",

		// acr_values, which chooses a sign-on policy, belongs in AuthParams.
		Scopes:      []string{"openid", "profile", "email"},
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age"},

		// https://developer.pingidentity.com/pingone-api/auth/openid-connect-oauth-2/signoff.html
		// It identifies the application by id_token_hint, which is sent by default;
		// post_logout_redirect_uri must be one of the application's URLs.
	}
}

// PingFederate configures a PingFederate server at host: "login.example.com",
// "login.example.com:9031". If its base URL has a path or the issuer is configured
// differently, set Issuer.
//
// User.Subject is the sub of the OpenID Connect policy: make sure that it is a stable id. The
// policy defines all other claims, too.
func PingFederate(host, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "pingfederate", Preset: "pingfederate", DisplayName: "PingFederate", Color: "#b3282d",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.pingidentity.com/pingfederate/latest/developers_reference_guide/pf_openid_provider_config_endpoint.html
		Issuer: serverAt(host),
		Err:    hostError(host),

		// The metadata names several; a client with a secret may use both methods with a secret.
		AuthMethod: "client_secret_basic",

		Scopes:      []string{"openid", "profile", "email"},
		LoginParams: []string{"prompt", "login_hint", "ui_locales", "max_age"},
	}
}

var presetPingOne = preset{
	name: "pingone", function: "PingOne",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return PingOne(arg["domain"], arg["environment"], clientID, clientSecret)
	},
	args: []argument{
		{name: "domain", env: "_DOMAIN", about: "the region's domain: `auth.pingone.com`, `auth.pingone.eu`, …", example: "login.kvarnbygd.example"},
		{name: "environment", env: "_ENVIRONMENT", about: "the environment's id", example: "4b7c1e02-5f3a-4d68-9a1b-2c3d4e5f6a7b"},
	},
	console:  "https://console.pingone.com/",
	domains:  []string{"pingone.com"},
	register: "An application *OIDC Web App* with the grant *Authorization Code*, the method *Client Secret Basic* and the scopes `profile` and `email`. `BaseURL/logout/return` is among its *Signoff URLs*.",
	user:     "An id in the environment, name, user name, locale, and an e-mail address. It is verified if your mapping sends `email_verified`.",
	quirks: []string{
		"For groups add an attribute mapping from *Group Names* to `groups`, and set `ClaimPaths[\"groups\"]` to `groups`.",
		"With a custom domain, set `Issuer` to `https://DOMAIN/as`.",
		"`/login/pingone` forwards `prompt`, `login_hint`, `ui_locales` and `max_age`.",
	},

	// https://developer.pingidentity.com/pingone-api/workflow-library/application-management/configure-an-application-to-use-the-offline-access-scope.html
	refresh: refreshTokens{
		scope:   "offline_access",
		console: "Give the application the grant *Refresh Token* and, among its resources, the scope `offline_access`.",
		about:   "Revocation: in the metadata.",
	},

	// https://developer.pingidentity.com/pingone-api/platform/resources/resource-scopes.html
	// https://developer.pingidentity.com/pingone-api/workflow-library/authorization-and-authentication/token-fulfillment/step-15-token-introspection.html
	api: apiTokens{how: "define a custom resource, with scopes: its audience is `Audience`. The client requests its scopes, and no scopes of the PingOne API with them."},
}

var presetPingFederate = preset{
	name: "pingfederate", function: "PingFederate",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return PingFederate(arg["host"], clientID, clientSecret)
	},
	args:     []argument{{name: "host", env: "_HOST", about: "the server's host", example: "login.kvarnbygd.example"}},
	register: "An OAuth client with a client secret, the grant *Authorization Code* and an ID token signed with RS256 or ES256.",
	user:     "The claims that the OpenID Connect policy grants.",
	quirks: []string{
		"The policy defines the subject: use an ID, never a user name or an e-mail address.",
		"Signing out redirects to the server only if its metadata has an `end_session_endpoint`.",
		"`/login/pingfederate` forwards `prompt`, `login_hint`, `ui_locales` and `max_age`.",
	},

	// https://docs.pingidentity.com/r/en-us/pingfederate-100/help_authorizationserversettingstasklet_oauthauthorizationserversettingsstate
	refresh: refreshTokens{
		console: "Give the client the grant *Refresh Token*.",
		about:   "Settings of the authorization server and the client determine how long it is valid, and whether a refresh returns a new one. Revocation: in the metadata.",
	},

	// https://docs.pingidentity.com/pingfederate/latest/administrators_reference_guide/pf_defining_access_token_attribute_contract.html
	// https://docs.pingidentity.com/pingfederate/latest/administrators_reference_guide/help_beareraccesstokenmgmtplugintasklet_atmselectionsettingsstate.html
	// https://docs.pingidentity.com/pingfederate/11.2/developers_reference_guide/pf_userinfo_endpoint.html
	api: apiTokens{how: "create an access token manager that issues JWTs, with the issuer, `Audience` and `client_id` as the name of the client ID in its settings, and `sub` in its contract. The client selects it with the parameter `aud`."},
}
