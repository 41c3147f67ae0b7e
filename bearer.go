package ginauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

// Grant describes what an access token permits: see [User.Grant]. A user with a Grant is
// admitted only by guards in which a [HasScope] or [IsClient] check admits the token.
type Grant struct {
	Client  string   `json:"client,omitempty"`  // client_id of the token (or azp, cid, appid)
	Scopes  []string `json:"scopes,omitempty"`  // the claim scope, or scp
	Program bool     `json:"program,omitempty"` // issued to the client itself, without a user (client credentials, RFC 6749, section 4.4)

	admitted *bool // whether a check of the running guard has admitted the token; nil outside a guard
}

// clone returns a copy, whose admitted mark belongs to one guard.
func (g *Grant) clone() *Grant {
	if g == nil {
		return nil
	}
	return &Grant{Client: g.Client, Scopes: slices.Clone(g.Scopes), Program: g.Program}
}

// admit marks the token as admitted by the running guard.
func (g *Grant) admit() {
	if g.admitted != nil {
		*g.admitted = true
	}
}

// takeBack undoes admit.
func (g *Grant) takeBack() {
	if g != nil && g.admitted != nil {
		*g.admitted = false
	}
}

// undecided reports whether a guard is running in which no check has admitted the token yet.
func (g *Grant) undecided() bool { return g != nil && g.admitted != nil && !*g.admitted }

// HasScope admits a user whose access token has all of scopes, and every user without a
// [User.Grant], such as one with a session, to whom scopes do not apply. Scopes are compared
// exactly (RFC 6749, section 3.3). A token without one of them gets 403
// ([ErrInsufficientScope]) with the required scopes in WWW-Authenticate (RFC 6750, section
// 3.1). A token that was issued to a client itself ([Grant.Program]) also needs [IsClient].
// HasScope panics without scopes, and if one is empty or contains a space or another character
// that a scope cannot have.
//
// A guard without a HasScope or IsClient check admits no access token. If a check of the
// application calls HasScope itself and HasScope returns nil, the token is admitted by that
// call; to reject the user afterwards, the check must return an error.
//
//go:noinline
func HasScope(scopes ...string) Check {
	mustHave("HasScope", scopes)
	if i := slices.IndexFunc(scopes, badScope); i >= 0 {
		panic(fmt.Sprintf("ginauth: HasScope(%q): %q is not a single scope; pass each scope as a separate argument", scopes, scopes[i]))
	}
	scopes = slices.Clone(scopes)
	return func(u *User) error {
		if u.Grant == nil {
			return nil
		}
		for _, s := range scopes {
			if !slices.Contains(u.Grant.Scopes, s) {
				return &Error{Code: ErrInsufficientScope, ID: "check.scope", Op: "check", Provider: u.Provider, scope: strings.Join(scopes, " "),
					Reason: fmt.Sprintf("the token has the scopes %q, which do not include all of %q", u.Grant.Scopes, scopes), Fix: "have the client request the missing scopes"}
			}
		}
		if !u.Grant.Program {
			u.Grant.admit()
		}
		return nil
	}
}

// IsClient admits only clients with one of these ids that present a token issued to the client
// itself, without a user (client credentials grant, RFC 6749, section 4.4). It rejects users,
// with a session or a token; to admit both, write AnyOf(HasScope("read"),
// IsClient("nightly-report")). IsClient does not check scopes. Ids are compared exactly.
// IsClient panics without ids, and if one is empty.
//
//go:noinline
func IsClient(ids ...string) Check {
	mustHave("IsClient", ids)
	ids = slices.Clone(ids)
	return func(u *User) error {
		if u.Grant == nil || !u.Grant.Program {
			return refused("check.no_program", notAdmitted, "the token belongs to a user, not to a client acting on its own behalf")
		}
		if !slices.Contains(ids, u.Grant.Client) {
			return refused("check.client", notAdmitted, "client %q is not one of %q", u.Grant.Client, ids)
		}
		u.Grant.admit()
		return nil
	}
}

