package providers

import "github.com/ginauth/ginauth"

// HuggingFace configures "Sign in with Hugging Face", by OpenID Connect.
//
// User.Subject is the account's id. User.Username can be changed.
func HuggingFace(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "huggingface", Preset: "huggingface", DisplayName: "Hugging Face", Color: "#ffd21e",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://huggingface.co/docs/hub/oauth
		Issuer: "https://huggingface.co",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// https://huggingface.co/docs/hub/spaces-oauth has the secret in the header.
		AuthMethod: "client_secret_basic",

		Scopes: []string{"openid", "profile", "email"},
	}
}

var presetHuggingFace = preset{
	name: "huggingface", function: "HuggingFace", make: plain(HuggingFace),
	console:  "https://huggingface.co/settings/applications/new",
	register: "An OAuth app with the scopes `openid`, `profile` and `email`.",
	user:     "Stable id, name, user name, picture, e-mail address (verified if Hugging Face says so).",
	quirks: []string{
		"The claim `orgs` has the organizations, each with `sub` and `roleInOrg`: check it in `OnLogin`, or keep it with `KeepClaims`.",
	},

	// https://huggingface.co/docs/hub/oauth
	refresh: refreshTokens{never: "Hugging Face has no refresh tokens", fix: withoutOne},
}
