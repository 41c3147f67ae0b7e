package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// Options.Tokens and Options.Revocations fail, return wrong results or hang at one of many
// steps.
func TestFaultsTokensSteps(t *testing.T) {
	runFaults(t, []fault{
		{"I4_each_step_of_a_refresh", i4EachStepOfARefresh},
		{"I4_each_step_of_a_sign_in", i4EachStepOfASignIn},
		{"I4_revocations_fail_as_a_trip_ends", i4RevocationsFailAsATripEnds},
		{"I4_unsaved_tokens_and_a_trip", i4UnsavedTokensAndATrip},
		{"I11_each_step_of_a_trip", i11EachStepOfATrip},
		{"I11_store_fails_as_a_trip_ends", i11StoreFailsAsATripEnds},
		{"I13_two_claims", i13TwoClaims},
		{"I15_each_step_of_a_sign_out", i15EachStepOfASignOut},
		{"I19_revocations_hang_after_the_refresh", i19RevocationsHangAfterTheRefresh},
		{"I23_each_step_of_a_refusal", i23EachStepOfARefusal},
		{"I24_each_step_of_a_recheck", i24EachStepOfARecheck},
		{"I24_profile_is_slow", i24ProfileIsSlow},
		{"I24_two_claims", i24TwoClaims},
		{"I24_revocations_hang_at_a_recheck", i24RevocationsHangAtARecheck},
	})
}

// trouble is called before an operation; if it returns an error, so does the operation.
type trouble struct{ f atomic.Pointer[func() error] }

func (t *trouble) set(f func() error) {
	if f == nil {
		t.f.Store(nil)
		return
	}
	t.f.Store(&f)
}

func (t *trouble) comes() error {
	if f := t.f.Load(); f != nil {
		return (*f)()
	}
	return nil
}

// troubledMarks are revocations whose single operations fail or hang.
type troubledMarks struct {
	ginauth.Revocations
	watermarks, revoke trouble
}

func (m *troubledMarks) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	if err := m.watermarks.comes(); err != nil {
		return [4]time.Time{}, err
	}
	return m.Revocations.Watermarks(ctx, keys)
}

func (m *troubledMarks) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	if err := m.revoke.comes(); err != nil {
		return err
	}
	return m.Revocations.Revoke(ctx, key, at, ttl)
}

// newTroubled is newCalling with troubledMarks.
func newTroubled(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) (*calling, *troubledMarks) {
	t.Helper()
	marks := new(troubledMarks)
	return newCalling(t, marks.with(change)), marks
}

// with returns a change that sets these revocations, and applies another change.
func (m *troubledMarks) with(change func(s *sitetest.Site, o *ginauth.Options)) func(s *sitetest.Site, o *ginauth.Options) {
	return func(s *sitetest.Site, o *ginauth.Options) {
		m.Revocations, o.Revocations = o.Revocations, m
		if change != nil {
			change(s, o)
		}
	}
}

// hangAtARefresh makes the check for sign-outs after the next refresh hang until the test ends.
// Other checks work.
func (m *troubledMarks) hangAtARefresh(t *testing.T, k *calling) {
	forever := make(chan bool)
	t.Cleanup(func() { close(forever) })
	k.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		m.watermarks.set(func() error {
			m.watermarks.set(nil)
			<-forever
			return errors.New("gone")
		})
		k.IDP.Default(authtest.Token).ServeHTTP(w, r)
	})
}

// patiently requests a page with the browser's session, and returns the status, or 0 without a
// response within eight seconds.
func (k *calling) patiently(t *testing.T, path string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", k.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", k.CookieHeader())
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// How a step fails.
const (
	fails   = "fails"   // it does nothing, and returns an error
	loses   = "loses"   // it succeeds, but its result is lost
	repeats = "repeats" // it succeeds and is sent again: the result is that of the second time
)

// brokenStep is a store and revocations in which one operation fails.
type brokenStep struct {
	ginauth.Tokens
	ginauth.Revocations

	mu    sync.Mutex
	mode  string
	at, n int      // which operation fails; 0 is none
	after bool     // and all later ones
	steps []string // the operations so far
}