// decide sets the variable in which the checks of a guard mark the token as admitted; nil ends
// that.
func (g *Grant) decide(admitted *bool) {
	if g != nil {
		g.admitted = admitted
	}
}

// judged returns the error of a guard's checks. A token that no check has admitted gets that
// error before a demand to authenticate again.
func (g *Grant) judged(admitted bool, err error, u *User) error {
	if g == nil || admitted {
		return err
	}
	if e, ok := err.(*Error); err == nil || ok && e.demand != nil {
		return unscoped(u)
	}
	return err
}

// unscoped returns the error for a token that no check of the guard has admitted.
func unscoped(u *User) *Error {
	reason := "the guard has no HasScope or IsClient check, so it accepts no bearer tokens"
	if u.Grant.Program {
		reason = "the token was issued to a client acting on its own behalf, and no IsClient check of the guard admits it"
	}
	return &Error{Code: ErrInsufficientScope, ID: "guard.bearer_unscoped", Op: "guard", Provider: u.Provider, Reason: reason,
		Fix: `state what a token needs: RequireAuth(ginauth.HasScope("…")) for tokens of users, ginauth.IsClient("…") for tokens of programs`}
}

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

// mayHaveToken reports whether a request needs a closer look: most have no Authorization
// header and no token in the query.
func (g *registry) mayHaveToken(r *http.Request) bool {
	return r.Header["Authorization"] != nil || g.takesTokens() && hasTokenInQuery(r)
}

// hasTokenInQuery recognizes the method of RFC 6750, 2.3, which RFC 9700, 4.3.2, forbids,
// since URLs are logged.
func hasTokenInQuery(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "access_token") && r.URL.Query().Has("access_token")
}

// hasToken reports whether a request has an access token, or something that may be meant as
// one.
func (g *registry) hasToken(r *http.Request) bool {
	return hasBearer(r) || g.takesTokens() && hasTokenInQuery(r)
}

// hasBearer reports whether any Authorization line of a request has the scheme Bearer.
func hasBearer(r *http.Request) bool {
	for _, line := range r.Header["Authorization"] {
		if _, is := afterBearer(line); is {
			return true
		}
	}
	return false
}

// afterBearer returns the rest of an Authorization line after the scheme Bearer, and whether
// it has that scheme, which is case-insensitive (RFC 9110, section 11.1).
func afterBearer(line string) (rest string, is bool) {
	line = strings.TrimLeftFunc(line, unicode.IsSpace)
	if len(line) < len("Bearer") || !strings.EqualFold(line[:len("Bearer")], "Bearer") {
		return "", false
	}
	rest = line[len("Bearer"):]
	return rest, rest == "" || !strings.Contains(tokenChars, rest[:1])
}

// tokenChars are the characters of a scheme (RFC 9110, section 5.6.2).
const tokenChars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// bearerToken returns the text after Bearer in a request's Authorization header (RFC 6750,
// section 2.1). The caller validates it with isToken68.
func bearerToken(r *http.Request) (string, error) {
	bad := func(id, reason, fix string) (string, error) { return "", badBearer(id, reason, fix) }
	switch lines := r.Header["Authorization"]; {
	case hasTokenInQuery(r):
		return bad("bearer.query", "the URL contains an access token, which exposes it in logs", "send tokens in the Authorization header, and revoke this one")
	case len(lines) > 1:
		return bad("bearer.several", "the request has several Authorization headers", "send one Authorization header, and check whether a proxy adds another")
	case len(lines[0]) > tokenHeaderLimit:
		return bad("bearer.too_long", "the Authorization header is longer than 64 KB", "send an access token")
	default:
		rest, _ := afterBearer(lines[0])
		token := strings.TrimLeft(rest, " ")
		if len(token) == len(rest) || len(rest)+len("Bearer") != len(lines[0]) {
			return "", malformedBearer()
		}
		return token, nil
	}
}

