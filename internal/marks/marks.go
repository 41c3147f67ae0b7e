// Package marks keeps millions of short-lived numbers in memory, each under a key of 16 bytes.
// Reads, which happen in every request, take no lock and never block. A write locks one of 256
// parts; removing expired entries there takes a fraction of a millisecond.
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
	sweepEvery = 60 // seconds between two sweeps of a part for expired entries
	dropped    = 16 // Drop removes one of this many entries of a part
)

// Now is the time of a call, by two clocks.
type Now struct {
	Wall time.Time // may be set forward and back
	Run  int64     // seconds since the process started, at least 0; monotonic
}

// Table holds a number under each key for a limited time. An entry expires by the wall clock;
// then Value returns 0. A later write removes it once it has expired by both clocks, so that no
// entry is lost if the wall clock is set forward and back again.
type Table struct {
	limit int64
	count atomic.Int64  // entries, including expired ones
	next  atomic.Uint32 // the part to tidy next
	drops atomic.Uint32 // the part to drop from next, in rotation
	seed  [2]uint64     // secret, so that an attacker cannot choose keys that share a part
	parts [parts]part
}

type part struct {
	held  atomic.Pointer[entries]
	swept [2]atomic.Int64 // time of the last sweep, by both clocks
	mu    sync.Mutex      // held by writers
	used  int
	_     [24]byte // pads a part to a cache line
}

// entries are the entries of a part. Most lookups are of absent keys. The bits of maybe, a Bloom
// filter, answer them without reading the slots: they fit into the processor's cache, the slots
// do not.
type entries struct {
	slots []slot
	maybe []atomic.Uint64 // at least sixteen bits for each entry
}

// slot is an entry, or free while ends is 0. An entry never becomes free: the part is copied
// without the expired entries, while readers continue to read the old copy.
type slot struct {
	key     [2]atomic.Uint64
	value   atomic.Int64
	written atomic.Int64  // Unix nanoseconds
	ends    atomic.Uint64 // in seconds: of Unix time in the upper half, of Now.Run in the lower
}

// ends packs the times at which an entry expires by both clocks.
func ends(ttl time.Duration, now Now) uint64 {
	half := func(n int64) uint64 { return uint64(min(max(n, 1), math.MaxUint32)) }
	return half(now.Wall.Add(ttl).Unix())<<32 | half(now.Run+int64(ttl/time.Second))
}

// later returns the later of both times, for each clock.
func later(a, b uint64) uint64 {
	return max(a>>32, b>>32)<<32 | max(a&math.MaxUint32, b&math.MaxUint32)
}

// expired reports whether an entry has expired by the wall clock.
func expired(ends uint64, now time.Time) bool { return int64(ends>>32) < now.Unix() }

// over reports whether an entry has expired by both clocks, and may be removed.
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

// find returns the slot of a key, or the free slot that the key would get, which a concurrent
// writer may meanwhile have filled with another key. At least a quarter of the slots is free.
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

// bit returns the bit of maybe for a key.
func (e *entries) bit(hash uint64) (word *atomic.Uint64, mask uint64) {
	at, _ := bits.Mul64(bits.RotateLeft64(hash, 32), uint64(64*len(e.maybe)))
	return &e.maybe[at/64], 1 << (at % 64)
}

// entry returns the slot of a key, or nil if it has none.
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

// Value returns the number under a key, or 0 if it is absent or expired. It does not call now if
// the key is absent.
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

// Written returns the number under a key, and the time of its last write in Unix nanoseconds by
// the wall clock; 0 and 0 if the key is absent. Unlike Value, it also returns an expired entry
// that has not been removed yet.
func (t *Table) Written(key [16]byte) (value, written int64) {
	if t.count.Load() == 0 {
		return 0, 0
	}
	at := t.spot(key)
	s := at.entry()
	if s == nil {
		return 0, 0
	}
	written = s.written.Load() // before the value, since Raise stores the value first
	return s.value.Load(), written
}

// Raise sets the number under a key to value unless it is higher, and keeps it for at least ttl.
// It returns false if the table is full.
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

// Spend stores a key for ttl. first reports whether the key was absent or expired; room is false
// if the table is full.
func (t *Table) Spend(key [16]byte, ttl time.Duration, now Now) (first, room bool) {
	gone := over
	if t.count.Load() >= t.limit {
		// Spent keys are never dropped to make room: if a full table also waited for the other
		// clock, it would accept no key at all.
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

// Drop makes room: it removes the entries of one part that were written earliest. Before that, it
// calls covers with the latest of their times of writing, in Unix nanoseconds. It returns false
// if the table is empty.
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

// add stores a new key. The part must be locked.
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

// add fills a free slot in the reverse order of reads: readers load the bit first, then ends.
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

// tidy sweeps one part, or all of them if the table is full. It removes the entries for which gone
// is true.
func (t *Table) tidy(now Now, gone func(ends uint64, now Now) bool) {
	n := 1
	if t.count.Load() >= t.limit {
		n = parts
	}
	for range n {
		t.sweep(&t.parts[t.next.Add(1)%parts], now, gone)
	}
}

// sweep copies a part without the entries for which gone is true, if there are any. It checks a
// part at most once a minute by the faster clock, and again at once if the wall clock was set back.
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

// count returns the number of entries for which keep is true.
func (e *entries) count(keep func(*slot) bool) (n int) {
	for i := range e.slots {
		if s := &e.slots[i]; s.ends.Load() != 0 && keep(s) {
			n++
		}
	}
	return n
}

// copy copies the entries for which keep is true into new slots, with room for half as many more.
// The part must be locked.
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
