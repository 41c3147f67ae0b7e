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

// Hooks are functions of the application that this package calls. All are optional.
// A hook that blocks, blocks its request; one that panics fails it, except for
// OnEvent. One that does what it is called for, such as an OnLogout that calls
// [Auth.Logout], is not called for that.
type Hooks struct {
	// Authenticate identifies requests by a credential of the application: an API
	// key, a client certificate, a signed request, the session of an older system. It
	// is called once per request, before the session cookie is read, where a guard,
	// [Auth.Update], [Auth.Logout] or the linking of an account needs the user. A nil User with a nil error means
	// that there is no such credential: the session cookie counts, unless the request
	// has a bearer token, which is answered with 401 ([ErrInvalidToken]).
	//
	// A returned User is copied. Its Provider must be one of [Options.Providers], and
	// an empty Issuer becomes the provider's; anything else is 500
	// ([ErrSessionError]). It has no session: the cookie is not read, renewed or
	// cleared, [Auth.Session] reports none, and Update and Logout fail with
	// [ErrBadRequest]. Checks apply; for [MaxAge] and [ACR] its AuthTime and ACR count,
	// and where they do not suffice the request gets 403, since nobody can be sent to
	// sign in. [Options.Revocations] is not asked: end what the hook admits by the hook.
	// It can be linked to an account at a provider ([Login.Previous]) if the hook
	// identifies it at the callback as well: by a certificate or a cookie, say, since no
	// script adds a header there.
	//
	// [ErrInvalidToken] refuses the request with 401 and [ErrForbidden] with 403; any
	// other error, and a panic, means that the hook failed: 503
	// ([ErrStoreUnavailable]). None of these redirects, and for [Auth.LoadUser] the
	// request is unauthenticated then. A hook that writes the answer or aborts fails the
	// request with ErrSessionError. It must not call Next, which would run the handlers
	// before the guard has decided. Inside it no user is known to this Auth yet:
	// [CurrentUser] and Session find none, and a guard, Update, Logout, SignIn and
	// BeginLogin fail with ErrSessionError. It may ask another Auth, by that one's LoadUser,
	// say, which runs no handlers there.
	//
	// Unsafe requests from another origin are refused, whatever the credential:
	// browsers send certificates and Basic credentials by themselves, and proxies add
	// headers. Requests with one Authorization header that has a bearer token are
	// exempt, since a page cannot make a browser send one. So if there is one, decide
	// by it alone, and look at no certificate and no other header; and if a proxy in
	// front adds bearer tokens to requests of browsers, check Origin yourself.
	Authenticate func(c *gin.Context) (*User, error)

	// OnLogin is called when everything is verified and before the session is
	// written. It is the one hook that can refuse a sign-in: its error is logged and
	// answered with 403 ([ErrIdentityRejected]), an [*Error] or a [Code] such as
	// [ErrForbidden] with its own code. It may
	// change login.User, for example to add groups from a database, and
	// login.ReturnTo.
	//
	// It may set headers and cookies, which are sent if the sign-in succeeds. If it
	// fails, in OnLogin or afterwards, none of them is sent, and a session that OnLogin
	// began with [Auth.SignIn] is ended. OnLogin must not write a response: to write,
	// flush, hijack or abort fails the sign-in with [ErrSessionError], and a status is ignored.
	OnLogin func(c *gin.Context, login *Login) error

	// OnToken is called for the user of a verified access token (see [Provider.Audience]), with
	// the claims of the token: it may add groups and Data, as OnLogin does for sessions, since
	// a token has nothing of what OnLogin did. It is asked about once a minute and token in each process.
	// ErrForbidden refuses the user (403), ErrInvalidToken the token (401); any other
	// error, and a panic, is answered with 503 ([ErrStoreUnavailable]). Who the user is, and
	// the Grant, stay as they are. Default: the user is what the token says.
	OnToken func(c *gin.Context, user *User) error

	// OnRecheck is called when the provider has said that a user may still be here
	// ([Provider.Recheck], [Auth.Recheck]), before the session is renewed: to add groups from
	// a database, as OnLogin does, or to refuse. login.User is the user as the provider
	// describes it by now, with the Data of the session; what the hook makes of it is the
	// session's, except for what OnLogin cannot change either. login.Token is an access
	// token without its refresh token, which ginauth uses itself, Renewal is true, and the
	// rest of login means nothing here.
	//
	// An error ends the session, wherever it is. Only one that is [ErrStoreUnavailable],
	// [ErrProviderUnavailable], [ErrProviderTimeout] or [context.DeadlineExceeded] says that
	// the hook could not decide, as does a panic: then the session continues as it is, and
	// the provider is asked again after 30 seconds. So return ErrStoreUnavailable, alone or
	// wrapped, if the database is down.
	//
	// ctx has the values of the request that asks, and does not end with it. No user is
	// known in it.
	OnRecheck func(ctx context.Context, login *Login) error

	// OnLogout is called after a user has signed out.
	OnLogout func(c *gin.Context, user *User)

	// OnError answers a failed request in place of the built-in page or JSON. The
	// request is aborted already, and the failure is logged. err.Event says whether a
	// sign-in, a sign-out or a guarded request failed. If it writes nothing, the
	// built-in response follows.
	OnError func(c *gin.Context, err *Error)

	// OnEvent receives every [Event], for metrics, traces and alarms. The outcome is
	// settled by then, and the response not written yet. ctx is the request's, with
	// its trace; it ends with the request, even if something that OnEvent started
	// goes on. A panic is logged, and changes nothing. docs/observability.md has
	// code for OpenTelemetry and Prometheus.
	OnEvent func(ctx context.Context, e Event)
}

