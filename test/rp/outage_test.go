package rp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// An application that starts while its provider is down, slow or broken runs: only sign-ins with
// that provider fail, and they work again when the provider does.
func TestAProviderInTrouble(t *testing.T) {
	for _, f := range []authtest.Fault{
		authtest.Down, authtest.ServerError, authtest.HTML, authtest.Redirecting, authtest.Redirecting307,
		authtest.Oversized, authtest.Endless, authtest.Dripping, authtest.Hanging, authtest.Resetting,
	} {
		for _, e := range sitetest.BrokenEndpoints {
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
		code, retry = ginauth.ErrBadTokenResponse, "" // the code may be used
	}
	s := sitetest.NewOutage(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(e, f) })
	var meanwhile sync.WaitGroup
	meanwhile.Go(func() {
		b := s.NewBrowser()
		if p, err := b.Get(s.URL + "/login/other"); err != nil || p.Status != http.StatusOK || s.UserOf(b) == nil {
			t.Errorf("the other provider does not work meanwhile: %v, %v", p, err)
		}
	})
	began := time.Now()
	p := s.Get("/login/demo")
	if took := time.Since(began); took > 4*sitetest.OutageTimeout {
		t.Errorf("the response took %v", took)
	}
	meanwhile.Wait()
	s.WantError(p, code)
	if got := p.Header.Get("Retry-After"); got != retry {
		t.Errorf("Retry-After is %q, want %q", got, retry)
	}
	if s.User() != nil || s.IDP.EvilRequests() != 0 {
		t.Errorf("signed in as %v, %d redirects followed", s.User(), s.IDP.EvilRequests())
	}
	s.IDP.Heal()
	s.Clock.Advance(5 * time.Second)
	s.SignIn()
}

// No response of a provider can exhaust memory.
func TestMemoryStaysFlat(t *testing.T) {
	const limit = 48 << 20 // all allocations of a sign-in, of both ends together; the bodies have 200 MB and more
	for _, f := range []authtest.Fault{authtest.Oversized, authtest.Endless} {
		for _, e := range sitetest.BrokenEndpoints {
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Userinfo = "always"
				s.IDP.Fail(e, f)
			})
			s.Get("/login/demo") // for one-time allocations
			s.Clock.Advance(6 * time.Second)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s.WantError(s.Get("/login/demo"), ginauth.ErrProviderUnavailable)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > limit {
				t.Errorf("%s, %s: %d MB were allocated", e, f, used>>20)
			}
		}
	}
}

// A failure is remembered briefly, so that a provider that recovers does not get all requests at
// once, and for at most five seconds.
func TestFailuresAreRememberedForAMoment(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Discovery, authtest.Down) })
	asked := 0
	for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		asked++
		s.WantError(s.Open("/login/demo"), ginauth.ErrProviderUnavailable)
		s.Clock.Advance(wait - 200*time.Millisecond)
		s.WantError(s.Open("/login/demo"), ginauth.ErrProviderUnavailable)
		if n := s.IDP.Count(authtest.Discovery); n != asked {
			t.Fatalf("before %v were over, the provider was called %d times, want %d", wait, n, asked)
		}
		s.Clock.Advance(200 * time.Millisecond)
	}
	s.IDP.Heal()
	s.SignIn()

	// After a success, the delays start again from the first.
	s.Clock.Advance(25 * time.Hour)
	s.IDP.Fail(authtest.Discovery, authtest.Down)
	for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		n := s.IDP.Count(authtest.Discovery)
		s.SignIn()
		sitetest.Eventually(t, func() bool { return s.IDP.Count(authtest.Discovery) == n+1 })
		sitetest.Eventually(t, func() bool { return len(s.Logs.Lines("WARN", "discovery.not_renewed")) == n-asked })
		s.Clock.Advance(wait)
	}
}

// A clock that is set back must not extend the delay to a day.
func TestFailuresAreForgottenWhenTheClockIsPutBack(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Discovery, authtest.Down) })
	s.WantError(s.Open("/login/demo"), ginauth.ErrProviderUnavailable)
	s.IDP.Heal()
	s.Clock.Advance(-24 * time.Hour)
	s.SignIn()

	s.IDP.Fail(authtest.JWKS, authtest.Down)
	s.IDP.RotateKey()
	s.WantError(s.Get("/login/demo"), ginauth.ErrProviderUnavailable)
	s.IDP.Heal()
	s.Clock.Advance(-24 * time.Hour)
	s.SignIn()
}

