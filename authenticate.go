package ginauth

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

// refusedCredential is the context of a request whose credential was rejected, so that
// Hooks.Authenticate is not called again.
type refusedCredential struct {
	context.Context
	auth *Auth
	err  error
}

// Value implements context.Context.
func (u *refusedCredential) Value(key any) any {
	if key == (authRequestKey{u.auth}) {
		return u
	}
	return u.Context.Value(key)
}

// credential identifies the user by Hooks.Authenticate or an access token and attaches it to
// the request; it returns nil without such a credential. found is the value that this Auth
// stored in the request's context before. tokens is as for identify.
//
// The hook is called once per request: the credential may be valid only once, such as a signed
// nonce.
func (a *Auth) credential(c *gin.Context, found any, tokens bool, op string) (*authRequest, error) {
	g := a.providers.Load()
	asks := a.cfg.Hooks.Authenticate != nil
	if !asks && (!g.takesTokens() || !g.mayHaveToken(c.Request)) {
		return nil, nil
	}
	switch found := found.(type) {
	case *refusedCredential:
		return nil, found.err
	case *authRequest:
		switch {
		case found.asking:
			return nil, reentered(op)
		case found.state.Load() == unidentified: // the hook found no user, and LoadUser read no token
			asks = false
			if !g.hasToken(c.Request) {
				return nil, nil
			}
		case found.hasSession():
			return nil, nil
		default:
			return a.attachIdentified(c, found.registry, found.opened, a.cfg.Now()), nil // another Auth has put its own user in front
		}
	}
	var user *User
	var err error
	answered := false
	if asks {
		written, aborted := c.Writer.Written(), c.IsAborted() // a handler may respond before it calls Logout, for example
		user, err = a.ask(c, g)
		answered = c.Writer.Written() && !written || c.IsAborted() && !aborted
		if user == nil && err == nil && !answered && !g.mayHaveToken(c.Request) {
			return nil, nil // most requests end here
		}
	}
	now := a.cfg.Now()
	o, err := a.judge(c, g, now, user, err, answered, tokens)
	if err == errTokenIgnored {
		return nil, err
	}
	if err != nil {
		c.Request = c.Request.WithContext(&refusedCredential{c.Request.Context(), a, err})
		return nil, err
	}
	if o == nil {
		return nil, nil
	}
	return a.attachIdentified(c, g, o, now), nil
}

// ask calls Hooks.Authenticate. The request's context records that the hook is running, since
// it may call a function that would call it again, and afterwards that it has run. That
// context is the authRequest of the user, so it costs no extra allocation.
func (a *Auth) ask(c *gin.Context, g *registry) (*User, error) {
	original, v := c.Request, &authRequest{registry: g, asking: true}
	v.wrap(c)
	user, err := a.callAuthenticate(c)
	v.asking = false
	if c.Request != &v.request && c.Request.Context().Value(authRequestKey{a}) != any(v) { // the hook has replaced the request
		v = &authRequest{registry: g}
		v.wrap(c)
	}
	returnForm(c, original)
	return user, err
}

func (a *Auth) callAuthenticate(c *gin.Context) (user *User, err error) {
	defer contain.Recover(&err)
	return a.cfg.Hooks.Authenticate(c)
}

// isAsking reports whether Hooks.Authenticate is running for the request: functions called by
// the hook cannot know the user.
func (a *Auth) isAsking(c *gin.Context) bool {
	v, ok := c.Request.Context().Value(authRequestKey{a}).(*authRequest)
	return ok && v.asking
}

func reentered(op string) *Error {
	return &Error{Code: ErrSessionError, ID: "hook.authenticate_reentered", Op: op, Reason: "Hooks.Authenticate called a function that calls Authenticate itself",
		Fix: "use only the request in Authenticate, and call this function from the handler or from middleware after the guard"}
}

// attachIdentified attaches a user without a session to the request.
func (a *Auth) attachIdentified(c *gin.Context, g *registry, o *opened, now time.Time) *authRequest {
	v := a.newAuthRequest(c, g, o, now)
	vary(c.Writer.Header(), &v.vary)
	a.attach(c, v)
	return v
}

