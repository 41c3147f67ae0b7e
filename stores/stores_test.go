package stores_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	ginsessions "github.com/gin-contrib/sessions"
	ginmemcached "github.com/gin-contrib/sessions/memcached"
	ginredis "github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth/internal/storetest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	if os.Getenv(replicaEnv) != "" {
		runReplica()
		return
	}
	m.Run()
}

// The stores' own secret, which has nothing to do with Options.Keys.
var storeKey = []byte("a store's own secret for signatures")

// address is where a server listens. A test without its server fails: one that
// was left out would look like one that passed.
func address(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: run the tests with ./servers.sh run go test ./...", variable)
	}
	return value
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// redisServer is a Redis of a test's own, which it can stop. Like one that
// people rely on, it finds its data again when it starts.
type redisServer struct {
	t       testing.TB
	Addr    string
	dir     string
	extra   []string
	process *exec.Cmd
}

func newRedis(t testing.TB, extra ...string) *redisServer {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	s := &redisServer{t: t, Addr: l.Addr().String(), dir: t.TempDir(), extra: extra}
	l.Close()
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start returns when the server answers.
func (s *redisServer) Start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	arguments := append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always"}, s.extra...)
	s.process = exec.Command("redis-server", arguments...)
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("%v: run the tests with ./servers.sh run, which installs it", err)
	}
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for client.Ping(ctx).Err() != nil {
		if ctx.Err() != nil {
			s.t.Fatal("redis-server did not start")
		}
	}
}

// Stop returns when the server is gone.
func (s *redisServer) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// redisStore is gin-contrib's, which is redistore.
func redisStore(t testing.TB, addr, prefix string, most int) ginsessions.Store {
	t.Helper()
	store := must[ginredis.Store](t)(ginredis.NewStore(10, "tcp", addr, "", "", storeKey))
	if err := ginredis.SetKeyPrefix(store, prefix); err != nil {
		t.Fatal(err)
	}
	if most >= 0 {
		inner, err := ginredis.GetRedisStore(store)
		if err != nil {
			t.Fatal(err)
		}
		inner.SetMaxLength(most)
	}
	return store
}

func openRedis(most int) func(t testing.TB) storetest.Opened {
	return func(t testing.TB) storetest.Opened {
		addr, prefix, ctx := address(t, "GINAUTH_REDIS"), rand.Text()+":", context.Background()
		client := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { client.Close() })
		keys := func() []string { return must[[]string](t)(client.Keys(ctx, prefix+"*").Result()) }
		relay := newRelay(t, addr)
		return storetest.Opened{
			Store: redisStore(t, relay.Addr, prefix, most),
			Break: relay.Break,
			Dump: func() string {
				var b strings.Builder
				for _, key := range keys() {
					fmt.Fprintln(&b, key, must[string](t)(client.Get(ctx, key).Result()))
				}
				return b.String()
			},
			Spoil: func(text string) {
				for _, key := range keys() {
					if err := client.Set(ctx, key, text, redis.KeepTTL).Err(); err != nil {
						t.Fatal(err)
					}
				}
			},
		}
	}
}

func TestSessionsInRedis(t *testing.T) {
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: openRedis(-1)})
}

// Told to, redistore takes all that Redis does.
func TestLargeSessionsInRedis(t *testing.T) {
	storetest.Run(t, storetest.Home{Open: openRedis(0)})
}

func TestSessionsInMemcached(t *testing.T) {
	storetest.Run(t, storetest.Home{TooLarge: 4000, Limit: "4096", Open: openMemcached})
}

func openMemcached(t testing.TB) storetest.Opened {
	addr, prefix := address(t, "GINAUTH_MEMCACHED"), rand.Text()
	relay := newRelay(t, addr)
	client := memcache.New(relay.Addr)
	client.Timeout, client.MaxIdleConns = 5*time.Second, 20 // half a second is little for two cores under test
	t.Cleanup(func() { client.Close() })
	return storetest.Opened{
		Store: ginmemcached.NewStore(client, prefix, storeKey),
		Break: relay.Break,
		Dump: func() string {
			var b strings.Builder
			for _, key := range memcachedKeys(t, addr, prefix) {
				if item, err := client.Get(key); err == nil {
					fmt.Fprintf(&b, "%s %s\n", key, item.Value)
				}
			}
			return b.String()
		},
		Spoil: func(text string) {
			for _, key := range memcachedKeys(t, addr, prefix) {
				if err := client.Set(&memcache.Item{Key: key, Value: []byte(text), Expiration: 3600}); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
}

// memcachedKeys asks for all keys, as an administrator does.
func memcachedKeys(t testing.TB, addr, prefix string) (keys []string) {
	t.Helper()
	conn := must[net.Conn](t)(net.Dial("tcp", addr))
	defer conn.Close()
	fmt.Fprint(conn, "lru_crawler metadump all\r\n")
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "END" {
		key, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "key="), " ")
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		if strings.HasPrefix(lines.Text(), "BUSY") || strings.HasPrefix(lines.Text(), "ERROR") {
			t.Fatalf("memcached said %q", lines.Text())
		}
	}
	return keys
}
