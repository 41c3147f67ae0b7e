// Package marks keeps millions of short-lived numbers in memory, each under a
// key of 16 bytes. Reading takes no lock and waits for nobody: it happens in
// every request. Writing locks one part in 256, and what a writer tidies up
// there takes a fraction of a millisecond.
package marks

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

const (
	parts      = 256
	sweepEvery = 60 // seconds between two looks for what has expired
)

// Table holds a number and an expiry under each key. Times are Unix seconds.
// What has expired goes when somebody writes, and not before.
type Table struct {
	limit int64
	count atomic.Int64 // entries, expired ones too
	next  atomic.Uint32
	seed  [2]uint64 // or somebody could choose keys that all share a part
	parts [parts]part
}

type part struct {
	held  atomic.Pointer[entries]
	swept atomic.Int64
	mu    sync.Mutex // held by writers
	used  int
	_     [32]byte // a part has a cache line to itself
}

// entries are those of a part. Most keys that are asked for are not there, which
// the few bits of maybe say without a look at the slots: they fit into the
// processor's cache where the slots do not.
type entries struct {
	slots []slot
	maybe []atomic.Uint64 // sixteen bits or more for an entry
}

// slot is an entry, or free while until is 0. An entry never becomes free: the
// part is copied without what has expired, and who reads the old one reads on.
type slot struct {
	key          [2]atomic.Uint64
	value, until atomic.Int64
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
		if s.until.Load() == 0 {
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

// Value returns the number under a key, 0 if there is none.
func (t *Table) Value(key [16]byte) int64 {
	if t.count.Load() == 0 {
		return 0
	}
	at := t.spot(key)
	if s := at.entry(); s != nil {
		return s.value.Load()
	}
	return 0
}

// Raise makes the number under a key at least value, and keeps it until then
// at least. It is false if there is no room.
func (t *Table) Raise(key [16]byte, value, until, now int64) bool {
	t.tidy(now)
	at := t.spot(key)
	at.part.mu.Lock()
	defer at.part.mu.Unlock()
	if s := at.entry(); s != nil {
		s.value.Store(max(s.value.Load(), value))
		s.until.Store(max(s.until.Load(), until))
		return true
	}
	return t.add(&at, value, until, now)
}

// Spend puts a key there, first if it was not or has expired. Room is false if
// there is none to do so.
func (t *Table) Spend(key [16]byte, until, now int64) (first, room bool) {
	t.tidy(now)
	at := t.spot(key)
	at.part.mu.Lock()
	defer at.part.mu.Unlock()
	s := at.entry()
	if s == nil {
		room = t.add(&at, 0, until, now)
		return room, room
	}
	if first = s.until.Load() < now; first {
		s.until.Store(max(until, 1))
	}
	return first, true
}

// Drop forgets a part, one that has entries. Before it does, covers gets the
// highest number there. It is false if the table is empty.
func (t *Table) Drop(covers func(highest int64)) bool {
	for range parts {
		if t.parts[t.next.Add(1)%parts].drop(t, covers) {
			return true
		}
	}
	return false
}

func (p *part) drop(t *Table, covers func(highest int64)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == 0 {
		return false
	}
	var highest int64
	held := p.held.Load()
	for i := range held.slots {
		highest = max(highest, held.slots[i].value.Load())
	}
	covers(highest)
	p.held.Store(nil)
	t.count.Add(int64(-p.used))
	p.used = 0
	return true
}

// add gives a key a slot. The part is locked.
func (t *Table) add(at *spot, value, until, now int64) bool {
	if t.count.Add(1) > t.limit {
		t.count.Add(-1)
		return false
	}
	p := at.part
	if held := p.held.Load(); held == nil || 4*(p.used+1) > 3*len(held.slots) {
		t.copy(p, now)
	}
	p.held.Load().add(at.key, at.hash, value, until)
	p.used++
	return true
}

// add fills a free slot in the order opposite to that of readers: until, and
// then the bit, are what they ask for first.
func (e *entries) add(key [2]uint64, hash uint64, value, until int64) {
	s, _ := e.find(key, hash)
	s.key[0].Store(key[0])
	s.key[1].Store(key[1])
	s.value.Store(value)
	s.until.Store(max(until, 1))
	word, mask := e.bit(hash)
	word.Or(mask)
}

// tidy looks after one part, and after all of them when the table is full.
func (t *Table) tidy(now int64) {
	n := 1
	if t.count.Load() >= t.limit {
		n = parts
	}
	for range n {
		t.sweep(&t.parts[t.next.Add(1)%parts], now)
	}
}

// sweep copies a part if something in it has expired. It looks once a minute,
// and at once if the clock was put back.
func (t *Table) sweep(p *part, now int64) {
	if left := p.swept.Load() + sweepEvery - now; 0 < left && left <= sweepEvery {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swept.Store(now)
	if held := p.held.Load(); held != nil && held.live(now) < p.used {
		t.copy(p, now)
	}
}

// live counts what has not expired.
func (e *entries) live(now int64) (n int) {
	for i := range e.slots {
		if e.slots[i].until.Load() >= max(now, 1) {
			n++
		}
	}
	return n
}

// copy moves a part, without what has expired, to where there is room for half
// as much again. The part is locked.
func (t *Table) copy(p *part, now int64) {
	old := p.held.Load()
	if old == nil {
		old = &entries{}
	}
	n := old.live(now)
	size := max(2*n, 8)
	held := &entries{slots: make([]slot, size), maybe: make([]atomic.Uint64, size/4+1)}
	for i := range old.slots {
		if s := &old.slots[i]; s.until.Load() >= max(now, 1) {
			key := [2]uint64{s.key[0].Load(), s.key[1].Load()}
			held.add(key, t.hash(key), s.value.Load(), s.until.Load())
		}
	}
	t.count.Add(int64(n - p.used))
	p.used = n
	p.held.Store(held)
}
