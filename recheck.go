package ginauth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	minRecheck = time.Minute
	// recheckRest is how long rechecks pause after the provider or OnRecheck has failed.
	recheckRest = 30 * time.Second
	// recheckGrace is how long, after a recheck becomes due, other requests of the session
	// continue without its result while one request asks the provider.
	recheckGrace = 30 * time.Second
	// recheckLogInterval is the minimum time between two log lines about failed rechecks at
	// a provider.
	recheckLogInterval = time.Minute
)

// Recheck asks the provider now whether the signed-in user still has access, as
// [Provider.Recheck] does at intervals, and renews the session and [CurrentUser]: for example
// after a change of the user's roles there. The provider must have Recheck or [Provider.APIs].
// Call it before the response is written.
//
// It fails with [ErrUnauthenticated] if no user is signed in, or if the provider,
// [Provider.VerifyClaims] or [Hooks.OnRecheck] rejected the user: then the session is revoked,
// and this browser's cookie is cleared. If the session began within the last minute, a
// rejection is [ErrIdentityRejected] instead: another sign-in would only lead back, since the
// same user was just admitted. Reject them in [Hooks.OnLogin] as well. [ErrStepUpRequired]
// means that the user must return to the provider: pass it to [Auth.Fail]. [ErrBadRequest]
// means that the user has no session; [ErrInvalidOptions] that the provider's tokens are not
// stored; [ErrCrossOrigin] an unsafe request from another origin; and [ErrSessionError] that
// the response is already written or the session became too large. Any other error means that
// the provider's request failed ([ErrProviderUnavailable], [ErrProviderTimeout] and other
// provider errors), that OnRecheck could not decide, or that [Options.Tokens] or
// [Options.Revocations] failed. The session is then unchanged; a rejection that could not be
// stored is retried at the next recheck.
func (a *Auth) Recheck(c *gin.Context) error {
	if a.cfg.isCrossOrigin(c.Request) { // there may be no RequireAuth in front of this handler
		return crossOriginError("recheck")
	}
	v, err := a.authenticate(c)
	if err != nil {
		return err
	}
	if v == nil {
		return &Error{Code: ErrUnauthenticated, ID: "session.unauthenticated", Op: "recheck", Reason: "no user is signed in", Fix: "add RequireAuth to this route"}
	}
	if !v.hasSession() {
		return noSession("recheck")
	}
	if c.Writer.Written() {
		return a.answerWritten(c, "recheck", "call Recheck before writing the response")
	}
	cl := v.registry.clients[v.opened.user.Provider]
	if !cl.keepsTokens() {
		return &Error{Code: ErrInvalidOptions, ID: "recheck.no_tokens", Op: "recheck", Provider: cl.provider.Name, Reason: "tokens of the provider's users are not kept, so the provider cannot be asked about them",
			Fix: "set Provider.Recheck"}
	}
	found, first, err := a.tokens.recheck(c.Request.Context(), wanted{v: v, cl: cl, api: new(API)}, true)
	e, _ := err.(*Error)
	switch {
	case e != nil && (e.endedBy != "" || e.Code == ErrUnauthenticated):
		a.detach(c)
		return a.endRechecked(c, v.registry, v.opened, e, first)
	case err != nil && err != errNotNow:
		return err
	case found == nil: // the user signed in a moment ago, and there is nothing else to ask
		return nil
	}
	s := v.session()
	s.lastSeen = time.UnixMicro(v.asked)
	found.apply(s)
	keepPrivate(c)
	if err := v.registry.sessions.renew(c.Writer, c.Request, s); err != nil {
		return err
	}
	a.attachSession(c, v.registry, s, v.isNew)
	return nil
}

