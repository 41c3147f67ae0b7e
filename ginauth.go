package ginauth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/seal"
)

// Auth signs people in and guards routes. Mount makes it; it is safe for
// concurrent use, and several can live in one process.
type Auth struct {
	// Whoever prints an Auth prints an address: with some verbs fmt follows one
	// pointer, and the secrets are behind the next.
	*parts
}

// parts are what an Auth is made of.
type parts struct {
	cfg      *config
	clients  map[string]*client
	order    []string // of the providers, as configured
	attempts *attempts
	sessions *sessions
	carrier  *carrier
	logouts  *logouts
	pages    *pages
	last     *lastUsed
	loops    *loops
	live     atomic.Bool                  // false until Mount has registered every route
	minded   atomic.Bool                  // the warning of mindScheme was given
	own      map[string]map[string]string // our routes by path and method, with the name of their handler
	bodyWait time.Duration                // how long a request's body may take to arrive
}

// Mount registers the routes of signing in and out under router, which is an
// engine or a group, and returns the Auth that guards the application's own:
//
//	GET       /login                 the page to choose a provider on
//	GET POST  /login/:provider       begins a sign-in
//	GET POST  /authorize/:provider   where providers send the answer
//	GET POST  /logout                a page with a button; ends the session
//	GET       /logout/return         where the provider's own sign-out comes back to
//	POST      /logout/:provider/backchannel   OpenID Connect Back-Channel Logout
//	GET       /logout/:provider/frontchannel  OpenID Connect Front-Channel Logout
//
// The redirect URI to register at a provider is BaseURL + the group's path +
// "/authorize/" + the provider's name.
//
// Routes of the application's own at these addresses are an error if they were
// registered before; for those that come after, Gin panics. Mount on a group
// if you have such.
//
// Mount makes no network request: providers are discovered at first use (see
// Warm). It reports every mistake in opts at once, each with what to write
// instead (errors.Is(err, ErrInvalidOptions)); then nothing it registered answers.
func Mount(router gin.IRouter, opts Options) (*Auth, error) {
	mount, ok := basePath(router)
	if !ok {
		return nil, &Error{Code: ErrInvalidOptions, Op: "Mount", Reason: "router is nil", Fix: "pass a *gin.Engine or a *gin.RouterGroup"}
	}
	cfg, err := newConfig(opts, mount)
	if err != nil {
		return nil, err
	}
	a, err := newAuth(cfg)
	if err != nil {
		return nil, err
	}
	if err := a.register(router); err != nil {
		return nil, err
	}
	a.live.Store(true)
	a.announce()
	return a, nil
}

