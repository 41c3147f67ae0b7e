package ginauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// failures opens addresses that fail, one by one: a late response as a page and as JSON, a page
// for another group, and a page for signed-in users.
func failures(f *sitetest.Flow) map[ginauth.Code]func() *authtest.Page {
	fetch := func(path string) *authtest.Page {
		return f.Must(f.Browser.Fetch(authtest.At(f.URL), "GET", f.URL+path, nil, ""))
	}
	return map[ginauth.Code]func() *authtest.Page{
		ginauth.ErrStateInvalid:    func() *authtest.Page { return f.Open("/authorize/demo?state=xyz&code=abc") },
		ginauth.ErrUnknownProvider: func() *authtest.Page { return fetch("/login/nobody") },
		ginauth.ErrMethodNotAllowed: func() *authtest.Page {
			return f.Must(f.Browser.Fetch(authtest.At(f.URL), "PUT", f.URL+"/logout", nil, ""))
		},
		ginauth.ErrUnauthenticated: func() *authtest.Page { return fetch("/me") },
	}
}

// eventOf returns the event of a code among failures.
func eventOf(code ginauth.Code) ginauth.EventName {
	switch code {
	case ginauth.ErrMethodNotAllowed:
		return ginauth.SignOutFailed
	case ginauth.ErrUnauthenticated:
		return ginauth.RequestRefused
	}
	return ginauth.SignInFailed
}

// The route determines the event of a failure, never an *Error of the application.
func TestTheEventOfAnErrorIsNotTheApplications(t *testing.T) {
	t.Parallel()
	var got ginauth.EventName
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(_ *gin.Context, e *ginauth.Error) { got = e.Event }
	})
	wrong := &ginauth.Error{Code: ginauth.ErrForbidden, Event: ginauth.SignInFailed}
	f.Engine.GET("/refused", f.Auth.RequireAuth(func(*ginauth.User) error { return wrong }), sitetest.Teapot)
	f.SignIn()
	if f.WantError(f.Open("/refused"), ginauth.ErrForbidden); got != ginauth.RequestRefused || wrong.Event != ginauth.SignInFailed {
		t.Errorf("OnError got %q, and the application's error is now %q", got, wrong.Event)
	}
}

// A handler passes the error of a call to Fail, and OnError and OnEvent receive the event of
// that call, as for the routes. The error itself does not contain it.
func TestTheEventOfAnErrorGivenToFail(t *testing.T) {
	t.Parallel()
	var got, told ginauth.EventName
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(_ *gin.Context, e *ginauth.Error) { got = e.Event }
		o.Hooks.OnEvent = func(_ context.Context, e ginauth.Event) { told = e.Name }
	})
	evil := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	for path, tt := range map[string]struct {
		ask  func(c *gin.Context) error
		want ginauth.EventName
	}{
		"/begin": {func(c *gin.Context) error { _, err := f.Auth.BeginLogin(c, ginauth.Start{}); return err }, ginauth.SignInFailed},
		"/in": {func(c *gin.Context) error {
			return f.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada"}, nil)
		}, ginauth.SignInFailed},
		"/out":   {func(c *gin.Context) error { return fmt.Errorf("no: %w", f.Auth.Logout(c)) }, ginauth.SignOutFailed},
		"/other": {func(c *gin.Context) error { return f.Auth.Update(c, func(*ginauth.User) {}) }, ginauth.RequestRefused},
		"/own": {func(*gin.Context) error {
			return &ginauth.Error{Code: ginauth.ErrCrossOrigin, Event: ginauth.SignInFailed}
		}, ginauth.RequestRefused},
	} {
		f.Engine.POST(path, f.Auth.LoadUser(), func(c *gin.Context) {
			err := tt.ask(c)
			if e, _ := errors.AsType[*ginauth.Error](err); path != "/own" && (e == nil || e.Event != "") {
				t.Errorf("%s: %+v", path, e)
			}
			f.Auth.Fail(c, err)
		})
		f.WantError(f.Ask("POST", path, evil...), ginauth.ErrCrossOrigin)
		if got != tt.want || told != tt.want {
			t.Errorf("%s: OnError got %q, OnEvent %q, want %q", path, got, told, tt.want)
		}
	}
}

