package ginauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
)

// Event reports what happened to a sign-in or a session. Each is logged on one line and passed
// to [Hooks.OnEvent].
//
// Name, Provider, Code and By have few values and are suitable as metric labels; RequestID and
// User are not. An Event contains no secrets and no request data except a validated
// X-Request-ID.
type Event struct {
	// Name identifies the kind of event.
	Name EventName

	// Provider is the Name of one of Options.Providers, or "" if it is unknown.
	Provider string

	// Code is the code of a failure: one of this package's, or that of an *Error returned by
	// the application.
	Code Code

	// By is who ended a session. It is set only if Name is [SignedOut] or [SessionsRevoked].
	By EventBy

	// Duration is the time spent on requests to the provider after the browser returned: token
	// endpoint, keys and profile. 0 without such requests.
	Duration time.Duration

	// RequestID is the id on the page, in the JSON and in the log: the request's X-Request-ID
	// if it has 1 to 64 letters, digits and ._- only, else a random one. It is "" outside a
	// request.
	RequestID string

	// User is a keyed hash of [User.ID], or "" if the user is unknown: 8 bytes of HMAC-SHA256,
	// in hexadecimal, under a key derived from the first of [Options.Keys]. It is the same in
	// every replica and changes when that key is replaced. docs/observability.md shows how to
	// compute it.
	User string
}

// EventName is the kind of an [Event], and the attribute "event" in the log. The names are
// stable from version to version. An unauthenticated request is not an event.
type EventName string

const (
	SignInStarted       EventName = "sign_in_started"        // the browser was redirected to the provider
	SignInSucceeded     EventName = "sign_in_succeeded"      // the browser returned, and a session started unless OnLogin set Login.NoSession
	SignInFailed        EventName = "sign_in_failed"         // at /login/:provider or /authorize/:provider, or in a handler that calls [Auth.Fail]; see Event.Code
	SignInByApplication EventName = "sign_in_by_application" // [Auth.SignIn] started a session
	SignedOut           EventName = "signed_out"             // a session ended in its own browser; see Event.By
	SignOutFailed       EventName = "sign_out_failed"        // at /logout or below, or in a handler that calls [Auth.Fail]; see Event.Code
	SessionsRevoked     EventName = "revoked"                // sessions ended in all browsers; see Event.By
	RequestRefused      EventName = "request_refused"        // a guard rejected an authenticated request, or could not decide; see Event.Code
)

// EventBy is who ended a session.
type EventBy string

const (
	ByUser        EventBy = "user"        // POST /logout
	ByApplication EventBy = "application" // [Auth.Logout], [Auth.LogoutEverywhere]; [Hooks.OnRecheck] and [Provider.VerifyClaims] at a recheck
	ByProvider    EventBy = "provider"    // front-channel and back-channel logout; a recheck that the provider rejected
)

// logs reports whether the log or OnEvent receives events of that level.
func (a *Auth) logs(ctx context.Context, level slog.Level) bool {
	return a.cfg.Hooks.OnEvent != nil || a.cfg.Logger.Enabled(ctx, level)
}

// logFailure logs a failure once, with its cause, under the name of its event.
// An unauthenticated request is not a failure.
func (a *Auth) logFailure(c *gin.Context, event EventName, e *Error) {
	ctx := c.Request.Context()
	if e.Code == ErrUnauthenticated || !a.logs(ctx, e.level()) {
		return
	}
	failure := Event{Name: event, Code: e.Code, Provider: e.Provider, Duration: e.took, RequestID: requestID(c), User: e.user}
	if event == RequestRefused {
		if v := a.authenticated(c); v != nil {
			user := &v.opened.user // unaffected by changes of a handler
			failure.Provider, failure.User = user.Provider, a.hashUser(user)
		}
	} else if a.providers.Load().clients[failure.Provider] == nil { // an *Error of the application may have any text there
		failure.Provider = c.Param("provider")
	}
	more := details{clientIP: c.ClientIP(), op: e.Op, id: e.ID, reason: e.Reason, fix: e.Fix}
	if a.cfg.loopback {
		more.docs = e.docs()
	}
	if e.Err != nil {
		more.err = fmt.Sprint(redactURL(e.Err)) // fmt handles a nil pointer
	}
	a.emit(ctx, e.level(), "ginauth: request failed", failure, more)
}

