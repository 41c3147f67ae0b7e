package providers

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
)

// hubspotVersion is the prefix of the endpoints. HubSpot dates each version, and retires the
// undated ones, which older applications use, in 2027.
// https://developers.hubspot.com/docs/api-reference/latest/authentication/oauth-tokens/token-introspect
const hubspotVersion = "https://api.hubapi.com/oauth/2026-03/token"

// HubSpot configures "Sign in with HubSpot", as plain OAuth 2.0: signing in installs the
// application in one of the user's accounts.
//
// User.Subject is the user's number. The claim hub_id is the chosen account. Name and Email
// are the address that the user signs in with at HubSpot, which does not report whether it is
// verified.
//
// The secret is also in Profile, since HubSpot identifies the user of a token only to the
// application: do not change ClientSecret afterwards; create another Provider.
func HubSpot(clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "hubspot", Preset: "hubspot", DisplayName: "HubSpot", Color: "#ff7a59",
		ClientID: clientID, ClientSecret: clientSecret,

		// https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/working-with-oauth
		AuthorizeURL: "https://app.hubspot.com/oauth/authorize",
		TokenURL:     hubspotVersion,
		AuthMethod:   "client_secret_post",
		Namespace:    "https://app.hubspot.com",

		Scopes: []string{"oauth"},

		Profile:    hubspotProfile(clientID, clientSecret),
		ClaimPaths: map[string]string{"sub": "user_id", "name": "user", "email": "user"},

		// No member of the response is documented to mean this.
		EmailVerified: func(map[string]any) bool { return false },
	}
}

// hubspotProfile introspects the token to identify its user (RFC 7662). The older request has
// the token in the URL.
func hubspotProfile(clientID, clientSecret string) profile {
	return func(ctx context.Context, client *http.Client, token *oauth2.Token) (map[string]any, error) {
		form := url.Values{"client_id": {clientID}, "client_secret": {clientSecret}, "token": {token.AccessToken}, "token_type_hint": {"access_token"}}
		claims, err := postForObject(ctx, client, hubspotVersion+"/introspect", "application/x-www-form-urlencoded", form.Encode())
		if err == nil && claims["active"] != true {
			err = &ginauth.Error{Code: ginauth.ErrIdentityRejected, Reason: "HubSpot no longer accepts the access token", Fix: "start again"}
		}
		return claims, err
	}
}

var presetHubSpot = preset{
	name: "hubspot", function: "HubSpot", make: plain(HubSpot), domains: []string{"hubapi.com"},
	console:  "https://app.hubspot.com/developer-projects",
	register: "An app with OAuth, and `oauth` as its only required scope; add any other required scope to `Scopes` too.",
	user:     "Stable number, and the login address, as name and e-mail address; it is never verified. The claim `hub_id` is the account.",
	quirks:   []string{"To sign in, users install the application in one of their accounts, which may need permission."},

	// https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/working-with-oauth
	refresh: refreshTokens{always: true},
}
