package ginauth_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func hexOf(s string) string { return fmt.Sprintf("%x", s) }

// exactly sends a request whose path is not touched on its way.
func (s *site) exactly(method, path string, header ...string) *authtest.Page {
	s.t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	u.Opaque = path
	if strings.HasPrefix(path, "//") { // which would be taken for a host
		u.Opaque = "//" + u.Host + path
	}
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatalf("%s %q: %v", method, path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("%s %q: %v", method, path, err)
	}
	return &authtest.Page{Status: response.StatusCode, URL: &url.URL{Path: path}, Header: response.Header, Body: body}
}

// nowhere is a Provider that nobody asks.
var nowhere = ginauth.Provider{Name: "demo", Issuer: "https://id.example.com", ClientID: "c0ffee", ClientSecret: "9a8b7c6d5e4f"}

// What the application has at our paths already is an error that says what to
// do, and then nothing of a half-made login answers.
func faultMountMistakes(t *testing.T) {
	t.Parallel()
	opts := ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{testKey}, Providers: []ginauth.Provider{nowhere}, Logger: (&logs{}).Logger()}
	if _, err := ginauth.Mount(nil, opts); err == nil {
		t.Error("a nil router is taken")
	}
	says(t, mountError(ginauth.Options{}), "Options.BaseURL", "Options.Keys", "Options.Providers")
	app := func(c *gin.Context) { c.String(http.StatusOK, "the application") }
	for _, path := range []string{"/login", "/login/:provider", "/login/:name", "/login/*any", "/authorize/:provider", "/authorize/:provider/", "/authorize/*any", "/logout", "/*spa"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			engine := gin.New()
			engine.RedirectTrailingSlash = false
			engine.Handle(method, path, app)
			auth, err := ginauth.Mount(engine, opts)
			if auth != nil {
				t.Errorf("%s %s: there is an Auth", method, path)
			}
			says(t, err, "Mount", "router.Group")
			for _, p := range []string{"/login", "/login/demo", "/authorize/demo", "/authorize/demo/", "/logout"} {
				w := httptest.NewRecorder()
				engine.ServeHTTP(w, httptest.NewRequest("GET", p, nil))
				if w.Body.String() != "the application" && w.Code != http.StatusNotFound || len(w.Header().Values("Set-Cookie")) > 0 {
					t.Errorf("after a failed Mount beside %s, %s answers %d %q", path, p, w.Code, w.Body)
				}
			}
		}
	}
}

// A second Mount in one place fails, and harms the first one not; in another
// place both live.
func TestMountTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{testKey}, Providers: []ginauth.Provider{client("demo", s.idp)}, Logger: s.logs.Logger(), Now: s.clock.Now}
	_, err := ginauth.Mount(s.engine, opts)
	says(t, err, "Mount", "router.Group")
	s.signIn()
	second, err := ginauth.Mount(s.engine.Group("/staff"), opts)
	if err != nil {
		t.Fatal(err)
	}
	s.engine.GET("/staff/room", second.RequireAuth(), s.both)
	s.engine.GET("/staff/both", s.auth.RequireAuth(), second.RequireAuth(), s.both)
	if p := s.ask("GET", "/staff/room", navigates...); p.Header.Get("Location") != "/staff/login?return_to=%2Fstaff%2Froom" {
		t.Errorf("a session of the first one counts for the second: %d %v", p.Status, p.Header)
	}
	if p := s.ask("GET", "/staff/both", fetches...); p.Status != http.StatusUnauthorized {
		t.Errorf("a session of the first one counts for both: %d", p.Status)
	}
	s.idp.SignInAs("grace")
	if p := s.get("/staff/room"); p.Text() != "grace, grace" {
		t.Errorf("signing in at the second ended at %s with %d %s", p.URL, p.Status, p.Text())
	}
	if u := s.user(); u == nil || u.Subject != "ada" {
		t.Errorf("and made the first one's user %+v", u)
	}
	if p := s.ask("GET", "/staff/both", fetches...); p.Text() != "grace, grace" {
		t.Errorf("behind both guards: %d %q, want the inner one's user", p.Status, p.Text())
	}
}

