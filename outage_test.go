package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// deadline is how long the tests' providers may take: less than people's ten
// seconds, and long enough for a busy machine.
const deadline = 1500 * time.Millisecond

var brokenEndpoints = []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo}

// outageSite is a site with a provider that can be broken, and "other", which
// cannot.
func outageSite(t *testing.T, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	return newSite(t, func(s *site, o *ginauth.Options) {
		o.HTTPClient = quick(deadline)
		o.Providers[0].Userinfo = "always"
		other := client("other", startIDP(t, authtest.Config{Now: s.clock.Now}))
		o.Providers = append(o.Providers, other)
		if change != nil {
			change(s, o)
		}
	})
}

// An application that starts while its provider is down, slow or gone mad runs:
// it says so at that provider's door alone, and works again when the provider
// does.
func TestAProviderInTrouble(t *testing.T) {
	for _, f := range []authtest.Fault{
		authtest.Down, authtest.ServerError, authtest.HTML, authtest.Redirecting, authtest.Redirecting307,
		authtest.Oversized, authtest.Endless, authtest.Dripping, authtest.Hanging, authtest.Resetting,
	} {
		for _, e := range brokenEndpoints {
			t.Run(string(e)+": "+string(f), func(t *testing.T) {
				t.Parallel()
				inTrouble(t, e, f)
			})
		}
	}
}

func inTrouble(t *testing.T, e authtest.Endpoint, f authtest.Fault) {
	code, retry := ginauth.ErrProviderUnavailable, "5"
	switch {
	case f == authtest.Hanging || f == authtest.Dripping:
		code = ginauth.ErrProviderTimeout
	case e == authtest.Token && f == authtest.HTML:
		code, retry = ginauth.ErrBadTokenResponse, "" // the code may be spent
	}
	s := outageSite(t, func(s *site, _ *ginauth.Options) { s.idp.Fail(e, f) })
	var meanwhile sync.WaitGroup
	meanwhile.Go(func() {
		b := s.newBrowser()
		if p, err := b.Get(s.URL + "/login/other"); err != nil || p.Status != http.StatusOK || s.userOf(b) == nil {
			t.Errorf("the other provider does not work meanwhile: %v, %v", p, err)
		}
	})
	began := time.Now()
	p := s.get("/login/demo")
	if took := time.Since(began); took > 4*deadline {
		t.Errorf("the answer took %v", took)
	}
	meanwhile.Wait()
	s.wantError(p, code)
	if got := p.Header.Get("Retry-After"); got != retry {
		t.Errorf("Retry-After is %q, want %q", got, retry)
	}
	if s.user() != nil || s.idp.EvilRequests() != 0 {
		t.Errorf("signed in as %v, %d redirects followed", s.user(), s.idp.EvilRequests())
	}
	s.idp.Heal()
	s.clock.Advance(5 * time.Second)
	s.signIn()
}

// Whatever a provider sends, it does not fill our memory.
func TestMemoryStaysFlat(t *testing.T) {
	const limit = 48 << 20 // all that is allocated in a sign-in, both ends together; the bodies are 200 MB and more
	for _, f := range []authtest.Fault{authtest.Oversized, authtest.Endless} {
		for _, e := range brokenEndpoints {
			s := newSite(t, func(s *site, o *ginauth.Options) {
				o.Providers[0].Userinfo = "always"
				s.idp.Fail(e, f)
			})
			s.get("/login/demo") // makes what is made once
			s.clock.Advance(6 * time.Second)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s.wantError(s.get("/login/demo"), ginauth.ErrProviderUnavailable)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > limit {
				t.Errorf("%s, %s: %d MB were allocated", e, f, used>>20)
			}
		}
	}
}

// A failure is remembered for a moment, so that a provider that comes back is
// not met by everybody at once, and for no more than five seconds.
func TestFailuresAreRememberedForAMoment(t *testing.T) {
	s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.Fail(authtest.Discovery, authtest.Down) })
	asked := 0
	for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		asked++
		s.wantError(s.open("/login/demo"), ginauth.ErrProviderUnavailable)
		s.clock.Advance(wait - 200*time.Millisecond)
		s.wantError(s.open("/login/demo"), ginauth.ErrProviderUnavailable)
		if n := s.idp.Count(authtest.Discovery); n != asked {
			t.Fatalf("before %v were over, the provider was asked %d times, want %d", wait, n, asked)
		}
		s.clock.Advance(200 * time.Millisecond)
	}
	s.idp.Heal()
	s.signIn()

	// After a success the next failure counts from the beginning.
	s.clock.Advance(25 * time.Hour)
	s.idp.Fail(authtest.Discovery, authtest.Down)
	for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		n := s.idp.Count(authtest.Discovery)
		s.signIn()
		eventually(t, func() bool { return s.idp.Count(authtest.Discovery) == n+1 })
		eventually(t, func() bool { return strings.Count(s.logs.String(), "stays in use") == n-asked })
		s.clock.Advance(wait)
	}
}

// A clock that is put back must not make a moment of a day.
func TestFailuresAreForgottenWhenTheClockIsPutBack(t *testing.T) {
	s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.Fail(authtest.Discovery, authtest.Down) })
	s.wantError(s.open("/login/demo"), ginauth.ErrProviderUnavailable)
	s.idp.Heal()
	s.clock.Advance(-24 * time.Hour)
	s.signIn()

	s.idp.Fail(authtest.JWKS, authtest.Down)
	s.idp.RotateKey()
	s.wantError(s.get("/login/demo"), ginauth.ErrProviderUnavailable)
	s.idp.Heal()
	s.clock.Advance(-24 * time.Hour)
	s.signIn()
}

