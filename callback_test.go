package ginauth_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// TestStateInvalidDiagnosisInJSON: JSON responses contain the same diagnosis.
func TestStateInvalidDiagnosisInJSON(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	p := f.Must(f.NewBrowser().Fetch(authtest.At(f.URL), "GET", f.URL+"/authorize/demo?state=xyz&code=abc", http.Header{"Accept": {"application/json"}}, ""))
	var answer struct{ Error, ID, Message, Reason, Fix, RequestID string }
	if err := json.Unmarshal(p.Body, &answer); err != nil || answer.Error != "state_invalid" || answer.ID != "state.malformed" || answer.Reason == "" || !strings.Contains(answer.Fix, "/login") {
		t.Errorf("%v: %s", err, p.Text())
	}
	f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStateInvalid})
}

// TestPublicPagesTellNoReason: details that help a developer also help an attacker.
func TestPublicPagesTellNoReason(t *testing.T) {
	t.Parallel()
	f := sitetest.NewPublicFlow(t, nil)
	f.SignIn()
	f.Browser.RemoveCookie(f.URL, f.OnlySession().Name)
	for _, accept := range []string{"text/html", "application/json"} {
		for _, query := range []string{"state=xyz&code=abc", "state=" + sitetest.MadeUpState + "&code=abc", "code=abc"} {
			r, _ := http.NewRequest("GET", f.URL+"/authorize/demo?"+query, nil)
			r.Header.Set("Accept", accept)
			p := f.Must(f.Browser.Do(r))
			f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
			text := html.UnescapeString(p.Text())
			for _, word := range []string{"state.malformed", "cookie", "BaseURL", "reason", "fix", "docs", "developers"} {
				if strings.Contains(text, word) {
					t.Errorf("the response is %q: %s", word, text)
				}
			}
		}
	}
	if !strings.Contains(f.Logs.String(), "id=state.malformed ") {
		t.Error("the log does not say why")
	}
}

