// Package authtest is an OpenID provider and a browser for tests, and for
// development on a machine that has no account anywhere.
//
// [Start] runs a [Provider] on a loopback port. It speaks the whole protocol
// over real HTTP: discovery, the authorization endpoint with a page of people
// to sign in as, the token endpoint with PKCE, userinfo, keys and logout; devices
// that a person allows on a page (RFC 8628), and access tokens for the APIs of
// Config.APIs. It is
// as strict as a good provider is, and it breaks on request: [Provider.Fail]
// takes an endpoint down or makes it lie, the Edit methods change what it says,
// [Provider.Handle] takes an endpoint over, and [Provider.Requests] shows what
// it was asked.
//
// [NewBrowser] gives a [Browser] that does what browsers do and HTTP clients do
// not: SameSite, Secure and the __Host- prefix decide which cookies are sent,
// Fetch-Metadata headers say who asked, redirects keep track of who began them.
// A test of a login is then what a person would do:
//
//	provider, err := authtest.Start(authtest.Config{})
//	…
//	provider.SignInAs("ada")
//	page, err := authtest.NewBrowser().Get(app.URL + "/private")
//
// Most tests of an application do not need the trip to a provider: [SignIn]
// puts a session straight into a browser.
//
// # Sites
//
// A browser tells sites apart by scheme and registrable domain, not by port: a
// provider and an application that both listen on 127.0.0.1 are one site and
// share their cookies. Where the difference matters, give them names of their
// own: Config.Addr "idp.localhost:0" for the provider, and app.localhost or
// localhost for the application.
//
// # Not for production
//
// The provider asks nobody for a password. It listens on loopback addresses
// alone and says on its pages what it is.
package authtest
