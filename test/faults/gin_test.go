package faults

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsGin(t *testing.T) {
	runFaults(t, []fault{
		{"O5_paths_and_programs_with_a_name", o5PathsAndProgramsWithAName},
		{"O6_guard_around_our_own_routes", o6GuardAroundOurOwnRoutes},
		{"O8_user_from_somewhere_else", o8UserFromSomewhereElse},
		{"O8_copied_context", o8CopiedContext},
		{"O9_groups_and_reentry", o9GroupsAndReentry},
		{"O10_answer_written_too_early", o10AnswerWrittenTooEarly},
		{"O11_settings_of_the_engine", o11SettingsOfTheEngine},
		{"O12_other_transports", o12OtherTransports},
	})
}

func hexOf(s string) string { return fmt.Sprintf("%x", s) }

// Groups, NoRoute, NoMethod and HandleContext: each entry is guarded, and no handler runs twice.
func o9GroupsAndReentry(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.Engine.HandleMethodNotAllowed = true })
	to := func(path string) gin.HandlerFunc {
		return func(c *gin.Context) {
			c.Request.URL.Path = path
			s.Engine.HandleContext(c)
		}
	}
	s.Engine.GET("/target", s.Auth.RequireAuth(), s.Protected)
	s.Engine.GET("/admins", s.Auth.RequireAuth(ginauth.HasGroup("admin")), s.Protected)
	s.Engine.GET("/alias", to("/target"))
	s.Engine.GET("/guarded-alias", s.Auth.RequireAuth(), to("/admins"))
	s.Engine.GET("/loaded-alias", s.Auth.LoadUser(), to("/target"))
	s.Engine.GET("/bye-alias", s.Auth.RequireAuth(), func(c *gin.Context) {
		if err := s.Auth.Logout(c); err != nil {
			t.Error(err)
		}
	}, to("/target"))
	s.Engine.NoRoute(s.Auth.RequireAuth(), func(c *gin.Context) { c.Status(http.StatusOK) }, s.Protected)
	s.Engine.NoMethod(s.Auth.RequireAuth(), func(c *gin.Context) { c.Status(http.StatusOK) }, s.Protected)
	ask := func(method, path string, status int, runs int64) {
		t.Helper()
		before := s.Ran.Load()
		if p := s.Ask(method, path, sitetest.Fetch...); p.Status != status || s.Ran.Load()-before != runs {
			t.Errorf("%s %s: %d, %d handlers ran; want %d, %d", method, path, p.Status, s.Ran.Load()-before, status, runs)
		}
	}
	all := []string{"/target", "/admins", "/alias", "/guarded-alias", "/loaded-alias", "/bye-alias", "/nowhere"}
	for _, path := range all {
		ask("GET", path, http.StatusUnauthorized, 0)
	}
	ask("DELETE", "/target", http.StatusUnauthorized, 0)
	s.As("ada")
	for path, status := range map[string]int{"/target": 200, "/admins": 403, "/alias": 200, "/guarded-alias": 403, "/loaded-alias": 200, "/nowhere": 200} {
		runs := int64(1)
		if status != 200 {
			runs = 0
		}
		ask("GET", path, status, runs)
	}
	ask("DELETE", "/target", http.StatusOK, 1)
	ask("GET", "/bye-alias", http.StatusUnauthorized, 0)
	ask("GET", "/target", http.StatusUnauthorized, 0)
}

// If a response is already written, a request cannot be half rejected, nor a user half signed
// in.
func o10AnswerWrittenTooEarly(t *testing.T) {
	t.Parallel()
	logins := 0
	early := false
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) {
			if early && c.Request.URL.Path != "/me" {
				_, _ = c.Writer.WriteString("too early")
			}
		})
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { logins++; return nil }
	})
	s.Engine.GET("/early", s.Auth.RequireAuth(), s.Protected)
	callback := s.Begin("/login/demo")
	early = true
	if p := s.Ask("GET", "/early", sitetest.Fetch...); p.Text() != "too early" || s.Ran.Load() != 0 {
		t.Errorf("the guard: %q, %d handlers ran", p.Text(), s.Ran.Load())
	}
	p := s.Finish(callback)
	if p.Text() != "too early" || s.User() != nil || logins != 0 || s.IDP.Count(authtest.Token) != 0 {
		t.Errorf("the callback: %q, %d logins, %d codes redeemed", p.Text(), logins, s.IDP.Count(authtest.Token))
	}
	if !strings.Contains(s.Logs.String(), "id=request.answered_before ") {
		t.Errorf("the log does not say what is wrong: %s", s.Logs)
	}
	early = false
	if p := s.Finish(callback); p.Status != http.StatusOK || s.User() == nil {
		t.Errorf("the same response, correctly ordered: %d %s", p.Status, p.Text())
	}
}