// TestErrorAnswers: the code for each error of the provider.
func TestErrorAnswers(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	for _, tc := range []struct {
		sent  string
		code  ginauth.Code
		id    string
		name  string // the name in the log
		retry string
		level string
	}{
		{"access_denied", ginauth.ErrProviderDenied, "response.access_denied", "", "", "INFO"},
		{"login_required", ginauth.ErrProviderDenied, "response.interaction_required", "prompt=none", "", "INFO"},
		{"consent_required", ginauth.ErrProviderDenied, "response.interaction_required", "prompt=none", "", "INFO"},
		{"interaction_required", ginauth.ErrProviderDenied, "response.interaction_required", "prompt=none", "", "INFO"},
		{"account_selection_required", ginauth.ErrProviderDenied, "response.interaction_required", "prompt=none", "", "INFO"},
		{"redirect_uri_mismatch", ginauth.ErrProviderMisconfigured, "response.redirect_uri_mismatch", f.URL + "/authorize/demo", "", "ERROR"},
		{"server_error", ginauth.ErrProviderError, "response.unavailable", "", "5", "ERROR"},
		{"temporarily_unavailable", ginauth.ErrProviderError, "response.unavailable", "", "5", "ERROR"},
		{"invalid_scope", ginauth.ErrProviderError, "response.invalid_scope", "Provider.Scopes", "", "ERROR"},
		{"invalid_request", ginauth.ErrProviderError, "response.invalid_request", f.URL + "/authorize/demo", "", "ERROR"},
		{"unauthorized_client", ginauth.ErrProviderError, "response.invalid_request", f.URL + "/authorize/demo", "", "ERROR"},
		{"unsupported_response_type", ginauth.ErrProviderError, "response.invalid_request", f.URL + "/authorize/demo", "", "ERROR"},
		{"request_not_supported", ginauth.ErrProviderError, "response.error", "", "", "ERROR"},
		{"ACCESS_DENIED", ginauth.ErrProviderDenied, "response.access_denied", "", "", "INFO"}, // LINE
		{"LOGIN_REQUIRED", ginauth.ErrProviderDenied, "response.interaction_required", "prompt=none", "", "INFO"},
		{"user_cancelled_login", ginauth.ErrProviderDenied, "response.access_denied", "", "", "INFO"},
		{"consent request denied", ginauth.ErrProviderDenied, "response.access_denied", "", "", "INFO"},
		{"access_denied ", ginauth.ErrProviderError, "response.error", "", "", "ERROR"},
		{"", ginauth.ErrProviderError, "response.error", "", "", "ERROR"},
	} {
		t.Run(fmt.Sprintf("%q", tc.sent), func(t *testing.T) {
			before := len(f.Logs.String())
			p := f.Refuses(t, sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", tc.sent), sitetest.Closed{Code: tc.code})
			log := f.Logs.String()[before:]
			sitetest.WantID(t, log, tc.id)
			sitetest.WantNames(t, log, "level="+tc.level, tc.name, "fix=")
			if got := p.Header.Get("Retry-After"); got != tc.retry {
				t.Errorf("Retry-After is %q, want %q", got, tc.retry)
			}
			if f.LoginStates() != nil {
				t.Error("the attempt was not used up")
			}
		})
	}
}

// TestTryAgainKeepsTheReturnPath: the page's first action begins a new sign-in with the return
// path of the failed one.
func TestTryAgainKeepsTheReturnPath(t *testing.T) {
	t.Parallel()
	const asked = "/page/deep?x=1&y=%2F"
	for name, tc := range map[string]struct {
		fail func(f *sitetest.Flow, callback *url.URL) *authtest.Page
		want string
	}{
		"denied": {func(f *sitetest.Flow, callback *url.URL) *authtest.Page {
			return f.Finish(sitetest.With(sitetest.Without(callback, "code"), "error", "access_denied"))
		}, asked},
		"bad code": {func(f *sitetest.Flow, callback *url.URL) *authtest.Page {
			return f.Finish(sitetest.With(callback, "code", "wrong"))
		}, asked},
		"wrong issuer": {func(f *sitetest.Flow, callback *url.URL) *authtest.Page {
			return f.Finish(sitetest.With(callback, "iss", "wrong"))
		}, asked},
		"provider down": {func(f *sitetest.Flow, callback *url.URL) *authtest.Page {
			f.IDP.Fail(authtest.Token, authtest.Down)
			defer f.IDP.Heal()
			return f.Finish(callback)
		}, asked},
		"refused by OnLogin": {func(f *sitetest.Flow, callback *url.URL) *authtest.Page {
			f.Redeploy(func(o *ginauth.Options) {
				first := true
				o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
					if first {
						first = false
						return errors.New("not yet")
					}
					return nil
				}
			})
			return f.Finish(callback)
		}, asked},
		"expired": {func(f *sitetest.Flow, callback *url.URL) *authtest.Page {
			c := f.LoginState()
			c.MaxAge, c.Expires = 0, time.Time{}
			f.Clock.Advance(11 * time.Minute)
			f.KeepCookie(c)
			return f.Finish(callback)
		}, asked},
		"used": {func(f *sitetest.Flow, callback *url.URL) *authtest.Page {
			c := f.LoginState()
			f.Finish(sitetest.With(callback, "iss", "wrong"))
			f.KeepCookie(c)
			return f.Finish(callback)
		}, asked},
		"unknown state": {func(f *sitetest.Flow, callback *url.URL) *authtest.Page {
			return f.Finish(sitetest.With(callback, "state", "x"))
		}, "/"},
	} {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewFlow(t, nil)
			p := tc.fail(f, f.Begin("/login/demo?return_to="+url.QueryEscape(asked)))
			if p.Status < 400 || f.User() != nil {
				t.Fatalf("nothing failed: %d %s", p.Status, p.URL)
			}
			again := f.Must(f.Browser.ClickLink(p, "Try again"))
			f.WantLanded(t, again, tc.want)
		})
	}
}

