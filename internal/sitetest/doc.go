// Package sitetest is the harness of the tests: a whole application with
// ginauth, a provider and a browser, over real HTTP on the loopback interface.
// Only tests import it.
//
// A test makes a Site, does something with its browser, and asserts what came of
// it:
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
// The application has a home page, and behind RequireAuth /me and /page/...,
// which answer with the user, and /admin for the group "admin"; Guard adds more.
// The provider is an authtest.Provider: Fail, Handle, EditIDToken and the like
// make it misbehave. All clocks are the Site's: Clock.Advance puts them forward,
// and no test sleeps.
//
// A sign-in can be stopped halfway. Begin returns the callback that the provider
// redirects to, With and Without forge it, and Finish opens it:
//
//	callback := s.Begin("/login/demo")
//	p := s.Finish(sitetest.With(callback, "iss", "https://evil.example"))
//	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
//
// FailsClosed asserts all that a refusal must hold, and is called for each. A
// Flow is a Site that also counts OnLogin and can be redeployed meanwhile;
// Refuses and Lands are its two outcomes. RefusesSignIn and AcceptsSignIn run
// a whole sign-in.
//
// New has variants: NewTLS (https), NewWith (another provider), NewPlain (plain
// OAuth 2.0), NewOutage (a provider that breaks), NewSession (what sessions do),
// NewStore (sessions in a store), NewLogout (sessions with a sid), NewFlow and
// its variants, and Proxy.Behind. Ask, Raw and Exactly send requests that no
// browser would; SignJWT and its neighbours make tokens that no provider would.
//
// Every Site watches for leaks: at the end of the test, package leaktest looks
// for its secrets in logs, pages, headers and addresses, and every event must be
// as documented. LeavesNothing does the same for goroutines.
package sitetest
