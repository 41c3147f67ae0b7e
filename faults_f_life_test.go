package ginauth_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

// Who copied a cookie has nothing once its owner signed out: a stateless
// cookie alone would go on.
func faultReplayAfterLogout(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	s.signIn()
	line := s.cookieLine()
	if s.stolen(line) != "ada" {
		t.Fatal("the cookie is no session")
	}
	p := s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil))
	if p.Status != http.StatusOK || s.user() != nil {
		t.Errorf("signing out ended at %s with %d", p.URL, p.Status)
	}
	if who := s.stolen(line); who != "" {
		t.Errorf("the copy is still %q", who)
	}
	s.clock.Advance(23 * time.Hour)
	if who := s.stolen(line); who != "" {
		t.Errorf("a day later the copy is %q", who)
	}
}

// A request that began before the sign-out and saves the session after it must
// not bring it back.
func faultResurrection(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	reached, goOn := make(chan bool), make(chan bool)
	var updateErr error
	s.guarded("/slow", func(c *gin.Context) {
		close(reached)
		<-goOn
		updateErr = s.auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"k": "v"} })
	})
	s.as("ada")
	slow := s.browser.Clone()
	done := make(chan *authtest.Page)
	go func() {
		p, _ := slow.Fetch(pageOf(s), "GET", s.URL+"/slow", nil, "")
		done <- p
	}()
	<-reached
	if p := s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil)); p.Status != http.StatusOK {
		t.Fatalf("sign-out: %d", p.Status)
	}
	close(goOn)
	p := <-done
	saved, _, _ := strings.Cut(p.Header.Get("Set-Cookie"), ";")
	if updateErr != nil || saved == "" {
		t.Fatalf("the slow request saved nothing: %v", updateErr)
	}
	if who := s.stolen(saved); who != "" || s.userOf(slow) != nil {
		t.Errorf("the session is back: %q", who)
	}
}

// Whether a session was revoked cannot be known: nobody gets in.
func faultRevocationsFail(t *testing.T) {
	t.Parallel()
	broken := &faultyRevocations{}
	s, _ := sessionSite(t, func(s *site, o *ginauth.Options) {
		broken.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 1<<20)
		o.Revocations = broken
	})
	s.as("ada")
	broken.readErr = errors.New("dial redis at 10.1.2.3: refused")
	for _, header := range [][]string{fetches, navigates, upgrades} {
		p := s.ask("GET", "/me", header...)
		s.wantError(p, ginauth.ErrStoreUnavailable)
		if p.Header.Get("Retry-After") == "" || strings.Contains(p.Text(), "redis") {
			t.Errorf("Retry-After %q, %s", p.Header.Get("Retry-After"), p.Text())
		}
	}
	if s.ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
	if p := s.open("/"); p.Status != http.StatusOK || p.Text() != "home" {
		t.Errorf("LoadUser: %d %q, want the page for nobody", p.Status, p.Text())
	}
	if !strings.Contains(s.logs.String(), "dial redis") {
		t.Error("the log does not say why")
	}
	broken.readErr = nil
	if s.user() == nil {
		t.Error("the session did not outlive the outage")
	}
	broken.onceErr = errors.New("down")
	p := s.finish(s.begin("/login/demo"))
	s.failsClosed(t, p, closed{code: ginauth.ErrStoreUnavailable, was: "ada"})
	broken.onceErr, broken.writeErr = nil, errors.New("down") // the session that is replaced cannot be revoked
	p = s.finish(s.begin("/login/demo"))
	s.failsClosed(t, p, closed{code: ginauth.ErrStoreUnavailable, was: "ada", tokens: 1})
}

func faultParallelSliding(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, func(_ *site, o *ginauth.Options) { o.IdleTimeout = 100 * time.Minute })
	s.as("ada")
	round := func() (cookies int) {
		line := s.cookieLine()
		var wait sync.WaitGroup
		var mu sync.Mutex
		for range 100 {
			wait.Go(func() {
				request, _ := http.NewRequest("GET", s.URL+"/who", nil)
				request.Header.Set("Cookie", line)
				response, err := http.DefaultTransport.RoundTrip(request)
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				mu.Lock()
				defer mu.Unlock()
				cookies += len(response.Header.Values("Set-Cookie"))
				if response.StatusCode != http.StatusOK || len(response.Header.Values("Set-Cookie")) > 1 {
					t.Errorf("answered %d with cookies %q", response.StatusCode, response.Header.Values("Set-Cookie"))
				}
			})
		}
		wait.Wait()
		return cookies
	}
	if n := round(); n != 0 {
		t.Errorf("%d cookies at once", n)
	}
	s.clock.Advance(11 * time.Minute)
	if n := round(); n != 100 {
		t.Errorf("%d of 100 answers renewed the session after a tenth of the idle timeout", n)
	}
	if s.user(); round() != 0 {
		t.Error("the session was renewed, and is again")
	}
}

// What does not fit is refused, and the log says what it was.
func faultSessionTooLarge(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		s.idp.EditIDToken(func(_, claims map[string]any) {
			claims["permissions"], claims["groups"] = strings.Repeat("p", 5000), groupsOf(1200)
		})
	})
	p := s.finish(s.begin("/login/demo"))
	s.failsClosed(t, p, closed{code: ginauth.ErrSessionError, tokens: 1, hide: []string{"pppppppppppp"}})
	if got := s.logs.String(); !strings.Contains(got, "claim permissions (5.0 KB)") || !strings.Contains(got, "groups (1.2 KB)") || !strings.Contains(got, "fewer KeepClaims") {
		t.Errorf("the log does not name what is too large: %s", got)
	}
	if got := s.sessionCookies(); len(got) > 0 {
		t.Errorf("cookies were set: %v", got)
	}
}

