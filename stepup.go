package ginauth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	minMaxAge     = time.Minute           // a sign-in takes about as long, and clocks may differ by as much
	maxMaxAge     = 1<<31*time.Second - 1 // 68 years: some providers cannot read a larger number of seconds
	acrsLimit     = 512                   // bytes of all acr values of a check
	demandVersion = 1
	demandLife    = time.Hour
	demandName    = "demand " // followed by the provider's name: the context that a demand is sealed for
)

// demand holds the requirements of a Check.
type demand struct {
	maxAge  time.Duration // of the authentication at the provider; 0 if any age suffices
	acr     []string      // one of these; nil if any suffices
	session string        // id of the session that does not suffice; "" if the user has none
	scopes  []string      // of an API, in addition to those of every sign-in
}

// MaxAge admits a user that authenticated at the provider within the last d. Otherwise the
// user must authenticate there again: a page load is redirected to the provider and back, and
// other requests get 401 ([ErrStepUpRequired]) with a login_url. The new session of the same
// user keeps its User.Data; if the user gives up, the old session is unchanged.
//
// MaxAge compares the provider's auth_time (OpenID Connect Core 1.0, section 2), or the
// AuthTime of [Auth.SignIn] or [Hooks.Authenticate], with a minute of tolerance for clock
// skew. Users of a plain OAuth 2.0 provider have no auth_time, and users of Authenticate no
// session to return to: they get 403 ([ErrForbidden]), and the log says why. The provider is
// asked with max_age (section 3.1.2.1), d in whole seconds; if it ignores that, the sign-in
// fails with [ErrIDTokenInvalid] and the session is unchanged. An access token whose auth_time
// is older, or missing, gets 401 with max_age in WWW-Authenticate (RFC 9470).
//
// MaxAge panics if d is less than a minute; d is limited to 68 years. A Check or a handler of
// the application may call it and return its error, with the same effect. It must be called
// with the User that the Check was given, or that [CurrentUser] returned in this request; any
// other gets 403, and nil is [ErrUnauthenticated]:
//
//	return ginauth.MaxAge(5 * time.Minute)(u)
//
// A long-running handler, such as that of a WebSocket, can call it repeatedly: it compares
// with the time of the call.
//
//go:noinline
func MaxAge(d time.Duration) Check {
	if d < minMaxAge {
		panic(fmt.Sprintf("ginauth: MaxAge(%v): use at least a minute, which a sign-in needs", d))
	}
	d = min(d, maxMaxAge)
	limit := (d + leeway).Microseconds()
	return func(u *User) error {
		v, err := u.proof()
		if err != nil || v.opened.authTime && v.now()-v.opened.authenticated <= limit {
			return err
		}
		return &Error{Code: ErrStepUpRequired, ID: "check.max_age", Op: "check", Provider: u.Provider, demand: &demand{maxAge: d, session: v.opened.id}, Fix: askedAgain,
			Reason: fmt.Sprintf("the user authenticated more than %v ago, or at an unknown time", d)}
	}
}

// ACR admits a user that authenticated with one of values, authentication context class
// references defined by the provider (OpenID Connect Core 1.0, section 2). Otherwise the user
// must authenticate again, as with [MaxAge], with the same errors. The provider is asked with
// acr_values (section 3.1.2.1), in order of preference. If it returns another acr, it is asked
// once more with max_age=0 and prompt=login, for users whose recent authentication was weaker.
// If the acr is still another one, the sign-in fails with [ErrIDTokenInvalid] and the session
// is unchanged. Values are compared exactly. An access token with another acr gets 401 with
// acr_values in WWW-Authenticate (RFC 9470).
//
// An acr has no age: add MaxAge if it must be recent. A user of [Provider.LoginPage] has the
// ACR passed to [Auth.SignIn], and gets 403 ([ErrForbidden]) if it is another one.
//
// ACR panics without values, if a value is empty, longer than 256 bytes or has other than
// visible ASCII characters, and if all together are longer than 512 bytes.
//
//go:noinline
func ACR(values ...string) Check {
	values = slices.Clone(values)
	unfit := func(v string) bool {
		// Sessions do not store a longer acr, and white space separates acr_values: the user
		// would be redirected to the provider and rejected again and again.
		return v == "" || len(v) > acrLimit || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' })
	}
	if len(values) == 0 || slices.ContainsFunc(values, unfit) || len(strings.Join(values, " ")) > acrsLimit {
		panic(fmt.Sprintf("ginauth: ACR(%q): pass one or more values of visible ASCII characters, up to %d bytes each and %d in total", values, acrLimit, acrsLimit))
	}
	return func(u *User) error {
		v, err := u.proof()
		if err != nil || slices.Contains(values, v.opened.user.ACR) {
			return err
		}
		return &Error{Code: ErrStepUpRequired, ID: "check.acr", Op: "check", Provider: u.Provider, demand: &demand{acr: values, session: v.opened.id}, Fix: askedAgain,
			Reason: fmt.Sprintf("the user did not authenticate with any acr of %q", values)}
	}
}

