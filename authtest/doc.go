// Package authtest provides an OpenID provider and a browser for tests, and for development
// without an account at a real provider.
//
// [Start] runs a [Provider] on a loopback port. It implements the protocol over real HTTP:
// discovery, the authorization endpoint with a page of users to sign in as, the token endpoint
// with PKCE, userinfo, keys, logout, the device grant (RFC 8628), and access tokens for APIs
// ([Bearer], [Provider.AccessToken]). It is as strict as a good provider and fails on request:
// [Provider.Fail] makes an endpoint unavailable or its responses invalid, the Edit methods
// change its responses, [Provider.Handle] replaces an endpoint, and [Provider.Requests]
// returns the requests it received.
//
// [NewBrowser] returns a [Browser] that behaves like a browser rather than an HTTP client: it
// applies SameSite, Secure and the __Host- prefix to cookies, sends Fetch-Metadata headers,
// and follows redirects with their initiator. A test of a login performs the steps of a user:
//
//	provider, err := authtest.Start(authtest.Config{})
//	…
//	provider.SignInAs("ada")
//	page, err := authtest.NewBrowser().Get(app.URL + "/private")
//
// Most tests of an application do not need a provider: [SignIn] gives a browser a session
// directly.
//
// # Sites
//
// Browsers distinguish sites by scheme and registrable domain, not by port: a provider and an
// application that both listen on 127.0.0.1 are one site and share their cookies. If the
// difference matters, give them different names: Config.Addr "idp.localhost:0" for the
// provider, and app.localhost or localhost for the application.
//
// # Not for production
//
// The provider does not ask for passwords. It listens only on loopback addresses, and its
// pages say that it is a test provider.
package authtest
