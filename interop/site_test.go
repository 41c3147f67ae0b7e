package interop

import (
	"bytes"
	"cmp"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"
	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(replicaVariable) != "" {
		gin.SetMode(gin.ReleaseMode)
		if err := runReplica(); err != nil {
			slog.Error("replica", "error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	gin.SetMode(gin.ReleaseMode)
	slog.SetDefault(slog.New(slog.DiscardHandler)) // zitadel's provider logs there
	os.Exit(m.Run())
}

// Every server knows these two: Ada Lovelace of the groups staff and admins, and
// Ben Jonson of staff.
const (
	ada      = "ada"
	ben      = "ben"
	password = "correct horse"
)

// server is an OpenID provider that other people wrote.
type server interface {
	// register makes the application a client, and returns the provider as the
	// application writes it down.
	register(t *testing.T, c client) ginauth.Provider

	// asks reports whether a page is its login form.
	asks(p *authtest.Page) bool

	// logIn fills in the login form, and gives the consent that is asked for.
	logIn(b *authtest.Browser, form *authtest.Page, username, password string) (*authtest.Page, error)

	// refuse says no on the login form, or where it is asked for consent.
	refuse(b *authtest.Browser, form *authtest.Page) (*authtest.Page, error)

	// rotate makes it sign with a new key from now on.
	rotate(t *testing.T)

	// down stops it, and up starts it again, at the same address and with the
	// same clients.
	down(t *testing.T)
	up(t *testing.T)
}

// keyID is the kid of a client's key.
const keyID = "key-of-the-client"

// client is what a server is told of an application.
type client struct {
	ID, Secret     string
	AuthMethod     string // "none" has no secret
	RedirectURI    string
	PostLogoutURI  string
	BackChannelURI string
	Consent        bool // people are asked for it
	JWKS           any  // the JWK Set of its assertions, with AuthMethod "private_key_jwt"
	Tool           bool // it gets access tokens for the API of another, for people and for itself
}

// site is an application, the server that its users sign in at, on another host,
// and a browser.
type site struct {
	t       *testing.T
	URL     string // of the application
	server  server
	client  client
	auth    *ginauth.Auth
	browser *authtest.Browser
}

// config says how the application uses the server.
type config struct {
	consent    bool
	authMethod string        // default: client_secret_basic is registered, and ginauth chooses
	key        crypto.Signer // with authMethod "private_key_jwt"
	change     func(*ginauth.Provider, *ginauth.Options)
	routes     func(*gin.Engine, *ginauth.Auth) // more of them
}

func newSite(t *testing.T, with server, conf config) *site {
	t.Helper()
	app := httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(app.Listener.Addr().String(), ":")
	s := &site{t: t, URL: "http://localhost:" + port, server: with}
	s.browser = s.newBrowser()
	s.client = client{
		ID: "web-" + newName(), Secret: "a-secret-for-tests", AuthMethod: cmp.Or(conf.authMethod, "client_secret_basic"), Consent: conf.consent,
		RedirectURI:    s.URL + "/auth/authorize/corp",
		PostLogoutURI:  s.URL + "/auth/logout/return",
		BackChannelURI: s.URL + "/auth/logout/corp/backchannel",
	}
	if conf.authMethod == "none" || conf.key != nil {
		s.client.Secret = ""
	}
	if conf.key != nil {
		s.client.JWKS = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: conf.key.Public(), KeyID: keyID, Use: "sig"}}}
	}
	provider := with.register(t, s.client)
	provider.AuthMethod = conf.authMethod
	if conf.key != nil {
		provider.PrivateKey, provider.KeyID = conf.key, keyID
	}
	app.Config.Handler = s.application(provider, conf)
	app.Start()
	t.Cleanup(app.Close)
	return s
}

func (s *site) newBrowser() *authtest.Browser {
	b := authtest.NewBrowser()
	s.t.Cleanup(b.Close)
	return b
}

