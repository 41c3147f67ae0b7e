// Package providers configures well-known identity providers for ginauth.Options.Providers.
//
//	Providers: []ginauth.Provider{
//		providers.Google(googleID, googleSecret),
//		providers.GitHub(githubID, githubSecret),
//		providers.OIDC("corp", "https://login.corp.example", corpID, corpSecret),
//	}
//
// Each function returns a plain [ginauth.Provider], whose fields can be changed before it is
// mounted: give a second client at the same provider another Name, and add scopes to Scopes.
// The doc comment of a function says what identifies a user (User.Subject), when the e-mail
// address counts as verified, and where groups come from.
//
//	google := providers.Google(id, secret)
//	google.LoginParams = nil // links choose no account
//
// [Offline] adds the request for a refresh token to any of them.
//
// [ByName] and [FromEnv] are for applications that read their providers from a file or the
// environment. docs/providers.md says for each provider how to register the application, and
// which data its users have.
//
// A provider without a function here needs none: with OpenID Connect its issuer is enough
// ([OIDC]), and plain OAuth 2.0 is a ginauth.Provider with its endpoints (see the example).
package providers
