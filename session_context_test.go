package ginauth_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// live is an application with a route that keeps connections open. Its requests use no network,
// so that it can run in a synctest bubble.
type live struct {
	*gin.Engine
	t       *testing.T
	auth    *ginauth.Auth
	calls   context.Context // of the last call of /live
	hangUps []func()
}

func newLive(t *testing.T, change func(*ginauth.Options)) *live {
	t.Helper()
	l := &live{Engine: gin.New(), t: t}
	options := sitetest.GoodOptions()
	options.Providers = []ginauth.Provider{sitetest.Offline("demo"), sitetest.Offline("other")}
	options.IdleTimeout = 10 * time.Minute
	if change != nil {
		change(&options)
	}
	var err error
	if l.auth, err = ginauth.Mount(l.Engine, options); err != nil {
		t.Fatal(err)
	}
	watch := func(c *gin.Context) { l.calls = l.auth.SessionContext(c) }
	l.GET("/live", l.auth.RequireAuth(), watch)
	l.GET("/open", watch)
	l.POST("/in", func(c *gin.Context) {
		if err := l.auth.SignIn(c, &ginauth.User{Provider: c.Query("with"), Subject: c.Query("as")}, nil); err != nil {
			l.auth.Fail(c, err)
		}
	})
	l.POST("/out", func(c *gin.Context) {
		if err := l.auth.Logout(c); err != nil {
			l.auth.Fail(c, err)
		}
	})
	return l
}

// do sends a request with the context, and returns the cookies of the response.
func (l *live) do(ctx context.Context, method, path, cookies string) string {
	l.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, "https://app.example.com"+path, nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		l.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	var pairs []string
	for _, c := range w.Result().Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

func (l *live) signIn(with, as string) string {
	l.t.Helper()
	return l.do(l.t.Context(), "POST", "/in?with="+with+"&as="+as, "")
}

// open returns the context of a connection, which ends with the test, and a function that ends
// the request.
func (l *live) open(cookies string) (session context.Context, hangUp func()) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l.hangUps = append(l.hangUps, cancel)
	l.do(ctx, "GET", "/live", cookies)
	return l.calls, cancel
}

// end ends all connections, and waits for their goroutines: otherwise synctest fails.
func (l *live) end() {
	for _, hangUp := range l.hangUps {
		hangUp()
	}
	time.Sleep(time.Second)
}

// wantOpen asserts that a context has not ended after a second.
func (l *live) wantOpen(ctx context.Context) {
	l.t.Helper()
	time.Sleep(time.Second) // of synctest
	if ctx.Err() != nil {
		l.t.Errorf("the context has ended: %v", context.Cause(ctx))
	}
}

// wantEnd asserts that a context has ended within 300 ms, for this reason.
func (l *live) wantEnd(ctx context.Context, code ginauth.Code, id string) {
	l.t.Helper()
	time.Sleep(300 * time.Millisecond)
	synctest.Wait()
	var e *ginauth.Error
	if cause := context.Cause(ctx); !errors.As(cause, &e) || e.Code != code || e.ID != id {
		l.t.Errorf("the cause is %v, want %s %s", cause, code, id)
	}
}

// ErrUnauthenticated and this ID are the cause after a revocation.
const revoked = "session.revoked"

// withLive runs a test with the clock of synctest.
func withLive(t *testing.T, change func(*ginauth.Options), test func(t *testing.T, l *live)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t, change)
		test(t, l)
		l.end()
	})
}

