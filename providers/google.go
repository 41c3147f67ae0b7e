package providers

import "github.com/ginauth/ginauth"

// Google is "Sign in with Google", for personal and Workspace accounts.
// Register the client as a web application at
// https://console.cloud.google.com/auth/clients.
//
// To admit one Workspace domain, keep the claim hd and check it, with
// RequireAuth(ginauth.HasClaim("hd", "example.com")), or refuse at the login:
//
//	google.VerifyClaims = func(claims map[string]any) error {
//		if claims["hd"] != "example.com" {
//			return errors.New("not an account of example.com")
//		}
//		return nil
//	}
//
// An e-mail address at that domain proves less: anybody may have opened a
// personal account with an address that was theirs at the time, and it stays
// verified after it was taken from them. The parameter hd, which /login/google
// passes on, only shortens the list of accounts that Google shows.
//
// User.Subject is the account's number, which Google never gives to anybody
// else; an e-mail address may change, and change hands.
//
// For a refresh token, set AuthParams to {"access_type": "offline", "prompt":
// "consent"}.
func Google(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "google", DisplayName: "Google",
		ClientID: clientID, ClientSecret: clientSecret,

		// Google's second spelling, accounts.google.com without https://, is of
		// clients from before OpenID Connect, and is refused.
		// https://developers.google.com/identity/openid-connect/reference#discovery-document
		Issuer: "https://accounts.google.com",

		// The metadata names this and client_secret_basic. It is the one that
		// Google's guide shows, and that golang.org/x/oauth2/endpoints uses.
		// https://developers.google.com/identity/openid-connect/openid-connect#exchangecode
		AuthMethod: "client_secret_post",

		// The ID token has every claim that these scopes ask for and Google has:
		// name, given_name, family_name, picture, email, email_verified, hd.
		// Userinfo has no more (locale is gone from both), and would be asked
		// each time for what is missing.
		Scopes:   []string{"openid", "email", "profile"},
		Userinfo: "never",

		// https://developers.google.com/identity/openid-connect/openid-connect#authenticationuriparameters
		LoginParams: []string{"prompt", "login_hint", "hd"},
	}
}