// Warm is for readiness probes: it says all that is wrong, and what is not.
func TestWarmReturnsAllProblems(t *testing.T) {
	s := outageSite(t, func(s *site, o *ginauth.Options) {
		s.idp.Fail(authtest.Discovery, authtest.Down)
		lying := startIDP(t, authtest.Config{Now: s.clock.Now})
		lying.EditMetadata(func(m map[string]any) { m["issuer"] = "https://somebody.else" })
		slow := startIDP(t, authtest.Config{Now: s.clock.Now})
		slow.Fail(authtest.Discovery, authtest.Hanging)
		o.Providers = append(o.Providers, client("lying", lying), client("slow", slow))
	})
	if n := s.idp.Count(authtest.Discovery); n != 0 {
		t.Errorf("Mount asked the provider %d times", n)
	}
	err := s.auth.Warm(t.Context())
	for _, want := range []string{"ginauth: demo: discovery: ", "answered 503", "ginauth: lying: discovery: ", "https://somebody.else", "ginauth: slow: discovery: ", "in time"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Warm does not say %q: %v", want, err)
		}
	}
	if err == nil || strings.Contains(err.Error(), "ginauth: other") {
		t.Errorf("Warm finds fault with a provider that works: %v", err)
	}
	for _, code := range []ginauth.Code{ginauth.ErrProviderUnavailable, ginauth.ErrProviderMisconfigured, ginauth.ErrProviderTimeout} {
		if !errors.Is(err, code) {
			t.Errorf("errors.Is does not find %s in %v", code, err)
		}
	}
}

func TestWarmIsQuietWhenAllIsWell(t *testing.T) {
	s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.Fail(authtest.Discovery, authtest.Down) })
	if err := s.auth.Warm(t.Context()); !errors.Is(err, ginauth.ErrProviderUnavailable) {
		t.Errorf("Warm says %v", err)
	}
	s.idp.Heal()
	s.clock.Advance(2 * time.Second)
	for range 2 {
		if err := s.auth.Warm(t.Context()); err != nil {
			t.Errorf("Warm says %v", err)
		}
	}
	if n := s.idp.Count(authtest.Discovery); n != 2 {
		t.Errorf("the provider was asked %d times, want 2", n)
	}
}

func TestWarmEndsWithItsContext(t *testing.T) {
	s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.Fail(authtest.Discovery, authtest.Hanging) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := s.auth.Warm(ctx); !errors.Is(err, ginauth.ErrProviderTimeout) {
		t.Errorf("Warm says %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Warm took %v", took)
	}
}

// What was discovered once is enough to sign in with, however long the outage.
func TestStaleMetadataOutlivesAnOutage(t *testing.T) {
	s := newSite(t, nil)
	s.signIn()
	s.clock.Advance(24*time.Hour - time.Minute)
	s.signIn()
	if n := s.idp.Count(authtest.Discovery); n != 1 {
		t.Errorf("within a day there were %d discoveries", n)
	}
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS} {
		s.idp.Fail(e, authtest.Down)
	}
	for range 3 {
		s.clock.Advance(40 * time.Hour)
		s.signIn()
	}
	eventually(t, func() bool {
		return strings.Contains(s.logs.String(), "metadata could not be renewed; what is known stays in use")
	})
	s.idp.Heal()
	s.idp.EditMetadata(func(m map[string]any) { m["authorization_endpoint"] = s.idp.URL(authtest.Authorize) + "?moved=1" })
	s.clock.Advance(6 * time.Second)
	eventually(t, func() bool { return strings.Contains(s.open("/login/demo").Header.Get("Location"), "moved=1") })
	s.signIn()
}

// Newer metadata is no reason to forget the keys.
func TestKeysOutliveTheRenewalOfMetadata(t *testing.T) {
	s := newSite(t, nil)
	s.signIn()
	s.idp.Fail(authtest.JWKS, authtest.Down)
	s.idp.EditMetadata(func(m map[string]any) { m["authorization_endpoint"] = s.idp.URL(authtest.Authorize) + "?moved=1" })
	s.clock.Advance(25 * time.Hour)
	eventually(t, func() bool { return strings.Contains(s.open("/login/demo").Header.Get("Location"), "moved=1") })
	s.signIn()

	// Keys from another address are other keys.
	s.idp.EditMetadata(func(m map[string]any) { m["jwks_uri"] = s.idp.URL(authtest.JWKS) + "?v=2" })
	s.clock.Advance(25 * time.Hour)
	eventually(t, func() bool { return s.get("/login/demo").Status == http.StatusBadGateway })
}

// Userinfo that is only asked for what the ID token lacks is no reason to turn
// people away.
func TestASignInDoesWithoutUserinfo(t *testing.T) {
	s := siteOf(t, authtest.Config{ThinIDToken: true}, func(s *site, o *ginauth.Options) {
		o.HTTPClient = quick(deadline)
		s.idp.Fail(authtest.Userinfo, authtest.Hanging)
	})
	s.signIn()
	if u := s.user(); u.Subject != "ada" || u.Email != "" {
		t.Errorf("signed in as %+v", u)
	}
	if !strings.Contains(s.logs.String(), "userinfo could not be read") {
		t.Errorf("the log says nothing of it: %s", s.logs)
	}
}
