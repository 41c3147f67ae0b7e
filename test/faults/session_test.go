package faults

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/internal/wire"
)

func TestFaultsSession(t *testing.T) {
	runFaults(t, []fault{
		{"F1_fixation", f1Fixation},
		{"F7_key_rotation", f7KeyRotation},
		{"F13_lifetimes", f13Lifetimes},
		{"F13_sliding", f13Sliding},
		{"F15_cookie_sent_again_after_sign_out", f15CookieSentAgainAfterSignOut},
		{"F16_saved_by_a_request_under_way", f16SavedByARequestUnderWay},
		{"F17_revocations_fail", f17RevocationsFail},
		{"F21_a_hundred_requests_at_once", f21AHundredRequestsAtOnce},
		{"F24_session_of_the_provider_ends", f24SessionOfTheProviderEnds},
		{"F25_unknown_records", f25UnknownRecords},
		{"L12_the_clock_jumps", l12TheClockJumps},
	})
}

// Records of an older or newer version, or of another program.
func f25UnknownRecords(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	box := sitetest.SessionBox(t, s)
	name, good := sitetest.RecordOf(t, box, s.Mint(&ginauth.User{Subject: "ada", Data: map[string]string{"k": "v"}}))
	text := func(s string) string { return string(wire.AppendString(nil, s)) }
	var asGob bytes.Buffer
	if err := gob.NewEncoder(&asGob).Encode(map[string]string{"sub": "ada"}); err != nil {
		t.Fatal(err)
	}
	if who := s.Stolen(name + "=1" + box.Seal([]byte(good), name)); who != "ada" {
		t.Fatalf("the record, sealed again, is %q", who)
	}
	at := strings.Index(good, "demo") + len("demo") // the position of the issuer's fingerprint
	other := string(good[0]) + good[1:17] + string(good[17]&^2) + good[18:at+8]
	if who := s.Stolen(name + "=1" + box.Seal([]byte(other+text(s.IDP.Issuer)+good[at+8:]), name)); who != "ada" {
		t.Fatalf("the record with its issuer in full is %q", who)
	}
	records := map[string]string{
		"nothing": "", "version 0": "\x00" + good[1:], "version 1": "\x01" + good[1:], "version 2 of this one's text": "\x02" + good[1:], "version 4": "\x04" + good[1:], "version 255": "\xff" + good[1:], "version alone": good[:1], "no flags": good[:17],
		"JSON": `{"sub":"ada","provider":"demo"}`, "JSON in ours": good[:17] + `{"sub":"ada"}`, "gob": asGob.String(), "more behind it": good + "\x00",
		"an unknown flag": good[:18] + "\x80" + good[19:], "half of the flags": good[:18],
		"another provider": strings.Replace(good, "demo", "gone", 1), "another issuer": good[:at] + "another " + good[at+8:], "another issuer in full": other + text("https://id.example.com") + good[at+8:],
		"an endless number": good[:17] + strings.Repeat("\xff", 40), "zeroes": good[:1] + strings.Repeat("\x00", 200), "a lone name in the data": good[:len(good)-5] + "\x01\x01k",
	}
	for i := 1; i < len(good); i += 3 {
		records[fmt.Sprint("cut to ", i)] = good[:i]
	}
	for what, record := range records {
		if who := s.Stolen(name + "=1" + box.Seal([]byte(record), name)); who != "" {
			t.Errorf("%s: %q is signed in", what, who)
		}
	}
}

// A copied cookie is useless once its user has signed out: a purely stateless cookie would
// remain valid.
func f15CookieSentAgainAfterSignOut(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	s.SignIn()
	line := s.CookieHeader()
	if s.Stolen(line) != "ada" {
		t.Fatal("the cookie is no session")
	}
	p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	if p.Status != http.StatusOK || s.User() != nil {
		t.Errorf("signing out ended at %s with %d", p.URL, p.Status)
	}
	if who := s.Stolen(line); who != "" {
		t.Errorf("the copy is still %q", who)
	}
	s.Clock.Advance(23 * time.Hour)
	if who := s.Stolen(line); who != "" {
		t.Errorf("a day later the copy is %q", who)
	}
}

