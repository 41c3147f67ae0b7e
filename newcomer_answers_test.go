package ginauth_test

import (
	"fmt"
	"testing"

	"github.com/gin-contrib/sessions/cookie"

	"github.com/ginauth/ginauth"
)

// newcomersWithAnswers are what comes back, and what does not.
func newcomersWithAnswers() []newcomer {
	return []newcomer{
		{"the person cancelled", told{
			change: func(s *site, _ *ginauth.Options) { s.idp.DenyConsent(true) },
			make:   comesBack, code: ginauth.ProviderDenied, level: "INFO",
			cause: `the provider answered "access_denied"`, fix: "nothing, if the person cancelled; if they did not, look at the provider for who may use this client",
		}.run},
		{"a session that is too large", tooMuch("")},
		{"a session that is too large for a store", tooMuch("store")},
		{"a loop", loopIsTold},
	}
}

// tooMuch is a session of so many groups that no cookie holds it.
func tooMuch(home string) func(t *testing.T) {
	return told{
		change: func(s *site, o *ginauth.Options) {
			if home == "store" {
				o.Sessions = cookie.NewStore([]byte(hexKey)) // 4096 bytes, after an encoding of its own
			}
			s.idp.EditIDToken(func(_, claims map[string]any) {
				groups := make([]string, 900)
				for i := range groups {
					groups[i] = fmt.Sprintf("/departments/%d/staff", i)
				}
				claims["groups"] = groups
			})
		},
		make: comesBack, code: ginauth.SessionError, level: "ERROR",
		cause: "groups", fix: "keep less: fewer KeepClaims, groups or data; or keep sessions in a store with more room (Options.Sessions)",
	}.run
}

// loopIsTold: TestALoopOfSignInsIsBroken has all the causes of one.
func loopIsTold(t *testing.T) {
	told{
		make: func(f *flow) string {
			for range 2 {
				f.get("/login/demo?return_to=/")
				losing("", false)(f.site)
			}
			return f.URL + "/login/demo"
		},
		code: ginauth.LoginLoop, level: "ERROR",
		cause: "this browser signed in 2 times within 10 seconds, and is sent to sign in again: it sends other cookies of ours, but never the one of the session",
		fix:   "look at the answer of /authorize in the browser's developer tools: they say why a cookie is refused",
	}.run(t)
}
