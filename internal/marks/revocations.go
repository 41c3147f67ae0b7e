package marks

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Revocations keeps watermarks and spent keys in memory.
type Revocations[K ~[16]byte] struct {
	// Ran returns how long this process has run, by the monotonic clock. A test may replace it
	// before the first use.
	Ran func() time.Duration

	now   func() time.Time
	marks *Table // in Unix nanoseconds
	spent *Table
	floor atomic.Int64 // Unix nanoseconds: sessions that began by then are revoked, since marks up to then were dropped
}

// NewRevocations returns Revocations with room for limit watermarks and limit spent keys.
func NewRevocations[K ~[16]byte](now func() time.Time, limit int) *Revocations[K] {
	began := time.Now()
	return &Revocations[K]{Ran: func() time.Duration { return time.Since(began) }, now: now, marks: New(limit), spent: New(limit)}
}

// clocks returns the time by both clocks. The wall clock alone does not suffice: if it were set
// forward past the end of a mark and back again, the mark would be gone and the session valid.
func (r *Revocations[K]) clocks() Now {
	return Now{Wall: r.now(), Run: int64(r.Ran() / time.Second)}
}

// Revoke raises the watermark of key to at, unless it is higher already, and
// keeps it for ttl.
func (r *Revocations[K]) Revoke(_ context.Context, key K, at time.Time, ttl time.Duration) error {
	now := r.clocks()
	for range 4 { // other goroutines may take the room that was made
		if r.marks.Raise(key, at.UnixNano(), ttl, now) {
			return nil
		}
		// Making room revokes more sessions, never fewer: the oldest marks are dropped, and every
		// session that is not newer than they are ends. The newest marks must stay: a sign-in
		// revokes the previous session, and would otherwise end its own.
		r.marks.Drop(r.raiseFloor)
	}
	r.raiseFloor(now.Wall.UnixNano())
	return nil
}

func (r *Revocations[K]) raiseFloor(at int64) {
	for old := r.floor.Load(); old < at && !r.floor.CompareAndSwap(old, at); old = r.floor.Load() {
	}
}

// Watermarks returns the watermark of each key, or the zero time if it has none. The floor raises
// only the first, that of the session itself: like it, the floor is by our clock. Marks by the
// provider's clock cannot be compared with it, and the mark of a user must not rise unless the
// user signs out.
func (r *Revocations[K]) Watermarks(_ context.Context, keys [4]K) (marks [4]time.Time, _ error) {
	for i, key := range keys {
		if at := r.marks.Value(key, r.now); at != 0 {
			marks[i] = time.Unix(0, at)
		}
	}
	// Read after all marks, since it rises before marks are dropped.
	if floor := r.floor.Load(); floor != 0 && time.Unix(0, floor).After(marks[0]) {
		marks[0] = time.Unix(0, floor)
	}
	return marks, nil
}

// Once returns true for the first call with a key within ttl. It returns an error if there is no
// room for the key.
func (r *Revocations[K]) Once(_ context.Context, key K, ttl time.Duration) (bool, error) {
	first, room := r.spent.Spend(key, ttl, r.clocks())
	if !room {
		return false, errors.New("too many sign-ins in the last minutes for this process's memory")
	}
	return first, nil
}
