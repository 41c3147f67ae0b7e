package ginauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

// tokenSources holds the providers whose access tokens are accepted.
type tokenSources struct {
	issuers    []*client // with Audience, by the iss of a JWT
	introspect *client   // introspects opaque tokens; nil if they are rejected
}

func (t *tokenSources) add(cl *client) {
	if cl.provider.Audience == "" {
		return
	}
	t.issuers = append(t.issuers, cl)
	if cl.provider.Introspect {
		t.introspect = cl
	}
}

// issuer returns the provider that a token names as its issuer; of several with that issuer,
// the one whose Audience the token has. It returns nil if no provider matches.
func (t *tokenSources) issuer(token *rp.UnverifiedToken) (found *client) {
	for _, cl := range t.issuers {
		if !cl.rp.IssuedBy(token) {
			continue
		}
		if token.IsFor(cl.provider.Audience) {
			return cl
		}
		found = cmp.Or(found, cl)
	}
	return found
}

// takesTokens reports whether any provider's access tokens are accepted.
func (g *registry) takesTokens() bool { return len(g.tokens.issuers) > 0 }

// errTokenIgnored means that a request has a bearer token, which LoadUser does not read.
var errTokenIgnored = errors.New("the request has a bearer token")

// byToken returns the user of a request's bearer token in the form of a session, so that the
// per-request checks of sessions apply to it, too.
func (a *Auth) byToken(c *gin.Context, g *registry, now time.Time) (*opened, error) {
	raw, err := bearerToken(c.Request)
	if err != nil {
		return nil, err
	}
	b := g.bearers.find(raw, now)
	if b == nil {
		open := a.open
		if a.cfg.Hooks.OnToken != nil { // called once for all concurrent requests; so is an introspection
			open = a.openOnce
		}
		if b, err = open(c, g, raw, now); err != nil {
			return nil, err
		}
	}
	if b.refused != nil {
		return nil, b.refused
	}
	marks, err := a.cfg.watermarks(c.Request.Context(), b.opened.keys)
	if err != nil {
		return nil, err
	}
	if b.opened.revoked(marks) {
		return nil, &Error{Code: ErrInvalidToken, ID: "bearer.revoked", Op: "verify access token", Provider: b.opened.user.Provider,
			Reason: "the user has signed out everywhere, or at the provider, since the token was issued", Fix: "have the client get a new token"}
	}
	return b.opened, nil
}

// openOnce opens a token once for all concurrent requests with it. The first one opens it, and
// the others wait until it is done or their client disconnects.
func (a *Auth) openOnce(c *gin.Context, g *registry, raw string, now time.Time) (*bearer, error) {
	if a.isRunning(c.Request.Context(), "OnToken") { // would deadlock
		return nil, reentered("OnToken")
	}
	for {
		call, first := g.bearers.begin(raw)
		if first {
			defer g.bearers.end(raw, call)
			if call.bearer = g.bearers.find(raw, now); call.bearer != nil { // the call before this one has just ended
				return call.bearer, nil
			}
			call.gone = true // also after a panic
			call.bearer, call.err = a.open(c, g, raw, now)
			call.gone = c.Request.Context().Err() != nil
			return call.bearer, call.err
		}
		select {
		case <-call.done:
			if !call.gone || call.bearer != nil {
				return call.bearer, call.err
			}
		case <-c.Request.Context().Done():
			return nil, context.Cause(c.Request.Context())
		}
	}
}

// open verifies or introspects a token and caches the result: its user, or the error for which
// the user is rejected. Unverified tokens are not cached.
func (a *Auth) open(c *gin.Context, g *registry, raw string, now time.Time) (*bearer, error) {
	var cl *client
	var t *rp.AccessToken
	b := new(bearer)
	err := contain.Do(func() (err error) {
		cl, t, b.until, err = a.verifyToken(c.Request.Context(), g, raw, now)
		return err
	})
	if err == nil {
		b.notBefore = t.IssuedAt.Add(-leeway)
		err = contain.Do(func() (err error) {
			b.opened, err = a.openVerified(c, g, cl, t, now)
			return err
		})
		if a.cfg.Hooks.OnToken != nil || err != nil {
			b.until = earlier(b.until, now.Add(tokenBelief)) // then the hook is called again
		}
	}
	if err != nil {
		e := tokenError(err)
		if t == nil || e.Code != ErrInvalidToken && e.Code != ErrForbidden {
			return nil, e
		}
		b.refused = e
	}
	b.token = t.Raw
	g.bearers.put(b)
	return b, nil
}