func TestSessionContextEndsWithTheSession(t *testing.T) {
	for name, test := range map[string]struct {
		end func(l *live, cookies string)
		id  string
	}{
		"sign-out":            {func(l *live, cookies string) { l.do(l.t.Context(), "POST", "/out", cookies) }, revoked},
		"sign-out everywhere": {func(l *live, _ string) { l.everywhere("ada") }, revoked},
		"another sign-in":     {func(l *live, cookies string) { l.do(l.t.Context(), "POST", "/in?with=demo&as=ada", cookies) }, revoked},
		"idle expiry":         {func(*live, string) { time.Sleep(10 * time.Minute) }, "session.expired"},
		"the provider is removed": {func(l *live, _ string) {
			if err := l.auth.SetProviders([]ginauth.Provider{sitetest.Offline("other")}); err != nil {
				l.t.Fatal(err)
			}
		}, "session.provider_removed"},
	} {
		t.Run(name, func(t *testing.T) {
			withLive(t, nil, func(t *testing.T, l *live) {
				cookies, bystander := l.signIn("demo", "ada"), l.signIn("other", "grace")
				first, _ := l.open(cookies)
				second, _ := l.open(cookies)
				other, _ := l.open(bystander)
				l.wantOpen(first)
				test.end(l, cookies)
				l.wantEnd(first, ginauth.ErrUnauthenticated, test.id)
				l.wantEnd(second, ginauth.ErrUnauthenticated, test.id)
				if name != "idle expiry" {
					l.wantOpen(other)
				}
			})
		})
	}
}

func (l *live) everywhere(subject string) {
	l.t.Helper()
	u := ginauth.User{Provider: "demo", Issuer: sitetest.Offline("demo").Issuer, Subject: subject}
	if err := l.auth.LogoutEverywhere(l.t.Context(), u.ID()); err != nil {
		l.t.Fatal(err)
	}
}

// A user who has signed in again since is not affected by an earlier sign-out everywhere.
func TestSessionContextOfALaterSession(t *testing.T) {
	withLive(t, nil, func(t *testing.T, l *live) {
		l.signIn("demo", "ada")
		l.everywhere("ada")
		time.Sleep(time.Second)
		ctx, _ := l.open(l.signIn("demo", "ada"))
		l.wantOpen(ctx)
		l.everywhere("ada")
		l.wantEnd(ctx, ginauth.ErrUnauthenticated, revoked)
	})
}

func TestSessionContextEndsWithTheRequest(t *testing.T) {
	withLive(t, nil, func(t *testing.T, l *live) {
		ctx, hangUp := l.open(l.signIn("demo", "ada"))
		hangUp()
		synctest.Wait()
		if cause := context.Cause(ctx); cause != context.Canceled {
			t.Errorf("the cause is %v", cause)
		}
	})
}

// The goroutine ends with the last connection, and starts again with the next.
func TestSessionContextLeavesNoGoroutine(t *testing.T) {
	withLive(t, nil, func(t *testing.T, l *live) {
		cookies := l.signIn("demo", "ada")
		for range 3 { // it starts again
			_, hangUp := l.open(cookies)
			hangUp()
			time.Sleep(time.Second)
			synctest.Wait()
		}
	})
}

func TestSessionContextWithoutAUser(t *testing.T) {
	withLive(t, nil, func(t *testing.T, l *live) {
		for name, cookies := range map[string]string{"no session": "", "no guard": l.signIn("demo", "ada")} {
			l.do(t.Context(), "GET", "/open", cookies)
			var e *ginauth.Error
			if cause := context.Cause(l.calls); !errors.As(cause, &e) || e.Code != ginauth.ErrUnauthenticated || e.ID != "session.unauthenticated" {
				t.Errorf("%s: the cause is %v", name, cause)
			}
		}
	})
}

func TestSessionContextOfAnOwnCredential(t *testing.T) {
	withLive(t, func(o *ginauth.Options) {
		o.Hooks.Authenticate = func(*gin.Context) (*ginauth.User, error) {
			return &ginauth.User{Provider: "demo", Subject: "ada"}, nil
		}
	}, func(t *testing.T, l *live) {
		ctx, hangUp := l.open("")
		l.everywhere("ada")
		l.wantOpen(ctx)
		hangUp()
		if ctx.Err() == nil {
			t.Error("the context outlives its request")
		}
	})
}

