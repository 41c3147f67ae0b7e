//go:build !race

// The race detector allocates too, so that these numbers hold without it.

package budget

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// cost counts the allocations of one request. Other goroutines may allocate at the same time,
// but not always: the least of a few counts is the request's own.
func (b *benchmark) cost() (allocs, bytes uint64) {
	const runs = 2000
	w, r := &discard{header: http.Header{}}, new(http.Request)
	var before, after runtime.MemStats
	for try := range 5 {
		runtime.ReadMemStats(&before)
		for range runs {
			b.request(w, r)
		}
		runtime.ReadMemStats(&after)
		n, size := (after.Mallocs-before.Mallocs+runs/2)/runs, (after.TotalAlloc-before.TotalAlloc+runs/2)/runs
		if try == 0 || n < allocs {
			allocs = n
		}
		if try == 0 || size < bytes {
			bytes = size
		}
	}
	return allocs, bytes
}

// A guarded request makes three allocations: two for the map in which Gin keeps the user, and
// one for the visit. If the session is not cached, it makes more: the record, the session, and
// the cookie's text as the cache key. A change that needs more must raise the limits here.
func TestGuardAllocations(t *testing.T) {
	for _, tt := range []struct {
		name, path    string
		cookies       func(s *sitetest.Site) string
		allocs, bytes uint64
		change        func(o *ginauth.Options)
	}{
		{"Gin with a user that is always the same", "/floor", signedIn(nil), 2, 336, nil},
		{"RequireAuth", "/guarded", signedIn(nil), 3, 1040, nil},
		{"LoadUser", "/loaded", signedIn(nil), 3, 1040, nil},
		{"RequireAuth with five sign-ins under way", "/guarded", attempting, 3, 1040, nil},
		{"RequireAuth with a Check", "/checked", signedIn(nil), 3, 1040, nil},
		{"RequireAuth with MaxAge and ACR", "/proved", proved, 3, 1040, nil},
		{"RequireAuth with a browser that is not remembered", "/guarded", nil, 6, 2384, nil},
		{"RequireAuth with an Authenticate that knows nobody", "/guarded", signedIn(nil), 3, 1040, identifying(nil)},
		{"LoadUser and RequireAuth with an Authenticate that knows nobody", "/both", signedIn(nil), 3, 1040, identifying(nil)},
		{"RequireAuth with a user of Authenticate", "/guarded", signedIn(nil), 6, 2064, identifying(realistic())},
	} {
		b := newBenchmark(t, tt.path, signedIn(nil), tt.change)
		if tt.cookies != nil {
			b.template.Header.Set("Cookie", tt.cookies(b.site))
		} else { // far more browsers than the cache holds
			for range 8 << 10 {
				b.turns = append(b.turns, b.site.Mint(realistic()))
			}
		}
		allocs, bytes := b.cost()
		if allocs > tt.allocs || bytes > tt.bytes {
			t.Errorf("%s: %d allocations, %d bytes; want %d, %d at most", tt.name, allocs, bytes, tt.allocs, tt.bytes)
		}
		if b.found != 5*2000 {
			t.Errorf("%s: %d requests reached the handler with its user", tt.name, b.found)
		}
	}
}