// tokenError converts an error of opening a token into the error of the request.
func tokenError(err error) *Error {
	if p, panicked := err.(*contain.Panic); panicked {
		return hookPanicked("verify access token", p)
	}
	e := complete(err, Error{Code: ErrStoreUnavailable, ID: "bearer.failed", Op: "verify access token"})
	switch e.Code {
	case ErrProviderUnavailable, ErrProviderTimeout:
		e.status = http.StatusServiceUnavailable // a dependency of this API failed; the API is not a gateway
	case ErrIdentityRejected: // the code of sign-ins for the same claims
		e.Code = ErrInvalidToken
	}
	return e
}

// openVerified returns the user of a verified token, unless it is too old or OnToken rejects
// it.
func (a *Auth) openVerified(c *gin.Context, g *registry, cl *client, t *rp.AccessToken, now time.Time) (*opened, error) {
	if now.Sub(t.IssuedAt) > a.cfg.Lifetime { // revocations are kept only that long
		return nil, &Error{Code: ErrInvalidToken, ID: "bearer.too_old", Op: "verify access token", Provider: cl.provider.Name,
			Reason: fmt.Sprintf("the token was issued %v ago, which is more than Options.Lifetime (%v)", now.Sub(t.IssuedAt).Round(time.Second), a.cfg.Lifetime), Fix: "have the provider issue tokens with a shorter lifetime"}
	}
	u, err := a.userOfToken(cl, t, now)
	if err != nil {
		return nil, err
	}
	if a.cfg.Hooks.OnToken != nil {
		if err := a.askOnToken(c, u); err != nil {
			return nil, err
		}
		u = u.clone() // the hook may retain its argument
	}
	s := session{user: u, created: t.IssuedAt.Add(-leeway), lastSeen: now, issued: t.IssuedAt, sid: t.SID, authTime: !t.AuthTime.IsZero()}
	if err := s.keepClaims(a.cfg.KeepClaims); err != nil {
		return nil, err
	}
	return s.ofToken(earlier(t.Expiry, t.IssuedAt.Add(a.cfg.Lifetime)).Add(leeway)), nil
}

// tokenBelief is how long the result of an introspection or of OnToken is cached.
const tokenBelief = time.Minute

// earlier returns the earlier of two times. A zero time means no limit.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ofToken returns an opened session that represents a token: it has no id and is never
// renewed, and expires with the token. Watermarks are compared with a time one minute before the token was issued, since
// the provider's clock may be ahead of the clock that stamped the sign-out.
func (s *session) ofToken(expiry time.Time) *opened {
	o := &opened{session: *s, user: *s.user, expires: expiry.UnixMicro()}
	o.session.user = &o.user
	o.session.mark = o.estimatedMark()
	person := revocationKey(0, o.user.Issuer, o.user.Subject)
	o.keys = [4]RevocationKey{noSessionKey, person.of(allOfUser), o.providerKey(person), person.of(providerUser)}
	o.authenticated = o.user.AuthTime.UnixMicro()
	return o
}

// noSessionKey takes the place of the session's key for tokens, which have no session.
var noSessionKey = revocationKey(oneSession, "")

