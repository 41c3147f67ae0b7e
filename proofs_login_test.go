package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

// The tests of this file and of proofs_logout_test.go are about checks that
// could be taken out without any other test noticing: see mutation/README.md.

// linkingSite is a site whose Revocations fail when they are told to, and whose
// OnLogin counts.
func linkingSite(t *testing.T) (*site, *faultyRevocations, *int) {
	t.Helper()
	f, logins := &faultyRevocations{}, new(int)
	s := newSite(t, func(s *site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 1<<20)
		o.Revocations = f
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
			*logins++
			return nil
		}
	})
	s.as("ada")
	return s, f, logins
}

var linkForm = url.Values{"link": {"true"}}

// beginLinking asks to link an account, and stops before the answer.
func (s *site) beginLinking() (callback *url.URL) {
	s.t.Helper()
	s.browser.StopAt = func(next *url.URL) bool {
		callback = next
		return strings.HasPrefix(next.String(), s.URL+"/authorize/")
	}
	defer func() { s.browser.StopAt = nil }()
	s.must(s.browser.Submit(pageOf(s), s.URL+"/login/demo", linkForm))
	return callback
}

// Who asked to link an account is there still, and is nobody else, when the
// answer comes: OnLogin must not be told of a person who left.
func TestLinkingNeedsTheSessionThatAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		meanwhile func(s *site, f *faultyRevocations)
		code      ginauth.Code
	}{
		"it was ended elsewhere": {func(s *site, _ *faultyRevocations) {
			if err := s.auth.LogoutEverywhere(context.Background(), s.user().ID()); err != nil {
				s.t.Fatal(err)
			}
		}, ginauth.ErrStateInvalid},
		"somebody else signed in":        {func(s *site, _ *faultyRevocations) { s.as("grace") }, ginauth.ErrStateInvalid},
		"it cannot be known if it ended": {func(_ *site, f *faultyRevocations) { f.readErr = errBroken }, ginauth.ErrStoreUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f, logins := linkingSite(t)
			s.idp.SignInAs("eve")
			callback := s.beginLinking()
			tt.meanwhile(s, f)
			s.wantError(s.finish(callback), tt.code)
			f.readErr = nil
			if u := s.user(); *logins != 0 || u != nil && u.Subject == "eve" {
				t.Errorf("OnLogin was called %d times, and %v is signed in", *logins, u)
			}
		})
	}
}

func TestLinkingBeginsWithASessionThatIsKnownToLive(t *testing.T) {
	t.Parallel()
	s, f, _ := linkingSite(t)
	f.readErr = errBroken
	s.wantError(s.must(s.browser.Submit(pageOf(s), s.URL+"/login/demo", linkForm)), ginauth.ErrStoreUnavailable)
}

// Old browsers send no Sec-Fetch-Site: then Origin has to say that the page is
// ours, and its absence says nothing.
func TestLinkingFromAnOldBrowser(t *testing.T) {
	t.Parallel()
	s, _, _ := linkingSite(t)
	for origin, status := range map[string]int{s.URL: http.StatusSeeOther, "": http.StatusForbidden, "https://evil.example": http.StatusForbidden} {
		r, err := http.NewRequest("POST", s.URL+"/login/demo", strings.NewReader(linkForm.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", s.cookieLine())
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("from origin %q: %d, want %d", origin, answer.StatusCode, status)
		}
	}
}

// An attempt that is over gives its room to a new one, and its cookie goes.
func TestAttemptsThatAreOverGo(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	old := s.open("/login/demo").Header.Get("Set-Cookie")
	pair, _, _ := strings.Cut(old, ";")
	name, _, _ := strings.Cut(pair, "=")
	for after, expired := range map[time.Duration]bool{5 * time.Minute: false, 11 * time.Minute: true} {
		s.clock.Advance(after)
		s.browser = s.newBrowser() // a browser that keeps cookies longer than it should
		p := s.ask("GET", "/login/demo", "Cookie", pair)
		s.clock.Advance(-after)
		lines := strings.Join(p.Header.Values("Set-Cookie"), "\n")
		if got := strings.Contains(lines, name+"=;"); got != expired || p.Status != http.StatusSeeOther {
			t.Errorf("after %v: %d, taken back: %v\n%s", after, p.Status, got, lines)
		}
	}
}

// What the application asks of every sign-in can be too much for a cookie: then
// nobody is sent to the provider with an attempt that is lost.
func TestAnAttemptTooLargeForACookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].AuthParams = map[string]string{"acr_values": strings.Repeat("x", 4000)}
	})
	s.wantError(s.open("/login/demo"), ginauth.ErrSessionError)
	if n := s.idp.Count(authtest.Authorize); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// A TokenIssuer that names no issuer admits none, whatever the token says.
