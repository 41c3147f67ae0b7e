package interop

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

var update = flag.Bool("update", false, "write the table of docs/tokens.md anew")

// A refresh goes wrong in each of these ways. Replica A refreshes first.
var refreshFaults = []refreshFault{
	{name: "killed before it claims the refresh", at: claiming, kills: true},
	{name: "killed after the claim", at: rereading, kills: true},
	{name: "killed before the token request is sent", at: asking, kills: true},
	{name: "killed after the provider's response, which is lost", at: answered, kills: true, lost: true},
	{name: "killed before the new tokens are stored", at: swapping, kills: true, lost: true},
	{name: "killed after they are stored", at: swapped, kills: true},
	{name: "stopped for 20 s after the claim", at: rereading, stops: true},
	{name: "stopped for 20 s before the token request is sent", at: asking, stops: true, late: true},
	{name: "stopped for 20 s before the new tokens are stored", at: swapping, stops: true, lost: true},
	{name: "Redis is gone before the claim, and comes back", at: claiming, cuts: true, first: http.StatusServiceUnavailable},
	{name: "Redis is gone before the new tokens are stored, and comes back", at: swapping, cuts: true, first: http.StatusOK},
	{name: "the browser hangs up during the token request", at: asking, hangsUp: true},
	{name: "the provider answers after 20 s", at: answered, slow: true, lost: true},
}

// slowness is longer than a claim lasts.
const slowness = 20 * time.Second

type refreshFault struct {
	name    string
	at      step
	kills   bool // A is killed there, and started again
	stops   bool // A is stopped there for longer than its claim lasts, and goes on
	cuts    bool // A cannot reach Redis from there on, until its request is answered
	hangsUp bool // the browser closes the connection
	slow    bool // the step takes longer than the claim lasts
	lost    bool // nobody has what the provider issued
	late    bool // A's token request comes after that of B
	first   int  // status of the request that refreshes; 0 for any
}

// Each provider treats refresh tokens in its own way.
var refreshProviders = []refreshProvider{
	{name: "oidc-provider, rotation", reuseEnds: true, start: rotating("always")},
	{name: "oidc-provider, rotation with 30 s grace", start: rotating("grace")},
	{name: "oidc-provider, no rotation", start: rotating("never")},
	{name: "Keycloak, *Revoke Refresh Token*", reuseEnds: true, start: revoking(true)},
	{name: "Keycloak, without it", start: revoking(false)},
}

type refreshProvider struct {
	name      string
	reuseEnds bool // a refresh token that is used twice ends all tokens of the sign-in
	start     func(*testing.T) server
}

func rotating(rotation string) func(*testing.T) server {
	return func(*testing.T) server {
		o := newOIDCProvider()
		o.rotation = rotation
		return o
	}
}

func revoking(revokes bool) func(*testing.T) server {
	return func(t *testing.T) server {
		k := newKeycloak(t)
		k.admin(t, http.MethodPut, k.path(""), object{"revokeRefreshToken": revokes, "refreshTokenMaxReuse": 0}, nil)
		return k
	}
}