func badBearer(id, reason, fix string) error {
	return &Error{Code: ErrBadRequest, ID: id, Op: "read bearer token", Reason: reason, Fix: fix}
}

func malformedBearer() error {
	return badBearer("bearer.malformed", "the Authorization header is not \"Bearer\" followed by one token", "send \"Authorization: Bearer\", a space and the access token")
}

const tokenHeaderLimit = 64 << 10

// isToken68 reports whether a text has the form of a bearer token (b64token, RFC 6750, 2.1).
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		if !isToken68Byte[body[i]] {
			return false
		}
	}
	return body != ""
}

var isToken68Byte = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/") {
		is[c] = true
	}
	return is
}()

// errTokenIgnored means that a request has a bearer token, which LoadUser does not read.
var errTokenIgnored = errors.New("the request has a bearer token")

// byToken returns the user of a request's bearer token in the form of a session, so that the
// per-request checks of sessions apply to it, too.
func (a *Auth) byToken(c *gin.Context, g *registry) (*opened, error) {
	raw, err := bearerToken(c.Request)
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now()
	b := g.bearers.find(raw, now)
	if b == nil {
		if !isToken68(raw) { // cached tokens were validated before
			return nil, malformedBearer()
		}
		open := a.open
		if a.cfg.Hooks.OnToken != nil || g.tokens.introspect != nil { // called once for all concurrent requests
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
		refused := &Error{Code: ErrInvalidToken, ID: "bearer.revoked", Op: "verify access token", Provider: b.opened.user.Provider,
			Reason: "the user has signed out everywhere, or at the provider, since the token was issued", Fix: "have the client get a new token"}
		g.bearers.put(&bearer{token: raw, refused: refused, notBefore: b.notBefore, until: b.until})
		return nil, refused
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
	b := &bearer{token: raw}
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
		e.status = http.StatusServiceUnavailable // a dependency of this API failed; it is no gateway
	case ErrIdentityRejected, ErrUserinfoInvalid, ErrIDTokenInvalid: // the codes that a sign-in has for the same claims
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
	return s.ofToken(), nil
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
// renewed. Watermarks are compared with a time one minute before the token was issued, since
// the provider's clock may be ahead of the clock that stamped the sign-out.
func (s *session) ofToken() *opened {
	o := &opened{session: *s, user: *s.user}
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
	if err == rp.ErrNotJWT && g.tokens.introspect != nil {
		found, until, err := g.introspections.ask(ctx, raw, now)
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

// challenge returns the WWW-Authenticate header of an error, or "": scheme and errors as in
// RFC 6750, 3; step-up as in RFC 9470, 3; resource_metadata as in RFC 9728, 5.1.
func (a *Auth) challenge(r *http.Request, e *Error) string {
	g := a.providers.Load()
	var params []string
	param := func(name, value string) { params = append(params, name+`="`+value+`"`) }
	switch bearer := g.hasToken(r); {
	case e.Code == ErrInvalidToken && bearer:
		param("error", "invalid_token")
	case e.Code == ErrUnauthenticated && g.takesTokens(): // 3.1: no error code without a token
		if e.scope != "" {
			param("scope", quotable(e.scope))
		}
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
	if address := a.metadataURL(); g.takesTokens() && address != "" {
		param("resource_metadata", address)
	}
	if len(params) == 0 {
		return "Bearer"
	}
	return "Bearer " + strings.Join(params, ", ")
}

// quotable makes a text fit for a quoted-string (RFC 9110, 5.6.4) without escapes.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}

// readsCredentials reports whether a user can be identified by anything but the session
// cookie. If not, an Authorization header is ignored.
func (a *Auth) readsCredentials() bool {
	return a.cfg.Hooks.Authenticate != nil || a.providers.Load().takesTokens()
}