func TestTokenIssuerThatNamesNone(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].TokenIssuer = func(map[string]any) (string, error) { return "", nil }
	})
	s.idp.EditIDToken(func(_, claims map[string]any) { claims["iss"] = "" })
	s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "not one of those admitted", 1)
	if !strings.Contains(s.logs.String(), "TokenIssuer returned none") {
		t.Error(s.logs)
	}
}

// Nor does one that says what is wrong, whatever it returns beside it.
func TestTokenIssuerThatFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Providers[0].TokenIssuer = func(map[string]any) (string, error) { return s.idp.Issuer, errors.New("the tenant is closed") }
	})
	s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "the tenant is closed", 1)
}

// OnLogin gets a refresh token only if it is text, and of a size that one has.
func TestOddRefreshTokens(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"a number": 7, "a list": []string{"a"}, "too long": strings.Repeat("r", 64<<10+1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, token := siteWithToken(t)
			s.idp.EditToken(func(a map[string]any) { a["refresh_token"] = value })
			s.accepts(t, "/login/demo")
			if got := token(); got.RefreshToken != "" || got.Extra("refresh_token") != nil {
				t.Errorf("OnLogin got %.20q, %.20v", got.RefreshToken, got.Extra("refresh_token"))
			}
		})
	}
}

// Twitch's scopes are a list; OnLogin gets them as the standard has them.
func TestScopesAsAList(t *testing.T) {
	t.Parallel()
	s, token := siteWithToken(t)
	s.idp.EditToken(func(a map[string]any) { a["scope"] = []string{"openid", "email"} })
	s.accepts(t, "/login/demo")
	if got := token().Extra("scope"); got != "openid email" {
		t.Errorf("OnLogin got %v", got)
	}
}

func TestSignInOfNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	var err error
	since := s.clock.Now().Add(-time.Hour).Round(time.Second)
	u := (*ginauth.User)(nil)
	s.engine.GET("/as", func(c *gin.Context) { err = s.auth.SignIn(c, u) })
	if s.ask("GET", "/as"); !errors.Is(err, ginauth.ErrIdentityRejected) || s.user() != nil {
		t.Errorf("nobody: %v", err)
	}
	u = &ginauth.User{Provider: "demo", Subject: "ada", AuthTime: since}
	if s.ask("GET", "/as"); err != nil || s.user() == nil || !s.user().AuthTime.Equal(since) {
		t.Errorf("somebody whose AuthTime is known: %v, %+v", err, s.user())
	}
}

// Update asks whether the session lives before it changes anything.
func TestUpdateWhenRevocationsCannotBeRead(t *testing.T) {
	t.Parallel()
	s, f, _ := linkingSite(t)
	var err error
	s.engine.POST("/rename", func(c *gin.Context) {
		err = s.auth.Update(c, func(u *ginauth.User) { u.Name = "changed" })
	})
	f.readErr = errBroken
	s.ask("POST", "/rename", fetches...)
	f.readErr = nil
	if u := s.user(); !errors.Is(err, ginauth.ErrStoreUnavailable) || u == nil || u.Name == "changed" {
		t.Errorf("got %v; the user is %+v", err, u)
	}
}

func TestSessionInfoNamesNoTimeAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Lifetime, o.IdleTimeout = 3*time.Hour, 2*time.Hour })
	var info ginauth.SessionInfo
	s.guarded("/info", func(c *gin.Context) { info, _ = s.auth.Session(c) })
	s.as("ada")
	s.clock.Advance(90 * time.Minute)
	s.ask("GET", "/info")
	s.clock.Advance(80 * time.Minute)
	s.ask("GET", "/info")
	if info.AbsoluteExpiry.IsZero() || !info.IdleExpiry.Equal(info.AbsoluteExpiry) {
		t.Errorf("it expires at %v and ends at %v", info.IdleExpiry, info.AbsoluteExpiry)
	}
}
