package ginauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
)

// userKey's one value is UserKey. The type is this package's own, so that no
// string that an application puts into a context can pass for a user.
type userKey struct{}

// UserKey is the key of the signed-in user in a Gin context:
// c.MustGet(ginauth.UserKey).(*ginauth.User). Most handlers use [CurrentUser]
// instead.
var UserKey userKey

// CurrentUser returns the signed-in user, or nil if there is none: of a
// *gin.Context, or of a context from c.Request.Context(). If several Auths
// guard one handler, it is the user that the last of them found: tell them apart
// with FromProvider, or by User.Provider. A context made from the *gin.Context
// itself has no user: Gin gives that one to the next request, which may be
// somebody else's.
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

// RequireAuth returns the guard: middleware that admits signed-in users that
// pass every check, and puts the User where CurrentUser finds it. If no user is
// signed in, RequireAuth redirects page loads to /login and answers other
// requests with 401; a user that a Check refuses gets 403. Refused requests
// never reach the handlers behind it.
//
// Unsafe requests (POST, PUT, WebSocket upgrades, …) with a session cookie that come
// from another origin get 403 ([ErrCrossOrigin]), unless the origin is one of
// [Options.TrustedOrigins].
//
// RequireAuth panics if a is nil, which means that the error of [Mount] was not
// checked.
func (a *Auth) RequireAuth(checks ...Check) gin.HandlerFunc {
	a.mustBeMounted()
	checks = slices.Clone(checks)
	return func(c *gin.Context) {
		if name, ours := a.ownRoutes[c.FullPath()][c.Request.Method]; ours && name == c.HandlerName() {
			return // a guard around everything must not shut the way in
		}
		defer returnForm(c, c.Request)
		v, err := a.authenticate(c)
		if err == nil && v == nil {
			err = a.unauthenticated(c.Request)
		}
		if err == nil && a.cfg.isCrossOrigin(c.Request) {
			err = crossOriginError("guard")
		}
		if err == nil && len(checks) > 0 {
			err = checkUser(checks, v.session().user) // not what a handler may have changed
		}
		if err != nil {
			a.fail(c, RequestRefused, err)
			return
		}
		c.Next()
		settle(c)
	}
}

// LoadUser returns middleware that puts the User where CurrentUser finds it, if
// a user is signed in, and never refuses. A request that RequireAuth would
// refuse for its origin is unauthenticated here.
func (a *Auth) LoadUser() gin.HandlerFunc {
	a.mustBeMounted()
	return func(c *gin.Context) {
		defer returnForm(c, c.Request)
		if a.cfg.isCrossOrigin(c.Request) {
			vary(c.Writer.Header(), new([1]string))
			a.detach(c)
		} else if _, err := a.authenticate(c); err != nil {
			a.logFailure(c, RequestRefused, asError(err, ErrStoreUnavailable))
		}
		c.Next()
		settle(c)
	}
}

// mustBeMounted panics while the application starts, and not at its first
// request, if the error of Mount was not looked at.
func (a *Auth) mustBeMounted() {
	if a == nil {
		panic("ginauth: a guard of a nil *Auth: look at the error that Mount returned")
	}
}

// returnForm gives the request that a guard was called with the form that
// handlers have read into the guard's copy of it: the server removes the files
// of an upload from there.
func returnForm(c *gin.Context, original *http.Request) {
	if original.MultipartForm == nil {
		original.MultipartForm = c.Request.MultipartForm
	}
}

// unauthenticated is the error for a request without a session. A guard in front
// of the page to sign in on would send users there for ever.
func (a *Auth) unauthenticated(r *http.Request) *Error {
	if page, err := url.Parse(a.cfg.LoginPage); err == nil && a.cfg.LoginPage != "" && r.URL.Path == page.Path {
		return &Error{Code: ErrSessionError, Op: "guard", Reason: "RequireAuth stands in front of Options.LoginPage itself, so nobody can get there to sign in",
			Fix: "take RequireAuth off that route, or register it outside the guarded group"}
	}
	return &Error{Code: ErrUnauthenticated, Op: "guard"}
}

// isCrossOrigin reports whether a request that changes something comes from
// another origin. net/http's CrossOriginProtection knows the methods that do; a
// WebSocket handshake is a GET that does.
func (c *config) isCrossOrigin(r *http.Request) bool {
	if isUpgrade(r) {
		r = &http.Request{Method: http.MethodPost, URL: r.URL, Host: r.Host, Header: r.Header}
	}
	return c.trusted.Check(r) != nil
}

func crossOriginError(op string) *Error {
	return &Error{Code: ErrCrossOrigin, Op: op, Reason: "an unsafe request came from another origin with the session's cookie",
		Fix: "if that origin is yours, name it in Options.TrustedOrigins"}
}

