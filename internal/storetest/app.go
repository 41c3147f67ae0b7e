package storetest

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"log/slog"
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
	"github.com/ginauth/ginauth/internal/leaktest"
)

const (
	firstKey  = "the first key of these tests, 32 bytes or more"
	secondKey = "another key, which takes the place of the first"

	lifetime = 12 * time.Hour
	idle     = 30 * time.Minute
)

// clock is a clock that tests set forward.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

// logs collects the log.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// tokens are the tokens that a provider issued.
type tokens struct {
	mu  sync.Mutex
	all []string
}

func (k *tokens) add(answer map[string]any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range []string{"access_token", "id_token", "refresh_token"} {
		if token, ok := answer[name].(string); ok {
			k.all = append(k.all, token)
		}
	}
}

func (k *tokens) list() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all)
}

// app is an application behind ginauth with its provider and a browser.
type app struct {
	t       testing.TB
	URL     string
	idp     *authtest.Provider
	browser *authtest.Browser
	clock   *clock
	log     *logs
	issued  *tokens
	kept    Opened
	opts    ginauth.Options
	auth    *ginauth.Auth
	engine  atomic.Pointer[gin.Engine]
	entered chan struct{} // a request is in /slow
	release chan struct{} // lets it continue
}

// newApp starts an application that keeps its sessions in h.
func newApp(t testing.TB, h Home) *app {
	t.Helper()
	return startApp(t, h, false, nil)
}

// startApp starts an application, over https if secure is true. change may change its Options first.
func startApp(t testing.TB, h Home, secure bool, change func(*app, *ginauth.Options)) *app {
	t.Helper()
	gin.SetMode(gin.TestMode)
	a := &app{t: t, clock: &clock{}, log: &logs{}, issued: &tokens{}, entered: make(chan struct{}, 1), release: make(chan struct{})}
	watch := leaktest.Of(t)
	watch.Log(a.log.String)
	watch.Secret("key", firstKey)
	idp, err := authtest.Start(authtest.Config{TLS: secure, Now: a.clock.Now})
	a.check(err)
	watch.Provider(idp)
	t.Cleanup(idp.Close)
	a.idp = idp
	idp.SignInAs("ada")
	idp.EditToken(a.issued.add)
	logger := slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a.opts = ginauth.Options{
		BaseURL: a.serve(secure), Keys: []string{firstKey}, Lifetime: lifetime, IdleTimeout: idle,
		Providers: []ginauth.Provider{idp.Client("demo")}, HTTPClient: idp.HTTPClient(), Logger: logger, Now: a.clock.Now,
	}
	if h.Open != nil {
		a.kept = h.Open(t)
		a.opts.Sessions = a.kept.Store
	}
	if change != nil {
		change(a, &a.opts)
	}
	a.mount(nil)
	a.browser = a.newBrowser()
	return a
}

func (a *app) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// serve starts a server for the engine that was mounted last, and returns its URL.
func (a *app) serve(secure bool) string {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.engine.Load().ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(a.log, nil), slog.LevelError)
	a.t.Cleanup(server.Close)
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	if !secure {
		server.Start()
		a.URL = "http://localhost:" + port
		return a.URL
	}
	cert, err := authtest.Certificate("app.localhost")
	a.check(err)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	a.URL = "https://app.localhost:" + port
	return a.URL
}

// mount restarts the application with the current Options. The middleware runs before everything
// else.
func (a *app) mount(middleware gin.HandlerFunc, own ...func(*gin.Engine)) {
	a.t.Helper()
	engine := gin.New()
	if middleware != nil {
		engine.Use(middleware)
	}
	auth, err := ginauth.Mount(engine, a.opts)
	a.check(err)
	a.auth = auth
	a.routes(engine)
	for _, add := range own {
		add(engine)
	}
	a.engine.Store(engine)
}

// routes adds the application's own routes.
func (a *app) routes(engine *gin.Engine) {
	auth := a.auth
	engine.GET("/", auth.LoadUser(), func(c *gin.Context) {
		name := "nobody"
		if u := ginauth.CurrentUser(c); u != nil {
			name = u.Subject
		}
		c.String(http.StatusOK, name)
	})
	guarded := engine.Group("/", auth.RequireAuth())
	guarded.GET("/me", func(c *gin.Context) { c.JSON(http.StatusOK, ginauth.CurrentUser(c)) })
	guarded.GET("/claims", func(c *gin.Context) {
		claims, err := ginauth.Claims[map[string]any](c)
		a.answer(c, claims, err)
	})
	note := func(c *gin.Context) {
		err := auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"note": c.Query("note")} })
		a.answer(c, "noted", err)
	}
	guarded.POST("/note", note)
	guarded.POST("/slow", func(c *gin.Context) {
		a.entered <- struct{}{}
		<-a.release
		if c.Query("note") != "" {
			note(c)
		}
	})
}

func (a *app) answer(c *gin.Context, v any, err error) {
	if err != nil {
		c.String(http.StatusInternalServerError, "%s", err)
		return
	}
	c.JSON(http.StatusOK, v)
}

