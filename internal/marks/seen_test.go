package marks_test

import (
	"crypto/rand"
	"runtime"
	"sync"
	"testing"

	"github.com/ginauth/ginauth/internal/marks"
)

func seenKey() (key [16]byte) {
	rand.Read(key[:])
	return key
}

func TestSeenRemembersTheHighestNumber(t *testing.T) {
	s, key := marks.NewSeen(10), seenKey()
	if at := s.At(key); at != 0 {
		t.Errorf("an unknown key has %d", at)
	}
	for _, step := range [][2]int64{{5, 5}, {3, 5}, {9, 9}} {
		if !s.Put(key, step[0], 0) || s.At(key) != step[1] {
			t.Errorf("after Put(%d) the number is %d", step[0], s.At(key))
		}
	}
	if at := s.At(seenKey()); at != 0 {
		t.Errorf("another key has %d", at)
	}
}

// Keys are compared as a whole, even if they are in one part, or would have the same slot.
func TestSeenOfKeysThatShareAHalf(t *testing.T) {
	key := seenKey()
	first, second := key, key
	first[7]++  // not the byte that selects the part
	second[8]++ // the lowest byte of the half that selects the slot
	s := marks.NewSeen(10)
	s.Put(key, 1, 0)
	for i, other := range [][16]byte{first, second} {
		if at := s.At(other); at != 0 {
			t.Errorf("key %d has %d", i, at)
		}
		s.Put(other, int64(i)+2, 0)
	}
	if s.Len() != 3 || s.At(key) != 1 || s.At(first) != 2 || s.At(second) != 3 {
		t.Errorf("%d keys, with %d, %d, %d", s.Len(), s.At(key), s.At(first), s.At(second))
	}
}

func TestSeenHasALimit(t *testing.T) {
	s := marks.NewSeen(1000)
	var kept [][16]byte
	for range 1000 {
		key := seenKey()
		kept = append(kept, key)
		if !s.Put(key, 10, 0) {
			t.Fatal("there is no room below the limit")
		}
	}
	if !s.Put(kept[0], 20, 0) {
		t.Error("there is no room for an existing key")
	}
	if s.Put(seenKey(), 10, 0) || s.Len() != 1000 {
		t.Errorf("there is room above the limit: %d keys", s.Len())
	}
	for range 1000 {
		if !s.Put(seenKey(), 30, 15) && s.Len() < 1000 { // removes the entries below 15 in its part
			t.Fatal("there is no room although entries were removed")
		}
	}
	if s.Len() > 1000 || s.At(kept[0]) != 20 {
		t.Errorf("%d keys, and the one that was renewed has %d", s.Len(), s.At(kept[0]))
	}
}

func TestSeenForgetsByAndBy(t *testing.T) {
	s := marks.NewSeen(1 << 20)
	for range 10_000 {
		s.Put(seenKey(), 10, 0)
	}
	key := seenKey()
	s.Put(key, 20, 0)
	for range 256 {
		s.Tidy(5)
	}
	if s.Len() != 10_001 {
		t.Errorf("%d of 10,001 keys are left, but none was old", s.Len())
	}
	for range 256 {
		s.Tidy(15)
	}
	if s.Len() != 1 || s.At(key) != 20 {
		t.Errorf("%d keys are left, and the new one has %d", s.Len(), s.At(key))
	}
}

// The documentation promises 64 bytes for each session.
func TestSeenTakesSixtyFourBytesAKey(t *testing.T) {
	const n = 100_000
	before := heapInUse()
	s := marks.NewSeen(1 << 20)
	for range n {
		s.Put(seenKey(), 1, 0)
	}
	if each := (heapInUse() - before) / n; each > 64 {
		t.Errorf("a key takes %d bytes", each)
	} else {
		t.Logf("a key takes %d bytes", each)
	}
	runtime.KeepAlive(s)
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestSeenIsReadWhileItIsWritten(t *testing.T) {
	s := marks.NewSeen(1 << 20)
	keys := make([][16]byte, 2000)
	for i := range keys {
		keys[i] = seenKey()
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i, key := range keys {
				s.Put(key, int64(i+1), 0)
				if at := s.At(key); at < int64(i+1) {
					t.Errorf("a key that was put has %d", at)
				}
				s.Tidy(0)
				if at := s.At(keys[len(keys)-1-i]); at != 0 && at != int64(len(keys)-i) {
					t.Errorf("a key has another's number: %d", at)
				}
			}
		})
	}
	all.Wait()
}
