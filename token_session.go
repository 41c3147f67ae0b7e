package ginauth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"
)

// end returns the time until which the tokens of a session can be used.
func (k *tokenKeeper) end(s *session) time.Time {
	end := s.created.Add(k.cfg.Lifetime)
	if !s.until.IsZero() && s.until.Before(end) {
		return s.until
	}
	return end
}

// begin stores the tokens of a new session before the previous session is revoked. undo
// reverts that if the session cannot be started.
func (k *tokenKeeper) begin(ctx context.Context, s *session) (undo func(), err error) {
	r := s.tokens.begins
	r.session, r.ends = s.id, k.end(s)
	undo = func() {}
	if r.before != nil {
		goesOn, err := k.takeOver(ctx, s)
		if err != nil {
			k.giveBack(ctx, s) // the store may have been changed despite the error
			return undo, err
		}
		undo = func() { k.giveBack(ctx, s) }
		if goesOn {
			s.tokens.of = r.before.tokensID()
			return undo, nil
		}
	}
	first := k.instead(s.id, r, nil)
	done, err := k.swap(ctx, s.id, nil, first)
	if err == nil && !done { // the store's client may have retried a call that had succeeded
		var now storedTokens
		if now, err = k.load(ctx, s.id); err == nil && !bytes.Equal(now.value, first.value) {
			err = tokensUnavailable("store tokens", errors.New("tokens already exist for the new session"))
		}
	}
	if err != nil {
		undo()
		return undo, err
	}
	k.memory.put(s.id, inStore(r, first.value))
	before := undo
	return func() {
		k.drop(ctx, s)
		before()
	}, nil
}

// takeOver writes the id of a new session into the record of the previous one. If the refresh
// token continues, the record belongs to the new session from then on. Otherwise the record
// expires soon; until then it prevents a refresh in progress from revoking its result, which
// could revoke the user's whole grant.
func (k *tokenKeeper) takeOver(ctx context.Context, s *session) (goesOn bool, err error) {
	before := s.tokens.begins.before
	id := before.tokensID()
	for range 4 { // a refresh may replace the record in the meantime
		last, err := k.current(ctx, id)
		if err != nil {
			return false, err
		}
		if last.tokenRecord != nil && last.session == s.id { // the previous attempt succeeded, although the store reported otherwise
			return goesOn, nil
		}
		if last.tokenRecord == nil || last.session != before.id {
			return false, nil
		}
		next := *last.tokenRecord
		next.ends = k.cfg.Now().Add(2 * claimLife)
		if goesOn = s.tokens.begins.inherits && last.gives(s.tokens.begins); goesOn {
			next = *s.tokens.begins
			next.refreshToken, next.tries, next.nonce, next.authTime = last.refreshToken, last.tries, last.nonce, last.authTime
		}
		next.session = s.id
		taken := k.instead(id, &next, last.base)
		done, err := k.swap(ctx, id, last.base, taken)
		if err != nil {
			return false, err
		}
		if done {
			k.memory.put(id, inStore(&next, taken.value))
			return goesOn, nil
		}
	}
	return false, nil
}

// giveBack reverts takeOver.
func (k *tokenKeeper) giveBack(ctx context.Context, s *session) {
	before := s.tokens.begins.before
	id := before.tokensID()
	for range 4 {
		last, err := k.current(ctx, id)
		if err != nil || last.tokenRecord == nil || last.session != s.id {
			return
		}
		next := *last.tokenRecord
		next.session, next.ends = before.id, k.end(before)
		given := k.instead(id, &next, last.base)
		done, err := k.swap(ctx, id, last.base, given)
		if err == nil && done {
			given.base = given.value
		}
		if err != nil || done {
			k.memory.put(id, given)
			return
		}
	}
}

// drop deletes the tokens of an ended session and returns them. It returns nil if there were
// none, if they cannot be read (they expire with the session anyway), or if another session has
// taken them over.
func (k *tokenKeeper) drop(ctx context.Context, s *session) *tokenRecord {
	id := s.tokensID()
	for range 4 { // a refresh may replace the record in the meantime
		last, err := k.current(ctx, id)
		if err != nil {
			held, _ := k.memory.get(id)
			last.tokenRecord = held.tokenRecord
		}
		if last.tokenRecord != nil && last.session != s.id {
			return nil
		}
		k.memory.drop(id)
		if err == nil && last.base == nil {
			return last.tokenRecord
		}
		done := false
		if err == nil {
			done, err = k.swap(ctx, id, last.base, storedTokens{})
		}
		if err != nil {
			k.cfg.log(ctx, slog.LevelWarn, "store.tokens_left", "tokens of an ended session remain unused in Options.Tokens until Lifetime; the refresh token is revoked only if it is known", slog.Any("error", err))
		}
		if err != nil || done {
			return last.tokenRecord
		}
	}
	return nil
}