func TestOnErrorReplacesTheAnswer(t *testing.T) {
	t.Parallel()
	var got *ginauth.Error
	aborted := false
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, e *ginauth.Error) {
			got, aborted = e, c.IsAborted()
			c.String(http.StatusTeapot, "our own page for "+string(e.Code))
		}
	})
	for code, fail := range failures(f) {
		got, aborted = nil, false
		p := fail()
		if p.Status != http.StatusTeapot || p.Text() != "our own page for "+string(code) {
			t.Errorf("%s: got %d %s", code, p.Status, p.Text())
		}
		if want := eventOf(code); got != nil && got.Event != want {
			t.Errorf("%s: the event is %q, want %q", code, got.Event, want)
		}
		if got == nil || !errors.Is(got, code) || got.Status() != (&ginauth.Error{Code: code}).Status() || !aborted {
			t.Errorf("%s: the hook was given %v, aborted: %v", code, got, aborted)
		} else if got.Reason == "" || got.Fix == "" {
			t.Errorf("%s: the hook's error has no reason or no fix: %+v", code, got)
		}
		if p.Header.Get("Cache-Control") != "no-store" || p.Header.Get("Content-Security-Policy") != "" {
			t.Errorf("%s: headers %v; the application's page needs a policy of its own", code, p.Header)
		}
		if f.Ran.Load() != 0 {
			t.Errorf("%s: a protected handler ran", code)
		}
	}
	f.IDP.SignInAs("grace")
	f.SignIn()
	if p := f.Get("/admin"); p.Status != http.StatusTeapot || !errors.Is(got, ginauth.ErrForbidden) || got.Event != ginauth.RequestRefused {
		t.Errorf("/admin: %d %s, %v", p.Status, p.Text(), got)
	}
}

// TestOnErrorSetsTheStatusAlone: a response without a body counts as a response.
func TestOnErrorSetsTheStatusAlone(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) { c.Status(http.StatusTeapot) }
	})
	for code, fail := range failures(f) {
		if p := fail(); p.Status != http.StatusTeapot || len(p.Body) != 0 {
			t.Errorf("%s: got %d %s", code, p.Status, p.Text())
		}
	}
}

func TestOnErrorRedirects(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, e *ginauth.Error) { c.Redirect(http.StatusSeeOther, "/?failed="+string(e.Code)) }
	})
	for code, fail := range failures(f) {
		want := "/?failed=" + string(code)
		if p := fail(); p.Header.Get("Location") != want && p.URL.RequestURI() != want {
			t.Errorf("%s: got %d at %s", code, p.Status, p.URL)
		}
	}
}

// TestOnErrorFallsBack: if a hook writes nothing, or panics, the response is the one without the
// hook, with all of its headers.
func TestOnErrorFallsBack(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(c *gin.Context, e *ginauth.Error){
		"writes nothing":           func(*gin.Context, *ginauth.Error) {},
		"panics":                   func(*gin.Context, *ginauth.Error) { panic("the template is missing") },
		"panics with a header set": func(c *gin.Context, _ *ginauth.Error) { c.Header("Cache-Control", "public"); panic(errors.New("no")) },
		"panics with a status set": func(c *gin.Context, _ *ginauth.Error) { c.Status(http.StatusTeapot); panic("no") },
		"changes the policy alone": func(c *gin.Context, _ *ginauth.Error) { c.Header("Content-Security-Policy", "default-src *") },
	} {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Hooks.OnError = hook })
			for code, fail := range failures(f) {
				f.WantError(fail(), code)
			}
			if strings.Contains(name, "panics") && len(f.Logs.Lines("ERROR", "hook.on_error_panicked")) == 0 {
				t.Errorf("the log does not say so:\n%s", f.Logs)
			}
			if p := f.Open("/me"); p.Status != http.StatusSeeOther || p.Header.Get("Location") != "/login?return_to=%2Fme" {
				t.Errorf("a page got %d to %q", p.Status, p.Header.Get("Location"))
			}
			if f.Ran.Load() != 0 {
				t.Error("a protected handler ran")
			}
			f.SignIn() // everything else works
		})
	}
}