// Warm returns all errors, each for its provider.
func TestWarmReturnsAllProblems(t *testing.T) {
	t.Parallel()
	s := sitetest.NewOutage(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP.Fail(authtest.Discovery, authtest.Down)
		lying := sitetest.StartProvider(t, authtest.Config{Now: s.Clock.Now})
		lying.EditMetadata(func(m map[string]any) { m["issuer"] = "https://somebody.else" })
		slow := sitetest.StartProvider(t, authtest.Config{Now: s.Clock.Now})
		slow.Fail(authtest.Discovery, authtest.Hanging)
		o.Providers = append(o.Providers, sitetest.Client("lying", lying), sitetest.Client("slow", slow))
	})
	if n := s.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("Mount called the provider %d times", n)
	}
	err := s.Auth.Warm(t.Context())
	for _, want := range []string{"ginauth: demo: discovery: ", "responded with 503", "ginauth: lying: discovery: ", "https://somebody.else", "ginauth: slow: discovery: ", "in time"} {
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
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Discovery, authtest.Down) })
	if err := s.Auth.Warm(t.Context()); !errors.Is(err, ginauth.ErrProviderUnavailable) {
		t.Errorf("Warm returned %v", err)
	}
	s.IDP.Heal()
	s.Clock.Advance(2 * time.Second)
	for range 2 {
		if err := s.Auth.Warm(t.Context()); err != nil {
			t.Errorf("Warm returned %v", err)
		}
	}
	if n := s.IDP.Count(authtest.Discovery); n != 2 {
		t.Errorf("the provider was called %d times, want 2", n)
	}
}

func TestWarmEndsWithItsContext(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Discovery, authtest.Hanging) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := s.Auth.Warm(ctx); !errors.Is(err, ginauth.ErrProviderTimeout) {
		t.Errorf("Warm returned %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Warm took %v", took)
	}
}

// Cached metadata suffices for signing in, during an outage of any length.
func TestStaleMetadataOutlivesAnOutage(t *testing.T) {
	s := sitetest.New(t, nil)
	s.SignIn()
	s.Clock.Advance(24*time.Hour - time.Minute)
	s.SignIn()
	if n := s.IDP.Count(authtest.Discovery); n != 1 {
		t.Errorf("within a day there were %d discoveries", n)
	}
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS} {
		s.IDP.Fail(e, authtest.Down)
	}
	for range 3 {
		s.Clock.Advance(40 * time.Hour)
		s.SignIn()
	}
	sitetest.Eventually(t, func() bool {
		return len(s.Logs.Lines("WARN", "discovery.not_renewed")) > 0
	})
	s.IDP.Heal()
	s.IDP.EditMetadata(func(m map[string]any) { m["authorization_endpoint"] = s.IDP.URL(authtest.Authorize) + "?moved=1" })
	s.Clock.Advance(6 * time.Second)
	sitetest.Eventually(t, func() bool { return strings.Contains(s.Open("/login/demo").Header.Get("Location"), "moved=1") })
	s.SignIn()
}

// Renewed metadata does not discard the keys.
func TestKeysOutliveTheRenewalOfMetadata(t *testing.T) {
	s := sitetest.New(t, nil)
	s.SignIn()
	s.IDP.Fail(authtest.JWKS, authtest.Down)
	s.IDP.EditMetadata(func(m map[string]any) { m["authorization_endpoint"] = s.IDP.URL(authtest.Authorize) + "?moved=1" })
	s.Clock.Advance(25 * time.Hour)
	sitetest.Eventually(t, func() bool { return strings.Contains(s.Open("/login/demo").Header.Get("Location"), "moved=1") })
	s.SignIn()

	// Keys from another jwks_uri replace them.
	s.IDP.EditMetadata(func(m map[string]any) { m["jwks_uri"] = s.IDP.URL(authtest.JWKS) + "?v=2" })
	s.Clock.Advance(25 * time.Hour)
	sitetest.Eventually(t, func() bool { return s.Get("/login/demo").Status == http.StatusBadGateway })
}