// A failing store ends no context for a minute, and then all. A store that is not in memory is
// queried for each context every ten seconds, and immediately after a sign-out in this process.
func TestSessionContextWhileTheStoreFails(t *testing.T) {
	store := new(sitetest.BrokenRevocations)
	shared := func(o *ginauth.Options) { o.Revocations = store }
	withLive(t, shared, func(t *testing.T, l *live) {
		cookies, other := l.signIn("demo", "ada"), l.signIn("demo", "grace")
		first, _ := l.open(cookies)
		second, _ := l.open(other)
		store.Broken.Store(true)
		time.Sleep(58 * time.Second)
		l.wantOpen(first)
		store.Broken.Store(false)
		time.Sleep(10 * time.Second)
		store.Broken.Store(true)
		time.Sleep(58 * time.Second)
		l.wantOpen(first)
		time.Sleep(12 * time.Second)
		l.wantEnd(first, ginauth.ErrStoreUnavailable, "store.revocations_failed")
		l.wantEnd(second, ginauth.ErrStoreUnavailable, "store.revocations_failed")
	})
}

func TestSessionContextAndASharedStore(t *testing.T) {
	store := new(sitetest.RevocationMap)
	shared := func(o *ginauth.Options) { o.Revocations = store }
	synctest.Test(t, func(t *testing.T) {
		one, other := newLive(t, shared), newLive(t, shared)
		cookies := one.signIn("demo", "ada")
		here, _ := one.open(cookies)
		there, _ := other.open(cookies)
		time.Sleep(time.Second)
		one.do(t.Context(), "POST", "/out", cookies)
		one.wantEnd(here, ginauth.ErrUnauthenticated, revoked)
		time.Sleep(10 * time.Second)
		other.wantEnd(there, ginauth.ErrUnauthenticated, revoked)
		one.end()
		other.end()
	})
}

// countedRevocations counts queries.
type countedRevocations struct {
	sitetest.BrokenRevocations
	n atomic.Int64
}

// Watermarks implements ginauth.Revocations.
func (s *countedRevocations) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	s.n.Add(1)
	return s.BrokenRevocations.Watermarks(ctx, keys)
}

// A shared store gets one query for each context in ten seconds, and one more after a sign-out
// in this process, for the contexts of that user.
func TestSessionContextAsksSeldom(t *testing.T) {
	store := new(countedRevocations)
	withLive(t, func(o *ginauth.Options) { o.Revocations = store }, func(t *testing.T, l *live) {
		ctx, _ := l.open(l.signIn("demo", "ada"))
		asked := func(during time.Duration) int64 {
			before := store.n.Load()
			time.Sleep(during)
			return store.n.Load() - before
		}
		if n := asked(time.Minute); n < 5 || n > 6 {
			t.Errorf("%d queries in a minute", n)
		}
		l.everywhere("grace")
		if n := asked(time.Minute); n < 5 || n > 6 {
			t.Errorf("%d queries in a minute, after another user's sign-out", n)
		}
		l.everywhere("ada")
		l.wantEnd(ctx, ginauth.ErrUnauthenticated, revoked)
		if n := asked(time.Minute); n != 0 {
			t.Errorf("%d queries for a context that has ended", n)
		}
	})
}

// A failing store is queried for at most 32 contexts in a round of 250 ms, however many are open.
func TestSessionContextSparesAFailingStore(t *testing.T) {
	store := new(countedRevocations)
	withLive(t, func(o *ginauth.Options) { o.Revocations = store }, func(t *testing.T, l *live) {
		cookies := l.signIn("demo", "ada")
		for range 500 {
			l.open(cookies)
		}
		store.Broken.Store(true)
		time.Sleep(20 * time.Second) // all are due
		before := store.n.Load()
		time.Sleep(10 * time.Second)
		if n := store.n.Load() - before; n < 32 || n > 41*32 {
			t.Errorf("%d queries in ten seconds", n)
		}
	})
}

// slowRevocations answers a query after a delay. The keys of some sessions fail, or hang.
type slowRevocations struct {
	sitetest.RevocationMap
	delay atomic.Int64
	fails atomic.Pointer[func(ctx context.Context) error]
	share int // of 256 sessions that fail
}

// Watermarks implements ginauth.Revocations.
func (s *slowRevocations) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	time.Sleep(time.Duration(s.delay.Load()))
	if fail := s.fails.Load(); fail != nil && int(keys[0][0]) < s.share {
		return [4]time.Time{}, (*fail)(ctx)
	}
	return s.RevocationMap.Watermarks(ctx, keys)
}

