package faults

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsAuthenticate(t *testing.T) {
	runFaults(t, []fault{
		{"S23_unknown_bearer_beside_a_session", s23UnknownBearerBesideASession},
		{"S24_credential_refused_or_hook_failed", s24CredentialRefusedOrHookFailed},
		{"S25_user_that_cannot_be", s25UserThatCannotBe},
		{"S25_answered_or_aborted_before_the_hook", s25AnsweredOrAbortedBeforeTheHook},
		{"S26_credential_of_one_and_cookie_of_another", s26CredentialOfOneAndCookieOfAnother},
		{"S26_linking_by_a_credential", s26LinkingByACredential},
		{"S26_one_user_for_all_requests", s26OneUserForAllRequests},
		{"S27_credential_from_another_origin", s27CredentialFromAnotherOrigin},
		{"S28_step_up_without_a_session", s28StepUpWithoutASession},
		{"S29_the_hook_is_asked_once", s29TheHookIsAskedOnce},
	})
}

// keyed is a site whose Authenticate accepts keys: in X-Key, which a proxy may add, in Basic
// credentials, in the cookie of an old system, and as a bearer token. It counts calls in asked.
type keyed struct {
	*sitetest.Site
	asked atomic.Int64
}

func newKeyed(t *testing.T, hook func(c *gin.Context, key string) (*ginauth.User, error), onLogin ...func(*gin.Context, *ginauth.Login) error) *keyed {
	t.Helper()
	k := &keyed{}
	k.Site = sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		for _, f := range onLogin {
			o.Hooks.OnLogin = f
		}
		o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
			k.asked.Add(1)
			key := c.GetHeader("X-Key")
			if scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
				key = token
			} else if user, _, ok := c.Request.BasicAuth(); ok {
				key = user
			} else if old, err := c.Cookie("old"); err == nil {
				key = old
			}
			return hook(c, key)
		}
	})
	k.Engine.Any("/load", k.Auth.LoadUser(), k.BothUsers)
	k.Guard("/both", func(c *gin.Context) { k.Ran.Add(1); k.BothUsers(c) })
	return k
}

// byKey accepts only the robot's key.
func byKey(_ *gin.Context, key string) (*ginauth.User, error) {
	if key == "robots" {
		return &ginauth.User{Provider: "demo", Subject: "robot", Name: "Robot", Groups: []string{"machines"}}, nil
	}
	return nil, nil
}

// bearers are headers with a bearer token that byKey does not know.
var bearers = map[string][]string{
	"unknown":                {"Authorization", "Bearer stale"},
	"in lower case":          {"Authorization", "bearer stale"},
	"in upper case":          {"Authorization", "BEARER stale"},
	"empty":                  {"Authorization", "Bearer "},
	"the scheme alone":       {"Authorization", "Bearer"},
	"in front of a tab":      {"Authorization", "Bearer\tstale"},
	"twice":                  {"Authorization", "Bearer stale", "Authorization", "Bearer stale"},
	"behind Basic":           {"Authorization", "Basic eA==", "Authorization", "Bearer stale"},
	"in front of Basic":      {"Authorization", "Bearer stale", "Authorization", "Basic eA=="},
	"behind an empty header": {"Authorization", "", "Authorization", "Bearer stale"},
}

