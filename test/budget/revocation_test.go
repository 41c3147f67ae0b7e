package budget

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// million is the number of watermarks, or of used states, in memory.
const million = 1_000_000

// nthKey returns a key like ginauth's: the beginning of a hash.
func nthKey(n uint64) ginauth.RevocationKey {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, n))
	return ginauth.RevocationKey(sum[:16])
}

// fullMemory returns a memory whose marks expire one after the other.
func fullMemory(t testing.TB, clock *sitetest.Clock) ginauth.Revocations {
	t.Helper()
	m := marks.NewRevocations[ginauth.RevocationKey](clock.Now, 1<<20)
	began := time.Now()
	m.Ran = func() time.Duration { return clock.Now().Sub(began) } // otherwise nothing would be removed
	now := clock.Now()
	for n := range uint64(million) {
		if err := m.Revoke(t.Context(), nthKey(n), now, time.Hour+time.Duration(n)*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// sessionKeys returns the four keys that each request looks up; marked is the number of them
// with marks.
func sessionKeys(n uint64, marked int) (keys [4]ginauth.RevocationKey) {
	for i := range keys {
		keys[i] = nthKey(million + 4*n + uint64(i))
		if i < marked {
			keys[i] = nthKey((4*n + uint64(i)) % million)
		}
	}
	return keys
}

// BenchmarkWatermarks looks up the four keys of a session, from one goroutine and from two,
// among a million marks.
func BenchmarkWatermarks(b *testing.B) {
	before := sitetest.Heap()
	m := fullMemory(b, &sitetest.Clock{})
	perMark := float64(sitetest.Heap()-before) / million
	ask := func(b *testing.B, keys [4]ginauth.RevocationKey) {
		if _, err := m.Watermarks(b.Context(), keys); err != nil {
			b.Error(err)
		}
	}
	for _, marked := range []int{0, 1, 4} {
		sessions := make([][4]ginauth.RevocationKey, 1<<16)
		for n := range sessions {
			sessions[n] = sessionKeys(uint64(n), marked)
		}
		b.Run(fmt.Sprintf("marked=%d", marked), func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				ask(b, sessions[n%len(sessions)])
			}
			b.ReportMetric(perMark, "heap-B/mark")
		})
		b.Run(fmt.Sprintf("marked=%d/parallel", marked), func(b *testing.B) {
			var next atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for n := int(next.Add(12345)); pb.Next(); n++ {
					ask(b, sessions[n%len(sessions)])
				}
			})
		})
	}
}

// BenchmarkOnce marks states as used, in a memory with half a million used states.
func BenchmarkOnce(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		b.Run(fmt.Sprintf("parallel=%v", parallel), func(b *testing.B) {
			m := marks.NewRevocations[ginauth.RevocationKey](time.Now, 64<<20)
			var next atomic.Uint64
			spend := func() {
				if first, err := m.Once(b.Context(), nthKey(next.Add(1)), 10*time.Minute); !first || err != nil {
					b.Error(first, err)
				}
			}
			for range million / 2 {
				spend()
			}
			b.ResetTimer()
			if parallel {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						spend()
					}
				})
				return
			}
			for range b.N {
				spend()
			}
		})
	}
}

// BenchmarkCleaning lets a million marks expire during lookups, and reports how long the slowest
// lookup waited.
func BenchmarkCleaning(b *testing.B) {
	for range b.N {
		c := &sitetest.Clock{}
		m := fullMemory(b, c)
		var waits []time.Duration
		for n := range uint64(200_000) {
			if n%1000 == 0 {
				c.Advance(30 * time.Second)
			}
			start := time.Now()
			if err := m.Revoke(b.Context(), nthKey(million+n), start, time.Hour); err != nil {
				b.Fatal(err)
			}
			waits = append(waits, time.Since(start))
		}
		slices.Sort(waits)
		b.ReportMetric(float64(waits[len(waits)-1].Microseconds()), "worst-µs")
		b.ReportMetric(float64(waits[len(waits)*9999/10000].Nanoseconds())/1e3, "p99.99-µs")
	}
}
