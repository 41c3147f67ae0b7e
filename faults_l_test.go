package ginauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

func faultsL() []fault {
	return []fault{
		{"L1_logins_without_end", l1LoginFlood},
		{"L2_answers_without_end", l2AnswerFlood},
		{"L2_spent_states_have_a_limit", l2SpentLimit},
		{"L3_revocations_have_a_limit", l3RevocationLimit},
		{"L4_cookie_names_are_ours_to_choose", l4Names},
		{"L5_a_provider_that_hangs", l5Hanging},
		{"L6_nothing_is_left_running", l6Leaks},
		{"L7_ten_thousand_cookies", l7Cookies},
		{"L8_long_and_twisted_input", l8Linear},
		{"L9_hostile_json", l9JSON},
		{"L10_panics", l10Panics},
		{"L11_many_at_once", l11Parallel},
		{"L12_the_clock_jumps", l12Clock},
		{"L14_one_answer_for_all_states", l14States},
		{"L14_one_answer_for_all_signatures", l14Signatures},
	}
}

// heap is what the process holds on to.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// page is a request as a browser makes it that opens an address.
func page(address string) *http.Request {
	r := httptest.NewRequest("GET", address, nil)
	r.Header.Set("Accept", "text/html")
	return r
}

// serve lets the application answer without a network in between.
func (s *site) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.Host = strings.TrimPrefix(s.URL, "http://")
	s.engine.ServeHTTP(w, r)
	return w
}

// l1LoginFlood runs by itself, since it looks at the heap.
func l1LoginFlood(t *testing.T) {
	s := newSite(t, func(s *site, o *ginauth.Options) { // whose log and events are not kept either
		s.unheard, o.Logger = true, slog.New(slog.DiscardHandler)
	})
	begin := func() {
		if w := s.serve(page("/login/demo?return_to=/page/x")); w.Code != http.StatusSeeOther {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	for range 100 {
		begin()
	}
	const logins = 10_000
	before := heap()
	for range logins {
		begin()
	}
	if grown := heap() - before; grown > 20*logins {
		t.Errorf("%d sign-ins that nobody finished left %d bytes behind", logins, grown)
	}
}

// counted counts the states that are spent.
type counted struct {
	ginauth.Revocations
	spent atomic.Int64
}

func (c *counted) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	c.spent.Add(1)
	return c.Revocations.Once(ctx, key, ttl)
}

// l2AnswerFlood: only a state that this browser was given is remembered as
// spent, and only a provider can make us ask for its keys.
func l2AnswerFlood(t *testing.T) {
	c := &counted{Revocations: marks.NewRevocations[ginauth.RevocationKey](time.Now, 1<<20)}
	s := newSite(t, func(s *site, o *ginauth.Options) {
		s.unheard, o.Revocations, o.Logger = true, c, slog.New(slog.DiscardHandler)
	})
	callback := s.begin("/login/demo")
	mine := callback.Query().Get("state")
	jar := s.browser.Cookies(s.URL)
	answer := func(state string, cookies ...*http.Cookie) {
		r := page("/authorize/demo?" + url.Values{"state": {state}, "code": {"abc"}, "iss": {s.idp.Issuer}}.Encode())
		for _, c := range cookies {
			r.AddCookie(c)
		}
		if w := s.serve(r); w.Code != http.StatusBadRequest {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	flood := func(n int) {
		for i := range n {
			answer("")
			answer(fmt.Sprintf("%08d.%043d", i, i))
			answer(fmt.Sprintf("%08d.%043d", i, i), jar...)
			answer(mine[:9]+fmt.Sprintf("%043d", i), jar...) // the cookie is there, the secret is not
			answer(mine)                                     // and the other way round
		}
	}
	flood(20)
	before := heap()
	flood(1000)
	if grown := heap() - before; grown > 20_000 {
		t.Errorf("5,000 false answers left %d bytes behind", grown)
	}
	if c.spent.Load() != 0 || s.idp.Count(authtest.Token) != 0 || s.idp.Count(authtest.JWKS) != 0 {
		t.Errorf("%d states were spent, %d codes and %d keys asked for", c.spent.Load(), s.idp.Count(authtest.Token), s.idp.Count(authtest.JWKS))
	}
	s.finish(callback)
	if s.user() == nil || c.spent.Load() != 1 {
		t.Errorf("the true answer: %v, %d states spent", s.user(), c.spent.Load())
	}
}

// l2SpentLimit: at the limit sign-ins wait; nothing that was spent is spendable
// again, and in time there is room.
func l2SpentLimit(t *testing.T) {
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 16)
	})
	full := false
	for range 64 {
		callback := s.begin("/login/demo")
		p := s.finish(callback)
		if p.Status == http.StatusServiceUnavailable {
			s.wantError(p, ginauth.ErrStoreUnavailable)
			if p.Header.Get("Retry-After") == "" {
				t.Error("there is no Retry-After")
			}
			full = true
			break
		}
		again := s.must(s.newBrowser().Click(authtest.At(s.idp.Issuer), callback.String()))
		s.wantError(again, ginauth.ErrStateInvalid)
	}
	if !full {
		t.Fatal("the table took more than its limit")
	}
	s.clock.Advance(15 * time.Minute)
	s.signIn()
}

