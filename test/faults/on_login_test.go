package faults

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsOnLogin(t *testing.T) {
	runFaults(t, []fault{
		{"S33_what_on_login_wrote", s33WhatOnLoginWrote},
		{"S33_a_status_alone", s33AStatusAlone},
		{"S33_the_connection_is_cut", s33TheConnectionIsCut},
		{"S33_codes_that_lead_to_a_sign_in", s33CodesThatLeadToASignIn},
		{"S33_what_began_cannot_be_ended", s33WhatBeganCannotBeEnded},
		{"S34_no_session_in_a_row", s34NoSessionInARow},
		{"S34_no_session_of_a_sign_in_taken_back", s34NoSessionOfASignInTakenBack},
	})
}

// eager is an application whose OnLogin signs a user in and sets response headers, before it
// does what a test wants.
type eager struct {
	*sitetest.Site
	marks  *sitetest.FaultyRevocations
	do     func(c *gin.Context, l *ginauth.Login) error
	cancel context.CancelFunc
	eve    string // the Cookie header of the session that OnLogin began
}

func newEager(t *testing.T, store ginsessions.Store) *eager {
	e := &eager{marks: &sitetest.FaultyRevocations{}}
	e.Site, _ = sitetest.NewSession(t, func(s *sitetest.Site, o *ginauth.Options) {
		e.marks.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
		o.Revocations, o.Sessions = e.marks, store
		s.Engine.Use(func(c *gin.Context) {
			ctx, cancel := context.WithCancel(c.Request.Context())
			defer cancel()
			e.cancel, c.Request = cancel, c.Request.WithContext(ctx)
			c.Header("X-Before", "middleware's")
			c.Header("X-Both", "middleware's")
			c.Next()
		})
		o.Hooks.OnLogin = func(c *gin.Context, l *ginauth.Login) error {
			c.SetCookie("hook", "1", 60, "/", "", false, false)
			c.Header("X-Hook", "1")
			c.Header("X-Both", "OnLogin's")
			c.Writer.Header().Del("X-Before")
			c.Status(http.StatusTeapot)
			if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "eve"}, nil); err != nil {
				t.Errorf("SignIn: %v", err)
			}
			e.eve = sessionOf(c.Writer.Header())
			return e.do(c, l)
		}
	})
	return e
}

// held returns the browser's session cookies, with the one that opens a stored record.
func (e *eager) held() string {
	line := e.CookieHeader()
	for _, c := range e.Browser.Cookies(e.URL) {
		if strings.HasSuffix(c.Name, "-b") {
			line += "; " + c.Name + "=" + c.Value
		}
	}
	return line
}

// sessionOf returns the Cookie header that a browser sends after a response.
func sessionOf(h http.Header) string {
	var pairs []string
	for _, line := range h.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, "; ")
}

