package stores_test

import (
	"context"
	"crypto/rand"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/redisstate"
)

// shards spreads revocations over at most 256 stores, by their keys. All replicas need the
// same stores in the same order.
type shards []ginauth.Revocations

func (s shards) of(key ginauth.RevocationKey) ginauth.Revocations { return s[int(key[0])%len(s)] }

func (s shards) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	return s.of(key).Revoke(ctx, key, at, ttl)
}

func (s shards) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	return s.of(key).Once(ctx, key, ttl)
}

func (s shards) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	for i, key := range keys {
		found, err := s.of(key).Watermarks(ctx, [4]ginauth.RevocationKey{key, key, key, key})
		if err != nil {
			return marks, err
		}
		marks[i] = found[0]
	}
	return marks, nil
}

// atReplica sends commands to the primary, and subscribes at one of its replicas. It needs
// Redis 7, and a hash tag in the prefix.
type atReplica struct {
	redis.UniversalClient // the primary
	replica               *redis.Client
}

func (c atReplica) SSubscribe(ctx context.Context, channels ...string) *redis.PubSub {
	return c.replica.SSubscribe(ctx, channels...)
}

// Each key has its own store, a mark in it revokes a session whose other keys are elsewhere,
// and a store that fails is not skipped.
func TestShards(t *testing.T) {
	first, second := newRedis(t), newRedis(t)
	over := func(cached bool) (s shards) {
		for _, c := range []*redis.Client{client(t, first.Addr), client(t, second.Addr)} {
			var store ginauth.Followed = redisstate.New(c, "app:")
			s = append(s, store)
			if cached {
				s[len(s)-1] = ginauth.Cached(store)
			}
		}
		return s
	}
	here, there, plain := over(true), over(true), over(false)
	var keys [4]ginauth.RevocationKey
	for i := range keys {
		keys[i] = newKey()
		keys[i][0] = byte(i)
	}
	ask := func(s shards, want int) func() bool {
		return func() bool {
			marks := must[[4]time.Time](t)(s.Watermarks(t.Context(), keys))
			n := 0
			for _, at := range marks {
				if !at.IsZero() {
					n++
				}
			}
			return n == want
		}
	}
	for i, key := range keys {
		if !ask(there, i)() || !ask(plain, i)() {
			t.Fatalf("before mark %d was raised, there were more or fewer", i)
		}
		if err := here.Revoke(t.Context(), key, base.Add(time.Duration(i)*time.Second), time.Hour); err != nil {
			t.Fatal(err)
		}
		await(t, "a mark is heard", ask(there, i+1))
	}
	for i, at := range must[[4]time.Time](t)(there.Watermarks(t.Context(), keys)) {
		if !at.Equal(base.Add(time.Duration(i) * time.Second)) {
			t.Errorf("mark %d is %v", i, at)
		}
	}
	for i, want := range []bool{true, false} {
		if first := must[bool](t)(over(false).Once(t.Context(), keys[0], time.Hour)); first != want {
			t.Errorf("call %d of Once returned %t", i, first)
		}
	}
	second.Stop()
	if _, err := plain.Watermarks(t.Context(), keys); err == nil {
		t.Error("a store that is gone has no marks")
	}
}