// l3RevocationLimit: where there is no room for another sign-out, more is
// revoked, and never less.
func l3RevocationLimit(t *testing.T) {
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 128)
	})
	s.signIn()
	s.clock.Advance(time.Second)
	var out []*authtest.Browser
	for i := range 400 {
		b := s.newBrowser()
		if err := authtest.SignIn(s.auth, b, &ginauth.User{Provider: "demo", Subject: fmt.Sprint("user", i)}); err != nil {
			t.Fatal(err)
		}
		copied := b.Clone()
		if s.userOf(b) == nil {
			t.Fatalf("user %d could not sign in", i)
		}
		s.must(b.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
		out = append(out, copied)
		s.clock.Advance(time.Second)
	}
	for i, b := range out {
		if u := s.userOf(b); u != nil {
			t.Errorf("of 400 who signed out, number %d is signed in again", i)
		}
		b.Close()
	}
	if s.user() != nil {
		t.Error("there was room for 400 sign-outs: nobody else was signed out for it")
	}
	s.signIn()
}

// l4Names: a request cannot choose which cookie of ours is written, nor a state.
func l4Names(t *testing.T) {
	s := newSite(t, nil)
	seen := map[string]bool{}
	for range 50 {
		w := s.serve(page("/login/demo?state=AAAAAAAA.BBBB&handle=AAAAAAAA"))
		location, err := url.Parse(w.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		cookies := w.Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%d cookies", len(cookies))
		}
		state := location.Query().Get("state")
		handle, _, _ := strings.Cut(state, ".")
		if !strings.HasSuffix(cookies[0].Name, "-a-"+handle) || len(handle) != 8 || seen[handle] || strings.Contains(state, "AAAAAAAA") {
			t.Errorf("state %s in cookie %s", state, cookies[0].Name)
		}
		seen[handle] = true
	}
}

// l5Hanging: a provider that takes connections and never answers holds up the
// sign-ins with it, for a while, and nothing else.
func l5Hanging(t *testing.T) {
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token} {
		t.Run(string(e), func(t *testing.T) { hangs(t, e) })
	}
}