// arm makes the at-th operation from now on fail.
func (b *brokenStep) arm(mode string, at int, after bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mode, b.at, b.after, b.n = mode, at, after, 0
}

// disarm stops the failures, and returns the operations so far.
func (b *brokenStep) disarm() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = 0
	return b.steps
}

// next returns how an operation fails, or "".
func (b *brokenStep) next(op string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at == 0 {
		return ""
	}
	b.n++
	b.steps = append(b.steps, op)
	if b.n == b.at || b.after && b.n > b.at {
		return b.mode
	}
	return ""
}

var errStep = errors.New("a step goes wrong")

func (b *brokenStep) Load(ctx context.Context, key ginauth.RevocationKey) ([]byte, error) {
	if b.next("load") != "" {
		return nil, errStep
	}
	return b.Tokens.Load(ctx, key)
}

func (b *brokenStep) Swap(ctx context.Context, key ginauth.RevocationKey, old, next []byte, ttl time.Duration) (bool, error) {
	return b.once("swap", func() (bool, error) { return b.Tokens.Swap(ctx, key, old, next, ttl) })
}

func (b *brokenStep) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	return b.once("once", func() (bool, error) { return b.Revocations.Once(ctx, key, ttl) })
}

// once is an operation that succeeds once.
func (b *brokenStep) once(op string, do func() (bool, error)) (bool, error) {
	mode := b.next(op)
	if mode == fails {
		return false, errStep
	}
	done, err := do()
	switch mode {
	case loses:
		return false, errStep
	case repeats:
		return false, nil
	}
	return done, err
}

func (b *brokenStep) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	if b.next("watermarks") != "" {
		return [4]time.Time{}, errStep
	}
	return b.Revocations.Watermarks(ctx, keys)
}

func (b *brokenStep) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	mode := b.next("revoke")
	if mode == fails {
		return errStep
	}
	if err := b.Revocations.Revoke(ctx, key, at, ttl); err != nil || mode == "" {
		return err
	}
	return errStep
}

// stepped is a calling in which one step fails.
type stepped struct {
	*calling
	*spied
	t     *testing.T
	mode  string
	after bool   // all later steps fail, too
	step  string // the failing operation
}

// eachStep makes each operation of act fail in each way, alone and with all later ones, and
// checks the result once they work again. begin prepares it.
func eachStep(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options), begin func(k *stepped) (act, check func())) {
	for _, mode := range []string{fails, loses, repeats} {
		for _, after := range []bool{false, true} {
			for at, more := 1, true; more && at < 40; at++ { // more than any act has
				t.Run(fmt.Sprintf("%s at %d, and after it %t", mode, at, after), func(t *testing.T) {
					b := new(brokenStep)
					k := &stepped{t: t, mode: mode, after: after}
					k.calling = newCalling(t, func(s *sitetest.Site, o *ginauth.Options) {
						b.Tokens, b.Revocations, o.Tokens, o.Revocations = o.Tokens, o.Revocations, b, b
						if change != nil {
							change(s, o)
						}
					})
					k.spied = k.spy()
					act, check := begin(k)
					k.forget()
					b.arm(mode, at, after)
					act()
					steps := b.disarm()
					if more = len(steps) >= at; !more {
						if at == 1 {
							t.Error("there is no step")
						}
						return
					}
					k.step = steps[at-1]
					if check(); t.Failed() {
						t.Errorf("after %s, the last of which failed", strings.Join(steps[:at], ", "))
					}
				})
			}
		}
	}
}

// goesOn checks that the session is valid, and that the API can be called without a redirect,
// also by another replica.
func (k *stepped) goesOn() {
	t := k.t
	t.Helper()
	k.Clock.Advance(36 * time.Second) // claims and pauses have ended
	if k.User() == nil {
		t.Error("the session has ended")
		return
	}
	for range 2 {
		if p := k.call(); p.Status != http.StatusOK {
			t.Errorf("the call ended in %d %s", p.Status, p.Text())
		}
	}
	k.expire()
	if p := k.call(); p.Status != http.StatusOK {
		t.Errorf("after the next expiry the call ended in %d %s", p.Status, p.Text())
	}
	if status := k.at(t, k.replica()); status != http.StatusOK {
		t.Errorf("another replica: %d", status)
	}
	k.twice(t)
}

