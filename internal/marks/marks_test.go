package marks_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ginauth/ginauth/internal/marks"
)

// key has something in one half, so that each half alone is many keys'.
func key(n uint64) (k [16]byte) {
	binary.LittleEndian.PutUint64(k[8*(n%2):], n*0x9e3779b97f4a7c15)
	return k
}

// model is the plainest table there can be.
type (
	model map[[16]byte]entry
	entry struct{ value, until int64 }
)

// TestTableAgainstAModel does the same to both, at random, among few keys and
// many: they agree on all that has not expired.
func TestTableAgainstAModel(t *testing.T) {
	t.Parallel()
	for _, keys := range []int{3, 300, 30_000} {
		random := rand.New(rand.NewPCG(1, uint64(keys)))
		table, want, now := marks.New(1<<20), model{}, int64(1_000_000)
		for range 60_000 {
			k, value := key(uint64(random.IntN(keys))), now-random.Int64N(1000)
			known := want[k]
			switch random.IntN(4) {
			case 0:
				now += random.Int64N(20)
			case 1:
				until := now + random.Int64N(300)
				table.Raise(k, value, until, now)
				got := table.Value(k)
				if forgotten := known.until < now && got == value; got != max(known.value, value) && !forgotten {
					t.Fatalf("%d keys: got %d from %d and %v at %d", keys, got, value, known, now)
				}
				want[k] = entry{got, max(known.until, until)}
			default:
				got := table.Value(k)
				if forgotten := known.until < now && got == 0; got != known.value && !forgotten {
					t.Fatalf("%d keys: got %d, want %v at %d", keys, got, known, now)
				}
				if got == 0 {
					delete(want, k)
				}
			}
		}
	}
}

func TestSpend(t *testing.T) {
	t.Parallel()
	table := marks.New(2)
	for i, tt := range []struct {
		key         uint64
		until, now  int64
		first, room bool
	}{
		{1, 100, 50, true, true}, {1, 100, 50, false, true}, {1, 100, 100, false, true},
		{1, 200, 101, true, true}, {1, 200, 101, false, true},
		{0, 200, 101, true, true}, {0, 200, 101, false, true},
		{3, 200, 101, false, false}, {1, 300, 101, false, true},
		{3, 400, 201, true, true}, {3, 400, 201, false, true},
	} {
		if first, room := table.Spend(key(tt.key), tt.until, tt.now); first != tt.first || room != tt.room {
			t.Errorf("step %d: %v, %v", i, first, room)
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	table := marks.New(1000)
	kept := 0
	for n := range uint64(5000) {
		if table.Raise(key(n), 7, 100, 50) {
			kept++
		}
	}
	if kept != 1000 || !table.Raise(key(0), 9, 100, 50) || table.Value(key(0)) != 9 {
		t.Errorf("%d of 1000 were kept", kept)
	}
	dropped, highest := 0, int64(0)
	for n := range uint64(1000) {
		if table.Value(key(n)) != 0 {
			continue
		}
		dropped++
	}
	if dropped != 0 {
		t.Errorf("%d are missing", dropped)
	}
	for rounds := 0; table.Value(key(0)) != 0; rounds++ {
		dropped := table.Drop(func(h int64) {
			if highest = h; h < 7 {
				t.Errorf("the highest of a part is %d", h)
			}
			if h == 9 && table.Value(key(0)) != 9 {
				t.Error("dropped before it was covered")
			}
		})
		if !dropped || rounds > 256 {
			t.Fatal("a part cannot be dropped")
		}
	}
	if highest != 9 || !table.Raise(key(6000), 1, 100, 50) {
		t.Errorf("the highest was %d", highest)
	}
	if marks.New(1).Drop(func(int64) { t.Error("of an empty table") }) {
		t.Error("an empty table has something to drop")
	}
	for n := range uint64(1000) { // when all have expired, all of the room is there again
		if !table.Raise(key(10_000+n), 7, 300, 200) {
			t.Fatalf("no room for %d", n)
		}
	}
}

// New keys take memory now and then, keys that are there take none.
func TestTableCopiesLittle(t *testing.T) {
	table, now, n := marks.New(1<<20), int64(1000), uint64(0)
	if allocs := testing.AllocsPerRun(10_000, func() {
		n++
		table.Raise(key(n), 1, 1<<40, now)
	}); allocs > 0 {
		t.Errorf("a new key takes %v allocations", allocs)
	}
	if allocs := testing.AllocsPerRun(1000, func() {
		now += 100
		table.Raise(key(1), 1, 1<<40, now)
	}); allocs > 0 {
		t.Errorf("a key that is there takes %v allocations", allocs)
	}
}

// A clock that is put back, or stands at zero, loses nothing.
func TestTableAndTheClock(t *testing.T) {
	t.Parallel()
	table := marks.New(1 << 20)
	for n, now := range []int64{1_000_000, 10, 0, -5, 1_000_000} {
		for i := range uint64(600) {
			if k := key(1000*uint64(n) + i); !table.Raise(k, 1, now+100, now) || table.Value(k) != 1 {
				t.Fatalf("at %d: %d is lost", now, i)
			}
		}
	}
}

// Readers see every mark from when it is there, and never another's, while
// writers copy the parts underneath.
func TestReadersWhileOthersWrite(t *testing.T) {
	t.Parallel()
	table := marks.New(1 << 20)
	var wait sync.WaitGroup
	var done atomic.Uint64
	const most = 20_000
	wait.Go(func() {
		for n := range uint64(most) {
			table.Raise(key(n), int64(n+1), 1_000_000, int64(n))
			done.Store(n + 1)
		}
	})
	for g := range uint64(3) {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(g, 1))
			for {
				there := done.Load()
				if there == most {
					return
				}
				n := random.Uint64N(most)
				if got := table.Value(key(n)); got != int64(n+1) && (got != 0 || n < there) {
					t.Errorf("%d has %d", n, got)
					return
				}
			}
		})
	}
	wait.Wait()
}
