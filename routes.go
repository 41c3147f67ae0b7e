package ginauth

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/printable"
)

// step answers a request to a ginauth route, or returns an error. CONTRIBUTING.md maps each
// route to the file of its step.
type step func(c *gin.Context, g *registry) error

// register registers the routes. Gin panics if a route already exists; register returns an
// error with a Fix instead.
func (a *Auth) register(router gin.IRouter) error {
	a.registerMetadata(router)
	if a.cfg.resourceServer {
		return nil
	}
	errs := a.registerCallbacks(router)
	err := contain.Do(func() error { a.handleAll(router); return nil })
	if p, panicked := err.(*contain.Panic); panicked {
		errs = append(errs, &Error{Code: ErrInvalidOptions, ID: "mount.route_exists", Op: "Mount", Reason: fmt.Sprintf("conflicting route: %v", p.Value),
			Fix: `mount on a group, as in ginauth.Mount(router.Group("/auth"), …), or set Options.LoginPage if the application has its own page at /login; serve the files of a single-page application from NoRoute instead of a catch-all route`})
	}
	return errors.Join(errs...)
}

// handleAll is the table of routes.
func (a *Auth) handleAll(router gin.IRouter) {
	if a.cfg.LoginPage != a.cfg.mount+"/login" {
		a.handle(router, "/login", map[string]step{"GET": a.chooseProvider, "HEAD": a.chooseProvider})
	}
	a.handle(router, "/login/:provider", map[string]step{"GET": a.startLogin, "POST": a.startLogin})
	run := a.callbackAt(a.cfg.mount + "/authorize/" + nameParam)
	callback := map[string]step{"GET": run, "POST": run}
	a.handle(router, "/authorize/:provider", callback)
	// Gin would answer this path with a cacheable 301 whose URL has the code.
	a.handle(router, "/authorize/:provider/", callback)
	a.handle(router, "/logout/redirect", map[string]step{"GET": a.redirectToLogout})
	a.handle(router, "/logout/return", map[string]step{"GET": a.afterProviderLogout})
	a.handle(router, "/logout/:provider/backchannel", map[string]step{"POST": a.backChannel})
	a.handle(router, "/logout/:provider/frontchannel", map[string]step{"GET": a.frontChannel})
	a.handle(router, "/logout", map[string]step{"GET": a.confirmLogout, "HEAD": a.confirmLogout, "POST": a.logout})
}

// handle registers a path with its methods; others get 405, where Gin alone would answer 404.
func (a *Auth) handle(router gin.IRouter, path string, steps map[string]step) {
	failed := SignInFailed
	if strings.HasPrefix(path, "/logout") {
		failed = SignOutFailed
	}
	a.route(router, path, a.handler(steps, failed))
}

// route registers a handler for all methods.
func (a *Auth) route(router gin.IRouter, below string, handler gin.HandlerFunc) {
	name := handlerName(handler)
	own := map[string]string{}
	a.ownRoutes[joined(a.cfg.mount, below)] = own
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE"} {
		router.Handle(method, below, handler)
		own[method] = name
	}
	if handleIfFree(router, "OPTIONS", below, handler) {
		own["OPTIONS"] = name
	}
}

// handlerName returns the name of a handler as Gin's HandlerName does.
func handlerName(handler gin.HandlerFunc) string {
	return runtime.FuncForPC(reflect.ValueOf(handler).Pointer()).Name()
}

// joined joins paths as Gin does.
func joined(base, below string) string {
	whole := path.Join("/", base, below)
	if strings.HasSuffix(below, "/") && whole != "/" {
		whole += "/"
	}
	return whole
}

// handleIfFree registers a route unless it conflicts with an existing one: applications answer
// preflights with one OPTIONS route for all paths, which may include those of ginauth.
func handleIfFree(router gin.IRouter, method, path string, handler gin.HandlerFunc) bool {
	return contain.Do(func() error { router.Handle(method, path, handler); return nil }) == nil
}

// handler answers requests for a path by their method. Failures are reported as events of the
// name failed.
func (a *Auth) handler(steps map[string]step, failed EventName) gin.HandlerFunc {
	allow := strings.Join(sortedKeys(steps), ", ")
	return func(c *gin.Context) {
		if !a.mounted.Load() {
			a.notFound(c)
			return
		}
		if c.Writer.Written() { // too late for cookies and redirects
			a.fail(c, failed, &Error{Code: ErrSessionError, ID: "request.answered_before", Op: "answer", Reason: "another handler has already written a response",
				Fix: "do not write a response in middleware before the login routes"})
			return
		}
		setSecurityHeaders(c.Writer.Header())
		if c.Request.Body != http.NoBody { // gin's Run sets no limit; net/http lifts it for the next request
			_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(a.bodyWait))
		}
		run, ok := steps[c.Request.Method]
		if !ok {
			a.fail(c, failed, &Error{Code: ErrMethodNotAllowed, ID: "request.method", Op: "answer", allow: allow,
				Reason: fmt.Sprintf("method %s is not allowed", printable.Clip(c.Request.Method)), Fix: "send " + allow})
			return
		}
		if isPrefetch(c.Request) {
			refusePrefetch(c)
			return
		}
		if c.Request.Method != http.MethodPost && isBoosted(c.Request) {
			a.navigate(c, c.Request.URL.RawQuery)
			return
		}
		g := a.providers.Load()
		if err := protect(func() error { return run(c, g) }); err != nil {
			a.fail(c, failed, err)
		}
	}
}

// protect calls f and converts a panic of an application function (a hook, a store, a function
// of a Provider) into an error, so that a sign-in never half-succeeds.
func protect(f func() error) error {
	err := contain.Do(f)
	p, panicked := err.(*contain.Panic)
	if !panicked {
		return err
	}
	if p.Value == http.ErrAbortHandler { // net/http's way to abort a connection
		panic(p.Value)
	}
	return hookPanicked("sign in", p)
}

// hookPanicked is the error for a panic in a hook, or in a function of a Provider.
func hookPanicked(op string, p *contain.Panic) *Error {
	return &Error{Code: ErrSessionError, ID: "hook.panicked", Op: op, Reason: "a function of the application panicked", Fix: "see error= for the panic", Err: p}
}

// notFound answers requests after a failed Mount.
func (a *Auth) notFound(c *gin.Context) {
	c.Data(http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found"))
}
