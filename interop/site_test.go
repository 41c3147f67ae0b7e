package interop

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the provider logs there
	os.Exit(m.Run())
}

// The people of the provider's example storage.
const (
	testUser  = "test-user@127.0.0.1"
	otherUser = "test-user2"
	password  = "verysecure"
)

// config says which provider a test wants, and how the application uses it.
type config struct {
	slash  bool // the issuer ends in one
	legacy bool // the second of the library's two HTTP servers
	client func(id, secret string, redirectURIs ...string) *storage.Client
	change func(*ginauth.Provider, *ginauth.Options)
}

// site is an application, an OpenID provider on another host, and a browser.
type site struct {
	t       *testing.T
	URL     string // of the application
	idp     *idp
	browser *authtest.Browser
}

// idp is zitadel/oidc with its example storage and its example login form.
type idp struct {
	issuer  string
	storage *storage.Storage
	handler http.Handler

	mu    sync.Mutex
	count map[string]int // requests, by path
}

func newSite(t *testing.T, conf config) *site {
	t.Helper()
	app := httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(app.Listener.Addr().String(), ":")
	s := &site{t: t, URL: "http://localhost:" + port, browser: authtest.NewBrowser()}
	t.Cleanup(s.browser.Close)
	s.idp = startIDP(t, conf, s.URL+"/auth/authorize/zitadel", s.URL+"/auth/logout/return")
	app.Config.Handler = s.application(conf)
	app.Start()
	t.Cleanup(app.Close)
	return s
}

// startIDP starts the provider, for one client with those two addresses.
func startIDP(t *testing.T, conf config, redirectURI, postLogoutURI string) *idp {
	t.Helper()
	newClient := conf.client
	if newClient == nil {
		newClient = storage.WebClient
	}
	p := &idp{count: map[string]int{}}
	server := httptest.NewUnstartedServer(p)
	p.issuer = "http://" + server.Listener.Addr().String()
	if conf.slash {
		p.issuer += "/"
	}
	p.storage = storage.NewStorageWithClients(storage.NewUserStore(p.issuer),
		map[string]*storage.Client{"web": newClient("web", "secret", redirectURI)})
	p.handler = exampleop.SetupServer(p.issuer, signOutStorage{p.storage, postLogoutURI}, nil, conf.legacy)
	server.Start()
	t.Cleanup(server.Close)
	return p
}

// signOutStorage registers an address to go to after signing out at the
// provider, which the example's clients do not have.
type signOutStorage struct {
	*storage.Storage
	uri string
}

func (s signOutStorage) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := s.Storage.GetClientByClientID(ctx, id)
	return signOutClient{client, s.uri}, err
}

type signOutClient struct {
	op.Client
	uri string
}

func (c signOutClient) PostLogoutRedirectURIs() []string { return []string{c.uri} }

// application is what a user of ginauth writes, mounted on a group.
func (s *site) application(conf config) http.Handler {
	s.t.Helper()
	provider := ginauth.Provider{Name: "zitadel", Issuer: s.idp.issuer, ClientID: "web", ClientSecret: "secret"}
	opts := ginauth.Options{
		BaseURL: s.URL, Keys: []string{"a key for tests, which is 32 bytes and more"},
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
	return router
}

// profile is what /private answers.
type profile struct {
	User   *ginauth.User
	ID     string
	Claims map[string]any
}

// ServeHTTP counts the request and lets the provider answer it. The example
// has no consent page: /refuse is where one's "No" would lead, and gives the
// answer that the library gives for it, to the authorization request at hand.
func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.count[r.URL.Path]++
	p.mu.Unlock()
	if r.URL.Path == "/refuse" {
		p.refuse(w, r)
		return
	}
	p.handler.ServeHTTP(w, r)
}

func (p *idp) refuse(w http.ResponseWriter, r *http.Request) {
	request, err := p.storage.AuthRequestByID(r.Context(), r.FormValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	denied := oidc.ErrAccessDenied()
	denied.State = request.GetState()
	location, err := op.AuthResponseURL(request.GetRedirectURI(), request.GetResponseType(), request.GetResponseMode(), denied, oidc.NewEncoder())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, location, http.StatusFound)
}

// requests is how often a path of the provider was asked for.
func (p *idp) requests(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[path]
}

func (s *site) must(page *authtest.Page, err error) *authtest.Page {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

// get opens a page of the application as somebody who types its address.
func (s *site) get(path string) *authtest.Page {
	s.t.Helper()
	return s.must(s.browser.Get(s.URL + path))
}

// loginForm opens a page of the application and returns the provider's form
// that it must lead to.
func (s *site) loginForm(path string) *authtest.Page {
	s.t.Helper()
	p := s.get(path)
	s.wantLoginForm(p)
	return p
}

func (s *site) wantLoginForm(p *authtest.Page) {
	s.t.Helper()
	if p.Status != http.StatusOK || p.URL.Path != "/login/username" || !strings.HasPrefix(p.URL.String(), s.idp.issuer) {
		s.t.Fatalf("got to %s with status %d instead of the provider's login form: %s", p.URL, p.Status, p.Text())
	}
}

// logIn fills in the provider's form.
func (s *site) logIn(form *authtest.Page, username, password string) *authtest.Page {
	s.t.Helper()
	return s.must(s.browser.SubmitForm(form, "Login", url.Values{"username": {username}, "password": {password}}))
}

// signIn does it all for one page of the application.
func (s *site) signIn(path, username string) *profile {
	s.t.Helper()
	p := s.logIn(s.loginForm(path), username, password)
	return s.profileOn(p)
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

// wantRefused checks that a page is ginauth's answer with that code, and that
// nobody is signed in.
func (s *site) wantRefused(p *authtest.Page, code ginauth.Code) {
	s.t.Helper()
	want := (&ginauth.Error{Code: code}).Status()
	if p.Status != want || !strings.Contains(p.Text(), string(code)) || !strings.HasPrefix(p.URL.String(), s.URL) {
		s.t.Errorf("got to %s with status %d, want %d %s: %s", p.URL, p.Status, want, code, p.Text())
	}
	if home := s.get("/"); home.Text() != "home" {
		s.t.Errorf("afterwards somebody is signed in: %s", home.Text())
	}
}

// testLog writes what ginauth logs into the test's output.
type testLog struct{ t testing.TB }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