// A request that began before the sign-out and saves the session after it must not restore it.
func f16SavedByARequestUnderWay(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	reached, goOn := make(chan bool), make(chan bool)
	var updateErr error
	s.Guard("/slow", func(c *gin.Context) {
		close(reached)
		<-goOn
		updateErr = s.Auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"k": "v"} })
	})
	s.As("ada")
	slow := s.Browser.Clone()
	done := make(chan *authtest.Page)
	go func() {
		p, _ := slow.Fetch(sitetest.HomePage(s), "GET", s.URL+"/slow", nil, "")
		done <- p
	}()
	<-reached
	if p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil)); p.Status != http.StatusOK {
		t.Fatalf("sign-out: %d", p.Status)
	}
	close(goOn)
	p := <-done
	saved, _, _ := strings.Cut(p.Header.Get("Set-Cookie"), ";")
	if updateErr != nil || saved == "" {
		t.Fatalf("the slow request saved no session: %v", updateErr)
	}
	if who := s.Stolen(saved); who != "" || s.UserOf(slow) != nil {
		t.Errorf("the session is back: %q", who)
	}
}

// If it is unknown whether a session was revoked, no request is admitted.
func f17RevocationsFail(t *testing.T) {
	t.Parallel()
	broken := &sitetest.FaultyRevocations{}
	s, _ := sitetest.NewSession(t, func(s *sitetest.Site, o *ginauth.Options) {
		broken.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
		o.Revocations = broken
	})
	s.As("ada")
	broken.ReadErr = errors.New("dial redis at 10.1.2.3: refused")
	for _, header := range [][]string{sitetest.Fetch, sitetest.Navigation, sitetest.Upgrade} {
		p := s.Ask("GET", "/me", header...)
		s.WantError(p, ginauth.ErrStoreUnavailable)
		if p.Header.Get("Retry-After") == "" || strings.Contains(p.Text(), "redis") {
			t.Errorf("Retry-After %q, %s", p.Header.Get("Retry-After"), p.Text())
		}
	}
	if s.Ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
	if p := s.Open("/"); p.Status != http.StatusOK || p.Text() != "home" {
		t.Errorf("LoadUser: %d %q, want the page without a user", p.Status, p.Text())
	}
	if !strings.Contains(s.Logs.String(), "dial redis") {
		t.Error("the log does not say why")
	}
	broken.ReadErr = nil
	if s.User() == nil {
		t.Error("the session did not outlive the outage")
	}
	broken.OnceErr = errors.New("down")
	p := s.Finish(s.Begin("/login/demo"))
	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStoreUnavailable, Was: "ada"})
	broken.OnceErr, broken.WriteErr = nil, errors.New("down") // the replaced session cannot be revoked
	p = s.Finish(s.Begin("/login/demo"))
	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStoreUnavailable, Was: "ada", Tokens: 1})
}

func f21AHundredRequestsAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) { o.IdleTimeout = 100 * time.Minute })
	s.As("ada")
	round := func() (cookies int) {
		line := s.CookieHeader()
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
					t.Errorf("the response is %d with cookies %q", response.StatusCode, response.Header.Values("Set-Cookie"))
				}
			})
		}
		wait.Wait()
		return cookies
	}
	if n := round(); n != 0 {
		t.Errorf("%d cookies at once", n)
	}
	s.Clock.Advance(11 * time.Minute)
	if n := round(); n != 100 {
		t.Errorf("%d of 100 responses renewed the session after a tenth of the idle timeout", n)
	}
	if s.User(); round() != 0 {
		t.Error("the session was renewed, and is again")
	}
}

