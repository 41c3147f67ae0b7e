package ginauth

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

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

// SignIn starts a session for a user whom the application itself vouches for:
// in tests (see authtest.SignIn), or for an administrator who looks at the
// site as a customer sees it. No provider is asked and OnLogin is not called.
// user.Provider must be one of Options.Providers and user.Subject not empty;
// an empty Issuer becomes the provider's. Call it before the answer is written;
// for the rest of the request CurrentUser is that user. Most applications do
// not need it.
func (a *Auth) SignIn(c *gin.Context, user *User) error {
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

// Logout signs the user out from a handler of the application: this session,
// and every copy of its cookie, wherever. It does not sign out at the provider
// (send people to POST /logout for that). That nobody is signed in is no
// error. Call it before the answer is written.
func (a *Auth) Logout(c *gin.Context) error {
	_, err := a.leave(c, byApplication)
	return err
}

// LogoutEverywhere signs a user out of all sessions, on every device: "my
// account was stolen", or an administrator's button. The user is named by
// User.ID. Sessions that begin later live. It does not sign out at the
// provider. An error (ErrStoreUnavailable) means that it did not happen.
func (a *Auth) LogoutEverywhere(ctx context.Context, userID string) error {
	issuer, subject, _ := strings.Cut(userID, "#")
	if issuer == "" || subject == "" {
		return &Error{Code: ErrBadRequest, Op: "sign out everywhere", Reason: "that is not a User.ID", Fix: "pass what User.ID returned"}
	}
	if err := a.cfg.revoke(ctx, revocationKey(allOfUser, issuer, subject), a.cfg.Now()); err != nil {
		return err
	}
	a.note(ctx, slog.LevelInfo, "ginauth: sessions revoked", Event{Name: sessionsRevoked, By: byApplication, User: hashed(userID)}, nil)
	return nil
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