// TestRefreshOnce has one of two replicas, which are processes of their own, refresh an
// access token, and kills it at each step, among other things. Then four tabs ask the other
// replica and the first one, started again, for the token. The table of docs/tokens.md is
// what came of it; -update writes it.
func TestRefreshOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	redis := startRedis(ctx, t)
	var all []*refreshCase
	var sites []replicaSite
	for _, p := range refreshProviders {
		with := p.start(t)
		for _, f := range refreshFaults {
			r := newRefreshCase(t, with, f, p, redis)
			all = append(all, r)
			sites = append(sites, r.site(r.networkB))
		}
	}
	b := must(startReplica(testLog{t}, sites...))(t)
	var running sync.WaitGroup
	begin := make(chan struct{}, 3) // more sign-ins at once would only wait for each other
	for i, r := range all {
		r.addresses["b"].Store(&b.addresses[i])
		running.Go(func() { r.err = r.run(ctx, begin) })
	}
	running.Wait()
	if err := b.stop(); err != nil {
		t.Errorf("replica B: %v", err)
	}
	for _, r := range all {
		t.Run(r.provider.name+"/"+r.fault.name, r.check)
	}
	table := refreshTable(all)
	t.Log("\n" + table)
	if !t.Failed() {
		wantTable(t, "../docs/tokens.md", table)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// startRedis starts a Redis that keeps nothing, and returns its address.
func startRedis(ctx context.Context, t *testing.T) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	command := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "", "--appendonly", "no")
	if err := command.Start(); err != nil {
		t.Fatalf("%v: run the tests with servers.sh, which installs it", err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for client.Ping(ctx).Err() != nil {
		if ctx.Err() != nil {
			t.Fatal("redis-server did not start")
		}
	}
	return address
}

// refreshCase is an application with two replicas, and a user of it.
type refreshCase struct {
	fault    refreshFault
	provider refreshProvider
	server   server
	about    replicaSite
	browser  *authtest.Browser
	log      testLog

	requests           *tokenRequests
	networkA, networkB *network
	addresses          map[string]*atomic.Pointer[string] // of the replicas "a" and "b"
	to                 atomic.Value                       // the one that is asked unless an address says which
	over               chan struct{}

	// What came of it.
	err         error
	first       int           // status of the request that refreshed, 502 if the connection was closed
	trips       int           // to the provider
	asked       []string      // what the provider asked for there
	unavailable atomic.Int64  // answers of 502, 503 and 504
	wait        time.Duration // until the API could be called again
	good        bool          // the provider takes the refresh token in the end
}

func newRefreshCase(t *testing.T, with server, f refreshFault, p refreshProvider, redis string) *refreshCase {
	t.Helper()
	r := &refreshCase{fault: f, provider: p, server: with, log: testLog{t}, browser: authtest.NewBrowser(), over: make(chan struct{})}
	t.Cleanup(r.browser.Close)
	r.requests = &tokenRequests{byToken: map[string]int{}, brief: true}
	for _, n := range []**network{&r.networkA, &r.networkB} {
		*n = must(newNetwork(redis, r.requests))(t)
		t.Cleanup((*n).close)
	}
	r.addresses = map[string]*atomic.Pointer[string]{"a": {}, "b": {}}
	r.to.Store("a")
	front := httptest.NewServer(r.front())
	t.Cleanup(front.Close)
	_, port, _ := strings.Cut(front.Listener.Addr().String(), ":")
	r.about = replicaSite{BaseURL: "http://localhost:" + port, Prefix: "app-" + port + ":"}
	provider := with.register(t, client{
		ID: "replicas-" + port + newName(), Secret: "a-secret-for-tests", AuthMethod: "client_secret_basic",
		RedirectURI:    r.about.BaseURL + "/auth/authorize/corp",
		PostLogoutURI:  r.about.BaseURL + "/auth/logout/return",
		BackChannelURI: r.about.BaseURL + "/auth/logout/corp/backchannel",
	})
	r.about.Issuer, r.about.ClientID, r.about.Secret = provider.Issuer, provider.ClientID, provider.ClientSecret
	return r
}

// site is what a replica behind a network is told.
func (r *refreshCase) site(n *network) replicaSite {
	s := r.about
	s.Redis, s.Proxy = n.redis, n.provider
	return s
}

// front is the load balancer: ?at=a is for replica A.
func (r *refreshCase) front() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			at := cmp.Or(p.In.URL.Query().Get("at"), r.to.Load().(string))
			target, _ := url.Parse(*r.addresses[at].Load())
			p.SetURL(target)
			p.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// run is the whole story of the user.
func (r *refreshCase) run(ctx context.Context, begin chan struct{}) error {
	defer close(r.over)
	a, err := r.signIn(begin)
	if err != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	defer func() { a.kill() }()
	expired, cancel := context.WithTimeout(ctx, 1100*time.Millisecond)
	<-expired.Done()
	cancel()

	happened := make(chan struct{})
	firstCtx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	r.networkA.stopAt(r.fault.at, func() bool {
		goesOn := r.happen(a, hangUp)
		close(happened)
		if r.fault.slow || r.fault.stops {
			r.pause(slowness)
		}
		if r.fault.stops {
			a.goOn()
		}
		return goesOn
	})
	first := make(chan error, 1)
	go func() {
		p, err := r.fetch(firstCtx, "/api?at=a")
		if err == nil {
			r.first = p.Status
		}
		first <- err
	}()
	soon, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	select {
	case <-happened:
	case <-soon.Done():
		return errors.New("the step was never reached")
	}
	began := time.Now()
	if r.fault.cuts {
		if err := <-first; err != nil {
			return err
		}
		r.networkA.mendRedis()
	}
	if r.fault.kills {
		if a, err = startReplica(r.log, r.site(r.networkA)); err != nil {
			return err
		}
		r.addresses["a"].Store(&a.addresses[0])
	}
	r.to.Store("b")
	err = r.goOn(ctx, began)
	if !r.fault.cuts {
		if firstErr := <-first; firstErr != nil && !r.fault.hangsUp {
			err = cmp.Or(err, firstErr)
		}
	}
	return cmp.Or(err, a.stop())
}

// signIn starts replica A and signs the user in there.
func (r *refreshCase) signIn(begin chan struct{}) (*replica, error) {
	begin <- struct{}{}
	defer func() { <-begin }()
	a, err := startReplica(r.log, r.site(r.networkA))
	if err != nil {
		return nil, err
	}
	r.addresses["a"].Store(&a.addresses[0])
	_, err = signInAs(&site{URL: r.about.BaseURL, server: r.server}, r.browser, ada)
	r.requests.setBrief(false)
	return a, err
}

// happen does what the fault is, and reports whether the step goes on.
func (r *refreshCase) happen(a *replica, hangUp func()) bool {
	switch {
	case r.fault.kills:
		a.kill()
		return false
	case r.fault.stops:
		a.pause()
	case r.fault.cuts:
		r.networkA.cutRedis()
		return false
	case r.fault.hangsUp:
		hangUp()
	}
	return true
}

// pause waits for a time, or until the case is over.
func (r *refreshCase) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.over:
	}
}

