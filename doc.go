// Package ginauth lets people sign in to a Gin application with the accounts that
// they have elsewhere: through OpenID Connect, given the issuer's address, or
// plain OAuth 2.0.
//
//	auth, err := ginauth.Mount(app, ginauth.Options{
//		BaseURL:   "https://app.example.com",
//		Providers: []ginauth.Provider{providers.Google(id, secret)},
//		Keys:      []string{os.Getenv("SESSION_KEY")},
//	})
//	…
//	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
//		c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name)
//	})
//
// # What a login does
//
// If no user is signed in, [Auth.RequireAuth] redirects page loads to /login with
// the path to return to, and answers other requests with 401, since a login cannot
// happen behind a fetch. /login lets people choose a provider if there are several.
//
// /login/NAME starts a login: it generates a state, a nonce and a PKCE verifier,
// seals them into a cookie of their own that lives ten minutes, and redirects the
// browser to the provider.
//
// /authorize/NAME receives the provider's response; it is the redirect URI to
// register there. The state must belong to a login that this browser started with
// this provider, and must not have been used before. Then the code is redeemed
// with the verifier. With OpenID Connect the ID token is verified (signature,
// issuer, audience, times, nonce), and the userinfo endpoint is called for claims
// that it lacks; with plain OAuth 2.0 the profile is read and mapped. Either way
// the result is a [User], and from here on nothing depends on the provider.
//
// [Hooks.OnLogin] may add to the User, or refuse. Then a new session starts, also
// sealed into a cookie, and the browser returns to the path that it came from.
//
// On every later request RequireAuth opens the session, checks that it has neither
// expired nor been revoked, evaluates its [Check] arguments, and makes the User
// available through [CurrentUser]. A POST to [Auth.LogoutURL] ends the session and
// every copy of its cookie.
//
// # Where to look
//
// [Options] lists the settings, [Provider] what an identity provider can need,
// [Check] and [Hooks] where the application takes part, [Code] what can go wrong.
// Package providers has functions for well-known providers, package authtest a
// provider and a browser for tests, package redisstate what replicas share. The
// repository's example directory has a program to run and to copy.
//
// # What is yours to do
//
// Register the redirect URI at the provider: Mount logs it, and [Auth.Diagnose]
// says whether the rest fits. Store people by [User.ID], never by e-mail address or
// user name, which change hands. Set [Options.Keys], the same for every replica,
// and with several replicas a shared [Options.Revocations], since the default is
// this process's memory. Escape what a User contains, like any input.
package ginauth
