package ginauth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
)

// userKey's one value is UserKey. The type is nobody else's, so that no string
// that an application puts into a context can pass for a user.
type userKey struct{}

// UserKey is where the user is kept: c.MustGet(ginauth.UserKey).(*ginauth.User).
// Most handlers use CurrentUser and do not need it.
var UserKey userKey

// CurrentUser returns the signed-in user, or nil if there is none: of a
// *gin.Context, or of a context from c.Request.Context(). Of several Auths in
// front of one handler it is who the last one to find somebody found: tell them
// apart with FromProvider, or by User.Provider. A context made from
// the *gin.Context itself has no user: Gin gives that one to the next
// request, which may be somebody else's.
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

// RequireAuth returns the guard: middleware that lets signed-in users pass
// whom all checks admit, and puts the User where CurrentUser finds it. Who is
// not signed in is sent to the login if the request opens a page, and told so
// with 401 if it does not; whom a Check refuses gets 403. Refused requests
// never reach the handlers behind it.
//
// Requests that change something (POST, PUT, WebSocket upgrades, …) are
// refused with 403 if another origin sent them with the session's cookie.
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
			err = admits(checks, v.session().user) // not what a handler may have changed
		}
		if err != nil {
			a.fail(c, requestRefused, err)
			return
		}
		c.Next()
		settle(c)
	}
}

// LoadUser returns middleware that puts the User where CurrentUser finds it,
// if somebody is signed in, and never refuses. A request that RequireAuth
// would refuse for its origin is anonymous here.
func (a *Auth) LoadUser() gin.HandlerFunc {
	a.mounted()
	return func(c *gin.Context) {
		defer handBack(c, c.Request)
		if a.cfg.foreign(c.Request) {
			vary(c.Writer.Header(), new([1]string))
			a.forget(c)
		} else if _, err := a.visit(c); err != nil {
			a.log(c, requestRefused, asError(err, ErrStoreUnavailable))
		}
		c.Next()
		settle(c)
	}
}

// handBack gives the request that a guard was called with the form that handlers
// had read into its copy: the server removes the files of an upload from there.
func handBack(c *gin.Context, before *http.Request) {
	if before.MultipartForm == nil {
		before.MultipartForm = c.Request.MultipartForm
	}
}

// mounted panics while the application starts, and not at its first request, if
// the error of Mount was not looked at.
func (a *Auth) mounted() {
	if a == nil {
		panic("ginauth: a guard of a nil *Auth: look at the error that Mount returned")
	}
}

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

// admits asks the checks; a panic refuses.
func admits(checks []Check, u *User) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Code: ErrForbidden, Op: "check", Reason: "a Check panicked", Err: fmt.Errorf("panic: %.500v", r)}
		}
	}()
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
}

// foreign says whether a request that changes something comes from another
// origin: an unsafe method, or a WebSocket handshake, which is a GET that acts.
// Browsers say so in Sec-Fetch-Site, those from before 2023 in Origin alone.
// Programs send neither.
func (c *config) foreign(r *http.Request) bool {
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
		if origin == "" {
			return false
		}
	}
	// The whole origin, with its scheme: net/http's CrossOriginProtection takes
	// http://host for https://host, since it compares Origin with Host, and so
	// would let in whoever answers for the host on http.
	return !slices.Contains(c.origins, origin)
}

func crossOrigin(op string) *Error {
	return &Error{Code: ErrCrossOrigin, Op: op, Reason: "an unsafe request came from another origin with the session's cookie",
		Fix: "if that origin is yours, name it in Options.TrustedOrigins"}
}

// Update changes the session of the signed-in user from a handler of the
// application: new groups, own data (User.Data is not nil in change). What the
// provider vouched for (Provider, Issuer, Subject, claims) stays. Call it
// before the answer is written. It fails with ErrSessionError if the session
// becomes too large, and then changes nothing. Of two requests of one user at
// the same moment, the later answer wins; a session in a cookie that somebody
// kept from before is still good, with what it said then.
func (a *Auth) Update(c *gin.Context, change func(*User)) error {
	if a.cfg.foreign(c.Request) { // there may be no RequireAuth in front of this handler
		return crossOrigin("update session")
	}
	v, err := a.visit(c)
	if err != nil {
		return err
	}
	if v == nil {
		return &Error{Code: ErrUnauthenticated, Op: "update session", Reason: "nobody is signed in", Fix: "put RequireAuth in front of this handler"}
	}
	if c.Writer.Written() {
		return &Error{Code: ErrSessionError, Op: "update session", Reason: "the answer is written already", Fix: "call Update before writing"}
	}
	s := v.session()
	verified := *s.user
	s.user.writable()
	change(s.user)
	s.user.sameAs(&verified)
	private(c)
	if err := a.sessions.renew(c.Writer, c.Request, s); err != nil {
		return err
	}
	a.become(c, s, v.begun)
	return nil
}