func hangs(t *testing.T, e authtest.Endpoint) {
	const logins = 500
	s := outageSite(t, nil)
	if e != authtest.Discovery {
		s.signIn() // and everything is discovered
	}
	b := s.newBrowser()
	var hanging, most atomic.Int64
	s.idp.Handle(e, func(_ http.ResponseWriter, r *http.Request) {
		n := hanging.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-r.Context().Done()
		hanging.Add(-1)
	})
	var statuses sync.Map
	var group sync.WaitGroup
	for range logins {
		visitor := s.newBrowser()
		group.Go(func() {
			p, err := visitor.Get(s.URL + "/login/demo")
			if err != nil {
				t.Error(err)
				return
			}
			n, _ := statuses.LoadOrStore(p.Status, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		})
	}
	eventually(t, func() bool { return hanging.Load() > 0 })
	if p := s.must(b.Get(s.URL + "/login/other")); p.Status != http.StatusOK || s.userOf(b) == nil {
		t.Errorf("meanwhile the other provider answers %d", p.Status)
	}
	group.Wait()
	statuses.Range(func(status, n any) bool {
		if status != http.StatusGatewayTimeout {
			t.Errorf("%d of %d sign-ins were answered with %v", n.(*atomic.Int64).Load(), logins, status)
		}
		return true
	})
	// 64 at a time; a connection that was given up is noticed a moment later.
	if n := most.Load(); n > 3*64 {
		t.Errorf("%d connections hung at once", n)
	}
	eventually(t, func() bool { return hanging.Load() == 0 })
}

// l6Leaks runs by itself, since it counts goroutines.
func l6Leaks(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("faults", func(t *testing.T) {
		for _, f := range []authtest.Fault{authtest.Down, authtest.Redirecting, authtest.Oversized, authtest.Endless, authtest.Dripping, authtest.Hanging, authtest.Resetting} {
			for _, e := range brokenEndpoints {
				s := newSite(t, func(s *site, o *ginauth.Options) {
					o.HTTPClient = quick(200 * time.Millisecond)
					o.Providers[0].Userinfo = "always"
					s.idp.Fail(e, f)
				})
				if p := s.get("/login/demo"); p.Status < 500 {
					t.Errorf("%s, %s: %d", e, f, p.Status)
				}
			}
		}
		s := newSite(t, nil)
		s.serve(page("/authorize/demo?state=x"))
		s.serve(page("/login/nobody"))
		s.signIn()
	})
	eventually(t, func() bool { return runtime.NumGoroutine() <= before })
}

// l7Cookies runs by itself, since it counts what is allocated.
func l7Cookies(t *testing.T) {
	s := newSite(t, nil)
	s.begin("/login/demo")
	callback := s.begin("/login/demo")
	own := s.browser.Cookies(s.URL)
	handle, _, _ := strings.Cut(callback.Query().Get("state"), ".")
	attempt := own[slices.IndexFunc(own, func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "-a-"+handle) })]
	prefix, _, _ := strings.Cut(attempt.Name, "-a-")
	many := func(name func(i int) string, value string) string {
		var b strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&b, "%s=%s; ", name(i), value)
		}
		return b.String()
	}
	junk := strings.Repeat("A", 60)
	for name, header := range map[string]string{
		"of others":           many(func(i int) string { return fmt.Sprint("c", i) }, "0123456789"),
		"called as attempts":  many(func(i int) string { return fmt.Sprintf("%s-a-%08d", prefix, i) }, junk),
		"called as one":       many(func(int) string { return attempt.Name }, junk),
		"true ones, repeated": many(func(int) string { return attempt.Name }, attempt.Value),
		"called as sessions":  many(func(int) string { return prefix }, "1"+junk),
		"halves of sessions":  many(func(i int) string { return prefix + []string{"", "-2"}[i%2] }, "2"+junk),
		"without a name":      strings.Repeat("; =;", 50_000),
	} {
		for _, path := range []string{"/", "/me", "/login/demo", callback.RequestURI(), "/logout"} {
			request := func(cookies string) {
				r := page(path)
				if path == "/logout" {
					r = httptest.NewRequest("POST", path, nil)
				}
				r.Header.Set("Cookie", cookies)
				if w := s.serve(r); w.Code >= 500 {
					t.Errorf("%s, %s: %d", name, path, w.Code)
				}
			}
			usual := testing.AllocsPerRun(5, func() { request(prefix + "=1" + junk) })
			if got := testing.AllocsPerRun(5, func() { request(header) }); got > usual+1000 {
				t.Errorf("10,000 cookies %s at %s: %.0f allocations, usually %.0f", name, path, got, usual)
			}
		}
	}
	s.signIn()
	real := s.browser.Cookies(s.URL)
	i := slices.IndexFunc(real, func(c *http.Cookie) bool { return c.Name == prefix })
	header := http.Header{"Cookie": {many(func(i int) string { return fmt.Sprint("c", i) }, "0123456789") + prefix + "=" + real[i].Value}}
	if p := s.must(s.newBrowser().Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", header, "")); p.Status != http.StatusOK {
		t.Errorf("among 10,000 others our cookie is not found: %d", p.Status)
	}
}

// l11Parallel is for the race detector: everything happens at once.
func l11Parallel(t *testing.T) {
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			login.User.Groups = append(login.User.Groups, "hooked")
			return nil
		}
	})
	s.engine.GET("/update", s.auth.RequireAuth(), func(c *gin.Context) {
		if err := s.auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"n": "1"} }); err != nil {
			t.Error(err)
		}
	})
	var group sync.WaitGroup
	for i := range 40 {
		b := s.newBrowser()
		group.Go(func() {
			for range 3 {
				p, err := b.Get(s.URL + "/page/x")
				if err != nil || p.Status != http.StatusOK || !strings.Contains(p.Text(), "hooked") {
					t.Errorf("%v %v", err, p)
					return
				}
				if i%10 == 0 {
					_ = s.auth.Warm(t.Context())
				}
				_, _ = b.Open(s.URL + "/update")
				_, _ = b.Submit(p, s.URL+"/logout", nil)
			}
		})
	}
	group.Wait()
}
