package ginauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/wire"
)

// sessionBackend stores session records: in a sealed cookie, or in a gin-contrib/sessions
// store.
type sessionBackend interface {
	// load returns the request's session, or nil without one or on error.
	load(w http.ResponseWriter, r *http.Request) (*opened, error)
	// save stores a record.
	save(w http.ResponseWriter, r *http.Request, record sessionRecord) error
	// delete deletes the stored record of a request.
	delete(w http.ResponseWriter, r *http.Request) error
	// expire expires the cookies, without accessing a store.
	expire(w http.ResponseWriter, r *http.Request)
	// ids returns the ids of the sessions in a request's cookies, without accessing a store.
	// found reports whether it has session cookies, even if they cannot be opened.
	ids(w http.ResponseWriter, r *http.Request) (ids []sessionID, found bool)
}

// sessionID has the data needed to revoke a session.
type sessionID struct {
	id   string
	idle time.Duration // its own IdleTimeout, 0 if unknown
	seen time.Time     // its last request, the zero time if unknown
}

// sessionID returns the data needed to revoke the session.
func (s *session) sessionID() sessionID { return sessionID{s.id, s.idle, s.lastSeen} }

// sessionRecord is the stored form of a session.
type sessionRecord struct {
	data []byte
	life time.Duration
	// browserOnly makes the cookies end with the browser. The record in a store still expires
	// after life.
	browserOnly bool
	// isNew marks a new session: a store gives it a new id and binding. Otherwise the record
	// replaces that of the session that load returns; if that is missing, another request has
	// ended it, and it stays ended.
	isNew bool
}

// cookieLife is how long the browser keeps the record's cookies.
func (r sessionRecord) cookieLife() time.Duration {
	if r.browserOnly {
		return cookie.UntilClosed
	}
	return r.life
}

// sessions starts, stores and ends sessions.
type sessions struct {
	cfg     *config
	issuers map[string]*issuers // by Provider.Name
	backend sessionBackend
	cache   *sessionCache
	tokens  *tokenKeeper
}

// start starts a session for a user under a new id, and ends the one that it replaces.
func (k *sessions) start(w http.ResponseWriter, r *http.Request, s *session, limits SessionLimits) (*session, error) {
	if err := k.checkLimits(s, limits); err != nil {
		return nil, err
	}
	k.begin(s, limits)
	if err := s.keepClaims(k.cfg.KeepClaims); err != nil {
		return nil, err
	}
	if err := k.checkTimes(s); err != nil {
		return nil, err
	}
	if err := k.recordMark(r.Context(), s); err != nil {
		return nil, err
	}
	undo := func() {}
	if s.tokens != nil {
		var err error
		if undo, err = k.tokens.begin(context.WithoutCancel(r.Context()), s); err != nil {
			return nil, err
		}
	}
	before, _, err := k.revokePrevious(w, r)
	if err != nil {
		undo()
		return nil, err
	}
	if before != nil && before.tokens != nil && s.tokens == nil {
		defer k.tokens.drop(context.WithoutCancel(r.Context()), &before.session)
	}
	if err = k.save(w, r, s, true); err != nil {
		undo()
	}
	return s, err
}

// begin sets the id and the times of a session.
func (k *sessions) begin(s *session, limits SessionLimits) {
	now := k.cfg.Now()
	id := make([]byte, sessionIDSize)
	rand.Read(id)
	s.id, s.created, s.lastSeen = string(id), now, now
	// Stored in the record: the watermark of this session's sign-out is kept for the current
	// idle timeout, so a longer one in a later configuration must not apply to copies of this
	// session.
	s.idle, s.browserOnly = cmp.Or(limits.IdleTimeout, k.cfg.IdleTimeout), limits.BrowserOnly
	if end := now.Add(cmp.Or(limits.Lifetime, k.cfg.Lifetime)); s.until.IsZero() || s.until.After(end) {
		s.until = end
	}
	if s.issued.IsZero() {
		s.issued = now
	}
}

// limits returns the limits of the session that replaces this one after the same user has
// authenticated again: a cookie that ends with the browser must not become a persistent one.
// Lifetime is unknown: until may be the end of the provider's session.
func (s *session) limits(c *config) SessionLimits {
	l := SessionLimits{BrowserOnly: s.browserOnly}
	if s.idle < c.IdleTimeout && s.idle >= time.Minute {
		l.IdleTimeout = s.idle
	}
	return l
}

// checkLimits rejects limits that do not shorten a session, since a short session was
// intended.
func (k *sessions) checkLimits(s *session, limits SessionLimits) error {
	for _, l := range [...]struct {
		name      string
		own, most time.Duration
	}{{"Lifetime", limits.Lifetime, k.cfg.Lifetime}, {"IdleTimeout", limits.IdleTimeout, k.cfg.IdleTimeout}} {
		if l.own != 0 && (l.own < time.Minute || l.own > l.most) {
			return &Error{Code: ErrSessionError, ID: "session.limits", Op: "begin session", Provider: s.user.Provider,
				Reason: fmt.Sprintf("SessionLimits.%s is %v, but must be between one minute and Options.%[1]s (%[3]v)", l.name, l.own, l.most),
				Fix:    "leave it 0, or set at most the value in Options (a bare number is nanoseconds: write 2*time.Hour)"}
		}
	}
	return nil
}

// checkTimes rejects a session that could be written but not read again.
func (k *sessions) checkTimes(s *session) error {
	times := s.times()
	for _, at := range append(times[:], &s.rechecked) {
		if !wire.Reaches(*at, s.created) {
			return &Error{Code: ErrSessionError, ID: "session.time", Op: "save session", Provider: s.user.Provider,
				Reason: "a time in the session is out of range", Fix: "check User.AuthTime"}
		}
	}
	return nil
}