// Lifetimes are in the record: a cookie that is kept longer is useless.
func f13Lifetimes(t *testing.T) {
	t.Parallel()
	const idle, life = 30 * time.Minute, 12 * time.Hour
	limits := func(_ *sitetest.Site, o *ginauth.Options) { o.IdleTimeout, o.Lifetime = idle, life }
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		s, _ := sitetest.NewSession(t, limits)
		s.As("ada")
		line := s.CookieHeader()
		s.Clock.Advance(idle - time.Minute)
		if s.Stolen(line) != "ada" {
			t.Error("over before the idle timeout")
		}
		s.Clock.Advance(time.Minute + 2*time.Second)
		if s.Stolen(line) != "" || s.User() != nil {
			t.Error("alive after the idle timeout")
		}
	})
	t.Run("absolute", func(t *testing.T) {
		t.Parallel()
		s, _ := sitetest.NewSession(t, limits)
		s.As("ada")
		var line string
		for at := time.Duration(0); at < life-10*time.Minute; at += 10 * time.Minute {
			if s.User() == nil {
				t.Fatalf("over after %v of activity", at)
			}
			line = s.CookieHeader()
			s.Clock.Advance(10 * time.Minute)
		}
		s.Clock.Advance(10*time.Minute + 2*time.Second)
		if s.Stolen(line) != "" || s.User() != nil {
			t.Error("alive after its lifetime")
		}
	})
	t.Run("a clock that was put back", func(t *testing.T) {
		t.Parallel()
		s, _ := sitetest.NewSession(t, limits)
		s.As("ada")
		line := s.CookieHeader()
		s.Clock.Advance(-50 * time.Second)
		if s.Stolen(line) != "ada" {
			t.Error("replicas whose clocks differ by seconds sign users out")
		}
		s.Clock.Advance(-time.Hour)
		if s.Stolen(line) != "" {
			t.Error("a session of the future is alive")
		}
	})
}

// The cookie is rewritten after a tenth of the idle timeout, and not before.
func f13Sliding(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.IdleTimeout, o.Lifetime = 100*time.Minute, 205*time.Minute
	})
	s.As("ada")
	for i, tt := range []struct {
		after  time.Duration
		writes bool
		maxAge time.Duration
	}{
		{9 * time.Minute, false, 0},
		{2 * time.Minute, true, 100 * time.Minute},
		{9 * time.Minute, false, 0},
		{80 * time.Minute, true, 100 * time.Minute},
		{90 * time.Minute, true, 15 * time.Minute}, // the rest of the lifetime
	} {
		s.Clock.Advance(tt.after)
		p := s.Ask("GET", "/who")
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

// If the provider sends the end of its own session, ours ends then at the latest.
func f24SessionOfTheProviderEnds(t *testing.T) {
	t.Parallel()
	start := func(expiry func(now time.Time) any) (*sitetest.Site, func(func(*ginauth.User)) (*authtest.Page, error)) {
		return sitetest.NewSession(t, func(s *sitetest.Site, _ *ginauth.Options) {
			s.IDP.EditIDToken(func(_, claims map[string]any) { claims["session_expiry"] = expiry(s.Clock.Now()) })
		})
	}
	s, update := start(func(now time.Time) any { return now.Add(time.Hour).Unix() })
	lines := s.Finish(s.Begin("/login/demo")).Hops[0].Header.Values("Set-Cookie")
	line := s.CookieHeader()
	for _, text := range lines {
		if c, err := http.ParseSetCookie(text); err != nil || c.MaxAge > 3600 {
			t.Errorf("a cookie is kept for %d seconds: %v", c.MaxAge, err)
		}
	}
	if line == "" || len(lines) < 2 {
		t.Fatalf("signing in set the cookies %q", lines)
	}
	s.Clock.Advance(59 * time.Minute)
	if s.Stolen(line) != "ada" {
		t.Error("over before the provider's session")
	}
	if _, err := update(func(*ginauth.User) {}); err != nil { // Update does not extend it
		t.Error(err)
	}
	renewed := s.CookieHeader()
	if renewed == line || s.Stolen(renewed) != "ada" {
		t.Error("the session was not written again")
	}
	s.Clock.Advance(2 * time.Minute)
	if s.Stolen(line) != "" || s.Stolen(renewed) != "" || s.User() != nil {
		t.Error("alive after the provider's session")
	}
	s, _ = start(func(now time.Time) any { return now.Add(100 * time.Hour).Unix() })
	s.SignIn()
	s.Clock.Advance(25 * time.Hour)
	if s.User() != nil {
		t.Error("the provider's session prolongs ours")
	}
	for name, expiry := range map[string]func(now time.Time) any{
		"past": func(now time.Time) any { return now.Add(-time.Second).Unix() }, "zero": func(time.Time) any { return 0 },
		"text":         func(now time.Time) any { return now.Add(time.Hour).Format(time.RFC3339) },
		"out of range": func(time.Time) any { return 1e300 },
	} {
		s, _ := start(expiry)
		p := s.Finish(s.Begin("/login/demo"))
		if !strings.Contains(s.Logs.String(), "session_expiry") {
			t.Errorf("%s: the log does not say why: %s", name, s.Logs)
		}
		s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrIDTokenInvalid, Tokens: 1})
	}
}

