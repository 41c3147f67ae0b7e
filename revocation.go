package ginauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/marks"
)

// RevocationKey identifies a session, or all sessions of a user or of a sign-in at the provider.
// The key of a session is its id with one byte changed, which is no credential without
// [Options.Keys]. The others are SHA-256 hashes, truncated to 16 bytes and without a secret:
// anyone who reads them can test whether they include a user whose issuer and subject are known
// or can be guessed. Some subjects, such as GitHub's, are small numbers.
type RevocationKey [16]byte

// Revocations stores which sessions were revoked, and which states were used, for as long as
// they could be used again. It holds watermarks, not flags: a watermark
// only rises; sessions of its key that started before it rose are revoked, and later ones are
// valid. A revocation is never undone.
//
// The default is this process's memory, which is lost at a restart and not shared: a copied
// cookie of a signed-out session is then valid again after the restart, or at another replica,
// until the session expires. With several replicas, use a shared implementation, such as
// package redisstate, with [Cached].
//
// Several Mounts in one process can share [NewMemoryRevocations].
//
// Implementations must be safe for concurrent use. If one returns an error, guarded requests get
// 503 ([ErrStoreUnavailable]).
type Revocations interface {
	// Revoke raises the watermark of key to at, unless it is already higher, and stores it for
	// ttl. It may round at up by less than a millisecond.
	Revoke(ctx context.Context, key RevocationKey, at time.Time, ttl time.Duration) error

	// Watermarks returns the watermark of each key, or the zero time for a key without one. It
	// is called for every authenticated request, with the four keys of one session: its own,
	// which is revoked by any watermark; its user's, by the application's clock; and, by the
	// provider's clock, those of its sign-in at the provider and of its user there.
	Watermarks(ctx context.Context, keys [4]RevocationKey) ([4]time.Time, error)

	// Once returns true to the first caller with that key within ttl, in any process, and
	// false to all others.
	Once(ctx context.Context, key RevocationKey, ttl time.Duration) (bool, error)
}

// revocationKey hashes the parts of a key, each prefixed by its length.
func revocationKey(kind byte, parts ...string) RevocationKey {
	var buf [256]byte
	b := buf[:0]
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return RevocationKey(sum[:16]).of(kind)
}

// of returns the key of another kind with the same parts, without hashing them again.
func (k RevocationKey) of(kind byte) RevocationKey {
	k[15] ^= kind
	return k
}

// memoryLimit bounds the watermarks and the spent keys of memoryRevocations.
const memoryLimit = 1 << 20

// memoryRevocations keeps revocations in this process.
type memoryRevocations = marks.Revocations[RevocationKey]

// NewMemoryRevocations returns Revocations in this process's memory, like the default. Share
// one between several Mounts of a process, such as one for each host, so that a sign-out or
// [Auth.LogoutEverywhere] in one takes effect in all. now is the clock of their [Options.Now];
// nil means [time.Now].
func NewMemoryRevocations(now func() time.Time) Revocations {
	if now == nil {
		now = time.Now
	}
	return newMemoryRevocations(now, memoryLimit)
}

func newMemoryRevocations(now func() time.Time, limit int) *memoryRevocations {
	return marks.NewRevocations[RevocationKey](now, limit)
}

// keys returns the keys that revoke a session: see Revocations.Watermarks.
func (s *session) keys() [4]RevocationKey {
	person := revocationKey(0, s.user.Issuer, s.user.Subject)
	return [4]RevocationKey{sessionKey(s.id), person.of(allOfUser), s.providerKey(person), person.of(providerUser)}
}

// sessionKey is the key of one session, whose id is random already.
func sessionKey(id string) RevocationKey { return RevocationKey([]byte(id)).of(oneSession) }

// providerKey is the key by which the provider ends this one session: its sid or, without one,
// the user, for logout tokens that name both.
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
	providerNoSession = 'n' // a user's sessions whose ID token had no sid
	providerUser      = 'u'
	spentState        = 'a'
	sessionTokens     = 't'
	tokenClaim        = 'c'
)

