package ginauth

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
)

// requestKind is the kind of client that sent a request.
type requestKind int

const (
	apiRequest  requestKind = iota // fetch, XHR or a program: gets JSON and a status
	pageRequest                    // a browser that opens a page: may be redirected
	formRequest                    // a browser that submits a page's form: gets a page
	htmxRequest                    // HTMX, which follows HX-Redirect
)

// kindOf uses the Fetch Metadata headers, which a page cannot forge, and Accept for browsers
// that are too old to send them.
func kindOf(r *http.Request) requestKind {
	if r.Header.Get("HX-Request") == "true" {
		return htmxRequest
	}
	h := r.Header
	page := isNavigation(h)
	if h.Get("Sec-Fetch-Mode") == "" && h.Get("Sec-Fetch-Dest") == "" {
		page = strings.Contains(h.Get("Accept"), "text/html") && h.Get("X-Requested-With") == ""
	}
	switch {
	case !page || isUpgrade(r):
		return apiRequest
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return pageRequest
	}
	return formRequest
}

// kindOf is like the function, except that a request with a bearer token is an API request, if
// tokens are accepted: it is never redirected.
func (a *Auth) kindOf(r *http.Request) requestKind {
	if a.cfg.resourceServer || a.readsCredentials() && hasBearer(r) {
		return apiRequest
	}
	return kindOf(r)
}

// isBoosted recognizes HTMX that loads a link or sends a form for the browser (hx-boost), and
// shows the response in the current page.
func isBoosted(r *http.Request) bool {
	h := r.Header
	return h.Get("Hx-Boosted") == "true" && h.Get("Hx-Request") == "true" // in canonical form, so that Get does not allocate
}

// isNavigation recognizes a page that is opened in a tab. The destination is empty behind a
// service worker that forwards the request, as in e.respondWith(fetch(e.request)). Scripts
// cannot create a request of mode navigate: only the browser's own navigations have that mode
// (Fetch, 5.4, Request constructor).
func isNavigation(h http.Header) bool {
	dest := h.Get("Sec-Fetch-Dest")
	return h.Get("Sec-Fetch-Mode") == "navigate" && (dest == "document" || dest == "empty") || isHandedOnByFirefox(h)
}

// isHandedOnByFirefox recognizes a page that is opened in Firefox behind a service worker that
// forwards the request. Firefox sends the mode same-origin then. A script can set that mode,
// too, but only a script of this origin, which could open the page instead. The script learns
// nothing new: in that mode, a fetch does not follow a redirect to another origin.
//
// Sec-Fetch-Site and Origin describe the worker: a link or a form on another site may have
// requested the page. A form from another site comes without SameSite=Lax cookies.
func isHandedOnByFirefox(h http.Header) bool {
	return h.Get("Sec-Fetch-Mode") == "same-origin" && h.Get("Sec-Fetch-Dest") == "empty" && h.Get("Sec-Fetch-Site") == "same-origin" &&
		strings.Contains(h.Get("Accept"), "text/html") && h.Get("X-Requested-With") == ""
}

// setSecurityHeaders sets the headers of all responses of ginauth's routes: they must not be
// stored, framed or sniffed, nor their URL sent as a referrer (RFC 9700, 4.2.4).
func setSecurityHeaders(h http.Header) {
	values := [...]string{"no-store", "no-cache", "no-referrer", "nosniff", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}
	for i, name := range [...]string{"Cache-Control", "Pragma", "Referrer-Policy", "X-Content-Type-Options", "Content-Security-Policy"} {
		h[name] = values[i : i+1 : i+1] // one allocation for all
	}
}

// keepPrivate keeps a response out of caches, even if a handler sets Cache-Control later: the
// response has a session cookie, which a cache would send to other users.
func keepPrivate(c *gin.Context) {
	if _, already := c.Writer.(privateWriter); !already {
		w := privateWriter{c.Writer}
		w.setPrivate() // for a response without a body, where no guard runs keepEmptyPrivate
		c.Writer = w
	}
}

type privateWriter struct{ gin.ResponseWriter }

func (w privateWriter) setPrivate() {
	if h := w.Header(); !strings.Contains(h.Get("Cache-Control"), "no-store") {
		h.Set("Cache-Control", "private, no-store")
	}
}

// WriteHeaderNow, Write, WriteString and Flush send the headers of a response.
func (w privateWriter) WriteHeaderNow() {
	w.setPrivate()
	w.ResponseWriter.WriteHeaderNow()
}

func (w privateWriter) Write(p []byte) (int, error) {
	w.setPrivate()
	return w.ResponseWriter.Write(p)
}

func (w privateWriter) WriteString(s string) (int, error) {
	w.setPrivate()
	return w.ResponseWriter.WriteString(s)
}

func (w privateWriter) Flush() {
	w.setPrivate()
	w.ResponseWriter.Flush()
}