// TestOnErrorPanicsHalfway: output that was already written stays.
func TestOnErrorPanicsHalfway(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) {
			c.String(http.StatusTeapot, "half a page")
			panic("no more")
		}
	})
	for code, fail := range failures(f) {
		if p := fail(); p.Status != http.StatusTeapot || p.Text() != "half a page" {
			t.Errorf("%s: got %d %s", code, p.Status, p.Text())
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	made := regexp.MustCompile(`^[A-Z2-7]{16}$`)
	onPage := regexp.MustCompile(`request ([^<\s]+)\s*</footer>`)
	seen := map[string]bool{}
	for _, tc := range []struct {
		sent string
		kept bool
	}{
		{"", false}, {"", false}, {"7f3a.trace-1_B", true}, {strings.Repeat("a", 64), true}, {strings.Repeat("a", 65), false},
		{"two words", false}, {"<script>alert(1)</script>", false}, {`" forged="yes`, false}, {"\u202eid", false}, {"a;b", false}, {"a=b", false},
	} {
		for _, accept := range []string{"text/html", "application/json"} {
			before := len(f.Logs.String())
			r, _ := http.NewRequest("GET", f.URL+"/authorize/demo?state=xyz", nil)
			r.Header.Set("Accept", accept)
			if tc.sent != "" {
				r.Header.Set("X-Request-ID", tc.sent)
			}
			p := f.Must(f.Browser.Do(r))
			id := ""
			if m := onPage.FindStringSubmatch(p.Text()); m != nil {
				id = m[1]
			} else {
				var answer map[string]string
				_ = json.Unmarshal(p.Body, &answer)
				id = answer["request_id"]
			}
			if tc.kept && id != tc.sent || !tc.kept && !made.MatchString(id) || !tc.kept && seen[id] {
				t.Errorf("%q as %s: the response has the id %q", tc.sent, accept, id)
			}
			seen[id] = true
			if log := f.Logs.String()[before:]; !strings.Contains(log, "request_id="+id+" ") {
				t.Errorf("the log has another id than %q:\n%s", id, log)
			}
			if !tc.kept && tc.sent != "" && strings.Contains(p.Text()+f.Logs.String()[before:], tc.sent) {
				t.Errorf("%q was repeated", tc.sent)
			}
		}
	}
}

// A response of OnError has its own headers: the default ones are restored only if OnError did
// not respond, also if it set the status that was already set.
func TestOnErrorHasItsOwnHeaders(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) {
			c.Header("Cache-Control", "private")
			c.String(http.StatusOK, "ours")
		}
	})
	p := s.Get("/login/nobody")
	if p.Status != http.StatusOK || p.Text() != "ours" || p.Header.Get("Cache-Control") != "private" || p.Header.Get("Content-Security-Policy") != "" {
		t.Errorf("%d %q %v", p.Status, p.Text(), p.Header)
	}
}

// The same for a response with only a status and headers.
func TestOnErrorSetsAStatusAndItsOwnHeaders(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) {
			c.Header("Cache-Control", "private")
			c.Status(http.StatusTeapot)
		}
	})
	p := s.Get("/login/nobody")
	if p.Status != http.StatusTeapot || p.Header.Get("Cache-Control") != "private" || p.Header.Get("Content-Security-Policy") != "" {
		t.Errorf("%d %v", p.Status, p.Header)
	}
}

// brokenWriter is a closed connection.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAPageThatCannotBeWrittenIsLogged(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	r := httptest.NewRequest("GET", s.URL+"/logout", nil)
	s.Engine.ServeHTTP(brokenWriter{httptest.NewRecorder()}, r)
	if lines := s.Logs.Lines("WARN", "page.not_written"); len(lines) != 1 || !strings.Contains(lines[0], "broken pipe") {
		t.Errorf("the log is:\n%s", s.Logs)
	}
}

// The log blames neither a missing hook nor a page that was written.
func TestTheLogBlamesNobodyElse(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.WantErrorStatus(s.Get("/login/nobody"), ginauth.ErrUnknownProvider, http.StatusNotFound)
	if got := s.Logs.String(); strings.Contains(got, "OnError") || strings.Contains(got, "id=hook.") || strings.Contains(got, "id=page.") {
		t.Errorf("the log is:\n%s", got)
	}
}

// On loopback, JSON contains the reason too, if there is one.
func TestAnAnswerWithoutAReasonHasNone(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.GET("/bare", s.Auth.RequireAuth(func(*ginauth.User) error { return &ginauth.Error{Code: ginauth.ErrForbidden} }), sitetest.Teapot)
	s.As("ada")
	for path, has := range map[string]bool{"GET /bare": false, "PUT /logout": true, "GET /authorize/demo?state=xyz&code=abc": true} {
		method, path, _ := strings.Cut(path, " ")
		if p := s.Ask(method, path); strings.Contains(p.Text(), `"reason"`) != has || !strings.Contains(p.Text(), `"message"`) {
			t.Errorf("%s: %d %s", path, p.Status, p.Text())
		}
	}
}
