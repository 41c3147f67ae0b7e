package marks

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Revocations keeps watermarks and spent keys in memory, for keys of a type
// that has 16 bytes.
type Revocations[K ~[16]byte] struct {
	now   func() time.Time
	marks *Table // in nanoseconds
	spent *Table
	floor atomic.Int64 // the watermark of every key, in nanoseconds: raised when marks had to be dropped
}

// NewRevocations returns one with room for limit watermarks and limit spent
// keys.
func NewRevocations[K ~[16]byte](now func() time.Time, limit int) *Revocations[K] {
	return &Revocations[K]{now: now, marks: New(limit), spent: New(limit)}
}

// Revoke raises the watermark of key to at, unless it is higher already, and
// keeps it for ttl.
func (r *Revocations[K]) Revoke(_ context.Context, key K, at time.Time, ttl time.Duration) error {
	now := r.now()
	raise := func() bool { return r.marks.Raise(key, at.UnixNano(), now.Add(ttl).Unix(), now.Unix()) }
	if raise() {
		return nil
	}
	// Room is made by revoking more, never less: the marks of some keys are
	// dropped, and the highest of them becomes the mark of every key. The new
	// mark does not: a sign-in ends the session that it replaces, and its own
	// session would end with it.
	r.marks.Drop(r.raiseFloor)
	if !raise() {
		r.raiseFloor(at.UnixNano())
	}
	return nil
}

// raiseFloor raises the watermark of every key.
func (r *Revocations[K]) raiseFloor(at int64) {
	for old := r.floor.Load(); old < at && !r.floor.CompareAndSwap(old, at); old = r.floor.Load() {
	}
}

// Watermarks returns the watermark of each key, the zero time where there is
// none. The mark of the first key is its own alone: it kills one session
// whatever its time, so the mark of every key must not count as one.
func (r *Revocations[K]) Watermarks(_ context.Context, keys [4]K) (marks [4]time.Time, _ error) {
	for i, key := range keys {
		at := r.marks.Value(key)
		if i > 0 {
			at = max(at, r.floor.Load())
		}
		if at != 0 {
			marks[i] = time.Unix(0, at)
		}
	}
	return marks, nil
}

// Once returns true for the first call with a key within ttl, and an error if
// there is no room to remember it.
func (r *Revocations[K]) Once(_ context.Context, key K, ttl time.Duration) (bool, error) {
	now := r.now()
	first, room := r.spent.Spend(key, now.Add(ttl).Unix(), now.Unix())
	if !room {
		return false, errors.New("too many sign-ins in the last minutes for this process's memory")
	}
	return first, nil
}
