package stores_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/redisstate"
)

// heard is what Follow calls.
type heard struct {
	live  chan struct{}
	marks chan ginauth.RevocationKey
	beats chan uint64
	ended chan error
}

// follow follows a store until the test ends, and returns when it is live.
func follow(t *testing.T, store ginauth.Followed) *heard {
	t.Helper()
	h := begin(t, store)
	select {
	case <-h.live:
	case err := <-h.ended:
		t.Fatalf("Follow: %v", err)
	}
	return h
}

func begin(t *testing.T, store ginauth.Followed) *heard {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := &heard{make(chan struct{}, 1), make(chan ginauth.RevocationKey, 1000), make(chan uint64, 1000), make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ended <- store.Follow(ctx, ginauth.Follower{
			Live: func() { h.live <- struct{}{} },
			Mark: func(key ginauth.RevocationKey, _ time.Time) { h.marks <- key },
			Beat: func(token uint64) { h.beats <- token },
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

// end waits until Follow has returned an error, which must have every one of names.
func (h *heard) end(t *testing.T, names ...string) error {
	t.Helper()
	select {
	case err := <-h.ended:
		if err == nil {
			t.Fatal("Follow ended without an error")
		}
		for _, name := range names {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("Follow ended with %v; want %q", err, name)
			}
		}
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("Follow does not return")
		return nil
	}
}

// broken reports whether err is of the connection, rather than of what was received.
func broken(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, redis.ErrClosed) || errors.Is(err, context.Canceled)
}

func client(t *testing.T, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: time.Second})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestFollow(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) redis.UniversalClient{
		"one server": func(t *testing.T) redis.UniversalClient { return client(t, address(t, "GINAUTH_REDIS")) },
		"one server, RESP2": func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: address(t, "GINAUTH_REDIS"), Protocol: 2})
		},
		"one server, TLS and a password": newTLSRedis,
		"a cluster":                      newCluster,
	} {
		t.Run(name, func(t *testing.T) {
			c, prefix := open(t), "{"+rand.Text()+"}:"
			one, other := redisstate.New(c, prefix), redisstate.New(c, prefix)
			h := follow(t, one)
			for n := range 100 {
				key := newKey()
				if err := other.Revoke(t.Context(), key, base, time.Hour); err != nil {
					t.Fatal(err)
				}
				if err := other.Beat(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				if err := one.Beat(t.Context(), uint64(n)); err != nil {
					t.Fatal(err)
				}
				if got := <-h.beats; got != uint64(n) {
					t.Fatalf("beat %d is heard as %d", n, got)
				}
				select {
				case got := <-h.marks:
					if got != key {
						t.Fatalf("of %x is heard %x", key, got)
					}
				default:
					t.Fatal("a beat is heard before a mark that was raised before it")
				}
			}
		})
	}
}

func TestFollowNeedsAHashTagInACluster(t *testing.T) {
	begin(t, redisstate.New(newCluster(t), "app:")).end(t, `"{myapp}:"`)
}

func TestFollowEndsWithItsConnection(t *testing.T) {
	l := newLine(t, address(t, "GINAUTH_REDIS"))
	h := follow(t, redisstate.New(client(t, l.addr()), rand.Text()))
	l.become(reset)
	l.become(fine) // go-redis connects and subscribes again, if it is let
	h.end(t)
}

func TestFollowEndsAtNonsense(t *testing.T) {
	c := client(t, address(t, "GINAUTH_REDIS"))
	for _, message := range []string{"", "hello", "a,1,,1-x", strings.Repeat("0", 32) + ",soon,,1-x", strings.Repeat("0", 30) + ",1,,1-x"} {
		prefix := rand.Text()
		h := follow(t, redisstate.New(c, prefix))
		c.Publish(t.Context(), prefix+"told", message)
		h.end(t, strconv.Quote(message[:min(len(message), 40)]))
	}
}