// TestTryAgainIsNotSharedBetweenRequests: many requests get the error of one failed discovery;
// the return path of one request must not appear on the page of another.
func TestTryAgainIsNotSharedBetweenRequests(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	mine := f.Begin("/login/demo?return_to=/page/mine")
	secret := f.Begin("/login/demo?return_to=/page/secret-of-another")
	f.Redeploy(func(*ginauth.Options) {})
	f.IDP.Fail(authtest.Discovery, authtest.Down)
	one, two := f.Finish(secret), f.Finish(mine)
	if !strings.Contains(one.Text(), "secret-of-another") || !strings.Contains(two.Text(), "mine") || strings.Contains(two.Text(), "secret") {
		t.Errorf("the pages lead to the wrong places:\n%s\n%s", one.Text(), two.Text())
	}
	bare := f.Get("/login/demo")
	if strings.Contains(bare.Text(), "secret") || strings.Contains(bare.Text(), "mine") {
		t.Errorf("the page has another request's path:\n%s", bare.Text())
	}
}

// A provider with its own callback path is known without a login state: the event names it, and
// so does the "Try again" link.
func TestAnswersToNobodyAtAPathOfOneProvider(t *testing.T) {
	t.Parallel()
	f, _ := sitetest.NewFlowWithTwo(t, func(o *ginauth.Options) { o.Providers[0].CallbackPath = "/cb" })
	callback := f.Begin("/login/demo")
	f.Logs.Reset()
	p := f.Refuses(t, sitetest.With(callback, "state", sitetest.MadeUpState), sitetest.Closed{Code: ginauth.ErrStateInvalid})
	if lines := f.Logs.Lines("WARN", "state.not_authentic"); len(lines) != 1 || !strings.Contains(lines[0], " provider=demo ") {
		t.Errorf("the event does not name the provider: %q", lines)
	}
	if !strings.Contains(p.Text(), `href="`+f.URL+`/login/demo"`) {
		t.Errorf("the page does not lead back to the provider: %s", p.Text())
	}
}

// A panic in OnLogin rejects the sign-in too: a session that OnLogin began ends.
func TestOnLoginThatSignsInAndPanics(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "somebody"}, nil); err != nil {
				t.Error(err)
			}
			panic("a bug")
		}
	})
	s.FailsClosed(t, s.Get("/login/demo"), sitetest.Closed{Code: ginauth.ErrSessionError, Tokens: 1})
}

func TestOnLoginThatSignsInAndRefuses(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "somebody"}, nil); err != nil {
				t.Error(err)
			}
			return errors.New("not welcome")
		}
	})
	s.FailsClosed(t, s.Get("/login/demo"), sitetest.Closed{Code: ginauth.ErrIdentityRejected, Tokens: 1})
}

// A sign-in that the provider revokes before it is finished creates no session, and returns an
// error: a session that is revoked from the start would cause a redirect loop.
func TestSignInThatTheProviderTookBack(t *testing.T) {
	s := sitetest.NewLogout(t, nil)
	callback := s.Begin("/login/demo")
	s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iat"] = s.Clock.Now().Add(-2 * time.Second).Unix() })
	s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada"})))
	s.FailsClosed(t, s.Finish(callback), sitetest.Closed{Code: ginauth.ErrIDTokenInvalid, Tokens: 1})
	s.IDP.EditIDToken(nil)
	s.Clock.Advance(2 * time.Second)
	s.SignIn()
}

// The log distinguishes a malformed state from one whose sign-in has expired or belongs to
// another browser.
func TestStatesOfAnotherForm(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo")
	state := callback.Query().Get("state")
	handle, secret, _ := strings.Cut(state, ".")
	for name, forged := range map[string]string{
		"shorter": state[:len(state)-1], "longer": state + "A", "without a dot": strings.Replace(state, ".", "A", 1),
		"with the dot elsewhere": handle + secret[:1] + "." + secret[1:], "with another character": state[:len(state)-1] + "!",
	} {
		f.Logs.Reset()
		f.Refuses(t, sitetest.With(callback, "state", forged), sitetest.Closed{Code: ginauth.ErrStateInvalid})
		if !strings.Contains(f.Logs.String(), "id=state.malformed ") {
			t.Errorf("a state %s: %s", name, f.Logs)
		}
	}
	f.Lands(t, callback, "/")
}

