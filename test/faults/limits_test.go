package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsLimits(t *testing.T) {
	runFaults(t, []fault{
		{"L1_logins_without_end", l1LoginsWithoutEnd},
		{"L2_answers_without_end", l2AnswersWithoutEnd},
		{"L2_spent_states_have_a_limit", l2SpentStatesHaveALimit},
		{"L3_revocations_have_a_limit", l3RevocationsHaveALimit},
		{"L5_a_provider_that_hangs", l5AProviderThatHangs},
		{"L6_nothing_is_left_running", l6NothingIsLeftRunning},
		{"L10_panics", l10Panics},
		{"L11_many_at_once", l11ManyAtOnce},
	})
}

// panicky sets all functions of an application. Each of them calls boom.
func panicky(boom func()) map[string]func(o *ginauth.Options) {
	provider := func(change func(p *ginauth.Provider)) func(o *ginauth.Options) {
		return func(o *ginauth.Options) { change(&o.Providers[0]) }
	}
	return map[string]func(o *ginauth.Options){
		"OnLogin": func(o *ginauth.Options) {
			o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { boom(); return nil }
		},
		"ClientSecretFunc": provider(func(p *ginauth.Provider) {
			secret := p.ClientSecret
			p.ClientSecret, p.ClientSecretFunc = "", func(context.Context) (string, error) { boom(); return secret, nil }
		}),
		"EmailVerified": provider(func(p *ginauth.Provider) {
			p.EmailVerified = func(map[string]any) bool { boom(); return true }
		}),
		"VerifyClaims": provider(func(p *ginauth.Provider) {
			p.VerifyClaims = func(map[string]any) error { boom(); return nil }
		}),
		"TokenIssuer": provider(func(p *ginauth.Provider) {
			issuer := p.Issuer
			p.TokenIssuer = func(map[string]any) (string, error) { boom(); return issuer, nil }
		}),
		"EditAuthorize": provider(func(p *ginauth.Provider) { p.Quirks.EditAuthorize = func(url.Values) { boom() } }),
		"EditToken":     provider(func(p *ginauth.Provider) { p.Quirks.EditToken = func(url.Values, url.Values) { boom() } }),
		"NormalizeToken": provider(func(p *ginauth.Provider) {
			p.Quirks.NormalizeToken = func(_ http.Header, body []byte) ([]byte, error) { boom(); return body, nil }
		}),
		"Profile": provider(func(p *ginauth.Provider) {
			*p = ginauth.Provider{Name: p.Name, ClientID: p.ClientID, ClientSecret: p.ClientSecret, Namespace: p.Issuer,
				AuthorizeURL: p.Issuer + "/authorize", TokenURL: p.Issuer + "/token",
				Profile: func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
					boom()
					return map[string]any{"sub": "ada"}, nil
				}}
		}),
	}
}

// l10Panics: a panic in a function of the application fails its request, and does not affect the
// next one.
func l10Panics(t *testing.T) {
	for name := range panicky(nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calm := false
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				panicky(func() {
					if !calm {
						panic(errors.New("a panic in " + name))
					}
				})[name](o)
			})
			for range 2 {
				p := s.Get("/login/demo")
				s.WantError(p, ginauth.ErrSessionError)
				if s.User() != nil || s.Ran.Load() != 0 {
					t.Error("a user is signed in")
				}
				if strings.Contains(p.Text(), "a panic in") || !strings.Contains(s.Logs.String(), "panic: a panic in "+name) {
					t.Errorf("the page tells of the panic, or the log does not: %s\n%s", p.Text(), s.Logs)
				}
			}
			calm = true
			s.SignIn()
		})
	}
	for name, check := range map[string]ginauth.Check{
		"a check":            func(*ginauth.User) error { panic("a check") },
		"one of two":         ginauth.AnyOf(func(*ginauth.User) error { panic("one of two") }),
		"a nil error inside": func(*ginauth.User) error { var e *ginauth.Error; return e },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.SignIn()
			ran := false
			s.Engine.GET("/checked", s.Auth.RequireAuth(check), func(*gin.Context) { ran = true })
			s.WantError(s.Open("/checked"), ginauth.ErrForbidden)
			if ran || s.User() == nil {
				t.Errorf("the handler ran: %v; signed in: %v", ran, s.User())
			}
		})
	}
}