// A server that was demoted and is filled anew keeps its subscribers, and does not tell
// them of the marks that were raised meanwhile.
func TestFollowNoticesWhatAServerDidNotTell(t *testing.T) {
	first, second, prefix, ctx := newRedis(t), newRedis(t), rand.Text(), context.Background()
	one, two := client(t, first.Addr), client(t, second.Addr)
	h := follow(t, redisstate.New(one, prefix)) // as somebody does whose connection outlives the failover
	replicate(t, one, "127.0.0.1:1")
	writer := redisstate.New(two, prefix)
	if err := writer.Revoke(ctx, newKey(), base, time.Hour); err != nil {
		t.Fatal(err)
	}
	replicate(t, one, second.Addr)
	await(t, "the server is a replica", func() bool {
		return strings.Contains(one.Info(ctx, "replication").Val(), "master_link_status:up")
	})
	if err := writer.Revoke(ctx, newKey(), base, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := h.end(t); broken(err) {
		t.Errorf("Follow ended with %v", err)
	}
	if len(h.marks) != 0 {
		t.Error("a mark was heard behind a gap")
	}
}

// replicate makes a server a replica of another one.
func replicate(t testing.TB, c *redis.Client, of string) {
	t.Helper()
	host, port, _ := strings.Cut(of, ":")
	if err := c.ReplicaOf(context.Background(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
}

func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen that %s", what)
		}
	}
}

// A primary that was demoted, and cannot reach the new one, has old marks: it must not
// be believed, by a question or by a beat. Nor one that has lost its replicas.
func TestADemotedPrimaryIsNotBelieved(t *testing.T) {
	for name, demote := range map[string]func(t *testing.T, c *redis.Client){
		"demoted":                 func(t *testing.T, c *redis.Client) { replicate(t, c, "127.0.0.1:1") },
		"without enough replicas": func(t *testing.T, c *redis.Client) { c.ConfigSet(t.Context(), "min-replicas-to-write", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, newRedis(t).Addr)
			v := newRevoker(t, c)
			v.mark(newKey())
			demote(t, c)
			if marks, err := v.Watermarks(t.Context(), [4]ginauth.RevocationKey{}); err == nil {
				t.Errorf("it was asked, and said %v", marks)
			}
			if v.Beat(t.Context(), 1) == nil {
				t.Error("it took a beat")
			}
		})
	}
}

func TestADemotedPrimaryOfAClusterIsNotBelieved(t *testing.T) {
	c := newCluster(t)
	v := newRevoker(t, c)
	v.mark(newKey())
	c.ConfigSet(t.Context(), "min-replicas-to-write", "1")
	if marks, err := v.Watermarks(t.Context(), [4]ginauth.RevocationKey{newKey(), newKey(), newKey(), newKey()}); err == nil {
		t.Errorf("it was asked, and said %v", marks)
	}
}

// Without the channels of the prefix in its ACL, sign-outs work, and nothing is
// believed that was not heard.
func TestRevokeWithoutChannels(t *testing.T) {
	s := newRedis(t)
	admin := client(t, s.Addr)
	for _, rules := range [][]any{{"resetchannels"}, {"resetchannels", "&*beats*"}} {
		admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "app", "on", "nopass", "+@all", "~*"}, rules...)...)
		admin.Do(t.Context(), "ACL", "SETUSER", "reader", "on", "nopass", "+@all", "~*", "&*")
		c := redis.NewClient(&redis.Options{Addr: s.Addr, Username: "app", Password: "x"})
		all := redis.NewClient(&redis.Options{Addr: s.Addr, Username: "reader", Password: "x"})
		t.Cleanup(func() { c.Close(); all.Close() })
		v := newRevoker(t, c)
		key := newKey()
		begin(t, v).end(t, "NOPERM")
		reader := redisstate.New(all, v.prefix)
		h := follow(t, reader)
		v.revoke(key, base, time.Hour)
		if at := v.mark(key); !at.Equal(base) {
			t.Errorf("the mark is %v", at)
		}
		if err := reader.Beat(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := h.end(t); broken(err) {
			t.Errorf("Follow ended with %v", err)
		}
	}
}

func TestACallIsOverWithItsContext(t *testing.T) {
	l := newLine(t, address(t, "GINAUTH_REDIS"))
	c := redis.NewClient(&redis.Options{Addr: l.addr(), ReadTimeout: time.Hour})
	t.Cleanup(func() { c.Close() })
	v := newRevoker(t, c)
	v.mark(newKey())
	l.become(halfOpen)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := v.Watermarks(ctx, [4]ginauth.RevocationKey{}); err == nil {
		t.Error("an answer came through")
	}
	if err := v.Beat(ctx, 1); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("a beat after the end: %v", err)
	}
}
