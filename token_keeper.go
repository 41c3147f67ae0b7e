package ginauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/seal"
)

const (
	// claimLife is how long a claim on a session's refresh token excludes others: longer than
	// a request to a provider can take.
	claimLife = 15 * time.Second
	// claimWait is how long other requests wait for the claim's holder.
	claimWait = 5 * time.Second
	// storeWait is how long a call of a store may take.
	storeWait = 3 * time.Second
	// providerRest is the pause after a failed request to a provider.
	providerRest = 5 * time.Second
	// justNow is the maximum age of a token or a session that another redirect to the provider
	// would not change.
	justNow = 10 * time.Second
	// tripGrace is how long a redirect to the provider is not repeated for the access token of
	// the sign-in.
	tripGrace = time.Minute

	// signedInFor is how long, for calls of APIs, a session counts as not revoked after a check.
	signedInFor = 5 * time.Second

	tokensRemembered = 1024 // maximum number of sessions whose tokens are cached
)

// Tokens is a store for the provider's tokens of sessions: see [Options.Tokens]. Values are
// sealed, and keys are hashes. If it fails, sign-ins with a provider that has APIs or Recheck
// get 503 ([ErrStoreUnavailable]), [Auth.Client] returns that error once the token in memory has
// expired, and rechecks are postponed. Implementations must be safe for concurrent use. Package
// redisstate has one.
type Tokens interface {
	// Load returns the value of a key, or nil without one.
	Load(ctx context.Context, key RevocationKey) ([]byte, error)

	// Swap atomically stores next for ttl if the current value is old, and reports whether it
	// did. A nil old means that the key has no value; a nil next deletes the key.
	Swap(ctx context.Context, key RevocationKey, old, next []byte, ttl time.Duration) (bool, error)
}

// tokenKeeper stores the tokens of sessions, and refreshes them once for all requests and
// replicas.
//
// A request that finds a token due claims the refresh token, with Revocations.Once, which
// gives the claim to one caller. It expires by the store's clock, so that a dead holder blocks
// the others for no longer than claimLife. The holder reads the record again, asks the
// provider, and replaces the record by Swap. Swap fails if another replica has replaced the
// record because the holder was suspended for longer than its claim. The other requests use the
// current access token while it is valid, and otherwise wait for the record to change.
//
// If a redirect to the provider begins a new session and the response has no refresh token, the
// new session takes over the record of the previous one under the same key, where a refresh in
// progress stores its result.
type tokenKeeper struct {
	cfg    *config
	box    *seal.Box
	flight singleflight.Group
	memory tokenMemory

	rechecks sync.Map // the *recheckFlight of each session that is being rechecked, by id
}

// storedTokens is a record and its stored value. base is the store's current value if that
// differs, because the store could not be updated.
type storedTokens struct {
	*tokenRecord
	value, base []byte
	unreadable  bool // the record is missing or cannot be opened: see latest
}

// inStore returns a record whose value is in the store.
func inStore(r *tokenRecord, value []byte) storedTokens {
	return storedTokens{tokenRecord: r, value: value, base: value}
}

// tokensKey returns the key of a session's tokens. It does not reveal the session's id.
func tokensKey(id string) RevocationKey { return revocationKey(sessionTokens, id) }

// seal returns the stored form of a record. It can be opened only for its session, wherever it
// is stored.
func (k *tokenKeeper) seal(id string, r *tokenRecord) []byte {
	return []byte(k.box.Seal(r.encode(), "tokens "+id))
}

// open returns the record of a session, or nil if it is missing or cannot be opened.
func (k *tokenKeeper) open(id string, value []byte) *tokenRecord {
	if len(value) == 0 {
		return nil
	}
	plain, _, err := k.box.Open(string(value), "tokens "+id)
	if err != nil {
		return nil
	}
	return readTokenRecord(plain)
}

// within calls a store with a deadline of storeWait: the contexts here have none. The stores
// in memory need none.
func within[T any](ctx context.Context, store any, call func(context.Context) (T, error)) (T, error) {
	switch store.(type) {
	case *memoryTokens, *memoryRevocations:
		return call(ctx)
	}
	var got T
	err := contain.Within(ctx, storeWait, func(ctx context.Context) (err error) {
		got, err = call(ctx) // not read after an error: the call may still be running
		return err
	})
	if err != nil {
		return *new(T), err
	}
	return got, nil
}

