// Package sitetest is the harness of the tests: a whole application with
// ginauth, a provider and a browser, over real HTTP on the loopback interface.
// Only tests import it.
//
// A test creates a Site, uses its browser, and asserts the result:
//
//	func TestSignInOfAnAdmin(t *testing.T) {
//		t.Parallel()
//		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
//			s.IDP.SignInAs("grace") // instead of Ada
//			o.AfterLogin = "/page/welcome"
//		})
//		s.SignIn()
//		s.WantError(s.Open("/admin"), ginauth.ErrForbidden)
//	}
//
// The application has a home page, and behind RequireAuth the routes /me and /page/..., which
// respond with the user, and /admin for the group "admin". Guard adds more. The provider is an
// authtest.Provider: Fail, Handle, EditIDToken and similar methods make it misbehave. All clocks are
// that of the Site: Clock.Advance sets it forward, and no test sleeps.
//
// A sign-in can be stopped halfway. Begin returns the callback that the provider
// redirects to, With and Without forge it, and Finish opens it:
//
//	callback := s.Begin("/login/demo")
//	p := s.Finish(sitetest.With(callback, "iss", "https://evil.example"))
//	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
//
// FailsClosed asserts all properties of a refusal, and is called for every refusal. A Flow is a Site
// that also counts calls of OnLogin and can be redeployed during a sign-in; Refuses and Lands assert
// its outcomes. RefusesSignIn and AcceptsSignIn run a whole sign-in.
//
// New has variants: NewTLS (https), NewWith (another provider), NewPlain (plain OAuth 2.0), NewOutage
// (provider outages), NewSession (tests of sessions), NewStore (sessions in a store), NewLogout
// (sessions with a sid), NewFlow and its variants, and Proxy.Behind. Ask, Raw and Exactly send
// requests that no browser would; SignJWT and similar functions make tokens that no provider would.
//
// Every Site watches for leaks: at the end of the test, package leaktest searches for its secrets in
// logs, pages, headers and URLs. Every event must be as documented. LeavesNothing watches for leaked
// goroutines.
package sitetest
