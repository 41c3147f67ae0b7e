// Package providers has identity providers ready to put into
// ginauth.Options.Providers.
//
//	Providers: []ginauth.Provider{
//		providers.Google(googleID, googleSecret),
//		providers.GitHub(githubID, githubSecret),
//		providers.OIDC("corp", "https://login.corp.example", corpID, corpSecret),
//	}
//
// Each returns a plain ginauth.Provider, which can be changed before it is
// mounted and hides nothing: a second client at the same provider gets another
// Name, other scopes go into Scopes.
//
//	google := providers.Google(id, secret)
//	google.LoginParams = nil // links choose no account
//
// Offline makes any of them ask for a refresh token.
//
// ByName and FromEnv are for applications that are told by a file or the
// environment which providers there are. docs/providers.md says for each how to
// register the application there, and what its users have.
//
// A provider that is not here needs no function: with OpenID Connect its issuer
// is enough (OIDC), and plain OAuth 2.0 is a ginauth.Provider written by hand.
package providers