// The routes work with every setting of Gin that changes how paths are parsed.
func o11SettingsOfTheEngine(t *testing.T) {
	t.Parallel()
	idp := sitetest.StartProvider(t, authtest.Config{})
	for mask := range 32 {
		on := func(bit int) bool { return mask>>bit&1 == 1 }
		s := &sitetest.Site{T: t, Clock: &sitetest.Clock{}, Logs: &sitetest.Logs{}, IDP: idp}
		s.Start(func(*ginauth.Options) {
			e := s.Engine
			e.UseRawPath, e.UnescapePathValues, e.RemoveExtraSlash = on(0), !on(1), on(2)
			e.RedirectFixedPath, e.HandleMethodNotAllowed = on(3), on(4)
		})
		for _, path := range []string{"/login/nope", "/login/%00", "/login/%0d%0aSet-Cookie:x", "/login/%2e%2e", "/login/demo%00", "/login/demo%2f", "/login/%64emo%20", "/login/Demo"} {
			p := s.Exactly("GET", path)
			if ours := strings.Contains(p.Text(), string(ginauth.ErrUnknownProvider)); p.Status == http.StatusNotFound && ours {
				sitetest.WantHeaders(t, p)
			} else if p.Status != http.StatusNotFound && p.Text() != "home" && p.Status != http.StatusMovedPermanently {
				t.Errorf("%05b: %s: %d %s", mask, path, p.Status, p.Text())
			}
			if len(p.Header.Values("Set-Cookie")) > 0 || strings.Contains(p.Header.Get("Location"), idp.Issuer) {
				t.Errorf("%05b: %s began a sign-in: %v", mask, path, p.Header)
			}
		}
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"} {
			p := s.Exactly(method, "/authorize/demo?code=SECRET&state=x")
			if p.Status != http.StatusMethodNotAllowed || p.Header.Get("Allow") != "GET, POST" {
				t.Errorf("%05b: %s: %d, Allow %q", mask, method, p.Status, p.Header.Get("Allow"))
			}
			sitetest.WantHeaders(t, p)
		}
		for _, path := range []string{"/authorize/demo", "/authorize/demo/"} {
			for _, header := range [][]string{nil, {"X-Forwarded-Prefix", "//evil.example"}, {"X-Forwarded-Host", "evil.example"}} {
				p := s.Exactly("GET", path+"?code=SECRET&state=x", header...)
				if p.Status != http.StatusBadRequest || p.Header.Get("Location") != "" || strings.Contains(p.Text(), "SECRET") {
					t.Errorf("%05b: %s: %d %v", mask, path, p.Status, p.Header)
				}
				sitetest.WantHeaders(t, p)
			}
		}
		for _, path := range trickyPaths("/me", "/page/x") {
			if p := s.Exactly("GET", path); s.Ran.Load() != 0 {
				t.Fatalf("%05b: %s: %d %s: the handler ran", mask, path, p.Status, p.Text())
			}
		}
	}
}