func TestGuardWithoutMount(t *testing.T) {
	t.Parallel()
	for name, guard := range map[string]func(a *ginauth.Auth) gin.HandlerFunc{
		"RequireAuth": func(a *ginauth.Auth) gin.HandlerFunc { return a.RequireAuth() },
		"LoadUser":    func(a *ginauth.Auth) gin.HandlerFunc { return a.LoadUser() },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "Mount") {
					t.Errorf("%s of a nil *Auth: %v, want a panic at once that speaks of Mount", name, r)
				}
			}()
			guard(nil)
		}()
	}
}

// Groups, NoRoute, NoMethod and HandleContext: each way in is guarded anew, and
// no handler runs twice.
func faultReentry(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, _ *ginauth.Options) { s.engine.HandleMethodNotAllowed = true })
	to := func(path string) gin.HandlerFunc {
		return func(c *gin.Context) {
			c.Request.URL.Path = path
			s.engine.HandleContext(c)
		}
	}
	s.engine.GET("/target", s.auth.RequireAuth(), s.count)
	s.engine.GET("/admins", s.auth.RequireAuth(ginauth.HasGroup("admin")), s.count)
	s.engine.GET("/alias", to("/target"))
	s.engine.GET("/guarded-alias", s.auth.RequireAuth(), to("/admins"))
	s.engine.GET("/loaded-alias", s.auth.LoadUser(), to("/target"))
	s.engine.GET("/bye-alias", s.auth.RequireAuth(), func(c *gin.Context) {
		if err := s.auth.Logout(c); err != nil {
			t.Error(err)
		}
	}, to("/target"))
	s.engine.NoRoute(s.auth.RequireAuth(), func(c *gin.Context) { c.Status(http.StatusOK) }, s.count)
	s.engine.NoMethod(s.auth.RequireAuth(), func(c *gin.Context) { c.Status(http.StatusOK) }, s.count)
	ask := func(method, path string, status int, runs int64) {
		t.Helper()
		before := s.ran.Load()
		if p := s.ask(method, path, fetches...); p.Status != status || s.ran.Load()-before != runs {
			t.Errorf("%s %s: %d, %d handlers ran; want %d, %d", method, path, p.Status, s.ran.Load()-before, status, runs)
		}
	}
	all := []string{"/target", "/admins", "/alias", "/guarded-alias", "/loaded-alias", "/bye-alias", "/nowhere"}
	for _, path := range all {
		ask("GET", path, http.StatusUnauthorized, 0)
	}
	ask("DELETE", "/target", http.StatusUnauthorized, 0)
	s.as("ada")
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

// Somebody has written an answer already: nothing can be refused, and nobody
// signed in, by halves.
func faultEarlyAnswer(t *testing.T) {
	t.Parallel()
	logins := 0
	early := false
	s := newSite(t, func(s *site, o *ginauth.Options) {
		s.engine.Use(func(c *gin.Context) {
			if early && c.Request.URL.Path != "/me" {
				_, _ = c.Writer.WriteString("too early")
			}
		})
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { logins++; return nil }
	})
	s.engine.GET("/early", s.auth.RequireAuth(), s.count)
	callback := s.begin("/login/demo")
	early = true
	if p := s.ask("GET", "/early", fetches...); p.Text() != "too early" || s.ran.Load() != 0 {
		t.Errorf("the guard: %q, %d handlers ran", p.Text(), s.ran.Load())
	}
	p := s.finish(callback)
	if p.Text() != "too early" || s.user() != nil || logins != 0 || s.idp.Count(authtest.Token) != 0 {
		t.Errorf("the callback: %q, %d logins, %d codes redeemed", p.Text(), logins, s.idp.Count(authtest.Token))
	}
	if !strings.Contains(s.logs.String(), "before ginauth could") {
		t.Errorf("the log does not say what is wrong: %s", s.logs)
	}
	early = false
	if p := s.finish(callback); p.Status != http.StatusOK || s.user() == nil {
		t.Errorf("the same answer, in good order: %d %s", p.Status, p.Text())
	}
}