func (k *tokenKeeper) load(ctx context.Context, id string) (storedTokens, error) {
	value, err := within(ctx, k.cfg.Tokens, func(ctx context.Context) ([]byte, error) { return k.cfg.Tokens.Load(ctx, tokensKey(id)) })
	if err != nil {
		return storedTokens{}, tokensUnavailable("load tokens", err)
	}
	return inStore(k.open(id, value), value), nil
}

// swap replaces the value old by next, which is stored until its record expires.
func (k *tokenKeeper) swap(ctx context.Context, id string, old []byte, next storedTokens) (bool, error) {
	ttl := time.Duration(0)
	if next.tokenRecord != nil {
		ttl = next.ends.Sub(k.cfg.Now())
	}
	done, err := within(ctx, k.cfg.Tokens, func(ctx context.Context) (bool, error) {
		return k.cfg.Tokens.Swap(ctx, tokensKey(id), old, next.value, ttl)
	})
	if err != nil {
		return false, tokensUnavailable("store tokens", err)
	}
	return done, nil
}

func tokensUnavailable(op string, err error) *Error {
	return &Error{Code: ErrStoreUnavailable, ID: "store.tokens_failed", Op: op, Err: err, retryAfter: retryAfter,
		Reason: "Options.Tokens failed", Fix: "check the store"}
}

// instead returns a record that is to replace the value base in the store.
func (k *tokenKeeper) instead(id string, r *tokenRecord, base []byte) storedTokens {
	return storedTokens{tokenRecord: r, value: k.seal(id, r), base: base}
}

// current returns the tokens of a session: those of the store, or newer ones that could not be
// stored.
func (k *tokenKeeper) current(ctx context.Context, id string) (storedTokens, error) {
	last, err := k.load(ctx, id)
	if err != nil {
		return last, err
	}
	return k.memory.settle(id, last), nil
}

// token returns an access token for an API.
func (k *tokenKeeper) token(ctx context.Context, w wanted) (*accessToken, error) {
	now := k.cfg.Now()
	if err := k.signedIn(ctx, w, now); err != nil {
		return nil, err
	}
	held, found := k.memory.get(w.id())
	if found {
		if t := w.usable(held.of(w.cl), now); t != nil {
			if held.unsaved() {
				k.save(w)
			}
			return t, nil
		}
	}
	sum, owner := sha256.Sum256([]byte(w.refused)), w.cl.owner
	done := k.flight.DoChan(w.id()+string(owner[:])+string(sum[:])+w.api.key(), func() (any, error) {
		// Use the context of the request and not ctx, which the caller may reuse, as Gin does.
		return contain.Call(func() (*accessToken, error) { return k.obtain(context.WithoutCancel(w.v), w) })
	})
	select {
	case r := <-done:
		if p, panicked := r.Err.(*contain.Panic); panicked {
			return nil, hookPanicked("refresh token", p)
		}
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*accessToken), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// signedIn returns an error if the session has ended. A client may be used for longer than its
// request: then revocations are read every few seconds.
func (k *tokenKeeper) signedIn(ctx context.Context, w wanted, now time.Time) error {
	err := error(nil)
	switch {
	case !now.Before(k.end(&w.v.opened.session)):
		err = sessionEnded()
	case now.Sub(time.UnixMicro(w.v.asked)) > signedInFor && !k.memory.checkedLately(w, now):
		marks, failed := k.watermarks(ctx, w)
		if failed != nil {
			return failed
		}
		if w.v.opened.revoked(marks) {
			err = sessionEnded()
		} else {
			k.memory.check(w, now)
		}
	}
	if err == nil {
		return nil
	}
	if held, _ := k.memory.get(w.id()); held.tokenRecord != nil && held.session == w.v.opened.id {
		k.memory.drop(w.id())
	}
	return err
}

// obtain returns a token from the store or the provider.
func (k *tokenKeeper) obtain(ctx context.Context, w wanted) (*accessToken, error) {
	started := time.Now()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		last, err := k.latest(ctx, w)
		now := k.cfg.Now()
		if err != nil {
			held, _ := k.memory.get(w.id())
			return w.staleOr(held.tokenRecord, now, err)
		}
		if t := w.usable(last.tokenRecord, now); t != nil {
			return t, nil
		}
		if last.tokenRecord != nil {
			w.asked = last.asked
		}
		err = w.impossible(last, now)
		if err == nil {
			err = w.cl.resting(now)
		}
		if err == nil { // before the claim, which is too short for both
			err = fromRP(w.cl.rp.Discover(ctx))
		}
		mine, until := false, time.Now().Add(claimLife-time.Second)
		if err == nil {
			mine, err = k.claim(ctx, w.id(), last.tokenRecord)
		}
		if err != nil {
			return w.staleOr(last.tokenRecord, now, err)
		}
		if mine {
			t, again, err := k.refresh(ctx, w, last, until)
			if !again {
				return t, err
			}
			continue
		}
		if t := w.stale(last.tokenRecord, now); t != nil {
			return t, nil
		}
		if time.Since(started) > claimWait {
			return nil, &Error{Code: ErrProviderTimeout, ID: "refresh.waits", Op: "refresh token", Provider: w.cl.provider.Name, retryAfter: claimLife,
				Reason: "another request or replica is refreshing the token and has not finished", Fix: "try again; if it persists, check that the provider responds within 10 seconds"}
		}
		time.Sleep(wait)
	}
}