// goOn opens the application in four tabs, which ask until they have an answer, goes to the
// provider if that is the answer, and opens them again.
func (r *refreshCase) goOn(ctx context.Context, began time.Time) error {
	stepUp, err := r.tabs(ctx)
	if err != nil {
		return err
	}
	if p, err := r.fetch(ctx, "/private"); err != nil {
		return err
	} else if p.Status != http.StatusOK {
		return fmt.Errorf("the session is lost: %d %s", p.Status, p.Text())
	}
	if stepUp {
		r.trips++
		if err := r.trip(); err != nil {
			return err
		}
	}
	r.wait = time.Since(began)
	if stepUp, err = r.tabs(ctx); stepUp {
		r.trips++
	}
	if err == nil {
		r.good, err = r.requests.good()
	}
	return err
}

// tabs reports whether the application says in one of four tabs that the user has to go to
// the provider.
func (r *refreshCase) tabs(ctx context.Context) (stepUp bool, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, at := range []string{"a", "b", "a", "b"} {
		all.Go(func() {
			needed, failed := r.tab(ctx, at)
			mu.Lock()
			defer mu.Unlock()
			stepUp, err = stepUp || needed, cmp.Or(err, failed)
		})
	}
	all.Wait()
	return stepUp, err
}

// tab asks one replica, once a second at most, until the API can be called or the answer is
// that the user has to go to the provider.
func (r *refreshCase) tab(ctx context.Context, at string) (stepUp bool, err error) {
	pace := time.NewTicker(time.Second)
	defer pace.Stop()
	for {
		p, err := r.fetch(ctx, "/api?at="+at)
		switch {
		case err != nil:
			return false, err
		case p.Status == http.StatusOK:
			return false, nil
		case p.Status == http.StatusUnauthorized && strings.Contains(p.Text(), string(ginauth.ErrStepUpRequired)):
			return true, nil
		case p.Status < 500:
			return false, fmt.Errorf("replica %s answered %d: %s", at, p.Status, p.Text())
		}
		r.unavailable.Add(1)
		select {
		case <-pace.C:
		case <-ctx.Done():
			return false, fmt.Errorf("replica %s still answers %d: %s", at, p.Status, p.Text())
		}
	}
}