// askedAgain is the fix of a check with a demand.
const askedAgain = "authenticate again; page loads are redirected to the provider for it"

// proof returns the request that u is the user of: its session has the verified time and acr,
// which a handler may have changed in u.
func (u *User) proof() (*authRequest, error) {
	if u != nil && u.request != nil {
		return u.request, nil
	}
	return nil, notOfRequest(u)
}

func notOfRequest(u *User) error {
	if u == nil {
		return &Error{Code: ErrUnauthenticated, ID: "session.unauthenticated", Op: "check", Reason: "no user is signed in", Fix: "add RequireAuth to this route"}
	}
	// The error has no demand, since a sign-in would not change this User.
	return &Error{Code: ErrStepUpRequired, ID: otherUser, Op: "check", Provider: u.Provider, Reason: "the User does not belong to a request", Fix: otherUserFix}
}

const (
	otherUser    = "check.other_user"
	otherUserFix = "pass MaxAge and ACR the User that the Check received, or the one from CurrentUser in the same request"
)

// now returns the time that a check compares with, in Unix microseconds. A handler may call a
// check hours after the guard: that of a WebSocket, for each message.
func (v *authRequest) now() int64 {
	if v.shown {
		return v.registry.auth.cfg.Now().UnixMicro()
	}
	return v.asked
}

// guardDemand combines the requirements of the MaxAge and ACR checks of a guard.
type guardDemand struct {
	oldest int64    // maximum microseconds since the authentication; 0 if any age suffices
	acr    []string // one of these; nil if any suffices
	asks   bool     // there is such a check

	conflict error // no user can satisfy all of them: each sign-in would only lead to the next
}

// demandOf returns the combined requirements of the MaxAge and ACR checks among checks, and
// the other checks. Comparing them at once costs 1.01 of a guard without them, and 1.02 if
// each is called.
func demandOf(checks []Check) (d guardDemand, rest []Check) {
	stranger := &User{}
	stranger.request = &authRequest{opened: &opened{user: *stranger}}
	var all *Error
	for _, check := range checks {
		if at := code(check); at != code(MaxAge(minMaxAge)) && at != code(ACR("0")) {
			rest = append(rest, check)
			continue
		}
		one := check(stranger).(*Error)
		if all == nil {
			all = one
		} else if all, d.conflict = merge(all, one); d.conflict != nil {
			return d, checks
		}
	}
	if all == nil {
		return d, rest
	}
	if d.asks, d.acr = true, all.demand.acr; all.demand.maxAge > 0 {
		d.oldest = (all.demand.maxAge + leeway).Microseconds()
	}
	return d, rest
}

// isMet reports whether the session of a request, as the guard found it, meets the demand. It
// returns false for a user with a Grant, whom a check must admit in any case.
func (d *guardDemand) isMet(v *authRequest) bool {
	o := v.opened
	return d.asks && !v.shown && o.user.Grant == nil && (d.oldest == 0 || o.authTime && v.asked-o.authenticated <= d.oldest) && (d.acr == nil || slices.Contains(d.acr, o.user.ACR))
}