// l1LoginsWithoutEnd is not parallel, since it measures the heap.
func l1LoginsWithoutEnd(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { // its log and events are not kept either
		s.Unheard, o.Logger = true, slog.New(slog.DiscardHandler)
	})
	begin := func() {
		if w := s.Serve(sitetest.PageRequest("/login/demo?return_to=/page/x")); w.Code != http.StatusSeeOther {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	for range 100 {
		begin()
	}
	const logins = 10_000
	before := sitetest.Heap()
	for range logins {
		begin()
	}
	if grown := sitetest.Heap() - before; grown > 20*logins {
		t.Errorf("%d unfinished sign-ins left %d bytes in memory", logins, grown)
	}
}

// counted counts the used states.
type counted struct {
	ginauth.Revocations
	spent atomic.Int64
}

func (c *counted) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	c.spent.Add(1)
	return c.Revocations.Once(ctx, key, ttl)
}

// Only a state that was issued to this browser is stored as used, and only a provider can cause
// a request for its keys.
func l2AnswersWithoutEnd(t *testing.T) {
	c := &counted{Revocations: marks.NewRevocations[ginauth.RevocationKey](time.Now, 1<<20)}
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Unheard, o.Revocations, o.Logger = true, c, slog.New(slog.DiscardHandler)
	})
	callback := s.Begin("/login/demo")
	mine := callback.Query().Get("state")
	jar := s.Browser.Cookies(s.URL)
	answer := func(state string, cookies ...*http.Cookie) {
		r := sitetest.PageRequest("/authorize/demo?" + url.Values{"state": {state}, "code": {"abc"}, "iss": {s.IDP.Issuer}}.Encode())
		for _, c := range cookies {
			r.AddCookie(c)
		}
		if w := s.Serve(r); w.Code != http.StatusBadRequest {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	flood := func(n int) {
		for i := range n {
			answer("")
			answer(fmt.Sprintf("%08d.%043d", i, i))
			answer(fmt.Sprintf("%08d.%043d", i, i), jar...)
			answer(mine[:9]+fmt.Sprintf("%043d", i), jar...) // the right cookie with the wrong secret
			answer(mine)                                     // and vice versa
		}
	}
	flood(20)
	before := sitetest.Heap()
	flood(1000)
	if grown := sitetest.Heap() - before; grown > 20_000 {
		t.Errorf("5,000 false responses left %d bytes in memory", grown)
	}
	if c.spent.Load() != 0 || s.IDP.Count(authtest.Token) != 0 || s.IDP.Count(authtest.JWKS) != 0 {
		t.Errorf("%d states were used, %d codes and %d keys requested", c.spent.Load(), s.IDP.Count(authtest.Token), s.IDP.Count(authtest.JWKS))
	}
	s.Finish(callback)
	if s.User() == nil || c.spent.Load() != 1 {
		t.Errorf("the genuine response: %v, %d states used", s.User(), c.spent.Load())
	}
}

// At the limit sign-ins are rejected; no used state becomes usable again, and later there is
// room.
func l2SpentStatesHaveALimit(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 16)
	})
	full := false
	for range 64 {
		callback := s.Begin("/login/demo")
		p := s.Finish(callback)
		if p.Status == http.StatusServiceUnavailable {
			s.WantError(p, ginauth.ErrStoreUnavailable)
			if p.Header.Get("Retry-After") == "" {
				t.Error("there is no Retry-After")
			}
			full = true
			break
		}
		again := s.Must(s.NewBrowser().Click(authtest.At(s.IDP.Issuer), callback.String()))
		s.WantError(again, ginauth.ErrStateInvalid)
	}
	if !full {
		t.Fatal("the table exceeds its limit")
	}
	s.Clock.Advance(15 * time.Minute)
	s.SignIn()
}

