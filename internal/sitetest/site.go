package sitetest

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/leaktest"
)

// Key is in the Options.Keys of every Site.
const Key = "a key for tests, which is 32 bytes and more"

// Site is an application with ginauth, a provider on another site, and a
// browser. All of them run on the loopback interface until the test ends.
type Site struct {
	T       testing.TB
	URL     string // of the application: http://localhost:PORT, or https://app.localhost:PORT
	Engine  *gin.Engine
	Auth    *ginauth.Auth
	IDP     *authtest.Provider
	Browser *authtest.Browser
	Clock   *Clock       // of application, provider and browser
	Logs    *Logs        // of the application and its server
	Ran     atomic.Int64 // number of calls of protected handlers
	Unheard bool         // set by a test to disable the Site's own OnEvent
	Group   string       // of the router to mount on, if it is not the engine

	events  *events
	tls     bool
	mu      sync.Mutex
	watched testing.TB // the test that searches Logs for leaks
}

// StartProvider starts a provider that signs in Ada without interaction. It is closed when the test
// ends, and its secrets are watched.
func StartProvider(t testing.TB, config authtest.Config) *authtest.Provider {
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

// Client configures a Provider called name at idp.
func Client(name string, idp *authtest.Provider) ginauth.Provider {
	return ginauth.Provider{Name: name, Issuer: idp.Issuer, ClientID: idp.ClientID, ClientSecret: idp.ClientSecret}
}

// New serves an application with one provider, "demo". If change is not nil, it
// is called with the Options before they are mounted.
func New(t testing.TB, change func(s *Site, o *ginauth.Options)) *Site {
	t.Helper()
	s := &Site{T: t, Clock: &Clock{}, Logs: &Logs{}}
	s.IDP = StartProvider(t, authtest.Config{Now: s.Clock.Now})
	s.Start(func(o *ginauth.Options) {
		if change != nil {
			change(s, o)
		}
	})
	return s
}

// NewTLS is New over https.
func NewTLS(t testing.TB, change func(s *Site, o *ginauth.Options)) *Site {
	t.Helper()
	s := &Site{T: t, Clock: &Clock{}, Logs: &Logs{}, tls: true}
	s.IDP = StartProvider(t, authtest.Config{Now: s.Clock.Now, TLS: true})
	s.Start(func(o *ginauth.Options) {
		o.HTTPClient = s.IDP.HTTPClient()
		if change != nil {
			change(s, o)
		}
	})
	return s
}

// Start serves the application for a Site whose provider is already running. Most tests call New.
func (s *Site) Start(change func(o *ginauth.Options)) {
	t := s.T
	t.Helper()
	s.Engine = gin.New()
	server := httptest.NewUnstartedServer(s.Engine)
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
	server.Config.ErrorLog = slog.NewLogLogger(s.Logs.Logger().Handler(), slog.LevelError)
	t.Cleanup(server.Close)
	s.Browser = s.NewBrowser()
	opts := ginauth.Options{
		BaseURL: s.URL, Keys: []string{Key}, Logger: s.Logs.Logger(), Now: s.Clock.Now,
		Providers: []ginauth.Provider{Client("demo", s.IDP)},
	}
	change(&opts)
	s.events = newEvents(t)
	if !s.Unheard {
		s.events.watch(&opts)
	}
	var router gin.IRouter = s.Engine
	if s.Group != "" {
		router = s.Engine.Group(s.Group)
	}
	auth, err := ginauth.Mount(router, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Auth = auth
	s.routes()
}

// SetProviders replaces the application's providers.
func (s *Site) SetProviders(list ...ginauth.Provider) {
	s.T.Helper()
	s.events.expect(list)
	if err := s.Auth.SetProviders(list); err != nil {
		s.T.Error(err) // some tests call it in a handler
	}
}

// NewBrowser returns another browser without cookies.
func (s *Site) NewBrowser() *authtest.Browser {
	b := authtest.NewBrowser()
	b.Now = s.Clock.Now
	watch := leaktest.Of(s.T)
	watch.Browser(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched != s.T {
		s.watched = s.T
		watch.Log(s.Logs.String)
		watch.Secret("key", Key)
	}
	s.T.Cleanup(b.Close)
	return b
}

// routes adds the application's own routes: a home page, which shows the user if one is signed in,
// and protected pages, which respond with the user as JSON.
func (s *Site) routes() {
	s.Engine.GET("/", s.Auth.LoadUser(), func(c *gin.Context) {
		if u := ginauth.CurrentUser(c); u != nil {
			c.String(http.StatusOK, "home of "+u.Name)
			return
		}
		c.String(http.StatusOK, "home")
	})
	who := func(c *gin.Context) {
		s.Ran.Add(1)
		c.JSON(http.StatusOK, ginauth.CurrentUser(c))
	}
	guarded := s.Engine.Group("/", s.Auth.RequireAuth())
	guarded.GET("/me", who)
	guarded.POST("/me", who)
	guarded.GET("/page/*any", who)
	s.Engine.GET("/admin", s.Auth.RequireAuth(ginauth.HasGroup("admin")), who)
}

// NewWith is New with the given configuration of the provider.
func NewWith(t testing.TB, config authtest.Config, change func(s *Site, o *ginauth.Options)) *Site {
	t.Helper()
	s := &Site{T: t, Clock: &Clock{}, Logs: &Logs{}}
	config.Now = s.Clock.Now
	s.IDP = StartProvider(t, config)
	s.Start(func(o *ginauth.Options) {
		o.Providers = []ginauth.Provider{s.IDP.Client("demo")}
		if change != nil {
			change(s, o)
		}
	})
	return s
}