// logEvent logs a sign-in, a sign-out or the start of a sign-in, for audits. s is the session,
// or nil. ctx need not be that of a request, since LogoutEverywhere accepts any context.
func (a *Auth) logEvent(ctx context.Context, level slog.Level, message string, e Event, s *session) {
	c, _ := ctx.(*gin.Context)
	if c != nil && c.Request != nil {
		ctx = c.Request.Context()
	}
	if !a.logs(ctx, level) {
		return
	}
	var more details
	if s != nil {
		e.Provider, e.User = s.user.Provider, a.hashUser(s.user)
		if s.id != "" {
			more.session = a.hasher.Hash(s.id)
		}
	}
	if c != nil && c.Request != nil {
		e.RequestID, more.clientIP = requestID(c), c.ClientIP()
	}
	a.emit(ctx, level, message, e, more)
}

// details are the attributes of an event that only the log has.
type details struct{ session, clientIP, op, id, reason, fix, docs, err string }

// emit writes an event to the log and passes it to Hooks.OnEvent. A panic there is logged and
// has no other effect: a failing counter must not fail a sign-in.
func (a *Auth) emit(ctx context.Context, level slog.Level, message string, e Event, more details) {
	if a.providers.Load().clients[e.Provider] == nil {
		e.Provider = ""
	}
	if a.cfg.Logger.Enabled(ctx, level) {
		a.cfg.Logger.LogAttrs(ctx, level, message, e.attrs(more)...)
	}
	if a.cfg.Hooks.OnEvent == nil {
		return
	}
	if a.isRunning(ctx, string(e.Name)) { // for example if it calls LogoutEverywhere at every event
		return
	}
	ctx, done := a.runs(ctx, string(e.Name))
	defer done()
	err := contain.Do(func() error { a.cfg.Hooks.OnEvent(ctx, e); return nil })
	if p, panicked := err.(*contain.Panic); panicked {
		a.cfg.log(ctx, slog.LevelError, "hook.on_event_panicked", "Hooks.OnEvent panicked", slog.String("on", string(e.Name)), slog.String("panic", p.Text()))
	}
}

// log writes a line that is not an event. Its id is stable, like those of errors, and has an
// anchor in docs/errors.md.
func (c *config) log(ctx context.Context, level slog.Level, id, message string, attrs ...slog.Attr) {
	if c.Logger.Enabled(ctx, level) { // avoids formatting a line that is not logged
		c.Logger.LogAttrs(ctx, level, "ginauth: "+message, append([]slog.Attr{slog.String("id", id)}, attrs...)...)
	}
}

// redactURL removes the URL from a transport error, since it may have a query.
func redactURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// attrs returns an event as attributes of a log line, without empty ones.
func (e *Event) attrs(more details) []slog.Attr {
	attrs := make([]slog.Attr, 0, 14)
	for _, text := range [...]struct{ key, value string }{
		{"event", string(e.Name)}, {"code", string(e.Code)}, {"provider", e.Provider}, {"user", e.User}, {"session", more.session}, {"by", string(e.By)},
		{"request_id", e.RequestID}, {"client_ip", more.clientIP}, {"op", more.op}, {"id", more.id}, {"reason", more.reason}, {"fix", more.fix}, {"docs", more.docs}, {"error", more.err},
	} {
		if text.value != "" {
			attrs = append(attrs, slog.String(text.key, text.value))
		}
	}
	if e.Duration > 0 {
		attrs = append(attrs, slog.Duration("duration", e.Duration))
	}
	return attrs
}

// hashUser returns the hash that the log has in place of User.ID, since more people read logs
// than the user database. It is "" without a Subject.
func (a *Auth) hashUser(u *User) string {
	if u.Subject == "" {
		return ""
	}
	return a.hasher.Hash(u.Issuer, "#", u.Subject)
}

// level returns the level at which an error is logged.
func (e *Error) level() slog.Level {
	switch {
	case e.Status() >= 500:
		return slog.LevelError
	case e.Code == ErrProviderDenied || e.Code == ErrForbidden || e.Code == ErrStepUpRequired || e.Code == ErrUnknownProvider || e.Code == ErrMethodNotAllowed:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}
