package ginauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/page"
)

// Mount registers the routes of signing in and out under router, which is an
// engine or a group, and returns the Auth that guards the application's own:
//
//	GET       /login                 the page to choose a provider on
//	GET POST  /login/:provider       begins a sign-in
//	GET POST  /authorize/:provider   where providers send the answer
//	GET POST  /logout                a page with a button; ends the session
//
// The redirect URI to register at a provider is BaseURL + the group's path +
// "/authorize/" + the provider's name.
//
// Mount makes no network request: providers are discovered at first use (see
// Warm). It reports every mistake in opts at once, each with what to write
// instead (errors.Is(err, InvalidOptions)); then nothing it registered answers.
func Mount(router gin.IRouter, opts Options) (*Auth, error) {
	mount, ok := basePath(router)
	if !ok {
		return nil, &Error{Code: InvalidOptions, Op: "Mount", Reason: "router is nil", Fix: "pass a *gin.Engine or a *gin.RouterGroup"}
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
			err = &Error{Code: InvalidOptions, Op: "Mount", Reason: fmt.Sprintf("the router has a route in the way: %v", r),
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
	a.handle(router, "/logout", map[string]step{"GET": a.confirmLogout, "HEAD": a.confirmLogout, "POST": a.logout})
	return nil
}

// route is what Gin tells handlers apart by.
type route struct{ method, path string }

// handle registers a path with its methods; the others get 405, which Gin by
// itself answers with 404.
func (a *Auth) handle(router gin.IRouter, path string, steps map[string]step) {
	handler := a.handler(steps)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE"} {
		router.Handle(method, path, handler)
		a.own[route{method, a.cfg.mount + path}] = true
	}
	if free(router, "OPTIONS", path, handler) {
		a.own[route{"OPTIONS", a.cfg.mount + path}] = true
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

// handler answers a path's requests by method.
func (a *Auth) handler(steps map[string]step) gin.HandlerFunc {
	allow := strings.Join(sortedKeys(steps), ", ")
	return func(c *gin.Context) {
		if !a.live.Load() {
			a.notFound(c)
			return
		}
		if c.Writer.Written() { // too late for cookies and redirects
			a.fail(c, &Error{Code: SessionError, Op: "answer", Reason: "another handler has answered before ginauth could",
				Fix: "no middleware in front of the login routes may write"})
			return
		}
		secure(c.Writer.Header())
		run, ok := steps[c.Request.Method]
		if !ok {
			a.fail(c, &Error{Code: MethodNotAllowed, allow: allow})
			return
		}
		if err := guarded(c, run); err != nil {
			a.fail(c, err)
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
			err = &Error{Code: SessionError, Op: "sign in", Reason: "a function of the application panicked", Err: fmt.Errorf("panic: %.500v", r)}
		}
	}()
	return run(c)
}

// client returns the provider that the route names.
func (a *Auth) client(c *gin.Context) (*client, error) {
	if cl := a.clients[c.Param("provider")]; cl != nil {
		return cl, nil
	}
	return nil, &Error{Code: UnknownProvider, Reason: fmt.Sprintf("no provider is called %q; there are %q", clip(c.Param("provider")), a.order),
		Fix: "use a Name of Options.Providers"}
}

// choose shows the providers, or goes straight to the only one.
func (a *Auth) choose(c *gin.Context) error {
	if a.cfg.LoginPage != "" {
		redirect(c, withReturn(a.loginPath(), a.cfg.orDefault(c.Query("return_to"), "")))
		return nil
	}
	own := a.cfg.prefix + a.cfg.mount + "/login/"
	if len(a.order) == 1 {
		location := own + a.order[0]
		if c.Request.URL.RawQuery != "" {
			location += "?" + c.Request.URL.RawQuery
		}
		redirect(c, location)
		return nil
	}
	returnTo := a.cfg.orDefault(c.Query("return_to"), "")
	p := page.Page{Title: "Sign in", Text: "Choose how to sign in."}
	for _, name := range a.order {
		p.Actions = append(p.Actions, page.Action{Label: a.clients[name].provider.DisplayName, URL: withReturn(own+name, returnTo)})
	}
	a.page(c, http.StatusOK, p)
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
	if home, moved := a.cfg.homeHost(c.Request); moved {
		redirect(c, home)
		return nil
	}
	params, err := readParams(c.Request)
	if err != nil {
		return asError(err, BadRequest).about("begin sign-in", cl.provider.Name)
	}
	at := newAttempt(cl.provider.Name, a.cfg.Now())
	at.returnTo = a.cfg.orDefault(params.Get("return_to"), a.cfg.AfterLogin)
	passed, err := cl.pass(params, at)
	if err != nil {
		return err
	}
	if at.linkingOf, err = a.linking(c, params); err != nil {
		return err
	}
	meta, err := cl.metadata(c.Request.Context())
	if err != nil {
		return err
	}
	at.print = cl.fingerprint(meta)
	location, err := cl.authorizeURL(meta, at, passed)
	if err != nil {
		return err
	}
	if err := a.attempts.save(c.Writer, c.Request, at); err != nil {
		return err
	}
	redirect(c, location)
	return nil
}

// linking returns the id of the session that asks to link another account. It
// takes a POST that a page of ours sent: an attacker's page cannot.
func (a *Auth) linking(c *gin.Context, params url.Values) (string, error) {
	r := c.Request
	if r.Method != http.MethodPost || params.Get("link") != "true" {
		return "", nil
	}
	proof := r.Header.Get("Sec-Fetch-Site") == "same-origin" || r.Header.Get("Origin") == a.cfg.origin
	if a.cfg.trusted.Check(r) != nil || !proof {
		return "", &Error{Code: CrossOrigin, Op: "link account", Reason: "the request to link an account did not come from a page of this origin",
			Fix: "send link=true with a form of your own page"}
	}
	s, _, err := a.sessions.load(r.Context(), c.Writer.Header(), r.Header)
	if err != nil {
		return "", err
	}
	if s == nil {
		return "", &Error{Code: Unauthenticated, Op: "link account", Reason: "nobody is signed in to link to"}
	}
	return s.id, nil
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
	params, done, err := a.answerOf(c, cl)
	if done || err != nil {
		return err
	}
	at, err := a.attempts.take(c.Writer, c.Request, cl.provider.Name, params.Get("state"))
	if err != nil {
		err = a.lateAnswer(c, params, err)
	} else {
		err = a.finish(c, cl, at, params)
	}
	if err != nil {
		e := asError(err, SessionError).about("sign in", cl.provider.Name)
		e.retry = a.LoginURL(cl.provider.Name, "")
		if at != nil {
			e.retry = a.LoginURL(cl.provider.Name, at.returnTo)
		}
		return e
	}
	return nil
}

// answerOf reads the provider's answer where its response mode puts it, and
// only there. A form is carried over to a GET first; then done is true.
func (a *Auth) answerOf(c *gin.Context, cl *client) (params url.Values, done bool, err error) {
	r, form := c.Request, cl.provider.ResponseMode == "form_post"
	refuse := &Error{Code: MethodNotAllowed, Op: "read answer", Provider: cl.provider.Name, allow: "GET",
		Reason: "the answer came as " + r.Method + ", which is not this provider's response mode", Fix: `set Provider.ResponseMode to what the provider uses: "query" or "form_post"`}
	switch {
	case r.Method == http.MethodPost && !form:
		return nil, false, refuse
	case r.Method == http.MethodPost:
		if params, err = readAnswer(r); err != nil {
			return nil, false, asError(err, BadRequest).about("read answer", cl.provider.Name)
		}
		if err := a.carrier.put(c.Writer.Header(), params); err != nil {
			return nil, false, err
		}
		redirect(c, a.cfg.url(a.cfg.mount+"/authorize/"+cl.provider.Name)+"?carried="+url.QueryEscape(params.Get("state"))+"#")
		return nil, true, nil
	case form:
		state, carried := c.GetQuery("carried")
		if !carried {
			refuse.allow = "POST"
			return nil, false, refuse
		}
		params, ok := a.carrier.take(c.Writer.Header(), r.Header, state)
		if !ok {
			params = url.Values{"state": {state}} // the attempt's diagnosis says more
		}
		return params, false, nil
	}
	if params, err = readAnswer(r); err != nil {
		return nil, false, asError(err, BadRequest).about("read answer", cl.provider.Name)
	}
	return params, false, nil
}

// lateAnswer forgives the back button, a reload and a second tab: who is
// signed in already goes home, and the answer is not looked at.
func (a *Auth) lateAnswer(c *gin.Context, params url.Values, why error) error {
	if !errors.Is(why, StateInvalid) || len(params.Get("state")) != stateLength || params.Get("error") != "" {
		return why
	}
	s, _, err := a.sessions.load(c.Request.Context(), c.Writer.Header(), c.Request.Header)
	if err != nil || s == nil {
		return why
	}
	a.goTo(c, a.cfg.AfterLogin)
	return nil
}

// finish checks the answer, redeems the code, and signs the person in.
func (a *Auth) finish(c *gin.Context, cl *client, at *attempt, params url.Values) error {
	ctx := c.Request.Context()
	if err := cl.checkAnswer(ctx, params); err != nil {
		return err
	}
	claims, token, err := cl.redeem(ctx, at, params.Get("code"), params)
	if err != nil {
		return err
	}
	user, err := newUser(cl, claims, a.cfg.Now(), a.cfg.loopback)
	if err != nil {
		return err
	}
	login := &Login{User: user, Token: token, ReturnTo: at.returnTo}
	if at.linkingOf != "" {
		if login.Previous, err = a.linkedTo(c, at.linkingOf); err != nil {
			return err
		}
	}
	if err := a.admit(c, login); err != nil {
		return err
	}
	if ctx.Err() != nil { // who hung up gets no session
		return &Error{Code: SessionError, Op: "sign in", Reason: "the browser went away", Err: context.Cause(ctx)}
	}
	s, err := a.sessions.begin(c.Writer, c.Request, login.User, issuedAt(claims), text(claims, "sid"))
	if err != nil {
		return err
	}
	a.note(c, "signed in", s)
	a.goTo(c, a.cfg.orDefault(login.ReturnTo, a.cfg.AfterLogin))
	return nil
}

// linkedTo returns who asked to link, if they are still signed in.
func (a *Auth) linkedTo(c *gin.Context, id string) (*User, error) {
	s, _, err := a.sessions.load(c.Request.Context(), c.Writer.Header(), c.Request.Header)
	if err != nil {
		return nil, err
	}
	if s == nil || s.id != id {
		return nil, stateInvalid("the session that asked to link an account has ended meanwhile", "sign in and link again")
	}
	return &s.user, nil
}

// notFound answers for a Mount that failed.
func (a *Auth) notFound(c *gin.Context) {
	c.Data(http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found"))
}
