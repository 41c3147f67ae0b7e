package model

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// tokenWorld is an application of two processes with shared stores, a provider whose API they
// call, and two users. It is also the model: the permitted results of a call.
type tokenWorld struct {
	time      atomic.Int64
	idp       *authtest.Provider
	server    *httptest.Server
	mu        sync.Mutex                       // for the next four fields: a sign-out drops tokens in the background
	values    map[ginauth.RevocationKey][]byte // the store of tokens
	failLoad  bool                             // the store fails
	failSwap  bool
	failAfter bool // Swap fails after storing the value
	marks     ginauth.Revocations
	processes [2]*tokenProcess
	serves    int // the process that handles requests
	people    [2]*tokenPerson
	trace     []string

	rotates   bool            // the provider replaces refresh tokens, and detects reuse
	down      bool            // the provider responds with 503
	lose      bool            // the next response of the token endpoint is lost
	crash     int             // at the next token request: 1 before it is sent, 2 after the response
	spares    bool            // a sign-in returns no refresh token
	sent      map[string]bool // refresh tokens
	refreshes int             // refreshes with a response
	twice     int             // refresh tokens that were sent again
}

// tokenPerson is a user with a browser.
type tokenPerson struct {
	subject  string
	browser  *authtest.Browser
	signedIn bool
	lost     bool      // the application may lack the current refresh token
	only     int       // the only process that may have it, counted from 1; 0: the store has it
	back     time.Time // time of the last return from the provider
}

// tokenProcess is one process of the application. A dead one reaches nothing.
type tokenProcess struct {
	w      *tokenWorld
	engine *gin.Engine
	dead   atomic.Bool
	rests  time.Time // until when it sends the provider no refresh
}

var errDead = errors.New("the process is dead")

func (p *tokenProcess) Load(_ context.Context, key ginauth.RevocationKey) ([]byte, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.dead.Load() || p.w.failLoad {
		return nil, errDead
	}
	return p.w.values[key], nil
}

func (p *tokenProcess) Swap(_ context.Context, key ginauth.RevocationKey, old, next []byte, _ time.Duration) (bool, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.dead.Load() || p.w.failSwap && !p.w.failAfter {
		return false, errDead
	}
	if !bytes.Equal(p.w.values[key], old) {
		return false, nil
	}
	if p.w.values[key] = next; next == nil {
		delete(p.w.values, key)
	}
	if p.w.failSwap {
		return false, errDead
	}
	return true, nil
}

// processMarks are the shared revocations of a process.
type processMarks struct {
	ginauth.Revocations
	of *tokenProcess
}

func (m processMarks) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	if m.of.dead.Load() {
		return false, errDead
	}
	return m.Revocations.Once(ctx, key, ttl)
}

func newTokenWorld(rotates bool) *tokenWorld {
	w := &tokenWorld{values: map[ginauth.RevocationKey][]byte{}, sent: map[string]bool{}, rotates: rotates}
	w.time.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	idp, err := authtest.Start(authtest.Config{SigningAlg: "ES256", Now: w.now})
	if err != nil {
		panic(err)
	}
	w.idp = idp
	w.idp.RotateRefreshTokens(rotates)
	w.idp.Handle(authtest.Token, w.token)
	w.marks = ginauth.NewMemoryRevocations(w.now)
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.processes[w.serves].engine.ServeHTTP(rw, r)
	}))
	for i := range w.processes {
		w.start(i)
	}
	for i, subject := range []string{"ada", "grace"} {
		w.people[i] = &tokenPerson{subject: subject, browser: authtest.NewBrowser()}
	}
	return w
}

func (w *tokenWorld) close() {
	w.server.Close()
	w.idp.Close()
	for _, p := range w.people {
		p.browser.Close()
	}
}

func (w *tokenWorld) now() time.Time { return time.Unix(0, w.time.Load()).UTC() }

func (w *tokenWorld) url(path string) string {
	return strings.Replace(w.server.URL, "127.0.0.1", "localhost", 1) + path
}

func (w *tokenWorld) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *tokenWorld) fail(format string, args ...any) { panic(violation(fmt.Sprintf(format, args...))) }

