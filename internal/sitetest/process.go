package sitetest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// Eventually waits for something that happens in the background.
func Eventually(t testing.TB, done func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatal("it did not happen in ten seconds")
		}
	}
}

// Heap returns how many bytes the process keeps after a collection.
func Heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// LeavesNothing fails the test if a goroutine that it started, or that one of
// those started, still runs when the test's servers, providers and browsers are
// closed. Goroutines pass a label on to those that they start, so parallel tests
// do not see each other's. Call it first: what is registered first is cleaned up
// last.
func LeavesNothing(t *testing.T, name string) {
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("test", name)))
	t.Cleanup(func() {
		pprof.SetGoroutineLabels(context.Background()) // this one stays
		// Less than the ten seconds after which a request that was never
		// finished is given up, and takes its goroutines along.
		if left := remaining(name, 5*time.Second); left != "" {
			t.Errorf("%s left running:\n%s", name, left)
		}
	})
}

// remaining waits for the goroutines of a test to end, which takes some of them
// a moment after what they served is closed, and returns those that do not.
func remaining(name string, patience time.Duration) (left string) {
	deadline := time.After(patience)
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		if left = labelled(name); left == "" {
			return ""
		}
		select {
		case <-time.After(wait):
		case <-deadline:
			return left
		}
	}
}

// labelled returns the stacks of the goroutines with that label.
func labelled(name string) (stacks string) {
	var profile strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1) // a Builder takes everything
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("# labels: {%q:%q}", "test", name)) {
			stacks += stack + "\n\n"
		}
	}
	return stacks
}
