package ginauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cookiestore "github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// Two Mounts of one process, one for each of its hosts, share revocations.
func TestSharedMemoryRevocations(t *testing.T) {
	t.Parallel()
	marks := ginauth.NewMemoryRevocations(nil)
	var sites []*sitetest.Site
	for range 2 {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Revocations = marks
			o.Providers = []ginauth.Provider{sitetest.Nowhere}
		})
		s.As("ada")
		sites = append(sites, s)
	}
	if sites[0].User() == nil || sites[1].User() == nil {
		t.Fatal("no user is signed in")
	}
	if err := sites[0].Auth.LogoutEverywhere(t.Context(), sitetest.Nowhere.Issuer+"#ada"); err != nil {
		t.Fatal(err)
	}
	for i, s := range sites {
		if s.User() != nil {
			t.Errorf("the session at Mount %d is still there", i)
		}
	}
}

func TestMemoryRevocationsHaveTheClockOfOptions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	marks := ginauth.NewMemoryRevocations(func() time.Time { return now })
	key := ginauth.RevocationKey{1}
	if err := marks.Revoke(t.Context(), key, now, time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		got, err := marks.Watermarks(t.Context(), [4]ginauth.RevocationKey{key, {}, {}, {}})
		if err != nil || !got[0].IsZero() != want {
			t.Errorf("at %v, the mark is %v (%v), want one: %v", now, got[0], err, want)
		}
		now = now.Add(2 * time.Minute)
	}
}

// Mount warns about revocations in memory if the application is public, and only then.
func TestWhoIsWarnedOfRevocationsInMemory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		base   string
		shared ginauth.Revocations
		warned bool
	}{
		"memory, in public":       {"https://app.example.com", nil, true},
		"memory, on loopback":     {"http://localhost:8080", nil, false},
		"shared ones, in public":  {"https://app.example.com", &sitetest.FaultyRevocations{}, false},
		"shared ones, on this pc": {"http://localhost:8080", &sitetest.FaultyRevocations{}, false},
	} {
		l := &sitetest.Logs{}
		_, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: tt.base, Keys: []string{sitetest.Key}, Logger: slog.New(slog.NewTextHandler(l, nil)), Revocations: tt.shared,
			Providers: []ginauth.Provider{{Name: "demo", Issuer: "https://idp.example", ClientID: "c", ClientSecret: "s"}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(l.String(), "Options.Revocations"); got != tt.warned {
			t.Errorf("%s: warned %v\n%s", name, got, l)
		}
	}
}

// panickyRevocations panics at each call.
type panickyRevocations struct{ ginauth.Revocations }

func (panickyRevocations) Watermarks(context.Context, [4]ginauth.RevocationKey) ([4]time.Time, error) {
	panic("a bug")
}

func TestRevocationsThatPanic(t *testing.T) {
	t.Parallel()
	s, _, _ := linkingSite(t)
	line := s.CookieHeader()
	broken := s.Replica(func(o *ginauth.Options) {
		o.Revocations = panickyRevocations{marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)}
	})
	if p := broken.Ask("GET", "/me", "Cookie", line); p.Status != http.StatusServiceUnavailable {
		t.Errorf("the response is %d %s", p.Status, p.Text())
	}
}

func TestSpentStatesAreForgottenInTime(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 1<<20)
	first := func() bool {
		ok, err := m.Once(t.Context(), ginauth.RevocationKey{1}, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !first() || first() {
		t.Error("a state can be spent twice, or not once")
	}
	m.clock.Advance(20 * time.Second) // before expired marks are removed
	if !first() {
		t.Error("a state is remembered for too long")
	}
}

// sureRevocations returns, during an outage, marks that would sign out all users, with an error.
type sureRevocations struct{ ginauth.Revocations }

func (sureRevocations) Watermarks(context.Context, [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	for i := range marks {
		marks[i] = time.Now().AddDate(100, 0, 0)
	}
	return marks, sitetest.ErrBroken
}

// An error means an outage, regardless of the values returned with it.
func TestWhatRevocationsReturnBesideAnError(t *testing.T) {
	t.Parallel()
	s := remembering(t, func(o *ginauth.Options) { o.Revocations = sureRevocations{&sitetest.RevocationMap{}} })
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest("GET", "/", nil)
	if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}, nil); !errors.Is(err, ginauth.ErrStoreUnavailable) || !errors.Is(err, sitetest.ErrBroken) {
		t.Errorf("SignIn returned %v", err)
	}
}

