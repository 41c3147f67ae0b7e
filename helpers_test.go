package ginauth_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/leaktest"
	pagetexts "github.com/ginauth/ginauth/internal/page"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(farEnv); kind != "" {
		if err := serveFar(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	gin.SetMode(gin.TestMode)
	m.Run()
}

const testKey = "a key for tests, which is 32 bytes and more"

// clock is a clock that tests put forward.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

// logs collects what was logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

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

func (l *logs) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

func (l *logs) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// site is an application behind ginauth, a provider on another site, and a
// browser.
type site struct {
	t       testing.TB
	URL     string // of the application: http://localhost:PORT, or https://app.localhost:PORT
	engine  *gin.Engine
	auth    *ginauth.Auth
	idp     *authtest.Provider
	browser *authtest.Browser
	clock   *clock
	logs    *logs
	events  *events
	unheard bool         // no OnEvent, unless the test has one
	ran     atomic.Int64 // protected handlers that ran
	tls     bool
}

// startIDP starts a provider that signs Ada in without asking.
func startIDP(t testing.TB, config authtest.Config) *authtest.Provider {
	t.Helper()
	watch := leaktest.Of(t)
	idp, err := authtest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	watch.Provider(idp)
	t.Cleanup(idp.Close)
	idp.SignInAs("ada")
	return idp
}

// client is the Provider value for a test's provider.
func client(name string, idp *authtest.Provider) ginauth.Provider {
	return ginauth.Provider{Name: name, Issuer: idp.Issuer, ClientID: idp.ClientID, ClientSecret: idp.ClientSecret}
}

// newSite serves an application with one provider called "demo"; change may
// adapt the Options before they are mounted.
func newSite(t testing.TB, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{}, logs: &logs{}}
	s.idp = startIDP(t, authtest.Config{Now: s.clock.Now})
	s.start(func(o *ginauth.Options) {
		if change != nil {
			change(s, o)
		}
	})
	return s
}

// newTLSSite is newSite over https.
func newTLSSite(t testing.TB, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{}, logs: &logs{}, tls: true}
	s.idp = startIDP(t, authtest.Config{Now: s.clock.Now, TLS: true})
	s.start(func(o *ginauth.Options) {
		o.HTTPClient = s.idp.HTTPClient()
		if change != nil {
			change(s, o)
		}
	})
	return s
}

