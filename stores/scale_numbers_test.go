//go:build !race

package stores_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	random "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/redisstate"
)

// usage is what INFO says of a server.
type usage struct{ cpu, out, replicated, memory float64 }

func usageOf(b *testing.B, c *redis.Client) (u usage) {
	for line := range strings.Lines(must[string](b)(c.Info(context.Background(), "everything").Result())) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, _ := strconv.ParseFloat(text, 64)
		switch name {
		case "used_cpu_sys_main_thread", "used_cpu_user_main_thread":
			u.cpu += n
		case "total_net_output_bytes":
			u.out = n
		case "master_repl_offset":
			u.replicated = n
		case "used_memory":
			u.memory = n
		}
	}
	return u
}

// measured runs b.N calls from many goroutines, and reports the server's main thread's CPU and
// network output for each.
func measured(b *testing.B, c *redis.Client, goroutines, deliveries int, call func() error) {
	before := usageOf(b, c)
	var calls sync.WaitGroup
	b.ResetTimer()
	for g := range goroutines {
		calls.Go(func() {
			for i := g; i < b.N; i += goroutines {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	calls.Wait()
	b.StopTimer()
	after := usageOf(b, c)
	report := func(n float64, unit string) { b.ReportMetric(n/float64(b.N), unit) }
	report((after.cpu-before.cpu)*1e6, "redis-µs/op")
	report(after.out-before.out, "out-B/op")
	report(after.replicated-before.replicated, "replicated-B/op") // to each Redis replica, if there are any
	if deliveries > 0 {
		b.ReportMetric((after.cpu-before.cpu)*1e6/float64(b.N)/float64(deliveries), "redis-µs/delivery")
		b.ReportMetric((after.out-before.out)/float64(b.N)/float64(deliveries), "out-B/delivery")
	}
}

// BenchmarkScale measures what docs/scale.md calculates with: what calls cost Redis, without
// and with subscribers.
func BenchmarkScale(b *testing.B) {
	server, replica := newRedis(b, "--appendonly", "no", "--save", ""), newRedis(b, "--appendonly", "no", "--save", "")
	ctx := context.Background()
	c := redis.NewClient(&redis.Options{Addr: server.Addr, PoolSize: 64})
	b.Cleanup(func() { c.Close() })
	other := redis.NewClient(&redis.Options{Addr: replica.Addr})
	b.Cleanup(func() { other.Close() })
	replicate(b, other, server.Addr)
	await(b, "the replica is linked", func() bool {
		return strings.Contains(other.Info(ctx, "replication").Val(), "master_link_status:up")
	})
	store := redisstate.New(c, "myapp:")
	revoke := func() error { return store.Revoke(ctx, newKey(), time.Now(), time.Hour) }
	for _, goroutines := range []int{4, 64} {
		at := fmt.Sprintf("-%d", goroutines)
		b.Run("Revoke"+at, func(b *testing.B) { measured(b, c, goroutines, 0, revoke) })
		b.Run("Beat"+at, func(b *testing.B) {
			measured(b, c, goroutines, 0, func() error { return store.Beat(ctx, random.Uint64()) })
		})
		b.Run("Watermarks"+at, func(b *testing.B) {
			measured(b, c, goroutines, 0, func() error {
				_, err := store.Watermarks(ctx, [4]ginauth.RevocationKey{newKey(), newKey(), newKey(), newKey()})
				return err
			})
		})
		b.Run("Once"+at, func(b *testing.B) {
			measured(b, c, goroutines, 0, func() error { _, err := store.Once(ctx, newKey(), time.Hour); return err })
		})
	}
	replicate(b, other, "no:one")
	b.Run("Beat-64-heard", func(b *testing.B) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		live := make(chan struct{}, 1)
		go store.Follow(ctx, ginauth.Follower{
			Live: func() { live <- struct{}{} }, Mark: func(ginauth.RevocationKey, time.Time) {}, Beat: func(uint64) {},
		})
		<-live
		measured(b, c, 64, 0, func() error { return store.Beat(ctx, random.Uint64()) })
	})
	for _, subscribers := range []int{10, 100, 1000} {
		for _, goroutines := range []int{1, 64} {
			b.Run(fmt.Sprintf("subscribers-%d/Revoke-%d", subscribers, goroutines), func(b *testing.B) {
				subscribe(b, server.Addr, "myapp:told", subscribers)
				measured(b, c, goroutines, subscribers, revoke)
			})
		}
	}
}

// subscribe opens connections that read what a channel has.
func subscribe(b *testing.B, addr, channel string, n int) {
	for range n {
		conn := must[net.Conn](b)(net.Dial("tcp", addr))
		b.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "SUBSCRIBE %s\r\n", channel)
		if _, err := io.ReadFull(conn, make([]byte, 20)); err != nil {
			b.Fatal(err)
		}
		go io.Copy(io.Discard, conn)
	}
}

// BenchmarkScaleMemory reports what marks take in Redis, and logs the size of other keys and of
// the cookie of a sign-in in progress.
func BenchmarkScaleMemory(b *testing.B) {
	server := newRedis(b, "--appendonly", "no", "--save", "")
	ctx := context.Background()
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	b.Cleanup(func() { c.Close() })
	store := redisstate.New(c, "myapp:")
	key := newKey()
	if err := store.Revoke(ctx, key, time.Now(), time.Hour); err != nil {
		b.Fatal(err)
	}
	if _, err := store.Once(ctx, key, time.Hour); err != nil {
		b.Fatal(err)
	}
	app, cookies, _ := guarded(b, redisStore(b, server.Addr, "session:", -1), nil)
	ask(b, app, cookies)
	idp := must[*authtest.Provider](b)(authtest.Start(authtest.Config{}))
	b.Cleanup(idp.Close)
	idp.SignInAs("ada")
	engine := gin.New()
	front := httptest.NewServer(engine)
	b.Cleanup(front.Close)
	corp := idp.Client("corp")
	corp.APIs = []ginauth.API{{URL: "https://api.example.com/"}}
	url := strings.Replace(front.URL, "127.0.0.1", "localhost", 1)
	must[*ginauth.Auth](b)(ginauth.Mount(engine, ginauth.Options{
		BaseURL: url, Keys: []string{"the key of an application that is measured"}, Providers: []ginauth.Provider{corp},
		Revocations: ginauth.Cached(store), Tokens: store, Logger: slog.New(slog.DiscardHandler),
	}))
	engine.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	browser := authtest.NewBrowser()
	b.Cleanup(browser.Close)
	must[*authtest.Page](b)(browser.Get(url + "/login/corp"))
	for _, name := range must[[]string](b)(c.Keys(ctx, "*").Result()) {
		b.Logf("%s: MEMORY USAGE %d, %d bytes, lives %v", name, c.MemoryUsage(ctx, name).Val(), c.StrLen(ctx, name).Val(), c.TTL(ctx, name).Val())
	}
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequest("GET", url+"/login/corp", nil))
	for _, line := range w.Header()["Set-Cookie"] {
		name, _, _ := strings.Cut(line, "=")
		b.Logf("Set-Cookie %s: %d bytes", name, len(line))
	}
	for _, name := range []string{"client-output-buffer-limit", "maxclients"} {
		b.Log(c.ConfigGet(ctx, name).Val())
	}
	c.FlushAll(ctx)
	before := usageOf(b, c).memory
	fill := redis.NewScript(`
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
	redis.call('SET', KEYS[1] .. redis.sha1hex(i):sub(1, 32), '1796067000123', 'PX', '86520000')
end`)
	for n := 0; n < 1000000; {
		next := n + 20000
		if err := fill.Run(ctx, c, []string{"myapp:mark:"}, n, next-1).Err(); err != nil && err != redis.Nil {
			b.Fatal(err)
		}
		if n = next; n == 400000 || n == 520000 || n == 760000 || n == 1000000 {
			b.ReportMetric((usageOf(b, c).memory-before)/float64(n), fmt.Sprintf("B/mark-of-%d", n))
		}
	}
}

// BenchmarkScaleFollower reports what each mark costs a process that receives it: redis-cli has
// the server publish ten of them at a time. b.N are such groups.
func BenchmarkScaleFollower(b *testing.B) {
	server := newRedis(b, "--appendonly", "no", "--save", "")
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	b.Cleanup(func() { c.Close() })
	tell := redis.NewScript(`
for i = 1, 10 do
	local last = redis.call('GET', KEYS[1]) or ''
	local n = tonumber(string.match(last, '^%d+') or '0') + 1
	local link = string.format('%d-%s', n, ARGV[2])
	redis.call('SET', KEYS[1], link, 'PX', 86400000)
	redis.call('PUBLISH', ARGV[1], redis.sha1hex(n):sub(1, 32) .. ',1796067000123,' .. last .. ',' .. link)
end
return 1`)
	must[string](b)(tell.Load(b.Context(), c).Result())
	cached := ginauth.Cached(redisstate.New(c, "myapp:"))
	must[[4]time.Time](b)(cached.Watermarks(b.Context(), [4]ginauth.RevocationKey{}))
	await(b, "the process follows", func() bool { return c.PubSubNumSub(b.Context(), "myapp:told").Val()["myapp:told"] == 1 })
	_, port, _ := net.SplitHostPort(server.Addr)
	cli := exec.Command("redis-cli", "-p", port, "-r", strconv.Itoa(b.N), "-i", "0.001",
		"EVALSHA", tell.Hash(), "1", "myapp:chain", "myapp:told", rand.Text())
	before := cpuOf(b)
	b.ResetTimer()
	if out, err := cli.Output(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	b.ReportMetric(float64(cpuOf(b)-before)/1e3/float64(10*b.N), "µs/mark-heard")
}

func cpuOf(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
