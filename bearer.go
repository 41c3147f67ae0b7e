package ginauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

// Grant describes what a bearer token permits: see [User.Grant]. A user with a Grant is
// admitted only by guards with a [HasScope] or [IsClient] check that says yes.
type Grant struct {
	Client  string   `json:"client,omitempty"`  // client id that the token was issued to
	Scopes  []string `json:"scopes,omitempty"`  // scopes of the token
	Program bool     `json:"program,omitempty"` // the client acts for itself: there is no person (RFC 6749, section 4.4)

	admitted *bool // a check of the guard that is deciding has said yes; nil outside of one
}

// clone returns a copy for the checks of one guard, which mark it.
func (g *Grant) clone() *Grant {
	if g == nil {
		return nil
	}
	return &Grant{Client: g.Client, Scopes: slices.Clone(g.Scopes), Program: g.Program}
}

// admit marks what is being decided.
func (g *Grant) admit() {
	if g.admitted != nil {
		*g.admitted = true
	}
}

// undecided reports whether a guard is deciding, and no check has said yes to the token.
func (g *Grant) undecided() bool { return g != nil && g.admitted != nil && !*g.admitted }

// HasScope admits a user whose token has all of scopes, and every user with a session,
// which scopes do not limit. Scopes are compared exactly (RFC 6749, section 3.3). A token
// without one of them is answered with 403 ([ErrInsufficientScope], RFC 6750, section 3.1).
// Tokens that a program has for itself need [IsClient]. HasScope panics without scopes, and
// if one is empty.
//
// A guard without a HasScope or IsClient check admits no bearer token.
//
//go:noinline
func HasScope(scopes ...string) Check {
	mustHave("HasScope", scopes)
	scopes = slices.Clone(scopes)
	return func(u *User) error {
		if u.Grant == nil {
			return nil
		}
		for _, s := range scopes {
			if !slices.Contains(u.Grant.Scopes, s) {
				return &Error{Code: ErrInsufficientScope, ID: "check.scope", Op: "check", Provider: u.Provider, scope: strings.Join(scopes, " "),
					Reason: fmt.Sprintf("the token has the scopes %q, and not all of %q", u.Grant.Scopes, scopes), Fix: "have the client ask for them"}
			}
		}
		if !u.Grant.Program {
			u.Grant.admit()
		}
		return nil
	}
}

// IsClient admits programs that act for themselves with a token of one of these client ids
// (RFC 6749, section 4.4), and nobody else. Combine it: AnyOf(HasScope("read"),
// IsClient("nightly-report")). IsClient panics without ids, and if one is empty.
//
//go:noinline
func IsClient(ids ...string) Check {
	mustHave("IsClient", ids)
	ids = slices.Clone(ids)
	return func(u *User) error {
		if u.Grant == nil || !u.Grant.Program {
			return refused("check.no_program", notAdmitted, "not a program that acts for itself")
		}
		if !slices.Contains(ids, u.Grant.Client) {
			return refused("check.client", notAdmitted, "the client %q is not one of %q", u.Grant.Client, ids)
		}
		u.Grant.admit()
		return nil
	}
}

// unscoped is the error for a token on a guard of which no check has admitted it.
func unscoped(u *User) *Error {
	reason := "the guard has no HasScope or IsClient check, without which it admits no bearer token"
	if u.Grant.Program {
		reason = "no IsClient check of the guard has admitted the program, whose token is for itself"
	}
	return &Error{Code: ErrInsufficientScope, ID: "guard.bearer_unscoped", Op: "guard", Provider: u.Provider, Reason: reason,
		Fix: `name what a token needs here: RequireAuth(ginauth.HasScope("…")) for tokens of people, ginauth.IsClient("…") for programs`}
}

// tokenSources are the providers whose access tokens are accepted.
type tokenSources struct {
	issuers    []*client // with Audience, by the iss of a JWT
	introspect *client   // that is asked about opaque tokens; nil if none is
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

// takesTokens reports whether any provider's access tokens are accepted.
func (g *registry) takesTokens() bool { return len(g.tokens.issuers) > 0 }

// mayHaveToken reports whether a request has to be looked at more closely: most have no
// Authorization header, and no token in the address.
func (g *registry) mayHaveToken(r *http.Request) bool {
	return r.Header["Authorization"] != nil || g.takesTokens() && hasTokenInQuery(r)
}

// hasTokenInQuery recognizes the method of RFC 6750, 2.3, which RFC 9700, 4.3.2, forbids:
// addresses are logged.
func hasTokenInQuery(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "access_token") && r.URL.Query().Has("access_token")
}