// start restarts a process: its memory is lost.
func (w *tokenWorld) start(i int) {
	for _, p := range w.people {
		if p != nil && p.only == i+1 {
			p.lost = true
		}
	}
	p := &tokenProcess{w: w, engine: gin.New()}
	provider := w.idp.Client("corp")
	provider.Scopes = []string{"openid", "profile", "offline_access"}
	provider.APIs = []ginauth.API{{URL: w.idp.Issuer + "/"}}
	auth, err := ginauth.Mount(p.engine, ginauth.Options{
		BaseURL: w.url(""), Keys: []string{"the one key of a token machine, of 32 bytes and more"}, Now: w.now, Logger: slog.New(slog.DiscardHandler),
		Providers: []ginauth.Provider{provider}, Tokens: p, Revocations: processMarks{w.marks, p},
		Lifetime: 30 * 24 * time.Hour, IdleTimeout: 30 * 24 * time.Hour,
		HTTPClient: &http.Client{Transport: sitetest.RoundTripper(p.ask)},
	})
	if err != nil {
		panic(err)
	}
	p.engine.GET("/fresh", auth.RequireAuth(ginauth.MaxAge(time.Minute)), func(c *gin.Context) { c.String(http.StatusOK, "fresh") })
	p.engine.GET("/call", auth.RequireAuth(), func(c *gin.Context) {
		answer, err := auth.Client(c).Get(w.idp.URL(authtest.Userinfo))
		if err != nil {
			auth.Fail(c, err)
			return
		}
		defer answer.Body.Close()
		said, _ := io.ReadAll(answer.Body)
		c.Data(answer.StatusCode, "application/json", said)
	})
	w.processes[i] = p
}

