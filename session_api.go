package ginauth

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/printable"
)

// Update changes the session of the signed-in user, for example User.Groups or User.Data,
// which is not nil in change. Provider, Issuer, Subject, AuthTime, ACR, Grant and the claims
// cannot be changed. With [Provider.Recheck], the next recheck renews everything but Data.
// Call it before the response is written; it needs no middleware before it.
//
// It fails with [ErrUnauthenticated] if no user is signed in; with [ErrBadRequest] if the user
// was identified by an access token or [Hooks.Authenticate] and so has no session; with the
// error of that token or hook if it is rejected; with [ErrCrossOrigin] for an unsafe request
// from another origin; with [ErrSessionError] if the session becomes too large or the response
// is already written; and with [ErrStoreUnavailable] if [Options.Sessions] or
// [Options.Revocations] fails. The session is unchanged after an error.
//
// If two requests of one session call it at the same time, the later response wins. Without
// [Options.Sessions], a copy of the previous cookie remains valid with its old content.
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

// answerWritten returns the error for a cookie that can no longer be sent. It is also logged,
// since a handler that writes too early often ignores the error.
func (a *Auth) answerWritten(c *gin.Context, op, fix string) *Error {
	e := &Error{Code: ErrSessionError, ID: "session.answer_written", Op: op, Reason: "the response is already written", Fix: fix}
	a.cfg.log(c.Request.Context(), slog.LevelWarn, "session.answer_written", e.Reason+", so no cookie can be set: "+fix,
		slog.String("op", op), slog.String("path", printable.Clip(c.FullPath())), slog.String("request_id", requestID(c)))
	return e
}

// SignIn starts a session for a user that the application has authenticated: by a password, a
// passkey, or the session of an older system. It does not contact a provider or call
// [Hooks.OnLogin]. limits may be nil. Call it before the response is written. For the rest of
// the request [CurrentUser] returns the user.
//
// user.Provider must be the name of one of [Options.Providers] that users can sign in with,
// else SignIn fails with [ErrUnknownProvider]. user.Subject is required, and an empty Issuer
// becomes the provider's; a nil user, a user with a Grant, or a Subject or Issuer that the
// provider cannot have is [ErrIdentityRejected]. A zero AuthTime means now, which [MaxAge]
// relies on: set it if the user authenticated earlier, and set ACR only to what was checked.
//
// SignIn fails with [ErrBadRequest] for a prefetch, and for a request with a bearer token,
// whose session cookie would be ignored (if [Provider.Audience] or [Hooks.Authenticate] is
// set); with [ErrSessionError] if the session is too large, the response is already written,
// AuthTime is in the future, or limits exceed those of [Options]; with [ErrIDTokenInvalid] if
// the provider signed this user out in the same second; and with [ErrStoreUnavailable] if
// [Options.Sessions] or [Options.Revocations] fails. After an error no session was started,
// but a previous one may have ended.
//
// An unsafe request from another origin is [ErrCrossOrigin]: otherwise a form on another site
// could sign the user in to the attacker's account. Other GET requests are accepted, but do
// not call SignIn for them: a "magic link" can be sent to a victim, and mail scanners open
// links. Let the link lead to a page with a form, and call SignIn when the form is posted.
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
	if user.Grant != nil { // a session has no scopes
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
	case u.AuthTime.After(now.Add(leeway)): // would pass MaxAge for too long
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
	if g.clients[u.Provider].isPage() { // the user chose it, if there is a choice
		a.lastProvider.remember(c.Writer, c.Request, g, u.Provider, s.browserOnly)
	}
	a.logEvent(c, slog.LevelInfo, "ginauth: signed in by the application", Event{Name: SignInByApplication}, s)
	a.attachSession(c, g, s, true)
	return nil
}

// Logout ends the session of this request and revokes every copy of its cookie. It does not
// sign out at the provider: post a form to [Auth.LogoutURL] for that. It does nothing and
// returns nil if no user is signed in.
//
// It fails with [ErrCrossOrigin] for an unsafe request from another origin; with
// [ErrBadRequest] if an access token or [Hooks.Authenticate] identified the user, and with
// their error if they are rejected; with [ErrSessionError] if the response is already written;
// and with [ErrStoreUnavailable] if [Options.Sessions] or [Options.Revocations] fails. In the
// last case this browser's cookie is still cleared, but a copy of it may remain valid.
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

// LogoutEverywhere revokes all sessions of a user on every device, and rejects access tokens
// that were issued to the user before: after a stolen password, for example. Later sessions
// and tokens are not affected. It does not sign out at the provider.
//
// userID is a [User.ID]; a text without an issuer and a subject is [ErrBadRequest]. An unknown
// userID is not an error. After [ErrStoreUnavailable], nothing was revoked.
func (a *Auth) LogoutEverywhere(ctx context.Context, userID string) error {
	issuer, subject, _ := strings.Cut(userID, "#")
	if issuer == "" || subject == "" {
		return &Error{Code: ErrBadRequest, ID: "session.user_id", Op: "sign out everywhere", Reason: "the argument is not a User.ID", Fix: "pass the return value of User.ID"}
	}
	if err := a.cfg.revokePerson(requestContext(ctx), revocationKey(allOfUser, issuer, subject)); err != nil {
		return err
	}
	a.logEvent(ctx, slog.LevelInfo, "ginauth: sessions revoked", Event{Name: SessionsRevoked, By: ByApplication, User: a.hasher.Hash(userID)}, nil)
	return nil
}

// SessionInfo describes a session, for example for an account page.
type SessionInfo struct {
	Provider string    // Provider.Name of the sign-in
	Created  time.Time // when the user signed in
	LastSeen time.Time // the last request, to within a tenth of Options.IdleTimeout

	IdleExpiry     time.Time // expiry without further requests; not after AbsoluteExpiry
	AbsoluteExpiry time.Time // expiry in any case
}

// Session returns information about the session of this request. ok is false if the request is
// unauthenticated or has no session (access tokens, [Hooks.Authenticate]), or if neither
// [Auth.RequireAuth] nor [Auth.LoadUser] ran before the handler.
func (a *Auth) Session(c *gin.Context) (info SessionInfo, ok bool) {
	v := a.authenticated(c)
	if v == nil || !v.hasSession() {
		return info, false
	}
	s := v.session()
	return SessionInfo{Provider: s.user.Provider, Created: s.created, LastSeen: s.lastSeen, IdleExpiry: s.lastSeen.Add(v.registry.sessions.remaining(s)), AbsoluteExpiry: s.until}, true
}
