package providers

import "github.com/ginauth/ginauth"

// Salesforce configures one org of Salesforce, by OpenID Connect.
//
// domain is the org's domain (Setup, My Domain): kvarnbygd.my.salesforce.com; sandboxes and
// Experience Cloud sites have their own. login.salesforce.com does not work: it admits users
// of every org, and the issuer of their ID tokens is the domain of their org.
//
// User.Subject is a URL with the ids of org and user, which are never reassigned. User.ID
// changes with the domain.
func Salesforce(domain, clientID, clientSecret string) ginauth.Provider {
	return ginauth.Provider{
		Name: "salesforce", Preset: "salesforce", DisplayName: "Salesforce", Color: "#00a1e0",
		ClientID: clientID, ClientSecret: clientSecret, Err: host("domain", domain),

		// https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_using_openid_discovery_endpoint.htm
		// That tokens have the org's issuer is reported in
		// https://github.com/nextauthjs/next-auth/issues/11917.
		Issuer: "https://" + domain,

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// Of the two in the metadata, the one that the guide shows.
		// https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_web_server_flow.htm
		AuthMethod: "client_secret_post",

		// The ID token has the claims of these scopes if the app is configured so; otherwise
		// they come from userinfo.
		// https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_using_userinfo_endpoint.htm
		Scopes: []string{"openid", "profile", "email"},

		LoginParams: []string{"prompt", "login_hint"},
	}
}

var presetSalesforce = preset{
	name: "salesforce", function: "Salesforce",
	make: func(clientID, clientSecret string, arg arguments) ginauth.Provider {
		return Salesforce(arg["domain"], clientID, clientSecret)
	},
	args:     []argument{{name: "domain", env: "_DOMAIN", about: "the org's *My Domain*, of a sandbox or an Experience Cloud site too", example: "kvarnbygd.my.salesforce.com"}},
	console:  "https://login.salesforce.com/",
	register: "In *Setup*, *App Manager*, an external client app or connected app with OAuth switched on and the scopes `openid`, `profile` and `email`. The consumer key is the client id.",
	user:     "Stable id, name, user name, locale, picture, e-mail address (verified if Salesforce says so). `organization_id` is among the claims.",
	quirks:   []string{"`/login/salesforce` forwards `prompt` and `login_hint`."},

	// https://help.salesforce.com/apex/HTViewHelpDoc?id=remoteaccess_oauth_refresh_token_flow.htm
	// https://developer.salesforce.com/docs/atlas.en-us.apexcode.meta/api/apex_connector_oauth.htm
	refresh: refreshTokens{
		scope:   "refresh_token",
		console: "Give the app the scope *Perform requests at any time (refresh_token, offline_access)*.",
		about:   "How long it is valid is the app's refresh token policy. Each refresh returns a new one if rotation is on. Revocation: in the metadata.",
	},
}
