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

// RevocationKey identifies a session, or all sessions of a person or of a sign-in at
// the provider. It is a hash: nothing in it is personal.
type RevocationKey [16]byte

// Revocations remembers which sessions were revoked, and which states and logout
// tokens were used, for as long as they could be used again. It holds watermarks,
// not flags: a watermark only rises, the sessions of its key that started before it
// rose are revoked, a later one is valid, and nothing is ever un-revoked.
//
// The default is this process's memory, which is lost at a restart and not shared:
// a copy of a session that was signed out is then valid again, at another replica
// or after the restart, until it expires. Run several replicas on one shared
// implementation, such as package redisstate, with [Cached] around it.
//
// Several Mounts of one process can share [NewMemoryRevocations].
//
// Implementations must be safe for concurrent use. If one returns an error, guarded
// requests are answered with 503 ([ErrStoreUnavailable]).
type Revocations interface {
	// Revoke raises the watermark of key to at, unless it is higher already, and
	// keeps it for ttl. It may round at up, by less than a millisecond.
	Revoke(ctx context.Context, key RevocationKey, at time.Time, ttl time.Duration) error

	// Watermarks returns the watermark of each key, the zero time for a key that
	// has none. It is called for every authenticated request, with the keys of one
	// session: its own, of which any watermark ends it; its person's, by our clock; and by the provider's clock,
	// that of its sign-in there and its person's.
	Watermarks(ctx context.Context, keys [4]RevocationKey) ([4]time.Time, error)

	// Once returns true for the first caller with that key within ttl, and false
	// for every other one.
	Once(ctx context.Context, key RevocationKey, ttl time.Duration) (bool, error)
}

// revocationKey hashes the parts of a key; their lengths keep them apart.
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

// of returns the key of another kind with the same parts, which needs no second
// hash.
func (k RevocationKey) of(kind byte) RevocationKey {
	k[15] ^= kind
	return k
}

// memoryLimit bounds the watermarks and the spent keys of memoryRevocations.
const memoryLimit = 1 << 20

// memoryRevocations keeps revocations in this process.
type memoryRevocations = marks.Revocations[RevocationKey]

// NewMemoryRevocations returns Revocations in this process's memory, as they are by
// default. Share one between several Mounts of a process, such as one for each host, so
// that a sign-out or [Auth.LogoutEverywhere] at one of them counts at all. now is the
// clock of their [Options.Now]; nil is [time.Now].
func NewMemoryRevocations(now func() time.Time) Revocations {
	if now == nil {
		now = time.Now
	}
	return newMemoryRevocations(now, memoryLimit)
}

func newMemoryRevocations(now func() time.Time, limit int) *memoryRevocations {
	return marks.NewRevocations[RevocationKey](now, limit)
}

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
	sessionTokens     = 't'
	tokenClaim        = 'c'
)

// revoked compares a session with the watermarks of its keys: its own, with when
// it began; its person's, with the one of its birth, so that it does not matter
// by which replica's clock either was made; and the provider's with the ID token's
// iat, which is by the provider's clock. A tie of times is dead.
func (s *session) revoked(marks [4]time.Time) bool {
	before := func(at, mark time.Time) bool { return !at.After(mark) }
	return before(s.created, marks[0]) || s.markChanged(marks[1]) || before(s.issued, marks[2]) || before(s.issued, marks[3])
}

// markChanged reports whether the person's watermark is another one than at the
// session's birth. While it is there it only rises. One that was made by a clock far
// ahead, has expired and was made again is lower.
func (s *session) markChanged(mark time.Time) bool {
	at := millis(mark)
	if s.mark == s.estimatedMark() { // it does not know that of its birth
		return at > s.mark
	}
	return at != 0 && at != s.mark
}

// estimatedMark stands for the watermark of its birth in a session of version 2, which
// did not record it.
func (s *session) estimatedMark() int64 { return millis(s.created) - 1 }

func storeUnavailable(op string, err error) *Error {
	return &Error{Code: ErrStoreUnavailable, ID: "store.revocations_failed", Op: op, Err: err, retryAfter: retryAfter,
		Reason: "Options.Revocations failed", Fix: "check the store"}
}

// watermarks reads those of a session's keys. A store that panics is one that fails.
func (c *config) watermarks(ctx context.Context, keys [4]RevocationKey) ([4]time.Time, error) {
	marks, err := contain.Call(func() ([4]time.Time, error) { return c.Revocations.Watermarks(ctx, keys) })
	if err != nil {
		return marks, storeUnavailable("read revocations", err)
	}
	// A session's own mark ends it, whatever its time: a replica whose clock is behind
	// may have made it, or one of an earlier version, which writes its own time. In our
	// memory, which no other replica writes to, it may be the floor.
	if _, ours := c.Revocations.(*memoryRevocations); !ours && !marks[0].IsZero() {
		marks[0] = endOfTime
	}
	return marks, nil
}

// endOfTime is later than any session begins.
var endOfTime = time.Unix(math.MaxInt32<<16, 0)

// markLife is how long the watermark of a session is kept: as long as the session
// can live. Requests with it are refused, so that it is not renewed any more and
// ends by its idle timeout, which is sealed in it. That is longer than today's, for a
// replica that still has the options of then, if the session's own is. A session that
// a clock ahead of today's has seen ends that much later.
func (c *config) markLife(s sessionID) time.Duration {
	return max(c.IdleTimeout, s.idle) + max(0, s.seen.Sub(c.Now())) + 2*leeway
}

// personMarkLife is how long the watermark of a person is kept. An application with the same
// Revocations may accept the person's access tokens, which are not renewed, for Lifetime.
func (c *config) personMarkLife() time.Duration {
	return max(c.markLife(sessionID{}), c.Lifetime+2*leeway)
}

// outlivesDefault reports whether the session lives longer than one of which nothing is known
// but its id.
func (c *config) outlivesDefault(s sessionID) bool { return c.markLife(s) > c.markLife(sessionID{}) }

// markUnit is what a person's watermark rises by at least: see millis.
const markUnit = time.Millisecond

// revokePerson ends all sessions of a person that have begun. The mark is higher
// than the one of any of them, whatever the clocks of the replicas say.
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

// revoke raises a watermark, and keeps it for life.
func (c *config) revoke(ctx context.Context, key RevocationKey, at time.Time, life time.Duration) error {
	if err := c.Revocations.Revoke(ctx, key, at, life); err != nil {
		return storeUnavailable("write revocation", err)
	}
	return nil
}

// revokeSession ends one session, whenever it began by the clock of the replica
// that it began at: its mark is ahead of every clock.
func (c *config) revokeSession(ctx context.Context, s sessionID) error {
	return c.revoke(ctx, sessionKey(s.id), c.Now().Add(longestLifetime), c.markLife(s))
}
