package ginauth

import (
	"context"
	"fmt"
	"time"
)

// keys are what a session is revoked by: see Revocations.Watermarks.
func (s *session) keys() [4]RevocationKey {
	person := revocationKey(0, s.user.Issuer, s.user.Subject)
	return [4]RevocationKey{sessionKey(s.id), person.of(allOfUser), s.providerKey(person), person.of(providerUser)}
}

// sessionKey is the key of one session, whose id is random already.
func sessionKey(id string) RevocationKey { return RevocationKey([]byte(id)).of(oneSession) }

// providerKey is what the provider ends this one session by: its sid. Without
// one it is the person, for tokens that name both.
func (s *session) providerKey(person RevocationKey) RevocationKey {
	if s.sid == "" {
		return person.of(providerNoSession)
	}
	return revocationKey(providerSession, s.user.Issuer, s.sid)
}

// The kinds of RevocationKey.
const (
	oneSession        = 'l'
	allOfUser         = 'e'
	providerSession   = 's'
	providerNoSession = 'n' // a person's sessions whose ID token had no sid
	providerUser      = 'u'
	spentState        = 'a'
)

// revoked compares a session with the watermarks of its keys. Its own kills it
// whatever the time. The application's are compared by our clock, and the
// provider's with the ID token's iat, which has the provider's: so clocks that
// differ neither save an old session nor end a new one. A tie is dead.
func (s *session) revoked(marks [4]time.Time) bool {
	before := func(at, mark time.Time) bool { return !at.After(mark) }
	return !marks[0].IsZero() || before(s.created, marks[1]) || before(s.issued, marks[2]) || before(s.issued, marks[3])
}

func storeUnavailable(op string, err error) *Error {
	return &Error{Code: ErrStoreUnavailable, Op: op, Err: err, retryAfter: retryMost,
		Reason: "Options.Revocations failed", Fix: "look at the store behind it"}
}

// watermarks reads those of a session's keys. A store that panics is one that fails.
func (c *config) watermarks(ctx context.Context, keys [4]RevocationKey) (marks [4]time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = storeUnavailable("read revocations", fmt.Errorf("panic: %.500v", p))
		}
	}()
	if marks, err = c.Revocations.Watermarks(ctx, keys); err != nil {
		return marks, storeUnavailable("read revocations", err)
	}
	return marks, nil
}

// revoke raises a watermark for as long as a session that it covers can live.
func (c *config) revoke(ctx context.Context, key RevocationKey, at time.Time) error {
	if err := c.Revocations.Revoke(ctx, key, at, c.Lifetime+2*leeway); err != nil {
		return storeUnavailable("write revocation", err)
	}
	return nil
}