// If there is no room for another sign-out, more sessions are revoked, never fewer.
func l3RevocationsHaveALimit(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 128)
	})
	s.SignIn()
	s.Clock.Advance(time.Second)
	var out []*authtest.Browser
	for i := range 400 {
		b := s.NewBrowser()
		if err := authtest.SignIn(s.Auth, b, &ginauth.User{Provider: "demo", Subject: fmt.Sprint("user", i)}); err != nil {
			t.Fatal(err)
		}
		copied := b.Clone()
		if s.UserOf(b) == nil {
			t.Fatalf("user %d could not sign in", i)
		}
		s.Must(b.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
		out = append(out, copied)
		s.Clock.Advance(time.Second)
	}
	for i, b := range out {
		if u := s.UserOf(b); u != nil {
			t.Errorf("of 400 who signed out, number %d is signed in again", i)
		}
		b.Close()
	}
	if s.User() != nil {
		t.Error("there was room for 400 sign-outs, so no other user was signed out")
	}
	s.SignIn()
}

// l5Hanging: a provider that accepts connections and never responds only delays its own
// sign-ins, for a limited time.
func l5AProviderThatHangs(t *testing.T) {
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token} {
		t.Run(string(e), func(t *testing.T) { hangs(t, e) })
	}
}

func hangs(t *testing.T, e authtest.Endpoint) {
	const logins = 500
	s := sitetest.NewOutage(t, nil)
	if e != authtest.Discovery {
		s.SignIn() // and fetches the metadata
	}
	b := s.NewBrowser()
	var hanging, most atomic.Int64
	s.IDP.Handle(e, func(_ http.ResponseWriter, r *http.Request) {
		n := hanging.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-r.Context().Done()
		hanging.Add(-1)
	})
	var statuses sync.Map
	var group sync.WaitGroup
	for range logins {
		visitor := s.NewBrowser()
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
	sitetest.Eventually(t, func() bool { return hanging.Load() > 0 })
	if p := s.Must(b.Get(s.URL + "/login/other")); p.Status != http.StatusOK || s.UserOf(b) == nil {
		t.Errorf("in the meantime the other provider responds %d", p.Status)
	}
	group.Wait()
	statuses.Range(func(status, n any) bool {
		if status != http.StatusGatewayTimeout {
			t.Errorf("%d of %d sign-ins got %v", n.(*atomic.Int64).Load(), logins, status)
		}
		return true
	})
	// 64 at a time; a cancelled connection is noticed a moment later.
	if n := most.Load(); n > 3*64 {
		t.Errorf("%d connections hung at once", n)
	}
	sitetest.Eventually(t, func() bool { return hanging.Load() == 0 })
}

// l6NothingIsLeftRunning is not parallel, since it counts goroutines.
func l6NothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("faults", func(t *testing.T) {
		for _, f := range []authtest.Fault{authtest.Down, authtest.Redirecting, authtest.Oversized, authtest.Endless, authtest.Dripping, authtest.Hanging, authtest.Resetting} {
			for _, e := range sitetest.BrokenEndpoints {
				t.Run(string(e)+": "+string(f), func(t *testing.T) {
					t.Parallel()
					s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
						o.HTTPClient = sitetest.QuickClient(200 * time.Millisecond)
						o.Providers[0].Userinfo = "always"
						s.IDP.Fail(e, f)
					})
					if p := s.Get("/login/demo"); p.Status < 500 {
						t.Errorf("%s, %s: %d", e, f, p.Status)
					}
				})
			}
		}
		s := sitetest.New(t, nil)
		s.Serve(sitetest.PageRequest("/authorize/demo?state=x"))
		s.Serve(sitetest.PageRequest("/login/nobody"))
		s.SignIn()
	})
	sitetest.Eventually(t, func() bool { return runtime.NumGoroutine() <= before })
}

// l11ManyAtOnce is for the race detector: everything runs concurrently.
func l11ManyAtOnce(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			login.User.Groups = append(login.User.Groups, "hooked")
			return nil
		}
	})
	s.Engine.GET("/update", s.Auth.RequireAuth(), func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"n": "1"} }); err != nil {
			t.Error(err)
		}
	})
	var group sync.WaitGroup
	for i := range 40 {
		b := s.NewBrowser()
		group.Go(func() {
			for range 3 {
				p, err := b.Get(s.URL + "/page/x")
				if err != nil || p.Status != http.StatusOK || !strings.Contains(p.Text(), "hooked") {
					t.Errorf("%v %v", err, p)
					return
				}
				if i%10 == 0 {
					_ = s.Auth.Warm(t.Context())
				}
				_, _ = b.Open(s.URL + "/update")
				_, _ = b.Submit(p, s.URL+"/logout", nil)
			}
		})
	}
	group.Wait()
}