func i4EachStepOfARefresh(t *testing.T) {
	t.Parallel() // one waits five seconds for its own claim
	eachStep(t, nil, func(k *stepped) (act, check func()) {
		k.expire()
		return func() { k.call() }, k.goesOn
	})
}

// A sign-in begins a session with its tokens, or it fails, and the next one succeeds.
func i4EachStepOfASignIn(t *testing.T) {
	eachStep(t, nil, func(k *stepped) (act, check func()) {
		k.Browser = k.NewBrowser()
		callback := k.Begin("/login/demo")
		return func() { k.Finish(callback) }, func() {
			if k.User() == nil {
				if k.mode == repeats && k.step == "swap" && !k.after {
					k.t.Error("the tokens were stored, and the sign-in has failed")
				}
				k.SignIn()
			}
			k.goesOn()
		}
	})
}

func i24EachStepOfARecheck(t *testing.T) {
	eachStep(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Recheck = recheck }, func(k *stepped) (act, check func()) {
		k.Clock.Advance(recheck + time.Second)
		return func() { k.Ask("GET", "/me", sitetest.Fetch...) }, k.goesOn
	})
}

// A second sign-in with a refresh token, and one without: in any case the previous or the new
// session has a refresh token that the provider accepts, and that is revoked at the sign-out.
func i11EachStepOfATrip(t *testing.T) {
	for _, withholds := range []bool{false, true} {
		t.Run(fmt.Sprintf("without a refresh token %t", withholds), func(t *testing.T) {
			eachStep(t, withV2, func(k *stepped) (act, check func()) {
				callback := k.Begin(k.tripURL(k.t))
				k.withholds.Store(withholds)
				return func() { k.Finish(callback) }, func() {
					// The previous session was ended, unnoticed.
					if k.step == "revoke" && k.mode != fails && k.User() == nil {
						k.twice(k.t)
						return
					}
					if k.goesOn(); k.after { // the failed new session may have taken the tokens
						return
					}
					k.signsOut()
					sitetest.Eventually(k.t, func() bool { return k.IDP.Count(authtest.Revoke) == 1 })
				}
			})
		})
	}
}

// A sign-out that reports success has ended the session: a copy of its cookie is useless.
func i15EachStepOfASignOut(t *testing.T) {
	eachStep(t, nil, func(k *stepped) (act, check func()) {
		copied, answered := k.CookieHeader(), false
		return func() {
				p := k.Must(k.Browser.Submit(authtest.At(k.URL+"/"), k.URL+"/logout", nil))
				answered = p.Status < 400
			}, func() {
				if status := k.with(k.t, copied); answered && status != http.StatusUnauthorized {
					k.t.Errorf("a copy of the cookie gets %d", status)
				}
			}
	})
}

// A rejected recheck ends the session nevertheless, once the stores work again.
func i23EachStepOfARefusal(t *testing.T) {
	for name, refuse := range map[string]func(k *stepped){
		"invalid_grant": func(k *stepped) { k.IDP.RevokeRefreshTokens() },
		"another person": func(k *stepped) {
			k.IDP.EditIDToken(func(_, claims map[string]any) { claims["sub"] = "eve" })
		},
		"the profile of another person": func(k *stepped) {
			k.IDP.EditUserinfo(func(claims map[string]any) { claims["sub"] = "eve" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachStep(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Recheck, o.Providers[0].Userinfo = recheck, "always"
			}, func(k *stepped) (act, check func()) {
				k.Clock.Advance(recheck + time.Second)
				copied := k.Browser.Clone()
				refuse(k)
				return func() { k.Ask("GET", "/me", sitetest.Fetch...) }, func() {
					k.Clock.Advance(36 * time.Second)
					for _, b := range []*authtest.Browser{k.Browser, copied} { // no redirect restores it
						k.WantError(k.AskAs(b, "GET", "/me", sitetest.Fetch...), ginauth.ErrUnauthenticated)
					}
					for token := range k.spied.all() {
						if strings.Contains(k.Logs.String(), token) {
							k.t.Error("a refresh token is in the log")
						}
					}
				}
			})
		})
	}
}

