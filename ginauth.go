package ginauth

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/seal"
)

// Auth is the sign-in of one application: it serves the login routes, guards the application's
// own routes, and manages sessions. Create one with [Mount]. An Auth is safe for concurrent
// use, and a process may have several.
type Auth struct {
	// Printing an Auth must not print its secrets: with some verbs fmt follows one pointer, so
	// they are behind a second one.
	*parts
}

// parts holds the state of an Auth.
type parts struct {
	cfg          *config
	providers    atomic.Pointer[registry] // those in use
	replacing    sync.Mutex               // serializes SetProviders
	http         *http.Client             // for requests to providers
	hasher       *seal.Hasher             // hashes users and sessions for the log
	loginStates  *loginStates
	formPosts    *formPosts
	sessionBox   *seal.Box
	logouts      *logouts
	idTokenHints *idTokenHints
	demands      sealedCookie // sealed into URLs, not into cookies
	loops        *loops
	lastProvider *lastProvider
	refreshes    singleflight.Group // of Auth.Refresh
	tokens       *tokenKeeper
	watcher      sessionWatcher    // of SessionContext
	apiTransport http.RoundTripper // of Auth.Client
	pages        *pageRenderer
	mounted      atomic.Bool // Mount has registered every route
	schemeWarned atomic.Bool // warnAboutScheme has warned
	portWarned   atomic.Bool // warnAboutPort has
	metadataPath string      // of resource_metadata.go; "" if it is not registered
	scopes       guardScopes
	ownRoutes    map[string]map[string]string // the routes of this Auth by path and method, with the names of their handlers
	bodyWait     time.Duration                // how long a request's body may take to arrive
}

