// Package marks keeps millions of short-lived numbers in memory, each under a key of 16 bytes.
// Reading takes no lock and never blocks: it happens in every request. Writing locks one part
// in 256, and what a writer tidies up there takes a fraction of a millisecond.
package marks

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	parts      = 256
	sweepEvery = 60 // seconds between two looks for what has expired
	dropped    = 16 // one in so many entries of a part makes room for others
)

// Now is the time of a call, by two clocks.
type Now struct {
	Wall time.Time // may be put forward and back
	Run  int64     // seconds that the process has run, at least 0: only goes forward
}

// Table holds a number under each key, for a time. An entry expires by the wall
// clock, which is what Value tells. It is removed when both clocks say that its
// time is over, by a later write: a wall clock that is put forward, and back
// again, loses nothing.
type Table struct {
	limit int64
	count atomic.Int64  // entries, expired ones too
	next  atomic.Uint32 // the part to tidy next
	drops atomic.Uint32 // the part to drop from next: each in its turn
	seed  [2]uint64     // secret, so that an attacker cannot choose keys that share a part
	parts [parts]part
}

type part struct {
	held  atomic.Pointer[entries]
	swept [2]atomic.Int64 // when, by both clocks
	mu    sync.Mutex      // held by writers
	used  int
	_     [24]byte // a part has a cache line to itself
}

// entries are those of a part. Most keys that are asked for are not there, which
// the few bits of maybe say without a look at the slots: they fit into the
// processor's cache where the slots do not.
type entries struct {
	slots []slot
	maybe []atomic.Uint64 // sixteen bits or more for an entry
}

// slot is an entry, or free while ends is 0. An entry never becomes free: the
// part is copied without what has expired, and readers of the old one read on.
type slot struct {
	key     [2]atomic.Uint64
	value   atomic.Int64
	written atomic.Int64  // Unix nanoseconds
	ends    atomic.Uint64 // in seconds: of Unix time in the upper half, of Now.Run in the lower
}

// ends packs the times at which an entry's time is over.
func ends(ttl time.Duration, now Now) uint64 {
	half := func(n int64) uint64 { return uint64(min(max(n, 1), math.MaxUint32)) }
	return half(now.Wall.Add(ttl).Unix())<<32 | half(now.Run+int64(ttl/time.Second))
}

// later is the later of each half.
func later(a, b uint64) uint64 {
	return max(a>>32, b>>32)<<32 | max(a&math.MaxUint32, b&math.MaxUint32)
}

// expired says whether the wall clock says so.
func expired(ends uint64, now time.Time) bool { return int64(ends>>32) < now.Unix() }

// over says whether an entry may be removed.
func over(ends uint64, now Now) bool {
	return expired(ends, now.Wall) && int64(ends&math.MaxUint32) < now.Run
}

// New returns a table for at most limit entries.
func New(limit int) *Table {
	return &Table{limit: int64(limit), seed: [2]uint64{rand.Uint64(), rand.Uint64()}}
}

// spot is where a key belongs.
type spot struct {
	part *part
	key  [2]uint64
	hash uint64
}

func (t *Table) spot(key [16]byte) spot {
	at := spot{key: [2]uint64{binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])}}
	at.hash = t.hash(at.key)
	at.part = &t.parts[at.hash%parts]
	return at
}

func (t *Table) hash(key [2]uint64) uint64 {
	high, low := bits.Mul64(key[0]^t.seed[0], key[1]^t.seed[1])
	return high ^ low
}

// find returns the slot of a key, or else the free one that it would get, which
// may be another key's by now. A quarter of the slots is free at least.
func (e *entries) find(key [2]uint64, hash uint64) (s *slot, found bool) {
	at, _ := bits.Mul64(hash, uint64(len(e.slots)))
	for {
		s := &e.slots[at]
		if s.ends.Load() == 0 {
			return s, false
		}
		if s.key[0].Load() == key[0] && s.key[1].Load() == key[1] {
			return s, true
		}
		if at++; at == uint64(len(e.slots)) {
			at = 0
		}
	}
}

// bit is where maybe speaks of a key.
func (e *entries) bit(hash uint64) (word *atomic.Uint64, mask uint64) {
	at, _ := bits.Mul64(bits.RotateLeft64(hash, 32), uint64(64*len(e.maybe)))
	return &e.maybe[at/64], 1 << (at % 64)
}

// entry returns the slot of a key, nil if it has none.
func (at *spot) entry() *slot {
	held := at.part.held.Load()
	if held == nil {
		return nil
	}
	if word, mask := held.bit(at.hash); word.Load()&mask == 0 {
		return nil
	}
	if s, found := held.find(at.key, at.hash); found {
		return s
	}
	return nil
}

// Value returns the number under a key, 0 if there is none or it has expired.
// now is not called where there is none.
func (t *Table) Value(key [16]byte, now func() time.Time) int64 {
	if t.count.Load() == 0 {
		return 0
	}
	at := t.spot(key)
	s := at.entry()
	if s == nil || expired(s.ends.Load(), now()) {
		return 0
	}
	return s.value.Load()
}

// Written returns the number under a key and when it was last written, in Unix
// nanoseconds of the caller's clock; 0 and 0 if there is none. Unlike Value it returns
// an expired entry too, as long as none has removed it.
func (t *Table) Written(key [16]byte) (value, written int64) {
	if t.count.Load() == 0 {
		return 0, 0
	}
	at := t.spot(key)
	s := at.entry()
	if s == nil {
		return 0, 0
	}
	written = s.written.Load() // before the value: Raise stores it after
	return s.value.Load(), written
}

