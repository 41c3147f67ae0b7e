package ginauth

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

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

// step answers a request, or returns why not.
type step func(c *gin.Context) error

// register adds the routes. Gin panics where a route exists already; whoever
// mounts gets an error that says what to change instead.
func (a *Auth) register(router gin.IRouter) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Code: ErrInvalidOptions, Op: "Mount", Reason: fmt.Sprintf("the router has a route in the way: %v", r),
				Fix: `mount on a group, as in ginauth.Mount(router.Group("/auth"), …), or set Options.LoginPage if the application has its own page at /login; serve a single-page application's files from NoRoute instead of a catch-all`}
		}
	}()
	if a.cfg.LoginPage != a.cfg.mount+"/login" {
		a.handle(router, "/login", map[string]step{"GET": a.choose, "HEAD": a.choose})
	}
	a.handle(router, "/login/:provider", map[string]step{"GET": a.begin, "POST": a.begin})
	callback := map[string]step{"GET": a.callback, "POST": a.callback}
	a.handle(router, "/authorize/:provider", callback)
	// Gin would answer this one with a cacheable 301 that carries the code.
	a.handle(router, "/authorize/:provider/", callback)
	a.handle(router, "/logout/return", map[string]step{"GET": a.loggedOut})
	a.handle(router, "/logout/:provider/backchannel", map[string]step{"POST": a.backChannel})
	a.handle(router, "/logout/:provider/frontchannel", map[string]step{"GET": a.frontChannelLogout})
	a.handle(router, "/logout", map[string]step{"GET": a.confirmLogout, "HEAD": a.confirmLogout, "POST": a.logout})
	return nil
}

// handle registers a path with its methods; the others get 405, which Gin by
// itself answers with 404.
func (a *Auth) handle(router gin.IRouter, path string, steps map[string]step) {
	failed := SignInFailed
	if strings.HasPrefix(path, "/logout") {
		failed = SignOutFailed
	}
	handler := a.handler(steps, failed)
	name := runtime.FuncForPC(reflect.ValueOf(handler).Pointer()).Name() // as Gin's HandlerName has it
	own := map[string]string{}
	a.own[a.cfg.mount+path] = own
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE"} {
		router.Handle(method, path, handler)
		own[method] = name
	}
	if free(router, "OPTIONS", path, handler) {
		own["OPTIONS"] = name
	}
}

// free registers a route unless one is in its way: applications answer
// preflights with one OPTIONS route for everything, which may as well answer
// ours.
func free(router gin.IRouter, method, path string, handler gin.HandlerFunc) (ok bool) {
	defer func() { ok = recover() == nil }()
	router.Handle(method, path, handler)
	return true
}

// handler answers a path's requests by method. What fails there is told as the
// event of that name.
func (a *Auth) handler(steps map[string]step, failed EventName) gin.HandlerFunc {
	allow := strings.Join(sortedKeys(steps), ", ")
	return func(c *gin.Context) {
		if !a.live.Load() {
			a.notFound(c)
			return
		}
		if c.Writer.Written() { // too late for cookies and redirects
			a.fail(c, failed, &Error{Code: ErrSessionError, Op: "answer", Reason: "another handler has answered before ginauth could",
				Fix: "no middleware in front of the login routes may write"})
			return
		}
		secure(c.Writer.Header())
		if c.Request.Body != http.NoBody { // gin's Run sets no limit; net/http lifts it for the next request
			_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(a.bodyWait))
		}
		run, ok := steps[c.Request.Method]
		if !ok {
			a.fail(c, failed, &Error{Code: ErrMethodNotAllowed, allow: allow})
			return
		}
		if err := guarded(c, run); err != nil {
			a.fail(c, failed, err)
		}
	}
}

// guarded runs a step, and turns a panic (of a hook, a store, a Provider's
// function) into an error: half a sign-in is none.
func guarded(c *gin.Context, run step) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if r == http.ErrAbortHandler {
				panic(r)
			}
			err = &Error{Code: ErrSessionError, Op: "sign in", Reason: "a function of the application panicked", Err: fmt.Errorf("panic: %.500v", r)}
		}
	}()
	return run(c)
}