func TestSessionContextWhileTheStoreHangs(t *testing.T) {
	store := &slowRevocations{share: 256}
	withLive(t, func(o *ginauth.Options) { o.Revocations = store }, func(t *testing.T, l *live) {
		answer := make(chan error)
		hang := func(context.Context) error { return <-answer }
		ctx, _ := l.open(l.signIn("demo", "ada"))
		time.Sleep(9*time.Minute + 30*time.Second)
		store.fails.Store(&hang)
		time.Sleep(33 * time.Second)
		l.wantEnd(ctx, ginauth.ErrUnauthenticated, "session.expired")
		close(answer)
	})
}

// A sign-out in this process is found although the first query after it fails.
func TestSessionContextAfterAFailedQuery(t *testing.T) {
	store := new(sitetest.BrokenRevocations)
	withLive(t, func(o *ginauth.Options) { o.Revocations = store }, func(t *testing.T, l *live) {
		cookies := l.signIn("demo", "ada")
		ctx, _ := l.open(cookies)
		time.Sleep(1100 * time.Millisecond) // between two rounds
		l.do(t.Context(), "POST", "/out", cookies)
		store.Broken.Store(true)
		l.wantOpen(ctx)
		store.Broken.Store(false)
		l.wantEnd(ctx, ginauth.ErrUnauthenticated, revoked)
	})
}

// A store that needs longer than ten seconds for all contexts delays no sign-out in this process.
func TestSessionContextWithASlowStore(t *testing.T) {
	store := new(slowRevocations)
	withLive(t, func(o *ginauth.Options) { o.Revocations = store }, func(t *testing.T, l *live) {
		cookies, other := l.signIn("demo", "ada"), l.signIn("demo", "grace")
		ctx, _ := l.open(cookies)
		for range 600 {
			l.open(other)
		}
		time.Sleep(11 * time.Second)
		store.delay.Store(int64(20 * time.Millisecond))
		time.Sleep(11 * time.Second)
		l.do(t.Context(), "POST", "/out", cookies)
		time.Sleep(200 * time.Millisecond)
		l.wantEnd(ctx, ginauth.ErrUnauthenticated, revoked)
		store.delay.Store(0)
	})
}

// Sessions whose keys cannot be read, because a part of the store is down or hangs, do not keep
// others from being looked at.
func TestSessionContextWhileAPartOfTheStoreFails(t *testing.T) {
	for name, test := range map[string]struct {
		share int
		fail  func(context.Context) error
		wait  time.Duration
	}{
		"a third fails": {85, func(context.Context) error { return sitetest.ErrBroken }, 20 * time.Second},
		"a few hang":    {8, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			store := &slowRevocations{share: test.share}
			shared := func(o *ginauth.Options) { o.Revocations = store }
			synctest.Test(t, func(t *testing.T) {
				here, there := newLive(t, shared), newLive(t, shared)
				for range 300 {
					here.open(here.signIn("demo", "grace"))
				}
				var users []context.Context
				for range 10 {
					ctx, _ := here.open(here.signIn("demo", "ada"))
					users = append(users, ctx)
				}
				time.Sleep(time.Second)
				store.fails.Store(&test.fail)
				time.Sleep(5 * time.Minute / 2)
				var open []context.Context
				for _, ctx := range users {
					var e *ginauth.Error
					if ctx.Err() == nil {
						open = append(open, ctx)
					} else if !errors.As(context.Cause(ctx), &e) || e.Code != ginauth.ErrStoreUnavailable {
						t.Errorf("the cause is %v", context.Cause(ctx))
					}
				}
				if len(open) == 0 {
					t.Error("contexts have ended whose sessions can be read")
				}
				store.fails.Store(nil) // for the sign-out only
				there.everywhere("ada")
				store.fails.Store(&test.fail)
				time.Sleep(test.wait)
				for _, ctx := range open {
					here.wantEnd(ctx, ginauth.ErrUnauthenticated, revoked)
				}
				store.fails.Store(nil)
				here.end()
				there.end()
			})
		})
	}
}