func (s *site) start(change func(o *ginauth.Options)) {
	t := s.t
	t.Helper()
	s.engine = gin.New()
	server := httptest.NewUnstartedServer(s.engine)
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	s.URL = "http://localhost:" + port
	if s.tls {
		s.URL = "https://app.localhost:" + port
		cert, err := authtest.Certificate("app.localhost")
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		server.StartTLS()
	} else {
		server.Start()
	}
	server.Config.ErrorLog = slog.NewLogLogger(s.logs.Logger().Handler(), slog.LevelError)
	t.Cleanup(server.Close)
	s.browser = s.newBrowser()
	opts := ginauth.Options{
		BaseURL: s.URL, Keys: []string{testKey}, Logger: s.logs.Logger(), Now: s.clock.Now,
		Providers: []ginauth.Provider{client("demo", s.idp)},
	}
	change(&opts)
	s.events = newEvents(t)
	if !s.unheard {
		s.events.watch(&opts)
	}
	auth, err := ginauth.Mount(s.engine, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.auth = auth
	s.routes()
}

func (s *site) newBrowser() *authtest.Browser {
	b := authtest.NewBrowser()
	b.Now = s.clock.Now
	watch := leaktest.Of(s.t)
	watch.Browser(b)
	watch.Log(s.logs.String)
	watch.Secret("key", testKey)
	s.t.Cleanup(b.Close)
	return b
}

// routes are the application's own: a home page that knows the user if there
// is one, and protected ones that say who it is.
func (s *site) routes() {
	s.engine.GET("/", s.auth.LoadUser(), func(c *gin.Context) {
		if u := ginauth.CurrentUser(c); u != nil {
			c.String(http.StatusOK, "home of "+u.Name)
			return
		}
		c.String(http.StatusOK, "home")
	})
	who := func(c *gin.Context) {
		s.ran.Add(1)
		c.JSON(http.StatusOK, ginauth.CurrentUser(c))
	}
	guarded := s.engine.Group("/", s.auth.RequireAuth())
	guarded.GET("/me", who)
	guarded.POST("/me", who)
	guarded.GET("/page/*any", who)
	s.engine.GET("/admin", s.auth.RequireAuth(ginauth.HasGroup("admin")), who)
}

// get opens a page as somebody who types its address, and follows redirects.
func (s *site) get(path string) *authtest.Page {
	s.t.Helper()
	return s.must(s.browser.Get(s.URL + path))
}

// open is get without following redirects.
func (s *site) open(path string) *authtest.Page {
	s.t.Helper()
	return s.must(s.browser.Open(s.URL + path))
}

func (s *site) must(p *authtest.Page, err error) *authtest.Page {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// signIn signs the browser in and returns the page it lands on.
func (s *site) signIn() *authtest.Page {
	s.t.Helper()
	p := s.get("/login/demo")
	if p.Status != http.StatusOK || s.user() == nil {
		s.t.Fatalf("signing in ended at %s with status %d: %s\n%s", p.URL, p.Status, p.Text(), s.logs)
	}
	return p
}

// begin starts a sign-in and stops where the provider sends the browser back:
// it returns the address of the callback, not opened yet.
func (s *site) begin(path string) *url.URL {
	s.t.Helper()
	var callback *url.URL
	b := s.browser
	b.StopAt = func(next *url.URL) bool {
		if strings.HasPrefix(next.Path, "/authorize/") && strings.HasPrefix(next.String(), s.URL) {
			callback = next
			return true
		}
		return false
	}
	defer func() { b.StopAt = nil }()
	p := s.get(path)
	if callback == nil {
		s.t.Fatalf("the sign-in ended at %s with status %d: %s\n%s", p.URL, p.Status, p.Text(), s.logs)
	}
	return callback
}

// finish opens a callback as the provider's redirect does.
func (s *site) finish(callback *url.URL) *authtest.Page {
	s.t.Helper()
	return s.must(s.browser.Click(authtest.At(s.idp.Issuer+"/authorize"), callback.String()))
}

// user asks the application who is signed in; nil if nobody.
func (s *site) user() *ginauth.User { return s.userOf(s.browser) }

func (s *site) userOf(b *authtest.Browser) *ginauth.User {
	s.t.Helper()
	p, err := b.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", nil, "")
	if err != nil {
		s.t.Fatal(err)
	}
	if p.Status != http.StatusOK {
		return nil
	}
	u := new(ginauth.User)
	if err := json.Unmarshal(p.Body, u); err != nil {
		s.t.Fatalf("/me: %v: %s", err, p.Text())
	}
	return u
}

// wantError fails the test unless the page is the answer to a failure with
// that code, given safely: see faults' "FC".
func (s *site) wantError(p *authtest.Page, code ginauth.Code) {
	s.t.Helper()
	want := (&ginauth.Error{Code: code}).Status()
	s.wantErrorStatus(p, code, want)
}

func (s *site) wantErrorStatus(p *authtest.Page, code ginauth.Code, status int) {
	s.t.Helper()
	if p.Status != status || !strings.Contains(p.Text(), string(code)) {
		s.t.Errorf("%s answered %d %.600s; want %d %s\n%s", p.URL, p.Status, p.Text(), status, code, s.logs)
	}
	wantHeaders(s.t, p)
}

// wantHeaders checks what every answer of our own routes bears.
func wantHeaders(t testing.TB, p *authtest.Page) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
	} {
		if got := p.Header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", p.URL, name, got, want)
		}
	}
	csp := p.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s: Content-Security-Policy %q lacks %q", p.URL, csp, want)
		}
	}
	sources, _, _ := strings.Cut(csp, "form-action") // which may name where the provider signs out
	if strings.Contains(csp, "unsafe") || strings.Contains(sources, "http") {
		t.Errorf("%s: Content-Security-Policy %q is not strict", p.URL, csp)
	}
}

// mountError mounts opts on a fresh engine and returns the error.
func mountError(opts ginauth.Options) error {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	_, err := ginauth.Mount(gin.New(), opts)
	return err
}

// says fails the test unless err is one of Mount's and names all of texts.
func says(t testing.TB, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, ginauth.ErrInvalidOptions) {
		t.Fatalf("got %v, want InvalidOptions", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

// sentence is what people and programs are told of a code, in English.
func sentence(t testing.TB, code ginauth.Code) string {
	t.Helper()
	texts, err := pagetexts.NewTexts(nil)
	if err != nil {
		t.Fatal(err)
	}
	return texts.Get("en", string(code))
}

func format(v any) string { return fmt.Sprintf("%+v", v) }