// application is what a user of ginauth writes, mounted on a group.
func (s *site) application(provider ginauth.Provider, conf config) http.Handler {
	s.t.Helper()
	opts := ginauth.Options{
		BaseURL: s.URL, Keys: []string{"a key for tests, which is 32 bytes and more"}, KeepClaims: []string{"sid"},
		Logger: slog.New(slog.NewTextHandler(testLog{s.t}, nil)),
	}
	if conf.change != nil {
		conf.change(&provider, &opts)
	}
	opts.Providers = []ginauth.Provider{provider}
	router := gin.New()
	auth, err := ginauth.Mount(router.Group("/auth"), opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.auth = auth
	router.GET("/", auth.LoadUser(), func(c *gin.Context) {
		if u := ginauth.CurrentUser(c); u != nil {
			c.String(http.StatusOK, "home of "+u.Name)
			return
		}
		c.String(http.StatusOK, "home")
	})
	router.GET("/private", auth.RequireAuth(), func(c *gin.Context) {
		claims, _ := ginauth.Claims[map[string]any](c)
		c.JSON(http.StatusOK, profile{User: ginauth.CurrentUser(c), ID: ginauth.CurrentUser(c).ID(), Claims: claims})
	})
	router.GET("/admins", auth.RequireAuth(ginauth.HasGroup("admins")), func(c *gin.Context) {
		c.String(http.StatusOK, "for admins")
	})
	if conf.routes != nil {
		conf.routes(router, auth)
	}
	return router
}

// profile is what /private answers.
type profile struct {
	User   *ginauth.User
	ID     string
	Claims map[string]any
}

func (s *site) must(page *authtest.Page, err error) *authtest.Page {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

// get opens a page of the application by its address.
func (s *site) get(path string) *authtest.Page {
	s.t.Helper()
	return s.must(s.browser.Get(s.URL + path))
}

// loginForm opens a page of the application, which has to lead to the server's
// login form.
func (s *site) loginForm(path string) *authtest.Page {
	s.t.Helper()
	p := s.get(path)
	s.wantLoginForm(p)
	return p
}

func (s *site) wantLoginForm(p *authtest.Page) {
	s.t.Helper()
	if p.Status != http.StatusOK || !s.server.asks(p) {
		s.t.Fatalf("got to %s with status %d instead of the login form: %s", p.URL, p.Status, p.Text())
	}
}

func (s *site) logIn(form *authtest.Page, username, password string) *authtest.Page {
	s.t.Helper()
	return s.must(s.server.logIn(s.browser, form, username, password))
}

// signIn opens a page of the application and signs in for it.
func (s *site) signIn(path, username string) *profile {
	s.t.Helper()
	return s.profileOn(s.logIn(s.loginForm(path), username, password))
}

// signOut presses the button of the application.
func (s *site) signOut() *authtest.Page {
	s.t.Helper()
	return s.must(s.browser.SubmitForm(s.get("/auth/logout"), "Sign out", nil))
}

// profileOn reads the answer of /private.
func (s *site) profileOn(p *authtest.Page) *profile {
	s.t.Helper()
	who, err := readProfile(s.URL, p)
	if err != nil {
		s.t.Fatal(err)
	}
	return who
}

func readProfile(app string, p *authtest.Page) (*profile, error) {
	if p.Status != http.StatusOK || p.URL.Path != "/private" || !strings.HasPrefix(p.URL.String(), app) {
		return nil, errors.New("ended at " + p.URL.String() + ": " + p.Text())
	}
	who := new(profile)
	if err := json.Unmarshal(p.Body, who); err != nil {
		return nil, err
	}
	return who, nil
}

// wantHome checks what the page that anybody can open says.
func (s *site) wantHome(b *authtest.Browser, want string) {
	s.t.Helper()
	if home := s.must(b.Get(s.URL + "/")); home.Text() != want {
		s.t.Errorf("the front page says %q, want %q", home.Text(), want)
	}
}

// wantRefused checks that a page is ginauth's answer with that code, and that no
// user is signed in.
func (s *site) wantRefused(p *authtest.Page, code ginauth.Code) {
	s.t.Helper()
	want := (&ginauth.Error{Code: code}).Status()
	if p.Status != want || !strings.Contains(p.Text(), string(code)) || !strings.HasPrefix(p.URL.String(), s.URL) {
		s.t.Errorf("got to %s with status %d, want %d %s: %s", p.URL, p.Status, want, code, p.Text())
	}
	s.wantHome(s.browser, "home")
}

// process is a server that servers.sh has started.
type process struct{ name string }

func (p process) down(t *testing.T) { p.servers(t, "down", p.name) }

func (p process) up(t *testing.T) { p.servers(t, "up", p.name) }

func (p process) servers(t *testing.T, do, what string) {
	t.Helper()
	if out, err := exec.Command("./servers.sh", do, what).CombinedOutput(); err != nil {
		t.Fatalf("servers.sh %s %s: %v: %s", do, what, err, out)
	}
}

// address is where it listens.
func (p process) address(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GINAUTH_INTEROP_DIR")
	port, err := os.ReadFile(filepath.Join(dir, p.name, "port"))
	if dir == "" || err != nil {
		t.Fatalf("%s is not running: start the tests with servers.sh, see README.md", p.name)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(string(port))
}

// control is one of this module's own programs, which takes its clients and the
// names of its keys over HTTP and forgets them when it stops.
type control struct {
	process
	clients []any
}

func (c *control) add(t *testing.T, client any) {
	t.Helper()
	c.clients = append(c.clients, client)
	call(t, http.MethodPost, c.address(t)+"/control/client", nil, client, nil)
}

func (c *control) rotate(t *testing.T) {
	t.Helper()
	call(t, http.MethodPost, c.address(t)+"/control/rotate", nil, map[string]string{"kid": newName()}, nil)
}

func (c *control) up(t *testing.T) {
	t.Helper()
	c.process.up(t)
	for _, client := range c.clients {
		call(t, http.MethodPost, c.address(t)+"/control/client", nil, client, nil)
	}
}

// call sends a JSON request to a server's own API, and decodes the answer into
// out if that is not nil.
func call(t *testing.T, method, address string, header http.Header, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s %v", method, address, answer.Status, text, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatalf("%s %s: %v: %s", method, address, err, text)
	}
}

// testLog writes what ginauth logs into the test's output.
type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

var names atomic.Int64

// newName returns another name each time.
func newName() string { return "n" + strconv.FormatInt(names.Add(1), 10) }