// latest is current for a wanted token. It stores tokens that are newer than the store's.
func (k *tokenKeeper) latest(ctx context.Context, w wanted) (storedTokens, error) {
	last, err := k.current(ctx, w.id())
	if err != nil {
		return last, err
	}
	if last.unsaved() {
		if done, err := k.swap(ctx, w.id(), last.base, last); done && err == nil {
			last = inStore(last.tokenRecord, last.value)
			k.memory.put(w.id(), last)
		}
	}
	last.unreadable = last.tokenRecord == nil
	last.tokenRecord = last.of(w.cl)
	return last, nil
}

// save stores tokens, in the background, that could not be stored before: another replica would
// otherwise send the refresh token in the store, which is already used.
func (k *tokenKeeper) save(w wanted) {
	k.flight.DoChan("save "+w.id(), func() (any, error) {
		return contain.Call(func() (storedTokens, error) { return k.latest(context.WithoutCancel(w.v), w) })
	})
}

// unsaved reports whether the store has older tokens.
func (s *storedTokens) unsaved() bool { return !bytes.Equal(s.base, s.value) }

// claim reports whether the caller has the claim on the refresh token of a record.
func (k *tokenKeeper) claim(ctx context.Context, id string, r *tokenRecord) (bool, error) {
	first, err := within(ctx, k.cfg.Revocations, func(ctx context.Context) (bool, error) {
		return k.cfg.Revocations.Once(ctx, revocationKey(tokenClaim, id, r.claimed()), claimLife)
	})
	if err != nil {
		return false, storeUnavailable("claim token", err)
	}
	return first, nil
}

// reread loads tokens again after claiming them. again reports that they were replaced
// meanwhile and must be claimed again.
func (k *tokenKeeper) reread(ctx context.Context, w wanted, last storedTokens) (_ storedTokens, again bool, err error) {
	now, err := k.current(ctx, w.id())
	if err != nil {
		return last, false, err
	}
	if now.of(w.cl) == nil || now.claimed() != last.claimed() {
		return last, true, nil
	}
	return now, false, nil
}