// If the sign-in fails, in OnLogin or afterwards, everything that OnLogin wrote is discarded,
// and no user is signed in, not even with a copy of the cookie.
func s33WhatOnLoginWrote(t *testing.T) {
	broken := errors.New("not today")
	stores := map[string]func() ginsessions.Store{
		"sealed cookies": func() ginsessions.Store { return nil },
		"a store":        func() ginsessions.Store { return memstore.NewStore(sitetest.StoreHashKey) },
	}
	for where, open := range stores {
		e := newEager(t, open())
		for how, fails := range map[string]struct {
			code ginauth.Code
			do   func(c *gin.Context, l *ginauth.Login) error
		}{
			"an error":              {ginauth.ErrIdentityRejected, func(*gin.Context, *ginauth.Login) error { return broken }},
			"a panic":               {ginauth.ErrSessionError, func(*gin.Context, *ginauth.Login) error { panic("a bug") }},
			"no user":               {ginauth.ErrSessionError, func(_ *gin.Context, l *ginauth.Login) error { l.User = nil; return nil }},
			"a body":                {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { c.String(http.StatusOK, "by the hook"); return nil }},
			"JSON and a panic":      {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { c.JSON(200, gin.H{"by": "the hook"}); panic("a bug") }},
			"bytes":                 {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { _, _ = c.Writer.Write([]byte("by the hook")); return nil }},
			"a redirect":            {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { c.Redirect(http.StatusFound, "/elsewhere"); return nil }},
			"an aborted status":     {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { c.AbortWithStatus(http.StatusForbidden); return nil }},
			"an abort":              {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { c.Abort(); return nil }},
			"a status and an abort": {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { c.Status(http.StatusForbidden); c.Abort(); return nil }},
			"Flush":                 {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { c.Writer.Flush(); return nil }},
			"Flush by a controller": {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error { return http.NewResponseController(c.Writer).Flush() }},
			"Hijack": {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error {
				if conn, _, err := c.Writer.Hijack(); err == nil {
					_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\nby the hook"))
					conn.Close()
				}
				return nil
			}},
			"Hijack by a controller": {ginauth.ErrSessionError, func(c *gin.Context, _ *ginauth.Login) error {
				if conn, _, err := http.NewResponseController(c.Writer).Hijack(); err == nil {
					conn.Close()
				}
				return nil
			}},
			"20 KB": {ginauth.ErrSessionError, func(_ *gin.Context, l *ginauth.Login) error {
				l.User.Groups = sitetest.Groups(20_000)
				return nil
			}},
			"revocations are down": {ginauth.ErrStoreUnavailable, func(*gin.Context, *ginauth.Login) error {
				e.marks.ReadErr = sitetest.ErrBroken
				return nil
			}},
			"the browser hung up": {ginauth.ErrSessionError, func(*gin.Context, *ginauth.Login) error { e.cancel(); return nil }},
		} {
			if how == "20 KB" && where == "a store" {
				continue // a store has the room
			}
			e.Browser, e.do = e.NewBrowser(), fails.do
			e.As("ada")
			before := e.held()
			e.Logs.Reset()
			p := e.Finish(e.Begin("/login/demo"))
			e.marks.ReadErr = nil
			if p.Status != (&ginauth.Error{Code: fails.code}).Status() || !strings.Contains(p.Text(), string(fails.code)) || strings.Contains(p.Text(), "by the hook") {
				t.Errorf("%s, %s: the response is %d %s", where, how, p.Status, p.Text())
			}
			h := p.Header
			if h.Get("X-Hook") != "" || h.Get("X-Both") != "middleware's" || h.Get("X-Before") != "middleware's" || h.Get("Location") != "" || strings.Contains(sessionOf(h), "hook=") {
				t.Errorf("%s, %s: of OnLogin is left: %v", where, how, h)
			}
			sitetest.WantHeaders(t, p)
			if now := e.held(); now != before {
				t.Errorf("%s, %s: the cookies of the user before were replaced: %s, was %s", where, how, now, before)
			}
			for _, line := range []string{e.eve, before} {
				if who := e.Stolen(line); who != "" && who != "ada" {
					t.Errorf("%s, %s: %q is signed in", where, how, who)
				}
			}
			if u := e.User(); u != nil && u.Subject != "ada" {
				t.Errorf("%s, %s: %s is signed in", where, how, u.Subject)
			}
		}
		// If nothing fails, everything is sent except the status.
		e.Browser = e.NewBrowser()
		e.do = func(c *gin.Context, _ *ginauth.Login) error {
			c.Header("Cache-Control", "public, max-age=600")
			return nil
		}
		p := e.Must(e.Browser.Open(e.Begin("/login/demo").String()))
		if p.Status != http.StatusSeeOther || p.Header.Get("X-Hook") != "1" || p.Header.Get("X-Both") != "OnLogin's" || !strings.Contains(sessionOf(p.Header), "hook=1") {
			t.Errorf("%s: a successful sign-in responds %d %v", where, p.Status, p.Header)
		}
		if got := p.Header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
			t.Errorf("%s: a response with a session's cookie is cacheable: %s", where, got)
		}
		if u := e.User(); u == nil || u.Subject != "ada" {
			t.Errorf("%s: %v is signed in", where, u)
		}
	}
}

// A status is not a response: nothing is sent yet. It neither fails a sign-in nor affects its
// response.
func s33AStatusAlone(t *testing.T) {
	var seen int
	refuse := false
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			c.Status(http.StatusTeapot)
			if seen = c.Writer.Status(); refuse {
				return errors.New("not today")
			}
			return nil
		}
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) {} // a status that was already set is not its response
	})
	s.SignIn()
	if seen != http.StatusTeapot {
		t.Errorf("in OnLogin the status is %d", seen)
	}
	refuse = true
	s.Browser = s.NewBrowser()
	s.FailsClosed(t, s.Get("/login/demo"), sitetest.Closed{Code: ginauth.ErrIdentityRejected, Tokens: 2})
}

