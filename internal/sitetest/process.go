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

// Eventually waits until a condition holds that is brought about in the background.
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
			t.Fatal("the condition did not become true in ten seconds")
		}
	}
}

// Heap returns the size of the heap after a garbage collection, in bytes.
func Heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// LeavesNothing fails the test if goroutines that it started, directly or indirectly, still run when
// the test's servers, providers and browsers are closed. It labels the goroutines, which pass the
// label on to those that they start, so that parallel tests do not see each other's. Call it first:
// the first cleanup to be registered is the last to run.
func LeavesNothing(t *testing.T, name string) {
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("test", name)))
	t.Cleanup(func() {
		pprof.SetGoroutineLabels(context.Background()) // this one stays
		// Less than the timeout of ten seconds, which would end an unfinished request and its
		// goroutines.
		if left := remaining(name, 5*time.Second); left != "" {
			t.Errorf("%s left running:\n%s", name, left)
		}
	})
}

// remaining waits for the goroutines of a test to end, which may take a moment after servers are
// closed, and returns the stacks of those that do not.
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
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1) // a Builder does not fail
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("# labels: {%q:%q}", "test", name)) {
			stacks += stack + "\n\n"
		}
	}
	return stacks
}