func s23UnknownBearerBesideASession(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, byKey)
	k.As("ada")
	for name, header := range bearers {
		for _, how := range [][]string{sitetest.Navigation, sitetest.Fetch, nil} {
			p := k.Ask("GET", "/both", sitetest.Plus(how, header...)...)
			k.WantError(p, ginauth.ErrInvalidToken)
			if p.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` || len(p.Header.Values("Set-Cookie")) > 0 || p.Header.Get("Location") != "" {
				t.Errorf("%s: %v", name, p.Header)
			}
			if p := k.Ask("GET", "/load", sitetest.Plus(how, header...)...); p.Text() != "nobody, nobody" || len(p.Header.Values("Set-Cookie")) > 0 || p.Header.Get("Vary") != "Cookie" {
				t.Errorf("%s: LoadUser finds %s, with %q", name, p.Text(), p.Header.Values("Set-Cookie"))
			}
		}
	}
	if k.Ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
	for name, header := range map[string][]string{"Basic": {"Authorization", "Basic eA=="}, "a scheme as long as Bearer": {"Authorization", `Digest username="x"`}, "an empty header": {"Authorization", ""}, "a scheme that begins so": {"Authorization", "BearerX stale"}, "nothing": nil} {
		if p := k.Ask("GET", "/both", header...); p.Text() != "ada, ada" {
			t.Errorf("beside %s, the session is of %d %s", name, p.Status, p.Text())
		}
	}
	r := httptest.NewRequest("GET", "/both", nil) // HTTP/2 does not trim
	r.Header["Authorization"] = []string{" Bearer stale"}
	w := httptest.NewRecorder()
	if k.Engine.ServeHTTP(w, r); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "invalid_token") {
		t.Errorf("behind a space: %d %s", w.Code, w.Body)
	}
	s := sitetest.New(t, nil) // without the hook, the header is ignored
	s.Guard("/both", s.BothUsers)
	s.As("ada")
	if p := s.Ask("GET", "/both", "Authorization", "Bearer stale"); p.Text() != "ada, ada" {
		t.Errorf("without Authenticate: %d %s", p.Status, p.Text())
	}
	s.WantError(s.Ask("POST", "/both", "Authorization", "Bearer stale", "Origin", "https://evil.example"), ginauth.ErrCrossOrigin)
}

func s24CredentialRefusedOrHookFailed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code ginauth.Code
		hook func() error
	}{
		"ErrInvalidToken":          {ginauth.ErrInvalidToken, func() error { return ginauth.ErrInvalidToken }},
		"ErrInvalidToken, wrapped": {ginauth.ErrInvalidToken, func() error { return fmt.Errorf("key 7: %w", ginauth.ErrInvalidToken) }},
		"an Error of that code": {ginauth.ErrInvalidToken, func() error {
			return &ginauth.Error{Code: ginauth.ErrInvalidToken, ID: "shop.key_revoked", Reason: "the key was revoked"}
		}},
		"ErrForbidden":          {ginauth.ErrForbidden, func() error { return ginauth.ErrForbidden }},
		"ErrForbidden, wrapped": {ginauth.ErrForbidden, func() error { return fmt.Errorf("suspended: %w", ginauth.ErrForbidden) }},
		"any other error":       {ginauth.ErrStoreUnavailable, func() error { return errors.New("the database is down") }},
		"ErrUnauthenticated":    {ginauth.ErrStoreUnavailable, func() error { return ginauth.ErrUnauthenticated }},
		"an Error of another code": {ginauth.ErrStoreUnavailable, func() error {
			return &ginauth.Error{Code: ginauth.ErrUnauthenticated}
		}},
		"a code of the application's": {ginauth.ErrStoreUnavailable, func() error { return ginauth.Code("sold_out") }},
		"a panic":                     {ginauth.ErrStoreUnavailable, func() error { panic("a bug") }},
		"a panic with a code":         {ginauth.ErrStoreUnavailable, func() error { panic(ginauth.ErrForbidden) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyed(t, func(*gin.Context, string) (*ginauth.User, error) {
				return &ginauth.User{Provider: "demo", Subject: "robot"}, tt.hook()
			})
			k.As("ada")
			for _, how := range [][]string{sitetest.Navigation, sitetest.Fetch, sitetest.Plus(sitetest.Fetch, "HX-Request", "true"), sitetest.Upgrade, nil} {
				p := k.Ask("GET", "/both", how...)
				k.WantError(p, tt.code)
				if p.Header.Get("Location")+p.Header.Get("HX-Redirect") != "" || strings.Contains(p.Text(), "login_url") || len(p.Header.Values("Set-Cookie")) > 0 {
					t.Errorf("%v %s", p.Header, p.Text())
				}
				if p := k.Ask("GET", "/load", how...); p.Text() != "nobody, nobody" || p.Header.Get("Vary") != "Cookie" {
					t.Errorf("LoadUser finds %s, Vary: %s", p.Text(), p.Header.Get("Vary"))
				}
			}
			if k.Ran.Load() != 0 {
				t.Error("a protected handler ran")
			}
			if got := strings.Count(k.Logs.String(), "code="+string(tt.code)); got != 10 {
				t.Errorf("%d lines in the log, want 10: %s", got, k.Logs)
			}
		})
	}
}

func s25UserThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		user   *ginauth.User
		answer func(c *gin.Context)
	}{
		"an unknown provider":     {user: &ginauth.User{Provider: "nowhere", Subject: "robot"}},
		"no provider":             {user: &ginauth.User{Subject: "robot"}},
		"no subject":              {user: &ginauth.User{Provider: "demo"}},
		"a subject with a space":  {user: &ginauth.User{Provider: "demo", Subject: "ro\nbot"}},
		"another issuer":          {user: &ginauth.User{Provider: "demo", Subject: "robot", Issuer: "https://evil.example"}},
		"nothing at all":          {user: &ginauth.User{}},
		"a hook that writes":      {&ginauth.User{Provider: "demo", Subject: "robot"}, func(c *gin.Context) { c.String(http.StatusOK, "written by the hook") }},
		"a hook that aborts":      {&ginauth.User{Provider: "demo", Subject: "robot"}, func(c *gin.Context) { c.Abort() }},
		"one that writes, nobody": {nil, func(c *gin.Context) { c.AbortWithStatus(http.StatusTeapot) }},
		"one that aborts, nobody": {nil, func(c *gin.Context) { c.Abort() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyed(t, func(c *gin.Context, _ string) (*ginauth.User, error) {
				if tt.answer != nil {
					tt.answer(c)
				}
				return tt.user, nil
			})
			k.As("ada")
			p := k.Ask("GET", "/both", sitetest.Fetch...)
			if written := p.Text() == "written by the hook" || p.Status == http.StatusTeapot; !written {
				k.WantError(p, ginauth.ErrSessionError)
			}
			if k.Ran.Load() != 0 || strings.Contains(p.Text(), "robot") {
				t.Errorf("the handler ran: %s", p.Text())
			}
			if !strings.Contains(k.Logs.String(), "code=session_error") || !strings.Contains(k.Logs.String(), "id=hook.authenticate_") {
				t.Errorf("the log: %s", k.Logs)
			}
			if tt.answer == nil {
				if p := k.Ask("GET", "/load"); p.Text() != "nobody, nobody" {
					t.Errorf("LoadUser finds %s", p.Text())
				}
			}
		})
	}
}

// A hook may return the same User repeatedly: ginauth does not modify it.
func s26OneUserForAllRequests(t *testing.T) {
	t.Parallel()
	robot := &ginauth.User{Provider: "demo", Subject: "robot", Groups: []string{"machines"}, Data: map[string]string{"plan": "free"}}
	k := newKeyed(t, func(*gin.Context, string) (*ginauth.User, error) { return robot, nil })
	k.Guard("/spoil", func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		u.Subject, u.Groups[0], u.Data["plan"] = "eve", "admin", "pro"
		c.String(http.StatusOK, u.Issuer)
	})
	for range 2 {
		if p := k.Ask("GET", "/spoil"); p.Text() != k.IDP.Issuer {
			t.Errorf("the issuer is %s", p.Text())
		}
		if p := k.Ask("GET", "/both"); p.Text() != "robot, robot" {
			t.Errorf("the user is %s", p.Text())
		}
	}
	if robot.Issuer != "" || robot.Subject != "robot" || robot.Groups[0] != "machines" || robot.Data["plan"] != "free" {
		t.Errorf("the hook's User is %+v now", robot)
	}
}

// A handler may abort or write before it needs the user: this must not be attributed to the
// hook.
func s25AnsweredOrAbortedBeforeTheHook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before func(c *gin.Context)
		hook   func(c *gin.Context)
		id     string // of Logout's error
	}{
		"aborted":                        {before: (*gin.Context).Abort},
		"aborted with a status":          {before: func(c *gin.Context) { c.Status(http.StatusTeapot); c.Abort() }},
		"written":                        {before: func(c *gin.Context) { c.String(http.StatusOK, "early") }, id: "session.answer_written"},
		"neither":                        {before: func(*gin.Context) {}},
		"the hook aborts":                {before: func(*gin.Context) {}, hook: (*gin.Context).Abort, id: "hook.authenticate_answered"},
		"aborted, and the hook writes":   {before: (*gin.Context).Abort, hook: func(c *gin.Context) { c.String(http.StatusOK, "by the hook") }, id: "hook.authenticate_answered"},
		"written, and the hook aborts":   {before: func(c *gin.Context) { c.String(http.StatusOK, "early") }, hook: (*gin.Context).Abort, id: "hook.authenticate_answered"},
		"the hook writes, and is nobody": {before: func(*gin.Context) {}, hook: func(c *gin.Context) { c.Status(http.StatusOK); c.Writer.WriteHeaderNow() }, id: "hook.authenticate_answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeyed(t, func(c *gin.Context, _ string) (*ginauth.User, error) {
				if tt.hook != nil && c.FullPath() == "/out" {
					tt.hook(c)
				}
				return nil, nil
			})
			var err error
			k.Engine.POST("/out", func(c *gin.Context) {
				tt.before(c)
				err = k.Auth.Logout(c)
				c.Writer.WriteHeaderNow()
			})
			k.As("ada")
			k.Ask("POST", "/out", sitetest.Fetch...)
			id := ""
			if e, _ := errors.AsType[*ginauth.Error](err); e != nil {
				id = e.ID
			}
			if id != tt.id || (k.User() == nil) != (tt.id == "") {
				t.Errorf("Logout: %v, want %q; signed in: %v", err, tt.id, k.User())
			}
		})
	}
}

// No confused deputy: a request with a credential acts on the credential's user, and the session
// of the cookie does not change.
func s26CredentialOfOneAndCookieOfAnother(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, byKey)
	answer := func(c *gin.Context, err error) {
		e, _ := errors.AsType[*ginauth.Error](err)
		if e == nil {
			c.String(http.StatusOK, "done")
			return
		}
		c.String(e.Status(), "%s %s", e.Code, e.ID)
	}
	update := func(c *gin.Context) {
		answer(c, k.Auth.Update(c, func(u *ginauth.User) { u.Groups = []string{"admin"} }))
	}
	logout := func(c *gin.Context) { answer(c, k.Auth.Logout(c)) }
	session := func(c *gin.Context) {
		info, ok := k.Auth.Session(c)
		c.String(http.StatusOK, "%t %s", ok, info.Provider)
	}
	for prefix, guard := range map[string][]gin.HandlerFunc{"/guarded": {k.Auth.RequireAuth()}, "/loaded": {k.Auth.LoadUser()}, "/bare": nil} {
		group := k.Engine.Group(prefix, guard...)
		group.POST("/update", update)
		group.POST("/logout", logout)
		group.POST("/session", session)
	}
	k.As("ada", "staff")
	before := k.sessionCookie()
	k.Clock.Advance(12 * time.Hour) // so that the session would be renewed
	credential := []string{"X-Key", "robots"}
	if p := k.Ask("GET", "/both", credential...); p.Text() != "robot, robot" || len(p.Header.Values("Set-Cookie")) > 0 || !strings.Contains(p.Header.Get("Cache-Control"), "no-store") || p.Header.Get("Vary") != "Cookie" {
		t.Errorf("%s, %v", p.Text(), p.Header)
	}
	k.WantError(k.Ask("GET", "/admin", credential...), ginauth.ErrForbidden)
	for _, prefix := range []string{"/guarded", "/loaded", "/bare"} {
		for path, want := range map[string]string{"/update": "bad_request session.missing", "/logout": "bad_request session.missing", "/session": "false "} {
			p := k.Ask("POST", prefix+path, credential...)
			if p.Text() != want || len(p.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %d %q %q, want %q", prefix+path, p.Status, p.Text(), p.Header.Values("Set-Cookie"), want)
			}
			if p := k.Ask("POST", prefix+path, "Authorization", "Bearer stale"); p.Text() == "done" || len(p.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s with an unknown token: %d %q", prefix+path, p.Status, p.Text())
			}
		}
	}
	if got := k.sessionCookie(); got != before {
		t.Errorf("the session's cookie changed from %q to %q", before, got)
	}
	if u := k.User(); u == nil || u.Subject != "ada" || u.Groups[0] != "staff" {
		t.Errorf("the session is of %+v", u)
	}
}

func s26LinkingByACredential(t *testing.T) {
	t.Parallel()
	old := func(k *keyed, key string) {
		if err := k.Browser.SetCookie(k.URL, &http.Cookie{Name: "old", Value: key, Path: "/"}); err != nil {
			t.Error(err)
		}
	}
	for name, tt := range map[string]struct {
		before    func(*keyed) // before the form is sent
		header    []string     // of the form
		meanwhile func(*keyed) // at the provider
		code      ginauth.Code // of the final response
		previous  string       // for OnLogin
		session   string       // afterwards, without the old cookie
	}{
		"the old cookie":                        {before: func(k *keyed) { old(k, "robots") }, previous: "robot", session: "ada"},
		"beside a session of another person":    {before: func(k *keyed) { k.As("grace"); old(k, "robots") }, previous: "robot", session: "ada"},
		"the cookie gone meanwhile":             {before: func(k *keyed) { old(k, "robots") }, meanwhile: func(k *keyed) { old(k, "") }, code: ginauth.ErrStateInvalid},
		"the cookie of another person by now":   {before: func(k *keyed) { old(k, "robots") }, meanwhile: func(k *keyed) { old(k, "others") }, code: ginauth.ErrStateInvalid},
		"the cookie refused by now":             {before: func(k *keyed) { old(k, "robots") }, meanwhile: func(k *keyed) { old(k, "revoked") }, code: ginauth.ErrInvalidToken},
		"the hook fails by now":                 {before: func(k *keyed) { old(k, "robots") }, meanwhile: func(k *keyed) { old(k, "down") }, code: ginauth.ErrStoreUnavailable},
		"another person's session by then":      {before: func(k *keyed) { old(k, "robots") }, meanwhile: func(k *keyed) { old(k, ""); k.As("grace") }, code: ginauth.ErrStateInvalid, session: "grace"},
		"a session that is a credential by now": {before: func(k *keyed) { k.As("grace") }, meanwhile: func(k *keyed) { old(k, "robots") }, code: ginauth.ErrStateInvalid, session: "grace"},
		"a session":                             {before: func(k *keyed) { k.As("grace") }, previous: "grace", session: "ada"},
		"a header that no browser sends itself": {before: func(k *keyed) { k.As("grace") }, header: []string{"X-Key", "robots"}, code: ginauth.ErrStateInvalid, session: "grace"},
		"an unknown bearer token":               {before: func(k *keyed) { k.As("grace") }, header: []string{"Authorization", "Bearer stale"}, code: ginauth.ErrInvalidToken, session: "grace"},
		"neither":                               {before: func(*keyed) {}, code: ginauth.ErrUnauthenticated},
		"from another origin":                   {before: func(k *keyed) { old(k, "robots") }, header: []string{"Sec-Fetch-Site", "cross-site"}, code: ginauth.ErrCrossOrigin},
		"behind a worker in Firefox":            {before: func(k *keyed) { old(k, "robots") }, header: handedOnByFirefox, code: ginauth.ErrCrossOrigin},
		"a session behind a worker in Firefox":  {before: func(k *keyed) { k.As("grace") }, header: handedOnByFirefox, previous: "grace", session: "ada"},
		"by a script of another origin":         {before: func(k *keyed) { old(k, "robots") }, header: []string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, code: ginauth.ErrCrossOrigin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			previous := ""
			k := newKeyed(t, func(_ *gin.Context, key string) (*ginauth.User, error) {
				switch key {
				case "others":
					return &ginauth.User{Provider: "demo", Subject: "other"}, nil
				case "revoked":
					return nil, ginauth.ErrInvalidToken
				case "down":
					return nil, errors.New("no database")
				}
				return byKey(nil, key)
			}, func(_ *gin.Context, login *ginauth.Login) error {
				if login.Previous != nil {
					previous = login.Previous.Subject
				}
				return nil
			})
			tt.before(k)
			p := k.linkForm(tt.header...)
			if p.Status == http.StatusSeeOther {
				if tt.meanwhile != nil {
					tt.meanwhile(k)
				}
				k.IDP.SignInAs("ada")
				p = k.Must(k.Browser.Click(authtest.At(k.URL+"/account"), p.Header.Get("Location")))
			}
			if tt.code != "" {
				k.WantError(p, tt.code)
			}
			if previous != tt.previous {
				t.Errorf("Login.Previous is %q, want %q", previous, tt.previous)
			}
			old(k, "")
			subject := ""
			if u := k.User(); u != nil {
				subject = u.Subject
			}
			if subject != tt.session {
				t.Errorf("%q is signed in, want %q", subject, tt.session)
			}
		})
	}
}

// handedOnByFirefox are the headers of a form from any site behind a service worker, in Firefox.
var handedOnByFirefox = []string{"Sec-Fetch-Mode", "same-origin", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "same-origin", "Accept", "text/html,*/*;q=0.8"}

// linkForm sends the site's form for linking an account.
func (k *keyed) linkForm(header ...string) *authtest.Page {
	r, err := http.NewRequest("POST", k.URL+"/login/demo", strings.NewReader("link=true"))
	if err != nil {
		k.T.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return k.Must(k.Browser.Do(r))
}

// sessionCookie returns the browser's session cookie.
func (k *keyed) sessionCookie() string {
	var all []string
	for _, c := range k.Browser.Cookies(k.URL) {
		if sitetest.SessionName.MatchString(c.Name) {
			all = append(all, c.Name+"="+c.Value)
		}
	}
	return strings.Join(all, "; ")
}

func s27CredentialFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, byKey)
	origins := map[string][]string{
		"Fetch Metadata": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"a sibling site": {"Sec-Fetch-Site", "same-site", "Origin", "http://evil.localhost"},
		"Origin alone":   {"Origin", "https://evil.example"},
		"Origin null":    {"Origin", "null"},
	}
	ambient := map[string][]string{
		"Basic":          {"Authorization", "Basic cm9ib3RzOg=="}, // robots:
		"an old cookie":  {"Cookie", "old=robots"},
		"a proxy header": {"X-Key", "robots"},
		"a header beside a bearer token that a proxy added": {"X-Key", "robots", "Authorization", "Basic eA==", "Authorization", "Bearer robots"},
	}
	for where, origin := range origins {
		for what, credential := range ambient {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET"} {
				header := sitetest.Plus(origin, credential...)
				if method == "GET" {
					header = sitetest.Plus(header, sitetest.Upgrade...) // a WebSocket
				}
				k.WantError(k.Ask(method, "/both", header...), ginauth.ErrCrossOrigin)
				if p := k.Ask(method, "/load", header...); p.Text() != "nobody, nobody" {
					t.Errorf("%s of %s, %s: LoadUser finds %s", method, what, where, p.Text())
				}
			}
			if p := k.Ask("GET", "/both", sitetest.Plus(origin, credential...)...); what != "a header beside a bearer token that a proxy added" && p.Text() != "robot, robot" {
				t.Errorf("GET of %s, %s: %d %s", what, where, p.Status, p.Text())
			}
		}
		bearer := sitetest.Plus(origin, "Authorization", "Bearer robots")
		for _, path := range []string{"/both", "/load"} {
			if p := k.Ask("POST", path, bearer...); p.Text() != "robot, robot" {
				t.Errorf("a bearer token, %s: %d %s", where, p.Status, p.Text())
			}
		}
		k.WantError(k.Ask("POST", "/both", sitetest.Plus(origin, "Authorization", "Bearer stale")...), ginauth.ErrInvalidToken)
	}
	if p := k.Ask("POST", "/both", "X-Key", "robots"); p.Text() != "robot, robot" {
		t.Errorf("a program's POST: %d %s", p.Status, p.Text())
	}
	clientCertificate(t, origins)
}

// clientCertificate is S27 for the certificate of a TLS connection, which a browser sends with
// requests from any page.
func clientCertificate(t *testing.T, origins map[string][]string) {
	engine := gin.New()
	server := httptest.NewUnstartedServer(engine)
	serverCert, err := authtest.Certificate("app.localhost")
	clientCert, err2 := authtest.Certificate("robot.localhost")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	auth, err := ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.localhost", Keys: []string{sitetest.Key}, Logger: new(sitetest.Logs).Logger(),
		Providers: []ginauth.Provider{sitetest.Nowhere}, Hooks: ginauth.Hooks{Authenticate: func(c *gin.Context) (*ginauth.User, error) {
			if len(c.Request.TLS.PeerCertificates) == 0 {
				return nil, nil
			}
			return &ginauth.User{Provider: "demo", Subject: c.Request.TLS.PeerCertificates[0].DNSNames[0]}, nil
		}}})
	if err != nil {
		t.Fatal(err)
	}
	engine.Any("/who", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).Subject) })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{clientCert}}}}
	ask := func(method string, header ...string) int {
		r, err := http.NewRequest(method, server.URL+"/who", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for where, origin := range origins {
		if got := ask("POST", origin...); got != http.StatusForbidden {
			t.Errorf("a certificate, %s: POST gets %d", where, got)
		}
		if got := ask("GET", sitetest.Plus(origin, sitetest.Upgrade...)...); got != http.StatusForbidden {
			t.Errorf("a certificate, %s: a WebSocket gets %d", where, got)
		}
	}
	if got := ask("POST"); got != http.StatusOK {
		t.Errorf("a program with a certificate gets %d", got)
	}
}

// A user of Authenticate has no session that a step-up could renew: only the AuthTime and ACR of
// the hook count, and if they do not suffice, there is no redirect.
func s28StepUpWithoutASession(t *testing.T) {
	t.Parallel()
	const (
		anHour = time.Hour
		wraps  = time.Duration(math.MinInt64) // 2^64 µs: as microseconds, it wraps around to now
	)
	lately, strong := ginauth.MaxAge(5*time.Minute), ginauth.ACR("gold", "platinum")
	for name, tt := range map[string]struct {
		checks []ginauth.Check
		age    time.Duration // of AuthTime; 0: it is not set
		acr    string
		id     string // id of the rejection; "" if admitted
	}{
		"MaxAge, AuthTime not set":                 {[]ginauth.Check{lately}, 0, "", "check.step_up_no_session"},
		"MaxAge, AuthTime not set, an ACR":         {[]ginauth.Check{lately}, 0, "gold", "check.step_up_no_session"},
		"MaxAge, AuthTime stale":                   {[]ginauth.Check{lately}, anHour, "", "check.step_up_no_session"},
		"MaxAge, AuthTime a second too old":        {[]ginauth.Check{lately}, 6*time.Minute + time.Second, "", "check.step_up_no_session"},
		"MaxAge, AuthTime within the minute":       {[]ginauth.Check{lately}, 5*time.Minute + 50*time.Second, "", ""},
		"MaxAge, AuthTime fresh":                   {[]ginauth.Check{lately}, time.Second, "", ""},
		"MaxAge, AuthTime half a minute ahead":     {[]ginauth.Check{lately}, -30 * time.Second, "", ""},
		"MaxAge, AuthTime of tomorrow":             {[]ginauth.Check{lately}, -24 * time.Hour, "", "check.step_up_no_session"},
		"MaxAge, AuthTime of 584,554 years ago":    {[]ginauth.Check{lately}, wraps, "", "check.step_up_no_session"},
		"MaxAge of centuries, AuthTime not set":    {[]ginauth.Check{ginauth.MaxAge(1<<63 - 1)}, 0, "", "check.step_up_no_session"},
		"ACR not set":                              {[]ginauth.Check{strong}, time.Second, "", "check.step_up_no_session"},
		"ACR another":                              {[]ginauth.Check{strong}, time.Second, "silver", "check.step_up_no_session"},
		"ACR in another case":                      {[]ginauth.Check{strong}, time.Second, "Gold", "check.step_up_no_session"},
		"ACR the second":                           {[]ginauth.Check{strong}, 0, "platinum", ""},
		"both, one missing":                        {[]ginauth.Check{lately, strong}, time.Second, "", "check.step_up_no_session"},
		"both":                                     {[]ginauth.Check{lately, strong}, time.Second, "gold", ""},
		"beside a refusal":                         {[]ginauth.Check{lately, ginauth.HasGroup("staff")}, 0, "", "check.no_groups"},
		"AnyOf, neither":                           {[]ginauth.Check{ginauth.AnyOf(lately, strong)}, 0, "", "check.step_up_no_session"},
		"AnyOf, stale":                             {[]ginauth.Check{ginauth.AnyOf(lately, ginauth.HasGroup("staff"))}, anHour, "", "check.step_up_no_session"},
		"AnyOf, the ACR":                           {[]ginauth.Check{ginauth.AnyOf(lately, strong)}, anHour, "gold", ""},
		"AnyOf, fresh":                             {[]ginauth.Check{ginauth.AnyOf(ginauth.HasGroup("staff"), lately)}, time.Second, "", ""},
		"a check of the application's, stale":      {[]ginauth.Check{func(u *ginauth.User) error { return lately(u) }}, anHour, "", "check.step_up_no_session"},
		"a check of the application's, fresh":      {[]ginauth.Check{func(u *ginauth.User) error { return lately(u) }}, time.Second, "", ""},
		"a check that writes an AuthTime, not set": {[]ginauth.Check{func(u *ginauth.User) error { u.AuthTime = time.Now(); return lately(u) }}, 0, "", "check.step_up_no_session"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var robot ginauth.User
			k := newKeyed(t, func(*gin.Context, string) (*ginauth.User, error) { return &robot, nil })
			robot = ginauth.User{Provider: "demo", Subject: "robot", ACR: tt.acr}
			if tt.age != 0 {
				robot.AuthTime = k.Clock.Now().Add(-tt.age)
			}
			if tt.age == wraps {
				robot.AuthTime = time.Unix(k.Clock.Now().Unix()-math.MaxUint64/1_000_000, 0)
			}
			ask := func(c *gin.Context) { // like a handler that checks by calling Fail
				for _, check := range tt.checks {
					if err := check(ginauth.CurrentUser(c)); err != nil {
						k.Auth.Fail(c, err)
						return
					}
				}
			}
			for path, guard := range map[string][]gin.HandlerFunc{
				"/guarded": {k.Auth.RequireAuth(tt.checks...)}, "/loaded": {k.Auth.LoadUser(), k.Auth.RequireAuth(tt.checks...)},
				"/fail": {k.Auth.RequireAuth(), ask}, "/load-and-fail": {k.Auth.LoadUser(), ask},
			} {
				k.Engine.Any(path, append(guard, k.Protected)...)
				for _, how := range [][]string{sitetest.Navigation, sitetest.Fetch, sitetest.Plus(sitetest.Fetch, "HX-Request", "true"), sitetest.Upgrade, nil} {
					ran := k.Ran.Load()
					p := k.Ask("GET", path, how...)
					if p.Header.Get("Location")+p.Header.Get("HX-Redirect") != "" || strings.Contains(p.Text(), "login_url") || strings.Contains(p.Text(), "demand=") || len(p.Header["Set-Cookie"]) > 0 {
						t.Errorf("%s: the response redirects elsewhere: %d %v %s", path, p.Status, p.Header, p.Text())
					}
					if tt.id == "" && (p.Status != http.StatusOK || k.Ran.Load() != ran+1) {
						t.Errorf("%s: %d %s", path, p.Status, p.Text())
					}
					if tt.id != "" && (p.Status != http.StatusForbidden || k.Ran.Load() != ran) {
						t.Errorf("%s: %d %s", path, p.Status, p.Text())
					}
				}
			}
			if got := strings.Count(k.Logs.String(), "id="+tt.id); tt.id != "" && tt.id != "check.no_groups" && got != 20 {
				t.Errorf("%d lines of the log have %s\n%s", got, tt.id, k.Logs)
			}
			if n := k.IDP.Count(authtest.Authorize); n != 0 {
				t.Errorf("%d redirects", n)
			}
		})
	}
}

func s29TheHookIsAskedOnce(t *testing.T) {
	t.Parallel()
	refuse := false
	k := newKeyed(t, func(c *gin.Context, key string) (*ginauth.User, error) {
		if refuse {
			return nil, ginauth.ErrInvalidToken
		}
		return byKey(c, key)
	})
	other, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: "http://localhost:1", Providers: []ginauth.Provider{sitetest.Nowhere}, Logger: new(sitetest.Logs).Logger(),
		Hooks: ginauth.Hooks{Authenticate: func(*gin.Context) (*ginauth.User, error) {
			return &ginauth.User{Provider: "demo", Subject: "of the other"}, nil
		}}})
	if err != nil {
		t.Fatal(err)
	}
	all := func(c *gin.Context) {
		for range 2 { // the handler needs no guard in front
			_ = k.Auth.Update(c, func(*ginauth.User) {})
		}
		k.BothUsers(c)
	}
	k.Engine.GET("/many", k.Auth.LoadUser(), k.Auth.RequireAuth(), k.Auth.RequireAuth(), all)
	k.Engine.GET("/loads", k.Auth.LoadUser(), k.Auth.LoadUser(), all)
	k.Engine.GET("/bare", all)
	k.Engine.GET("/between", k.Auth.LoadUser(), other.LoadUser(), k.Auth.RequireAuth(), all)
	logout := func(c *gin.Context) { _, _ = k.Auth.Logout(c), k.Auth.Logout(c); all(c) }
	k.Engine.GET("/logout-here", k.Auth.LoadUser(), logout)
	k.Engine.GET("/logout-bare", logout)
	for _, tt := range []struct {
		path, key, want string
		session, refuse bool
	}{
		{"/many", "robots", "robot, robot", false, false},
		{"/many", "robots", "robot, robot", true, false},
		{"/many", "", "ada, ada", true, false},
		{"/many", "", "", false, false},
		{"/many", "", "", true, true},
		{"/loads", "", "nobody, nobody", false, false},
		{"/loads", "", "ada, ada", true, false},
		{"/loads", "robots", "robot, robot", true, false},
		{"/loads", "", "nobody, nobody", true, true},
		{"/bare", "", "nobody, nobody", false, false},
		{"/bare", "robots", "robot, robot", true, false},
		{"/bare", "", "ada, ada", true, false},
		{"/bare", "", "nobody, nobody", true, true},
		{"/between", "robots", "robot, robot", true, false},
		{"/between", "", "ada, ada", true, false},
		{"/between", "", "", false, false},
		{"/logout-here", "robots", "robot, robot", true, false},
		{"/logout-here", "", "nobody, nobody", false, false},
		{"/logout-here", "", "nobody, nobody", true, false}, // an ended session is not restored
		{"/logout-bare", "robots", "robot, robot", true, false},
		{"/logout-bare", "", "nobody, nobody", false, false},
		{"/logout-bare", "", "nobody, nobody", true, false}, // the last request with this session
	} {
		refuse = false
		b := k.NewBrowser()
		if tt.session {
			if err := authtest.SignIn(k.Auth, b, &ginauth.User{Provider: "demo", Subject: "ada"}); err != nil {
				t.Fatal(err)
			}
		}
		refuse = tt.refuse
		asked := k.asked.Load()
		p := k.AskAs(b, "GET", tt.path, "X-Key", tt.key)
		if got := k.asked.Load() - asked; got != 1 {
			t.Errorf("%+v: asked %d times", tt, got)
		}
		if tt.want != "" && p.Text() != tt.want {
			t.Errorf("%+v: %d %s", tt, p.Status, p.Text())
		}
		if tt.want == "" && p.Status != http.StatusUnauthorized {
			t.Errorf("%+v: the response is %d", tt, p.Status)
		}
	}
}
