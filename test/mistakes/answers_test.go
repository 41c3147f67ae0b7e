package mistakes

import (
	"fmt"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/cookie"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// mistakesInAnswers are what comes back, and what does not. More of why an
// answer finds no attempt is in TestStateInvalidDiagnosis.
func mistakesInAnswers() []commonMistake {
	return []commonMistake{
		{"the person cancelled", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.DenyConsent(true) },
			make:   comesBack, code: ginauth.ErrProviderDenied, level: "INFO",
			cause: `the provider answered "access_denied"`, fix: "nothing, if the person cancelled; if they did not, look at the provider for who may use this client",
		}.run},
		{"a sign-in that took too long", told{
			make: func(f *sitetest.Flow) string {
				callback := f.Begin("/login/demo")
				f.Clock.Advance(11 * time.Minute)
				return callback.String()
			},
			code: ginauth.ErrStateInvalid, level: "WARN", cause: "the sign-in took longer than 10 minutes", fix: "start again",
		}.run},
		{"an answer that is opened again", told{
			make: func(f *sitetest.Flow) string {
				f.IDP.DenyConsent(true)
				callback := f.Begin("/login/demo")
				f.Finish(callback)
				return callback.String()
			},
			code: ginauth.ErrStateInvalid, level: "WARN", cause: "this answer was used already", fix: "start again; do not open an answer's address twice",
		}.run},
		{"an answer that is opened again by who is signed in", answerAgain},
		{"a key that changed", told{
			make: func(f *sitetest.Flow) string {
				callback := f.Begin("/login/demo")
				f.Redeploy(func(o *ginauth.Options) { o.Keys = []string{sitetest.OtherKey} })
				return callback.String()
			},
			code: ginauth.ErrStateInvalid, level: "WARN", cause: "the attempt's cookie was sealed under another key",
			fix: "give every replica the same Options.Keys and BaseURL, and keep the old key in second place when changing it",
		}.run},
		{"cookies that are blocked", told{
			make: func(f *sitetest.Flow) string {
				callback := f.Begin("/login/demo")
				for _, c := range f.Browser.Cookies(f.URL) {
					f.Browser.RemoveCookie(f.URL, c.Name)
				}
				return callback.String()
			},
			code: ginauth.ErrStateInvalid, level: "WARN", cause: "the browser sent no cookie at all: cookies are blocked, or the sign-in was begun in another browser",
			fix: "start again; if this is every sign-in's end, see whether cookies are blocked, or a proxy drops Set-Cookie",
		}.run},
		{"a session that is too large", tooMuch("")},
		{"a session that is too large for a store", tooMuch("store")},
		{"a loop", loopIsTold},
	}
}

func answerAgain(t *testing.T) {
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo?return_to=/page/x")
	f.Lands(t, callback, "/page/x")
	f.Lands(t, callback, "/")
}

// tooMuch is a session of so many groups that no cookie holds it.
func tooMuch(home string) func(t *testing.T) {
	return told{
		change: func(s *sitetest.Site, o *ginauth.Options) {
			if home == "store" {
				o.Sessions = cookie.NewStore([]byte(sitetest.HexKey)) // 4096 bytes, after an encoding of its own
			}
			s.IDP.EditIDToken(func(_, claims map[string]any) {
				groups := make([]string, 900)
				for i := range groups {
					groups[i] = fmt.Sprintf("/departments/%d/staff", i)
				}
				claims["groups"] = groups
			})
		},
		make: comesBack, code: ginauth.ErrSessionError, level: "ERROR",
		cause: "groups", fix: "keep less: fewer KeepClaims, groups or data; or keep sessions in a store with more room (Options.Sessions)",
	}.run
}

// loopIsTold: TestALoopOfSignInsIsBroken has all the causes of one.
func loopIsTold(t *testing.T) {
	told{
		make: func(f *sitetest.Flow) string {
			for range 2 {
				f.Get("/login/demo?return_to=/")
				sitetest.LoseCookies("", false)(f.Site)
			}
			return f.URL + "/login/demo"
		},
		code: ginauth.ErrLoginLoop, level: "ERROR",
		cause: "this browser signed in 2 times within 10 seconds, and is sent to sign in again: it sends other cookies of ours, but never the one of the session",
		fix:   "look at the answer of /authorize in the browser's developer tools: they say why a cookie is refused",
	}.run(t)
}