// A failure of userinfo that is requested only for missing claims does not fail the sign-in.
func TestASignInDoesWithoutUserinfo(t *testing.T) {
	t.Parallel()
	s := sitetest.NewWith(t, authtest.Config{ThinIDToken: true}, func(s *sitetest.Site, o *ginauth.Options) {
		o.HTTPClient = sitetest.QuickClient(sitetest.OutageTimeout)
		s.IDP.Fail(authtest.Userinfo, authtest.Hanging)
	})
	s.SignIn()
	if u := s.User(); u.Subject != "ada" || u.Email != "" {
		t.Errorf("signed in as %+v", u)
	}
	if lines := s.Logs.Lines("WARN", "userinfo.skipped"); len(lines) == 0 || !strings.Contains(lines[0], " cause=http.timeout ") {
		t.Errorf("the log has no line about it: %s", s.Logs)
	}
}

// brokenBody is a transport whose response bodies panic when they are read.
type brokenBody struct{}

func (brokenBody) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: brokenBody{}}, nil
}

func (brokenBody) Read([]byte) (int, error) { panic("a bug") }

func (brokenBody) Close() error { return nil }

// Discovery runs on a goroutine that no request owns: a panic there would end
// the process.
func TestABodyThatPanics(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.HTTPClient = &http.Client{Transport: brokenBody{}} })
	s.WantError(s.Open("/login/demo"), ginauth.ErrProviderUnavailable)
}

type panickyTransport struct{}

func (panickyTransport) RoundTrip(*http.Request) (*http.Response, error) { panic("a bug") }

// Discovery runs on a goroutine that no request owns: a panic there would end
// the process.
func TestATransportThatPanics(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.HTTPClient = &http.Client{Transport: panickyTransport{}} })
	s.WantError(s.Open("/login/demo"), ginauth.ErrProviderUnavailable)
}

// closing counts response bodies that were not closed.
type closing struct{ open atomic.Int64 }

func (n *closing) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		n.open.Add(1)
		answer.Body = &countedBody{answer.Body, n}
	}
	return answer, err
}

type countedBody struct {
	io.ReadCloser
	n *closing
}

func (c *countedBody) Close() error {
	c.n.open.Add(-1)
	return c.ReadCloser.Close()
}

// The bodies of rejected responses are closed, too.
func TestRefusedAnswersAreClosed(t *testing.T) {
	t.Parallel()
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS, authtest.Token, authtest.Userinfo} {
		n := &closing{}
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Userinfo = "always"
			o.HTTPClient = &http.Client{Transport: n}
		})
		s.IDP.Handle(e, sitetest.AnswerWith(http.StatusTeapot, "text/plain", "no"))
		if p := s.Get("/login/demo"); p.Status < 400 || n.open.Load() != 0 {
			t.Errorf("%s: the response is %d; %d bodies are open", e, p.Status, n.open.Load())
		}
	}
}

// TestSignOutInAnOutage: while the provider is down, a sign-out redirects to AfterLogout, and to
// the provider again once it responds.
func TestSignOutInAnOutage(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.AfterLogout = "/bye" })
	other := s.NewBrowser()
	if _, err := other.Get(s.URL + "/login/demo"); err != nil {
		t.Fatal(err)
	}
	s.SignIn()
	signOut := func(b *authtest.Browser) *authtest.Page {
		t.Helper()
		page := s.Must(b.Get(s.URL + "/logout"))
		return s.Must(b.SubmitForm(page, "", nil))
	}
	s.IDP.Fail(authtest.Token, authtest.Down)
	if p := s.Must(s.NewBrowser().Get(s.URL + "/login/demo")); p.Status != http.StatusBadGateway {
		t.Fatalf("the sign-in in the outage: %d", p.Status)
	}
	if p := signOut(s.Browser); p.URL.Path != "/bye" || s.User() != nil || s.IDP.Count(authtest.EndSession) != 0 {
		t.Errorf("signed out to %s, with %d requests to the provider's end-session endpoint", p.URL, s.IDP.Count(authtest.EndSession))
	}
	s.IDP.Heal()
	if p := signOut(other); p.URL.Path != "/bye" || s.IDP.Count(authtest.EndSession) == 0 {
		t.Errorf("signed out to %s once the provider was up, without the provider", p.URL)
	}
}