// verifyToken finds the provider of a token and verifies it. The time returned is when it must
// be verified again: a JWT after an hour, since the provider may have withdrawn its key; an
// opaque token after a minute, since it may have been revoked.
func (a *Auth) verifyToken(ctx context.Context, g *registry, raw string, now time.Time) (*client, *rp.AccessToken, time.Time, error) {
	fail := func(err error) (*client, *rp.AccessToken, time.Time, error) { return nil, nil, time.Time{}, err }
	t, err := rp.ParseAccessToken(raw)
	if err == rp.ErrNotJWT && !isToken68(raw) { // every JWT is token68
		return fail(malformedBearer())
	}
	if err == rp.ErrNotJWT && g.tokens.introspect != nil {
		found, until, err := g.introspections.ask(ctx, raw, g.bearers.accepted(raw), now)
		if err != nil {
			return fail(err)
		}
		return g.tokens.introspect, found, until, nil
	}
	if err != nil {
		return fail(fromRP(err))
	}
	cl := g.tokens.issuer(t)
	if cl == nil {
		return fail(&Error{Code: ErrInvalidToken, ID: "bearer.issuer", Op: "verify access token", Reason: "the token's iss does not match any provider with an Audience",
			Fix: "send a token of a configured provider; if this is one, set its Provider.Audience"})
	}
	found, err := cl.rp.VerifyAccessToken(ctx, t)
	if err != nil {
		return fail(fromRP(err))
	}
	return cl, found, earlier(found.Expiry.Add(leeway), now.Add(keyBelief)), nil
}

// keyBelief is how long a verified JWT is cached: as long as the provider's keys are.
const keyBelief = time.Hour

// userOfToken builds the User of a verified token.
func (a *Auth) userOfToken(cl *client, t *rp.AccessToken, now time.Time) (*User, error) {
	claims := t.Claims
	if t.Program { // no profile, and sub may be missing
		claims = maps.Clone(claims)
		claims["sub"] = cmp.Or(t.Subject, t.ClientID)
	}
	if t.AuthTime.After(now.Add(leeway)) { // for example in milliseconds
		t.AuthTime = time.Time{}
	}
	id := &rp.Identity{Issuer: t.Issuer, Claims: claims, ACR: t.ACR, AuthTime: t.AuthTime, IssuedAt: t.IssuedAt, SID: t.SID}
	if err := cl.verifyClaims(id, nil); err != nil {
		return nil, err
	}
	u, err := newUser(cl, id, t.IssuedAt, a.cfg.loopback)
	if err != nil {
		return nil, err
	}
	if u.AuthTime = t.AuthTime; u.AuthTime.IsZero() {
		u.AuthTime = t.IssuedAt
	}
	u.Grant = &Grant{Client: t.ClientID, Scopes: t.Scopes, Program: t.Program}
	return u, nil
}

// askOnToken calls Hooks.OnToken and restores the fields that it must not change.
func (a *Auth) askOnToken(c *gin.Context, u *User) error {
	request, written, aborted := c.Request, c.Writer.Written(), c.IsAborted()
	done := a.running(c, "OnToken")
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), askingKey{}, true)) // guards called by the hook run no handlers
	u.writable()
	verified := *u
	verified.Grant = u.Grant.clone()
	err := contain.Do(func() error { return a.cfg.Hooks.OnToken(c, u) })
	done()
	c.Request = request
	u.sameAs(&verified)
	if c.Writer.Written() && !written || c.IsAborted() && !aborted {
		return &Error{Code: ErrSessionError, ID: "hook.on_token_answered", Op: "OnToken", Provider: verified.Provider, Err: err,
			Reason: "OnToken wrote a response or aborted the request", Fix: "return an error to reject the request"}
	}
	if err == nil {
		return nil
	}
	failed := Error{Code: ErrStoreUnavailable, ID: "hook.on_token_failed", Op: "OnToken", Provider: verified.Provider, Reason: "OnToken failed",
		Fix: "see error= for the hook's error; to reject a user, return ErrForbidden", Err: err, retryAfter: retryAfter}
	e := complete(err, failed)
	if e.Code != ErrForbidden && e.Code != ErrInvalidToken {
		return &failed
	}
	if e.ID == failed.ID {
		e.ID, e.Reason, e.Fix = "hook.on_token_refused", "OnToken rejected the user", notAdmitted
	}
	return e
}

// readsCredentials reports whether a user can be identified by anything but the session
// cookie. If not, an Authorization header is ignored.
func (a *Auth) readsCredentials() bool {
	return a.cfg.Hooks.Authenticate != nil || a.providers.Load().takesTokens()
}