// An attacker's session in the victim's browser does not become the victim's.
func f1Fixation(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	attacker := s.NewBrowser()
	victim := s.Browser
	s.Browser = attacker
	s.As("eve")
	planted, line := s.SessionCookie(), s.CookieHeader()
	s.Browser = victim
	if err := victim.SetCookie(s.URL, planted); err != nil {
		t.Fatal(err)
	}
	s.SignIn()
	if u := s.User(); u.Subject != "ada" {
		t.Errorf("the victim is %s", u.Subject)
	}
	if s.SessionCookie().Value == planted.Value {
		t.Error("the session kept its id")
	}
	if who := s.Stolen(line); who != "" {
		t.Errorf("with the planted cookie one is %q", who)
	}
	if got := s.UserOf(attacker); got != nil {
		t.Errorf("the attacker is %q", got.Subject)
	}
}

func f7KeyRotation(t *testing.T) {
	t.Parallel()
	const newKey = "another key for tests, also longer than 32 bytes"
	s, _ := sitetest.NewSession(t, nil)
	s.As("ada")
	line := s.CookieHeader()
	both := s.Replica(func(o *ginauth.Options) { o.Keys = []string{newKey, sitetest.Key} })
	after := s.Replica(func(o *ginauth.Options) { o.Keys = []string{newKey} })
	if after.Stolen(line) != "" {
		t.Error("a session under a key that is gone is alive")
	}
	p := both.AskAs(both.NewBrowser(), "GET", "/who", "Cookie", line)
	resealed, _, _ := strings.Cut(p.Header.Get("Set-Cookie"), ";")
	if p.Text() != "ada" || resealed == "" {
		t.Fatalf("under the second key: %d %q, cookie %q", p.Status, p.Text(), resealed)
	}
	if after.Stolen(resealed) != "ada" {
		t.Error("the session was not sealed again under the new key")
	}
	if p := after.AskAs(after.NewBrowser(), "GET", "/who", "Cookie", resealed); len(p.Header.Values("Set-Cookie")) > 0 {
		t.Error("and is sealed again with every request")
	}
	if s.Stolen(resealed) != "" || s.Stolen(line) != "ada" {
		t.Error("the old replica opens what it cannot, or not what it can")
	}
}

// l12Clock: machines are suspended, and clocks are set manually.
func l12TheClockJumps(t *testing.T) {
	const day = 24 * time.Hour
	t.Run("what is spent is forgotten in time", clockPutBack)
	for _, jump := range []time.Duration{day, -day, 10 * day, -10 * day} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.SignIn()
			copied := s.Browser.Clone()
			pending := s.Begin("/login/demo")
			out := s.Browser.Clone()
			s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
			s.Clock.Advance(jump)
			s.WantError(s.Must(out.Click(authtest.At(s.IDP.Issuer), pending.String())), ginauth.ErrStateInvalid)
			if s.UserOf(copied) != nil {
				t.Error("who signed out is signed in")
			}
			s.SignIn()
			there := s.Browser.Clone()
			s.Clock.Advance(-jump)
			if s.UserOf(copied) != nil {
				t.Error("who signed out is signed in when the clock is right again")
			}
			if jump > 0 && s.UserOf(there) != nil {
				t.Error("a session from the future is taken")
			}
			s.SignIn()
		})
	}
}