// recheckIfDue asks the provider about the user of a session if a recheck is due. It returns
// the result, or nil if the session continues unchanged. An error rejects the request;
// ErrUnauthenticated means that the session has ended.
func (a *Auth) recheckIfDue(c *gin.Context, g *registry, o *opened, now time.Time) (*renewal, error) {
	cl := g.clients[o.user.Provider]
	if cl.provider.Recheck == 0 || now.Before(o.recheckAt(cl)) {
		return nil, nil
	}
	v := &authRequest{registry: g, opened: o}
	v.state.Store(identified)
	w := wanted{v: v, cl: cl, api: new(API)}
	found, first, err := a.tokens.recheck(c.Request.Context(), w, false)
	if err == nil || err == errNotNow {
		return found, nil
	}
	e := complete(err, Error{Code: ErrSessionError, ID: "recheck.failed", Op: "recheck", Provider: cl.provider.Name})
	switch {
	case e.endedBy != "" || e.Code == ErrUnauthenticated:
		return nil, a.endRechecked(c, g, o, e, first)
	case e.demand != nil:
		e.opened, e.user = o, a.hashUser(&o.user)
		return nil, e
	}
	// An outage must neither end sessions nor fill the log.
	if last := cl.recheckLogged.Load(); now.UnixMicro()-last >= recheckLogInterval.Microseconds() && cl.recheckLogged.CompareAndSwap(last, now.UnixMicro()) {
		a.cfg.log(c.Request.Context(), slog.LevelWarn, "recheck.put_off", "the recheck at the provider failed; the sessions continue and the recheck is retried",
			slog.String("provider", cl.provider.Name), slog.String("cause", e.ID), slog.Any("error", e))
	}
	return nil, nil
}

// recheckAt returns the time at which the next recheck of a session is due.
func (s *session) recheckAt(cl *client) time.Time {
	last := s.created
	if s.rechecked.After(last) {
		last = s.rechecked
	}
	return last.Add(cl.provider.Recheck)
}

// endRechecked ends a session that a recheck has rejected, also in this browser, and logs that
// if this request ran the recheck (first). It returns the error for the request.
func (a *Auth) endRechecked(c *gin.Context, g *registry, o *opened, e *Error, first bool) error {
	ended := &Error{Code: ErrUnauthenticated, ID: e.ID, Op: "recheck", Provider: o.user.Provider, Reason: e.Reason, Fix: e.Fix, Err: e}
	if e.endedBy == "" { // a sign-out has ended it in the meantime
		return ended
	}
	if o.created.Add(minRecheck).After(a.cfg.Now()) {
		// The sign-in admitted a user that the recheck rejects. Another sign-in would lead back
		// here, in a loop if the provider does not prompt the user.
		ended.Code, ended.retry = ErrIdentityRejected, a.LoginURL(o.user.Provider, "")
	}
	g.sessions.cache.drop(o)
	if err := g.sessions.end(c.Writer, c.Request, o.copy()); err != nil {
		return err
	}
	a.dropIDToken(c.Writer.Header(), g)
	if !first {
		return ended
	}
	a.logEvent(c, slog.LevelInfo, "ginauth: session ended by a recheck", Event{Name: SessionsRevoked, By: e.endedBy}, o.copy())
	told := *e
	told.Provider, told.user = o.user.Provider, a.hashUser(&o.user)
	if told.Code == ErrUnauthenticated { // which is not logged as a failure
		told.Code = ErrIdentityRejected
	}
	a.logFailure(c, RequestRefused, &told)
	return ended
}

// limitUnasked limits a session that cannot be rechecked to the recheck interval.
func (c *client) limitUnasked(ctx context.Context, s *session, now time.Time) error {
	if c.provider.Recheck == 0 || s.tokens.begins.refreshToken != "" || s.tokens.begins.inherits {
		return nil
	}
	asks, err := c.rp.AsksProfile(ctx)
	if err != nil {
		return fromRP(err)
	}
	if end := now.Add(c.provider.Recheck); !asks && (s.until.IsZero() || s.until.After(end)) {
		s.until = end
	}
	return nil
}

// renewal is the result of a recheck: the user data of the session from then on.
type renewal struct {
	at   time.Time // in whole seconds, as in sessions
	user User      // without the unchanged Provider, Issuer, Subject, AuthTime and ACR
	data bool      // OnRecheck has changed its Data
}

