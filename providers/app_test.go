package providers_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	m.Run()
}

// app is an application that signs in with one provider, and a browser.
type app struct {
	t       *testing.T
	URL     string
	auth    *ginauth.Auth
	browser *authtest.Browser
	logs    logs

	mu    sync.Mutex
	login *ginauth.Login // the last one that came so far
}

type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newApp(t *testing.T, provider ginauth.Provider) *app {
	t.Helper()
	return newAppWith(t, provider, nil)
}

// newAppWith is newApp with a client to talk to the provider with.
func newAppWith(t *testing.T, provider ginauth.Provider, client *http.Client) *app {
	t.Helper()
	engine := gin.New()
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	a := &app{t: t, URL: strings.Replace(server.URL, "127.0.0.1", "localhost", 1), browser: authtest.NewBrowser()}
	t.Cleanup(a.browser.Close)
	auth, err := ginauth.Mount(engine, ginauth.Options{
		BaseURL: a.URL, Providers: []ginauth.Provider{provider}, KeepClaims: []string{"hd"}, HTTPClient: client,
		Logger: slog.New(slog.NewTextHandler(&a.logs, nil)),
		Hooks: ginauth.Hooks{OnLogin: func(_ *gin.Context, login *ginauth.Login) error {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.login = login
			return nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.auth = auth
	who := func(c *gin.Context) { c.JSON(http.StatusOK, ginauth.CurrentUser(c)) }
	engine.GET("/me", auth.RequireAuth(), who)
	engine.GET("/workspace", auth.RequireAuth(ginauth.HasClaim("hd", "kvarnbygd.example")), who)
	return a
}

// signIn signs in on the way to /me, and returns who that is.
func (a *app) signIn() *ginauth.User {
	a.t.Helper()
	p := a.get("/me")
	u := new(ginauth.User)
	if err := json.Unmarshal(p.Body, u); p.Status != http.StatusOK || err != nil {
		a.t.Fatalf("signing in ended at %s with status %d: %s\n%s", p.URL, p.Status, p.Text(), &a.logs)
	}
	return u
}

func (a *app) get(path string) *authtest.Page {
	a.t.Helper()
	p, err := a.browser.Get(a.URL + path)
	if err != nil {
		a.t.Fatal(err)
	}
	return p
}

// refuses fails the test unless signing in ends with that code, and the log has the
// error with its ID (unless id is "") and these names.
func (a *app) refuses(code ginauth.Code, id string, names ...string) {
	a.t.Helper()
	p := a.get("/me")
	if want := (&ginauth.Error{Code: code}).Status(); p.Status != want || !strings.Contains(p.Text(), string(code)) {
		a.t.Errorf("signing in ended at %s with status %d: %s; want %d %s", p.URL, p.Status, p.Text(), want, code)
	}
	if id != "" {
		sitetest.WantID(a.t, a.logs.String(), id)
	}
	sitetest.WantNames(a.t, a.logs.String(), names...)
}

// want fails the test unless got is who is wanted; when they proved it is left
// out.
func want(t *testing.T, got *ginauth.User, user ginauth.User) {
	t.Helper()
	got.AuthTime = time.Time{}
	if !reflect.DeepEqual(*got, user) {
		t.Errorf("signed in as\n%+v, want\n%+v", *got, user)
	}
}

// read reads a recorded answer. It may be called on any goroutine.
func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Error(err)
	}
	return data
}