// checkUser asks the checks. One that panics refuses.
func checkUser(checks []Check, u *User) error {
	err := contain.Do(func() error {
		for _, check := range checks {
			if err := check(u); err != nil {
				e := asError(err, ErrForbidden)
				if e.Err == err && e.Reason == "" {
					e.Reason = "a Check said no"
				}
				return e.about("check", u.Provider)
			}
		}
		return nil
	})
	if p, panicked := err.(*contain.Panic); panicked {
		return &Error{Code: ErrForbidden, Op: "check", Reason: "a Check panicked", Err: p}
	}
	return err
}

// authRequest is an authenticated request: its user, its context and itself in
// one allocation. It never changes: Update makes a new one.
type authRequest struct {
	context.Context
	auth    *Auth
	opened  *opened // the session, whatever a handler does to user
	user    User    // what handlers get: theirs to change
	request http.Request
	groups  [groupsRoom]string // room for user.Groups
	vary    [1]string          // room for two header lines, which others may
	cache   [1]string          // write to: so requests do not share them
	isNew   bool               // the session began in this very request
	ended   atomic.Bool
}

type authRequestKey struct{}

// Value implements context.Context.
func (v *authRequest) Value(key any) any {
	switch key.(type) {
	case userKey:
		if v.ended.Load() {
			return (*User)(nil)
		}
		return &v.user
	case authRequestKey:
		return v
	}
	return v.Context.Value(key)
}

func (a *Auth) newAuthRequest(o *opened) *authRequest {
	v := &authRequest{auth: a, opened: o}
	o.user.copyTo(&v.user, v.groups[:0])
	return v
}

// session returns a copy of the session: no handler has changed it.
func (v *authRequest) session() *session { return v.opened.copy() }

// authenticate loads the session of a request, once, and puts the user into
// Gin's context and the request's. Without a session it returns nil.
func (a *Auth) authenticate(c *gin.Context) (*authRequest, error) {
	r := c.Request
	if v, ok := r.Context().Value(authRequestKey{}).(*authRequest); ok && v.auth == a && CurrentUser(c) == &v.user {
		return v, nil
	}
	h, now := c.Writer.Header(), a.cfg.Now()
	cookies := len(h["Set-Cookie"])
	o, err := a.sessions.load(c.Writer, r, now)
	if len(h["Set-Cookie"]) != cookies {
		keepPrivate(c)
	}
	if o == nil {
		vary(h, new([1]string)) // an answer without a user is not for those with one
		return nil, err
	}
	if o.oldKey || !now.Before(o.renewAt) { // before the handler writes anything
		keepPrivate(c)
		s := o.copy()
		if err := a.sessions.renew(c.Writer, r, s); err != nil {
			return nil, err
		}
		o = a.sessions.read(string(a.sessions.encode(s)), false)
	}
	v := a.newAuthRequest(o)
	vary(h, &v.vary)
	a.attach(c, v)
	return v, nil
}

// attach puts the user of an authenticated request into Gin's context and the
// request's.
func (a *Auth) attach(c *gin.Context, v *authRequest) {
	v.cache[0] = "private, no-store"
	c.Writer.Header()["Cache-Control"] = v.cache[:]
	v.Context = c.Request.Context()
	v.request = *c.Request.WithContext(v)
	c.Request = &v.request
	c.Set(UserKey, &v.user)
}

// attachSession is attach for a session that began, or changed, in this request.
func (a *Auth) attachSession(c *gin.Context, s *session, isNew bool) {
	v := a.newAuthRequest(a.sessions.read(string(a.sessions.encode(s)), false))
	v.isNew = isNew
	a.attach(c, v)
}

// detach makes the request unauthenticated from here on.
func (a *Auth) detach(c *gin.Context) {
	if v := a.authenticated(c); v != nil {
		v.ended.Store(true)
	}
	c.Set(UserKey, (*User)(nil))
}

// authenticated returns what authenticate, or attach, has put into this request
// before, or nil.
func (a *Auth) authenticated(c *gin.Context) *authRequest {
	v, ok := c.Request.Context().Value(authRequestKey{}).(*authRequest)
	if !ok || v.auth != a || v.ended.Load() {
		return nil
	}
	return v
}

// vary says that an answer depends on cookies. Room is for the header's line.
func vary(h http.Header, room *[1]string) {
	switch lines := h["Vary"]; {
	case len(lines) == 0:
		room[0] = "Cookie"
		h["Vary"] = room[:]
	case !slices.Contains(lines, "Cookie"):
		h["Vary"] = append(slices.Clip(lines), "Cookie") // others may have the same lines
	}
}
