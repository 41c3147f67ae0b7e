package providers

import "github.com/ginauth/ginauth"

// LinkedIn configures "Sign in with LinkedIn using OpenID Connect".
//
// User.Subject identifies the member within this application; other applications get another
// id. LinkedIn has neither a nonce nor PKCE for web applications; only the state binds a
// response to the browser.
func LinkedIn(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "linkedin", Preset: "linkedin", DisplayName: "LinkedIn", Color: "#0a66c2",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://www.linkedin.com/oauth/.well-known/openid-configuration has named
		// this issuer since April 2024. The documentation's example of an ID token has the
		// previous one.
		Issuer: "https://www.linkedin.com/oauth",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow
		AuthMethod: "client_secret_post",

		// https://learn.microsoft.com/en-us/linkedin/consumer/integrations/self-serve/sign-in-with-linkedin-v2
		// lists the claims of the ID token: all claims of these scopes, and no nonce.
		Scopes:   []string{"openid", "profile", "email"},
		Userinfo: "never",

		// The token endpoint answers invalid_client to a code_verifier; PKCE is for native
		// applications, at another URL. This is undocumented, but often reported, as in
		// https://github.com/teamhanko/hanko/pull/2405.
		Quirks: ginauth.Quirks{DisablePKCE: true, DisableNonce: true},

		// A boolean, or a string, as in the documentation's example.
		EmailVerified: func(claims map[string]any) bool {
			return claims["email_verified"] == true || claims["email_verified"] == "true"
		},
	}
}

var presetLinkedIn = preset{
	name: "linkedin", function: "LinkedIn", make: plain(LinkedIn),
	console:  "https://www.linkedin.com/developers/apps",
	register: "Under *Products* request *Sign In with LinkedIn using OpenID Connect*; the redirect URI goes under *Auth*.",
	user:     "An id for this member and application, name, picture, e-mail address (verified if LinkedIn says so).",
	quirks:   []string{"Nonce and PKCE are off: LinkedIn does not return a nonce and rejects PKCE."},

	// https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens
	refresh: refreshTokens{
		console: "LinkedIn issues one to approved partners (Marketing Developer Platform) only.",
		about:   "It is valid for a year after the sign-in, however often it is used.",
	},
}
