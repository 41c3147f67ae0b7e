package ginauth

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"
)

// Hooks are functions of the application that ginauth calls. All are optional. A request waits
// for its hooks; a panic in one fails the request, except in OnEvent. Hooks are not called
// recursively: an OnLogout that calls [Auth.Logout] is not called again.
type Hooks struct {
	// Authenticate identifies requests by a credential of the application: an API key, a
	// client certificate, a signed request, the session of an older system. It is called once
	// per request, before access tokens and the session cookie are read, when a guard,
	// [Auth.Update], [Auth.Logout] or the linking of an account needs the user. A nil User
	// with a nil error means that the request has no such credential. The session cookie is
	// then used, unless the request has a bearer token: that is verified as an access token if
	// a provider has an Audience, and is 401 ([ErrInvalidToken]) otherwise.
	//
	// A returned User is copied. Its Provider must be one of [Options.Providers], and an empty
	// Issuer becomes the provider's; any other value is 500 ([ErrSessionError]). The user has
	// no session: the cookie is not read, renewed or cleared, [Auth.Session] returns false,
	// and Update and Logout fail with [ErrBadRequest]. Checks apply; [MaxAge] and [ACR] use
	// its AuthTime and ACR, and the request gets 403 if they do not suffice, since the user
	// cannot sign in again. A Grant limits it like an access token. [Options.Revocations] is
	// not consulted: to revoke access, reject the user in the hook. The user can be linked to
	// an account at a provider ([Login.Previous]) if the hook also identifies it at the
	// callback: by a certificate or a cookie, since a browser adds no other header there.
	//
	// [ErrInvalidToken] rejects the request with 401 and [ErrForbidden] with 403; any other
	// error, and a panic, means that the hook failed: 503 ([ErrStoreUnavailable]). None of
	// these redirects; with [Auth.LoadUser] the request is unauthenticated. The hook must not
	// write a response, abort, or call Next: a response or an abort fails the request with
	// ErrSessionError, and Next would run handlers before the guard has decided. The hook runs
	// before this Auth knows the user: [CurrentUser] and Session return nothing in it, and a
	// guard, Update, Logout, SignIn and BeginLogin fail with ErrSessionError. It may use
	// another Auth, for example by calling that one's LoadUser, which runs no handlers there.
	//
	// Unsafe requests from another origin are rejected whatever the credential: browsers send
	// certificates and Basic credentials automatically, and proxies add headers. Requests with
	// exactly one Authorization header that has a bearer token are exempt, since a page cannot
	// make a browser send one. So if a bearer token is present, use only the token and ignore
	// certificates and other headers; and if a proxy adds bearer tokens to browsers' requests,
	// check Origin yourself.
	Authenticate func(c *gin.Context) (*User, error)

	// OnLogin is called after a sign-in is verified and before the session starts. It is the
	// only hook that can reject a sign-in: its error is logged and results in 403
	// ([ErrIdentityRejected]), an [*Error] or a [Code] such as [ErrForbidden] in its own status.
	// It may change login.User, for example to add groups from a database, login.ReturnTo,
	// login.Limits and login.NoSession.
	//
	// It may set headers and cookies, which are sent only if the sign-in succeeds; if the
	// sign-in fails later, a session that OnLogin began with [Auth.SignIn] is ended as well.
	// OnLogin must not write a response: to write, flush, hijack or abort fails the sign-in
	// with [ErrSessionError], and a status is ignored.
	OnLogin func(c *gin.Context, login *Login) error

	// OnToken is called for the user of a verified access token (see [Provider.Audience]),
	// with all claims of the token, to add groups and Data from a database: OnLogin is not
	// called for tokens. Provider, Issuer, Subject, AuthTime, ACR and Grant cannot be changed.
	// The result, including a rejection, is cached for a minute per token and process, so the
	// hook must depend only on the user and not on the rest of the request.
	//
	// [ErrForbidden] rejects the user (403) and [ErrInvalidToken] the token (401); any other
	// error, and a panic, is 503 ([ErrStoreUnavailable]) and is not cached. The hook must not
	// write a response, abort, or call Next: writing or aborting fails the request with
	// [ErrSessionError]. A user of Authenticate is not passed to it. Default: the user is as
	// in the token.
	OnToken func(c *gin.Context, user *User) error

	// OnRecheck is called when the provider has confirmed that a user still has access
	// ([Provider.Recheck], [Auth.Recheck]), before the session is renewed: to add groups from
	// a database, as OnLogin does, or to reject the user. login.User is the user as the
	// provider now describes it, with the Data of the session; the modified user is stored in
	// the session, except for fields that OnLogin cannot change either. login.Token is an
	// access token without its refresh token, which ginauth uses itself; Renewal is true, and
	// the other fields of login are unset.
	//
	// An error revokes the session. Only [ErrStoreUnavailable], [ErrProviderUnavailable],
	// [ErrProviderTimeout], [context.DeadlineExceeded] and a panic mean that the hook could
	// not decide: then the session continues unchanged, and the provider is asked again after
	// 30 seconds. So return ErrStoreUnavailable, alone or wrapped, if the database is down.
	//
	// ctx has the values of the request but is not canceled with it. CurrentUser returns nil
	// for it.
	OnRecheck func(ctx context.Context, login *Login) error

	// OnLogout is called after a session has ended in its own browser: by POST /logout,
	// [Auth.Logout] or front-channel logout. It is not called for sessions that are revoked
	// otherwise.
	OnLogout func(c *gin.Context, user *User)

	// OnError writes the response to a failed request in place of the built-in page or JSON. The
	// request is already aborted, and the failure is logged. err.Event is the kind of failure:
	// of a sign-in, a sign-out or a guarded request. If OnError writes nothing, the built-in
	// response follows.
	OnError func(c *gin.Context, err *Error)

	// OnEvent receives every [Event], for metrics, traces and alerts. The outcome is final by
	// then, and the response not yet written. ctx is the request's context, with its trace; it
	// ends with the request. A panic is logged and has no other effect. docs/observability.md
	// has code for OpenTelemetry and Prometheus.
	OnEvent func(ctx context.Context, e Event)
}

