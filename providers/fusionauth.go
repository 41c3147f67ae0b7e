package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// FusionAuth configures a tenant of a FusionAuth server at host, by its id. The tenant's
// *Issuer* must be "https://HOST"; if it differs, set Issuer.
//
// User.Subject is the user's id. User.Groups are the roles in the application.
func FusionAuth(host, tenant, clientID, clientSecret string) ginauth.Provider {
	server := serverAt(host)
	return ginauth.Provider{
		Name: "fusionauth", Preset: "fusionauth", DisplayName: "FusionAuth", Color: "#f58320",
		ClientID: clientID, ClientSecret: clientSecret,
		Issuer: server,
		Err:    errors.Join(hostError(host), guid("tenant", tenant)),

		// Not discovered: the metadata at the server's root describes its first tenant.
		// https://fusionauth.io/docs/lifecycle/authenticate-users/oauth/endpoints
		AuthorizeURL: server + "/oauth2/authorize",
		TokenURL:     server + "/oauth2/token",
		UserinfoURL:  server + "/oauth2/userinfo",
		JWKSURL:      server + "/.well-known/jwks.json",
		Logout:       ginauth.ProviderLogout{EndSessionURL: server + "/oauth2/logout"},
		AuthParams:   map[string]string{"tenantId": tenant},
		AuthMethod:   "client_secret_basic",

		// Since version 1.24 the roles are only in userinfo.
		// https://fusionauth.io/docs/lifecycle/authenticate-users/oauth/tokens
		Scopes:     []string{"openid", "profile", "email"},
		ClaimPaths: map[string]string{"groups": "roles"},

		// All tenants of a server may have one issuer, and an application may belong to all
		// tenants. tid exists since version 1.36.
		Admits: []string{"tid=" + tenant},
		VerifyClaims: func(claims map[string]any) error {
			if claims["tid"] != tenant {
				return errors.New("not an account of the tenant " + tenant)
			}
			return nil
		},

		LoginParams: []string{"prompt", "login_hint", "max_age", "idp_hint", "locale"},
	}
}

var presetFusionAuth = preset{
	name: "fusionauth", function: "FusionAuth",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return FusionAuth(arg["host"], arg["tenant"], clientID, clientSecret)
	},
	args: []argument{
		{name: "host", env: "_HOST", about: "the server's host", example: "login.kvarnbygd.example"},
		{name: "tenant", env: "_TENANT", about: "the tenant's id", example: "7d2f0a41-93c5-4be8-8e17-a1b2c3d4e5f6"},
	},
	register: "An application with the grant *Authorization Code*, *Require authentication*, and under *JWT* an *Id token signing key* that is RSA or EC: the default signs with the client secret and is rejected. `BaseURL/logout/return` is another *Authorized redirect URL*. The tenant's *Issuer* is `https://HOST`.",
	user:     "A stable id, name, user name, picture, roles in the application, and an e-mail address (verified if the server says so).",
	quirks: []string{
		"FusionAuth admits every user of the tenant, registered for the application or not, unless it has *Require registration*.",
		"A tenant's default *Issuer* is `acme.com`.",
		"Servers before version 1.36 do not send the user's tenant, and every sign-in fails.",
		"`/login/fusionauth` forwards `prompt`, `login_hint`, `max_age`, `idp_hint` and `locale`.",
	},

	// https://fusionauth.io/docs/lifecycle/authenticate-users/oauth/tokens
	// The metadata has the scope.
	refresh: refreshTokens{scope: "offline_access"},

	// https://fusionauth.io/docs/v1/tech/oauth/tokens
	api: apiTokens{never: "their `aud` is the client ID, as in ID tokens"},
}