func (a *app) newBrowser() *authtest.Browser {
	b := authtest.NewBrowser()
	b.Now = a.clock.Now
	leaktest.Of(a.t).Browser(b)
	a.t.Cleanup(b.Close)
	return b
}

// signIn signs a user in and fails the test if that does not work.
func (a *app) signIn(b *authtest.Browser, subject string) {
	a.t.Helper()
	p := a.tryToSignIn(b, subject)
	if u := a.user(b); p.Status != http.StatusOK || u == nil || u.Subject != subject {
		a.t.Fatalf("the sign-in of %s ended at %s with status %d, as %+v\n%s", subject, p.URL.Path, p.Status, u, a.log)
	}
}

func (a *app) tryToSignIn(b *authtest.Browser, subject string) *authtest.Page {
	a.t.Helper()
	a.idp.SignInAs(subject)
	p, err := b.Get(a.URL + "/login/demo")
	a.check(err)
	return p
}

// fetch sends a request as a script of the application's page does.
func (a *app) fetch(b *authtest.Browser, method, path string) *authtest.Page {
	a.t.Helper()
	p, err := b.Fetch(authtest.At(a.URL+"/"), method, a.URL+path, nil, "")
	a.check(err)
	return p
}

// user returns the signed-in user of a browser, or nil. A response other than 200 and 401 fails the
// test.
func (a *app) user(b *authtest.Browser) *ginauth.User {
	a.t.Helper()
	return a.userIn(a.fetch(b, "GET", "/me"))
}

func (a *app) userIn(p *authtest.Page) *ginauth.User {
	a.t.Helper()
	switch p.Status {
	case http.StatusUnauthorized:
		return nil
	case http.StatusOK:
		u := new(ginauth.User)
		a.check(json.Unmarshal(p.Body, u))
		return u
	}
	a.t.Fatalf("%s answered %d: %s\n%s", p.URL.Path, p.Status, p.Text(), a.log)
	return nil
}

// wants fails the test unless the browser's user has that subject; "" means no user.
func (a *app) wants(b *authtest.Browser, subject, when string) {
	a.t.Helper()
	got := ""
	if u := a.user(b); u != nil {
		got = u.Subject
	}
	if got != subject {
		a.t.Errorf("%s, the user is %q; want %q", when, got, subject)
	}
}

// signOut submits the form to sign out.
func (a *app) signOut(b *authtest.Browser) *authtest.Page {
	a.t.Helper()
	b.StopAt = func(next *url.URL) bool { return !strings.HasPrefix(next.String(), a.URL) }
	defer func() { b.StopAt = nil }()
	p, err := b.Submit(authtest.At(a.URL+"/"), a.URL+"/logout", nil)
	a.check(err)
	return p
}

// cookies returns the browser's session cookies, without the cookies of sign-ins.
func (a *app) cookies(b *authtest.Browser) (ours []*http.Cookie) {
	for _, c := range b.Cookies(a.URL) {
		name := strings.TrimPrefix(c.Name, "__Host-")
		if strings.HasPrefix(name, "ginauth-") && !strings.Contains(name, "-a-") && !strings.HasSuffix(name, "-l") && !strings.HasSuffix(name, "-n") && !strings.HasSuffix(name, "-u") {
			ours = append(ours, c)
		}
	}
	return ours
}

// sessionCookies is cookies, but fails the test if there are none.
func (a *app) sessionCookies(b *authtest.Browser) []*http.Cookie {
	a.t.Helper()
	ours := a.cookies(b)
	if len(ours) == 0 {
		a.t.Fatalf("the browser has no session cookie: %v %v", b.Cookies(a.URL), b.RefusedCookies())
	}
	return ours
}

// with requests /me with these cookies, like a client with hand-written headers.
func (a *app) with(cookies ...*http.Cookie) *authtest.Page {
	a.t.Helper()
	r, err := http.NewRequest("GET", a.URL+"/me", nil)
	a.check(err)
	for _, c := range cookies {
		r.Header["Cookie"] = append(r.Header["Cookie"], c.Name+"="+c.Value)
	}
	r.Header.Set("Cookie", strings.Join(r.Header["Cookie"], "; "))
	p, err := a.newBrowser().Do(r)
	a.check(err)
	return p
}

// record returns the session that a browser's cookie identifies, read through the store.
func (a *app) record(b *authtest.Browser) (*http.Request, *storedSession) {
	a.t.Helper()
	r := httptest.NewRequest("GET", a.URL, nil)
	c := a.storeCookie(b)
	r.Header.Set("Cookie", c.Name+"="+c.Value)
	s, err := a.kept.Store.New(r, c.Name)
	a.check(err)
	if s.IsNew || len(s.Values) == 0 {
		a.t.Fatalf("the store has no record for the cookie %s", c.Name)
	}
	return r, s
}

// storeCookie returns the cookie that the store reads. The name of the other ends with "-b".
func (a *app) storeCookie(b *authtest.Browser) *http.Cookie {
	a.t.Helper()
	for _, c := range a.sessionCookies(b) {
		if !strings.HasSuffix(c.Name, "-b") {
			return c
		}
	}
	a.t.Fatal("the browser has no cookie of the store")
	return nil
}
