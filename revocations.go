package ginauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"
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

// memoryLimit bounds each of the two tables of memoryRevocations.
const memoryLimit = 1 << 20

// memoryRevocations keeps revocations in this process.
type memoryRevocations struct {
	now    func() time.Time
	limit  int
	floor  atomic.Int64 // watermark of everybody, in nanoseconds: raised when marks had to be dropped
	shards [64]memoryShard
}

type memoryShard struct {
	mu    sync.RWMutex
	marks map[RevocationKey]mark
	spent map[RevocationKey]int64 // until when, Unix seconds
	sweep int64                   // when to look for expired entries next
}

type mark struct{ at, until int64 } // at in nanoseconds, until in seconds

func newMemoryRevocations(now func() time.Time) *memoryRevocations {
	return &memoryRevocations{now: now, limit: memoryLimit}
}

func (m *memoryRevocations) shard(key RevocationKey) *memoryShard {
	return &m.shards[key[0]%byte(len(m.shards))]
}

func (m *memoryRevocations) Revoke(_ context.Context, key RevocationKey, at time.Time, ttl time.Duration) error {
	s, now := m.shard(key), m.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean(now)
	if s.marks == nil {
		s.marks = make(map[RevocationKey]mark)
	}
	if len(s.marks) >= m.limit/len(m.shards) {
		m.overflow(s)
	}
	old := s.marks[key]
	s.marks[key] = mark{max(old.at, at.UnixNano()), max(old.until, now.Add(ttl).Unix())}
	return nil
}

// overflow makes room by revoking more, never less: the marks go, and the
// highest of them becomes everybody's.
func (m *memoryRevocations) overflow(s *memoryShard) {
	floor := m.floor.Load()
	for _, old := range s.marks {
		floor = max(floor, old.at)
	}
	for old := m.floor.Load(); old < floor && !m.floor.CompareAndSwap(old, floor); old = m.floor.Load() {
	}
	clear(s.marks)
}

// clean drops expired entries, once a minute: a shard is a sixty-fourth of
// all, so nobody waits long. Nor does it wait for long if the clock was put back.
func (s *memoryShard) clean(now time.Time) {
	if left := s.sweep - now.Unix(); 0 < left && left <= 60 {
		return
	}
	s.sweep = now.Unix() + 60
	for key, old := range s.marks {
		if old.until < now.Unix() {
			delete(s.marks, key)
		}
	}
	for key, until := range s.spent {
		if until < now.Unix() {
			delete(s.spent, key)
		}
	}
}

func (m *memoryRevocations) Watermarks(_ context.Context, keys [4]RevocationKey) (marks [4]time.Time, _ error) {
	for i, key := range keys {
		s := m.shard(key)
		s.mu.RLock()
		at := s.marks[key].at
		s.mu.RUnlock()
		if i > 0 { // a session's own mark kills it whatever its time: the floor is none
			at = max(at, m.floor.Load())
		}
		if at != 0 {
			marks[i] = time.Unix(0, at)
		}
	}
	return marks, nil
}

func (m *memoryRevocations) Once(_ context.Context, key RevocationKey, ttl time.Duration) (bool, error) {
	s, now := m.shard(key), m.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean(now)
	if s.spent == nil {
		s.spent = make(map[RevocationKey]int64)
	}
	if until, ok := s.spent[key]; ok && until >= now.Unix() {
		return false, nil
	}
	if len(s.spent) >= m.limit/len(m.shards) {
		return false, errors.New("too many sign-ins in the last minutes for this process's memory")
	}
	s.spent[key] = now.Add(ttl).Unix()
	return true, nil
}