// apply applies the renewal to a session. A nil renewal changes nothing.
func (r *renewal) apply(s *session) {
	if r == nil {
		return
	}
	u := r.user.clone()
	if !r.data {
		u.Data = s.user.Data
	}
	u.sameAs(s.user)
	u.kept = r.user.kept
	s.user, s.rechecked = u, r.at
}

// encode appends a renewal to a record of tokens.
func (r *renewal) encode(b []byte) []byte {
	if r == nil {
		return wire.AppendTime(b, time.Time{})
	}
	u := &r.user
	b = wire.AppendUint(wire.AppendTime(b, r.at), boolUint(u.EmailVerified)|boolUint(r.data)<<1)
	for _, text := range []string{u.Name, u.Username, u.Email, u.Picture, u.Locale, u.claims()} {
		b = wire.AppendString(b, text)
	}
	b = wire.AppendStrings(wire.AppendStrings(b, u.Groups), u.claimNames())
	if r.data {
		b = wire.AppendMap(b, u.Data)
	}
	return b
}

// readRenewal decodes the result of encode.
func readRenewal(r *wire.Reader) *renewal {
	at := r.Time()
	if at.IsZero() {
		return nil
	}
	found := &renewal{at: at}
	u, flags, claims := &found.user, r.Uint(), ""
	u.EmailVerified, found.data = flags&1 != 0, flags&2 != 0
	for _, text := range []*string{&u.Name, &u.Username, &u.Email, &u.Picture, &u.Locale, &claims} {
		*text = r.String()
	}
	u.Groups = r.Strings(nil)
	u.kept = &keptClaims{claims, append([]string{}, r.Strings(nil)...)} // not nil, which would mean all claims
	if found.data {
		u.Data = r.Map()
	}
	return found
}

// recheckFlight is a recheck in progress in this process.
type recheckFlight struct {
	done  chan struct{}
	found *renewal
	err   error
}

// errNotNow means that the recheck is not due yet.
var errNotNow = errors.New("not now")

// recheck asks the provider about the user of a session, once for all requests and replicas:
// the result is stored with the tokens, where the others find it. Meanwhile the others
// continue with the unchanged session for a moment, and then wait. forced rechecks in any
// case. first is false if another request of this process did it.
func (k *tokenKeeper) recheck(ctx context.Context, w wanted, forced bool) (found *renewal, first bool, err error) {
	mine := &recheckFlight{done: make(chan struct{})}
	deadline := time.NewTimer(claimWait)
	defer deadline.Stop()
	for {
		other, busy := k.rechecks.LoadOrStore(w.id(), mine)
		if !busy {
			break
		}
		if !forced && w.inGrace(k.cfg.Now()) {
			return nil, false, errNotNow
		}
		f := other.(*recheckFlight)
		select {
		case <-f.done:
		case <-deadline.C:
			return nil, false, w.waits()
		}
		if !forced { // a forced recheck must begin after it was requested
			return f.found, false, f.err
		}
	}
	defer func() {
		k.rechecks.Delete(w.id())
		close(mine.done)
	}()
	// Not canceled if the browser disconnects: a refresh token that the provider has replaced
	// would be lost with the response.
	mine.found, mine.err = contain.Call(func() (*renewal, error) { return k.findOut(context.WithoutCancel(ctx), w, forced) })
	if p, panicked := mine.err.(*contain.Panic); panicked { // a function of the Provider
		mine.err = k.putOff(w, hookPanicked("recheck", p))
	}
	return mine.found, true, mine.err
}

// inGrace reports whether a recheck has just become due.
func (w *wanted) inGrace(now time.Time) bool {
	return now.Before(w.v.opened.recheckAt(w.cl).Add(recheckGrace))
}

func (w *wanted) waits() *Error {
	return &Error{Code: ErrProviderTimeout, ID: "recheck.waits", Op: "recheck", Provider: w.cl.provider.Name, retryAfter: claimLife,
		Reason: "another request or replica is running the same recheck and has not finished", Fix: "try again; if it persists, check that the provider responds within 10 seconds"}
}

