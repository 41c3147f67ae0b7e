package providers

import (
	"errors"

	"github.com/ginauth/ginauth"
)

// Google configures "Sign in with Google", for personal and Workspace accounts. Register the
// client as a web application at https://console.cloud.google.com/auth/clients.
//
// GoogleWorkspace admits the accounts of one organization.
//
// User.Subject is the numeric account id, which Google never reassigns; an e-mail address can
// change and be reassigned.
//
// For a refresh token, use Offline.
func Google(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "google", Preset: "google", DisplayName: "Google", Color: "#4285f4",
		ClientID: clientID, ClientSecret: clientSecret,

		// Google's second spelling, accounts.google.com without https://, is for clients from
		// before OpenID Connect, and is rejected.
		// https://developers.google.com/identity/openid-connect/reference#discovery-document
		Issuer: "https://accounts.google.com",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// The metadata names this and client_secret_basic. It is the one that
		// Google's guide shows, and that golang.org/x/oauth2/endpoints uses.
		// https://developers.google.com/identity/openid-connect/openid-connect#exchangecode
		AuthMethod: "client_secret_post",

		// The ID token has every claim of these scopes that Google supports: name, given_name,
		// family_name, picture, email, email_verified, hd. Userinfo has no more (locale was
		// removed from both), and would be called at every sign-in for the missing claims.
		Scopes:   []string{"openid", "email", "profile"},
		Userinfo: "never",

		// https://developers.google.com/identity/openid-connect/openid-connect#authenticationuriparameters
		LoginParams: []string{"prompt", "login_hint", "hd"},
	}
}

// GoogleWorkspace configures Google for the accounts of one Workspace domain, such as
// "example.com"; other users are rejected ([ginauth.ErrIdentityRejected]).
//
// The claim hd of the ID token is checked. An e-mail address at the domain is weaker evidence:
// a former member may have a personal account with that address, which remains verified. The
// parameter hd only shortens the list of accounts that Google shows.
func GoogleWorkspace(domain, clientID, clientSecret string) ginauth.Provider {
	p := Google(clientID, clientSecret)
	p.Name, p.Preset, p.Err = "google-workspace", "google-workspace", host("domain", domain)
	p.AuthParams = map[string]string{"hd": domain}
	p.LoginParams = []string{"prompt", "login_hint"}
	p.Admits = []string{"hd=" + domain}
	// https://developers.google.com/identity/openid-connect/openid-connect#hd-param:
	// the user can change the request, but not the token.
	p.VerifyClaims = func(claims map[string]any) error {
		if claims["hd"] != domain {
			return errors.New("not an account of the Workspace domain " + domain)
		}
		return nil
	}
	return p
}

// https://developers.google.com/identity/protocols/oauth2/web-server#offline
// https://developers.google.com/identity/protocols/oauth2#expiration
// Without prompt=consent, only the first sign-in of a user returns a refresh token.
var googleRefresh = refreshTokens{
	params: map[string]string{"access_type": "offline", "prompt": "consent"},
	about:  "It does not rotate. It is valid until the user revokes the permission or six months pass without a refresh; 7 days while the application is in *Testing*. Revocation: in the metadata.",
}

var presetGoogle = preset{
	name: "google", function: "Google", make: plain(Google), domains: []string{"googleapis.com"},
	console:  "https://console.cloud.google.com/auth/clients",
	register: "An OAuth client of the type *Web application*. On the page *Audience*, publish the app, or add test users.",
	user:     "Stable number, name, e-mail address (verified if Google says so), picture. `hd` is among the claims of Workspace accounts.",
	quirks: []string{
		"`/login/google` forwards `prompt`, `login_hint` and `hd`. `hd` is a hint: to admit one organization, use `google-workspace`.",
	},

	refresh: googleRefresh,
}

var presetGoogleWorkspace = preset{
	name: "google-workspace", function: "GoogleWorkspace", domains: []string{"googleapis.com"},
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return GoogleWorkspace(arg["domain"], clientID, clientSecret)
	},
	args:     []argument{{name: "domain", env: "_DOMAIN", about: "the organization's Workspace domain", example: "kvarnbygd.example"}},
	console:  "https://console.cloud.google.com/auth/clients",
	register: "An OAuth client of the type *Web application*. *Audience* may be *Internal*.",
	user:     "As for `google`.",
	quirks:   []string{"Admission is decided by the claim `hd` of the ID token, never by the e-mail address."},

	refresh: googleRefresh,
}
