package ginauth

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// Update changes the session of the signed-in user: groups, say, or the
// application's own User.Data, which is not nil in change. Provider, Issuer,
// Subject and the claims stay as verified. Call it before the response is written;
// no middleware is needed in front of it.
//
// It fails with [ErrUnauthenticated] if no user is signed in, with [ErrCrossOrigin]
// for an unsafe request from another origin, with [ErrSessionError] if the session
// becomes too large or the response is already written, which leaves it as it was,
// and with [ErrStoreUnavailable] if [Options.Sessions] or [Options.Revocations]
// fails.
//
// If two requests of one user call it at the same time, the later response wins. A
// copy of the cookie from before is still valid, with what it said then.
func (a *Auth) Update(c *gin.Context, change func(*User)) error {
	if a.cfg.isCrossOrigin(c.Request) { // there may be no RequireAuth in front of this handler
		return crossOriginError("update session")
	}
	v, err := a.authenticate(c)
	if err != nil {
		return err
	}
	if v == nil {
		return &Error{Code: ErrUnauthenticated, ID: "session.unauthenticated", Op: "update session", Reason: "no user is signed in", Fix: "put RequireAuth in front of this handler"}
	}
	if !v.hasSession() {
		return noSession("update session")
	}
	if c.Writer.Written() {
		return &Error{Code: ErrSessionError, ID: "session.answer_written", Op: "update session", Reason: "the answer is written already", Fix: "call Update before writing"}
	}
	s := v.session()
	s.lastSeen = time.UnixMicro(v.asked)
	verified := *s.user
	s.user.writable()
	change(s.user)
	s.user.sameAs(&verified)
	keepPrivate(c)
	if err := a.sessions.renew(c.Writer, c.Request, s); err != nil {
		return err
	}
	a.attachSession(c, s, v.isNew)
	return nil
}

// SignIn starts a session for a user that the application vouches for: in tests
// (see authtest.SignIn), or for an administrator who looks at the site as a
// customer. No provider is asked and [Hooks.OnLogin] is not called. Most
// applications do not need it.
//
// user.Provider must be the name of one of [Options.Providers], else SignIn fails
// with [ErrUnknownProvider]. user.Subject is required, and an empty Issuer becomes
// the provider's; a nil user, or a Subject or Issuer that the provider cannot have,
// is [ErrIdentityRejected]. [ErrSessionError] means that the session is too large or
// that the response is already written, [ErrIDTokenInvalid] that the provider signed
// this person out in the same second, [ErrStoreUnavailable] that [Options.Sessions]
// or [Options.Revocations] failed. After an error no session was started, but one
// from before may have ended.
//
// An unsafe request from another origin is refused with [ErrCrossOrigin]: a form on
// another site must not sign people in as somebody of its choice.
//
// Call it before the response is written. For the rest of the request
// [CurrentUser] returns that user.
func (a *Auth) SignIn(c *gin.Context, user *User) error {
	if a.cfg.isCrossOrigin(c.Request) {
		return crossOriginError("sign in")
	}
	if a.cfg.Hooks.Authenticate != nil && hasBearer(c.Request) {
		return &Error{Code: ErrBadRequest, ID: "session.bearer", Op: "sign in", Reason: "the request has a bearer token, beside which no session counts",
			Fix: "call SignIn for requests without one"}
	}
	if c.Writer.Written() {
		return &Error{Code: ErrSessionError, ID: "session.answer_written", Op: "sign in", Reason: "the answer is written already", Fix: "call SignIn before writing"}
	}
	if user == nil {
		return &Error{Code: ErrIdentityRejected, ID: "session.user_nil", Op: "sign in", Reason: "the user is nil", Fix: "pass a User with Provider and Subject"}
	}
	u, e := a.vouched(user, "sign in")
	if e != nil {
		return e
	}
	if u.AuthTime.IsZero() {
		u.AuthTime = a.cfg.Now()
	}
	s, err := a.sessions.start(c.Writer, c.Request, &session{user: u, authTime: true})
	if err != nil {
		return err
	}
	keepPrivate(c)
	a.logEvent(c, slog.LevelInfo, "ginauth: signed in by the application", Event{Name: SignInByApplication}, s)
	a.attachSession(c, s, true)
	return nil
}

// Logout ends the session of this request and revokes every copy of its cookie. It
// does not sign out at the provider: post a form to [Auth.LogoutURL] for that. It
// does nothing, and returns nil, if no user is signed in.
//
// It fails with [ErrCrossOrigin] if an unsafe request comes from another origin,
// with [ErrSessionError] if the response is already written, and with
// [ErrStoreUnavailable] if [Options.Sessions] or [Options.Revocations] fails. In
// the latter case this browser's cookie is cleared all the same, but a copy of it
// may still be valid.
func (a *Auth) Logout(c *gin.Context) error {
	if a.cfg.isCrossOrigin(c.Request) {
		return crossOriginError("sign out")
	}
	if err := a.needsSession(c, "sign out"); err != nil {
		return err
	}
	s, err := a.signOut(c, ByApplication)
	if s != nil {
		a.dropIDToken(c.Writer.Header())
	}
	return err
}

// LogoutEverywhere revokes all sessions of a user, on every device: after a stolen
// password, say. Sessions that start later are not affected. It does not sign out
// at the provider.
//
// userID is what [User.ID] returned; anything without an issuer and a subject is
// [ErrBadRequest]. The ID of an unknown user is no error. [ErrStoreUnavailable]
// means that nothing was revoked.
func (a *Auth) LogoutEverywhere(ctx context.Context, userID string) error {
	issuer, subject, _ := strings.Cut(userID, "#")
	if issuer == "" || subject == "" {
		return &Error{Code: ErrBadRequest, ID: "session.user_id", Op: "sign out everywhere", Reason: "that is not a User.ID", Fix: "pass what User.ID returned"}
	}
	if err := a.cfg.revokePerson(ctx, revocationKey(allOfUser, issuer, subject)); err != nil {
		return err
	}
	a.logEvent(ctx, slog.LevelInfo, "ginauth: sessions revoked", Event{Name: SessionsRevoked, By: ByApplication, User: a.hasher.Hash(userID)}, nil)
	return nil
}

// SessionInfo describes a session, for a page that shows it.
type SessionInfo struct {
	Provider string    // Provider.Name of the sign-in
	Created  time.Time // when the user signed in
	LastSeen time.Time // the last request; one within a tenth of Options.IdleTimeout after it is not recorded

	IdleExpiry     time.Time // when the session expires without another request; not after AbsoluteExpiry
	AbsoluteExpiry time.Time // when the session expires in any case
}

// Session describes the session of this request. ok is false if the request is
// unauthenticated, or if neither [Auth.RequireAuth] nor [Auth.LoadUser] ran
// before the handler.
func (a *Auth) Session(c *gin.Context) (info SessionInfo, ok bool) {
	v := a.authenticated(c)
	if v == nil || !v.hasSession() {
		return info, false
	}
	s := v.session()
	return SessionInfo{Provider: s.user.Provider, Created: s.created, LastSeen: s.lastSeen, IdleExpiry: s.lastSeen.Add(a.sessions.remaining(s)), AbsoluteExpiry: s.until}, true
}