// If there is no room for a mark, sessions end that began before it was written, or before the
// marks were written that were dropped; never later ones, which would end the sign-in that wrote
// the mark.
func TestRevokingWithoutRoom(t *testing.T) {
	t.Parallel()
	first := time.Now()
	second := first.Add(time.Second)
	for limit, want := range map[int]time.Time{0: second, 1: first} {
		now := first
		r := marks.NewRevocations[ginauth.RevocationKey](func() time.Time { return now }, limit)
		for i, at := range []time.Time{first, second} {
			now = at
			if err := r.Revoke(t.Context(), ginauth.RevocationKey{byte(i + 1)}, at.Add(time.Hour), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		marks, err := r.Watermarks(t.Context(), [4]ginauth.RevocationKey{{9}, {9}, {9}, {9}})
		if err != nil || !marks[0].Equal(want) || !marks[1].IsZero() || !marks[2].IsZero() || !marks[3].IsZero() {
			t.Errorf("room for %d: the marks are %v, want %v: %v", limit, marks, want, err)
		}
	}
}

// memory is the default Revocations, with the test's clock and size.
type memory struct {
	ginauth.Revocations
	t     *testing.T
	clock sitetest.Clock
}

func newMemory(t *testing.T, limit int) *memory {
	m := &memory{t: t}
	m.Revocations = marks.NewRevocations[ginauth.RevocationKey](m.clock.Now, limit)
	return m
}

func (m *memory) revoke(key ginauth.RevocationKey, at time.Time, ttl time.Duration) {
	m.t.Helper()
	if err := m.Revoke(m.t.Context(), key, at, ttl); err != nil {
		m.t.Error(err)
	}
}

// of returns the watermark of a user's key.
func (m *memory) of(key ginauth.RevocationKey) time.Time {
	m.t.Helper()
	marks, err := m.Watermarks(m.t.Context(), [4]ginauth.RevocationKey{{0xff}, {0xfe}, key})
	if err != nil {
		m.t.Error(err)
	}
	return marks[2]
}

func (m *memory) once(key ginauth.RevocationKey, ttl time.Duration) string {
	m.t.Helper()
	first, err := m.Once(m.t.Context(), key, ttl)
	return fmt.Sprint(first, " ", err != nil)
}

func TestRevocationsKeepTheHighestMark(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 1<<20)
	key, now := ginauth.RevocationKey{1}, time.Now()
	if at := m.of(key); !at.IsZero() {
		t.Errorf("nothing was revoked, but %v", at)
	}
	for _, at := range []time.Duration{0, time.Minute, -time.Hour, 30 * time.Second} {
		m.revoke(key, now.Add(at), time.Hour)
	}
	if at := m.of(key); !at.Equal(now.Add(time.Minute)) {
		t.Errorf("the mark is at %v, want the highest", at.Sub(now))
	}
	if at := m.of(ginauth.RevocationKey{1, 1}); !at.IsZero() {
		t.Errorf("another key has a mark: %v", at)
	}
	marks, _ := m.Watermarks(t.Context(), [4]ginauth.RevocationKey{key, {}, {2}})
	if marks[0].IsZero() || !marks[1].IsZero() || !marks[2].IsZero() {
		t.Errorf("marks are in the wrong places: %v", marks)
	}
}

func TestRevocationsExpire(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 1<<20)
	key, neighbour := ginauth.RevocationKey{1}, ginauth.RevocationKey{1, 1}
	m.revoke(key, m.clock.Now(), time.Hour)
	m.revoke(key, m.clock.Now(), time.Minute) // must not shorten it
	m.clock.Advance(59 * time.Minute)
	m.revoke(neighbour, m.clock.Now(), time.Hour)
	if m.of(key).IsZero() {
		t.Error("a mark expired early")
	}
	m.clock.Advance(3 * time.Minute)
	for range 256 { // each call removes expired marks from a part of the table
		m.revoke(neighbour, m.clock.Now(), time.Hour)
	}
	if !m.of(key).IsZero() || m.of(neighbour).IsZero() {
		t.Error("a mark did not expire, or another expired early")
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 1<<20)
	key := ginauth.RevocationKey{1}
	for i, tt := range []struct {
		after time.Duration
		key   ginauth.RevocationKey
		want  string
	}{
		{0, key, "true false"}, {0, key, "false false"}, {0, ginauth.RevocationKey{2}, "true false"}, {0, ginauth.RevocationKey{1, 1}, "true false"},
		{9 * time.Minute, key, "false false"}, {59 * time.Second, key, "false false"},
		{5 * time.Second, key, "true false"}, {0, key, "false false"},
	} {
		m.clock.Advance(tt.after)
		if got := m.once(tt.key, 10*time.Minute); got != tt.want {
			t.Errorf("step %d: %s, want %s", i, got, tt.want)
		}
	}
}