// bearerToken returns the token of a request that has one (RFC 6750, section 2.1).
func bearerToken(r *http.Request) (string, error) {
	bad := func(id, reason, fix string) (string, error) {
		return "", &Error{Code: ErrBadRequest, ID: id, Op: "read bearer token", Reason: reason, Fix: fix}
	}
	switch lines := r.Header["Authorization"]; {
	case hasTokenInQuery(r):
		return bad("bearer.query", "there is an access token in the address, where it ends up in logs", "send it in the Authorization header, and revoke this one")
	case len(lines) > 1:
		return bad("bearer.several", "there are several Authorization headers", "send one; see whether a proxy adds another")
	case len(lines[0]) > tokenHeaderLimit:
		return bad("bearer.too_long", "the Authorization header is longer than 64 KB", "send an access token")
	default:
		token := strings.TrimLeft(lines[0][len("Bearer"):], " ")
		if !isToken68(token) {
			return bad("bearer.malformed", "the Authorization header is not Bearer and one token", "send: Authorization: Bearer, a space, and the access token")
		}
		return token, nil
	}
}

const tokenHeaderLimit = 64 << 10

// isToken68 reports whether a text can be a bearer token: RFC 6750, 2.1: b64token.
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && strings.Trim(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") == ""
}

// errTokenIgnored says that a request has a bearer token, which LoadUser does not look at.
var errTokenIgnored = errors.New("the request has a bearer token")

// byToken returns the user of a request's bearer token, in the form of a session: what is
// asked of sessions at every request is asked of it, too.
func (a *Auth) byToken(c *gin.Context, g *registry) (*opened, error) {
	raw, err := bearerToken(c.Request)
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now()
	o := g.bearers.find(raw, now)
	if o == nil {
		if o, err = a.openToken(c, g, raw, now); err != nil {
			return nil, err
		}
		g.bearers.put(raw, o, len(g.sessions.encode(&o.session)))
	}
	marks, err := a.cfg.watermarks(c.Request.Context(), o.keys)
	if err != nil {
		return nil, err
	}
	if o.revoked(marks) {
		g.bearers.drop(raw)
		return nil, &Error{Code: ErrInvalidToken, ID: "bearer.revoked", Op: "verify access token", Provider: o.user.Provider, Reason: "the person has signed out everywhere, or at the provider, since the token was issued",
			Fix: "nothing: the client has to get another token"}
	}
	return o, nil
}

// openToken verifies a token, or asks the provider about it.
func (a *Auth) openToken(c *gin.Context, g *registry, raw string, now time.Time) (*opened, error) {
	cl, t, until, err := a.verifyToken(c.Request.Context(), g, raw, now)
	if err != nil {
		e := complete(err, Error{Code: ErrStoreUnavailable, ID: "bearer.failed", Op: "verify access token"})
		if e.Code == ErrProviderUnavailable || e.Code == ErrProviderTimeout {
			e.status = http.StatusServiceUnavailable // it is not the client's request that the provider failed
		}
		return nil, e
	}
	if now.Sub(t.IssuedAt) > a.cfg.Lifetime { // marks of sign-outs are kept for no longer
		return nil, &Error{Code: ErrInvalidToken, ID: "bearer.too_old", Op: "verify access token", Provider: cl.provider.Name,
			Reason: fmt.Sprintf("the token was issued %v ago, and Options.Lifetime is %v", now.Sub(t.IssuedAt).Round(time.Second), a.cfg.Lifetime), Fix: "have the provider issue tokens that last for less"}
	}
	u, err := a.userOfToken(cl, t, now)
	if err != nil {
		return nil, err
	}
	if a.cfg.Hooks.OnToken != nil {
		if err := a.askOnToken(c, u); err != nil {
			return nil, err
		}
		until = earlier(until, now.Add(tokenBelief)) // then it is asked again
	}
	s := session{user: u, created: t.IssuedAt, lastSeen: now, issued: t.IssuedAt, sid: t.SID, authTime: !t.AuthTime.IsZero()}
	if err := s.keepClaims(a.cfg.KeepClaims); err != nil {
		return nil, err
	}
	return g.sessions.ofToken(s, raw, until), nil
}

// tokenBelief is how long what a provider, or OnToken, said of a token is believed.
const tokenBelief = time.Minute

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// ofToken returns an opened session that stands for a token: one without an id, which
// nothing renews.
func (k *sessions) ofToken(s session, raw string, until time.Time) *opened {
	o := &opened{session: s, user: *s.user}
	o.session.user = &o.user
	o.session.mark = o.estimatedMark()
	person := revocationKey(0, o.user.Issuer, o.user.Subject)
	o.keys = [4]RevocationKey{revocationKey(oneToken, raw), person.of(allOfUser), o.providerKey(person), person.of(providerUser)}
	o.notBefore = o.created.Add(-leeway).UnixMicro()
	o.expires = earlier(until, o.created.Add(k.cfg.Lifetime)).UnixMicro()
	o.authenticated = o.user.AuthTime.UnixMicro()
	return o
}