// The previous session cannot be ended at the end of a sign-in, while memory has newer tokens
// than the store: the session continues with those in memory.
func i4RevocationsFailAsATripEnds(t *testing.T) {
	k, marks := newTroubled(t, withV2)
	spent, spy := k.refreshToken(t), k.spy()
	k.expire()
	k.store.breaks(func(op string) error {
		if op == "swap" {
			return errors.New("read-only")
		}
		return nil
	})
	k.works(t, 2)
	spy.withholds.Store(true)
	u := k.Begin(k.tripURL(t))
	k.store.breaks(nil)
	marks.revoke.set(func() error { return errors.New("down") })
	k.WantError(k.Finish(u), ginauth.ErrStoreUnavailable)
	marks.revoke.set(nil)
	k.Clock.Advance(16 * time.Second)
	k.signedIn(t, true)
	k.expire()
	k.works(t, k.IDP.Count(authtest.Token)+1)
	if n := spy.all()[spent]; n != 1 {
		t.Errorf("the refresh token of the sign-in was sent %d times", n)
	}
}

// A refresh of tokens that could not be stored is in progress when a sign-in ends.
func i4UnsavedTokensAndATrip(t *testing.T) {
	k := newCalling(t, withV2)
	spy := k.spy()
	k.expire()
	var down atomic.Bool
	down.Store(true)
	k.store.breaks(func(op string) error {
		if op == "swap" && down.Load() {
			return errors.New("read-only")
		}
		return nil
	})
	k.works(t, 2)
	spy.withholds.Store(true)
	trip := k.tripURL(t)
	spy.forget()
	k.Clock.Advance(59*time.Minute + 40*time.Second)
	u := k.Begin(trip)
	finish := spy.underWay(t, func() { down.Store(false) })
	if p := k.Finish(u); p.Status != http.StatusOK {
		t.Errorf("the sign-in ended in %d %s", p.Status, p.Text())
	}
	finish()
	k.expire()
	k.works(t, k.IDP.Count(authtest.Token)+1)
	spy.twice(t)
}

// The store fails once at the end of a sign-in, while a refresh is in progress: no token is
// revoked that the session needs.
func i11StoreFailsAsATripEnds(t *testing.T) {
	k := newCalling(t, withV2)
	k.IDP.Handle(authtest.Revoke, func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%.6s… is revoked", r.PostFormValue("token"))
		k.IDP.Default(authtest.Revoke).ServeHTTP(w, r)
	})
	spy, trip := k.spy(), k.tripURL(t)
	spy.withholds.Store(true)
	k.Clock.Advance(59*time.Minute + 40*time.Second)
	u := k.Begin(trip)
	var failed atomic.Bool
	finish := spy.underWay(t, func() {
		k.store.breaks(func(op string) error {
			if op == "swap" && failed.CompareAndSwap(false, true) {
				return errors.New("a moment")
			}
			return nil
		})
	})
	k.WantError(k.Finish(u), ginauth.ErrStoreUnavailable)
	finish()
	k.signedIn(t, true)
	for range 2 {
		k.expire()
		k.works(t, k.IDP.Count(authtest.Token)+1)
	}
}