// findOut uses the result of another replica, or asks the provider.
func (k *tokenKeeper) findOut(ctx context.Context, w wanted, forced bool) (*renewal, error) {
	started := time.Now()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		now := k.cfg.Now()
		if now.UnixMicro() < w.cl.recheckRest.Load() {
			return nil, w.cl.recheckFailure.Load()
		}
		last, err := k.latest(ctx, w)
		if err != nil {
			return nil, k.putOff(w, err)
		}
		if !forced {
			if found, err := w.known(last.tokenRecord, now); found != nil || err != nil {
				return found, err
			}
		}
		if err := k.cannotAsk(ctx, w, last, now); err != nil {
			return nil, err
		}
		err = fromRP(w.cl.rp.Discover(ctx)) // before the claim, which is too short for both
		mine, until := false, time.Now().Add(claimLife-time.Second)
		if err == nil {
			mine, err = k.claim(ctx, w.id(), last.tokenRecord)
		}
		if err != nil {
			return nil, k.putOff(w, err)
		}
		if mine {
			found, again, err := k.ask(ctx, w, last, until)
			if !again {
				return found, err
			}
			continue
		}
		if !forced && w.inGrace(now) {
			return nil, errNotNow
		}
		if time.Since(started) > claimWait {
			return nil, w.waits()
		}
		time.Sleep(wait)
	}
}

// known returns the stored result of a recheck.
func (w *wanted) known(r *tokenRecord, now time.Time) (*renewal, error) {
	switch {
	case r == nil:
		return nil, nil
	case r.renewed != nil && now.Before(r.renewed.at.Add(w.cl.provider.Recheck)):
		return r.renewed, nil
	case !now.Before(r.rest):
		return nil, nil
	case r.away:
		return nil, w.comeBack()
	}
	return nil, errNotNow
}

func (w *wanted) comeBack() *Error {
	return w.stepUp("recheck.person_required", "the provider requires user interaction to confirm access", "ignore this: the user is redirected to the provider")
}

// cannotAsk returns why the provider cannot be asked, or nil.
func (k *tokenKeeper) cannotAsk(ctx context.Context, w wanted, last storedTokens, now time.Time) error {
	r := last.tokenRecord
	switch {
	case r == nil:
		if err := k.ended(ctx, w); err != nil {
			return err
		}
		return w.impossible(last, now)
	case r.ended:
		return k.refuse(ctx, w, tokenEnded(nil), ByProvider)
	case r.refreshToken != "":
		return nil
	}
	asks, err := w.cl.rp.AsksProfile(ctx)
	if err != nil {
		return k.putOff(w, fromRP(err))
	}
	t := r.find(w.api)
	switch {
	case asks && t != nil && !t.expired(now):
		return nil
	case w.v.opened.created.Add(justNow).After(now): // another sign-in would have the same result
		return errNotNow
	case asks:
		return w.stepUp("recheck.token_expired", "the access token has expired, and the provider issued no refresh token", "request refresh tokens with providers.Offline; the user is redirected to the provider")
	}
	return w.stepUp("recheck.nothing_to_ask", "the provider issued no refresh token, and there is no profile to fetch", "request refresh tokens with providers.Offline")
}

// tokenEnded is the rejection of a user whose refresh token the provider rejected.
func tokenEnded(err error) *Error {
	return &Error{Code: ErrProviderDenied, ID: "recheck.token_ended", Op: "recheck", Reason: "the provider rejected the refresh token",
		Fix: "ignore this if the account was closed or signed out there; if it affects every user, check the lifetime of refresh tokens and whether another program uses them", Err: err}
}

