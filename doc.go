// Package ginauth adds sign-in with OpenID Connect and OAuth 2.0 providers to a Gin
// application: sessions, guards for routes, sign-out, and access tokens for its API.
//
// # Four ways to use it
//
// Sign-in with providers. [Mount] registers the login routes, [Auth.RequireAuth] guards the
// application's own routes, and [CurrentUser] returns the user:
//
//	auth, err := ginauth.Mount(app, ginauth.Options{
//		BaseURL:   "https://app.example.com",
//		Keys:      []string{os.Getenv("SESSION_KEY")}, // openssl rand -hex 32
//		Providers: []ginauth.Provider{providers.Google(id, secret)},
//	})
//	…
//	app.GET("/", auth.RequireAuth(), func(c *gin.Context) {
//		c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name)
//	})
//
// Local accounts. [Provider.LoginPage] makes a page of the application a provider, beside the
// others or alone. Its handler checks a password or a passkey and calls [Auth.SignIn]:
//
//	{Name: "password", Namespace: "https://app.example.com/accounts", LoginPage: "/password"}
//
// Sign-in without sessions. An application with its own sessions sets [Login.NoSession] in
// [Hooks.OnLogin] and writes the cookie; ginauth only completes the OAuth flow:
//
//	OnLogin: func(c *gin.Context, login *ginauth.Login) error {
//		login.NoSession = true
//		return startSession(c, login.User.ID())
//	}
//
// An API with access tokens. With a [Provider.Audience], guards that have a [HasScope] or
// [IsClient] check also accept the provider's access tokens (RFC 6750, RFC 9068). Without a
// ClientID the application is a resource server only: no login routes, no cookies.
//
//	{Name: "corp", Issuer: "https://login.corp.example", Audience: "https://api.example.com"}
//	…
//	app.GET("/api/reports", auth.RequireAuth(ginauth.HasScope("reports:read")), list)
//
// # What a sign-in does
//
// If no user is signed in, RequireAuth redirects page loads to /login with the path to return
// to, and answers other requests with 401. /login shows a page to choose a provider, or
// redirects to the only one.
//
// /login/NAME generates a state, a nonce and a PKCE verifier, seals them into a cookie that
// expires after ten minutes, and redirects the browser to the provider.
//
// /authorize/NAME is the redirect URI. The state must belong to a sign-in that this browser
// began with this provider, and is accepted once. The code is then redeemed with the verifier.
// With OpenID Connect the ID token is verified (signature, issuer, audience, times, nonce), and
// the userinfo endpoint supplies missing claims; with plain OAuth 2.0 the profile is fetched
// and mapped. The result is a [User]. [Hooks.OnLogin] may change or reject it; otherwise a
// session starts and the browser returns to the page that it came from.
//
// A POST to [Auth.LogoutURL] ends the session, and signs out at the provider if it supports
// that. [Mount] lists all routes.
//
// # Where sessions are stored
//
// By default the session is a sealed (encrypted and authenticated) cookie; [Options.Sessions]
// stores it in Redis or a database instead. It expires after 7 days, or 24 hours of inactivity.
// Revoked sessions are recorded in [Options.Revocations] and the provider's tokens in
// [Options.Tokens], by default both in the memory of this process: replicas must share them.
//
// # What the application must do
//
// Register the redirect URI, which Mount logs, at the provider; [Auth.Diagnose] checks the rest.
// Set [Options.Keys], the same for every replica. Key stored data by [User.ID], never by e-mail
// address or user name, which can be reassigned. Escape the fields of a User like any input.
//
// # What to read next
//
// [Options] and [Provider] list the settings, [Check] and [Hooks] the extension points, [Code]
// the errors. Package providers configures well-known providers, package authtest runs a
// provider and a browser for tests, package redisstate shares state between replicas. The
// repository has how-to guides in docs and a program to run in example.
package ginauth