// The provider has failed once, and the store cannot be written: the different knowledge of two
// replicas does not affect their claims.
func i13TwoClaims(t *testing.T) {
	t.Parallel() // one of them waits five seconds
	k := newCalling(t, nil)
	other := k.replica()
	k.expire()
	k.store.breaks(func(op string) error {
		if op == "swap" {
			return errors.New("read-only")
		}
		return nil
	})
	k.IDP.Fail(authtest.Token, authtest.ServerError)
	k.at(t, k.Site)
	k.IDP.Fail(authtest.Token, "")
	k.Clock.Advance(16 * time.Second)
	spy := k.spy()
	finish := spy.underWay(t, nil)
	if status := k.at(t, other); status != http.StatusGatewayTimeout {
		t.Errorf("the other replica: %d", status)
	}
	spy.twice(t)
	if status := finish(); status != http.StatusOK {
		t.Errorf("the one that has the claim: %d", status)
	}
	k.signedIn(t, true)
}

// A recheck that has refreshed the token reads the profile, which is slow: another replica does
// not recheck in the meantime.
func i24ProfileIsSlow(t *testing.T) {
	k := newRechecked(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	other := k.replica()
	k.due()
	reads, goOn, ended := make(chan bool), make(chan bool), make(chan int, 1)
	var asks atomic.Int64
	k.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) {
		if asks.Add(1) == 1 { // the others are API calls
			close(reads)
			<-goOn
		}
		k.IDP.Default(authtest.Userinfo).ServeHTTP(w, r)
	})
	go func() { ended <- k.patiently(t, "/me") }()
	<-reads
	before := k.IDP.Count(authtest.Token)
	if status := k.at(t, other); status != http.StatusOK {
		t.Errorf("the other replica: %d", status)
	}
	if n := k.IDP.Count(authtest.Token) - before; n != 0 {
		t.Errorf("the other replica has refreshed %d times", n)
	}
	close(goOn)
	if status := <-ended; status != http.StatusOK {
		t.Errorf("the requesting one: %d", status)
	}
}

// The provider rejects the query for a user, which cannot be stored: both replicas claim the
// same recheck, and only one of them sends it.
func i24TwoClaims(t *testing.T) {
	t.Parallel() // one of them waits five seconds
	k := newRechecked(t, nil)
	other := k.replica()
	k.store.breaks(func(op string) error {
		if op == "swap" {
			return errors.New("read-only")
		}
		return nil
	})
	k.refreshesAnswer(http.StatusBadRequest, `{"error":"access_denied"}`)
	k.due()
	k.signedIn(t, true)
	k.Clock.Advance(31 * time.Second)
	spy := k.spy()
	finish := spy.underWay(t, nil)
	k.at(t, other)
	spy.twice(t)
	if status := finish(); status != http.StatusOK {
		t.Errorf("the one that has the claim: %d", status)
	}
}

// The check for sign-outs after a refresh never ends: the new tokens are available nevertheless.
func i19RevocationsHangAfterTheRefresh(t *testing.T) {
	t.Parallel() // it times out after three seconds
	k, marks := newTroubled(t, nil)
	k.expire()
	marks.hangAtARefresh(t, k)
	if status := k.patiently(t, "/call"); status != http.StatusOK {
		t.Errorf("the call gets %d", status)
	}
	k.IDP.Handle(authtest.Token, nil)
	k.Clock.Advance(16 * time.Second)
	for range 2 {
		if status := k.patiently(t, "/call"); status != http.StatusOK {
			t.Errorf("the next call gets %d", status)
		}
	}
	if status := k.at(t, k.replica()); status != http.StatusOK {
		t.Errorf("another replica: %d", status)
	}
	k.asked(t, 2)
}

// The check for sign-outs at a recheck never ends: the session is rechecked later nevertheless.
func i24RevocationsHangAtARecheck(t *testing.T) {
	t.Parallel() // it times out after three seconds
	marks := new(troubledMarks)
	k := newRechecked(t, marks.with(nil))
	marks.hangAtARefresh(t, k.calling)
	k.due()
	if status := k.patiently(t, "/me"); status != http.StatusOK {
		t.Errorf("the request gets %d", status)
	}
	k.IDP.Handle(authtest.Token, nil)
	k.IDP.RevokeRefreshTokens()
	k.due()
	if status := k.patiently(t, "/me"); status != http.StatusUnauthorized {
		t.Errorf("a recheck later the request gets %d", status)
	}
}