func TestOnceHasOneWinner(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 1<<20)
	var wait sync.WaitGroup
	wins := make(chan bool, 64)
	for range 64 {
		wait.Go(func() {
			first, err := m.Once(t.Context(), ginauth.RevocationKey{9}, time.Minute)
			wins <- first && err == nil
		})
	}
	wait.Wait()
	close(wins)
	n := 0
	for won := range wins {
		if won {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d callers were the first", n)
	}
}

// A full table can neither drop used states, nor store more: it returns an error, and the
// sign-in fails.
func TestOnceAtCapacity(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 4)
	for i := range byte(4) {
		if got := m.once(ginauth.RevocationKey{1, i}, 10*time.Minute); got != "true false" {
			t.Fatalf("key %d: %s", i, got)
		}
	}
	if got := m.once(ginauth.RevocationKey{1, 9}, 10*time.Minute); got != "false true" {
		t.Errorf("beyond the limit: %s, want an error", got)
	}
	if got := m.once(ginauth.RevocationKey{1, 0}, 10*time.Minute); got != "false false" {
		t.Errorf("what was spent before: %s", got)
	}
	m.clock.Advance(12 * time.Minute)
	if got := m.once(ginauth.RevocationKey{1, 9}, 10*time.Minute); got != "true false" {
		t.Errorf("when there is room again: %s", got)
	}

	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 0)
	})
	p := s.Finish(s.Begin("/login/demo"))
	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStoreUnavailable})
	if p.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
}

// If marks must make room, the oldest are dropped, and sessions that began before they were
// written end: more sessions are revoked, never fewer. This floor is returned only for the
// session's own key: it is a time of our clock, and a user's mark means that the user was signed
// out.
func TestRevocationsOverflow(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 128)
	random := rand.New(rand.NewPCG(1, 2))
	written := map[ginauth.RevocationKey]time.Time{}
	marks := func(keys [4]ginauth.RevocationKey) [4]time.Time {
		marks, err := m.Watermarks(t.Context(), keys)
		if err != nil {
			t.Fatal(err)
		}
		return marks
	}
	for i := range 2000 {
		var key ginauth.RevocationKey
		for j := range key {
			key[j] = byte(random.Uint32())
		}
		written[key] = m.clock.Now()
		m.revoke(key, written[key].Add(-time.Minute), time.Hour) // like a provider whose clock is behind
		m.clock.Advance(time.Millisecond)
		if i%100 > 0 {
			continue
		}
		for key, at := range written {
			floor := marks([4]ginauth.RevocationKey{{0xff}, key, key, key})
			if floor[1].IsZero() && floor[0].Before(at) {
				t.Fatalf("after %d: a mark is gone, and a session of then would be alive", i)
			}
		}
		if floor := marks([4]ginauth.RevocationKey{{0xff}, {0xfe}, {0xfd}, {0xfc}}); !floor[1].IsZero() || !floor[2].IsZero() || !floor[3].IsZero() {
			t.Fatalf("after %d: keys that were not revoked have the marks %v", i, floor)
		}
	}
	if floor := marks([4]ginauth.RevocationKey{})[0]; floor.IsZero() || !floor.Before(m.clock.Now()) {
		t.Errorf("the floor is %v", floor)
	}
}