// gin.Recovery ends a request that panics with http.ErrAbortHandler, and the current headers are
// sent.
func s33TheConnectionIsCut(t *testing.T) {
	eve := ""
	s, _ := sitetest.NewSession(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Engine.Use(gin.CustomRecoveryWithWriter(nil, nil))
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			c.SetCookie("hook", "1", 60, "/", "", false, false)
			if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "eve"}, nil); err != nil {
				t.Errorf("SignIn: %v", err)
			}
			eve = sessionOf(c.Writer.Header())
			panic(http.ErrAbortHandler)
		}
	})
	p := s.Finish(s.Begin("/login/demo"))
	if left := sessionOf(p.Header); strings.Contains(left, "hook=") || s.User() != nil || s.IDP.Count(authtest.Token) != 1 {
		t.Errorf("the response is %d with the cookies %s; %v is signed in", p.Status, left, s.User())
	}
	if who := s.Stolen(eve); who != "" {
		t.Errorf("a copy of the cookie is %q", who)
	}
}

// A guard responds to these codes with a redirect to the sign-in, which would loop.
func s33CodesThatLeadToASignIn(t *testing.T) {
	for name, err := range map[string]error{
		"ErrUnauthenticated": ginauth.ErrUnauthenticated, "ErrStepUpRequired": ginauth.ErrStepUpRequired,
		"an Error":   &ginauth.Error{Code: ginauth.ErrUnauthenticated},
		"of a check": ginauth.ACR("mfa")(&ginauth.User{}), "of no user": ginauth.MaxAge(time.Hour)(nil),
	} {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { return err }
		})
		p := s.Must(s.Browser.Open(s.Begin("/login/demo").String()))
		if p.Header.Get("Location") != "" {
			t.Errorf("%s: redirects to %s", name, p.Header.Get("Location"))
		}
		s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrIdentityRejected, Tokens: 1})
	}
}

// OnLogin begins a session and returns an error, and the session cannot be revoked: its cookie
// is not sent, and the response reports the store's failure, not the rejection.
func s33WhatBeganCannotBeEnded(t *testing.T) {
	e := newEager(t, nil)
	e.do = func(*gin.Context, *ginauth.Login) error {
		e.marks.WriteErr = sitetest.ErrBroken
		return errors.New("not today")
	}
	p := e.Finish(e.Begin("/login/demo"))
	e.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStoreUnavailable, Tokens: 1})
	if left := sessionOf(p.Header); strings.Contains(left, "hook=") {
		t.Errorf("the response sets %s", left)
	}
}

// An application with its own sessions may sign users in repeatedly, since a missing ginauth
// session is no loop. An existing one stays.
func s34NoSessionInARow(t *testing.T) {
	var events []ginauth.Event
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Unheard = true
		o.Hooks.OnEvent = func(_ context.Context, e ginauth.Event) { events = append(events, e) }
		o.Hooks.OnLogin = func(c *gin.Context, l *ginauth.Login) error {
			l.NoSession, l.ReturnTo = true, "/own"
			l.Limits.Lifetime = -1 // limits of the session that does not begin
			c.SetCookie("own", l.User.Subject, 60, "/", "", false, true)
			return nil
		}
	})
	for _, before := range []string{"", "grace"} {
		if s.Browser = s.NewBrowser(); before != "" {
			s.As(before)
		}
		held := s.CookieHeader()
		for range 5 {
			events = nil
			p := s.Must(s.Browser.Open(s.Begin("/login/demo").String()))
			if p.Status != http.StatusSeeOther || !strings.HasSuffix(p.Header.Get("Location"), "/own#") || !strings.Contains(sessionOf(p.Header), "own=ada") {
				t.Fatalf("the response is %d %v %s", p.Status, p.Header, p.Text())
			}
			if names := lasting(p.Header); len(names) != 1 || names[0] != "own" {
				t.Errorf("the response sets %q", names)
			}
			last := events[len(events)-1]
			if last.Name != ginauth.SignInSucceeded || last.User == "" || last.Provider != "demo" {
				t.Errorf("the event is %+v", last)
			}
			s.Clock.Advance(time.Second)
		}
		if u := s.User(); s.CookieHeader() != held || (u != nil) != (before != "") || u != nil && u.Subject != before {
			t.Errorf("%+v is signed in, want %q", u, before)
		}
	}
}

// A sign-in that the provider has revoked is rejected, also if the application keeps the
// session.
func s34NoSessionOfASignInTakenBack(t *testing.T) {
	s := sitetest.NewLogout(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error { l.NoSession = true; return nil }
	})
	callback := s.Begin("/login/demo")
	s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iat"] = s.Clock.Now().Add(-2 * time.Second).Unix() })
	s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada"})))
	s.FailsClosed(t, s.Finish(callback), sitetest.Closed{Code: ginauth.ErrIDTokenInvalid, Tokens: 1})
}