// A session that SetProviders rejects from then on has no context either.
func TestSessionContextWhenTheProviderAdmitsOthers(t *testing.T) {
	admitting := func(domain string) []ginauth.Provider {
		p := sitetest.Offline("demo")
		p.VerifyClaims, p.Admits = func(map[string]any) error { return nil }, []string{"hd=" + domain}
		return []ginauth.Provider{p}
	}
	withLive(t, func(o *ginauth.Options) { o.Providers = admitting("a.example") }, func(t *testing.T, l *live) {
		ctx, _ := l.open(l.signIn("demo", "ada"))
		for _, domain := range []string{"a.example", "b.example"} {
			l.wantOpen(ctx)
			if err := l.auth.SetProviders(admitting(domain)); err != nil {
				t.Fatal(err)
			}
		}
		l.wantEnd(ctx, ginauth.ErrUnauthenticated, "session.provider_removed")
	})
}

// A clock that is set back does not prolong a session: guards reject it, too.
func TestSessionContextWhenTheClockIsSetBack(t *testing.T) {
	var back atomic.Int64
	clock := func(o *ginauth.Options) {
		o.Now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
	}
	withLive(t, clock, func(t *testing.T, l *live) {
		ctx, _ := l.open(l.signIn("demo", "ada"))
		back.Store(int64(30 * time.Second))
		l.wantOpen(ctx)
		back.Store(int64(time.Hour))
		l.wantEnd(ctx, ginauth.ErrUnauthenticated, "session.expired")
	})
}

// Event streams over real HTTP end when the user of their session signs out in another tab,
// and when the access token that opened them expires or its user is signed out everywhere.
func TestEventStreamEnds(t *testing.T) {
	for _, test := range []struct {
		name, path string
		bearer     bool
		end        func(s *sitetest.Site)
		code       ginauth.Code
		id         string
	}{
		{"sign-out in another tab", "/events", false, func(s *sitetest.Site) {
			s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
		}, ginauth.ErrUnauthenticated, revoked},
		{"the token expires", "/api/events", true, func(s *sitetest.Site) { s.Clock.Advance(2 * time.Hour) }, ginauth.ErrInvalidToken, "session.expired"},
		{"its user is signed out everywhere", "/api/events", true, func(s *sitetest.Site) {
			if err := s.Auth.LogoutEverywhere(s.T.Context(), (&ginauth.User{Issuer: s.IDP.Issuer, Subject: "ada"}).ID()); err != nil {
				s.T.Fatal(err)
			}
		}, ginauth.ErrInvalidToken, revoked},
		{"its audience is not accepted any more", "/api/events", true, func(s *sitetest.Site) {
			p := sitetest.Client("demo", s.IDP)
			p.Audience = "https://other.example/"
			if err := s.Auth.SetProviders([]ginauth.Provider{p}); err != nil {
				s.T.Fatal(err)
			}
		}, ginauth.ErrInvalidToken, "session.provider_removed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Audience = apiAudience })
			ended := make(chan error, 1)
			events := func(c *gin.Context) {
				ctx := s.Auth.SessionContext(c)
				c.SSEvent("hello", ginauth.CurrentUser(c).Subject)
				c.Writer.Flush()
				<-ctx.Done()
				ended <- context.Cause(ctx)
			}
			s.Engine.GET("/events", s.Auth.RequireAuth(), events)
			s.Engine.GET("/api/events", s.Auth.RequireAuth(ginauth.HasScope("read")), events)
			request, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.bearer {
				request.Header = authtest.Bearer(s.IDP, apiAudience, "ada", "read")
			} else {
				s.SignIn()
				for _, c := range s.Browser.Cookies(s.URL) {
					request.AddCookie(c)
				}
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			lines := bufio.NewScanner(response.Body)
			if !lines.Scan() || lines.Text() != "event:hello" {
				t.Fatalf("the stream begins with %q", lines.Text())
			}
			test.end(s)
			for lines.Scan() { // until the handler has returned
			}
			var e *ginauth.Error
			if cause := <-ended; !errors.As(cause, &e) || e.Code != test.code || e.ID != test.id {
				t.Errorf("the cause is %v", cause)
			}
		})
	}
}
