package ginauth_test

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// leavesNothing fails the test if a goroutine that it began, or that one of
// those began, is still there when everything of the test is closed: its
// servers, providers and browsers. Goroutines hand a label on to those that
// they start, so that tests which run at the same moment are told apart. Call it
// first: what is registered first is cleaned up last.
func leavesNothing(t *testing.T, name string) {
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

// The check that the faults are held against does see what is left.
func TestWhatIsLeftRunningIsSeen(t *testing.T) {
	stop, began := make(chan struct{}), make(chan struct{})
	pprof.Do(t.Context(), pprof.Labels("test", t.Name()), func(context.Context) {
		go func() { // begun by one that has ended since
			go func() {
				close(began)
				<-stop
			}()
		}()
	})
	<-began
	if left := remaining(t.Name(), time.Millisecond); !strings.Contains(left, "TestWhatIsLeftRunningIsSeen") {
		t.Errorf("a goroutine that waits is not seen: %q", left)
	}
	close(stop)
	if left := remaining(t.Name(), 10*time.Second); left != "" {
		t.Errorf("one that has ended is: %s", left)
	}
}
