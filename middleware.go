package ginauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
)

// userKey is the type of UserKey. It is unexported, so that no string key of an application
// can be mistaken for it.
type userKey struct{}

// UserKey is the key of the user in a Gin context: c.MustGet(ginauth.UserKey).(*ginauth.User).
// Most handlers use [CurrentUser] instead.
var UserKey userKey

// CurrentUser returns the user of the request: signed in by a session, an access token or
// [Hooks.Authenticate]. It returns nil if the request is unauthenticated, or if neither
// [Auth.RequireAuth] nor [Auth.LoadUser] ran before. ctx is a *gin.Context, or a context
// derived from c.Request.Context(); a context derived from the *gin.Context itself has no
// user, since Gin reuses it for other requests.
//
// If several Auths guard one handler, CurrentUser returns the user of the last one;
// distinguish them with [FromProvider] or User.Provider.
func CurrentUser(ctx context.Context) *User {
	if c, ok := ctx.(*gin.Context); ok {
		v, _ := c.Get(UserKey)
		u, _ := v.(*User)
		return u
	}
	if ctx.Value(gin.ContextKey) != nil {
		return nil
	}
	u, _ := ctx.Value(UserKey).(*User)
	return u
}

// RequireAuth returns middleware that admits authenticated requests whose user passes every
// check, and makes the user available through [CurrentUser]. If no user is signed in, it
// redirects page loads to /login and answers other requests with 401 ([ErrUnauthenticated]). A
// user that fails a check gets 403 ([ErrForbidden]), or the status of the [*Error] that the
// check returned. With [MaxAge] and [ACR], page loads are redirected to the provider
// ([ErrStepUpRequired]). Every check is evaluated: an error that authenticating again cannot
// fix is returned first; otherwise the requirements of the others are combined into one
// redirect. After an error response the request is aborted: no later handler runs.
//
// If [Provider.Audience] is set, RequireAuth also accepts the provider's access tokens in the
// Authorization header, in guards with a [HasScope] or [IsClient] check. The request's session
// cookie is then ignored, and it is never redirected: an invalid, expired or revoked token
// gets 401 ([ErrInvalidToken]), a token that no such check admits 403
// ([ErrInsufficientScope]), one that does not satisfy MaxAge or ACR 401 ([ErrStepUpRequired],
// RFC 9470), and a malformed header or a token in the query 400 ([ErrBadRequest]). If the
// provider is unavailable and the token cannot be verified without it, the response is 503.
// The WWW-Authenticate header names the error (RFC 6750, section 3) and the address of the
// metadata (RFC 9728, section 5.1).
//
// With [Provider.Recheck], the provider is asked first if the interval has passed. If
// [Options.Sessions] or [Options.Revocations] fails, the response is 503
// ([ErrStoreUnavailable]).
//
// Unsafe requests (POST, PUT, WebSocket upgrades, …) from another origin get 403
// ([ErrCrossOrigin]), unless the origin is one of [Options.TrustedOrigins] or the request is
// authenticated by a bearer token, which browsers do not send on their own.
//
// RequireAuth panics if a is nil, because the error of [Mount] was not checked, and if one of
// checks is nil.
func (a *Auth) RequireAuth(checks ...Check) gin.HandlerFunc {
	a.mustBeMounted()
	mustNotBeNil("RequireAuth", checks)
	a.warnAboutChecks(checks)
	checks = slices.Clone(checks)
	readOnly := allReadOnly(checks)
	demand, rest := demandOf(checks)
	restReadOnly := allReadOnly(rest)
	scopes := scopesOf(checks)
	a.scopes.add(scopes)
	scope := strings.Join(scopes, " ")
	return func(c *gin.Context) {
		if name, ours := a.ownRoutes[c.FullPath()][c.Request.Method]; ours && name == c.HandlerName() {
			return // RequireAuth on the whole engine must not block the login routes
		}
		defer returnForm(c, c.Request)
		v, err := a.authenticate(c)
		if err == nil && v == nil {
			if isPrefetch(c.Request) {
				refusePrefetch(c)
				return
			}
			e := a.unauthenticated(c.Request)
			e.scope, err = scope, e
		}
		if err == nil && a.refusesOrigin(c.Request) {
			err = crossOriginError("guard")
		}
		switch {
		case err != nil || len(checks) == 0 && v.opened.user.Grant == nil:
		case demand.conflict != nil:
			err = demand.conflict
		case !demand.isMet(v):
			err = checkUser(checks, readOnly, v)
		case len(rest) > 0:
			err = checkUser(rest, restReadOnly, v)
		}
		if err != nil {
			a.fail(c, RequestRefused, err)
			return
		}
		v.show()
		next(c)
	}
}

