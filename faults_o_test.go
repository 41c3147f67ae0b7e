package ginauth_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/marks"
)

func faultsO() []fault {
	return []fault{
		{"O1_nothing_runs_behind_the_guard", faultNothingRuns},
		{"O2_nothing_runs_for_the_wrong_user", faultWrongUser},
		{"O3_who_is_asking", faultWhoIsAsking},
		{"O4_preflight", faultPreflight},
		{"O5_paths_and_programs_with_a_name", faultPathTricks},
		{"O6_guard_around_our_own_routes", faultGuardAroundUs},
		{"O7_mistakes_are_errors_of_mount", faultMountMistakes},
		{"O8_user_from_somewhere_else", faultSpoofedUser},
		{"O8_copied_context", faultCopiedContext},
		{"O9_groups_and_reentry", faultReentry},
		{"O10_answer_written_too_early", faultEarlyAnswer},
		{"O11_settings_of_the_engine", faultEngineSettings},
		{"O12_other_transports", faultTransports},
	}
}

// The guard aborts: neither the middleware behind it nor the handler runs, and
// nothing of theirs is in the answer.
func faultNothingRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	behind := func(c *gin.Context) {
		s.ran.Add(1)
		c.Header("X-Behind", "1")
		_, _ = c.Writer.WriteString("something protected")
	}
	group := s.engine.Group("/group", s.auth.RequireAuth(), behind)
	group.Any("/page", behind, behind)
	s.engine.Any("/single", behind2(s.auth.RequireAuth()), behind)
	s.engine.Any("/calls-next", s.auth.RequireAuth(), func(c *gin.Context) { c.Next(); behind(c) }, behind)
	s.engine.NoRoute(s.auth.RequireAuth(), behind)
	late := s.engine.Group("/late")
	late.Use(s.auth.LoadUser(), s.auth.RequireAuth(), behind)
	late.Any("/page", behind)
	for _, path := range []string{"/group/page", "/single", "/calls-next", "/late/page", "/nowhere"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"} {
			for _, header := range [][]string{navigates, fetches, upgrades, nil} {
				p := s.ask(method, path, header...)
				if p.Status != http.StatusUnauthorized && p.Status != http.StatusSeeOther || p.Header.Get("X-Behind") != "" || strings.Contains(p.Text(), "protected") {
					t.Errorf("%s %s: %d %q", method, path, p.Status, p.Text())
				}
			}
		}
	}
	if n := s.ran.Load(); n != 0 {
		t.Errorf("%d handlers ran", n)
	}
	s.as("ada")
	if p := s.ask("GET", "/group/page"); p.Status != http.StatusOK || s.ran.Load() != 3 {
		t.Errorf("signed in: %d, %d handlers ran", p.Status, s.ran.Load())
	}
}

// behind2 is the guard called from a middleware, as applications do that wrap
// it; it aborts all the same.
func behind2(guard gin.HandlerFunc) gin.HandlerFunc { return func(c *gin.Context) { guard(c) } }

func faultWrongUser(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		code ginauth.Code
		make func(s *site, f *faultyRevocations)
	}{
		{"the wrong group", ginauth.ErrForbidden, func(s *site, _ *faultyRevocations) { s.as("ada", "staff") }},
		{"a check that panics", ginauth.ErrForbidden, func(s *site, _ *faultyRevocations) { s.as("panic", "admin") }},
		{"a session that is over", ginauth.ErrUnauthenticated, func(s *site, _ *faultyRevocations) {
			s.as("ada", "admin")
			s.browser.Now = time.Now // a browser that keeps it all the same
			s.clock.Advance(25 * time.Hour)
		}},
		{"a session that was revoked", ginauth.ErrUnauthenticated, func(s *site, f *faultyRevocations) {
			s.as("ada", "admin")
			s.user()
			if err := f.Revoke(s.t.Context(), f.asked[0], s.clock.Now(), time.Hour); err != nil {
				s.t.Fatal(err)
			}
		}},
		{"a person who was revoked", ginauth.ErrUnauthenticated, func(s *site, f *faultyRevocations) {
			s.as("ada", "admin")
			s.user()
			if err := f.Revoke(s.t.Context(), f.asked[1], s.clock.Now(), time.Hour); err != nil {
				s.t.Fatal(err)
			}
		}},
		{"revocations that cannot be read", ginauth.ErrStoreUnavailable, func(s *site, f *faultyRevocations) {
			s.as("ada", "admin")
			f.readErr = errors.New("down")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &faultyRevocations{}
			s := newSite(t, func(s *site, o *ginauth.Options) {
				f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 1<<20)
				o.Revocations = f
			})
			ran := 0
			s.engine.Any("/admins", s.auth.RequireAuth(ginauth.HasGroup("admin"), func(u *ginauth.User) error {
				if u.Subject == "panic" {
					panic("in a check")
				}
				return nil
			}), func(c *gin.Context) { ran++ })
			tt.make(s, f)
			for _, method := range []string{"GET", "POST"} {
				s.wantError(s.ask(method, "/admins", fetches...), tt.code)
			}
			if p := s.ask("GET", "/admins", navigates...); tt.code == ginauth.ErrUnauthenticated && p.Status != http.StatusSeeOther || tt.code != ginauth.ErrUnauthenticated && p.Status < 400 {
				t.Errorf("a visit is answered with %d", p.Status)
			}
			if ran != 0 {
				t.Error("the handler ran")
			}
		})
	}
}

