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

// Auth signs people in and guards routes. [Mount] returns one. It is safe for
// concurrent use, and a process may have several.
type Auth struct {
	// To print an Auth is to print an address: with some verbs fmt follows one
	// pointer, and the secrets are behind the next.
	*parts
}

// parts are what an Auth is made of.
type parts struct {
	cfg          *config
	providers    atomic.Pointer[registry] // those in use
	replacing    sync.Mutex               // one SetProviders after the other
	http         *http.Client             // asks them
	hasher       *seal.Hasher             // of the log
	loginStates  *loginStates
	formPosts    *formPosts
	sessionBox   *seal.Box
	logouts      *logouts
	idTokenHints *idTokenHints
	demands      sealedCookie // which are in addresses
	loops        *loops
	lastProvider *lastProvider
	refreshes    singleflight.Group // of Auth.Refresh
	tokens       *tokenKeeper
	apiTransport http.RoundTripper // of Auth.Client
	pages        *pageRenderer
	mounted      atomic.Bool // Mount has registered every route
	schemeWarned atomic.Bool // warnAboutScheme has warned
	portWarned   atomic.Bool // warnAboutPort has
	metadataPath string      // of resource_metadata.go; "" if it is not registered
	scopes       guardScopes
	ownRoutes    map[string]map[string]string // our routes by path and method, with the name of their handler
	bodyWait     time.Duration                // how long a request's body may take to arrive
}

// Mount registers the routes for signing in and out on router, an engine or a
// group, and returns the [Auth] that guards the application's own routes:
//
//	GET       /login                 the page to choose a provider on
//	GET POST  /login/:provider       starts a sign-in
//	GET POST  /authorize/:provider   receives the provider's response
//	GET POST  /logout                GET shows a button, POST ends the session
//	GET       /logout/return         where a sign-out at the provider returns to
//	GET       /logout/redirect       goes to a sign-out at the provider that a script began
//	POST      /logout/:provider/backchannel   OpenID Connect Back-Channel Logout
//	GET       /logout/:provider/frontchannel  OpenID Connect Front-Channel Logout
//
// The redirect URI to register at a provider is BaseURL + the group's path +
// "/authorize/" + the provider's name, unless [Provider.CallbackPath] says another.
//
// Mount makes no network request: a provider is discovered when it is first used
// (see [Auth.Warm]).
//
// If router or opts are wrong, Mount returns an error that contains one [*Error]
// for each mistake, with what to write instead; errors.Is(err, [ErrInvalidOptions])
// is true. A route that the application registered before at one of these
// addresses is such a mistake. For one that is registered later, Gin panics: mount
// on a group to avoid that. After an error, the routes that were registered answer
// 404.
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

// newAuth makes the parts of an Auth. Nothing in it talks to a provider yet.
func newAuth(cfg *config) (*Auth, error) {
	a := &Auth{&parts{cfg: cfg, pages: cfg.pages, ownRoutes: map[string]map[string]string{}, bodyWait: 10 * time.Second}}
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

// Warm discovers every provider, for readiness probes. Sign-ins work without it.
// It returns the errors of the providers that cannot be used, joined: each is an
// [*Error] with its Provider, and [ErrProviderUnavailable], [ErrProviderTimeout] or
// [ErrProviderMisconfigured] as its code. nil means that every provider is ready.
//
// It also waits until [Cached] follows the marks of other replicas, if [Options.Revocations]
// is one. If it cannot, the log says why, and Warm returns no error for it: the application
// works, and asks the store at each request.
func (a *Auth) Warm(ctx context.Context) error {
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

// Providers returns the providers in the order of [Options.Providers], or of what
// [Auth.SetProviders] was given last, for a page of your own at [Options.LoginPage].
// They have Name, DisplayName, Issuer, ClientID, LoginPage, Color and Icon only: no
// secrets and no functions. [Auth.LoginURL] makes the links, which must
// pass return_to on.
func (a *Auth) Providers() []Provider {
	g := a.providers.Load()
	list := make([]Provider, 0, len(g.order))
	for _, name := range g.order {
		p := &g.clients[name].provider
		list = append(list, Provider{Name: p.Name, DisplayName: cmp.Or(p.DisplayName, p.Name), Issuer: p.Issuer, ClientID: p.ClientID, LoginPage: p.LoginPage, Color: p.Color, Icon: p.Icon})
	}
	return list
}

// LoginURL returns the absolute address that starts a sign-in with a provider, or
// shows the choice of providers if provider is "". Afterwards the browser goes to
// returnTo, a path of the application, or to [Options.AfterLogin] if returnTo is ""
// or not such a path. A page at [Options.LoginPage] passes on what it was called with:
// LoginURL(name, c.Query("return_to")), unchecked, since the sign-in checks it. With a
// provider the address also accepts the POST of a form,
// whose field return_to takes precedence. LoginURL does not check the provider: the
// address of an unknown one is answered with [ErrUnknownProvider].
func (a *Auth) LoginURL(provider, returnTo string) string {
	if provider == "" {
		return withReturn(a.cfg.url(a.cfg.mount+"/login"), returnTo) // also with a LoginPage: /login counts who is sent there
	}
	return withReturn(a.cfg.url(a.cfg.mount+"/login/"+url.PathEscape(provider)), returnTo)
}

// LogoutURL returns the absolute address that signs out, for the action of a form
// with method POST, or for fetch. A GET of it shows a page with a button. Afterwards
// the browser goes to returnTo, a path of the application, or to
// [Options.AfterLogout] if returnTo is "" or not such a path. A field return_to of
// the form takes precedence.
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