// Mount registers the routes for signing in and out on router, an engine or a group, and
// returns the [Auth] that guards the application's own routes:
//
//	GET       /login                 the page to choose a provider on
//	GET POST  /login/:provider       starts a sign-in
//	GET POST  /authorize/:provider   receives the provider's response
//	GET POST  /logout                GET shows a button, POST ends the session
//	GET       /logout/return         where a sign-out at the provider returns to
//	GET       /logout/redirect       goes to a sign-out at the provider that a script began
//	POST      /logout/:provider/backchannel   OpenID Connect Back-Channel Logout
//	GET       /logout/:provider/frontchannel  OpenID Connect Front-Channel Logout
//	GET       /.well-known/oauth-protected-resource   OAuth 2.0 Protected Resource Metadata
//
// The last route is registered only if a provider has an [Provider.Audience]: it names the
// providers whose access tokens are accepted (RFC 9728). It is at the root of the application,
// also for a group; if that path is taken, it is below the group. If all providers are for
// access tokens only (see Audience), it is the only route.
//
// The redirect URI to register at a provider is BaseURL + the group's path + "/authorize/" +
// the provider's name, unless [Provider.CallbackPath] sets another.
//
// Mount makes no network requests: a provider's metadata is fetched at its first use (see
// [Auth.Warm]).
//
// If router or opts are invalid, Mount returns an error that joins one [*Error] for each
// mistake, with its Fix; errors.Is(err, [ErrInvalidOptions]) is true. A conflicting route that
// the application registered earlier is such a mistake. A conflicting route that it registers
// later makes Gin panic; mount on a group to avoid that. After an error, the routes already
// registered answer 404.
func Mount(router gin.IRouter, opts Options) (*Auth, error) {
	mount, ok := basePath(router)
	if !ok {
		return nil, &Error{Code: ErrInvalidOptions, ID: "mount.router_nil", Op: "Mount", Reason: "router is nil", Fix: "pass a *gin.Engine or a *gin.RouterGroup"}
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
	a.mounted.Store(true)
	a.announce(a.providers.Load(), &registry{})
	a.remind()
	return a, nil
}

// newAuth builds an Auth. It makes no network requests.
func newAuth(cfg *config) (*Auth, error) {
	a := &Auth{&parts{cfg: cfg, pages: cfg.pages, ownRoutes: map[string]map[string]string{}, bodyWait: 10 * time.Second}}
	a.watcher.auth = a
	cfg.onRevoked = a.watcher.revoked
	a.http = fetch.Client(cfg.HTTPClient, "ginauth/1 (+https://github.com/ginauth/ginauth)")
	boxes := map[string]*seal.Box{}
	for _, purpose := range []string{"session", "stored session", "attempt", "form_post", "logout", "id_token_hint", "demand", "tokens"} {
		box, err := seal.New(cfg.Keys, cfg.audience(), purpose)
		if err != nil {
			return nil, &Error{Code: ErrInvalidOptions, ID: "options.keys.unusable", Op: "Options.Keys", Err: err}
		}
		boxes[purpose] = box
	}
	hasher, err := seal.NewHasher(cfg.Keys[0])
	stamps, err2 := seal.NewStamps(cfg.Keys, cfg.audience())
	if err = errors.Join(err, err2); err != nil {
		return nil, &Error{Code: ErrInvalidOptions, ID: "options.keys.unusable", Op: "Options.Keys", Err: err}
	}
	a.hasher = hasher
	name, jar := cfg.cookieName(), cookie.Jar{Secure: cfg.secure}
	sealed := func(purpose string, version byte, life time.Duration) sealedCookie {
		return sealedCookie{jar: jar, box: boxes[purpose], version: version, life: life, now: cfg.Now}
	}
	hint := func(suffix string, life time.Duration) hintCookie {
		return hintCookie{jar: jar, name: name + suffix, life: life}
	}
	_, host, _ := strings.Cut(cfg.origin, "://")
	a.loginStates = &loginStates{
		sealedCookie: sealed("attempt", loginStateVersion, loginStateLife), prefix: name + "-a-", failed: hint("-u", loginStateLife),
		stamps: stamps, host: host, keysFix: cfg.keysFix(),
		once: func(r *http.Request, key RevocationKey, ttl time.Duration) (bool, error) {
			return cfg.Revocations.Once(context.WithoutCancel(r.Context()), key, ttl)
		},
	}
	a.formPosts = &formPosts{sealed("form_post", formPostVersion, formPostLife), name + "-f"}
	a.logouts = &logouts{sealed("logout", logoutVersion, logoutLife), name + "-l"}
	a.idTokenHints = &idTokenHints{sealed("id_token_hint", idTokenHintVersion, cfg.Lifetime), cfg.idTokenHintName()}
	a.idTokenHints.jar.Path = cfg.prefix + cfg.mount + "/logout"
	a.demands = sealed("demand", demandVersion, demandLife)
	a.tokens = &tokenKeeper{cfg: cfg, box: boxes["tokens"]}
	if a.apiTransport = http.DefaultTransport; cfg.HTTPClient != nil && cfg.HTTPClient.Transport != nil {
		a.apiTransport = cfg.HTTPClient.Transport
	}
	a.loops = &loops{hint("-n", loopWindow), cfg.Now}
	a.lastProvider = &lastProvider{hint("-p", lastProviderLife)}
	if a.sessionBox = boxes["session"]; cfg.Sessions != nil {
		a.sessionBox = boxes["stored session"]
	}
	if c, ok := cfg.Revocations.(*cachedRevocations); ok {
		c.onTrouble(a.warnDeaf)
	}
	a.providers.Store(a.newRegistry(cfg.Providers, &registry{}))
	return a, nil
}

// Warm fetches the metadata of every provider, for readiness probes. Sign-ins work without it.
// It returns nil if every provider is ready; otherwise it joins one [*Error] per unusable
// provider, whose Code is [ErrProviderUnavailable], [ErrProviderTimeout] or
// [ErrProviderMisconfigured].
//
// With [Cached] as [Options.Revocations], Warm also waits until it follows the revocations of other
// replicas. If it cannot, Warm logs why (options.revocations.deaf) and returns no error for it: the
// application works, and reads the store at each request.
func (a *Auth) Warm(ctx context.Context) error {
	ctx = requestContext(ctx)
	g := a.providers.Load()
	parties := g.parties()
	errs := make([]error, len(parties))
	var group errgroup.Group
	group.Go(func() error {
		if err := a.followRevocations(ctx); err != nil {
			a.warnDeaf(err)
		}
		return nil
	})
	for i, cl := range parties {
		group.Go(func() error {
			errs[i] = cl.discover(ctx)
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

// Providers returns the current providers, in the order of [Options.Providers] or of the last
// [Auth.SetProviders], for the application's own page at [Options.LoginPage]. Only Name,
// DisplayName, Issuer, ClientID, LoginPage, Color and Icon are set: no secrets and no
// functions. Make the links with [Auth.LoginURL], which passes return_to on.
func (a *Auth) Providers() []Provider {
	g := a.providers.Load()
	list := make([]Provider, 0, len(g.order))
	for _, name := range g.order {
		p := &g.clients[name].provider
		list = append(list, Provider{Name: p.Name, DisplayName: cmp.Or(p.DisplayName, p.Name), Issuer: p.Issuer, ClientID: p.ClientID, LoginPage: p.LoginPage, Color: p.Color, Icon: p.Icon})
	}
	return list
}

// LoginURL returns the absolute URL that starts a sign-in with a provider, or that shows the
// page to choose one if provider is "". Afterwards the browser goes to returnTo, a path of the
// application; if it is "" or invalid, to [Options.AfterLogin]. A page at [Options.LoginPage]
// passes on the parameter that it was called with, LoginURL(name, c.Query("return_to")); it
// need not validate it, since the sign-in does. The URL of a provider also accepts a POST of a
// form, whose field return_to takes precedence. LoginURL does not check the provider: the URL
// of an unknown one answers with [ErrUnknownProvider].
func (a *Auth) LoginURL(provider, returnTo string) string {
	if provider == "" {
		return withReturn(a.cfg.url(a.cfg.mount+"/login"), returnTo) // also with a LoginPage: /login counts the redirects to it
	}
	return withReturn(a.cfg.url(a.cfg.mount+"/login/"+url.PathEscape(provider)), returnTo)
}

// LogoutURL returns the absolute URL that signs out, for the action of a form with method
// POST, or for fetch. A GET shows a page with a button. Afterwards the browser goes to
// returnTo, a path of the application; if it is "" or invalid, to [Options.AfterLogout]. A
// form field return_to takes precedence.
func (a *Auth) LogoutURL(returnTo string) string {
	return withReturn(a.cfg.url(a.cfg.mount+"/logout"), returnTo)
}

// basePath returns the path of a router group; ok is false if router is nil.
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