// A preflight is a request like any other: the application's own CORS answers
// it, in front of the guard, or nobody does.
func faultPreflight(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	preflight := []string{"Origin", "https://front.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization",
		"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "cross-site"}
	s.engine.Any("/api", s.auth.RequireAuth(), s.count)
	p := s.ask("OPTIONS", "/api", preflight...)
	s.wantError(p, ginauth.ErrUnauthenticated)
	for name := range p.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("the guard answers with %s", name)
		}
	}
	cors := func(c *gin.Context) {
		c.Header("Access-Control-Allow-Origin", "https://front.example")
		if c.Request.Method == http.MethodOptions {
			c.AbortWithStatus(http.StatusNoContent)
		}
	}
	s.engine.Group("/cors", cors, s.auth.RequireAuth()).Any("/api", s.count)
	if p := s.ask("OPTIONS", "/cors/api", preflight...); p.Status != http.StatusNoContent {
		t.Errorf("the application's CORS answered %d", p.Status)
	}
	p = s.ask("GET", "/cors/api", fetches...)
	if s.wantError(p, ginauth.ErrUnauthenticated); p.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("the refusal lost the application's CORS header, so that its script cannot read it")
	}
	if s.ran.Load() != 0 {
		t.Error("a handler ran")
	}
}

// Whether somebody is let in is decided by the route that Gin chose, and never
// by how a path looks or what a program calls itself.
func faultPathTricks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.engine.GET("/ping", func(c *gin.Context) { c.String(http.StatusOK, "pong") })
	s.engine.Group("/files", s.auth.RequireAuth()).Any("/*path", s.count)
	refused := func(path string, header ...string) {
		t.Helper()
		p := s.exactly("GET", path, header...)
		if p.Status == http.StatusOK && p.Text() != "pong" && !strings.HasPrefix(p.Text(), "home") || s.ran.Load() != 0 {
			t.Fatalf("%q with %q: %d %s, %d handlers ran", path, header, p.Status, p.Text(), s.ran.Load())
		}
	}
	for _, path := range trickyPaths("/me", "/files/x") {
		refused(path)
	}
	for _, header := range [][]string{navigates, {"User-Agent", "GoogleHC/1.0"}, {"User-Agent", "kube-probe/1.30"}, {"User-Agent", "ELB-HealthChecker/2.0"},
		{"X-Original-URL", "/ping"}, {"X-Rewrite-URL", "/ping"}, {"X-Forwarded-Uri", "/ping"}, {"X-HTTP-Method-Override", "OPTIONS"}, {"X-Forwarded-For", "127.0.0.1"}} {
		refused("/me", header...)
		refused("/files/ping", header...)
	}
}