// A user who signs in repeatedly leaves a mark each time. Users who have signed in
// recently, or in the meantime, stay signed in.
func TestOnePersonCannotSignEverybodyOut(t *testing.T) {
	t.Parallel()
	const limit = 1 << 15 // with few marks in each part of the table, it is random whose are old
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Unheard, o.Logger = true, slog.New(slog.DiscardHandler)
		o.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, limit)
	})
	var others []*authtest.Browser
	mallory := s.NewBrowser()
	signIn := func(b *authtest.Browser, who string) {
		if err := authtest.SignIn(s.Auth, b, &ginauth.User{Provider: "demo", Subject: who}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * limit {
		signIn(mallory, "mallory")
		if i%(limit/4) == 0 {
			b := s.NewBrowser()
			signIn(b, fmt.Sprint("user", i))
			others = append(others, b)
		}
		s.Clock.Advance(100 * time.Millisecond)
	}
	for i, b := range others[len(others)-2:] {
		if s.UserOf(b) == nil {
			t.Errorf("of the last two signed-in users, number %d was signed out by another user", i)
		}
	}
	if s.UserOf(mallory) == nil {
		t.Error("who signed in last is signed out")
	}
}

// lives records how long marks are kept.
type lives struct {
	sitetest.RevocationMap
	ttls []time.Duration
}

func (l *lives) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	l.ttls = append(l.ttls, ttl)
	return l.RevocationMap.Revoke(ctx, key, at, ttl)
}

// A session's mark is kept as long as a copy of the session could be valid, not for the whole
// Lifetime, which would fill the memory. A user's mark is kept for Lifetime, since access tokens
// are accepted that long.
func TestMarksLiveAsLongAsAnUnusedSession(t *testing.T) {
	t.Parallel()
	kept := &lives{}
	s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Revocations, o.IdleTimeout = kept, 3*time.Hour })
	s.As("ada")
	s.SignIn()
	s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	if err := s.Auth.LogoutEverywhere(t.Context(), s.IDP.Issuer+"#ada"); err != nil {
		t.Fatal(err)
	}
	if len(kept.ttls) != 3 {
		t.Fatalf("%d marks were made", len(kept.ttls))
	}
	for i, life := range []time.Duration{3 * time.Hour, 3 * time.Hour, 7 * 24 * time.Hour} {
		if ttl := kept.ttls[i]; ttl < life+time.Minute || ttl > life+2*time.Minute {
			t.Errorf("mark %d is kept for %v", i+1, ttl)
		}
	}
}

// A clock that is set forward past the expiry of every mark, and back again, restores no
// session, regardless of writes in between.
func TestSignedOutWhileTheClockIsAhead(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	s.As("ada")
	line := s.CookieHeader()
	s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	const jump = 30 * 24 * time.Hour
	s.Clock.Advance(jump)
	for range 600 { // each call removes expired marks from a part of the memory
		if err := authtest.SignIn(s.Auth, s.Browser, &ginauth.User{Provider: "demo", Subject: "grace"}); err != nil {
			t.Fatal(err)
		}
	}
	s.Clock.Advance(-jump)
	if who := s.Stolen(line); who != "" {
		t.Errorf("%q is signed in again", who)
	}
}