// ask asks the provider as the holder of the claim. again reports that the store has other
// tokens by now.
func (k *tokenKeeper) ask(ctx context.Context, w wanted, last storedTokens, until time.Time) (found *renewal, again bool, err error) {
	last, again, err = k.reread(ctx, w, last)
	if err != nil {
		return nil, false, k.putOff(w, err)
	}
	if again {
		return nil, true, nil
	}
	at, user := k.cfg.Now().Truncate(time.Second), &w.v.opened.user
	r := rp.IdentifyRequest{Earlier: rp.Earlier{Issuer: user.Issuer, Subject: user.Subject}}
	if last.refreshToken == "" {
		r.Token = last.find(w.api).token()
	} else {
		next, got, err := k.refreshToAsk(ctx, w, last, until)
		if got == nil {
			return nil, err == nil, err
		}
		last, r.Refreshed, r.Token, r.Claims = next, true, got.Token, got.Claims
	}
	id, err := contain.Call(func() (*rp.Identity, error) { return w.cl.rp.Identify(ctx, r) })
	if p, panicked := err.(*contain.Panic); panicked { // a function of the Provider, for this user's profile
		return nil, false, k.rest(ctx, w, last, hookPanicked("recheck", p), false)
	}
	if err != nil {
		return nil, false, k.notIdentified(ctx, w, last, err)
	}
	if w.v.registry.auth.providers.Load().clients[user.Provider] != w.cl {
		k.release(ctx, w, last)
		return nil, false, &Error{Code: ErrProviderUnavailable, ID: "recheck.provider_replaced", Op: "recheck", Provider: user.Provider, Reason: "the provider was replaced by SetProviders in the meantime", Fix: "try again"}
	}
	next := *last.tokenRecord
	next.rest, next.away = time.Time{}, false
	if next.renewed, next.groups, err = k.renewed(ctx, w, last.tokenRecord, id); err != nil {
		e := complete(err, Error{Code: ErrSessionError, ID: "recheck.failed", Op: "recheck", Provider: user.Provider})
		if e.endedBy != "" {
			return nil, false, k.refuse(ctx, w, e, e.endedBy)
		}
		return nil, false, k.rest(ctx, w, last, e, false)
	}
	next.renewed.at = at
	if _, again, err = k.keepRefreshed(ctx, w, last, &next); again || err != nil {
		return nil, again, err // another replica has taken over the claim, or the session has ended
	}
	return next.renewed, false, nil
}

// refreshToAsk refreshes the access token: the provider may reject the user in its response. If
// it returns neither a response nor an error, the store has other tokens by now.
func (k *tokenKeeper) refreshToAsk(ctx context.Context, w wanted, last storedTokens, until time.Time) (storedTokens, *rp.Refreshed, error) {
	last, got, failed := k.send(ctx, w, last, until)
	if failed != nil {
		return last, nil, k.notRefreshedToAsk(ctx, w, last, failed)
	}
	w.cl.rest.Store(0)
	next, _ := last.refreshed(w.cl, w.api, got, k.cfg.Now())
	// The tokens are stored before the profile is read, which may take as long again as the
	// refresh, and are claimed before others can see them.
	next.tries = last.tries + 1
	_, _ = k.claim(ctx, w.id(), next)
	kept, again, err := k.keepRefreshed(ctx, w, last, next)
	if again || err != nil {
		return last, nil, err
	}
	return kept, got, nil
}

// notRefreshedToAsk handles a failed refresh.
func (k *tokenKeeper) notRefreshedToAsk(ctx context.Context, w wanted, last storedTokens, failed error) error {
	if p, panicked := failed.(*contain.Panic); panicked { // a function of the Provider, for this user's response
		return k.rest(ctx, w, last, hookPanicked("recheck", p), false)
	}
	e := complete(fromRP(failed), Error{Code: ErrProviderMisconfigured, ID: "recheck.failed", Op: "recheck"})
	switch {
	case e.ID == "refresh.invalid_grant":
		// Another replica may have used the token while this one was asleep: then its tokens are
		// in the store.
		now, err := k.current(ctx, w.id())
		if err != nil {
			return k.putOff(w, err)
		}
		if now.tokenRecord == nil || now.claimed() != last.claimed() {
			return nil
		}
		next := *last.tokenRecord
		next.ended = true
		_, _, _ = k.keep(ctx, w, last, &next) // in case the session cannot be revoked now
		return k.refuse(ctx, w, tokenEnded(e), ByProvider)
	case e.Code == ErrIDTokenInvalid:
		return k.refuse(ctx, w, e, ByProvider)
	case e.Code == ErrStepUpRequired && w.backFromTrip(last.tokenRecord, k.cfg.Now()): // returning to the provider did not help
		return k.rest(ctx, w, last, w.denied(), false)
	case e.Code == ErrStepUpRequired: // consent_required, login_required
		e.demand = w.demand()
		return k.rest(ctx, w, last, e, true)
	case e.Code == ErrProviderError: // the provider responded; the error is about this user
		return k.rest(ctx, w, last, e, false)
	}
	k.release(ctx, w, last)
	return k.putOff(w, e)
}

