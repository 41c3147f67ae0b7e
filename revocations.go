package ginauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/ginauth/ginauth/internal/marks"
)

// RevocationKey names a session, or all sessions of a person or of a sign-in
// at the provider. It is a hash: nothing in it is personal.
type RevocationKey [16]byte

// Revocations remembers what was signed out and what was used up, for as long
// as something could still come of it. It holds watermarks, not flags: a
// session of the key that began at or before the mark is dead, a later one
// lives, and nothing is ever un-revoked.
//
// The default is this process's memory: lost at a restart and not shared, so
// that a session copied before its sign-out could be used again, at the other
// replica or after the restart, until it ends by itself. Run several replicas
// on one shared implementation.
//
// Implementations must be safe for concurrent use. An error means that nobody
// gets in (503).
type Revocations interface {
	// Revoke raises the watermark of key to at, unless it is higher already,
	// and keeps it for ttl.
	Revoke(ctx context.Context, key RevocationKey, at time.Time, ttl time.Duration) error

	// Watermarks returns the watermark of each key, the zero time where there
	// is none. It is called for every authenticated request, with the keys of
	// one session: its own; its person's, by our clock; and by the provider's
	// clock, that of its sign-in there and its person's.
	Watermarks(ctx context.Context, keys [4]RevocationKey) ([4]time.Time, error)

	// Once returns true for the first caller with that key within ttl, and
	// false for every other.
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

func newMemoryRevocations(now func() time.Time, limit int) *memoryRevocations {
	return marks.NewRevocations[RevocationKey](now, limit)
}