// Sessions whose own mark was dropped are covered by the floor, also if the provider's clock is
// ahead of ours; later sessions stay valid.
func TestSignedOutSessionsStayDeadAfterAnOverflow(t *testing.T) {
	t.Parallel()
	var revocations ginauth.Revocations
	s, _ := sitetest.NewSession(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP = sitetest.StartProvider(t, authtest.Config{Now: func() time.Time { return s.Clock.Now().Add(40 * time.Second) }})
		o.Providers = []ginauth.Provider{sitetest.Client("demo", s.IDP)}
		revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 64)
		o.Revocations = revocations
	})
	s.SignIn()
	line := s.CookieHeader()
	if p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil)); p.Status != 200 || s.Stolen(line) != "" {
		t.Fatal("signing out did not end the session")
	}
	for i := range 64 {
		for j := range byte(2) {
			key := ginauth.RevocationKey{byte(i), j}
			if err := revocations.Revoke(t.Context(), key, s.Clock.Now().Add(-time.Hour), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
	if who := s.Stolen(line); who != "" {
		t.Errorf("the overflow brought %q back", who)
	}
	s.Clock.Advance(2 * time.Minute)
	s.As("grace")
	if s.User() == nil {
		t.Error("no user can sign in after an overflow")
	}
}

func TestRevocationsUnderLoad(t *testing.T) {
	t.Parallel()
	m := newMemory(t, 512)
	var wait sync.WaitGroup
	for g := range byte(8) {
		wait.Go(func() {
			for i := range byte(100) {
				key := ginauth.RevocationKey{i, g}
				at := m.clock.Now()
				m.revoke(key, at, time.Hour) // the other goroutines set the clock forward in the meantime
				marks, err := m.Watermarks(t.Context(), [4]ginauth.RevocationKey{{0xff}, key, {0xfe}, {0xfd}})
				if err != nil || marks[1].IsZero() && marks[0].Before(at) { // the floor replaces a mark that was dropped
					t.Errorf("a mark is lost, and a session of then would be alive: %v, %v", marks, err)
				}
				m.clock.Advance(time.Second)
				_ = m.once(key, time.Minute)
			}
		})
	}
	wait.Wait()
}

// A session is looked up by several keys; the marks of users and of the provider's sessions are
// times, and revoke sessions that began at or before them.
func TestWatermarks(t *testing.T) {
	t.Parallel()
	f := &sitetest.FaultyRevocations{}
	s, _ := sitetest.NewSession(t, func(s *sitetest.Site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
		o.Revocations = f
	})
	f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
	s.SignIn()
	first, ada := s.CookieHeader(), f.Asked
	begun := s.User().AuthTime
	if ada[0] == ada[3] || ada[0] == (ginauth.RevocationKey{}) || ada[3] == (ginauth.RevocationKey{}) {
		t.Fatalf("the keys are %x", ada)
	}
	s.Browser = s.NewBrowser()
	s.Clock.Advance(10 * time.Second)
	s.SignIn()
	second := s.CookieHeader()
	if f.Asked[0] == ada[0] || f.Asked[3] != ada[3] {
		t.Errorf("two sessions of one user have the keys %x and %x", ada, f.Asked)
	}
	revoke := func(key ginauth.RevocationKey, at time.Time) {
		t.Helper()
		if err := f.Revocations.Revoke(t.Context(), key, at, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	alive := func(what, want string) {
		t.Helper()
		if got := strings.TrimSpace(s.Stolen(first) + " " + s.Stolen(second)); got != want {
			t.Errorf("%s: %q are signed in, want %q", what, got, want)
		}
	}
	revoke(ginauth.RevocationKey{}, s.Clock.Now().Add(time.Hour)) // the key of users without a session at the provider
	alive("a mark of nobody's", "ada ada")
	revoke(ada[3], begun.Add(-8*time.Second)) // the ID token may be some seconds older than AuthTime
	alive("a mark from before", "ada ada")
	revoke(ada[3], begun)
	s.Browser = s.NewBrowser()
	alive("a mark at the first one's second", "ada")
	s.Clock.Advance(10 * time.Second)
	s.SignIn()
	alive("and another login later", "ada")
	if s.User() == nil {
		t.Error("the later session was revoked")
	}
	s.Browser = s.NewBrowser()
	s.As("grace")
	if s.User() == nil {
		t.Error("another user was signed out")
	}
}

// signOut sends a sign-out with this Cookie header, without a browser.
func signOut(s *sitetest.Site, line string) {
	s.T.Helper()
	r := httptest.NewRequest("POST", "/logout", http.NoBody)
	r.Header.Set("Cookie", line)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if s.Engine.ServeHTTP(w, r); w.Code >= 400 {
		s.T.Fatalf("the response to the sign-out is %d\n%s", w.Code, s.Logs)
	}
}

// sharing starts a site and a replica that share revocations, each with a separate clock.
func sharing(t *testing.T, revocations func(now func() time.Time) ginauth.Revocations) (*sitetest.Site, *sitetest.Site, *sitetest.Clock) {
	t.Helper()
	shared, other := ginauth.Revocations(nil), &sitetest.Clock{}
	s, _ := sitetest.NewSession(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Unheard = true
		shared = revocations(s.Clock.Now)
		o.Revocations = shared
	})
	r := s.Replica(func(o *ginauth.Options) { o.Revocations, o.Now = shared, other.Now })
	r.Clock = other
	return s, r, other
}

// ownMemory is the default Revocations, shared; aMap is an application's implementation.
func ownMemory(now func() time.Time) ginauth.Revocations {
	return marks.NewRevocations[ginauth.RevocationKey](now, 1<<20)
}

func aMap(func() time.Time) ginauth.Revocations { return &sitetest.RevocationMap{} }

// A sign-out takes effect at every replica, even if the clock of the replica that receives it is
// wrong.
func TestSignOutAtAReplicaWhoseClockIsFarBehind(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]func(func() time.Time) ginauth.Revocations{"memory": ownMemory, "map": aMap} {
		for _, behind := range []time.Duration{time.Minute, 30 * time.Hour, 300 * 24 * time.Hour} {
			t.Run(fmt.Sprint(name, " ", behind), func(t *testing.T) {
				t.Parallel()
				s, r, clock := sharing(t, kind)
				clock.Advance(-behind)
				s.As("ada")
				line := s.CookieHeader()
				if s.Stolen(line) != "ada" {
					t.Fatal("no user is signed in")
				}
				signOut(r, line)
				if who := s.Stolen(line); who != "" {
					t.Errorf("%q is still signed in", who)
				}
			})
		}
	}
}

// timing revokes at a time that the test sets, like a replica of an earlier version, which
// writes the time of its own clock.
type timing struct {
	sitetest.RevocationMap
	at time.Time
}

func (m *timing) Revoke(ctx context.Context, key ginauth.RevocationKey, _ time.Time, ttl time.Duration) error {
	return m.RevocationMap.Revoke(ctx, key, m.at, ttl)
}

func TestAnyMarkOfASessionEndsIt(t *testing.T) {
	t.Parallel()
	shared := &timing{at: time.Unix(1, 0)}
	s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Revocations = shared })
	s.As("ada")
	line := s.CookieHeader()
	s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	if who := s.Stolen(line); who != "" {
		t.Errorf("%q is still signed in", who)
	}
	if s.As("grace"); s.User() == nil {
		t.Error("and no user can sign in afterwards")
	}
}