func trickyPaths(paths ...string) (list []string) {
	for _, p := range paths {
		last := p[len(p)-1:]
		list = append(list, p, p+"/", p+"//", "/"+p, "//"+p, p+"/.", p+"/..;/", p+"/../"+last, "/ping/.."+p, "/ping/..;"+p, "/ping;"+p, "/./"+p, p+"?/ping", p+";/ping",
			p+".", p+"%20", p+"%00", p+"%09", p+"%2f", p+"%2F..%2Fping", "/ping%2f.."+p, "/ping/%2e%2e"+p, "/%2e"+p, strings.Replace(p, last, "%"+hexOf(last), 1),
			strings.ToUpper(p), p+".css", p+"/favicon.ico", p+"/healthz", p+"/ping", "/login"+p, "/login/.."+p, "/authorize/.."+p, "/logout/.."+p, `\`+p, p+`\`, p+"%5c", p+"#/ping")
	}
	return list
}

// A guard around everything lets people sign in, by route and not by prefix.
func faultGuardAroundUs(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"put there before Mount": true, "put there after Mount": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, _ *ginauth.Options) {
				if early { // in the only way there is: before there is an Auth to ask
					s.engine.Use(func(c *gin.Context) { s.auth.RequireAuth()(c) })
				}
			})
			if !early {
				s.engine.Use(s.auth.RequireAuth())
			}
			for _, path := range []string{"/private", "/login/demo/private", "/loginx", "/authorize", "/logout/private"} {
				s.engine.Any(path, s.count)
			}
			for _, path := range []string{"/private", "/login/demo/private", "/loginx", "/authorize", "/logout/private", "/nowhere", "/login/"} {
				if p := s.ask("GET", path, fetches...); p.Status != http.StatusUnauthorized && p.Status != http.StatusMovedPermanently {
					t.Errorf("%s: %d %s", path, p.Status, p.Text())
				}
			}
			if s.ran.Load() != 0 {
				t.Error("a handler ran")
			}
			p := s.get("/private")
			if p.Status != http.StatusOK || p.URL.Path != "/private" || s.ran.Load() != 1 {
				t.Errorf("signing in ended at %s with %d: %s", p.URL, p.Status, p.Text())
			}
			s.localOnly()
			p = s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil))
			if p.Hops[0].Status != http.StatusSeeOther || len(s.sessionCookies()) > 0 && p.URL.Path != "/" {
				t.Errorf("signing out: %d", p.Hops[0].Status)
			}
		})
	}
}

// Nothing that anybody can send, and no string that an application or another
// package stores, passes for a user.
func faultSpoofedUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	eve := &ginauth.User{Provider: "demo", Subject: "eve"}
	type UserKey struct{}
	keys := func(c *gin.Context) {
		for _, key := range []any{"user", "User", "UserKey", "ginauth.UserKey", "{}", "ginauth.userKey{}", struct{}{}, UserKey{}, 0, gin.AuthUserKey} {
			c.Set(key, eve)
		}
	}
	s.engine.Any("/keys", keys, s.auth.LoadUser(), s.both)
	s.engine.Any("/keys/guarded", keys, s.auth.RequireAuth(), s.count)
	s.engine.Any("/keys/wrong", func(c *gin.Context) { c.Set(ginauth.UserKey, *eve) }, s.both)
	for _, header := range [][]string{nil, {"X-Forwarded-User", "eve", "X-Forwarded-Email", "eve@example.com", "X-Auth-Request-User", "eve", "Remote-User", "eve", "X-Remote-User", "eve"},
		{"Authorization", "Bearer eve"}, {"Authorization", "Basic ZXZlOmV2ZQ=="}, {"X-User", `{"sub":"eve"}`}, {"X-Ginauth-User", "eve"}} {
		for _, path := range []string{"/keys", "/keys/wrong"} {
			if p := s.ask("GET", path, header...); p.Text() != "nobody, nobody" {
				t.Errorf("%s with %q: %q", path, header, p.Text())
			}
		}
		s.wantError(s.ask("GET", "/keys/guarded", header...), ginauth.ErrUnauthenticated)
	}
	s.as("ada")
	if p := s.ask("GET", "/keys", "X-Forwarded-User", "eve"); p.Text() != "ada, ada" {
		t.Errorf("ada is %q", p.Text())
	}
}

// A copy of Gin's context keeps its user when Gin has given the original to
// somebody else's request.
func faultCopiedContext(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	type later struct {
		copied *gin.Context
		plain  *gin.Context
		who    string
	}
	var mu sync.Mutex
	var all []later
	s.guarded("/copy", func(c *gin.Context) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, later{c.Copy(), c, ginauth.CurrentUser(c).Subject})
	})
	var want []string
	for i := range 20 {
		subject := string(rune('a' + i))
		want = append(want, subject)
		s.askAs(s.newBrowser(), "GET", "/copy", "Cookie", s.mint(&ginauth.User{Subject: subject}))
	}
	var got []string
	for _, l := range all {
		got = append(got, ginauth.CurrentUser(l.copied).Subject)
		if u := ginauth.CurrentUser(l.copied.Request.Context()); u == nil || u.Subject != l.who {
			t.Errorf("the copied request of %q has %v", l.who, u)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the copies have %q, want %q", got, want)
	}
}
