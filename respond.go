package ginauth

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
)

// asker is what kind of program waits for an answer.
type asker int

const (
	asksAPI  asker = iota // fetch, XHR, another program: JSON and a status
	asksPage              // a browser that opens a page: may be redirected
	asksForm              // a browser that sends a page's form: gets a page
	asksHTMX              // HTMX, which follows HX-Redirect
)

// askerOf reads the Fetch Metadata headers, which a page cannot forge, and
// Accept where a browser is too old to send them.
func askerOf(r *http.Request) asker {
	if r.Header.Get("HX-Request") == "true" {
		return asksHTMX
	}
	h := r.Header
	page := h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
	if h.Get("Sec-Fetch-Mode") == "" && h.Get("Sec-Fetch-Dest") == "" {
		page = strings.Contains(h.Get("Accept"), "text/html") && h.Get("X-Requested-With") == ""
	}
	switch {
	case !page || isUpgrade(r):
		return asksAPI
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return asksPage
	}
	return asksForm
}

// secure sets what every answer of our own routes bears: nothing of it may be
// stored, framed, guessed at, or told to the next site (RFC 9700, 4.2.4).
func secure(h http.Header) {
	values := [...]string{"no-store", "no-cache", "no-referrer", "nosniff", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}
	for i, name := range [...]string{"Cache-Control", "Pragma", "Referrer-Policy", "X-Content-Type-Options", "Content-Security-Policy"} {
		h[name] = values[i : i+1 : i+1] // one allocation for all
	}
}

// private keeps an answer out of caches, whatever a handler says about it
// later: it sets somebody's session cookie, which a cache would give to others.
func private(c *gin.Context) {
	if _, already := c.Writer.(privateWriter); !already {
		c.Writer = privateWriter{c.Writer}
	}
}

type privateWriter struct{ gin.ResponseWriter }

func (w privateWriter) mark() {
	if h := w.Header(); !strings.Contains(h.Get("Cache-Control"), "no-store") {
		h.Set("Cache-Control", "private, no-store")
	}
}

// WriteHeaderNow, Write, WriteString and Flush are what begins an answer.
func (w privateWriter) WriteHeaderNow() {
	w.mark()
	w.ResponseWriter.WriteHeaderNow()
}

func (w privateWriter) Write(p []byte) (int, error) {
	w.mark()
	return w.ResponseWriter.Write(p)
}

func (w privateWriter) WriteString(s string) (int, error) {
	w.mark()
	return w.ResponseWriter.WriteString(s)
}

func (w privateWriter) Flush() {
	w.mark()
	w.ResponseWriter.Flush()
}

// Unwrap is for http.ResponseController.
func (w privateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// settle marks an answer that nothing was written of: Gin sends its headers
// behind the back of c.Writer.
func settle(c *gin.Context) {
	if w, ok := c.Writer.(privateWriter); ok {
		w.mark()
	}
}

// redirect sends the browser on with 303, which turns a POST into a GET
// (RFC 9700, 4.12).
func redirect(c *gin.Context, location string) {
	c.Header("Location", location)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
}

// goTo sends the browser to a path of the application. The address is whole,
// and has a fragment even if it is empty: a browser would take over the one of
// the callback, with whatever an attacker had the provider put there.
func (a *Auth) goTo(c *gin.Context, path string) {
	if !strings.Contains(path, "#") {
		path += "#"
	}
	redirect(c, a.cfg.url(path))
}

// fail is the only place that answers an error. It aborts: in Gin, a handler
// that merely returns lets the next one run.
func (a *Auth) fail(c *gin.Context, event EventName, err error) {
	e := asError(err, ErrSessionError)
	c.Abort()
	a.log(c, event, e)
	if c.Writer.Written() {
		return
	}
	secure(c.Writer.Header())
	if e.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(int(e.retryAfter/time.Second)))
	}
	c.Header("Allow", e.allow) // which Gin leaves out if it is empty
	if a.answered(c, e) {
		return
	}
	if e.Code == ErrUnauthenticated {
		a.askToSignIn(c, e)
		return
	}
	a.answer(c, e, requestID(c))
}

// answered lets the application's OnError answer, and says whether it did.
func (a *Auth) answered(c *gin.Context, e *Error) bool {
	if a.cfg.Hooks.OnError == nil {
		return false
	}
	status := c.Writer.Status()
	c.Writer.Header().Del("Content-Security-Policy") // the application's page has its own styles
	err := contain.Do(func() error { a.cfg.Hooks.OnError(c, e); return nil })
	p, panicked := err.(*contain.Panic)
	if panicked {
		a.cfg.Logger.Error("ginauth: Hooks.OnError panicked", "panic", p.Text())
	}
	// A status alone is an answer too; under NoRoute it is 404 from the start.
	if c.Writer.Written() || !panicked && c.Writer.Status() != status {
		return true
	}
	secure(c.Writer.Header())
	return false
}

// answer tells a person on a page and a program in JSON what happened: the
// code, and never the cause.
func (a *Auth) answer(c *gin.Context, e *Error, id string) {
	if kind := askerOf(c.Request); kind == asksAPI || kind == asksHTMX {
		body := gin.H{"error": e.Code, "message": a.message(e.Code), "request_id": id}
		if e.Code == ErrLogoutTokenInvalid { // Back-Channel Logout 1.0, 2.8, has the word
			body["error"] = "invalid_request"
		}
		if a.cfg.loopback && e.Reason != "" {
			body["reason"], body["fix"], body["docs"] = e.Reason, e.Fix, e.Code.docs()
		}
		c.JSON(e.Status(), body)
		return
	}
	a.page(c, e.Status(), a.errorPage(c.Request, e, id), "")
}

// page draws a page; its forms may be redirected to formTo too.
func (a *Auth) page(c *gin.Context, status int, p *Page, formTo string) {
	if err := a.pages.write(c.Writer, status, p, formTo); err != nil {
		a.cfg.Logger.Warn("ginauth: page could not be written", "error", err)
	}
}

// askToSignIn answers who is not signed in: a page is sent to the login, and
// everything else is told to, since a login cannot happen behind a fetch.
func (a *Auth) askToSignIn(c *gin.Context, e *Error) {
	login := withReturn(a.loginPath(), a.cfg.comeBack(c.Request))
	switch askerOf(c.Request) {
	case asksPage:
		redirect(c, login)
	case asksForm:
		a.page(c, e.Status(), a.endedPage(c.Request, e, requestID(c), login), "")
	case asksHTMX:
		c.Header("HX-Redirect", login)
		fallthrough
	default:
		c.JSON(e.Status(), gin.H{"error": e.Code, "message": a.message(e.Code), "login_url": login, "request_id": requestID(c)})
	}
}

// loginPath is where signing in begins.
func (a *Auth) loginPath() string {
	return a.cfg.prefix + cmp.Or(a.cfg.LoginPage, a.cfg.mount+"/login")
}
