package marks_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/marks"
)

// key returns a key with one half that is zero, so that many keys agree in either half.
func key(n uint64) (k [16]byte) {
	binary.LittleEndian.PutUint64(k[8*(n%2):], n*0x9e3779b97f4a7c15)
	return k
}

// at returns a time at which both clocks agree.
func at(seconds int64) marks.Now {
	return marks.Now{Wall: time.Unix(seconds, 0), Run: max(seconds, 0)}
}

// seconds returns the ttl of an entry that is written at now and expires after until.
func seconds(now, until int64) time.Duration { return time.Duration(until-now) * time.Second }

func value(table *marks.Table, k [16]byte, now int64) int64 {
	return table.Value(k, func() time.Time { return time.Unix(now, 0) })
}

// model is a table as a plain map.
type (
	model map[[16]byte]entry
	entry struct{ value, until int64 }
)

// TestTableAgainstAModel applies the same random operations to a table and to a model, with few
// keys and with many, and compares them.
func TestTableAgainstAModel(t *testing.T) {
	t.Parallel()
	for _, keys := range []int{3, 300, 30_000} {
		random := rand.New(rand.NewPCG(1, uint64(keys)))
		table, want, now := marks.New(1<<20), model{}, int64(1_000_000)
		for range 60_000 {
			k, raised := key(uint64(random.IntN(keys))), now-random.Int64N(1000)
			known := want[k]
			if known.until < now {
				known.value = 0
			}
			switch random.IntN(4) {
			case 0:
				now += random.Int64N(20)
			case 1:
				until := now + random.Int64N(300)
				table.Raise(k, raised, seconds(now, until), at(now))
				got := value(table, k, now)
				forgotten := want[k].until < now && got == raised
				if revived := max(want[k].value, raised); got != revived && !forgotten {
					t.Fatalf("%d keys: got %d from %d and %v at %d", keys, got, raised, want[k], now)
				}
				want[k] = entry{got, max(want[k].until, until)}
			default:
				if got := value(table, k, now); got != known.value {
					t.Fatalf("%d keys: got %d, want %v at %d", keys, got, known, now)
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
		if first, room := table.Spend(key(tt.key), seconds(tt.now, tt.until), at(tt.now)); first != tt.first || room != tt.room {
			t.Errorf("step %d: %v, %v", i, first, room)
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	table := marks.New(1000)
	kept := 0
	for n := range uint64(5000) {
		if table.Raise(key(n), 7, time.Minute, at(50)) {
			kept++
		}
	}
	if kept != 1000 || !table.Raise(key(0), 9, time.Minute, at(50)) || value(table, key(0), 50) != 9 {
		t.Errorf("%d were kept, want 1000", kept)
	}
	for n := range uint64(1000) {
		if value(table, key(n), 50) == 0 {
			t.Errorf("%d is missing", n)
		}
	}
	if marks.New(1).Drop(func(int64) { t.Error("of an empty table") }) {
		t.Error("an empty table has something to drop")
	}
	for n := range uint64(1000) { // once all entries have expired, the whole table is free again
		if !table.Raise(key(10_000+n), 7, time.Minute, at(200)) {
			t.Fatalf("no room for %d", n)
		}
	}
}

// In a process that has run for less than a second, entries count as in any other.
func TestTableOfANewProcessHasAllOfItsRoom(t *testing.T) {
	t.Parallel()
	table, now := marks.New(1000), marks.Now{Wall: time.Unix(50, 0)}
	for n := range uint64(1000) {
		if !table.Raise(key(n), 7, time.Minute, now) {
			t.Fatalf("no room for %d of 1000", n)
		}
	}
	if table.Raise(key(1000), 7, time.Minute, now) {
		t.Error("there is room for more than 1000")
	}
}

// Between two sweeps, a part without free slots removes expired entries before it grows: they do
// not take the room of other entries.
func TestPartsDropExpiredEntriesBeforeTheyGrow(t *testing.T) {
	t.Parallel()
	table := marks.New(10_000)
	for n := range uint64(5000) {
		table.Raise(key(n), 7, time.Second, at(50))
	}
	for n := range uint64(9000) {
		if !table.Raise(key(10_000+n), 7, time.Hour, at(55)) {
			t.Fatalf("no room for %d of 9000", n)
		}
	}
}

// Drop removes the oldest entries, and few more than necessary. The latest entries remain.
func TestDropForgetsTheOldest(t *testing.T) {
	t.Parallel()
	const limit = 1 << 14
	table, random := marks.New(limit), rand.New(rand.NewPCG(3, 4))
	keys := make([][16]byte, 2*limit) // one is written each second, from second 1000 on
	var covered int64
	for n := range keys {
		binary.LittleEndian.PutUint64(keys[n][:], random.Uint64())
		now := int64(1000 + n)
		for !table.Raise(keys[n], 1, 365*24*time.Hour, at(now)) {
			if !table.Drop(func(written int64) { covered = max(covered, written/1e9) }) {
				t.Fatal("nothing can be dropped")
			}
		}
		if covered != 0 && covered > now-limit/2 {
			t.Fatalf("at %d, marks were dropped that were only written at %d", now, covered)
		}
		if value(table, keys[n], now) == 0 {
			t.Fatalf("the newest mark, of %d, is missing", now)
		}
	}
	const end = 1000 + 2*limit
	missing := 0
	for n := range keys {
		there := value(table, keys[n], end) != 0
		if !there && int64(1000+n) > covered {
			t.Fatalf("the mark of %d is missing, but only marks up to %d are covered", 1000+n, covered)
		}
		if !there {
			missing++
		}
	}
	if missing > limit+limit/8 {
		t.Errorf("%d were dropped, of which %d had to be", missing, limit)
	}
	table.Drop(func(written int64) { // called before the entry is removed
		if value(table, keys[written/1e9-1000], end) == 0 {
			t.Errorf("the mark of %d was dropped before it was covered", written/1e9)
		}
	})
}

// The age of an entry counts from its last write.
func TestDropKeepsWhatWasWrittenAgain(t *testing.T) {
	t.Parallel()
	table := marks.New(1 << 20)
	for n := range uint64(256 * 16) {
		table.Raise(key(n), 1, time.Hour, at(1000))
	}
	table.Raise(key(5), 1, time.Minute, at(2000))
	for range 256 {
		table.Drop(func(int64) {})
	}
	if value(table, key(5), 2001) == 0 || value(table, key(5), 1000+3600) == 0 || value(table, key(6), 1001) != 0 {
		t.Error("the entry was dropped with the old ones, or they were kept, or its ttl was shortened")
	}
}

// Most new keys allocate nothing, since the slots grow rarely. Existing keys never allocate.
func TestTableCopiesLittle(t *testing.T) {
	table, now, n := marks.New(1<<20), int64(1000), uint64(0)
	if allocs := testing.AllocsPerRun(10_000, func() {
		n++
		table.Raise(key(n), 1, 24*time.Hour, at(now))
	}); allocs > 0 {
		t.Errorf("a new key takes %v allocations", allocs)
	}
	if allocs := testing.AllocsPerRun(1000, func() {
		now += 100
		table.Raise(key(1), 1, 24*time.Hour, at(now))
	}); allocs > 0 {
		t.Errorf("an existing key takes %v allocations", allocs)
	}
}

// No entry is lost if the clock is set back, or is at zero.
func TestTableAndTheClock(t *testing.T) {
	t.Parallel()
	table := marks.New(1 << 20)
	for n, now := range []int64{1_000_000, 10, 0, -5, 1_000_000} {
		for i := range uint64(600) {
			if k := key(1000*uint64(n) + i); !table.Raise(k, 1, 100*time.Second, at(now)) || value(table, k, now) != 1 {
				t.Fatalf("at %d: %d is lost", now, i)
			}
		}
	}
}

// No entry is lost if the wall clock is set forward past its end and back again: meanwhile the
// entry has expired, and then it is valid again.
func TestTableWaitsForBothClocks(t *testing.T) {
	t.Parallel()
	const day = 86400
	table := marks.New(1 << 20)
	wall := func(n int64) marks.Now { return marks.Now{Wall: time.Unix(1_000_000+n, 0), Run: 50} }
	tidy := func(now marks.Now) {
		for n := range uint64(256) {
			table.Raise(key(1000+n), 1, time.Second, now)
			table.Spend(key(2000+n), time.Second, now)
		}
	}
	k, spent := key(1), key(2)
	table.Raise(k, 7, time.Hour, wall(0))
	table.Spend(spent, time.Hour, wall(0))
	tidy(wall(day))
	if got := value(table, k, 1_000_000+day); got != 0 {
		t.Errorf("a day later the value is %d, want 0", got)
	}
	tidy(wall(0))
	if got := value(table, k, 1_000_000); got != 7 {
		t.Errorf("after the clock is set back the value is %d, want 7", got)
	}
	if first, _ := table.Spend(spent, time.Hour, wall(0)); first {
		t.Error("after the clock is set back, a spent key can be spent again")
	}
	tidy(marks.Now{Wall: time.Unix(1_000_000, 0), Run: 50 + day}) // the wall clock was set back by a day
	if got := value(table, k, 1_000_000); got != 7 {
		t.Errorf("after a day by the clock of the process alone the value is %d, want 7", got)
	}
	later := marks.Now{Wall: time.Unix(1_000_000+day, 0), Run: 50 + day}
	tidy(later)
	if got := value(table, k, 1_000_000); got != 0 {
		t.Errorf("expired by both clocks, the value is still %d", got)
	}
}

// The same, in a table in which keys are only spent.
func TestSpentKeysWaitForBothClocks(t *testing.T) {
	t.Parallel()
	table, spent := marks.New(1<<20), key(1)
	at := func(n int64) marks.Now { return marks.Now{Wall: time.Unix(1_000_000+n, 0), Run: 50} }
	table.Spend(spent, time.Hour, at(0))
	for n := range uint64(256) {
		table.Spend(key(1000+n), time.Second, at(86400))
	}
	if first, _ := table.Spend(spent, time.Hour, at(0)); first {
		t.Error("after the clock is set back, a spent key can be spent again")
	}
}

// A part is swept at most once a minute by the faster clock: otherwise a full table would sweep
// all parts at every write that finds no room.
func TestPartsAreSweptOnceAMinuteByTheFasterClock(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]marks.Now{
		"wall":    {Wall: time.Unix(1_000_000+90, 0), Run: 55},
		"process": {Wall: time.Unix(1_000_000+5, 0), Run: 140},
	} {
		table, start := marks.New(2), marks.Now{Wall: time.Unix(1_000_000, 0), Run: 50}
		for n := range uint64(3) { // the third finds the table full and sweeps all parts
			if room := table.Raise(key(n+1), 7, time.Second, start); room != (n < 2) {
				t.Fatalf("room for %d: %v", n, room)
			}
		}
		if soon := (marks.Now{Wall: time.Unix(1_000_000+5, 0), Run: 55}); table.Raise(key(4), 7, time.Second, soon) {
			t.Errorf("%s: swept twice within five seconds", name)
		}
		if !table.Raise(key(4), 7, time.Second, later) {
			t.Errorf("%s: not swept", name)
		}
	}
}

// Parts are swept at once if the wall clock was set back: until it has caught up, the time of the
// last sweep is in the future.
func TestPartsAreSweptWhenTheWallClockIsPutBack(t *testing.T) {
	t.Parallel()
	table := marks.New(2)
	for n := range uint64(2) {
		table.Raise(key(n+1), 7, time.Second, marks.Now{Wall: time.Unix(5, 0), Run: 50})
	}
	if table.Raise(key(3), 7, time.Second, marks.Now{Wall: time.Unix(1_000_000, 0), Run: 50}) {
		t.Error("an entry was removed that has expired by one clock only")
	}
	if !table.Raise(key(3), 7, time.Second, marks.Now{Wall: time.Unix(10, 0), Run: 55}) {
		t.Error("not swept")
	}
}

// While a writer copies parts, readers find every mark as soon as it is stored, and never the
// value of another key.
func TestReadersWhileOthersWrite(t *testing.T) {
	t.Parallel()
	table := marks.New(1 << 20)
	var wait sync.WaitGroup
	var done atomic.Uint64
	const most = 20_000
	wait.Go(func() {
		for n := range uint64(most) {
			table.Raise(key(n), int64(n+1), 24*time.Hour, at(int64(n)))
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
				if got := value(table, key(n), 0); got != int64(n+1) && (got != 0 || n < there) {
					t.Errorf("%d has %d", n, got)
					return
				}
			}
		})
	}
	wait.Wait()
}

// Marks that are dropped while the marks of a session are read are covered by the floor that is
// read after them.
func TestMarksThatGoWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	const limit = 64
	start := time.Unix(1_000_000, 0)
	now, during := start, func() {}
	r := marks.NewRevocations[[16]byte](func() time.Time {
		do := during
		during = func() {}
		do()
		return now
	}, limit)
	revoke := func(k [16]byte) {
		if err := r.Revoke(t.Context(), k, start.Add(-time.Minute), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	read := func(keys [4][16]byte) [4]time.Time {
		found, err := r.Watermarks(t.Context(), keys)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for first := range 3 { // the clock is read while the first existing mark is read
		var keys [4][16]byte
		for i := range keys {
			keys[i] = key(uint64(100*first + i + 1))
		}
		written := now
		for _, k := range keys[first+1:] {
			revoke(k)
		}
		now = now.Add(time.Second)
		revoke(keys[first])
		during = func() {
			for n := range uint64(4 * limit) {
				revoke(key(10_000*uint64(first+1) + n))
			}
		}
		found := read(keys)
		for i := first + 1; i < len(keys); i++ {
			if found[i].IsZero() && found[0].Before(written) {
				t.Errorf("the mark of key %d was dropped while that of key %d was read, and the floor is %v", i, first, found[0])
			}
		}
		if again := read(keys); !again[3].IsZero() {
			t.Error("no mark was dropped: the test shows nothing")
		}
		now = now.Add(time.Minute)
	}
}
