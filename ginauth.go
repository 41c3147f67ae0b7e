package ginauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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

// LoginURL returns the address that begins a sign-in with a provider, or lets
// people choose one if provider is "", and then goes to returnTo: a path of
// the application, or "" for Options.AfterLogin.
func (a *Auth) LoginURL(provider, returnTo string) string {
	if provider == "" {
		return withReturn(a.cfg.origin+a.loginPath(), returnTo)
	}
	return withReturn(a.cfg.url(a.cfg.mount+"/login/"+url.PathEscape(provider)), returnTo)
}
