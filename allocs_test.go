//go:build unix && !race

package ginauth_test

import (
	"net/http"
	"testing"
)

// What a sign-in may allocate. The race detector allocates too, so this is not
// for its builds.
const (
	beginAllocs    = 30
	callbackAllocs = 320 // of which go-oidc, go-jose and net/http have two in three
	callbackBytes  = 40 << 10
	userinfoAllocs = 420
)

func TestAllocationsOfASignIn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		thin  bool
		limit uint64
	}{{"with an ID token", false, callbackAllocs}, {"with userinfo", true, userinfoAllocs}} {
		s := newLoginSite(t, startFar(t, tt.thin), 0)
		if n := testing.AllocsPerRun(100, func() { s.serve(t, s.login) }); n > beginAllocs {
			t.Errorf("/login: %v allocations, want %d at most", n, beginAllocs)
		}
		callbacks := make([]*http.Request, 50)
		for i := range callbacks {
			callbacks[i] = s.begin(t)
		}
		took := measure(func() {
			for _, callback := range callbacks {
				s.signIn(t, callback)
			}
		})
		n := uint64(len(callbacks))
		if took.allocs/n > tt.limit || took.bytes/n > callbackBytes {
			t.Errorf("%s: %d allocations and %d bytes, want %d and %d at most", tt.name, took.allocs/n, took.bytes/n, tt.limit, callbackBytes)
		}
		t.Logf("%s: %d allocations, %d bytes", tt.name, took.allocs/n, took.bytes/n)
	}
}
