package sitetest

import (
	"context"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

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