// fetch makes a request as a script on a page does.
func (r *refreshCase) fetch(ctx context.Context, path string) (*authtest.Page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.about.BaseURL+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header = http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}, "Accept": {"application/json"}}
	return r.browser.Do(request)
}

// trip opens the page in a tab, which leads to the provider and back.
func (r *refreshCase) trip() error {
	p, err := r.browser.Get(r.about.BaseURL + "/api?at=b")
	for range 3 {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(p.URL.String(), r.about.BaseURL):
			if p.Status != http.StatusOK || p.URL.Path != "/api" {
				return fmt.Errorf("the trip ended at %s with %d: %s", p.URL, p.Status, p.Text())
			}
			return nil
		case r.server.asks(p):
			r.asked = append(r.asked, "password")
			p, err = r.server.logIn(r.browser, p, ada, password)
		default:
			r.asked = append(r.asked, "consent")
			p, err = r.browser.SubmitFormAt(p, 0, url.Values{"do": {"consent"}})
		}
	}
	return fmt.Errorf("the provider asks and asks: %s", p.URL)
}

// check is what holds for every provider, whatever goes wrong.
func (r *refreshCase) check(t *testing.T) {
	if r.err != nil {
		t.Fatal(r.err)
	}
	q := r.requests
	t.Logf("%d token requests, a refresh token was used %d times at most, %d were refused; the first request got %d, %d were told to wait; %d trips, asked for %q; %.1f s",
		q.all, q.most(), q.refused, r.first, r.unavailable.Load(), r.trips, r.asked, r.wait.Seconds())
	want, trips, good := 1, 0, true
	if r.fault.lost || r.fault.late {
		want = 2
	}
	if r.fault.lost && r.provider.reuseEnds {
		trips = 1
	}
	if r.fault.late && r.provider.reuseEnds {
		good = false
	}
	if q.all != want || q.most() != want {
		t.Errorf("%d token requests, %d with the same refresh token, want %d", q.all, q.most(), want)
	}
	if r.trips != trips || r.good != good {
		t.Errorf("%d trips, and a good refresh token %t; want %d and %t", r.trips, r.good, trips, good)
	}
	if r.fault.first != 0 && r.first != r.fault.first {
		t.Errorf("the first request got %d, want %d", r.first, r.fault.first)
	}
}

// refreshTable is the table of docs/tokens.md.
func refreshTable(all []*refreshCase) string {
	var b strings.Builder
	b.WriteString("| the replica that refreshes |")
	for _, p := range refreshProviders {
		b.WriteString(" " + p.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(refreshProviders)) + "\n")
	for row, f := range refreshFaults {
		b.WriteString("| " + f.name + " |")
		for column := range refreshProviders {
			b.WriteString(" " + all[column*len(refreshFaults)+row].cell() + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (r *refreshCase) cell() string {
	if r.err != nil {
		return "failed"
	}
	text := fmt.Sprintf("%d; at once", r.requests.all)
	if r.wait > 2*time.Second {
		text = fmt.Sprintf("%d; %.0f s", r.requests.all, math.Round(r.wait.Seconds()))
	}
	if r.trips > 0 {
		text += fmt.Sprintf("; %d redirect", r.trips)
	}
	if !r.good {
		text += "; a redirect at the next expiry"
	}
	return text
}

// duration is what differs from run to run.
var duration = regexp.MustCompile(`; (at once|\d+ s)`)

// wantTable compares a table with that of a page, between two comments.
func wantTable(t *testing.T, file, table string) {
	t.Helper()
	page := read(t, file)
	before, rest, _ := strings.Cut(page, "<!-- TestRefreshOnce -->\n")
	old, after, found := strings.Cut(rest, "<!-- end -->\n")
	if !found {
		t.Fatalf("%s has no place for the table", file)
	}
	if *update {
		page = before + "<!-- TestRefreshOnce -->\n" + table + "<!-- end -->\n" + after
		if err := os.WriteFile(file, []byte(page), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if duration.ReplaceAllString(old, "") != duration.ReplaceAllString(table, "") {
		t.Errorf("%s has another table: see -update", file)
	}
}