// verifyToken finds out whose token it is, and has it verified. until is when it must be
// verified again.
func (a *Auth) verifyToken(ctx context.Context, g *registry, raw string, now time.Time) (*client, *rp.AccessToken, time.Time, error) {
	t, err := rp.ParseAccessToken(raw)
	if err == rp.ErrNotJWT && g.tokens.introspect != nil {
		cl := g.tokens.introspect
		found, err := g.introspections.ask(ctx, cl, raw, now)
		if err != nil {
			return nil, nil, time.Time{}, err
		}
		return cl, found, earlier(found.Expiry, now.Add(tokenBelief)), nil
	}
	if err != nil {
		return nil, nil, time.Time{}, fromRP(err)
	}
	for _, cl := range g.tokens.issuers {
		if !cl.rp.IssuedBy(t) {
			continue
		}
		found, err := cl.rp.VerifyAccessToken(ctx, t)
		if err != nil {
			return nil, nil, time.Time{}, fromRP(err)
		}
		return cl, found, found.Expiry.Add(leeway), nil
	}
	return nil, nil, time.Time{}, &Error{Code: ErrInvalidToken, ID: "bearer.issuer", Op: "verify access token", Reason: "the token's iss is no provider's that has an Audience",
		Fix: "send a token of one of the providers; if this is one, set Provider.Audience"}
}

// userOfToken makes the User of a verified token.
func (a *Auth) userOfToken(cl *client, t *rp.AccessToken, now time.Time) (*User, error) {
	claims := t.Claims
	if t.Program { // it has no profile, and its subject may be missing
		claims = maps.Clone(claims)
		claims["sub"] = cmpSubject(t)
	}
	id := &rp.Identity{Issuer: t.Issuer, Claims: claims, ACR: t.ACR, AuthTime: t.AuthTime, IssuedAt: t.IssuedAt, SID: t.SID}
	if err := cl.verifyClaims(id, nil); err != nil {
		return nil, err
	}
	u, err := newUser(cl, id, t.IssuedAt, a.cfg.loopback)
	if err != nil {
		return nil, err
	}
	u.AuthTime = t.AuthTime
	if u.AuthTime.IsZero() || u.AuthTime.After(now.Add(leeway)) {
		u.AuthTime = t.IssuedAt
	}
	u.Grant = &Grant{Client: t.ClientID, Scopes: t.Scopes, Program: t.Program}
	return u, nil
}

func cmpSubject(t *rp.AccessToken) string {
	if t.Subject != "" {
		return t.Subject
	}
	return t.ClientID
}

// askOnToken asks Hooks.OnToken, and holds it to what it may change.
func (a *Auth) askOnToken(c *gin.Context, u *User) error {
	if a.isRunning(c.Request.Context(), "OnToken") {
		return reentered("OnToken")
	}
	request := c.Request
	done := a.running(c, "OnToken")
	u.writable()
	verified := *u
	err := contain.Do(func() error { return a.cfg.Hooks.OnToken(c, u) })
	done()
	c.Request = request
	u.sameAs(&verified)
	if err == nil {
		return nil
	}
	failed := Error{Code: ErrStoreUnavailable, ID: "hook.on_token_failed", Op: "OnToken", Provider: verified.Provider, Reason: "OnToken failed",
		Fix: "see error for what it returned; to refuse a user, return ErrForbidden", Err: err, retryAfter: retryAfter}
	e := complete(err, failed)
	if e.Code != ErrForbidden && e.Code != ErrInvalidToken {
		return &failed
	}
	if e.ID == failed.ID {
		e.ID, e.Reason, e.Fix = "hook.on_token_refused", "OnToken refused the user", notAdmitted
	}
	return e
}

// challenge returns the WWW-Authenticate header of an error, or "". RFC 6750, 3, has the
// scheme and its errors; RFC 9470, 3, those of step-up; RFC 9728, 5.1, resource_metadata.
func (a *Auth) challenge(r *http.Request, e *Error) string {
	g := a.providers.Load()
	var params []string
	param := func(name, value string) { params = append(params, name+`="`+value+`"`) }
	switch bearer := hasBearer(r); {
	case e.Code == ErrInvalidToken && bearer:
		param("error", "invalid_token")
	case e.Code == ErrUnauthenticated && !bearer && g.takesTokens(): // 3.1: no error code without a token
	case !bearer || !a.readsCredentials():
		return ""
	case e.Code == ErrInsufficientScope:
		param("error", "insufficient_scope")
		if e.scope != "" {
			param("scope", quotable(e.scope))
		}
	case e.Code == ErrBadRequest && strings.HasPrefix(e.ID, "bearer."):
		param("error", "invalid_request")
	case e.Code == ErrStepUpRequired && e.demand != nil:
		param("error", "insufficient_user_authentication")
		if e.demand.maxAge > 0 {
			param("max_age", strconv.Itoa(int(e.demand.maxAge/time.Second)))
		}
		if len(e.demand.acr) > 0 {
			param("acr_values", quotable(strings.Join(e.demand.acr, " ")))
		}
	default:
		return ""
	}
	if g.takesTokens() {
		param("resource_metadata", a.cfg.resourceMetadataURL())
	}
	if len(params) == 0 {
		return "Bearer"
	}
	return "Bearer " + strings.Join(params, ", ")
}

// quotable is a text in the form of a quoted-string (RFC 9110, 5.6.4) without escapes.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}

// readsCredentials reports whether anything but the session's cookie can identify a user. If
// not, a bearer token means nothing: the header is as good as absent.
func (a *Auth) readsCredentials() bool {
	return a.cfg.Hooks.Authenticate != nil || a.providers.Load().takesTokens()
}