// Raise makes the number under a key at least value, and keeps it for ttl at
// least. It is false if there is no room.
func (t *Table) Raise(key [16]byte, value int64, ttl time.Duration, now Now) bool {
	t.tidy(now, over)
	at := t.spot(key)
	at.part.mu.Lock()
	defer at.part.mu.Unlock()
	if s := at.entry(); s != nil {
		s.value.Store(max(s.value.Load(), value))
		s.written.Store(max(s.written.Load(), now.Wall.UnixNano()))
		s.ends.Store(later(s.ends.Load(), ends(ttl, now)))
		return true
	}
	return t.add(&at, value, ttl, now)
}

// Spend puts a key there, first if it was not or has expired. Room is false if
// there is none to do so.
func (t *Table) Spend(key [16]byte, ttl time.Duration, now Now) (first, room bool) {
	gone := over
	if t.count.Load() >= t.limit {
		// Nothing is dropped here: a full table that waited for the other clock
		// too would take no key at all.
		gone = func(ends uint64, now Now) bool { return expired(ends, now.Wall) }
	}
	t.tidy(now, gone)
	at := t.spot(key)
	at.part.mu.Lock()
	defer at.part.mu.Unlock()
	s := at.entry()
	if s == nil {
		room = t.add(&at, 0, ttl, now)
		return room, room
	}
	if first = expired(s.ends.Load(), now.Wall); first {
		s.ends.Store(ends(ttl, now))
	}
	return first, true
}

// Drop makes room: it forgets the oldest entries of a part, those that were
// written first. Before it does, covers gets the time at which the last of them
// was written, in Unix nanoseconds. It is false if the table is empty.
func (t *Table) Drop(covers func(written int64)) bool {
	for range parts {
		if t.parts[t.drops.Add(1)%parts].drop(t, covers) {
			return true
		}
	}
	return false
}

func (p *part) drop(t *Table, covers func(written int64)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == 0 {
		return false
	}
	held := p.held.Load()
	times := make([]int64, 0, p.used)
	for i := range held.slots {
		if s := &held.slots[i]; s.ends.Load() != 0 {
			times = append(times, s.written.Load())
		}
	}
	slices.Sort(times)
	last := times[(len(times)-1)/dropped]
	covers(last)
	t.copy(p, func(s *slot) bool { return s.written.Load() > last })
	return true
}

// add gives a key a slot. The part is locked.
func (t *Table) add(at *spot, value int64, ttl time.Duration, now Now) bool {
	if t.count.Add(1) > t.limit {
		t.count.Add(-1)
		return false
	}
	p := at.part
	if held := p.held.Load(); held == nil || 4*(p.used+1) > 3*len(held.slots) {
		t.copy(p, func(s *slot) bool { return !over(s.ends.Load(), now) })
	}
	p.held.Load().add(at.key, at.hash, value, now.Wall.UnixNano(), ends(ttl, now))
	p.used++
	return true
}

// add fills a free slot in the order opposite to that of readers: ends, and
// then the bit, are what they ask for first.
func (e *entries) add(key [2]uint64, hash uint64, value, written int64, ends uint64) {
	s, _ := e.find(key, hash)
	s.key[0].Store(key[0])
	s.key[1].Store(key[1])
	s.value.Store(value)
	s.written.Store(written)
	s.ends.Store(ends)
	word, mask := e.bit(hash)
	word.Or(mask)
}

// tidy looks after one part, and after all of them when the table is full, and
// removes what gone says.
func (t *Table) tidy(now Now, gone func(ends uint64, now Now) bool) {
	n := 1
	if t.count.Load() >= t.limit {
		n = parts
	}
	for range n {
		t.sweep(&t.parts[t.next.Add(1)%parts], now, gone)
	}
}

// sweep copies a part if something in it is gone. It looks once a minute by
// either clock, and at once if the wall clock was put back.
func (t *Table) sweep(p *part, now Now, gone func(ends uint64, now Now) bool) {
	times := [...]int64{now.Wall.Unix(), now.Run}
	lately := func(i int) bool {
		since := times[i] - p.swept[i].Load()
		return 0 <= since && since < sweepEvery
	}
	if lately(0) && lately(1) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range times {
		p.swept[i].Store(times[i])
	}
	keep := func(s *slot) bool { return !gone(s.ends.Load(), now) }
	if held := p.held.Load(); held != nil && held.count(keep) < p.used {
		t.copy(p, keep)
	}
}

// count counts the entries of which keep is true.
func (e *entries) count(keep func(*slot) bool) (n int) {
	for i := range e.slots {
		if s := &e.slots[i]; s.ends.Load() != 0 && keep(s) {
			n++
		}
	}
	return n
}

// copy moves the entries of a part that are to be kept to where there is room
// for half as many again. The part is locked.
func (t *Table) copy(p *part, keep func(*slot) bool) {
	old := p.held.Load()
	if old == nil {
		old = &entries{}
	}
	n := old.count(keep)
	size := max(2*n, 8)
	held := &entries{slots: make([]slot, size), maybe: make([]atomic.Uint64, size/4+1)}
	for i := range old.slots {
		if s := &old.slots[i]; s.ends.Load() != 0 && keep(s) {
			key := [2]uint64{s.key[0].Load(), s.key[1].Load()}
			held.add(key, t.hash(key), s.value.Load(), s.written.Load(), s.ends.Load())
		}
	}
	t.count.Add(int64(n - p.used))
	p.used = n
	p.held.Store(held)
}
