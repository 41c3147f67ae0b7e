package sitetest

import (
	"context"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// The check that the fault tests rely on finds leaked goroutines.
func TestWhatIsLeftRunningIsSeen(t *testing.T) {
	stop, began := make(chan struct{}), make(chan struct{})
	pprof.Do(t.Context(), pprof.Labels("test", t.Name()), func(context.Context) {
		go func() { // started by a goroutine that has ended
			go func() {
				close(began)
				<-stop
			}()
		}()
	})
	<-began
	if left := remaining(t.Name(), time.Millisecond); !strings.Contains(left, "TestWhatIsLeftRunningIsSeen") {
		t.Errorf("a waiting goroutine is not found: %q", left)
	}
	close(stop)
	if left := remaining(t.Name(), 10*time.Second); left != "" {
		t.Errorf("a goroutine that has ended is found: %s", left)
	}
}