// judge decides by the hook's result, whether it has written a response, and the access token
// of the request.
func (a *Auth) judge(c *gin.Context, g *registry, now time.Time, user *User, err error, answered, tokens bool) (*opened, error) {
	isToken := g.hasToken(c.Request)
	switch {
	case answered:
		return nil, &Error{Code: ErrSessionError, ID: "hook.authenticate_answered", Op: "Authenticate", Err: err,
			Reason: "Authenticate wrote a response or aborted the request", Fix: "return an error to reject the request"}
	case err != nil:
		return nil, credentialRefused(err)
	case user != nil:
		return a.identified(g, user)
	case isToken && g.takesTokens() && tokens:
		return a.byToken(c, g, now)
	case isToken && g.takesTokens():
		return nil, errTokenIgnored
	case isToken:
		// RFC 6750, 3.1: invalid_token. A request with an expired token must not continue as
		// the user of a session cookie.
		return nil, &Error{Code: ErrInvalidToken, ID: "guard.bearer_unknown", Op: "Authenticate", Reason: "the bearer token is unknown: Authenticate returned nil, nil",
			Fix: "send a valid token or no token; if this one is valid, check how Authenticate parses the header: the scheme may be in lower case (bearer)"}
	}
	return nil, nil
}

// credentialRefused converts an error of the hook into one without a redirect to the sign-in:
// the credential or the user is rejected, or the hook has failed.
func credentialRefused(err error) *Error {
	failed := Error{Code: ErrStoreUnavailable, ID: "hook.authenticate_failed", Op: "Authenticate", Reason: "Authenticate failed",
		Fix: "see error= for the hook's error; to reject a credential, return ErrInvalidToken or ErrForbidden", Err: err, retryAfter: retryAfter}
	e := complete(err, failed)
	switch e.Code {
	case ErrInvalidToken:
		if e.ID == failed.ID {
			e.ID, e.Reason, e.Fix = "hook.authenticate_invalid", "Authenticate rejected the credential", "send a valid credential, or omit it"
		}
		return e
	case ErrForbidden:
		if e.ID == failed.ID {
			e.ID, e.Reason, e.Fix = "hook.authenticate_forbidden", "Authenticate rejected the user", notAdmitted
		}
		return e
	}
	return &failed
}

// identified returns a copy of the hook's user in the form of a session without an id. The
// hook may retain and change its User.
func (a *Auth) identified(g *registry, user *User) (*opened, error) {
	u, e := a.vouched(g, user, "Authenticate")
	if e != nil {
		e.Code, e.ID = ErrSessionError, "hook.authenticate_user"
		return nil, e
	}
	o := &opened{user: *u}
	o.user.request = nil // it may be the user of another request
	o.session.user, o.session.authTime = &o.user, u.AuthTime.After(time.Time{}) && !u.AuthTime.After(a.cfg.Now().Add(leeway))
	o.authenticated = u.AuthTime.UnixMicro() // overflows long before the year 1, which authTime excludes
	return o, nil
}

// vouched returns a copy of a user that the application has authenticated, with its Issuer, or
// an error if its provider cannot have such a user.
func (a *Auth) vouched(g *registry, user *User, op string) (*User, *Error) {
	cl := g.clients[user.Provider]
	if cl == nil {
		return nil, &Error{Code: ErrUnknownProvider, ID: "provider.unknown", Op: op, Reason: fmt.Sprintf("unknown provider %q; the configured providers are %q", user.Provider, g.all), Fix: "set User.Provider"}
	}
	u := user.clone()
	if u.Issuer == "" {
		u.Issuer = cl.namespace()
	}
	if _, err := rp.ValidSubject(u.Subject); err != nil || !g.sessions.issuers[u.Provider].admit(u.Issuer) {
		return nil, &Error{Code: ErrIdentityRejected, ID: "session.user_identity", Op: op, Provider: u.Provider, Reason: "User.Subject or User.Issuer is invalid for this provider",
			Fix: "set Subject to the user's id at the provider, and leave Issuer empty", Err: err}
	}
	return u, nil
}

// needsSession fails if the request is identified by a token or Hooks.Authenticate: its
// session cookie may belong to another user.
func (a *Auth) needsSession(c *gin.Context, op string) error {
	v, err := a.identifiedBy(c, op)
	if v != nil {
		return noSession(op)
	}
	return err
}

// identifiedBy is credential for a request that opens no session afterwards. It returns nil if
// the request has only a session cookie.
func (a *Auth) identifiedBy(c *gin.Context, op string) (*authRequest, error) {
	return a.credential(c, c.Request.Context().Value(authRequestKey{a}), true, op)
}

func noSession(op string) *Error {
	return &Error{Code: ErrBadRequest, ID: "session.missing", Op: op, Reason: "the user was identified by a bearer token or by Authenticate, so the request has no session",
		Fix: "store data of such users in the application's database"}
}

// refusesOrigin is isCrossOrigin for a guard. A browser sends an Authorization header with a
// bearer token to another origin only after a preflight that the application allowed, and
// cookies beside it are ignored. Browsers do not send two Authorization lines: a proxy may
// have added one.
func (a *Auth) refusesOrigin(r *http.Request) bool {
	if !a.cfg.isCrossOrigin(r) {
		return false
	}
	return !a.readsCredentials() || len(r.Header["Authorization"]) != 1 || !hasBearer(r)
}