// LoadUser returns middleware that makes the signed-in user available through [CurrentUser]
// and never rejects a request. The request is unauthenticated if no user is signed in; if
// [Auth.RequireAuth] would reject it as cross-origin; if [Provider.Recheck] requires the user
// to return to the provider; or if [Options.Sessions] or [Options.Revocations] fails. The last
// two are logged.
//
// LoadUser does not accept access tokens, which only a guard with [HasScope] or [IsClient]
// admits: a request with a bearer token is unauthenticated even if it has a session cookie.
// The same applies to a user of [Hooks.Authenticate] with a Grant; without one it is
// available. LoadUser panics if a is nil.
func (a *Auth) LoadUser() gin.HandlerFunc {
	a.mustBeMounted()
	return func(c *gin.Context) {
		defer returnForm(c, c.Request)
		if a.refusesOrigin(c.Request) {
			vary(c.Writer.Header(), new([1]string))
			a.detach(c)
		} else if v, err := a.identify(c, false); err == errTokenIgnored {
			vary(c.Writer.Header(), new([1]string)) // a guard in front may have admitted the token
		} else if v != nil && v.opened.user.Grant != nil && !v.shown {
			vary(c.Writer.Header(), new([1]string))
			a.detach(c)
		} else if err != nil {
			vary(c.Writer.Header(), new([1]string)) // even if Authenticate rejected the request before a cookie was read
			a.logFailure(c, RequestRefused, complete(err, Error{Code: ErrStoreUnavailable, ID: "store.failed"}))
		} else if v != nil {
			v.show()
		}
		next(c)
	}
}

// next runs the handlers behind a guard. A guard that is called by Hooks.Authenticate or
// OnToken of another Auth runs no handlers, since that Auth has not decided yet.
func next(c *gin.Context) {
	if c.Request.Context().Value(askingKey{}) == nil {
		c.Next()
	}
	keepEmptyPrivate(c)
}

// mustBeMounted panics at startup, rather than at the first request, if the error of Mount was
// not checked.
func (a *Auth) mustBeMounted() {
	if a == nil {
		panic("ginauth: guard of a nil *Auth: check the error returned by Mount")
	}
}

// returnForm copies the form that handlers have parsed, in the guard's copy of the request, to
// the original request: net/http removes the temporary files of an upload that it finds there.
func returnForm(c *gin.Context, original *http.Request) {
	if form := c.Request.MultipartForm; form != nil && original.MultipartForm == nil {
		original.MultipartForm = form
	}
}

// unauthenticated returns the error for a request without a user. A guard on the sign-in page
// itself would cause a redirect loop.
func (a *Auth) unauthenticated(r *http.Request) *Error {
	if page := a.providers.Load().loginPageOf(r); page != "" {
		return &Error{Code: ErrSessionError, ID: "guard.login_page", Op: "guard", Reason: "RequireAuth guards " + page + ", the sign-in itself, so no user can sign in",
			Fix: "remove RequireAuth from that route, or register it outside the guarded group"}
	}
	return &Error{Code: ErrUnauthenticated, ID: "guard.unauthenticated", Op: "guard", Reason: "no user is signed in", Fix: "sign in; page loads are redirected to the login page"}
}

// isCrossOrigin reports whether an unsafe request comes from another origin: an unsafe method,
// or a WebSocket handshake, which is a GET with side effects. Browsers send Sec-Fetch-Site;
// those from before 2023 send only Origin, and programs send neither.
func (c *config) isCrossOrigin(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		if !isUpgrade(r) {
			return false
		}
	}
	origin := r.Header.Get("Origin")
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		if origin == "" || origin == c.origin {
			return false
		}
	}
	// Sec-Fetch-Site cannot be set by a page, so beside another value our own origin in Origin
	// is a contradiction. The whole origin is compared, with its scheme: net/http's
	// CrossOriginProtection compares Origin with Host, so http://host passes for https://host,
	// and an attacker who impersonates the host over http would be admitted.
	return !slices.Contains(c.TrustedOrigins, origin)
}

func crossOriginError(op string) *Error {
	return &Error{Code: ErrCrossOrigin, ID: "request.cross_origin", Op: op, Reason: "an unsafe cross-origin request was sent with the user's credential",
		Fix: "add the origin to Options.TrustedOrigins if it is yours"}
}

