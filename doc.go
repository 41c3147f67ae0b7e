// Package ginauth lets people sign in to a Gin application with the accounts
// they have elsewhere: OpenID Connect by the issuer's address alone, and plain
// OAuth 2.0.
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
// RequireAuth finds nobody signed in. A page is redirected to /login with the
// path to come back to; anything else is told 401, since a login cannot happen
// behind a fetch. /login lets people choose a provider, if there are several.
//
// /login/NAME makes a login attempt: a state, a nonce and a PKCE verifier, all
// random, sealed into a cookie of their own that lives ten minutes. Then it
// sends the browser to the provider.
//
// /authorize/NAME is where the provider sends it back, and the redirect URI to
// register there. The state must name an attempt of this browser, with this
// provider, that was never used before. Then the code is redeemed with the
// verifier. With OpenID Connect the ID token is verified (signature, issuer,
// audience, times, nonce), and the userinfo endpoint is asked for what the
// token lacks; with plain OAuth 2.0 the profile is read and mapped. Either way
// the result is a User, and from here on nothing knows which provider it was.
//
// Hooks.OnLogin may enrich the User, or refuse. Then a new session begins, also
// sealed into a cookie, and the browser goes to the path that it came from.
//
// On every later request RequireAuth opens the session, looks whether it is
// over or was signed out, asks its Checks, and puts the User where CurrentUser
// finds it. POST /logout ends the session and every copy of its cookie.
//
// # Where to look
//
// Options says what there is to set, Provider what an identity provider can
// need, Check and Hooks where the application has a say, Code what can go
// wrong. Package providers has providers ready to use, package authtest a
// provider and a browser for tests. The repository's example directory has a
// program to run and to copy.
//
// # What is yours to do
//
// Register the redirect URI at the provider; Mount logs it, and Diagnose says
// whether the rest fits. Store people by
// User.ID, never by e-mail address or user name, which change hands. Set
// Options.Keys, the same for every replica, and with several replicas a shared
// Options.Revocations, since the default is this process's memory. Escape what
// a User brings, as any input.
package ginauth