// Login is a verified sign-in for which no session has started yet.
type Login struct {
	// User is the user that signs in. OnLogin may change it, except for Provider, Issuer,
	// Subject, AuthTime, ACR and Grant. Its Data is not nil.
	User *User

	// Previous is the user, signed in by a session or [Hooks.Authenticate], that asked to link
	// User's account to its own, and is still signed in. It is nil unless the sign-in began as
	// a same-origin POST to /login/:provider with link=true, or with [Start.Link], so that a
	// link cannot tie an attacker's account to the victim's.
	Previous *User

	// Data is the [Start.Data] of the handler that began the sign-in. It is nil for other
	// sign-ins.
	Data map[string]string

	// Renewal reports that the user was already signed in in this browser, through the same
	// provider, and that a [MaxAge] or [ACR] check required authenticating again. User.Data is
	// that of the previous session. It is false for all other sign-ins, also if a different
	// user authenticated: then nothing is carried over from the previous session.
	Renewal bool

	// Token is the provider's token response; numbers in its Extra are [json.Number]. ginauth
	// does not keep it for OnLogin: use it now, or store it for a job that runs without the
	// user (see [Auth.Refresh]).
	Token *oauth2.Token

	// ReturnTo is the path of the application that the browser goes to next. OnLogin may
	// change it; an invalid path becomes [Options.AfterLogin].
	ReturnTo string

	// Limits are those of the new session. OnLogin may set them, for example if the user did
	// not tick "remember me". With Renewal they have the IdleTimeout and BrowserOnly of the
	// previous session; Lifetime begins anew, as in Options.
	Limits SessionLimits

	// NoSession starts no session, and Limits do not apply: OnLogin sets it for an application
	// with its own sessions, and writes that application's cookie to the response. An existing
	// session of this browser is unchanged. Such a sign-in is invisible to RequireAuth and
	// [CurrentUser]. If a [MaxAge] or [ACR] check asked for the sign-in, NoSession fails it
	// with [ErrSessionError], since the check would ask again.
	NoSession bool
}

// SessionLimits makes one session shorter than in [Options]. The zero value changes nothing.
// The limits are sealed into the session and hold until it ends, even if Options change later.
type SessionLimits struct {
	// Lifetime and IdleTimeout replace [Options.Lifetime] and [Options.IdleTimeout]. They must
	// be at least a minute and at most the values in Options; otherwise the sign-in fails with
	// [ErrSessionError]. Default: those of Options.
	Lifetime, IdleTimeout time.Duration

	// BrowserOnly makes the session's cookies end with the browser: they have no Max-Age
	// ("remember me" was not ticked). The limits above still apply, and are the only ones for
	// a browser that restores its tabs together with their cookies. Default: false.
	BrowserOnly bool
}