// Missing parameters have separate errors: a form that was lost in transit is not a response
// without a code.
func TestAnswersThatSayNothing(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo")
	f.Refuses(t, sitetest.WithQuery(callback, url.Values{"state": callback.Query()["state"], "iss": {f.IDP.Issuer}}.Encode()), sitetest.Closed{Code: ginauth.ErrBadRequest})
	callback = f.Begin("/login/demo")
	f.IDP.EditMetadata(nil)
	f.Refuses(t, sitetest.WithQuery(callback, url.Values{"state": callback.Query()["state"]}.Encode()), sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
	if strings.Contains(f.Logs.String(), "id=form_post.lost ") || !strings.Contains(f.Logs.String(), "id=response.empty ") {
		t.Errorf("there was no form: %s", f.Logs)
	}
	callback = f.Begin("/login/demo")
	refusal := url.Values{"state": callback.Query()["state"], "iss": {f.IDP.Issuer}, "error": {"access_denied"}}
	f.Refuses(t, sitetest.WithQuery(callback, refusal.Encode()), sitetest.Closed{Code: ginauth.ErrProviderDenied})
	if strings.Contains(f.Logs.String(), "description") {
		t.Errorf("there was no description: %s", f.Logs)
	}
}

// After a restart, the metadata of a provider that is down is missing: its response fails with a
// retryable error, regardless of its content.
func TestAnswersAfterARestartDuringAnOutage(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo")
	f.Redeploy(func(*ginauth.Options) {})
	f.IDP.Fail(authtest.Discovery, authtest.Down)
	f.Refuses(t, sitetest.Without(callback, "iss"), sitetest.Closed{Code: ginauth.ErrProviderUnavailable})
}

// An OnLogin that writes a response has not admitted the user.
func TestOnLoginThatAnswers(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			c.String(http.StatusForbidden, "not you")
			return nil
		}
	})
	p := s.Get("/login/demo")
	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrSessionError, Tokens: 1})
	if strings.Contains(p.Text(), "not you") {
		t.Errorf("the response of OnLogin was sent: %s", p.Text())
	}
	if !strings.Contains(s.Logs.String(), "id=hook.on_login_answered ") {
		t.Errorf("the log: %s", s.Logs)
	}
}

// If OnLogin calls SignIn and then returns an error, that session must be revoked; if that
// fails, the response reports it.
func TestRefusedSignInThatCannotBeTakenBack(t *testing.T) {
	t.Parallel()
	f := &sitetest.FaultyRevocations{}
	var s *sitetest.Site
	s = sitetest.New(t, func(it *sitetest.Site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](it.Clock.Now, 1<<20)
		o.Revocations = f
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "eve"}, nil); err != nil {
				return err
			}
			f.WriteErr = sitetest.ErrBroken
			return errors.New("not you")
		}
	})
	p := s.Get("/login/demo")
	f.WriteErr = nil
	if p.Status != http.StatusServiceUnavailable || s.User() != nil {
		t.Errorf("the status is %d, and %v is signed in", p.Status, s.User())
	}
}

// Only a session that SignIn began in this request is revoked: a user that was signed in before
// stays signed in when another sign-in fails.
func TestAFailedSignInTakesNothingBack(t *testing.T) {
	t.Parallel()
	refuse := false
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
			if refuse {
				return errors.New("not you")
			}
			return nil
		}
	})
	s.SignIn()
	refuse = true
	s.IDP.SignInAs("eve")
	s.WantError(s.Get("/login/demo"), ginauth.ErrIdentityRejected)
	if u := s.User(); u == nil || u.Subject != "ada" {
		t.Errorf("%v is signed in", u)
	}
}

// A handler's http.ErrAbortHandler is passed on to net/http.
func TestOnLoginThatBreaksOff(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { panic(http.ErrAbortHandler) }
	})
	callback := s.Begin("/login/demo")
	r, err := http.NewRequest("GET", callback.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Browser.Cookies(s.URL) {
		r.AddCookie(c)
	}
	fresh := &http.Transport{} // on a reused connection net/http would repeat the request
	defer fresh.CloseIdleConnections()
	if answer, err := fresh.RoundTrip(r); err == nil {
		t.Errorf("the status is %d", answer.StatusCode)
		answer.Body.Close()
	}
}