// client returns the provider that the route names.
func (a *Auth) client(c *gin.Context) (*client, error) {
	if cl := a.clients[c.Param("provider")]; cl != nil {
		return cl, nil
	}
	return nil, &Error{Code: ErrUnknownProvider, Reason: fmt.Sprintf("no provider is called %q; there are %q", clip(c.Param("provider")), a.order),
		Fix: "use a Name of Options.Providers"}
}

// choose shows the providers, or goes straight to the only one.
func (a *Auth) choose(c *gin.Context) error {
	if a.cfg.LoginPage != "" {
		redirect(c, withReturn(a.loginPath(), a.cfg.orDefault(c.Query("return_to"), "")))
		return nil
	}
	if len(a.order) == 1 {
		location := a.cfg.prefix + a.cfg.mount + "/login/" + a.order[0]
		if c.Request.URL.RawQuery != "" {
			location += "?" + c.Request.URL.RawQuery
		}
		redirect(c, location)
		return nil
	}
	a.page(c, http.StatusOK, a.chooser(c.Request, a.cfg.orDefault(c.Query("return_to"), "")), "")
	return nil
}

// begin starts a sign-in: an attempt in a cookie, and off to the provider.
func (a *Auth) begin(c *gin.Context) error {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	if isPrefetch(c.Request) {
		c.Status(http.StatusNoContent)
		return nil
	}
	if err := onlyNavigation(c.Request); err != nil {
		return err
	}
	a.mindScheme(c.Request)
	if home, moved := a.cfg.homeHost(c.Request); moved {
		redirect(c, home)
		return nil
	}
	params, err := readParams(c.Request)
	if err != nil {
		return asError(err, ErrBadRequest).about("begin sign-in", cl.provider.Name)
	}
	at := a.attempts.begin(c.Request, cl.provider.Name)
	at.returnTo = a.cfg.orDefault(params.Get("return_to"), a.cfg.AfterLogin)
	if err := a.looping(c.Writer, c.Request, at); err != nil {
		return err
	}
	if err := cl.thirdParty(params, at); err != nil {
		return err
	}
	passed, err := cl.pass(params, at)
	if err != nil {
		return err
	}
	if at.linkingOf, err = a.linking(c.Writer, c.Request, params); err != nil {
		return err
	}
	meta, err := cl.metadata(c.Request.Context())
	if err != nil {
		return err
	}
	at.print = meta.print
	location, err := cl.authorizeURL(meta, at, passed)
	if err != nil {
		return err
	}
	if err := a.attempts.save(c.Writer, c.Request, at); err != nil {
		return err
	}
	a.note(c, slog.LevelDebug, "ginauth: sign-in started", Event{Name: SignInStarted, Provider: cl.provider.Name}, nil)
	redirect(c, location)
	return nil
}

// callback takes the provider's answer: the steps of design and standard, in
// the order that lets nothing wrong reach the network.
func (a *Auth) callback(c *gin.Context) error {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	if isPrefetch(c.Request) {
		c.Status(http.StatusNoContent)
		return nil
	}
	params, onward, err := a.readCallback(c.Writer, c.Request, cl)
	if err != nil {
		return err
	}
	if onward != "" {
		redirect(c, onward)
		return nil
	}
	at, err := a.attempts.take(c.Writer, c.Request, cl.provider.Name, params.Get("state"))
	if a.late(c.Writer, c.Request, params, err) {
		a.goTo(c, a.cfg.AfterLogin)
		return nil
	}
	var got arrival
	if err == nil {
		got, err = a.finish(c.Writer, c.Request, cl, at, params, func(l *Login) error { return a.admit(c, l) })
	}
	if err != nil {
		if failed := a.undo(c); failed != nil { // OnLogin may have called SignIn
			err = failed
		}
		if at != nil {
			a.attempts.setFailed(c.Writer, at)
		}
		e := asError(err, ErrSessionError).about("sign in", cl.provider.Name)
		e.retry, e.user, e.took = a.LoginURL(cl.provider.Name, at.wanted()), got.user.hash(), got.took
		return e
	}
	a.loops.add(c.Writer, c.Request)
	a.last.remember(c.Writer, c.Request, cl.provider.Name)
	a.note(c, slog.LevelInfo, "ginauth: signed in", Event{Name: SignInSucceeded, Duration: got.took}, got.session)
	a.goTo(c, got.returnTo)
	return nil
}