// askOnLogin calls Hooks.OnLogin and restores the fields that it must not change. It saves the
// response headers in in.
func (a *Auth) askOnLogin(c *gin.Context, in *signIn, login *Login) error {
	hook := a.cfg.Hooks.OnLogin
	if hook == nil {
		return nil
	}
	login.User.writable()
	verified, renewal, aborted := *login.User, login.Renewal, c.IsAborted()
	w := &hookWriter{ResponseWriter: c.Writer, status: c.Writer.Status()}
	in.header, c.Writer = c.Writer.Header().Clone(), w
	err := protect(func() error {
		defer func() { c.Writer = w.ResponseWriter }() // even if the hook replaced it
		if err := hook(c, login); err != nil {
			return complete(err, Error{Code: ErrIdentityRejected, ID: "hook.on_login_refused", Op: "OnLogin", Provider: verified.Provider,
				Reason: "OnLogin rejected the sign-in", Fix: "ignore this if the account should be rejected; otherwise see error= in the log under the same request id"})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if w.Written() || c.IsAborted() && !aborted || login.User == nil {
		return &Error{Code: ErrSessionError, ID: "hook.on_login_answered", Op: "OnLogin", Provider: verified.Provider, Reason: "OnLogin wrote a response, aborted the request or set User to nil: no user is signed in",
			Fix: "return an error to reject the sign-in, and set login.ReturnTo to redirect elsewhere"}
	}
	login.User.sameAs(&verified)
	login.Renewal = renewal
	keepPrivate(c) // the response sets a session cookie: it overrides Cache-Control of the hook
	return nil
}

// hookWriter is the ResponseWriter that OnLogin gets. It accepts headers, which can be
// restored, and rejects everything that would begin the response, which cannot. It has no
// Unwrap method, so that http.ResponseController cannot bypass it.
type hookWriter struct {
	gin.ResponseWriter
	status int
	wrote  bool
}

var errHookWrites = errors.New("ginauth: OnLogin must not write a response")

// WriteHeader implements http.ResponseWriter. The sign-in chooses the status.
func (w *hookWriter) WriteHeader(status int) { w.status = status }

// Status implements gin.ResponseWriter.
func (w *hookWriter) Status() int { return w.status }

// Written implements gin.ResponseWriter.
func (w *hookWriter) Written() bool { return w.wrote || w.ResponseWriter.Written() }

// WriteHeaderNow implements gin.ResponseWriter.
func (w *hookWriter) WriteHeaderNow() { w.wrote = true }

// Write implements io.Writer.
func (w *hookWriter) Write([]byte) (int, error) {
	w.wrote = true
	return 0, errHookWrites
}

// WriteString implements io.StringWriter.
func (w *hookWriter) WriteString(string) (int, error) { return w.Write(nil) }

// Flush implements http.Flusher.
func (w *hookWriter) Flush() { w.wrote = true }

// Hijack implements http.Hijacker.
func (w *hookWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.wrote = true
	return nil, nil, errHookWrites
}

// Pusher implements gin.ResponseWriter. It returns nil, since a push cannot be undone.
func (w *hookWriter) Pusher() http.Pusher { return nil }

// runningHook is the context key of a hook that is running. Its value is an *atomic.Bool that
// becomes false when the hook has returned.
type runningHook struct {
	auth *Auth
	name string // of the hook, or of the event that OnEvent receives
}

// isRunning reports whether the caller with this context runs inside that hook. Calling the
// hook again could recurse without end.
func (a *Auth) isRunning(ctx context.Context, name string) bool {
	on, _ := ctx.Value(runningHook{a, name}).(*atomic.Bool)
	return on != nil && on.Load()
}

// runs returns the context for a hook, and a function to call when the hook has returned.
func (a *Auth) runs(ctx context.Context, name string) (context.Context, func()) {
	on := new(atomic.Bool)
	on.Store(true)
	return context.WithValue(ctx, runningHook{a, name}, on), func() { on.Store(false) }
}

// running is runs for the context of a request.
func (a *Auth) running(c *gin.Context, name string) func() {
	ctx, done := a.runs(c.Request.Context(), name)
	c.Request = c.Request.WithContext(ctx)
	return done
}