// A sign-in that OnLogin rejects revokes only the session that OnLogin began, not the session
// that the request had before.
func TestARefusedSignInTakesBackItsOwn(t *testing.T) {
	t.Parallel()
	began, shown := false, &ginauth.User{}
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) {
			if s.Auth != nil {
				s.Auth.LoadUser()(c)
			}
		})
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			if began {
				if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}, nil); err != nil {
					t.Error(err)
				}
			}
			return errors.New("not you")
		}
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) { shown = ginauth.CurrentUser(c) }
	})
	s.As("ada")
	s.Get("/login/demo")
	if u := s.User(); u == nil || u.Subject != "ada" {
		t.Errorf("%v is signed in", u)
	}
	began = true
	s.Get("/login/demo")
	if shown != nil {
		t.Errorf("OnError sees %v", shown)
	}
}

// The conditions of a sign-in.
const (
	goodState   = 1 << iota // the response has the state that was sent
	goodCookie              // the browser has the attempt
	ownCallback             // the response arrives at the provider's own callback
	goodIss                 // its iss is the provider (RFC 9207)
	unspent                 // it is the first response to this attempt
	inTime                  // the attempt is no older than ten minutes
	goodPKCE                // the code was issued for the attempt's verifier
	goodSignature
	goodAudience
	goodNonce
	unexpired  // the ID token has not expired
	everything = 1<<iota - 1
)

var conditions = []string{"state", "cookie", "provider", "iss", "unspent", "in time", "PKCE", "signature", "audience", "nonce", "unexpired"}

// TestASignInNeedsEverything tries every subset of the conditions: no check compensates for or
// masks another.
func TestASignInNeedsEverything(t *testing.T) {
	const groups = 4
	for group := range groups {
		t.Run(fmt.Sprint("group ", group), func(t *testing.T) {
			t.Parallel()
			tr := newTrials(t)
			for holds := group; holds <= everything; holds += groups {
				t.Run(lacking(holds), func(t *testing.T) { tr.try(t, holds) })
			}
		})
	}
}

func lacking(holds int) string {
	var names []string
	for i, name := range conditions {
		if holds&(1<<i) == 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "with everything"
	}
	return "without " + strings.Join(names, ", ")
}

// trials is a site with two providers; users sign in with the first.
type trials struct {
	*sitetest.Flow
	other *authtest.Provider
}

func newTrials(t *testing.T) *trials {
	tr := &trials{}
	start := func(t testing.TB, change func(*sitetest.Site, *ginauth.Options)) *sitetest.Site {
		return sitetest.NewWith(t, authtest.Config{SigningAlg: "ES256"}, change)
	}
	tr.Flow = sitetest.StartFlow(t, start, func(s *sitetest.Site, o *ginauth.Options) {
		tr.other = sitetest.StartProvider(t, authtest.Config{SigningAlg: "ES256", Now: s.Clock.Now})
		o.Providers = append(o.Providers, tr.other.Client("other"))
	})
	return tr
}

// try makes one attempt for which only some conditions hold.
func (tr *trials) try(t *testing.T, holds int) {
	has := func(condition int) bool { return holds&condition != 0 }
	tr.Site.T, tr.Browser = t, nil
	tr.IDP.Reset()
	tr.other.Reset()
	tr.Logs.Reset()
	tr.Browser = tr.NewBrowser()
	logins := tr.Logins.Load()

	callback, attempt := tr.request(has(goodPKCE)), tr.LoginState()
	attempt.Expires = time.Time{} // a browser that keeps it indefinitely
	tr.KeepCookie(attempt)
	tr.spoilToken(has)
	if !has(unspent) {
		denied := sitetest.Without(sitetest.With(callback, "error", "access_denied"), "code")
		tr.WantError(tr.Finish(denied), ginauth.ErrProviderDenied)
		tr.KeepCookie(attempt)
	}
	if !has(inTime) {
		tr.Clock.Advance(10*time.Minute + time.Second)
		defer tr.Clock.Advance(-10*time.Minute - time.Second)
	}
	if !has(goodCookie) {
		tr.Browser.RemoveCookie(tr.URL, attempt.Name)
	}
	if got := len(tr.LoginStates()) == 1; got != has(goodCookie) {
		t.Fatalf("the browser has the attempt: %v", got)
	}
	p := tr.Finish(tr.spoilAnswer(callback, has))

	if n := tr.other.Count(authtest.Token); n != 0 {
		t.Errorf("the other provider got %d token requests", n)
	}
	if has(goodState) && has(goodCookie) && len(tr.LoginStates()) != 0 {
		t.Error("the attempt was used, and its cookie is still there")
	}
	if holds == everything {
		tr.WantLanded(t, p, "/page/x")
		if u := tr.User(); u.Subject != "ada" || u.Issuer != tr.IDP.Issuer || tr.IDP.Count(authtest.Token) != 1 || tr.Logins.Load() != logins+1 {
			t.Errorf("signed in: %+v, with %d requests for tokens and %d calls of OnLogin", u, tr.IDP.Count(authtest.Token), tr.Logins.Load()-logins)
		}
		return
	}
	want := refusalOf(holds)
	tr.WantRefused(t, p, callback, want)
	if tr.Logins.Load() != logins {
		t.Error("OnLogin was called")
	}
}