// recordMark records the user's current watermark in s.mark, so that a later one can be
// recognized. It fails if the session would be revoked from the start: the provider has signed
// the user out since it issued this ID token, or in the same second.
func (k *sessions) recordMark(ctx context.Context, s *session) error {
	marks, err := k.cfg.watermarks(ctx, s.keys())
	if err != nil {
		return err
	}
	if s.mark = millis(marks[1]); !s.revoked(marks) {
		return nil
	}
	return &Error{Code: ErrIDTokenInvalid, ID: "session.signed_out_before", Op: "begin session", Provider: s.user.Provider,
		Reason: "the provider signed the user out after issuing this ID token, or in the same second", Fix: "sign in again"}
}

// checkTakenBack rejects a sign-in without a session if the provider has signed the user out in
// the meantime, as recordMark does for a sign-in with a session.
func (k *sessions) checkTakenBack(ctx context.Context, s session) error {
	k.begin(&s, SessionLimits{})
	return k.recordMark(ctx, &s)
}

// keepLess is the fix for a session that is too large.
const keepLess = "reduce KeepClaims, groups or data, or use a session store with more room (Options.Sessions)"

// save stores a session. The error for one that is too large names the cause.
func (k *sessions) save(w http.ResponseWriter, r *http.Request, s *session, isNew bool) error {
	err := k.backend.save(w, r, sessionRecord{k.encode(s), k.remaining(s), s.browserOnly, isNew})
	if err == nil {
		return nil
	}
	e := complete(err, Error{Code: ErrSessionError, ID: "session.save_failed", Op: "save session", Provider: s.user.Provider})
	if e.Code == ErrSessionError {
		e.Reason += s.largest()
		e.Fix = keepLess
	}
	return e
}

// remaining returns the time from the last request to the expiry of a session.
func (k *sessions) remaining(s *session) time.Duration {
	left := min(k.cfg.Lifetime-s.lastSeen.Sub(s.created), k.cfg.IdleTimeout, s.idle)
	if !s.until.IsZero() {
		left = min(left, s.until.Sub(s.lastSeen))
	}
	return left
}

// open returns the session of a request, or nil if its cookie cannot be opened, it has expired,
// or its provider is no longer configured. A cookie that cannot be opened is not an error: it
// may be another application's.
func (k *sessions) open(w http.ResponseWriter, r *http.Request, now time.Time) (*opened, error) {
	o, err := k.backend.load(w, r)
	return k.unexpired(o, now), err
}

// unexpired returns the session, or nil if it has expired.
func (k *sessions) unexpired(o *opened, now time.Time) *opened {
	if o == nil {
		return nil
	}
	if at := now.UnixMicro(); at < o.notBefore || at > o.expires {
		k.cache.drop(o)
		return nil
	}
	return o
}

// load is open plus a check that the session is not revoked. If Options.Revocations fails, it
// returns an error, and the request is rejected.
func (k *sessions) load(w http.ResponseWriter, r *http.Request, now time.Time) (*opened, error) {
	o, err := k.open(w, r, now)
	if o == nil {
		return nil, err
	}
	marks, err := k.cfg.watermarks(r.Context(), o.keys)
	if err != nil {
		return nil, err
	}
	if o.revoked(marks) {
		k.cache.drop(o)
		return nil, nil
	}
	return o, nil
}

// renew stores a session again. Its last request is the time at which it was found not to be
// revoked: a handler may call Update hours later, and the watermark of a sign-out in between
// is kept only for sessions last seen before it.
func (k *sessions) renew(w http.ResponseWriter, r *http.Request, s *session) error {
	if err := k.checkTimes(s); err != nil {
		return err
	}
	return k.save(w, r, s, false)
}

// end revokes all copies of a session, and then deletes its record.
func (k *sessions) end(w http.ResponseWriter, r *http.Request, s *session) error {
	err := k.revoke(r.Context(), s.sessionID())
	failed := k.backend.delete(w, r)
	k.backend.expire(w, r)
	return cmp.Or(err, failed)
}

// endAll ends all sessions of a request, and returns the one that open returns.
func (k *sessions) endAll(w http.ResponseWriter, r *http.Request) (*session, error) {
	if _, found := k.backend.ids(w, r); !found {
		return nil, nil
	}
	o, failed, err := k.revokePrevious(w, r)
	o = k.unexpired(o, k.cfg.Now())
	if failed == nil {
		failed = k.backend.delete(w, r)
	}
	k.backend.expire(w, r)
	k.cache.drop(o)
	return o.copy(), cmp.Or(err, failed)
}

// revokePrevious revokes the sessions in the cookies of a request, also expired ones and those
// whose store fails. It returns the session and the error of the backend's load.
func (k *sessions) revokePrevious(w http.ResponseWriter, r *http.Request) (o *opened, failed, err error) {
	ids, found := k.backend.ids(w, r)
	if !found {
		return nil, nil, nil
	}
	err = k.revoke(r.Context(), ids...)
	// The expiry of a stored session is only in its record, not in the cookie.
	o, failed = k.backend.load(w, r)
	if o != nil && !slices.Contains(ids, o.sessionID()) && k.cfg.outlivesDefault(o.sessionID()) {
		err = cmp.Or(err, k.revoke(r.Context(), o.sessionID()))
	}
	return o, failed, err
}

func (k *sessions) revoke(ctx context.Context, ids ...sessionID) error {
	for _, id := range ids {
		// Not on the request's context: the session is also revoked if the client disconnects.
		if err := k.cfg.revokeSession(context.WithoutCancel(ctx), id); err != nil {
			return err
		}
	}
	return nil
}
