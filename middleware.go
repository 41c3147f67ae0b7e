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

// userKey's one value is UserKey. The type is nobody else's, so that no string
// that an application puts into a context can pass for a user.
type userKey struct{}

// UserKey is the key of the signed-in user in a Gin context:
// c.MustGet(ginauth.UserKey).(*ginauth.User). Most handlers use [CurrentUser]
// instead.
var UserKey userKey

// CurrentUser returns the signed-in user, or nil if no user is signed in or neither
// [Auth.RequireAuth] nor [Auth.LoadUser] ran before. ctx is a *gin.Context, or a
// context derived from c.Request.Context().
//
// If several Auths stand in front of one handler, it is the user that the last one
// found: tell them apart with [FromProvider] or by User.Provider. A context that is
// derived from the *gin.Context itself has no user, since Gin reuses that one for
// other requests.
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

// RequireAuth returns middleware that admits signed-in users that pass every check,
// and makes the user available through [CurrentUser]. If no user is signed in, it
// redirects page loads to /login and answers other requests with 401
// ([ErrUnauthenticated]). A user that fails a check gets 403 ([ErrForbidden]), or
// the status of the [*Error] that the check returned. If [Options.Sessions] or
// [Options.Revocations] fails, the answer is 503 ([ErrStoreUnavailable]). After
// such an answer the request is aborted: no later handler runs.
//
// Unsafe requests (POST, PUT, WebSocket upgrades, …) with a session cookie that come
// from another origin get 403 ([ErrCrossOrigin]), unless the origin is one of
// [Options.TrustedOrigins].
//
// RequireAuth panics if a is nil, which means that the error of [Mount] was not
// checked.
func (a *Auth) RequireAuth(checks ...Check) gin.HandlerFunc {
	a.mounted()
	checks = slices.Clone(checks)
	return func(c *gin.Context) {
		if own, ours := a.own[c.FullPath()][c.Request.Method]; ours && own == c.HandlerName() {
			return // a guard around everything must not shut the way in
		}
		defer handBack(c, c.Request)
		v, err := a.visit(c)
		if err == nil && v == nil {
			err = a.nobody(c.Request)
		}
		if err == nil && a.cfg.foreign(c.Request) {
			err = crossOrigin("guard")
		}
		if err == nil && len(checks) > 0 {
			err = admit(checks, v.session().user) // not what a handler may have changed
		}
		if err != nil {
			a.fail(c, RequestRefused, err)
			return
		}
		c.Next()
		settle(c)
	}
}

// LoadUser returns middleware that makes the signed-in user available through
// [CurrentUser], and never refuses a request. The request is anonymous if no user is
// signed in, if [Auth.RequireAuth] would refuse it for its origin, and if
// [Options.Sessions] or [Options.Revocations] fails, which is logged. LoadUser
// panics if a is nil.
func (a *Auth) LoadUser() gin.HandlerFunc {
	a.mounted()
	return func(c *gin.Context) {
		defer handBack(c, c.Request)
		if a.cfg.foreign(c.Request) {
			vary(c.Writer.Header(), new([1]string))
			a.forget(c)
		} else if _, err := a.visit(c); err != nil {
			a.log(c, RequestRefused, asError(err, ErrStoreUnavailable))
		}
		c.Next()
		settle(c)
	}
}

// mounted panics while the application starts, and not at its first request, if
// the error of Mount was not looked at.
func (a *Auth) mounted() {
	if a == nil {
		panic("ginauth: a guard of a nil *Auth: look at the error that Mount returned")
	}
}

// handBack gives the request that a guard was called with the form that handlers
// had read into its copy: the server removes the files of an upload from there.
func handBack(c *gin.Context, before *http.Request) {
	if before.MultipartForm == nil {
		before.MultipartForm = c.Request.MultipartForm
	}
}

// nobody is what a guard says of a request without a session. One that stands
// in front of the page to sign in on would send people there for ever.
func (a *Auth) nobody(r *http.Request) *Error {
	if page, err := url.Parse(a.cfg.LoginPage); err == nil && a.cfg.LoginPage != "" && r.URL.Path == page.Path {
		return &Error{Code: ErrSessionError, Op: "guard", Reason: "RequireAuth stands in front of Options.LoginPage itself, so nobody can get there to sign in",
			Fix: "take RequireAuth off that route, or register it outside the guarded group"}
	}
	return &Error{Code: ErrUnauthenticated, Op: "guard"}
}