// refusalOf returns the expected result of an attempt: no failure before the redemption may
// reach the token endpoint.
func refusalOf(holds int) sitetest.Closed {
	lacks := func(some int) bool { return holds&some != some }
	switch {
	case lacks(goodState | goodCookie | ownCallback | unspent | inTime):
		return sitetest.Closed{Code: ginauth.ErrStateInvalid}
	case lacks(goodIss):
		return sitetest.Closed{Code: ginauth.ErrIssuerMismatch}
	case lacks(goodPKCE):
		return sitetest.Closed{Code: ginauth.ErrCodeRejected, Tokens: 1}
	}
	return sitetest.Closed{Code: ginauth.ErrIDTokenInvalid, Tokens: 1}
}

// request begins a sign-in and returns the provider's response. Without goodPKCE, the code is
// issued for another verifier: an attacker's.
func (tr *trials) request(pkce bool) (callback *url.URL) {
	tr.Site.T.Helper()
	authorize, err := url.Parse(tr.Open("/login/demo?return_to=/page/x").Header.Get("Location"))
	if err != nil {
		tr.Site.T.Fatal(err)
	}
	if !pkce {
		q := authorize.Query()
		sum := sha256.Sum256([]byte(rand.Text()))
		q.Set("code_challenge", sitetest.Base64(sum[:]))
		authorize.RawQuery = q.Encode()
	}
	tr.Browser.StopAt = func(next *url.URL) bool {
		callback = next
		return true
	}
	defer func() { tr.Browser.StopAt = nil }()
	p := tr.Must(tr.Browser.Click(authtest.At(tr.URL+"/"), authorize.String()))
	if callback == nil || callback.Query().Get("code") == "" {
		tr.Site.T.Fatalf("the provider responded %d %s, and %v", p.Status, p.Text(), callback)
	}
	return callback
}

func (tr *trials) spoilToken(has func(int) bool) {
	tr.IDP.Heal()
	if !has(goodSignature) {
		tr.IDP.Fail(authtest.Token, authtest.WrongSignature)
	}
	tr.IDP.EditIDToken(func(_, claims map[string]any) {
		if !has(goodAudience) {
			claims["aud"] = "another-client"
		}
		if !has(goodNonce) {
			claims["nonce"] = rand.Text()
		}
		if !has(unexpired) {
			claims["exp"] = tr.Clock.Now().Add(-2 * time.Minute).Unix()
		}
	})
}

func (tr *trials) spoilAnswer(callback *url.URL, has func(int) bool) *url.URL {
	if !has(goodState) {
		state := []byte(callback.Query().Get("state"))
		if state[20]++; state[20] != 'B' {
			state[20] = 'A'
		}
		callback = sitetest.With(callback, "state", string(state))
	}
	if !has(goodIss) {
		callback = sitetest.With(callback, "iss", tr.other.Issuer)
	}
	if !has(ownCallback) {
		callback = sitetest.AtPath(callback, "/authorize/other")
	}
	return callback
}
