package marks

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Seen holds a number for each key that only rises, such as the time at which the key was last
// seen. Keys must be hashes that clients cannot predict. Reads take no lock. An entry uses at
// most 48 bytes, including the free slots.
type Seen struct {
	limit int64
	count atomic.Int64
	next  atomic.Uint32 // the part to tidy next
	parts [parts]seenPart
}

type seenPart struct {
	held atomic.Pointer[[]seenSlot]
	mu   sync.Mutex // held by writers
	used int
	_    [40]byte // pads a part to a cache line
}

// seenSlot is an entry, or free while at is 0. As in Table, an entry never becomes free.
type seenSlot struct {
	key [2]atomic.Uint64
	at  atomic.Int64
}

// NewSeen returns a Seen for at most limit keys.
func NewSeen(limit int) *Seen { return &Seen{limit: int64(limit)} }

// halves returns a key as it is stored, and its part.
func (s *Seen) halves(key [16]byte) (k [2]uint64, p *seenPart) {
	k = [2]uint64{binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])}
	return k, &s.parts[k[0]%parts]
}

// findSeen returns the slot of a key, or the free slot that the key would get. At least a quarter
// of the slots is free.
func findSeen(slots []seenSlot, k [2]uint64) *seenSlot {
	at, _ := bits.Mul64(k[1], uint64(len(slots)))
	for {
		s := &slots[at]
		if s.at.Load() == 0 || s.key[0].Load() == k[0] && s.key[1].Load() == k[1] {
			return s
		}
		if at++; at == uint64(len(slots)) {
			at = 0
		}
	}
}

// At returns the number of a key, or 0 if the key is absent.
func (s *Seen) At(key [16]byte) int64 {
	k, p := s.halves(key)
	held := p.held.Load()
	if held == nil {
		return 0
	}
	return findSeen(*held, k).at.Load()
}

// Put raises the number of a key to at, which must be above 0. If there is no room for the key,
// Put removes the entries of its part with a number below oldest. It returns false if there is
// still no room.
func (s *Seen) Put(key [16]byte, at, oldest int64) bool {
	k, p := s.halves(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.held.Load()
	if held == nil || 4*(p.used+1) > 3*len(*held) {
		held = s.copy(p, oldest)
	}
	slot := findSeen(*held, k)
	if old := slot.at.Load(); old != 0 {
		slot.at.Store(max(old, at))
		return true
	}
	if s.count.Load() >= s.limit {
		if held = s.copy(p, oldest); s.count.Load() >= s.limit {
			return false
		}
		slot = findSeen(*held, k)
	}
	s.count.Add(1)
	p.used++
	slot.key[0].Store(k[0])
	slot.key[1].Store(k[1])
	slot.at.Store(at) // last, since readers load it first
	return true
}

// Tidy visits one part, the next one at each call. If more than half of its entries have a number
// below oldest, it removes them.
func (s *Seen) Tidy(oldest int64) {
	p := &s.parts[s.next.Add(1)%parts]
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.held.Load()
	if held == nil {
		return
	}
	if kept := count(*held, oldest); 2*kept < p.used {
		s.copy(p, oldest)
	}
}

// Len returns the number of entries, including those that Tidy may remove.
func (s *Seen) Len() int { return int(s.count.Load()) }

func count(slots []seenSlot, oldest int64) (n int) {
	for i := range slots {
		if at := slots[i].at.Load(); at != 0 && at >= oldest {
			n++
		}
	}
	return n
}

// copy copies the entries with a number of at least oldest into new slots, twice as many as there
// are such entries. The part must be locked. Readers continue to read the old slots.
func (s *Seen) copy(p *seenPart, oldest int64) *[]seenSlot {
	var old []seenSlot
	if held := p.held.Load(); held != nil {
		old = *held
	}
	n := count(old, oldest)
	slots := make([]seenSlot, max(2*n, 8))
	for i := range old {
		if at := old[i].at.Load(); at != 0 && at >= oldest {
			k := [2]uint64{old[i].key[0].Load(), old[i].key[1].Load()}
			to := findSeen(slots, k)
			to.key[0].Store(k[0])
			to.key[1].Store(k[1])
			to.at.Store(at)
		}
	}
	s.count.Add(int64(n - p.used))
	p.used = n
	p.held.Store(&slots)
	return &slots
}