// notIdentified handles a profile that could not be fetched or is not the user's.
func (k *tokenKeeper) notIdentified(ctx context.Context, w wanted, last storedTokens, failed error) error {
	theirs, _ := failed.(*rp.Error)
	e := complete(fromRP(failed), Error{Code: ErrProviderMisconfigured, ID: "recheck.failed", Op: "recheck"})
	unauthorized := theirs != nil && theirs.Refused && e.Code == ErrProviderUnavailable
	switch {
	case e.Code == ErrIDTokenInvalid || theirs != nil && theirs.Refused && !unauthorized:
		return k.refuse(ctx, w, e, ByProvider)
	case unauthorized && last.find(w.api).expired(k.cfg.Now().Add(leeway)):
		return k.rest(ctx, w, last, w.comeBack(), true) // by the provider's clock it may have expired
	case unauthorized:
		return k.refuse(ctx, w, &Error{Code: ErrProviderDenied, ID: "recheck.profile_refused", Op: "recheck", Reason: "the provider rejected an unexpired access token when the profile was fetched",
			Fix: "ignore this if the account was closed there, or the user has withdrawn consent", Err: e}, ByProvider)
	}
	switch e.Code {
	case ErrProviderUnavailable, ErrProviderTimeout, ErrProviderMisconfigured:
		k.release(ctx, w, last)
		return k.putOff(w, e)
	}
	return k.rest(ctx, w, last, e, false) // the error is only about this user's profile
}

// putOff postpones rechecks at the provider.
func (k *tokenKeeper) putOff(w wanted, err error) error {
	e := complete(err, Error{Code: ErrProviderUnavailable, ID: "recheck.failed", Op: "recheck", Provider: w.cl.provider.Name})
	w.cl.recheckFailure.Store(e)
	w.cl.recheckRest.Store(k.cfg.Now().Add(recheckRest).UnixMicro())
	return e
}

// rest is putOff for one session. away requires the user to return to the provider.
func (k *tokenKeeper) rest(ctx context.Context, w wanted, last storedTokens, e *Error, away bool) error {
	next := *last.tokenRecord
	next.rest, next.away = k.cfg.Now().Add(recheckRest), away
	_, _, _ = k.keep(ctx, w, last, &next)
	return e
}

// refuse revokes a session and drops its tokens. If it cannot be revoked, the tokens stay, so
// that the next request rechecks.
func (k *tokenKeeper) refuse(ctx context.Context, w wanted, e *Error, by EventBy) error {
	e.endedBy = by
	if err := k.revokeSession(ctx, w); err == nil {
		w.cl.revokeLater(k.drop(ctx, &w.v.opened.session))
	}
	return e
}

// renewed returns the new user data of a session and the groups that the provider sent. An
// error with endedBy rejects the user.
func (k *tokenKeeper) renewed(ctx context.Context, w wanted, last *tokenRecord, id *rp.Identity) (found *renewal, sent []string, err error) {
	u, err := contain.Call(func() (*User, error) { return w.describe(last, id, k.cfg.Now(), k.cfg.loopback) })
	if err == nil {
		sent = slices.Clone(u.Groups)
		found, err = k.askOnRecheck(ctx, u, last.find(w.api))
	}
	if p, panicked := err.(*contain.Panic); panicked {
		err = hookPanicked("recheck", p)
	}
	if err != nil {
		return nil, nil, err
	}
	s := &session{user: &found.user}
	return found, sent, s.keepClaims(k.cfg.KeepClaims)
}

