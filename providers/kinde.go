package providers

import "github.com/ginauth/ginauth"

// Kinde configures a business at Kinde. domain is its own, "kvarnbygd.kinde.com", or a custom
// one; the two have different issuers.
//
// User.Subject is the id of the user in the business: "kp_…".
func Kinde(domain, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "kinde", Preset: "kinde", DisplayName: "Kinde", Color: "#0f0f0f",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://docs.kinde.com/developer-tools/about/using-kinde-without-an-sdk
		// has the address of the metadata, the secret in the form, and PKCE.
		Issuer: "https://" + domain,

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		Err:        host("domain", domain),
		AuthMethod: "client_secret_post",

		// The ID token has name, picture and address; the page does not mention whether it is
		// verified. https://docs.kinde.com/build/tokens/about-id-tokens/
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",

		LoginParams: []string{"prompt", "login_hint"},

		// Not the standard's. redirect must equal one of the URLs of the application, so no
		// state can be added.
		Logout: ginauth.ProviderLogout{URL: "https://" + domain + "/logout?redirect={post_logout_redirect_uri}"},
	}
}

var presetKinde = preset{
	name: "kinde", function: "Kinde",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Kinde(arg["domain"], clientID, clientSecret)
	},
	args:     []argument{{name: "domain", env: "_DOMAIN", about: "the business's domain, or its custom one", example: "login.kvarnbygd.example"}},
	console:  "https://app.kinde.com/",
	register: "A *back-end web* application. The redirect URI is an *Allowed callback URL*, `BaseURL/logout/return` an *Allowed logout redirect URL*.",
	user:     "Id in the business, name, picture, and the e-mail address, verified if the ID token says so.",
	quirks: []string{
		"The sign-out returns to `AfterLogout`.",
		"`/login/kinde` forwards `prompt` and `login_hint`.",
	},

	// https://docs.kinde.com/build/tokens/refresh-tokens/: offline_access is ignored.
	// https://docs.kinde.com/build/tokens/configure-tokens/
	refresh: refreshTokens{
		scope: "offline",
		about: "It is valid for 15 days, or as set in the application. Revocation: `/oauth2/revoke`.",
	},

	// https://docs.kinde.com/developer-tools/your-apis/register-manage-apis
	// https://docs.kinde.com/machine-to-machine-applications/about-m2m/token-structure-and-claims-for-m2m-applications
	api: apiTokens{how: "register it under *Settings*, *APIs*: its *Audience* is `Audience`. Authorize the client for it; the client requests it with the parameter `audience`."},
}
