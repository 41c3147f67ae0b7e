package mistakes

import (
	"fmt"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/cookie"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// mistakesInAnswers are about responses that arrive incorrectly or not at all.
// TestStateInvalidDiagnosis has more reasons for a response without an attempt.
func mistakesInAnswers() []commonMistake {
	return []commonMistake{
		{"the person cancelled", told{
			change: func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.DenyConsent(true) },
			make:   comesBack, code: ginauth.ErrProviderDenied, level: "INFO",
			id: "response.access_denied", names: []string{`"access_denied"`},
		}.run},
		{"a sign-in that took too long", told{
			make: func(f *sitetest.Flow) string {
				callback := f.Begin("/login/demo")
				f.Clock.Advance(11 * time.Minute)
				return callback.String()
			},
			code: ginauth.ErrStateInvalid, level: "WARN", id: "state.expired", names: []string{"10 minutes"},
		}.run},
		{"an answer that is opened again", told{
			make: func(f *sitetest.Flow) string {
				f.IDP.DenyConsent(true)
				callback := f.Begin("/login/demo")
				f.Finish(callback)
				return callback.String()
			},
			code: ginauth.ErrStateInvalid, level: "WARN", id: "state.used",
		}.run},
		{"an answer that is opened again by who is signed in", answerAgain},
		{"a key that changed", told{
			make: func(f *sitetest.Flow) string {
				callback := f.Begin("/login/demo")
				f.Redeploy(func(o *ginauth.Options) { o.Keys = []string{sitetest.OtherKey} })
				return callback.String()
			},
			code: ginauth.ErrStateInvalid, level: "WARN", id: "state.other_key", names: []string{"Options.Keys", "BaseURL"},
		}.run},
		{"cookies that are blocked", told{
			make: func(f *sitetest.Flow) string {
				callback := f.Begin("/login/demo")
				for _, c := range f.Browser.Cookies(f.URL) {
					f.Browser.RemoveCookie(f.URL, c.Name)
				}
				return callback.String()
			},
			code: ginauth.ErrStateInvalid, level: "WARN", id: "state.no_cookies", names: []string{"Set-Cookie"},
		}.run},
		{"a session that is too large", tooMuch("", "session.too_large")},
		{"a session that is too large for a store", tooMuch("store", "session.too_large_for_store")},
		{"a loop", loopIsTold},
	}
}

func answerAgain(t *testing.T) {
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo?return_to=/page/x")
	f.Lands(t, callback, "/page/x")
	f.Lands(t, callback, "/")
}

// tooMuch is a session with too many groups for cookies.
func tooMuch(home, id string) func(t *testing.T) {
	return told{
		change: func(s *sitetest.Site, o *ginauth.Options) {
			if home == "store" {
				o.Sessions = cookie.NewStore([]byte(sitetest.HexKey)) // 4096 bytes, after the store's own encoding
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
		id: id, names: []string{"groups", "KeepClaims", "Options.Sessions"},
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
		id: "login.loop_cookie_missing", names: []string{"2 times", "/authorize"},
	}.run(t)
}