// revoked compares a session with the watermarks of its keys: its own with the time at which
// it began; its user's with the watermark recorded at the start of the session, so that the
// replicas' clocks do not matter; and the provider's with the iat of the ID token, which is by
// the provider's clock. At equal times the session is revoked.
func (s *session) revoked(marks [4]time.Time) bool {
	before := func(at, mark time.Time) bool { return !at.After(mark) }
	return before(s.created, marks[0]) || s.markChanged(marks[1]) || before(s.issued, marks[2]) || before(s.issued, marks[3])
}

// markChanged reports whether the user's watermark differs from the one at the start of the
// session. An existing watermark only rises; one that was set by a clock far ahead, expired and
// was set again may be lower.
func (s *session) markChanged(mark time.Time) bool {
	at := millis(mark)
	if s.mark == s.estimatedMark() { // version 2 did not record the watermark at its start
		return at > s.mark
	}
	return at != 0 && at != s.mark
}

// estimatedMark replaces the watermark at the start of a session of version 2, which did not
// record it.
func (s *session) estimatedMark() int64 { return millis(s.created) - 1 }

func storeUnavailable(op string, err error) *Error {
	return &Error{Code: ErrStoreUnavailable, ID: "store.revocations_failed", Op: op, Err: err, retryAfter: retryAfter,
		Reason: "Options.Revocations failed", Fix: "check the store"}
}

// watermarks reads the watermarks of a session's keys. A panic of the store counts as a
// failure.
func (c *config) watermarks(ctx context.Context, keys [4]RevocationKey) ([4]time.Time, error) {
	marks, err := contain.Call(func() ([4]time.Time, error) { return c.Revocations.Watermarks(ctx, keys) })
	if err != nil {
		return marks, storeUnavailable("read revocations", err)
	}
	// A session's own watermark revokes it whatever its time: it may be from a replica whose
	// clock is behind, or of an earlier version, which writes its own time. In this process's
	// memory, which no other replica writes to, it may be the floor.
	if _, ours := c.Revocations.(*memoryRevocations); !ours && !marks[0].IsZero() {
		marks[0] = endOfTime
	}
	return marks, nil
}

// endOfTime is later than any session begins.
var endOfTime = time.Unix(math.MaxInt32<<16, 0)

// markLife is how long the watermark of a session is stored: as long as the session can be
// valid. A revoked session is not renewed, so it expires by the idle timeout sealed in it.
// That may be longer than the current option, if a replica still has earlier options. A
// session last seen by a clock that is ahead expires that much later.
func (c *config) markLife(s sessionID) time.Duration {
	return max(c.IdleTimeout, s.idle) + max(0, s.seen.Sub(c.Now())) + 2*leeway
}

// personMarkLife is how long the watermark of a user is stored. An application with the same
// Revocations may accept the user's access tokens, which are not renewed, for Lifetime.
func (c *config) personMarkLife() time.Duration {
	return max(c.markLife(sessionID{}), c.Lifetime+2*leeway)
}

// outlivesDefault reports whether the session is valid for longer than one of which only the
// id is known.
func (c *config) outlivesDefault(s sessionID) bool { return c.markLife(s) > c.markLife(sessionID{}) }

// markUnit is the smallest step of a user's watermark: see millis.
const markUnit = time.Millisecond

// revokePerson revokes all existing sessions of a user. The watermark is higher than the one
// recorded in any of them, whatever the clocks of the replicas are.
func (c *config) revokePerson(ctx context.Context, key RevocationKey) error {
	marks, err := c.watermarks(ctx, [4]RevocationKey{key, key, key, key})
	if err != nil {
		return err
	}
	at := c.Now()
	if next := marks[1].Add(markUnit); next.After(at) {
		at = next
	}
	return c.revoke(ctx, key, at, c.personMarkLife())
}

// revoke raises a watermark, which is stored for the duration life.
func (c *config) revoke(ctx context.Context, key RevocationKey, at time.Time, life time.Duration) error {
	if err := c.Revocations.Revoke(ctx, key, at, life); err != nil {
		return storeUnavailable("write revocation", err)
	}
	c.onRevoked(key)
	return nil
}

// revokeSession revokes one session. Its watermark is ahead of every clock, so the clock of
// the replica where it began does not matter.
func (c *config) revokeSession(ctx context.Context, s sessionID) error {
	return c.revoke(ctx, sessionKey(s.id), c.Now().Add(longestLifetime), c.markLife(s))
}