// checkUser evaluates the checks. A check that panics rejects the user. The checks of this
// package (readOnly) do not panic and use the handler's User until a handler has received it:
// copying it would take a tenth of the request's time.
func checkUser(checks []Check, readOnly bool, v *authRequest) error {
	if readOnly && !v.shown {
		v.admitted = false
		v.user.Grant.decide(&v.admitted)
		err := askChecks(checks, &v.user)
		v.user.Grant.decide(nil)
		return v.opened.user.Grant.judged(v.admitted, err, &v.opened.user)
	}
	u := v.opened.user.clone() // not v.user: a handler or a check may have changed it
	u.request = v
	var admitted *bool
	if u.Grant != nil {
		admitted = new(bool) // not in v: a check may call HasScope later, in a goroutine
		u.Grant.decide(admitted)
	}
	err := contain.Do(func() error { return askChecks(checks, u) })
	if p, panicked := err.(*contain.Panic); panicked {
		return &Error{Code: ErrForbidden, ID: "check.panicked", Op: "check", Reason: "a Check panicked", Fix: "see error= for the panic", Err: p}
	}
	if admitted == nil {
		return err
	}
	return v.opened.user.Grant.judged(*admitted, err, &v.opened.user)
}

// askChecks evaluates every check: a rejection takes precedence over a demand, and demands are
// merged.
func askChecks(checks []Check, u *User) error {
	var demands *Error
	for _, check := range checks {
		err := check(u)
		if err == nil {
			continue
		}
		e := checkError(err, u.Provider)
		if e.demand == nil {
			return e
		}
		if demands == nil {
			demands = e
		} else if demands, err = merge(demands, e); err != nil {
			return err
		}
	}
	if demands != nil {
		return demands
	}
	return nil
}

// checkError converts the error of a Check into an *Error.
func checkError(err error, provider string) *Error {
	return complete(err, Error{Code: ErrForbidden, ID: "check.refused", Op: "check", Provider: provider, Reason: "a Check rejected the user", Fix: notAdmitted + "; otherwise see error= in the log under the same request id"})
}

// authRequest is an authenticated request: its user, context and http.Request in one
// allocation. It is immutable; Update creates a new one.
type authRequest struct {
	context.Context
	registry *registry // the providers of this request
	opened   *opened   // the session; handlers cannot change it
	user     User      // passed to handlers, which may change it
	request  http.Request
	groups   [groupsRoom]string // room for user.Groups
	vary     [1]string          // room for the Vary line, not shared, since other middleware may write to it
	cache    [1]string          // the same for Cache-Control
	asked    int64              // when the session was found not to be revoked, in Unix microseconds
	isNew    bool               // the session began in this request
	shown    bool               // a handler has received user, and may have changed it
	admitted bool               // a check has admitted the token
	asking   bool               // Hooks.Authenticate is running; only for the request's goroutine, since writing state takes 1 % of a request
	state    atomic.Uint32      // which of the fields above are set
}

// The states of an authRequest.
const (
	unidentified uint32 = iota // only the context and the request are set
	identified                 // there is a user
	ended                      // the user has signed out
)

// authRequestKey is the context key of what an Auth stored in a request's context: an
// *authRequest or a *refusedCredential.
type authRequestKey struct{ auth *Auth }

// askingKey is the context key that is set while Hooks.Authenticate or OnToken of any Auth is
// running.
type askingKey struct{}

// Value implements context.Context.
func (v *authRequest) Value(key any) any {
	switch key := key.(type) {
	case userKey:
		switch v.state.Load() {
		case identified:
			return &v.user
		case ended:
			return (*User)(nil)
		}
	case authRequestKey:
		if key.auth == v.registry.auth {
			return v
		}
	case askingKey:
		if v.asking {
			return v
		}
	}
	return v.Context.Value(key)
}

// newAuthRequest returns an authRequest for a user of these providers. It reuses the one that
// Hooks.Authenticate was called with if the request is still the same.
func (a *Auth) newAuthRequest(c *gin.Context, g *registry, o *opened, asked time.Time) *authRequest {
	v, _ := c.Request.Context().(*authRequest)
	if v == nil || v.registry != g || c.Request != &v.request || v.state.Load() != unidentified {
		v = &authRequest{registry: g}
	}
	v.opened, v.asked = o, asked.UnixMicro()
	o.user.copyTo(&v.user, v.groups[:0])
	v.user.request = v
	return v
}

// wrap makes v the context of the request, unless it is that already.
func (v *authRequest) wrap(c *gin.Context) {
	if c.Request != &v.request {
		v.Context = c.Request.Context()
		v.request = *c.Request.WithContext(v)
		c.Request = &v.request
	}
}

// hasSession reports whether the user has a session, rather than a token or a credential of
// Hooks.Authenticate.
func (v *authRequest) hasSession() bool { return v.opened.id != "" }