// describe returns the user as the provider now describes it.
func (w *wanted) describe(last *tokenRecord, id *rp.Identity, now time.Time, loopback bool) (*User, error) {
	before := w.v.opened.user.clone()
	if id.Claims == nil { // the provider confirmed access, and sent no claims
		before.Groups = slices.Clone(last.groups)
		return before, nil
	}
	if !id.Incomplete {
		if err := w.cl.verifyClaims(id, nil); err != nil {
			e := complete(err, Error{Code: ErrIdentityRejected, ID: "recheck.failed"})
			e.endedBy = ByApplication
			return nil, e
		}
	}
	u, err := newUser(w.cl, id, now, loopback)
	if err != nil {
		return nil, err
	}
	if u.ID() != before.ID() {
		return nil, &Error{Code: ErrIDTokenInvalid, ID: "recheck.another_person", Op: "recheck", Provider: w.cl.provider.Name, endedBy: ByProvider,
			Reason: "the profile belongs to a different user than the sign-in", Fix: "report this to the provider: it returned the data of another user"}
	}
	if id.Incomplete {
		if err := u.keepUnsaid(before, id.Claims); err != nil {
			return nil, err
		}
		if w.cl.mapped(id.Claims)["groups"] == nil {
			u.Groups = slices.Clone(last.groups)
		}
	} else if w.cl.provider.NameFromCallback != nil { // the callback had the name, once, at the sign-in
		u.Name = cmp.Or(u.Name, before.Name)
	}
	u.AuthTime, u.ACR, u.Data = before.AuthTime, before.ACR, before.Data
	return u, nil
}

// keepUnsaid keeps the previous values of fields that incomplete claims lack.
func (u *User) keepUnsaid(before *User, claims map[string]any) error {
	u.Name, u.Username = cmp.Or(u.Name, before.Name), cmp.Or(u.Username, before.Username)
	u.Picture, u.Locale = cmp.Or(u.Picture, before.Picture), cmp.Or(u.Locale, before.Locale)
	if u.Email == "" { // the flag belongs to the address
		u.Email, u.EmailVerified = before.Email, before.EmailVerified
	}
	all := maps.Clone(claims)
	if kept, err := strictjson.Object(before.claims()); err == nil {
		maps.Copy(kept, claims)
		all = kept
	}
	return u.setClaims(all, nil)
}

// askOnRecheck calls Hooks.OnRecheck and restores the fields that it must not change.
func (k *tokenKeeper) askOnRecheck(ctx context.Context, u *User, token *accessToken) (*renewal, error) {
	hook := k.cfg.Hooks.OnRecheck
	if hook == nil {
		return &renewal{user: *u}, nil
	}
	u.writable()
	verified, data := *u, maps.Clone(u.Data)
	login := &Login{User: u, Renewal: true}
	if token != nil {
		login.Token = token.token()
	}
	err := contain.Do(func() error { return hook(ctx, login) })
	if _, panicked := err.(*contain.Panic); panicked {
		return nil, err
	}
	for _, undecided := range []error{ErrStoreUnavailable, ErrProviderUnavailable, ErrProviderTimeout, context.DeadlineExceeded} {
		if errors.Is(err, undecided) {
			return nil, &Error{Code: ErrStoreUnavailable, ID: "hook.on_recheck_failed", Op: "OnRecheck", Provider: verified.Provider, Reason: "OnRecheck failed", Fix: "see error= for the hook's error", Err: err}
		}
	}
	if err != nil {
		e := complete(err, Error{Code: ErrIdentityRejected, ID: "hook.on_recheck_refused", Op: "OnRecheck", Provider: verified.Provider,
			Reason: "OnRecheck rejected the user", Fix: "ignore this if the account should lose access; otherwise see error= in the log"})
		e.endedBy = ByApplication
		return nil, e
	}
	if login.User == nil {
		return nil, &Error{Code: ErrSessionError, ID: "hook.on_recheck_nil", Op: "OnRecheck", Provider: verified.Provider, Reason: "OnRecheck set User to nil", Fix: "return an error to reject the request"}
	}
	login.User.sameAs(&verified)
	return &renewal{user: *login.User.clone(), data: !maps.Equal(data, login.User.Data)}, nil
}