// refresh refreshes the token as the holder of the claim. again reports that the store has
// other tokens by now.
func (k *tokenKeeper) refresh(ctx context.Context, w wanted, last storedTokens, until time.Time) (t *accessToken, again bool, err error) {
	last, again, err = k.reread(ctx, w, last)
	if again {
		return nil, true, nil
	}
	if err != nil {
		t, err := w.staleOr(last.tokenRecord, k.cfg.Now(), err)
		return t, false, err
	}
	last, got, failed := k.send(ctx, w, last, until)
	now := k.cfg.Now()
	if p, panicked := failed.(*contain.Panic); panicked {
		k.release(ctx, w, last)
		return nil, false, hookPanicked("refresh token", p)
	}
	if failed != nil {
		return k.notRefreshed(ctx, w, last, complete(fromRP(failed), Error{Code: ErrProviderMisconfigured, ID: "provider.failed", Op: "refresh token", Reason: "a request to the provider failed", Fix: "see error= for the cause"}), now)
	}
	w.cl.rest.Store(0)
	next, token := last.refreshed(w.cl, w.api, got, now)
	if _, again, err = k.keepRefreshed(ctx, w, last, next); again || err != nil {
		return nil, again, err
	}
	if token.lacks(w.api.Scopes) && w.backFromTrip(next, now) {
		return nil, false, w.denied()
	} else if token.lacks(w.api.Scopes) {
		return nil, false, w.stepUp("refresh.consent", "the provider granted fewer scopes than the API needs", passToFail+" for consent")
	}
	return &token, false, nil
}

// keepRefreshed stores the tokens of a refresh. If the session has ended in the meantime, it
// drops and revokes them, and err says so. If the store fails, the tokens are kept in memory and
// returned in kept. again reports that the store has other tokens by now.
func (k *tokenKeeper) keepRefreshed(ctx context.Context, w wanted, last storedTokens, next *tokenRecord) (kept storedTokens, again bool, err error) {
	kept, done, failed := k.keep(ctx, w, last, next)
	if failed == nil && !done && kept.value == nil {
		// The session has ended, which is recorded before its tokens are dropped, or the store
		// has lost the record.
		if err := k.ended(ctx, w); err != nil {
			w.cl.revokeLater(next)
			return kept, false, err
		}
		kept, done, failed = k.keep(ctx, w, storedTokens{tokenRecord: last.tokenRecord}, next)
	}
	if err := k.ended(ctx, w); err != nil {
		w.cl.revokeLater(k.drop(ctx, &w.v.opened.session)) // a no-op if another session has taken them over
		return kept, false, err
	}
	return kept, failed == nil && !done, nil
}

// send sends the refresh token, with a deadline before the claim ends, after which another
// request would send it again. If the response has a new refresh token but cannot be verified at
// the moment, the returned record has the new one.
func (k *tokenKeeper) send(ctx context.Context, w wanted, last storedTokens, until time.Time) (storedTokens, *rp.Refreshed, error) {
	bounded, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	got, failed := contain.Call(func() (*rp.Refreshed, error) { return w.cl.rp.Refresh(bounded, w.refreshRequest(last.tokenRecord)) })
	if failed == nil || got == nil {
		return last, got, failed
	}
	next := *last.tokenRecord
	next.refreshToken = got.Token.RefreshToken
	if kept, done, err := k.keep(ctx, w, last, &next); done || err != nil {
		last = kept
	}
	return last, nil, failed
}

// notRefreshed handles a failed refresh.
func (k *tokenKeeper) notRefreshed(ctx context.Context, w wanted, last storedTokens, e *Error, now time.Time) (*accessToken, bool, error) {
	switch {
	case e.ID == "refresh.invalid_grant":
		// Another replica may have used the token while this one was asleep: then its tokens are
		// in the store.
		if now, err := k.current(ctx, w.id()); err == nil && (now.tokenRecord == nil || now.claimed() != last.claimed()) {
			return nil, true, nil
		}
		if w.api.key() != "" { // the provider may refuse only the token for this API
			return k.notGiven(ctx, w, last, e, now)
		}
		next := *last.tokenRecord
		next.ended = true
		_, _, _ = k.keep(ctx, w, last, &next) // after an error the provider is asked once more
		if e.demand = w.demand(); w.backFromTrip(last.tokenRecord, now) {
			e = w.denied()
		}
	case e.Code == ErrStepUpRequired:
		return k.notGiven(ctx, w, last, e, now)
	case e.Code == ErrIDTokenInvalid:
		if err := k.revokeSession(ctx, w); err != nil {
			return nil, false, err
		}
		w.cl.revokeLater(k.drop(ctx, &w.v.opened.session))
		return nil, false, e
	default:
		k.release(ctx, w, last)
		w.cl.failed(e, now)
	}
	t, err := w.staleOr(last.tokenRecord, now, e)
	return t, false, err
}