// A process that subscribes at a Redis replica hears marks and beats of the primary, and
// nothing is believed once the replica has lost its primary.
func TestFollowAtARedisReplica(t *testing.T) {
	primary, second := newRedis(t), newRedis(t)
	one, two := client(t, primary.Addr), client(t, second.Addr)
	linked := func() bool {
		return strings.Contains(two.Info(t.Context(), "replication").Val(), "master_link_status:up")
	}
	replicate(t, two, primary.Addr)
	await(t, "the server is a replica", linked)
	prefix := "{" + rand.Text() + "}:"
	store := redisstate.New(atReplica{one, two}, prefix)
	h := follow(t, store)
	key := newKey()
	if err := redisstate.New(atReplica{one, two}, prefix).Revoke(t.Context(), key, base, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := store.Beat(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if got := <-h.marks; got != key {
		t.Errorf("the mark of %x was heard; want %x", got, key)
	}
	if got := <-h.beats; got != 7 {
		t.Errorf("beat %d was heard; want 7", got)
	}
	if n := one.PubSubShardChannels(t.Context(), prefix+"*").Val(); len(n) != 0 {
		t.Errorf("the primary has subscribers: %v", n)
	}
	replicate(t, two, "127.0.0.1:1")
	if err := store.Beat(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-h.beats:
		t.Errorf("beat %d was heard without a link", n)
	case <-time.After(300 * time.Millisecond):
	}
	if err := store.Revoke(t.Context(), newKey(), base, time.Hour); err != nil {
		t.Fatal(err)
	}
	replicate(t, two, primary.Addr)
	await(t, "the link is back", linked)
	if err := store.Beat(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	for n := uint64(0); n != 9; { // a full synchronization skips what was published meanwhile, a partial one does not
		select {
		case n = <-h.beats:
			if n == 9 && len(h.marks) != 1 {
				t.Errorf("beat 9 was heard, and %d marks; want 1", len(h.marks))
			}
		case err := <-h.ended:
			if n = 9; broken(err) {
				t.Errorf("Follow ended with %v", err)
			}
		}
	}
}

// busy is a store that takes a millisecond for each call, one after the other, and whose
// followers can be cut.
type busy struct {
	ginauth.Followed
	queries atomic.Int64
	cut     chan struct{}
	mu      sync.Mutex
	free    time.Time
	to      ginauth.Follower
}

func (s *busy) take(ctx context.Context) error {
	s.mu.Lock()
	if now := time.Now(); s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(time.Millisecond)
	wait := time.Until(s.free)
	s.mu.Unlock()
	time.Sleep(wait)
	return ctx.Err()
}

func (s *busy) Watermarks(ctx context.Context, _ [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	s.queries.Add(1)
	return marks, s.take(ctx)
}

func (s *busy) Beat(ctx context.Context, token uint64) error {
	err := s.take(ctx)
	if err == nil {
		s.to.Beat(token)
	}
	return err
}

func (s *busy) Follow(ctx context.Context, to ginauth.Follower) error {
	s.to = to
	to.Live()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.cut:
		return io.EOF
	}
}

// After an interruption, each session is queried again. Requests that come faster than the store
// responds to queries must not keep the heartbeats from it: then no session would stay known.
func TestReturnUnderLoad(t *testing.T) {
	const sessions, second = 4000, 1500 // requests a second; the store responds to 1,000
	synctest.Test(t, func(t *testing.T) {
		store := &busy{cut: make(chan struct{})}
		cached := ginauth.Cached(store)
		n := 0
		var failed atomic.Int64
		request := func(pause time.Duration) {
			key := ginauth.RevocationKey{byte(n % sessions), byte(n % sessions >> 8)}
			n++
			go func() {
				if _, err := cached.Watermarks(context.Background(), [4]ginauth.RevocationKey{key, key, key, key}); err != nil {
					failed.Add(1)
				}
			}()
			time.Sleep(pause)
		}
		for range sessions {
			request(2 * time.Millisecond)
		}
		for range 3 * second {
			request(time.Second / second)
		}
		if n := failed.Load(); n > 0 {
			t.Errorf("before the interruption %d requests failed", n)
		}
		store.cut <- struct{}{}
		for s := range 15 {
			before, queries := failed.Load(), store.queries.Load()
			for range second {
				request(time.Second / second)
			}
			t.Logf("second %d: %d queries, %d requests failed", s+1, store.queries.Load()-queries, failed.Load()-before)
		}
		before := failed.Load()
		for range second {
			request(time.Second / second)
		}
		if n := failed.Load() - before; n > 0 {
			t.Errorf("after 15 s, %d requests failed in a second", n)
		}
		time.Sleep(3 * time.Minute) // until the goroutines have returned
	})
}