// The response is the same over every transport, regardless of a proxy's headers.
func o12OtherTransports(t *testing.T) {
	t.Parallel()
	cert, err := authtest.Certificate("localhost")
	if err != nil {
		t.Fatal(err)
	}
	plain, both := new(http.Protocols), new(http.Protocols)
	plain.SetUnencryptedHTTP2(true)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	for name, tt := range map[string]struct {
		network   string
		tls       bool
		protocols *http.Protocols
		proto     string
	}{
		"HTTP/2":      {"tcp", true, both, "HTTP/2.0"},
		"h2c":         {"tcp", false, plain, "HTTP/2.0"},
		"unix socket": {"unix", false, nil, "HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := sitetest.NewSession(t, nil)
			s.LocalOnly()
			address := "127.0.0.1:0"
			if tt.network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			listener, err := net.Listen(tt.network, address)
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: s.Engine, Protocols: tt.protocols, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
			go func() {
				if tt.tls {
					_ = server.ServeTLS(listener, "", "")
				} else {
					_ = server.Serve(listener)
				}
			}()
			t.Cleanup(func() { _ = server.Close() })
			transport := &http.Transport{Protocols: tt.protocols, TLSClientConfig: s.IDP.HTTPClient().Transport.(*http.Transport).TLSClientConfig,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, tt.network, listener.Addr().String())
				}}
			t.Cleanup(transport.CloseIdleConnections)
			overTransport(s, t, transport, tt.tls, tt.proto)
		})
	}
}

func overTransport(s *sitetest.Site, t *testing.T, transport http.RoundTripper, secure bool, proto string) {
	t.Helper()
	session := []string{"Cookie", s.Mint(&ginauth.User{Subject: "ada"})}
	forwarded := []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-For", "127.0.0.1", "Forwarded", "host=evil.example"}
	for _, tt := range []struct {
		method, path string
		header       []string
		status       int
		location     string
	}{
		{"GET", "/who", sitetest.Fetch, http.StatusUnauthorized, ""},
		{"GET", "/who", sitetest.Navigation, http.StatusSeeOther, "/login?return_to=%2Fwho"},
		{"GET", "/who", session, http.StatusOK, ""},
		{"POST", "/who", sitetest.Plus(session, "Origin", s.URL), http.StatusOK, ""},
		{"POST", "/who", sitetest.Plus(session, "Origin", "https://evil.example"), http.StatusForbidden, ""},
		{"POST", "/who", sitetest.Plus(session, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden, ""},
		{"GET", "/login", sitetest.Navigation, http.StatusSeeOther, "/login/demo"},
		{"POST", "/logout", sitetest.Plus(session, sitetest.Navigation...), http.StatusSeeOther, s.URL + "/#"},
		{"GET", "/who", session, http.StatusUnauthorized, ""},
	} {
		scheme := "http"
		if secure {
			scheme = "https"
		}
		r, err := http.NewRequest(tt.method, scheme+"://localhost"+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = strings.TrimPrefix(s.URL, "http://")
		header := sitetest.Plus(tt.header, forwarded...)
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatalf("%s %s: %v", tt.method, tt.path, err)
		}
		_ = response.Body.Close()
		if response.Proto != proto {
			t.Fatalf("spoke %s, want %s", response.Proto, proto)
		}
		if got := response.Header.Get("Location"); response.StatusCode != tt.status || got != tt.location {
			t.Errorf("%s %s: %d to %q, want %d to %q", tt.method, tt.path, response.StatusCode, got, tt.status, tt.location)
		}
	}
}

// Admission depends on the route that Gin chose, never on the form of a path or on the user
// agent.
func o5PathsAndProgramsWithAName(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.GET("/ping", func(c *gin.Context) { c.String(http.StatusOK, "pong") })
	s.Engine.Group("/files", s.Auth.RequireAuth()).Any("/*path", s.Protected)
	refused := func(path string, header ...string) {
		t.Helper()
		p := s.Exactly("GET", path, header...)
		if p.Status == http.StatusOK && p.Text() != "pong" && !strings.HasPrefix(p.Text(), "home") || s.Ran.Load() != 0 {
			t.Fatalf("%q with %q: %d %s, %d handlers ran", path, header, p.Status, p.Text(), s.Ran.Load())
		}
	}
	for _, path := range trickyPaths("/me", "/files/x") {
		refused(path)
	}
	for _, header := range [][]string{sitetest.Navigation, {"User-Agent", "GoogleHC/1.0"}, {"User-Agent", "kube-probe/1.30"}, {"User-Agent", "ELB-HealthChecker/2.0"},
		{"X-Original-URL", "/ping"}, {"X-Rewrite-URL", "/ping"}, {"X-Forwarded-Uri", "/ping"}, {"X-HTTP-Method-Override", "OPTIONS"}, {"X-Forwarded-For", "127.0.0.1"}} {
		refused("/me", header...)
		refused("/files/ping", header...)
	}
}

// A guard around everything lets users sign in, by route, not by prefix.
func o6GuardAroundOurOwnRoutes(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"put there before Mount": true, "put there after Mount": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
				if early { // the only way before the Auth exists
					s.Engine.Use(func(c *gin.Context) { s.Auth.RequireAuth()(c) })
				}
			})
			if !early {
				s.Engine.Use(s.Auth.RequireAuth())
			}
			for _, path := range []string{"/private", "/login/demo/private", "/loginx", "/authorize", "/logout/private"} {
				s.Engine.Any(path, s.Protected)
			}
			for _, path := range []string{"/private", "/login/demo/private", "/loginx", "/authorize", "/logout/private", "/nowhere", "/login/"} {
				if p := s.Ask("GET", path, sitetest.Fetch...); p.Status != http.StatusUnauthorized && p.Status != http.StatusMovedPermanently {
					t.Errorf("%s: %d %s", path, p.Status, p.Text())
				}
			}
			if s.Ran.Load() != 0 {
				t.Error("a handler ran")
			}
			p := s.Get("/private")
			if p.Status != http.StatusOK || p.URL.Path != "/private" || s.Ran.Load() != 1 {
				t.Errorf("signing in ended at %s with %d: %s", p.URL, p.Status, p.Text())
			}
			s.LocalOnly()
			p = s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
			if p.Hops[0].Status != http.StatusSeeOther || len(s.SessionCookies()) > 0 && p.URL.Path != "/" {
				t.Errorf("signing out: %d", p.Hops[0].Status)
			}
		})
	}
}

