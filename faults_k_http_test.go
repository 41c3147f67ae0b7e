package ginauth_test

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// eventually waits for something that happens behind the requests.
func eventually(t testing.TB, done func() bool) {
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

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
