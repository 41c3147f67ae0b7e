package browser

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// place says where an application and its provider are: always on two sites,
// since browsers treat those differently from two ports of one host.
type place struct {
	app string // its host, on a port of its own
	idp string
	tls bool // for both

	plainApp bool // with tls: the application is on http all the same
}

// The two kinds of places, by the name of a subtest: a developer's machine,
// and the internet, with a certificate and __Host- cookies.
var places = map[string]place{
	"http":  {app: "localhost", idp: "127.0.0.1"},
	"https": {app: appHost, idp: "idp.localhost", tls: true},
}

func everywhere(t *testing.T, test func(t *testing.T, b *browser, where place)) {
	each(t, func(t *testing.T, b *browser) {
		for name, where := range places {
			t.Run(name, func(t *testing.T) { test(t, b, where) })
		}
	})
}

// site is an application with a few pages, and a provider.
type site struct {
	t    *testing.T
	URL  string // of the application
	idp  *authtest.Provider
	logs *logs
	more func(app *gin.Engine) // adds routes of a test's own

	mu       sync.Mutex
	requests []*http.Request // that the application got
	proxy    func(http.ResponseWriter) http.ResponseWriter
}

// newSite starts both. change has the last word about the application.
func newSite(t *testing.T, where place, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	idp, err := authtest.Start(authtest.Config{Addr: where.idp + ":0", TLS: where.tls, ClientName: "the test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	s := &site{t: t, idp: idp, logs: new(logs)}
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of browsers that give up a connection
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	s.URL = "http://" + where.app + ":" + port
	if where.tls && !where.plainApp {
		s.URL = "https://" + where.app + ":" + port
		certificate, err := authtest.Certificate(where.app)
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	opts := ginauth.Options{
		BaseURL: s.URL, Keys: []string{"a key for tests, which is 32 bytes and more"}, HTTPClient: idp.HTTPClient(),
		Providers: []ginauth.Provider{idp.Client("demo")}, Logger: slog.New(slog.NewTextHandler(s.logs, nil)),
	}
	if change != nil {
		change(s, &opts)
	}
	server.Config.Handler = s.application(opts)
	if server.TLS != nil {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the application logged:\n%s", s.logs)
		}
	})
	return s
}

// application is what a user of ginauth writes.
func (s *site) application(opts ginauth.Options) http.Handler {
	s.t.Helper()
	gin.SetMode(gin.ReleaseMode)
	app := gin.New()
	auth, err := ginauth.Mount(app, opts)
	if err != nil {
		s.t.Fatal(err)
	}
	app.GET("/", auth.LoadUser(), func(c *gin.Context) {
		who := "nobody"
		if u := ginauth.CurrentUser(c); u != nil {
			who = u.Name
		}
		write(c, "Home of "+who)
	})
	app.GET("/page/:name", auth.RequireAuth(), func(c *gin.Context) {
		write(c, "Page "+c.Param("name")+" of "+ginauth.CurrentUser(c).Name)
	})
	app.POST("/page/:name", auth.RequireAuth(), func(c *gin.Context) { write(c, "Sent by "+ginauth.CurrentUser(c).Name) })
	app.GET("/staff", auth.RequireAuth(ginauth.HasGroup("nobody has it")), func(c *gin.Context) { write(c, "Staff") })
	if s.more != nil {
		s.more(app)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		if s.proxy != nil {
			w = s.proxy(w)
		}
		s.mu.Unlock()
		app.ServeHTTP(w, r)
	})
}

// through puts a proxy in front of the application.
func (s *site) through(proxy func(http.ResponseWriter) http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxy = proxy
}

// write answers with a page that has what people need to go on.
func write(c *gin.Context, title string) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(c.Writer, `<!doctype html><html lang="en"><title>%s</title><main><h1>%[1]s</h1>
<p><a href="/page/next">Next</a></p>
<form method="post" action="/page/form"><button>Send</button></form>
<form method="post" action="/logout"><button>Sign out</button></form></main>`, title)
}

// got are the requests that the application got for a path.
func (s *site) got(method, path string) (list []*http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r.Method == method && r.URL.Path == path {
			list = append(list, r)
		}
	}
	return list
}

// sid is the session's id at the provider, which the ID token told.
func (s *site) sid() string {
	s.t.Helper()
	var answer struct {
		Token string `json:"id_token"`
	}
	var claims struct{ Sid string }
	if err := json.Unmarshal(s.idp.LastRequest("token").Answer, &answer); err != nil {
		s.t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.Token, ".")[1])
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil || claims.Sid == "" {
		s.t.Fatalf("the ID token has no sid: %v", err)
	}
	return claims.Sid
}

// logs keeps what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.text.String())
}