// and returns the demand that includes both, or false if no user can satisfy both.
func (d demand) and(o demand) (demand, bool) {
	d.scopes = union(d.scopes, o.scopes)
	if d.maxAge == 0 || o.maxAge != 0 && o.maxAge < d.maxAge {
		d.maxAge = o.maxAge
	}
	switch {
	case d.acr == nil:
		d.acr = o.acr
	case o.acr != nil:
		d.acr = slices.DeleteFunc(slices.Clone(d.acr), func(v string) bool { return !slices.Contains(o.acr, v) })
		return d, len(d.acr) > 0
	}
	return d, true
}

// union returns the texts of both lists, each once.
func union(a, b []string) []string {
	all := slices.Clip(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// merge combines the errors of two checks with demands into one.
func merge(first, second *Error) (*Error, error) {
	both, ok := first.demand.and(*second.demand)
	if !ok {
		return nil, &Error{Code: ErrForbidden, ID: "check.acr_conflict", Op: "check", Provider: first.Provider,
			Reason: fmt.Sprintf("no acr satisfies all checks: one requires any of %q, another any of %q", first.demand.acr, second.demand.acr), Fix: "give the ACR checks of a route a common value"}
	}
	first.demand = &both
	return first, nil
}

// stepUp returns the error for a request whose user must authenticate again: e, or another error
// if the provider cannot satisfy the demand.
func (a *Auth) stepUp(c *gin.Context, e *Error) *Error {
	if e.opened != nil { // of a recheck, before the user is attached to the request
		return e
	}
	v := a.authenticated(c)
	if v == nil {
		return a.unauthenticated(c.Request)
	}
	o := v.opened
	if e.ID == otherUser || e.demand != nil && e.demand.session != o.id {
		// After another sign-in this User would be rejected again: a redirect loop.
		return &Error{Code: ErrForbidden, ID: otherUser, Op: "check", Provider: o.user.Provider, Reason: "MaxAge or ACR was called with a User of another request or Auth", Fix: otherUserFix, Err: e.Err}
	}
	impossible := func(id, reason, fix string) *Error {
		if e.Reason != "" {
			reason = e.Reason + ": " + reason
		}
		return &Error{Code: ErrForbidden, ID: id, Op: "check", Provider: o.user.Provider, Reason: reason, Fix: fix, Err: e.Err}
	}
	// RFC 9470: the client requests another token. That does not apply to a key of the
	// application, which has no time of issue.
	if o.user.Grant != nil && !o.created.IsZero() && e.demand != nil {
		return e
	}
	if !v.hasSession() {
		return impossible("check.step_up_no_session", "users identified by Authenticate have no session and cannot step up", "set AuthTime and ACR in Authenticate if the credential has them, or use other checks for such users")
	}
	if e.demand == nil {
		return impossible("check.no_demand", "the error does not state a requirement", "return the error of MaxAge or ACR, wrapped only with %w")
	}
	switch cl := v.registry.clients[o.user.Provider]; {
	case cl.isPage() && len(e.demand.acr) > 0:
		return impossible("check.step_up_impossible", "a sign-in page of the application has no acr", "exclude such users with FromProvider, or use MaxAge for them")
	case !cl.isPage() && cl.provider.Issuer == "" && (e.demand.maxAge > 0 || len(e.demand.acr) > 0):
		return impossible("check.step_up_impossible", "a plain OAuth 2.0 provider does not report when or how a user authenticated",
			"exclude such users with FromProvider, or use other checks for them")
	}
	return e
}

// stepUpURL returns the public path at which a user meets a demand and returns to returnTo. The
// demand is sealed: otherwise a link could ask for a weaker authentication than the provider
// requires on its own.
func (a *Auth) stepUpURL(o *opened, d *demand, returnTo string) string {
	k, provider := &a.demands, o.user.Provider
	b := append(wire.AppendTime(k.contents(), k.now()), o.id...)
	b = wire.AppendStrings(wire.AppendUint(b, uint64(d.maxAge/time.Second)), d.acr)
	b = wire.AppendStrings(b, d.scopes)
	address := withReturn(a.cfg.prefix+a.cfg.mount+"/login/"+url.PathEscape(provider), returnTo)
	return withParam(address, "demand", k.box.Seal(b, demandName+provider))
}

// demanded is a demand that was read from the URL of a sign-in.
type demanded struct {
	demand
	expired bool
}

// readDemand returns the demand of a sign-in, or nil without one. A demand that cannot be opened
// is an error and not a plain sign-in: replicas with different Keys would cause a redirect loop.
func (a *Auth) readDemand(cl *client, params url.Values) (*demanded, error) {
	if !params.Has("demand") {
		return nil, nil
	}
	name := cl.provider.Name
	bad := func(err error) error {
		return &Error{Code: ErrBadRequest, ID: "login.demand", Op: "begin sign-in", Provider: name, Reason: "the step-up parameter is invalid: it was altered, is for another provider, or was sealed with another key",
			Fix: a.cfg.keysFix(), Err: err}
	}
	r, err := a.demands.open(demandName+name, params.Get("demand"))
	if err != nil || len(params["demand"]) > 1 {
		return nil, bad(err)
	}
	d := &demanded{expired: a.demands.expired(r.Time())}
	d.session = r.Bytes(sessionIDSize)
	d.maxAge, d.acr = time.Duration(r.Uint())*time.Second, r.Strings(nil)
	d.scopes = r.Strings(nil)
	if !r.OK() {
		return nil, bad(nil)
	}
	return d, nil
}

// The guards of a page and the checks in its handler may require what no single session has,
// such as one acr in the route and another in its group. Each sign-in then satisfies one of them
// and not the other, which is a redirect loop if the provider does not prompt the user.
const (
	maxDemandRounds = 3                // each of four redirects and those inside the provider: see maxLoopLogins
	demandRoundTime = 10 * time.Second // the longest time between two rounds of a loop
	demandPurpose   = "d"              // prefix of the purpose of such a round: see loops
)

// checkDemandLoop counts how often a page redirects a browser to the provider, and fails in a
// redirect loop.
func (a *Auth) checkDemandLoop(c *gin.Context, state *loginState) error {
	sum := sha256.Sum256([]byte(state.provider + " " + state.returnTo))
	purpose := demandPurpose + hex.EncodeToString(sum[:4])
	n := a.loops.rounds(c.Request, purpose, demandRoundTime)
	if n < maxDemandRounds {
		a.loops.addRound(c.Writer, c.Request, purpose, n+1)
		return nil
	}
	return &Error{Code: ErrLoginLoop, ID: "login.demand_loop", Op: "authenticate again", Provider: state.provider, text: string(ErrSessionError), retry: a.cfg.absolute(state.returnTo),
		Reason: fmt.Sprintf("a page sent the browser to the provider %d times in a row, each less than %d seconds after the previous one: no single session can satisfy all its checks", n, demandRoundTime/time.Second),
		Fix:    "give all ACR checks of the page, including those of its router groups, a common value"}
}

// apply stores the demand in a login state, which the ID token must satisfy, and returns the
// parameters that request it. They take precedence over those of the Provider and of the link.
// For an acr, the first round sends only acr_values: some providers then prompt the user for
// what is missing; others do not prompt a user who is signed in there.
//
// The second round makes the user authenticate again. It also sends prompt: with only max_age=0,
// Keycloak does not prompt a user who authenticated within the same second, and some providers
// treat 0 as an absent max_age.
func (d *demanded) apply(l *loginState, configured map[string]string) map[string]string {
	params := map[string]string{}
	if len(d.acr) > 0 {
		l.acr = strings.Join(d.acr, " ")
		params["acr_values"] = l.acr
	}
	if age := int(d.maxAge / time.Second); d.maxAge > 0 && (l.maxAge < 0 || age < l.maxAge) {
		l.maxAge = age
	}
	l.scopes = strings.Join(d.scopes, " ")
	if l.renews = d.session; l.round == 0 {
		l.round = 1
	} else {
		l.maxAge = 0
		params["prompt"] = "login"
		for _, p := range strings.Fields(configured["prompt"]) { // "consent", for a refresh token
			if p != "login" && p != "none" {
				params["prompt"] += " " + p
			}
		}
	}
	if l.maxAge >= 0 {
		params["max_age"] = strconv.Itoa(l.maxAge)
	}
	return params
}

// needsSecondRound reports whether a sign-in failed because the provider returned another acr
// than demanded, as providers do that consider the user authenticated.
func (l *loginState) needsSecondRound(err error) bool {
	e, ok := err.(*Error)
	return ok && e.ID == "id_token.acr" && l.round == 1
}

// secondRound redirects the browser to the provider once more, to authenticate again.
func (a *Auth) secondRound(c *gin.Context, g *registry, cl *client, first *loginState) error {
	state := a.loginStates.create(c.Request, cl.provider.Name)
	state.returnTo, state.linkingOf, state.round = first.returnTo, first.linkingOf, 2
	d := &demanded{demand: demand{acr: strings.Fields(first.acr), scopes: strings.Fields(first.scopes), session: first.renews}}
	location, err := a.sendToProvider(c, g, cl, state, nil, d)
	if err != nil {
		return a.offerRetry(err, state, nil)
	}
	redirect(c, location)
	return nil
}

// addLoginHint adds a login_hint with the user of the session that a check rejected, if it is
// still the session of this browser.
func (a *Auth) addLoginHint(c *gin.Context, g *registry, cl *client, d *demanded, params map[string]string) error {
	s, err := g.sessions.load(c.Writer, c.Request, a.cfg.Now())
	if err != nil {
		return err
	}
	_, configured := cl.provider.AuthParams["login_hint"]
	if s == nil || s.id != d.session || configured {
		return nil
	}
	for _, hint := range []string{s.user.Email, s.user.Username} {
		if hint != "" && len(hint) <= passedLimit {
			params["login_hint"] = hint
			return nil
		}
	}
	return nil
}

// renew copies data of the browser's session to a sign-in that a check required, if the same
// user authenticated: the Data, and the AuthTime if the ID token has none. The session may be
// another one than the check rejected, if another tab has signed in since. renew reports whether
// the AuthTime is the provider's.
//
// The ACR is not copied: repeated sign-ins could extend it beyond any Lifetime.
func (a *Auth) renew(c *gin.Context, g *registry, l *loginState, login *Login, id *rp.Identity) (told bool, err error) {
	user := login.User
	told = user.AuthTime.Equal(id.AuthTime)
	if l.round == 0 {
		return told, nil
	}
	s, err := g.sessions.load(c.Writer, c.Request, a.cfg.Now())
	if err != nil || s == nil || s.user.Provider != user.Provider || s.user.ID() != user.ID() {
		return told, err
	}
	login.Renewal, user.Data = true, s.user.clone().Data
	login.Limits = s.limits(a.cfg)
	if !told && s.authTime {
		user.AuthTime, told = s.user.AuthTime, true
	}
	return told, nil
}

// noSessionForDemand returns the error for a sign-in that a check required and that starts no
// session: the page would redirect the browser to the provider again and again.
func noSessionForDemand(provider string) *Error {
	return &Error{Code: ErrSessionError, ID: "hook.on_login_no_session", Op: "OnLogin", Provider: provider,
		Reason: "OnLogin set NoSession for a sign-in that MaxAge or ACR requires", Fix: "leave NoSession false for users with a ginauth session, or protect their pages with checks of the application's own session"}
}

// writeStepUp answers a request whose user must authenticate again.
func (a *Auth) writeStepUp(c *gin.Context, e *Error) {
	o := e.opened
	if o == nil {
		o = a.authenticated(c).opened
	}
	more := gin.H{}
	if e.demand.maxAge > 0 {
		more["max_age"] = int(e.demand.maxAge / time.Second)
	}
	if len(e.demand.acr) > 0 {
		more["acr_values"] = strings.Join(e.demand.acr, " ")
	}
	if len(e.demand.scopes) > 0 {
		more["scope"] = strings.Join(e.demand.scopes, " ")
	}
	if o.id == "" { // of a bearer token
		body := gin.H{"error": e.Code, "message": a.message("", e.Code), "request_id": requestID(c)}
		maps.Copy(body, more)
		c.JSON(e.Status(), body)
		return
	}
	kind := "step_up"
	if len(e.demand.scopes) > 0 && e.demand.maxAge == 0 && len(e.demand.acr) == 0 {
		kind = "consent"
	}
	a.writeLogin(c, e, kind, a.stepUpURL(o, e.demand, a.cfg.loginReturnPath(c.Request)), more)
}