// A user's mark that was written by a clock far ahead expires before its time comes. The next
// mark is earlier, and ends the sessions that began while the first existed.
func TestSignOutEverywhereAfterAMarkOfTheFuture(t *testing.T) {
	t.Parallel()
	shared := &sitetest.RevocationMap{}
	s, r, clock := sharing(t, func(func() time.Time) ginauth.Revocations { return shared })
	clock.Advance(24 * time.Hour)
	everywhere := func(s *sitetest.Site) {
		t.Helper()
		if err := s.Auth.LogoutEverywhere(t.Context(), s.IDP.Issuer+"#ada"); err != nil {
			t.Fatal(err)
		}
	}
	everywhere(r)
	s.As("ada")
	line := s.CookieHeader()
	if s.Stolen(line) != "ada" {
		t.Fatal("no user can sign in after the mark")
	}
	shared.Expire()
	if s.Stolen(line) != "ada" {
		t.Error("the end of a mark signs out")
	}
	everywhere(s)
	if who := s.Stolen(line); who != "" {
		t.Errorf("%q is still signed in", who)
	}
	s.Browser = s.NewBrowser()
	if s.As("ada"); s.User() == nil {
		t.Error("and cannot sign in again")
	}
}

// A session that was used while the clock was ahead is rejected once the clock is right again,
// until that time comes: its sign-out is kept until then.
func TestMarksLiveAsLongAsSessionsSeenByAClockAhead(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]func(*ginauth.Options){
		"in a cookie": func(*ginauth.Options) {},
		"in a store":  func(o *ginauth.Options) { o.Sessions = cookiestore.NewStore([]byte(sitetest.Key)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const ahead = 5 * 24 * time.Hour
			s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Lifetime, o.IdleTimeout = 30*24*time.Hour, 24*time.Hour
				options(o)
			})
			s.As("ada")
			for range ahead / (20 * time.Hour) {
				s.Clock.Advance(20 * time.Hour)
				if s.User() == nil {
					t.Fatal("no user is signed in")
				}
			}
			var pairs []string
			for _, c := range s.Browser.Cookies(s.URL) {
				pairs = append(pairs, c.Name+"="+c.Value)
			}
			line := strings.Join(pairs, "; ")
			s.Clock.Advance(-ahead)
			if who := s.Stolen(line); who != "" {
				t.Fatalf("%q is signed in, who was last seen in five days", who)
			}
			signOut(s, line)
			s.Clock.Advance(ahead)
			if who := s.Stolen(line); who != "" {
				t.Errorf("%q is signed in again", who)
			}
		})
	}
}

