//go:build unix && !race

package budget

import (
	"math"
	"net/http"
	"testing"
)

// The limits for a sign-in are slightly above its allocations, so that an increase is noticed.
// Two thirds of a callback's allocations are in go-oidc, go-jose and net/http; the numbers are
// for Go 1.26. The race detector allocates too, so its builds skip this. Keeping the ID token
// for the sign-out has separate rows, so that its cost does not hide others.
func TestAllocationsOfASignIn(t *testing.T) {
	const beginAllocs = 21
	for _, tt := range []struct {
		name          string
		thin, noHint  bool
		allocs, bytes uint64
	}{
		{"with an ID token", false, true, 268, 28_000}, {"with userinfo", true, true, 344, 34_000},
		{"with an ID token, kept for the sign-out", false, false, 272, 32_500}, {"with userinfo, the ID token kept", true, false, 348, 37_500},
	} {
		f := startRemoteProvider(t, tt.thin)
		f.noHint = tt.noHint
		s := newLoginSite(t, f, 0)
		if n := testing.AllocsPerRun(100, func() { s.serve(t, s.login) }); n > beginAllocs {
			t.Errorf("/login: %v allocations, want %d at most", n, beginAllocs)
		}
		least := used{allocs: math.MaxUint64, bytes: math.MaxUint64}
		for range 5 { // other goroutines may allocate at the same time
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
			least.allocs, least.bytes = min(least.allocs, took.allocs/n), min(least.bytes, took.bytes/n)
		}
		if least.allocs > tt.allocs || least.bytes > tt.bytes {
			t.Errorf("%s: %d allocations and %d bytes, want %d and %d at most", tt.name, least.allocs, least.bytes, tt.allocs, tt.bytes)
		}
	}
}
