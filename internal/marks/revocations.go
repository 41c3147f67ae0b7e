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
	// Ran is how long this process has run, by the monotonic clock. A test may
	// set it before the first use.
	Ran func() time.Duration

	now   func() time.Time
	marks *Table // in Unix nanoseconds
	spent *Table
	floor atomic.Int64 // Unix nanoseconds: sessions that began until then are dead, since marks of then were dropped
}

// NewRevocations returns one with room for limit watermarks and limit spent
// keys.
func NewRevocations[K ~[16]byte](now func() time.Time, limit int) *Revocations[K] {
	began := time.Now()
	return &Revocations[K]{Ran: func() time.Duration { return time.Since(began) }, now: now, marks: New(limit), spent: New(limit)}
}

// clocks is the time by both clocks that marks live by. The wall clock alone
// would not do: put forward past a mark's end and back again, it would have the
// mark removed and the session alive.
func (r *Revocations[K]) clocks() Now {
	return Now{Wall: r.now(), Run: int64(r.Ran() / time.Second)}
}

// Revoke raises the watermark of key to at, unless it is higher already, and
// keeps it for ttl.
func (r *Revocations[K]) Revoke(_ context.Context, key K, at time.Time, ttl time.Duration) error {
	now := r.clocks()
	for range 4 { // others take the room that was made, meanwhile
		if r.marks.Raise(key, at.UnixNano(), ttl, now) {
			return nil
		}
		// Room is made by revoking more, never less: the oldest marks go, and every
		// session that is not younger than they are with them. The newest must
		// stay: a sign-in ends the session from before, and would end itself.
		r.marks.Drop(r.raiseFloor)
	}
	r.raiseFloor(now.Wall.UnixNano())
	return nil
}

func (r *Revocations[K]) raiseFloor(at int64) {
	for old := r.floor.Load(); old < at && !r.floor.CompareAndSwap(old, at); old = r.floor.Load() {
	}
}

// Watermarks returns the watermark of each key, the zero time where there is none. The floor
// is by our clock, as the mark of a session itself is, which is the first. Those of the
// provider's clock say nothing of it, and that of a person must not rise without a sign-out of
// the user.
func (r *Revocations[K]) Watermarks(_ context.Context, keys [4]K) (marks [4]time.Time, _ error) {
	for i, key := range keys {
		if at := r.marks.Value(key, r.now); at != 0 {
			marks[i] = time.Unix(0, at)
		}
	}
	// Read after all of the marks: it rises before marks go.
	if floor := r.floor.Load(); floor != 0 && time.Unix(0, floor).After(marks[0]) {
		marks[0] = time.Unix(0, floor)
	}
	return marks, nil
}

// Once returns true for the first call with a key within ttl, and an error if
// there is no room to remember it.
func (r *Revocations[K]) Once(_ context.Context, key K, ttl time.Duration) (bool, error) {
	first, room := r.spent.Spend(key, ttl, r.clocks())
	if !room {
		return false, errors.New("too many sign-ins in the last minutes for this process's memory")
	}
	return first, nil
}
