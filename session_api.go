package ginauth

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/printable"
)

// Update changes the session of the signed-in user: groups, say, or the
// application's own User.Data, which is not nil in change. Provider, Issuer,
// Subject and the claims stay as verified. With [Provider.Recheck], the next recheck renews
// everything but Data. Call it before the response is written;
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
		return &Error{Code: ErrUnauthenticated, ID: "session.unauthenticated", Op: "update session", Reason: "no user is signed in", Fix: "add RequireAuth to this route"}
	}
	if !v.hasSession() {
		return noSession("update session")
	}
	if c.Writer.Written() {
		return a.answerWritten(c, "update session", "call Update before writing the response")
	}
	s := v.session()
	s.lastSeen = time.UnixMicro(v.asked)
	verified := *s.user
	s.user.writable()
	change(s.user)
	s.user.sameAs(&verified)
	keepPrivate(c)
	if err := v.registry.sessions.renew(c.Writer, c.Request, s); err != nil {
		return err
	}
	a.attachSession(c, v.registry, s, v.isNew)
	return nil
}

// answerWritten is the error for what would need a cookie that can no longer be sent. It
// is logged as well: a handler that writes too early often drops the error too.
func (a *Auth) answerWritten(c *gin.Context, op, fix string) *Error {
	e := &Error{Code: ErrSessionError, ID: "session.answer_written", Op: op, Reason: "the response is already written", Fix: fix}
	a.cfg.log(c.Request.Context(), slog.LevelWarn, "session.answer_written", e.Reason+", so no cookie can be set: "+fix,
		slog.String("op", op), slog.String("path", printable.Clip(c.FullPath())), slog.String("request_id", requestID(c)))
	return e
}

// SignIn starts a session for a user whom the application has authenticated: by a
// password, a passkey, or the session of an older system. No provider is asked and
// [Hooks.OnLogin] is not called. limits may be nil.
//
// user.Provider must be the name of one of [Options.Providers], else SignIn fails
// with [ErrUnknownProvider]. user.Subject is required, and an empty Issuer becomes
// the provider's; a nil user, or a Subject or Issuer that the provider cannot have,
// is [ErrIdentityRejected]. An AuthTime of zero means now, which [MaxAge] believes: set it
// if the person authenticated earlier, as with the session of an older system, and do not
// pass an ACR that was not asked for. [ErrSessionError] means that
// the session is too large, that the response is already written, that AuthTime is in
// the future, or that limits are not shorter than [Options]; [ErrIDTokenInvalid] that the provider signed
// this person out in the same second, [ErrStoreUnavailable] that [Options.Sessions]
// or [Options.Revocations] failed. After an error no session was started, but one
// from before may have ended.
//
// An unsafe request from another origin is refused with [ErrCrossOrigin]: a form on
// another site must not sign people in as somebody of its choice. A prefetch, which no
// user asked for, is [ErrBadRequest]. Any other GET is not refused, but do not sign in
// by one: a link (a "magic link") can be sent to a victim, and scanners of mail open
// it. Let it lead to a page with a form, whose handler calls SignIn.
//
// Call it before the response is written. For the rest of the request
// [CurrentUser] returns that user.
func (a *Auth) SignIn(c *gin.Context, user *User, limits *SessionLimits) (err error) {
	defer func() { err = during(SignInFailed, err) }()
	if a.cfg.isCrossOrigin(c.Request) {
		return crossOriginError("sign in")
	}
	if isPrefetch(c.Request) {
		return prefetchError("sign in")
	}
	if a.isAsking(c) {
		return reentered("sign in")
	}
	if a.readsCredentials() && a.registryOf(c).hasToken(c.Request) {
		return &Error{Code: ErrBadRequest, ID: "session.bearer", Op: "sign in", Reason: "the request has a bearer token, so its session is ignored",
			Fix: "call SignIn only for requests without a bearer token"}
	}
	if c.Writer.Written() {
		return a.answerWritten(c, "sign in", "call SignIn before writing the response")
	}
	if user == nil {
		return &Error{Code: ErrIdentityRejected, ID: "session.user_nil", Op: "sign in", Reason: "the user is nil", Fix: "pass a User with Provider and Subject"}
	}
	if user.Grant != nil { // a session is not limited
		return &Error{Code: ErrIdentityRejected, ID: "session.user_grant", Op: "sign in", Reason: "User.Grant is set, but a session has full access", Fix: "sign in a User without a Grant if full access is intended"}
	}
	g := a.registryOf(c)
	if cl := g.clients[user.Provider]; cl != nil && cl.provider.isResourceServer() {
		_, err := g.provider(user.Provider)
		return err
	}
	u, e := a.vouched(g, user, "sign in")
	if e != nil {
		return e
	}
	switch now := a.cfg.Now(); {
	case u.AuthTime.IsZero():
		u.AuthTime = now
	case u.AuthTime.After(now.Add(leeway)): // would count as fresh for longer than it is
		return &Error{Code: ErrSessionError, ID: "session.auth_time", Op: "sign in", Provider: u.Provider, Reason: "User.AuthTime is in the future",
			Fix: "leave it zero (now), or check the clock that it comes from"}
	}
	var own SessionLimits
	if limits != nil {
		own = *limits
	}
	s, err := g.sessions.start(c.Writer, c.Request, &session{user: u, authTime: true}, own)
	if err != nil {
		return err
	}
	keepPrivate(c)
	if g.clients[u.Provider].isPage() { // which people chose, where there is a choice
		a.lastProvider.remember(c.Writer, c.Request, g, u.Provider, s.browserOnly)
	}
	a.logEvent(c, slog.LevelInfo, "ginauth: signed in by the application", Event{Name: SignInByApplication}, s)
	a.attachSession(c, g, s, true)
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
func (a *Auth) Logout(c *gin.Context) (err error) {
	defer func() { err = during(SignOutFailed, err) }()
	if a.cfg.isCrossOrigin(c.Request) {
		return crossOriginError("sign out")
	}
	if err := a.needsSession(c, "sign out"); err != nil {
		return err
	}
	g := a.registryOf(c)
	s, err := a.signOut(c, g, ByApplication)
	if s != nil {
		a.dropIDToken(c.Writer.Header(), g)
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
		return &Error{Code: ErrBadRequest, ID: "session.user_id", Op: "sign out everywhere", Reason: "the argument is not a User.ID", Fix: "pass the return value of User.ID"}
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
	return SessionInfo{Provider: s.user.Provider, Created: s.created, LastSeen: s.lastSeen, IdleExpiry: s.lastSeen.Add(v.registry.sessions.remaining(s)), AbsoluteExpiry: s.until}, true
}