// No value in a request, and no string that an application or another package stores, is
// accepted as a user.
func o8UserFromSomewhereElse(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	eve := &ginauth.User{Provider: "demo", Subject: "eve"}
	type UserKey struct{}
	keys := func(c *gin.Context) {
		for _, key := range []any{"user", "User", "UserKey", "ginauth.UserKey", "{}", "ginauth.userKey{}", struct{}{}, UserKey{}, 0, gin.AuthUserKey} {
			c.Set(key, eve)
		}
	}
	s.Engine.Any("/keys", keys, s.Auth.LoadUser(), s.BothUsers)
	s.Engine.Any("/keys/guarded", keys, s.Auth.RequireAuth(), s.Protected)
	s.Engine.Any("/keys/wrong", func(c *gin.Context) { c.Set(ginauth.UserKey, *eve) }, s.BothUsers)
	for _, header := range [][]string{nil, {"X-Forwarded-User", "eve", "X-Forwarded-Email", "eve@example.com", "X-Auth-Request-User", "eve", "Remote-User", "eve", "X-Remote-User", "eve"},
		{"Authorization", "Bearer eve"}, {"Authorization", "Basic ZXZlOmV2ZQ=="}, {"X-User", `{"sub":"eve"}`}, {"X-Ginauth-User", "eve"}} {
		for _, path := range []string{"/keys", "/keys/wrong"} {
			if p := s.Ask("GET", path, header...); p.Text() != "nobody, nobody" {
				t.Errorf("%s with %q: %q", path, header, p.Text())
			}
		}
		s.WantError(s.Ask("GET", "/keys/guarded", header...), ginauth.ErrUnauthenticated)
	}
	s.As("ada")
	if p := s.Ask("GET", "/keys", "X-Forwarded-User", "eve"); p.Text() != "ada, ada" {
		t.Errorf("ada is %q", p.Text())
	}
}

// A copy of Gin's context keeps its user after Gin has reused the original for another user's
// request.
func o8CopiedContext(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	type later struct {
		copied *gin.Context
		plain  *gin.Context
		who    string
	}
	var mu sync.Mutex
	var all []later
	s.Guard("/copy", func(c *gin.Context) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, later{c.Copy(), c, ginauth.CurrentUser(c).Subject})
	})
	var want []string
	for i := range 20 {
		subject := string(rune('a' + i))
		want = append(want, subject)
		s.AskAs(s.NewBrowser(), "GET", "/copy", "Cookie", s.Mint(&ginauth.User{Subject: subject}))
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