// foreign says whether a request that changes something comes from another
// origin. net/http's CrossOriginProtection knows the methods that do; a
// WebSocket handshake is a GET that does.
func (c *config) foreign(r *http.Request) bool {
	if isUpgrade(r) {
		r = &http.Request{Method: http.MethodPost, URL: r.URL, Host: r.Host, Header: r.Header}
	}
	return c.trusted.Check(r) != nil
}

func crossOrigin(op string) *Error {
	return &Error{Code: ErrCrossOrigin, Op: op, Reason: "an unsafe request came from another origin with the session's cookie",
		Fix: "if that origin is yours, name it in Options.TrustedOrigins"}
}

// admit asks the checks. One that panics refuses.
func admit(checks []Check, u *User) error {
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

// visit is a signed-in request: its user, its context and itself in one, which
// is one allocation. It never changes: Update makes a new one.
type visit struct {
	context.Context
	auth    *Auth
	opened  *opened // the session, whatever a handler does to user
	user    User    // what handlers get: theirs to change
	request http.Request
	groups  [groupsRoom]string // room for user.Groups
	vary    [1]string          // room for two lines of the answer's header, which
	cache   [1]string          // others may write to: so nobody shares them
	begun   bool               // in this very request
	ended   atomic.Bool
}

type visitKey struct{}

// Value implements context.Context.
func (v *visit) Value(key any) any {
	switch key.(type) {
	case userKey:
		if v.ended.Load() {
			return (*User)(nil)
		}
		return &v.user
	case visitKey:
		return v
	}
	return v.Context.Value(key)
}

// visiting makes a visit of a session.
func (a *Auth) visiting(o *opened) *visit {
	v := &visit{auth: a, opened: o}
	o.user.copyTo(&v.user, v.groups[:0])
	return v
}

// session is a copy of the session: nothing of it was in a handler's hands.
func (v *visit) session() *session { return v.opened.copy() }

// visit loads the session of a request, once, and puts the user into Gin's
// context and the request's. Nobody is nil.
func (a *Auth) visit(c *gin.Context) (*visit, error) {
	r := c.Request
	if v, ok := r.Context().Value(visitKey{}).(*visit); ok && v.auth == a && CurrentUser(c) == &v.user {
		return v, nil
	}
	h, now := c.Writer.Header(), a.cfg.Now()
	cookies := len(h["Set-Cookie"])
	o, err := a.sessions.load(c.Writer, r, now)
	if len(h["Set-Cookie"]) != cookies {
		private(c)
	}
	if o == nil {
		vary(h, new([1]string)) // of anonymous answers too: they are not for those who are signed in
		return nil, err
	}
	if o.old || !now.Before(o.stale) { // before the handler writes anything
		private(c)
		s := o.copy()
		if err := a.sessions.renew(c.Writer, r, s); err != nil {
			return nil, err
		}
		o = a.sessions.read(string(a.sessions.encode(s)), false)
	}
	v := a.visiting(o)
	vary(h, &v.vary)
	a.enter(c, v)
	return v, nil
}

// enter puts the user of a visit into Gin's context and the request's.
func (a *Auth) enter(c *gin.Context, v *visit) {
	v.cache[0] = "private, no-store"
	c.Writer.Header()["Cache-Control"] = v.cache[:]
	v.Context = c.Request.Context()
	v.request = *c.Request.WithContext(v)
	c.Request = &v.request
	c.Set(UserKey, &v.user)
}

// become is enter for a session that began, or changed, in this very request.
func (a *Auth) become(c *gin.Context, s *session, begun bool) {
	v := a.visiting(a.sessions.read(string(a.sessions.encode(s)), false))
	v.begun = begun
	a.enter(c, v)
}

// forget makes the request anonymous from here on.
func (a *Auth) forget(c *gin.Context) {
	if v := a.visited(c); v != nil {
		v.ended.Store(true)
	}
	c.Set(UserKey, (*User)(nil))
}

// visited is the visit of this request as far as it is known, or nil.
func (a *Auth) visited(c *gin.Context) *visit {
	v, ok := c.Request.Context().Value(visitKey{}).(*visit)
	if !ok || v.auth != a || v.ended.Load() {
		return nil
	}
	return v
}

// vary says that an answer depends on cookies. Room is for the line that says
// so.
func vary(h http.Header, room *[1]string) {
	switch lines := h["Vary"]; {
	case len(lines) == 0:
		room[0] = "Cookie"
		h["Vary"] = room[:]
	case !slices.Contains(lines, "Cookie"):
		h["Vary"] = append(slices.Clip(lines), "Cookie") // others may have the same lines
	}
}
