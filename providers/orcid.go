package providers

import "github.com/ginauth/ginauth"

// ORCID configures "Sign in with ORCID", for researchers, by OpenID Connect.
//
// User.Subject is the ORCID iD, which is permanent: "0000-0002-1825-0097". Names are present
// unless the user hides them. There is no e-mail address.
//
// For the sandbox set Issuer to https://sandbox.orcid.org.
func ORCID(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "orcid", Preset: "orcid", DisplayName: "ORCID", Color: "#a6ce39",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://github.com/ORCID/ORCID-Source/blob/main/orcid-web/ORCID_AUTH_WITH_OPENID_CONNECT.md
		// has the secret in the form. It does not mention PKCE.
		Issuer: "https://orcid.org",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		AuthMethod: "client_secret_post",

		// ORCID supports no other scope of OpenID Connect, and this one includes the names; an
		// ID token of the code flow need not have them.
		Scopes:   []string{"openid"},
		Userinfo: "always",

		LoginParams: []string{"prompt", "max_age"},
	}
}

var presetORCID = preset{
	name: "orcid", function: "ORCID", make: plain(ORCID),
	console:  "https://orcid.org/developer-tools",
	register: "A client of the Public API.",
	user:     "The ORCID iD, and the name unless the user hides it. No picture, no e-mail address.",
	quirks:   []string{"`/login/orcid` forwards `prompt` (`login`, `none`) and `max_age`."},

	// https://github.com/ORCID/ORCID-Source/blob/main/orcid-api-web/tutorial/refresh_tokens.md
	// https://github.com/ORCID/ORCID-Source/blob/main/orcid-api-web/tutorial/revoke.md
	refresh: refreshTokens{
		always: true,
		about:  "Revocation: `https://orcid.org/oauth/revoke`, which revokes the access token too.",
	},
}