// The routes hold under every setting of Gin's that changes how paths are read.
func faultEngineSettings(t *testing.T) {
	t.Parallel()
	idp := startIDP(t, authtest.Config{})
	for mask := range 32 {
		on := func(bit int) bool { return mask>>bit&1 == 1 }
		s := &site{t: t, clock: &clock{}, logs: &logs{}, idp: idp}
		s.start(func(*ginauth.Options) {
			e := s.engine
			e.UseRawPath, e.UnescapePathValues, e.RemoveExtraSlash = on(0), !on(1), on(2)
			e.RedirectFixedPath, e.HandleMethodNotAllowed = on(3), on(4)
		})
		for _, path := range []string{"/login/nope", "/login/%00", "/login/%0d%0aSet-Cookie:x", "/login/%2e%2e", "/login/demo%00", "/login/demo%2f", "/login/%64emo%20", "/login/Demo"} {
			p := s.exactly("GET", path)
			if ours := strings.Contains(p.Text(), string(ginauth.ErrUnknownProvider)); p.Status == http.StatusNotFound && ours {
				wantHeaders(t, p)
			} else if p.Status != http.StatusNotFound && p.Text() != "home" && p.Status != http.StatusMovedPermanently {
				t.Errorf("%05b: %s: %d %s", mask, path, p.Status, p.Text())
			}
			if len(p.Header.Values("Set-Cookie")) > 0 || strings.Contains(p.Header.Get("Location"), idp.Issuer) {
				t.Errorf("%05b: %s began a sign-in: %v", mask, path, p.Header)
			}
		}
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"} {
			p := s.exactly(method, "/authorize/demo?code=SECRET&state=x")
			if p.Status != http.StatusMethodNotAllowed || p.Header.Get("Allow") != "GET, POST" {
				t.Errorf("%05b: %s: %d, Allow %q", mask, method, p.Status, p.Header.Get("Allow"))
			}
			wantHeaders(t, p)
		}
		for _, path := range []string{"/authorize/demo", "/authorize/demo/"} {
			for _, header := range [][]string{nil, {"X-Forwarded-Prefix", "//evil.example"}, {"X-Forwarded-Host", "evil.example"}} {
				p := s.exactly("GET", path+"?code=SECRET&state=x", header...)
				if p.Status != http.StatusBadRequest || p.Header.Get("Location") != "" || strings.Contains(p.Text(), "SECRET") {
					t.Errorf("%05b: %s: %d %v", mask, path, p.Status, p.Header)
				}
				wantHeaders(t, p)
			}
		}
		for _, path := range trickyPaths("/me", "/page/x") {
			if p := s.exactly("GET", path); s.ran.Load() != 0 {
				t.Fatalf("%05b: %s: %d %s: the handler ran", mask, path, p.Status, p.Text())
			}
		}
	}
}

// One answer over every transport: what a proxy in between says changes
// nothing.
func faultTransports(t *testing.T) {
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
			s, _ := sessionSite(t, nil)
			s.localOnly()
			address := "127.0.0.1:0"
			if tt.network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			listener, err := net.Listen(tt.network, address)
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: s.engine, Protocols: tt.protocols, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
			go func() {
				if tt.tls {
					_ = server.ServeTLS(listener, "", "")
				} else {
					_ = server.Serve(listener)
				}
			}()
			t.Cleanup(func() { _ = server.Close() })
			transport := &http.Transport{Protocols: tt.protocols, TLSClientConfig: s.idp.HTTPClient().Transport.(*http.Transport).TLSClientConfig,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, tt.network, listener.Addr().String())
				}}
			t.Cleanup(transport.CloseIdleConnections)
			s.overTransport(t, transport, tt.tls, tt.proto)
		})
	}
}

func (s *site) overTransport(t *testing.T, transport http.RoundTripper, secure bool, proto string) {
	t.Helper()
	session := []string{"Cookie", s.mint(&ginauth.User{Subject: "ada"})}
	forwarded := []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-For", "127.0.0.1", "Forwarded", "host=evil.example"}
	for _, tt := range []struct {
		method, path string
		header       []string
		status       int
		location     string
	}{
		{"GET", "/who", fetches, http.StatusUnauthorized, ""},
		{"GET", "/who", navigates, http.StatusSeeOther, "/login?return_to=%2Fwho"},
		{"GET", "/who", session, http.StatusOK, ""},
		{"POST", "/who", plus(session, "Origin", s.URL), http.StatusOK, ""},
		{"POST", "/who", plus(session, "Origin", "https://evil.example"), http.StatusForbidden, ""},
		{"POST", "/who", plus(session, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden, ""},
		{"GET", "/login", navigates, http.StatusSeeOther, "/login/demo"},
		{"POST", "/logout", plus(session, navigates...), http.StatusSeeOther, s.URL + "/#"},
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
		header := plus(tt.header, forwarded...)
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