// notGiven redirects the user to the provider for a token that requires interaction, unless that
// was just tried.
func (k *tokenKeeper) notGiven(ctx context.Context, w wanted, last storedTokens, e *Error, now time.Time) (*accessToken, bool, error) {
	k.release(ctx, w, last)
	if w.backFromTrip(last.tokenRecord, now) {
		return nil, false, w.denied()
	}
	e.demand = w.demand()
	return nil, false, e
}

// release ends a claim early: it stores a new number of tries, and thus a new key to claim. Only
// in memory, other replicas would not see it.
func (k *tokenKeeper) release(ctx context.Context, w wanted, last storedTokens) {
	for range 4 {
		next := *last.tokenRecord
		next.tries++
		released := k.instead(w.id(), &next, last.base)
		if done, err := k.swap(ctx, w.id(), last.base, released); err != nil {
			return
		} else if done {
			k.memory.put(w.id(), inStore(&next, released.value))
			return
		}
		now, err := k.load(ctx, w.id())
		if err != nil || now.tokenRecord == nil || now.claimed() != last.claimed() {
			return
		}
		last = now // another session has taken over the record
	}
}

// keep replaces last, for which the caller has the claim, by next, and returns the tokens that
// are current then; done reports whether next was stored. If the store fails, next is kept in
// memory and stored when the tokens are needed next, since the provider no longer accepts the
// refresh token in the store. If another session has taken over the record in the meantime, its
// record gets the refresh token.
func (k *tokenKeeper) keep(ctx context.Context, w wanted, last storedTokens, next *tokenRecord) (kept storedTokens, done bool, err error) {
	next.tries = last.tries + 1
	for range 4 {
		kept = k.instead(w.id(), next, last.base)
		done, err = k.swap(ctx, w.id(), last.base, kept)
		if err == nil && done {
			kept.base = kept.value
			k.memory.put(w.id(), kept)
			return kept, true, nil
		}
		var now storedTokens
		if err == nil {
			now, err = k.load(ctx, w.id())
		}
		switch {
		case err != nil:
			if next.refreshToken == last.refreshToken {
				next.tries = last.tries // as the other replicas have it
				kept = k.instead(w.id(), next, last.base)
			}
			k.memory.put(w.id(), kept)
			return kept, false, err
		case now.tokenRecord == nil || now.claimed() != last.claimed():
			return now, false, nil
		}
		merged := *now.tokenRecord
		merged.refreshToken, merged.tries, merged.ended = next.refreshToken, next.tries, next.ended
		last, next = now, &merged
	}
	return storedTokens{}, false, tokensUnavailable("store tokens", errors.New("the record keeps changing"))
}

// watermarks reads the watermarks of the session with a deadline of storeWait.
func (k *tokenKeeper) watermarks(ctx context.Context, w wanted) ([4]time.Time, error) {
	return within(ctx, k.cfg.Revocations, func(ctx context.Context) ([4]time.Time, error) { return k.cfg.watermarks(ctx, w.v.opened.keys) })
}

// revokeSession revokes the session with a deadline of storeWait.
func (k *tokenKeeper) revokeSession(ctx context.Context, w wanted) error {
	_, err := within(ctx, k.cfg.Revocations, func(ctx context.Context) (any, error) {
		return nil, k.cfg.revokeSession(ctx, w.v.opened.sessionID())
	})
	return err
}

// ended returns an error if the session has ended in the meantime.
func (k *tokenKeeper) ended(ctx context.Context, w wanted) error {
	if w.v.state.Load() != identified || !k.cfg.Now().Before(k.end(&w.v.opened.session)) {
		return sessionEnded()
	}
	marks, err := k.watermarks(ctx, w)
	if err != nil {
		return nil // keep the tokens: the guard rejects the session if it has ended
	}
	if w.v.opened.revoked(marks) {
		return sessionEnded()
	}
	return nil
}

func sessionEnded() *Error {
	return &Error{Code: ErrUnauthenticated, ID: "session.ended", Op: "refresh token", Reason: "the session has ended", Fix: "ignore this: the user has signed out"}
}
