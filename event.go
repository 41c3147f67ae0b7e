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

// Event is something that happened to a sign-in or to a session. The log has a line
// about each, and [Hooks.OnEvent] receives it.
//
// Name, Provider, Code and By have few values and can be labels of a metric.
// RequestID and User cannot. An Event contains no secret, and of a request only a
// plain X-Request-ID.
type Event struct {
	// Name is what happened.
	Name EventName

	// Provider is the Name of one of Options.Providers, or "" if none can be
	// told.
	Provider string

	// Code is why something failed: one of this package's, or of an *Error
	// that a function of the application's returned.
	Code Code

	// By is who ended a session. It is "" unless Name is [SignedOut] or
	// [SessionsRevoked].
	By EventBy

	// Duration is how long the provider took, once the browser had come back:
	// its token endpoint, keys and profile. 0 if it was not asked.
	Duration time.Duration

	// RequestID is that of the page, the JSON and the log: the request's
	// X-Request-ID if that is plain, else a random one. It is "" outside of a
	// request.
	RequestID string

	// User is a keyed hash of [User.ID], or "" if it is not known who it was:
	// 8 bytes of HMAC-SHA256, in hexadecimal, under a key derived from the first
	// of [Options.Keys]. It is the same at every replica, and another one once
	// that key is replaced. docs/observability.md says how to compute it.
	User string
}

// EventName is what happened: the text of the attribute "event" in the log. The
// texts keep their meaning from version to version. That a request is
// unauthenticated is not an event.
type EventName string

const (
	SignInStarted       EventName = "sign_in_started"        // the browser was redirected to the provider
	SignInSucceeded     EventName = "sign_in_succeeded"      // it came back, and a session began, unless OnLogin set Login.NoSession
	SignInFailed        EventName = "sign_in_failed"         // at /login/:provider or /authorize/:provider, or in a handler that calls [Auth.Fail]; see Event.Code
	SignInByApplication EventName = "sign_in_by_application" // [Auth.SignIn] began a session; no provider was asked
	SignedOut           EventName = "signed_out"             // a session ended in its own browser; see Event.By
	SignOutFailed       EventName = "sign_out_failed"        // at /logout or below, or in a handler that calls [Auth.Fail]; see Event.Code
	SessionsRevoked     EventName = "revoked"                // sessions ended in all browsers; see Event.By
	RequestRefused      EventName = "request_refused"        // a guard refused a signed-in user, or could not decide; see Event.Code
)

// EventBy is who ended a session.
type EventBy string

const (
	ByUser        EventBy = "user"        // POST /logout
	ByApplication EventBy = "application" // [Auth.Logout], [Auth.LogoutEverywhere]; [Hooks.OnRecheck] and [Provider.VerifyClaims] at a recheck
	ByProvider    EventBy = "provider"    // front-channel and back-channel logout; a recheck that it refused
)

// logs reports whether the log or the application takes events of that level.
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
			user := &v.opened.user // not what a handler may have changed
			failure.Provider, failure.User = user.Provider, a.hashUser(user)
		}
	} else if a.providers.Load().clients[failure.Provider] == nil { // an *Error of the application's may have any text there
		failure.Provider = c.Param("provider")
	}
	more := details{clientIP: c.ClientIP(), op: e.Op, id: e.ID, reason: e.Reason, fix: e.Fix}
	if a.cfg.loopback {
		more.docs = e.docs()
	}
	if e.Err != nil {
		more.err = fmt.Sprint(redactURL(e.Err)) // which looks at a pointer that is nil
	}
	a.emit(ctx, e.level(), "ginauth: request failed", failure, more)
}

// logEvent logs that a user signed in or out, for an audit, and what led to it.
// s is the session, or nil. ctx need not be a request's: LogoutEverywhere takes
// any.
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

// details are what the log has of an event beside it.
type details struct{ session, clientIP, op, id, reason, fix, docs, err string }

// emit writes an event to the log and passes it to Hooks.OnEvent. A panic there
// is logged and changes nothing: a sign-in does not fail for want of a counter.
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
	if a.isRunning(ctx, string(e.Name)) { // it calls LogoutEverywhere at any event, say
		return
	}
	ctx, done := a.runs(ctx, string(e.Name))
	defer done()
	err := contain.Do(func() error { a.cfg.Hooks.OnEvent(ctx, e); return nil })
	if p, panicked := err.(*contain.Panic); panicked {
		a.cfg.log(ctx, slog.LevelError, "hook.on_event_panicked", "Hooks.OnEvent panicked", slog.String("on", string(e.Name)), slog.String("panic", p.Text()))
	}
}

// log writes a line that is about no event. Its id stays the same, as those of errors
// do, and docs/errors.md has an anchor for it.
func (c *config) log(ctx context.Context, level slog.Level, id, message string, attrs ...slog.Attr) {
	if c.Logger.Enabled(ctx, level) { // else the line would be made in vain, at each sign-in
		c.Logger.LogAttrs(ctx, level, "ginauth: "+message, append([]slog.Attr{slog.String("id", id)}, attrs...)...)
	}
}

// redactURL drops the address from a transport error: it may have a query.
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

// hashUser returns what the log has in place of User.ID, which more people read
// than the table of users; "" without a Subject.
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
