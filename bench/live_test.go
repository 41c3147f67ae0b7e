package bench_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/redisstate"
)

const openConnections = 10_000

// BenchmarkSessionContexts opens the contexts of 10,000 sessions, and reports what they cost while
// nothing happens: memory, beyond that of the request's own context, and CPU in a second. late-ms
// is how long after LogoutEverywhere the last context of all has ended.
func BenchmarkSessionContexts(b *testing.B) {
	for _, store := range []struct {
		name string
		open func() ginauth.Revocations
	}{
		{"memory", func() ginauth.Revocations { return nil }},
		{"redis", func() ginauth.Revocations {
			return ginauth.Cached(redisstate.New(redis.NewClient(&redis.Options{Addr: redisAddress()}), rand.Text()))
		}},
	} {
		b.Run(store.name, func(b *testing.B) {
			engine := gin.New()
			auth := must(ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{key}, Providers: []ginauth.Provider{corp()}, Logger: quiet(), Revocations: store.open()}))
			var last context.Context
			engine.GET("/plain", auth.RequireAuth(), func(c *gin.Context) { last = c.Request.Context() })
			engine.GET("/live", auth.RequireAuth(), func(c *gin.Context) { last = auth.SessionContext(c) })
			open := func(path string) (kept []context.Context, end func()) {
				request, end := context.WithCancel(context.Background())
				for range openConnections {
					cookies, _ := signInOurs(auth, adaUser())
					r := newRequest("https://app.example.com" + path).WithContext(request)
					r.Header["Cookie"] = []string{cookies}
					engine.ServeHTTP(&writer{header: http.Header{}}, r)
					kept = append(kept, last)
				}
				return kept, end
			}
			_, end := open("/plain") // what Cached has room for
			end()
			time.Sleep(time.Second)
			start := settled()
			plain, end := open("/plain")
			without := settled() - start
			end()
			clear(plain)
			start = settled()
			kept, end := open("/live")
			defer end()
			memory := settled() - start - without
			time.Sleep(time.Second)
			var spent, passed time.Duration
			for b.Loop() {
				began, from := cpu(), time.Now()
				time.Sleep(time.Second)
				spent += cpu() - began
				passed += time.Since(from)
			}
			user := adaUser()
			user.Issuer = issuer
			out := time.Now()
			if err := auth.LogoutEverywhere(context.Background(), user.ID()); err != nil {
				b.Fatal(err)
			}
			for _, ctx := range kept {
				<-ctx.Done()
			}
			b.ReportMetric(memory/openConnections, "B/context")
			b.ReportMetric(spent.Seconds()*1e3/passed.Seconds(), "cpu-ms/s")
			b.ReportMetric(float64(time.Since(out).Milliseconds()), "late-ms")
		})
	}
}