// ask is the transport of a process to the provider.
func (p *tokenProcess) ask(r *http.Request) (*http.Response, error) {
	w := p.w
	if p.dead.Load() {
		return nil, errDead
	}
	refreshes := false
	if r.URL.String() == w.idp.URL(authtest.Token) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, _ := url.ParseQuery(string(body))
		refreshes = form.Get("grant_type") == "refresh_token"
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if refreshes && w.crash == 1 {
		w.crash = 0
		p.dead.Store(true)
		return nil, errDead
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if !refreshes || err != nil {
		return answer, err
	}
	switch {
	case w.crash == 2:
		w.crash = 0
		p.dead.Store(true)
	case w.lose:
		w.lose = false
		_ = answer.Body.Close()
		return nil, errors.New("the answer is lost")
	}
	return answer, nil
}

// token is the provider's token endpoint.
func (w *tokenWorld) token(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	if w.down {
		http.Error(rw, "out of order", http.StatusServiceUnavailable)
		return
	}
	if token := form.Get("refresh_token"); token != "" {
		if w.rotates && w.sent[token] {
			w.twice++
		}
		w.sent[token] = true
		w.refreshes++
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if w.spares && form.Get("grant_type") == "authorization_code" {
		w.idp.EditToken(func(answer map[string]any) { delete(answer, "refresh_token") })
		defer w.idp.EditToken(nil)
	}
	w.idp.Default(authtest.Token).ServeHTTP(rw, r)
}

// tokenDeeds are the possible events, and their frequency.
var tokenDeeds = []struct {
	weight int
	do     func(w *tokenWorld, a, b int)
}{
	{20, (*tokenWorld).call}, {14, (*tokenWorld).tick}, {2, (*tokenWorld).loseAnAnswer}, {2, (*tokenWorld).crashAtARefresh}, {3, (*tokenWorld).restart},
	{2, (*tokenWorld).outage}, {3, (*tokenWorld).storeTrouble}, {1, (*tokenWorld).revoke}, {2, (*tokenWorld).signOut}, {2, (*tokenWorld).signInAgain},
	{3, (*tokenWorld).stepUp},
}

// TestTokenMachine runs random events on the tokens of two users, and compares the results of
// their calls with a model: a user with valid tokens is served and never redirected to the
// provider, the session stays whatever happens to the tokens, and a refresh token is sent a
// second time only if the first response was lost. GINAUTH_SEQUENCES and GINAUTH_SEED are those
// of TestStateMachine.
func TestTokenMachine(t *testing.T) {
	seed, sequences := fromEnvironment(t, "GINAUTH_SEED", 1), fromEnvironment(t, "GINAUTH_SEQUENCES", 300)/5
	for _, rotates := range []bool{true, false} {
		t.Run(fmt.Sprint("rotating ", rotates), func(t *testing.T) {
			t.Parallel()
			for n := range sequences/2 + 1 {
				sequence := newTokenSequence(rand.New(rand.NewPCG(uint64(seed), uint64(n))))
				if wrong, _ := runTokens(rotates, sequence); wrong != "" {
					shortest, trace := sequence, []string(nil)
					for i := 0; i < len(shortest); {
						fewer := slices.Delete(slices.Clone(shortest), i, i+1)
						if wrong, _ := runTokens(rotates, fewer); wrong != "" {
							shortest = fewer
						} else {
							i++
						}
					}
					wrong, trace = runTokens(rotates, shortest)
					t.Fatalf("sequence %d of GINAUTH_SEED=%d comes down to\n\t%s\n%s", n, seed, strings.Join(trace, "\n\t"), wrong)
				}
			}
		})
	}
}

func newTokenSequence(random *rand.Rand) (steps []step) {
	total := 0
	for _, d := range tokenDeeds {
		total += d.weight
	}
	for range machineSteps + random.IntN(machineSteps) {
		n, i := random.IntN(total), 0
		for n -= tokenDeeds[0].weight; n >= 0; n -= tokenDeeds[i].weight {
			i++
		}
		steps = append(steps, step{i, random.IntN(1 << 16), random.IntN(1 << 16), 0})
	}
	return steps
}

func runTokens(rotates bool, steps []step) (wrong string, trace []string) {
	w := newTokenWorld(rotates)
	defer func() {
		w.close()
		trace = w.trace
		if r := recover(); r != nil {
			wrong = fmt.Sprint(r)
		}
	}()
	for i := range w.people {
		w.signInAgain(i, 0)
	}
	for _, s := range steps {
		tokenDeeds[s.deed].do(w, s.a, s.b)
	}
	// In the end everything works, and every user is served, after at most one redirect.
	w.down, w.lose, w.crash, w.spares = false, false, 0, false
	w.mu.Lock()
	w.failLoad, w.failSwap = false, false
	w.mu.Unlock()
	w.time.Add(int64(time.Minute))
	for n := range 4 {
		for i := range w.people {
			w.call(i, n)
		}
		w.time.Add(int64(61 * time.Minute))
	}
	return "", nil
}

// call makes a user open a page that calls the API.
func (w *tokenWorld) call(a, b int) {
	p := w.people[a%len(w.people)]
	w.serves = b % len(w.processes)
	process := w.processes[w.serves]
	if p.only != 0 && p.only != w.serves+1 {
		p.lost = true // this process may use the previous one
	}
	twice, refreshes, crash, lose, now := w.twice, w.refreshes, w.crash, w.lose, w.now()
	answer, err := p.browser.Fetch(nil, "GET", w.url("/call"), nil, "")
	if err != nil {
		panic(err)
	}
	var said struct{ Error string }
	if err := json.Unmarshal(answer.Body, &said); err != nil {
		w.fail("%s got %d %s", p.subject, answer.Status, answer.Text())
	}
	code := said.Error
	w.note("%s calls by process %d: %d %s", p.subject, w.serves, answer.Status, code)

	crashed, lost := crash != w.crash, lose != w.lose
	switch refreshed := w.refreshes > refreshes && w.rotates; {
	case refreshed && (crashed || lost):
		p.lost = true
	case refreshed && w.failSwap:
		p.only = w.serves + 1
	}
	rested := process.rests
	if w.down || lost { // it may have tried, even if its token is still valid
		process.rests = now.Add(5 * time.Second)
	}
	if w.failSwap { // so that claims, which cannot be released, end before the next call
		w.time.Add(int64(16 * time.Second))
	}
	switch {
	case w.twice > twice && !p.lost:
		w.fail("the refresh token of %s came twice", p.subject)
	case crashed: // no client received its response
		w.start(w.serves)
		w.time.Add(int64(16 * time.Second)) // until the claim of the dead process ends
		return
	case !p.signedIn:
		if code != string(ginauth.ErrUnauthenticated) {
			w.fail("%s is not signed in, and got %d %s", p.subject, answer.Status, answer.Text())
		}
	case answer.Status == http.StatusOK:
		if !strings.Contains(answer.Text(), fmt.Sprintf("%q", p.subject)) {
			w.fail("%s called as %s", p.subject, answer.Text())
		}
	case code == string(ginauth.ErrStepUpRequired):
		if !p.lost {
			w.fail("%s has good tokens, and is sent to the provider: %s", p.subject, answer.Text())
		}
		w.renew(p)
	case code == string(ginauth.ErrInvalidToken): // from the API, which rejects a recently issued token
		if !p.lost {
			w.fail("%s has good tokens, and the API refuses them", p.subject)
		}
	case code == string(ginauth.ErrStoreUnavailable):
		if !w.failLoad && !w.failSwap {
			w.fail("the store works, and %s got %s", p.subject, answer.Text())
		}
	case code == string(ginauth.ErrProviderDenied): // the redirect was a moment ago, and its tokens have since been revoked
		if !p.lost || now.After(p.back.Add(time.Minute)) {
			w.fail("%s is told that the provider denies what it has given: %s", p.subject, answer.Text())
		}
	case strings.HasPrefix(code, "provider_"):
		if !w.down && !lost && !rested.After(now) {
			w.fail("the provider works, and %s got %s", p.subject, answer.Text())
		}
	default:
		w.fail("%s got %d %s", p.subject, answer.Status, answer.Text())
	}
}

// renew redirects a user to the provider and back.
func (w *tokenWorld) renew(p *tokenPerson) {
	if w.down || w.failLoad || w.failSwap {
		return
	}
	w.note("%s goes to the provider", p.subject)
	w.idp.SignInAs(p.subject)
	page, err := p.browser.Get(w.url("/call"))
	if err != nil {
		panic(err)
	}
	if page.Status != http.StatusOK || page.URL.Path != "/call" {
		w.fail("%s came back to %s with %d: %s", p.subject, page.URL, page.Status, page.Text())
	}
	p.lost, p.only, p.back = false, 0, w.now()
}

// stepUp makes a user open a page that requires authenticating again. Every other time, the
// provider returns no refresh token for it, and the existing one continues.
func (w *tokenWorld) stepUp(a, b int) {
	p := w.people[a%len(w.people)]
	if w.down || w.failLoad || w.failSwap || !p.signedIn {
		return
	}
	w.serves, w.spares = b%len(w.processes), b/len(w.processes)%2 == 0
	defer func() { w.spares = false }()
	w.time.Add(int64(3 * time.Minute))
	w.idp.SignInAs(p.subject)
	page, err := p.browser.Get(w.url("/fresh"))
	if err != nil {
		panic(err)
	}
	w.note("%s authenticates anew by process %d, and gets a refresh token: %v: %d", p.subject, w.serves, !w.spares, page.Status)
	if page.Status != http.StatusOK || page.Text() != "fresh" {
		w.fail("%s came back to %s with %d: %s", p.subject, page.URL, page.Status, page.Text())
	}
	p.back = w.now()
	if !w.spares {
		p.lost, p.only = false, 0
	} else if p.only != 0 && p.only != w.serves+1 {
		p.lost, p.only = true, 0 // this process has the previous token, which is used
	}
}

func (w *tokenWorld) tick(a, b int) {
	by := []time.Duration{time.Second, 6 * time.Second, 16 * time.Second, time.Minute, 50 * time.Minute, 59*time.Minute + 30*time.Second, 61 * time.Minute, 5 * time.Hour}[a%8]
	w.note("the clock moves by %v", by)
	w.time.Add(int64(by))
}

func (w *tokenWorld) loseAnAnswer(int, int) {
	w.note("the next answer of the token endpoint is lost")
	w.lose, w.crash = true, 0
}

func (w *tokenWorld) crashAtARefresh(a, _ int) {
	w.crash, w.lose = 1+a%2, false
	w.note("the next refresh kills its process, %d", w.crash)
}

// restart restarts a process. Tokens that it could not store are lost.
func (w *tokenWorld) restart(a, _ int) {
	w.note("process %d starts anew", a%2)
	w.start(a % 2)
}

func (w *tokenWorld) outage(a, _ int) {
	w.down = a%2 == 0
	w.note("the provider is down: %v", w.down)
}

func (w *tokenWorld) storeTrouble(a, _ int) {
	w.mu.Lock()
	w.failLoad, w.failSwap, w.failAfter = a%4 == 1, a%4 >= 2, a%4 == 3
	w.mu.Unlock()
	w.note("the store fails: load %v, swap %v, after it has stored %v", w.failLoad, w.failSwap, w.failAfter)
}

// revoke revokes all tokens at the provider.
func (w *tokenWorld) revoke(int, int) {
	w.note("the provider revokes all tokens")
	w.idp.RevokeRefreshTokens()
	for _, p := range w.people {
		p.lost = true
	}
}

func (w *tokenWorld) signOut(a, b int) {
	p := w.people[a%len(w.people)]
	w.serves = b % len(w.processes)
	page, err := p.browser.Get(w.url("/logout"))
	if err == nil && p.signedIn {
		page, err = p.browser.SubmitForm(page, "Sign out", nil)
	}
	if err != nil {
		panic(err)
	}
	w.note("%s signs out by process %d: %d", p.subject, w.serves, page.Status)
	p.signedIn, p.lost, p.only = false, false, 0
}

func (w *tokenWorld) signInAgain(a, b int) {
	p := w.people[a%len(w.people)]
	if w.down || w.failLoad || w.failSwap {
		return
	}
	w.serves = b % len(w.processes)
	w.idp.SignInAs(p.subject)
	page, err := p.browser.Get(w.url("/login/corp?return_to=/call"))
	if err != nil {
		panic(err)
	}
	w.note("%s signs in by process %d: %d", p.subject, w.serves, page.Status)
	if page.Status != http.StatusOK {
		w.fail("%s cannot sign in: %d %s", p.subject, page.Status, page.Text())
	}
	p.signedIn, p.lost, p.only = true, false, 0
}