// Unwrap is for http.ResponseController.
func (w privateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// keepEmptyPrivate handles responses without a body: Gin sends their headers without going
// through c.Writer.
func keepEmptyPrivate(c *gin.Context) {
	if w, ok := c.Writer.(privateWriter); ok {
		w.setPrivate()
	}
}

// redirect redirects with 303, which turns a POST into a GET (RFC 9700, 4.12).
func redirect(c *gin.Context, location string) {
	c.Header("Location", location)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
}

// goTo redirects to a path of the application. The URL is absolute and has a fragment, even an
// empty one: otherwise a browser keeps the fragment of the callback, which an attacker may
// have set.
func (a *Auth) goTo(c *gin.Context, path string) {
	if !strings.Contains(path, "#") {
		path += "#"
	}
	redirect(c, a.cfg.absolute(path))
}

// navigate makes HTMX open the requested URL in the tab, with params as its query: a fetch can
// neither continue to a provider nor apply the Content-Security-Policy of a ginauth page.
func (a *Auth) navigate(c *gin.Context, params string) {
	location := a.cfg.prefix + "/" + strings.TrimLeft(sentPath(c.Request.URL), "/") // no //host
	if params != "" {
		location += "?" + params
	}
	c.Header("HX-Redirect", location)
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
}

// fail is the only function that answers an error. It aborts: in Gin, the next handler runs
// after a handler that only returns.
func (a *Auth) fail(c *gin.Context, event EventName, err error) {
	e := complete(err, Error{Code: ErrSessionError, ID: "request.failed"})
	c.Abort()
	switch {
	case e.Code == ErrStepUpRequired:
		e = a.stepUp(c, e)
	case e.ID == "session.ended": // while its tokens were being refreshed: another session may have started
		a.detach(c)
	case e.Code == ErrUnauthenticated && a.authenticated(c) != nil: // from a check: the sign-in would redirect back here in a loop
		if kind := a.kindOf(c.Request); kind == pageRequest || kind == htmxRequest {
			e.Code = ErrForbidden
		}
	}
	if e.Code == ErrUnauthenticated && a.cfg.LoginPage != "" && a.kindOf(c.Request) == pageRequest && !c.Writer.Written() {
		if loop := a.checkPageLoop(c, a.ownLoginPage(c.Request.URL.Path)); loop != nil {
			e = loop
		}
	}
	e.Event = event // overrides the Event of an *Error of the application
	if status := e.Status(); event == RequestRefused && e.retry == "" && (status == http.StatusBadGateway || status == http.StatusGatewayTimeout) && kindOf(c.Request) == pageRequest {
		e.retry = a.cfg.absolute(a.cfg.loginReturnPath(c.Request)) // the failure may be temporary
	}
	a.logFailure(c, event, e)
	if c.Writer.Written() {
		return
	}
	setSecurityHeaders(c.Writer.Header())
	if e.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int(e.retryAfter/time.Second)))
	}
	if h := c.Writer.Header(); h["Www-Authenticate"] == nil {
		if challenge := a.challenge(c.Request, e); challenge != "" {
			h.Set("WWW-Authenticate", challenge)
		}
	}
	c.Header("Allow", e.allow) // omitted by Gin if it is empty
	if a.answeredByHook(c, e) {
		return
	}
	switch {
	case e.Code == ErrUnauthenticated && !a.cfg.resourceServer:
		a.writeLogin(c, e, "ended", withReturn(a.loginPath(), a.cfg.loginReturnPath(c.Request)), nil)
	case e.Code == ErrStepUpRequired:
		a.writeStepUp(c, e)
	default:
		a.writeError(c, e, requestID(c))
	}
}

// Fail responds to a request with err as [Auth.RequireAuth] does, and aborts it: a page load
// whose user must sign in, or authenticate again, is redirected; other errors get the status of
// their [Code], or 500 ([ErrSessionError]) if err has none. A page load of a signed-in user gets
// 403 ([ErrForbidden]) for [ErrUnauthenticated], since the sign-in would only redirect back.
// [Hooks.OnError] may respond instead. Use it in handlers that detect such an error themselves:
//
//	if err := ginauth.MaxAge(5 * time.Minute)(ginauth.CurrentUser(c)); err != nil {
//		auth.Fail(c, err)
//		return
//	}
//
// Put [Auth.RequireAuth] or [Auth.LoadUser] before the handler: without one CurrentUser is nil,
// and a signed-in user would be redirected to the sign-in repeatedly. Fail responds to such a
// request with 500 ([ErrSessionError]).
//
// An error of [Auth.BeginLogin] or [Auth.SignIn] is a [SignInFailed] event, and one of
// [Auth.Logout] a [SignOutFailed]; any other is a [RequestRefused].
//
// Fail does nothing if err is nil. If the response is already written, it only aborts and
// logs.
func (a *Auth) Fail(c *gin.Context, err error) {
	switch _, refused := errors.AsType[refusal](err); {
	case err == nil:
		return
	case refused: // by a check of this package
		err = checkError(err, "")
	case errors.Is(err, ErrUnauthenticated) && a.authenticated(c) == nil:
		if a.lacksGuard(c) {
			err = &Error{Code: ErrSessionError, ID: "guard.missing", Op: "fail", Reason: "the user is signed in, but the route has no guard that loads the user",
				Fix: "add RequireAuth or LoadUser to this route"}
		}
	}
	event := RequestRefused
	if e, _ := errors.AsType[*Error](err); e != nil {
		event = cmp.Or(e.during, event)
	}
	a.fail(c, event, err)
}