// newAuth makes the parts of an Auth. Nothing in it talks to a provider yet.
func newAuth(cfg *config) (*Auth, error) {
	a := &Auth{&parts{cfg: cfg, pages: cfg.pages, clients: map[string]*client{}, own: map[string]map[string]string{}, bodyWait: 10 * time.Second}}
	h := fetch.Client(cfg.HTTPClient, "ginauth/1 (+https://github.com/ginauth/ginauth)")
	from := map[string]*issuers{}
	for _, p := range cfg.Providers {
		cl := newClient(p, cfg, h)
		a.clients[p.Name], from[p.Name] = cl, cl.issuers()
		a.order = append(a.order, p.Name)
	}
	boxes := map[string]*seal.Box{}
	for _, purpose := range []string{"session", "stored session", "attempt", "form_post", "logout"} {
		box, err := seal.New(cfg.Keys, cfg.audience(), purpose)
		if err != nil {
			return nil, &Error{Code: ErrInvalidOptions, Op: "Options.Keys", Err: err}
		}
		boxes[purpose] = box
	}
	name, jar := cfg.cookieName(), cookie.Jar{Secure: cfg.secure}
	once := func(r *http.Request, key RevocationKey, ttl time.Duration) (bool, error) {
		return cfg.Revocations.Once(context.WithoutCancel(r.Context()), key, ttl)
	}
	notes, err := seal.NewStamps(cfg.Keys, cfg.audience())
	if err != nil {
		return nil, &Error{Code: ErrInvalidOptions, Op: "Options.Keys", Err: err}
	}
	_, host, _ := strings.Cut(cfg.origin, "://")
	a.attempts = &attempts{box: boxes["attempt"], notes: notes, jar: jar, prefix: name + "-a-", failed: name + "-u", home: host, answer: cfg.url(cfg.mount + "/authorize/"), now: cfg.Now, once: once}
	a.logouts = &logouts{box: boxes["logout"], jar: jar, name: name + "-l", now: cfg.Now}
	a.last = &lastUsed{jar: jar, cookie: name + "-p", clients: a.clients}
	a.loops = &loops{jar: jar, cookie: name + "-n", now: cfg.Now}
	a.carrier = &carrier{box: boxes["form_post"], jar: jar, prefix: name + "-f", now: cfg.Now}
	a.sessions = &sessions{cfg: cfg, issuers: from, memory: newMemory()}
	if box := boxes["session"]; cfg.Sessions == nil {
		a.sessions.home = &cookieHome{box: box, unseal: a.sessions.opener(box), jar: jar, name: name, second: name + "-2"}
	} else {
		box = boxes["stored session"]
		a.sessions.home = &storeHome{store: cfg.Sessions, box: box, unseal: a.sessions.opener(box), jar: jar, name: name}
	}
	return a, nil
}

// announce says what must be registered at the providers, and what it means to
// keep revocations and sessions in memory.
func (a *Auth) announce() {
	for _, name := range a.order {
		a.cfg.Logger.Info("ginauth: register this redirect URI at the provider, exactly", "provider", name, "redirect_uri", a.clients[name].redirectURI)
	}
	if a.remembersHere() && !a.cfg.loopback {
		a.cfg.Logger.Warn("ginauth: " + memoryRemark + "; set Options.Revocations to share them")
	}
	if keptInMemory(a.cfg.Sessions) && !a.cfg.loopback {
		a.cfg.Logger.Warn("ginauth: Options.Sessions " + memstoreRemark + "; " + memstoreFix)
	}
}

// Warm discovers every provider now, and returns what is wrong with those that
// cannot be used, joined: for readiness probes. Signing in does not need it.
func (a *Auth) Warm(ctx context.Context) error {
	errs := make([]error, len(a.order))
	var group errgroup.Group
	for i, name := range a.order {
		group.Go(func() error {
			_, errs[i] = a.clients[name].metadata(ctx)
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

// Providers returns the providers, in the order of Options.Providers and
// without their secrets and functions: for a page of one's own at
// Options.LoginPage. LoginURL makes the links.
func (a *Auth) Providers() []Provider {
	list := make([]Provider, 0, len(a.order))
	for _, name := range a.order {
		p := &a.clients[name].provider
		list = append(list, Provider{Name: p.Name, DisplayName: cmp.Or(p.DisplayName, p.Name), Issuer: p.Issuer, ClientID: p.ClientID, Color: p.Color, Mark: p.Mark})
	}
	return list
}

// LoginURL returns the address that begins a sign-in with a provider, or lets
// people choose one if provider is "", and then goes to returnTo: a path of
// the application, or "" for Options.AfterLogin.
func (a *Auth) LoginURL(provider, returnTo string) string {
	if provider == "" {
		return withReturn(a.cfg.origin+a.loginPath(), returnTo)
	}
	return withReturn(a.cfg.url(a.cfg.mount+"/login/"+url.PathEscape(provider)), returnTo)
}

// basePath is the path of a group, and false if there is no router.
func basePath(router gin.IRouter) (path string, ok bool) {
	switch r := router.(type) {
	case nil:
		return "", false
	case *gin.Engine:
		ok = r != nil
	case *gin.RouterGroup:
		ok = r != nil
	default:
		ok = true
	}
	if group, has := router.(interface{ BasePath() string }); ok && has {
		return group.BasePath(), true
	}
	return "/", ok
}
