package ginauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
)

// Event is something that happened to a sign-in or to a session: the log has a
// line about each, and Hooks.OnEvent gets it, to count or to trace.
//
// Name, Provider, Code and By have few values and can be labels of a metric.
// RequestID and User cannot. Nothing in an Event is a secret, and of what a
// request sends only a plain X-Request-ID is in it.
type Event struct {
	// Name is what happened, and keeps its meaning from version to version:
	//
	//	sign_in_started         the browser is on its way to the provider
	//	sign_in_succeeded       it came back, and a session began
	//	sign_in_failed          at /login/:provider or /authorize/:provider; see Code
	//	sign_in_by_application  Auth.SignIn began a session; no provider was asked
	//	signed_out              a session ended in its own browser; see By
	//	sign_out_failed         at /logout or below; see Code
	//	revoked                 sessions ended wherever they are; see By
	//	request_refused         a guard refused who is signed in, or could not know; see Code
	//
	// That nobody is signed in is not an event.
	Name string

	// Provider is the Name of one of Options.Providers, or "" if none can be
	// told.
	Provider string

	// Code is why something failed: one of this package's, or of an *Error
	// that a function of the application's returned.
	Code Code

	// By is who ended a session: "user" (POST /logout), "application"
	// (Auth.Logout, Auth.LogoutEverywhere) or "provider" (front-channel and
	// back-channel logout).
	By string

	// Duration is how long the provider took, once the browser had come back:
	// its token endpoint, keys and profile. 0 if it was not asked.
	Duration time.Duration

	// RequestID is that of the page, the JSON and the log: the request's
	// X-Request-ID if that is plain, else a random one. It is "" outside of a
	// request.
	RequestID string

	// User is a hash of User.ID (the first 8 bytes of SHA-256, in hexadecimal),
	// or "" if it is not known who it was.
	User string
}

// The names of events.
const (
	signInStarted       = "sign_in_started"
	signInSucceeded     = "sign_in_succeeded"
	signInFailed        = "sign_in_failed"
	signInByApplication = "sign_in_by_application"
	signedOut           = "signed_out"
	signOutFailed       = "sign_out_failed"
	sessionsRevoked     = "revoked"
	requestRefused      = "request_refused"
)

// Who ends a session.
const (
	byUser        = "user"
	byApplication = "application"
	byProvider    = "provider"
)

// heard says whether anybody wants to know of an event of that level.
func (a *Auth) heard(ctx context.Context, level slog.Level) bool {
	return a.cfg.Hooks.OnEvent != nil || a.cfg.Logger.Enabled(ctx, level)
}

// details are what the log has of an event beside it.
type details struct{ session, clientIP, op, id, reason, fix, docs, err string }

// tell writes an event into the log, and hands it to the application.
func (a *Auth) tell(ctx context.Context, level slog.Level, message string, e Event, more details) {
	if a.clients[e.Provider] == nil {
		e.Provider = ""
	}
	if a.cfg.Logger.Enabled(ctx, level) {
		a.cfg.Logger.LogAttrs(ctx, level, message, e.attrs(more)...)
	}
	if a.cfg.Hooks.OnEvent != nil {
		a.hand(ctx, e)
	}
}

// hand calls OnEvent. What it breaks in is over: a sign-in does not fail for
// want of a counter.
func (a *Auth) hand(ctx context.Context, e Event) {
	defer func() {
		if r := recover(); r != nil {
			a.cfg.Logger.ErrorContext(ctx, "ginauth: Hooks.OnEvent panicked", "on", e.Name, "panic", fmt.Sprintf("%.500v", r))
		}
	}()
	a.cfg.Hooks.OnEvent(ctx, e)
}

// log records a failure once, with its cause, under the name of its event.
// Nobody being signed in is none.
func (a *Auth) log(c *gin.Context, event string, e *Error) {
	ctx := c.Request.Context()
	if e.Code == ErrUnauthenticated || !a.heard(ctx, e.level()) {
		return
	}
	told := Event{Name: event, Code: e.Code, Provider: e.Provider, Duration: e.took, RequestID: requestID(c), User: e.user}
	if event == requestRefused {
		if v := a.visited(c); v != nil {
			user := v.session().user // not what a handler may have changed
			told.Provider, told.User = user.Provider, user.hash()
		}
	} else if a.clients[told.Provider] == nil { // an *Error of the application's may have any text there
		told.Provider = c.Param("provider")
	}
	more := details{clientIP: c.ClientIP(), op: e.Op, id: e.ID, reason: e.Reason, fix: e.Fix}
	if a.cfg.loopback {
		more.docs = e.Code.docs()
	}
	if e.Err != nil {
		more.err = redactURL(e.Err).Error()
	}
	a.tell(ctx, e.level(), "ginauth: request failed", told, more)
}

// note records that somebody signed in or out, for those who have to find out
// later, and what led to it. s is the session, or nil. ctx may be of something
// else than a request: LogoutEverywhere takes any.
func (a *Auth) note(ctx context.Context, level slog.Level, message string, e Event, s *session) {
	c, _ := ctx.(*gin.Context)
	if c != nil && c.Request != nil {
		ctx = c.Request.Context()
	}
	if !a.heard(ctx, level) {
		return
	}
	var more details
	if s != nil {
		e.Provider, e.User, more.session = s.user.Provider, s.user.hash(), hashed(s.id)
	}
	if c != nil && c.Request != nil {
		e.RequestID, more.clientIP = requestID(c), c.ClientIP()
	}
	a.tell(ctx, level, message, e, more)
}

// redactURL drops the address from a transport error: it may have a query.
func redactURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// attrs is an event as the log has it, without what is empty.
func (e *Event) attrs(more details) []slog.Attr {
	attrs := make([]slog.Attr, 0, 14)
	for _, text := range [...]struct{ key, value string }{
		{"event", e.Name}, {"code", string(e.Code)}, {"provider", e.Provider}, {"user", e.User}, {"session", more.session}, {"by", e.By},
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

// hashed is how the log names a session, or a person: it is read by more people
// than the table of users is.
func hashed(id string) string {
	var room [256]byte
	return hashedBytes(append(room[:0], id...))
}

// hash is hashed(u.ID()), or "" for nobody.
func (u *User) hash() string {
	if u.Subject == "" {
		return ""
	}
	var room [256]byte
	return hashedBytes(append(append(append(room[:0], u.Issuer...), '#'), u.Subject...))
}

func hashedBytes(id []byte) string {
	sum := sha256.Sum256(id)
	var text [16]byte
	hex.Encode(text[:], sum[:8])
	return string(text[:])
}

// level is how loud the log is about an error.
func (e *Error) level() slog.Level {
	switch {
	case e.Status() >= 500:
		return slog.LevelError
	case e.Code == ErrProviderDenied || e.Code == ErrForbidden || e.Code == ErrUnknownProvider || e.Code == ErrMethodNotAllowed:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}
