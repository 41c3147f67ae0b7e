package bench_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sys/unix"

	"github.com/ginauth/ginauth"
)

// none is an implementation of Revocations without any: the difference from the default is the cost of
// four lookups in a request.
type none struct{}

func (none) Revoke(context.Context, ginauth.RevocationKey, time.Time, time.Duration) error {
	return nil
}
func (none) Watermarks(context.Context, [4]ginauth.RevocationKey) (marks [4]time.Time, _ error) {
	return marks, nil
}
func (none) Once(context.Context, ginauth.RevocationKey, time.Duration) (bool, error) {
	return true, nil
}

const (
	million   = 1_000_000
	audience  = 1024 // number of signed-in users, so that lookups are of many keys
	sliced    = 31   // number of time slices, in each of which both crowds make requests
	cleanings = 20_000
)

// crowd is an application with many signed-in users.
type crowd struct {
	auth     *ginauth.Auth
	visitors []*visitor
	clock    *atomic.Int64 // how far the application's clock is ahead
}

func newCrowd(revocations ginauth.Revocations) *crowd {
	c := &crowd{clock: new(atomic.Int64)}
	engine := gin.New()
	c.auth = must(ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{key}, Providers: []ginauth.Provider{corp()},
		Logger: quiet(), Revocations: revocations, Now: func() time.Time { return time.Now().Add(time.Duration(c.clock.Load())) }}))
	app := app{handler: routes(engine, func(c *gin.Context) {
		if ginauth.CurrentUser(c) != nil {
			c.Status(http.StatusNoContent)
		}
	}, c.auth.RequireAuth())}
	for i := range audience {
		u := adaUser()
		u.Subject = fmt.Sprint("crowd", i)
		app.cookies, _ = signInOurs(c.auth, u)
		c.visitors = append(c.visitors, newVisitor(app))
	}
	return c
}

// ask makes requests of all users, in the same random order for every crowd, and returns the cost of a
// request.
func (c *crowd) ask(b *testing.B) float64 {
	order := rand.New(rand.NewPCG(1, 2))
	start := cpu()
	for range 4 * audience {
		if v := c.visitors[order.IntN(audience)]; !v.visit() {
			b.Fatalf("answered with %d", v.writer.status)
		}
	}
	return float64(cpu()-start) / (4 * audience)
}

// BenchmarkRevocations signs a million users out and measures the cost: bytes for each, time in the
// requests of other users, and the cleanup when all revocations expire.
func BenchmarkRevocations(b *testing.B) {
	for b.Loop() {
		empty, full := newCrowd(none{}), newCrowd(nil)
		before := heap()
		for i := range million {
			if err := full.auth.LogoutEverywhere(b.Context(), fmt.Sprint(issuer, "#user", i)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric((heap()-before)/million, "B/mark")
		more := make([]float64, sliced)
		for i := range more {
			more[i] = full.ask(b) - empty.ask(b)
		}
		slices.Sort(more)
		b.ReportMetric(more[sliced/2], "look-up-ns")
		call, wait := full.clean(b)
		b.ReportMetric(float64(call), "cleaning-ns")
		b.ReportMetric(float64(wait), "longest-request-ns")
	}
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// clean lets all marks expire, and continues to sign users out. call is the CPU time of the slowest
// call, which may clean up: no lock is held for longer. wait is the elapsed time of the slowest
// concurrent request of another user.
func (c *crowd) clean(b *testing.B) (call, wait time.Duration) {
	c.clock.Store(int64(8 * 24 * time.Hour)) // past every lifetime
	reader := c.signedInNow()
	var done atomic.Bool
	slowest := make(chan time.Duration)
	go func() {
		var most time.Duration
		for !done.Load() {
			start := time.Now()
			reader.visit()
			most = max(most, time.Since(start))
		}
		slowest <- most
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range cleanings {
		start := threadCPU()
		if err := c.auth.LogoutEverywhere(b.Context(), fmt.Sprint(issuer, "#later", i)); err != nil {
			b.Fatal(err)
		}
		call = max(call, threadCPU()-start)
	}
	done.Store(true)
	return call, <-slowest
}

// signedInNow returns a visitor whose session begins at the current time of the clock.
func (c *crowd) signedInNow() *visitor {
	cookies, _ := signInOurs(c.auth, adaUser())
	return newVisitor(app{handler: c.visitors[0].app, cookies: cookies})
}

// threadCPU returns the CPU time that this thread has used. Getrusage would be precise only to the tick
// of the clock.
func threadCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