// lacksGuard reports whether a request without a user would have one behind a guard.
func (a *Auth) lacksGuard(c *gin.Context) bool {
	_, refused := c.Request.Context().Value(authRequestKey{a}).(*refusedCredential)
	if refused || a.refusesOrigin(c.Request) || a.readsCredentials() && hasBearer(c.Request) {
		return false
	}
	s, _ := a.providers.Load().sessions.load(c.Writer, c.Request, a.cfg.Now())
	return s != nil
}

// answeredByHook calls Hooks.OnError and reports whether it has answered. Failures during the
// hook, in a guard that it calls or by Auth.Fail, get the built-in response.
func (a *Auth) answeredByHook(c *gin.Context, e *Error) bool {
	if a.cfg.Hooks.OnError == nil || a.isRunning(c.Request.Context(), "OnError") {
		return false
	}
	defer a.running(c, "OnError")()
	status := c.Writer.Status()
	c.Writer.Header().Del("Content-Security-Policy") // the application's page has its own styles
	err := contain.Do(func() error { a.cfg.Hooks.OnError(c, e); return nil })
	p, panicked := err.(*contain.Panic)
	if panicked {
		a.cfg.log(c.Request.Context(), slog.LevelError, "hook.on_error_panicked", "Hooks.OnError panicked", slog.String("panic", p.Text()))
	}
	// A status alone is also a response; under NoRoute it is 404 from the start.
	if c.Writer.Written() || !panicked && c.Writer.Status() != status {
		return true
	}
	setSecurityHeaders(c.Writer.Header())
	return false
}

// writeError answers a browser with a page and a program with JSON. Both contain the code and
// never the cause.
func (a *Auth) writeError(c *gin.Context, e *Error, id string) {
	if kind := a.kindOf(c.Request); kind == apiRequest || kind == htmxRequest {
		body := gin.H{"error": e.Code, "message": a.message(e.text, e.Code), "request_id": id}
		if e.Code == ErrLogoutTokenInvalid { // the value that Back-Channel Logout 1.0, 2.8, requires
			body["error"] = "invalid_request"
		}
		if a.cfg.loopback && e.Reason != "" {
			body["id"], body["reason"], body["fix"], body["docs"] = e.ID, e.Reason, e.Fix, e.docs()
		}
		c.JSON(e.Status(), body)
		return
	}
	a.writePage(c, e.Status(), a.errorPage(c.Request, e, id), "")
}

// writePage answers with a page. Its forms may also redirect to the origin formTo.
func (a *Auth) writePage(c *gin.Context, status int, p *Page, formTo string) {
	if err := a.pages.write(c.Writer, status, p, formTo); err != nil {
		a.cfg.log(c.Request.Context(), slog.LevelWarn, "page.not_written", "writing the page failed", slog.Any("error", err))
	}
}

// writeLogin answers a request whose user must visit login first: a page load is redirected
// there, a form gets a page of that kind with a button, and other requests get the URL, since a
// fetch cannot show a login.
func (a *Auth) writeLogin(c *gin.Context, e *Error, kind, login string, more gin.H) {
	switch a.kindOf(c.Request) {
	case pageRequest:
		redirect(c, login)
	case formRequest:
		a.writePage(c, e.Status(), a.loginFirstPage(c.Request, kind, e, requestID(c), login), "")
	case htmxRequest:
		c.Header("HX-Redirect", login)
		fallthrough
	default:
		body := gin.H{"error": e.Code, "message": a.message("", e.Code), "login_url": login, "request_id": requestID(c)}
		maps.Copy(body, more)
		c.JSON(e.Status(), body)
	}
}

// loginPath returns the public path at which a sign-in begins.
func (a *Auth) loginPath() string {
	return a.cfg.prefix + cmp.Or(a.cfg.LoginPage, a.cfg.mount+"/login")
}

// refusePrefetch answers a prefetch: no sign-in begins, no code is consumed, and the browser
// does not store a redirect to a login that may be unnecessary at the time of the click. The
// status must be an error: browsers keep a successful response, even an empty one, and show it
// for the click.
func refusePrefetch(c *gin.Context) {
	c.Abort()
	setSecurityHeaders(c.Writer.Header())
	c.Status(http.StatusServiceUnavailable)
	c.Writer.WriteHeaderNow()
}
