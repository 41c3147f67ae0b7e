package providers

import "github.com/ginauth/ginauth"

// Kinde is a business at Kinde. domain is its own, "kvarnbygd.kinde.com", or a
// custom one; tokens of the two have other issuers.
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

		// The ID token has name, picture and address; of a verified one the page does
		// not speak. https://docs.kinde.com/build/tokens/about-id-tokens/
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",

		LoginParams: []string{"prompt", "login_hint"},

		// Not the standard's, and redirect has to be one of the addresses that the
		// application has, to the letter: nothing can be passed on.
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
	user:     "Id in the business, name, picture, and the email address, verified if the ID token says so.",
	quirks: []string{
		"After the sign-out there, users return to `AfterLogout`.",
		"`/login/kinde` forwards `prompt` and `login_hint`.",
	},

	// https://docs.kinde.com/build/tokens/refresh-tokens/: offline_access is ignored.
	// https://docs.kinde.com/build/tokens/configure-tokens/
	refresh: refreshTokens{
		scope: "offline",
		about: "It is valid for 15 days, or as the application says. Revocation: `/oauth2/revoke`.",
	},

	// https://docs.kinde.com/developer-tools/your-apis/register-manage-apis
	// https://docs.kinde.com/machine-to-machine-applications/about-m2m/token-structure-and-claims-for-m2m-applications
	api: apiTokens{how: "register it under *Settings*, *APIs*: its *Audience* is `Audience`. Authorize the client for it, which asks by the parameter `audience`."},
}