// show records that a handler has received the user. It writes only once, since a goroutine of
// the handler may be reading it in a check.
func (v *authRequest) show() {
	if !v.shown {
		v.shown = true
	}
}

// session returns a copy of the session, which handlers cannot have changed.
func (v *authRequest) session() *session { return v.opened.copy() }

// authenticate identifies the user of a request, once per request: by Hooks.Authenticate, an
// access token, or the session, in this order. It stores the user in Gin's context and the
// request's. It returns nil for an unauthenticated request.
func (a *Auth) authenticate(c *gin.Context) (*authRequest, error) { return a.identify(c, true) }

// identify is authenticate, except that it reads access tokens only if tokens is true.
// Otherwise it returns errTokenIgnored for a request with one, whose session is ignored too.
func (a *Auth) identify(c *gin.Context, tokens bool) (*authRequest, error) {
	found := c.Request.Context().Value(authRequestKey{a})
	if v, ok := found.(*authRequest); ok && CurrentUser(c) == &v.user {
		return v, nil
	}
	if a.readsCredentials() {
		if v, err := a.credential(c, found, tokens, "authenticate"); v != nil || err != nil {
			return v, err
		}
	}
	return a.openSession(c)
}

// openSession loads the session of a request and attaches its user. It returns nil without a
// session.
func (a *Auth) openSession(c *gin.Context) (*authRequest, error) {
	if a.cfg.resourceServer {
		return nil, nil
	}
	r := c.Request
	h, now := c.Writer.Header(), a.cfg.Now()
	cookies := len(h["Set-Cookie"])
	g := a.providers.Load()
	o, err := g.sessions.load(c.Writer, r, now)
	if len(h["Set-Cookie"]) != cookies {
		keepPrivate(c)
	}
	if o == nil {
		vary(h, new([1]string)) // caches must not serve a response without a user to signed-in users
		return nil, err
	}
	var found *renewal
	if g.rechecks && o.tokens != nil {
		if found, err = a.recheckIfDue(c, g, o, now); errors.Is(err, ErrUnauthenticated) {
			vary(h, new([1]string))
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	if found != nil || o.oldKey || now.UnixMicro() >= o.renewAt { // before the handler writes anything
		keepPrivate(c)
		s := o.copy()
		found.apply(s)
		s.lastSeen = now
		if err := g.sessions.renew(c.Writer, r, s); err != nil {
			return nil, err
		}
		if s.hint != "" {
			a.idTokenHints.save(h, s, s.hint)
		}
		o = g.sessions.read(string(g.sessions.encode(s)), false)
	}
	v := a.newAuthRequest(c, g, o, now)
	vary(h, &v.vary)
	a.attach(c, v)
	return v, nil
}

// attach stores the user of an authenticated request in Gin's context and the request's.
func (a *Auth) attach(c *gin.Context, v *authRequest) {
	v.cache[0] = "private, no-store"
	c.Writer.Header()["Cache-Control"] = v.cache[:]
	v.wrap(c)
	v.state.Store(identified)
	c.Set(UserKey, &v.user)
}

// attachSession is attach for a session that began, or changed, in this request.
func (a *Auth) attachSession(c *gin.Context, g *registry, s *session, isNew bool) {
	v := a.newAuthRequest(c, g, g.sessions.read(string(g.sessions.encode(s)), false), s.lastSeen)
	v.isNew, v.shown = isNew, true // a handler calls this
	a.attach(c, v)
}

// detach makes the request unauthenticated from here on.
func (a *Auth) detach(c *gin.Context) {
	if v := a.authenticated(c); v != nil {
		v.state.Store(ended)
	}
	c.Set(UserKey, (*User)(nil))
}

// authenticated returns the authRequest that authenticate or attach stored in this request, or
// nil.
func (a *Auth) authenticated(c *gin.Context) *authRequest {
	v, ok := c.Request.Context().Value(authRequestKey{a}).(*authRequest)
	if !ok || v.state.Load() != identified {
		return nil
	}
	return v
}

// registryOf returns the registry that a guard loaded for this request, or the current one.
func (a *Auth) registryOf(c *gin.Context) *registry {
	if v := a.authenticated(c); v != nil {
		return v.registry
	}
	return a.providers.Load()
}

// vary adds Vary: Cookie to a response. room holds the header's line.
func vary(h http.Header, room *[1]string) {
	switch lines := h["Vary"]; {
	case len(lines) == 0:
		room[0] = "Cookie"
		h["Vary"] = room[:]
	case !slices.Contains(lines, "Cookie"):
		h["Vary"] = append(slices.Clip(lines), "Cookie") // the array may be shared
	}
}