// Lifetimes count inside the record: a cookie that is kept longer is of no use.
func faultLifetimes(t *testing.T) {
	t.Parallel()
	const idle, life = 30 * time.Minute, 12 * time.Hour
	limits := func(_ *site, o *ginauth.Options) { o.IdleTimeout, o.Lifetime = idle, life }
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		s, _ := sessionSite(t, limits)
		s.as("ada")
		line := s.cookieLine()
		s.clock.Advance(idle - time.Minute)
		if s.stolen(line) != "ada" {
			t.Error("over before the idle timeout")
		}
		s.clock.Advance(time.Minute + 2*time.Second)
		if s.stolen(line) != "" || s.user() != nil {
			t.Error("alive after the idle timeout")
		}
	})
	t.Run("absolute", func(t *testing.T) {
		t.Parallel()
		s, _ := sessionSite(t, limits)
		s.as("ada")
		var line string
		for at := time.Duration(0); at < life-10*time.Minute; at += 10 * time.Minute {
			if s.user() == nil {
				t.Fatalf("over after %v of activity", at)
			}
			line = s.cookieLine()
			s.clock.Advance(10 * time.Minute)
		}
		s.clock.Advance(10*time.Minute + 2*time.Second)
		if s.stolen(line) != "" || s.user() != nil {
			t.Error("alive after its lifetime")
		}
	})
	t.Run("a clock that was put back", func(t *testing.T) {
		t.Parallel()
		s, _ := sessionSite(t, limits)
		s.as("ada")
		line := s.cookieLine()
		s.clock.Advance(-50 * time.Second)
		if s.stolen(line) != "ada" {
			t.Error("replicas whose clocks differ by seconds sign people out")
		}
		s.clock.Advance(-time.Hour)
		if s.stolen(line) != "" {
			t.Error("a session of the future is alive")
		}
	})
}

// The cookie is written again after a tenth of the idle timeout, and not before.
func faultSliding(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, func(_ *site, o *ginauth.Options) { o.IdleTimeout, o.Lifetime = 100*time.Minute, 205*time.Minute })
	s.as("ada")
	for i, tt := range []struct {
		after  time.Duration
		writes bool
		maxAge time.Duration
	}{
		{9 * time.Minute, false, 0},
		{2 * time.Minute, true, 100 * time.Minute},
		{9 * time.Minute, false, 0},
		{80 * time.Minute, true, 100 * time.Minute},
		{90 * time.Minute, true, 15 * time.Minute}, // what is left of the lifetime
	} {
		s.clock.Advance(tt.after)
		p := s.ask("GET", "/who")
		if p.Text() != "ada" || len(p.Header.Values("Set-Cookie")) > 0 != tt.writes {
			t.Fatalf("step %d: %d %q, cookies %q", i, p.Status, p.Text(), p.Header.Values("Set-Cookie"))
		}
		if !tt.writes {
			continue
		}
		line, err := http.ParseSetCookie(p.Header.Get("Set-Cookie"))
		if err != nil || (tt.maxAge-time.Duration(line.MaxAge)*time.Second).Abs() > 5*time.Second {
			t.Errorf("step %d: %v, %v; want one that is kept for %v", i, line, err, tt.maxAge)
		}
	}
}

// The provider says when its own session ends: ours ends then, if not before.
func faultProviderExpiry(t *testing.T) {
	t.Parallel()
	start := func(expiry func(now time.Time) any) (*site, func(func(*ginauth.User)) (*authtest.Page, error)) {
		return sessionSite(t, func(s *site, _ *ginauth.Options) {
			s.idp.EditIDToken(func(_, claims map[string]any) { claims["session_expiry"] = expiry(s.clock.Now()) })
		})
	}
	s, update := start(func(now time.Time) any { return now.Add(time.Hour).Unix() })
	lines := s.finish(s.begin("/login/demo")).Hops[0].Header.Values("Set-Cookie")
	line := s.cookieLine()
	for _, text := range lines {
		if c, err := http.ParseSetCookie(text); err != nil || c.MaxAge > 3600 {
			t.Errorf("a cookie is kept for %d seconds: %v", c.MaxAge, err)
		}
	}
	if line == "" || len(lines) < 2 {
		t.Fatalf("signing in set the cookies %q", lines)
	}
	s.clock.Advance(59 * time.Minute)
	if s.stolen(line) != "ada" {
		t.Error("over before the provider's session")
	}
	if _, err := update(func(*ginauth.User) {}); err != nil { // which does not prolong it
		t.Error(err)
	}
	renewed := s.cookieLine()
	if renewed == line || s.stolen(renewed) != "ada" {
		t.Error("the session was not written again")
	}
	s.clock.Advance(2 * time.Minute)
	if s.stolen(line) != "" || s.stolen(renewed) != "" || s.user() != nil {
		t.Error("alive after the provider's session")
	}
	s, _ = start(func(now time.Time) any { return now.Add(100 * time.Hour).Unix() })
	s.signIn()
	s.clock.Advance(25 * time.Hour)
	if s.user() != nil {
		t.Error("the provider's session prolongs ours")
	}
	for name, expiry := range map[string]func(now time.Time) any{
		"past": func(now time.Time) any { return now.Add(-time.Second).Unix() }, "zero": func(time.Time) any { return 0 },
		"text":         func(now time.Time) any { return now.Add(time.Hour).Format(time.RFC3339) },
		"out of range": func(time.Time) any { return 1e300 },
	} {
		s, _ := start(expiry)
		p := s.finish(s.begin("/login/demo"))
		if !strings.Contains(s.logs.String(), "session_expiry") {
			t.Errorf("%s: the log does not say why: %s", name, s.logs)
		}
		s.failsClosed(t, p, closed{code: ginauth.ErrIDTokenInvalid, tokens: 1})
	}
}