// Login is a verified sign-in that is about to become a session.
type Login struct {
	// User is the person who signs in. OnLogin may change it, except for Provider,
	// Issuer and Subject, which stay as verified. Its Data is not nil.
	User *User

	// Previous is the user, by session or by [Hooks.Authenticate], that asked to link
	// User's account to theirs, and is still identified so. It is nil unless the sign-in began as a same-origin POST to
	// /login/:provider with link=true, or with [Start.Link]: otherwise an attacker's
	// link could tie the attacker's account to the victim's.
	Previous *User

	// Data is what the handler that began the sign-in put into [Start.Data], once. It
	// is nil for every other sign-in.
	Data map[string]string

	// Renewal says that the person was signed in already in this browser, through the same
	// provider, and that a [MaxAge] or [ACR] check sent them to authenticate again.
	// User.Data is that of the session before. It is false for every other sign-in, also
	// if a check sent one person and another one authenticated: then nothing of the session
	// before comes along.
	Renewal bool

	// Token is the response of the provider's token endpoint; numbers in its Extra
	// are [json.Number]. It is not kept: use it now, or store it for a job that runs
	// without the user (see [Auth.Refresh]).
	Token *oauth2.Token

	// ReturnTo is the path of the application that the browser goes to next. OnLogin
	// may set another one; anything else than such a path becomes
	// [Options.AfterLogin].
	ReturnTo string

	// Limits are those of the session that begins: OnLogin may set them, for a person
	// who did not ask to be remembered, say. With Renewal they have the IdleTimeout and
	// the BrowserOnly of the session before; its Lifetime begins anew, as Options have it.
	Limits SessionLimits

	// NoSession begins no session, and Limits do not apply: OnLogin sets it for an
	// application that keeps its own, and writes that one's cookie to the answer. A
	// session that this browser has already stays as it is. RequireAuth and
	// [CurrentUser] know nothing of such a sign-in. If a [MaxAge] or [ACR] check asked for
	// the sign-in, NoSession fails it with [ErrSessionError]: the check would ask again.
	NoSession bool
}

// SessionLimits makes one session shorter than [Options] say. Its zero value changes
// nothing. The limits are sealed into the session and hold for its life, whatever
// Options have later.
type SessionLimits struct {
	// Lifetime and IdleTimeout take the place of [Options.Lifetime] and
	// [Options.IdleTimeout]. They must be at least a minute, and at most what Options
	// have: anything else fails the sign-in with [ErrSessionError]. Default: those of
	// Options.
	Lifetime, IdleTimeout time.Duration

	// BrowserOnly ends the session's cookies with the browser: they have no Max-Age
	// ("remember me" was not ticked). The times above hold as well, and for a browser
	// that restores its tabs, and its cookies with them, they alone.
	BrowserOnly bool
}

// askOnLogin asks Hooks.OnLogin, and holds it to what it may change. in learns what
// the answer's headers were before.
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
		defer func() { c.Writer = w.ResponseWriter }() // whatever the hook has put there
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
	keepPrivate(c) // the answer gets a session's cookie, whatever the hook wrote about caches
	return nil
}

// hookWriter is the answer as OnLogin has it. It takes headers, which can be taken
// back, and nothing that begins the answer, which cannot. There is no Unwrap, so that
// http.ResponseController finds no way around it.
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

// Pusher implements gin.ResponseWriter: what is pushed cannot be taken back.
func (w *hookWriter) Pusher() http.Pusher { return nil }

// runningHook finds a hook of an Auth that runs on behalf of a context: an *atomic.Bool,
// which is false as soon as the hook has returned.
type runningHook struct {
	auth *Auth
	name string // of the hook, or of the event that OnEvent is told
}

// isRunning reports whether what has this context is called by a hook, which would be
// called again for what comes of it, and again.
func (a *Auth) isRunning(ctx context.Context, name string) bool {
	on, _ := ctx.Value(runningHook{a, name}).(*atomic.Bool)
	return on != nil && on.Load()
}

// runs returns the context for a hook, and what to call when the hook has returned.
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