// confirmLogout shows a button: a GET, which any page can cause, signs nobody
// out.
func (a *Auth) confirmLogout(c *gin.Context) error {
	p, formTo := a.signOutPage(c.Writer, c.Request, a.cfg.orDefault(c.Query("return_to"), ""))
	a.page(c, http.StatusOK, p, formTo)
	return nil
}

// logout ends the session here first, and then sends the browser on to sign
// out at the provider too.
func (a *Auth) logout(c *gin.Context) error {
	if a.cfg.foreign(c.Request) {
		return &Error{Code: ErrCrossOrigin, Op: "sign out", Reason: "a request to sign out came from another origin", Fix: "send a POST to /logout with a form of your own page"}
	}
	params, _ := readParams(c.Request) // who sends what cannot be read is signed out all the same
	returnTo := a.cfg.orDefault(params.Get("return_to"), a.cfg.AfterLogout)
	s, err := a.leave(c, ByUser)
	if err != nil {
		return err
	}
	next := a.afterLogout(c.Writer, c.Request, s, returnTo)
	there := cmp.Or(next, a.cfg.url(returnTo))
	switch kind := askerOf(c.Request); {
	case kind == asksAPI:
		c.JSON(http.StatusOK, gin.H{"redirect_to": there})
	case kind == asksHTMX:
		c.Header("HX-Redirect", there)
		c.Status(http.StatusNoContent)
	case next != "":
		redirect(c, next)
	default:
		a.goTo(c, returnTo)
	}
	return nil
}

// loggedOut is where the provider's sign-out comes back to. Everything is
// over by then; the state only says where to go.
func (a *Auth) loggedOut(c *gin.Context) error {
	returnTo, _ := a.logouts.take(c.Writer, c.Request, c.Query("state"))
	a.goTo(c, a.cfg.orDefault(returnTo, a.cfg.AfterLogout))
	return nil
}

// backChannel takes the provider's word that a session, or a person, is signed
// out: OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8.
func (a *Auth) backChannel(c *gin.Context) error {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	params, err := readParams(c.Request)
	if err != nil {
		return asError(err, ErrBadRequest).about("back-channel logout", cl.provider.Name)
	}
	if len(params["logout_token"]) != 1 {
		return &Error{Code: ErrLogoutTokenInvalid, Op: "back-channel logout", Provider: cl.provider.Name, Reason: "there is not exactly one logout_token"}
	}
	user, err := a.logoutByToken(c.Request.Context(), cl, params.Get("logout_token"))
	if err != nil {
		return err
	}
	a.note(c, slog.LevelInfo, "ginauth: sessions revoked", Event{Name: SessionsRevoked, By: ByProvider, Provider: cl.provider.Name, User: user.hash()}, nil)
	c.Status(http.StatusOK) // whatever stood there before
	c.Writer.WriteHeaderNow()
	return nil
}

// frontChannelLogout answers the provider's frame, always with the same empty
// page: what it ended, if anything, is nobody's business.
func (a *Auth) frontChannelLogout(c *gin.Context) error {
	cl, err := a.client(c)
	if err != nil {
		return err
	}
	s, err := a.frontChannel(c.Writer, c.Request, cl)
	if err != nil {
		return err
	}
	if s != nil {
		a.left(c, s, ByProvider)
	}
	ancestors := originAt(cl.provider.Issuer)
	if ancestors == "" {
		ancestors = "'none'"
	}
	c.Header("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors "+ancestors)
	c.Data(http.StatusOK, "text/html; charset=utf-8", []byte("<!doctype html><title>Signed out</title>"))
	return nil
}

// notFound answers for a Mount that failed.
func (a *Auth) notFound(c *gin.Context) {
	c.Data(http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found"))
}