// Logout signs the user out from a handler of the application: this session,
// and every copy of its cookie, wherever. It does not sign out at the provider
// (send people to POST /logout for that). That nobody is signed in is no
// error. A POST or another unsafe request that comes from another origin is
// refused with ErrCrossOrigin, as Update and SignIn refuse it. Call it before
// the answer is written.
func (a *Auth) Logout(c *gin.Context) error {
	if a.cfg.foreign(c.Request) {
		return crossOrigin("sign out")
	}
	_, err := a.leave(c, byApplication)
	return err
}

// leave is Logout, and tells which session it was, or nil.
func (a *Auth) leave(c *gin.Context, by string) (*session, error) {
	if c.Writer.Written() {
		return nil, &Error{Code: ErrSessionError, Op: "sign out", Reason: "the answer is written already", Fix: "call Logout before writing"}
	}
	private(c)
	s, err := a.signOut(c.Writer, c.Request)
	a.forget(c)
	if err != nil || s == nil {
		return nil, err
	}
	a.left(c, s, by)
	return s, nil
}

// left tells the log and the application that a session has ended.
func (a *Auth) left(c *gin.Context, s *session, by string) {
	a.note(c, slog.LevelInfo, "ginauth: signed out", Event{Name: signedOut, By: by}, s)
	if a.cfg.Hooks.OnLogout != nil {
		a.cfg.Hooks.OnLogout(c, s.user)
	}
}

// SessionInfo is what is known of a session, for a page that shows it.
type SessionInfo struct {
	Provider string    // Provider.Name of the sign-in
	Created  time.Time // when the user signed in
	LastSeen time.Time // as of the last rewrite: a tenth of IdleTimeout is not looked at
	Expires  time.Time // when it ends if nothing more is heard of it
	End      time.Time // when it ends however busy it is
}

// Session tells what is known of the session of this request; ok is false if
// nobody is signed in. Put RequireAuth or LoadUser in front of the handler.
func (a *Auth) Session(c *gin.Context) (info SessionInfo, ok bool) {
	v := a.visited(c)
	if v == nil {
		return info, false
	}
	s := v.session()
	end, expires := s.until, s.seen.Add(a.cfg.IdleTimeout)
	if expires.After(end) {
		expires = end
	}
	return SessionInfo{Provider: s.user.Provider, Created: s.created, LastSeen: s.seen, Expires: expires, End: end}, true
}

// SignIn starts a session for a user whom the application itself vouches for:
// in tests (see authtest.SignIn), or for an administrator who looks at the
// site as a customer sees it. No provider is asked and OnLogin is not called.
// user.Provider must be one of Options.Providers and user.Subject not empty;
// an empty Issuer becomes the provider's. Call it before the answer is written;
// for the rest of the request CurrentUser is that user. An unsafe request from
// another origin is refused with ErrCrossOrigin: a form on another site must not
// sign people in as somebody of its choice. Most applications do not need it.
func (a *Auth) SignIn(c *gin.Context, user *User) error {
	if a.cfg.foreign(c.Request) {
		return crossOrigin("sign in")
	}
	if c.Writer.Written() {
		return &Error{Code: ErrSessionError, Op: "sign in", Reason: "the answer is written already", Fix: "call SignIn before writing"}
	}
	if user == nil {
		return &Error{Code: ErrIdentityRejected, Op: "sign in", Reason: "the user is nil", Fix: "pass a User with Provider and Subject"}
	}
	cl := a.clients[user.Provider]
	if cl == nil {
		return &Error{Code: ErrUnknownProvider, Op: "sign in", Reason: fmt.Sprintf("no provider is called %q; there are %q", user.Provider, a.order), Fix: "set User.Provider"}
	}
	u := user.clone()
	if u.Issuer == "" {
		u.Issuer = cl.namespace(nil)
	}
	if _, err := validSubject(u.Subject); err != nil || !a.sessions.issuers[u.Provider].admit(u.Issuer) {
		return &Error{Code: ErrIdentityRejected, Op: "sign in", Provider: u.Provider, Reason: "User.Subject or User.Issuer cannot be this provider's", Err: err}
	}
	if u.AuthTime.IsZero() {
		u.AuthTime = a.cfg.Now()
	}
	s, err := a.sessions.begin(c.Writer, c.Request, &session{user: u})
	if err != nil {
		return err
	}
	private(c)
	a.note(c, slog.LevelInfo, "ginauth: signed in by the application", Event{Name: signInByApplication}, s)
	a.become(c, s, true)
	return nil
}

// undo ends a session that SignIn began in this request.
func (a *Auth) undo(c *gin.Context) error {
	v := a.visited(c)
	if v == nil || !v.begun {
		return nil
	}
	a.forget(c)
	return a.sessions.end(c.Writer, c.Request, v.session())
}