// A session keeps the IdleTimeout with which it began, and so does the mark of its sign-out at a
// replica whose IdleTimeout is now shorter: another replica may still have the longer one, or
// have it again later.
func TestMarksLiveAsLongAsSessionsOfALongerIdleTimeout(t *testing.T) {
	t.Parallel()
	const long, short, most = 30 * 24 * time.Hour, 3 * time.Hour, 60 * 24 * time.Hour
	signIn := func(s *sitetest.Site, line string) {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequest("GET", "/", http.NoBody)
		c.Request.Header.Set("Cookie", line)
		if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	logout := func(s *sitetest.Site, line string) {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		c.Request = httptest.NewRequest("GET", "/", http.NoBody)
		c.Request.Header.Set("Cookie", line)
		if err := s.Auth.Logout(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name    string
		inStore bool
		after   time.Duration
		end     func(s *sitetest.Site, line string)
	}{
		{"signing out", false, 0, signOut},
		{"signing out when it has expired here", false, 2 * short, signOut},
		{"Logout", false, 0, logout},
		{"signing in again", false, 0, signIn},
		{"signing in again, of a session in a store", true, 0, signIn},
		{"signing out, of a session in a store", true, 0, signOut},
		{"signing out when it has expired here, of a session in a store", true, 2 * short, signOut},
		{"Logout, of a session in a store", true, 0, logout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kept := &lives{}
			options := func(idle time.Duration) func(o *ginauth.Options) {
				return func(o *ginauth.Options) {
					o.Revocations, o.IdleTimeout, o.Lifetime = kept, idle, most
					if tt.inStore {
						o.Sessions = cookiestore.NewStore([]byte(sitetest.Key))
					}
				}
			}
			s, _ := sitetest.NewSession(t, func(s *sitetest.Site, o *ginauth.Options) { s.Unheard = true; options(long)(o) })
			r := s.Replica(options(short))
			s.As("ada")
			var pairs []string
			for _, c := range s.Browser.Cookies(s.URL) {
				pairs = append(pairs, c.Name+"="+c.Value)
			}
			line := strings.Join(pairs, "; ")
			kept.ttls = nil
			s.Clock.Advance(tt.after)
			if s.Stolen(line) != "ada" {
				t.Fatal("no user is signed in")
			}
			tt.end(r, line)
			if len(kept.ttls) == 0 || slices.Max(kept.ttls) < long+time.Minute || slices.Max(kept.ttls) > long+5*time.Minute {
				t.Errorf("marks are kept for %v", kept.ttls)
			}
		})
	}
}
