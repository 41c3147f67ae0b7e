package stores_test

import (
	"context"
	"crypto/rand"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/redisstate"
)

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newKey() (key ginauth.RevocationKey) {
	rand.Read(key[:])
	return key
}

// revoker is redisstate with what a test needs to look behind it.
type revoker struct {
	t testing.TB
	*redisstate.Store
	client redis.UniversalClient
	prefix string
}

func newRevoker(t testing.TB, client redis.UniversalClient) *revoker {
	t.Helper()
	t.Cleanup(func() { client.Close() })
	prefix := rand.Text() + ":"
	return &revoker{t, redisstate.New(client, prefix), client, prefix}
}

func (v *revoker) revoke(key ginauth.RevocationKey, at time.Time, ttl time.Duration) {
	v.t.Helper()
	if err := v.Revoke(context.Background(), key, at, ttl); err != nil {
		v.t.Fatal(err)
	}
}

func (v *revoker) mark(key ginauth.RevocationKey) time.Time {
	v.t.Helper()
	marks, err := v.Watermarks(context.Background(), [4]ginauth.RevocationKey{newKey(), newKey(), key, newKey()})
	if err != nil {
		v.t.Fatal(err)
	}
	for i, at := range marks {
		if i != 2 && !at.IsZero() {
			v.t.Errorf("a key that nobody revoked has the mark %v", at)
		}
	}
	return marks[2]
}

func (v *revoker) once(key ginauth.RevocationKey, ttl time.Duration) bool {
	v.t.Helper()
	first, err := v.Once(context.Background(), key, ttl)
	if err != nil {
		v.t.Fatal(err)
	}
	return first
}

// left is how long Redis keeps the entry of a key.
func (v *revoker) left(key ginauth.RevocationKey, kind string) time.Duration {
	v.t.Helper()
	left, err := v.client.PTTL(context.Background(), v.prefix+kind+":"+hex(key)).Result()
	if err != nil {
		v.t.Fatal(err)
	}
	return left
}

func hex(key ginauth.RevocationKey) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range key {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

// A cluster is asked in another way than one server.
func TestRevocations(t *testing.T) {
	clients := map[string]func(t *testing.T) redis.UniversalClient{
		"one server": func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: address(t, "GINAUTH_REDIS")})
		},
		"one server, RESP2": func(t *testing.T) redis.UniversalClient {
			return redis.NewClient(&redis.Options{Addr: address(t, "GINAUTH_REDIS"), Protocol: 2})
		},
		"a cluster": newCluster,
	}
	for name, open := range clients {
		t.Run(name, func(t *testing.T) {
			v := newRevoker(t, open(t))
			t.Run("the highest mark counts", v.in(keepsMaximum))
			t.Run("a mark outlives all that it covers", v.in(keepsLongest))
			t.Run("marks are rounded to the strict side", v.in(roundsUp))
			t.Run("late and early requests at once", v.in(revokesInParallel))
			t.Run("one of many is first", v.in(onceInParallel))
			t.Run("entries expire", v.in(expire))
			t.Run("a value is swapped for the one that is there", v.in(swapsWhatIsThere))
			t.Run("one of many swaps", v.in(swapInParallel))
		})
	}
}

// newCluster is a cluster of one server that has all slots, and sends clients
// away that name keys of two.
func newCluster(t *testing.T) redis.UniversalClient {
	s, ctx := newRedis(t, "--cluster-enabled", "yes"), context.Background()
	setup := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer setup.Close()
	if err := setup.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if info, err := setup.ClusterInfo(ctx).Result(); err == nil && strings.Contains(info, "cluster_state:ok") {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.Addr}})
		}
		if time.Now().After(deadline) {
			t.Fatal("the cluster did not come up")
		}
	}
}

func (v *revoker) in(test func(t *testing.T, v *revoker)) func(t *testing.T) {
	return func(t *testing.T) { test(t, &revoker{t, v.Store, v.client, v.prefix}) }
}

func keepsMaximum(t *testing.T, v *revoker) {
	key := newKey()
	if at := v.mark(key); !at.IsZero() {
		t.Errorf("before any, the mark is %v", at)
	}
	for _, step := range []struct{ at, want time.Duration }{{0, 0}, {-time.Hour, 0}, {time.Second, time.Second}, {time.Second, time.Second}, {0, time.Second}} {
		v.revoke(key, base.Add(step.at), time.Hour)
		if at := v.mark(key); !at.Equal(base.Add(step.want)) {
			t.Errorf("after %v, the mark is %v; want %v", step.at, at.Sub(base), step.want)
		}
	}
	old := newKey()
	v.revoke(old, time.Unix(-5, 0), time.Hour) // a provider's clock may be anything
	if at := v.mark(old); at.IsZero() || !at.Equal(time.Unix(-5, 0)) {
		t.Errorf("the mark from before 1970 is %v", at)
	}
}

func keepsLongest(t *testing.T, v *revoker) {
	key := newKey()
	for _, step := range []struct{ ttl, most, least time.Duration }{
		{time.Minute, time.Minute, 50 * time.Second},
		{time.Hour, time.Hour, 59 * time.Minute},
		{time.Second, time.Hour, 59 * time.Minute},
	} {
		v.revoke(key, base, step.ttl)
		if left := v.left(key, "mark"); left > step.most || left < step.least {
			t.Errorf("after a revocation for %v, the mark is kept for %v", step.ttl, left)
		}
	}
	long := newKey()
	v.revoke(long, base, 400*24*time.Hour)
	if left := v.left(long, "mark"); left < 399*24*time.Hour {
		t.Errorf("a mark for 400 days is kept for %v", left)
	}
}

func roundsUp(t *testing.T, v *revoker) {
	for _, extra := range []time.Duration{1, 999_999, time.Millisecond, time.Millisecond + 1, 123_456_789} {
		key, at := newKey(), base.Add(extra)
		v.revoke(key, at, time.Hour)
		if mark := v.mark(key); mark.Before(at) || mark.Sub(at) >= time.Millisecond {
			t.Errorf("the mark of %v is %v", extra, mark.Sub(base))
		}
	}
	key := newKey()
	v.revoke(key, base, time.Nanosecond) // Redis refuses a life of 0
	if !v.once(newKey(), time.Nanosecond) {
		t.Error("Once with a life below a millisecond is false")
	}
}

func revokesInParallel(t *testing.T, v *revoker) {
	key := newKey()
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			n := i * 37 % 50
			if err := v.Revoke(context.Background(), key, base.Add(time.Duration(n)*time.Second), time.Duration(1+n)*time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if at := v.mark(key); !at.Equal(base.Add(49 * time.Second)) {
		t.Errorf("the mark is %v, want the highest of all, 49s", at.Sub(base))
	}
	if left := v.left(key, "mark"); left < 49*time.Hour {
		t.Errorf("the mark is kept for %v, want the longest of all, 50h", left)
	}
}

func onceInParallel(t *testing.T, v *revoker) {
	key := newKey()
	var wait sync.WaitGroup
	var firsts atomic.Int64
	for range 50 {
		wait.Go(func() {
			first, err := v.Once(context.Background(), key, time.Minute)
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(1)
			}
		})
	}
	wait.Wait()
	if n := firsts.Load(); n != 1 {
		t.Errorf("%d of 50 were the first", n)
	}
	if left := v.left(key, "spent"); left <= 50*time.Second || left > time.Minute {
		t.Errorf("the key is kept for %v, want a minute", left)
	}
	if !v.once(newKey(), time.Minute) {
		t.Error("another key is not first")
	}
	v.revoke(key, base, time.Minute) // the same key, and another kind of thing
	if v.once(key, time.Minute) {
		t.Error("a mark made a spent key new")
	}
}

func expire(t *testing.T, v *revoker) {
	marked, spent := newKey(), newKey()
	v.revoke(marked, base, 20*time.Millisecond)
	v.once(spent, 20*time.Millisecond)
	for deadline := time.Now().Add(10 * time.Second); !v.mark(marked).IsZero() || !v.once(spent, time.Millisecond); {
		if time.Now().After(deadline) {
			t.Fatal("20 ms are over, and the entries still there")
		}
	}
}

func TestRevocationsSayNothingOfPeople(t *testing.T) {
	v := newRevoker(t, redis.NewClient(&redis.Options{Addr: address(t, "GINAUTH_REDIS")}))
	v.revoke(newKey(), base, time.Hour)
	v.once(newKey(), time.Hour)
	keys, err := v.client.Keys(context.Background(), v.prefix+"*").Result()
	if err != nil || len(keys) != 3 {
		t.Fatalf("%v %v", keys, err)
	}
	plain := regexp.MustCompile(`^((mark|spent):[0-9a-f]{32}|chain)$`)
	for _, key := range keys {
		if !plain.MatchString(strings.TrimPrefix(key, v.prefix)) {
			t.Errorf("the key %q is more than a hash", key)
		}
	}
}

func TestPrefixesKeepApplicationsApart(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: address(t, "GINAUTH_REDIS")})
	one, other, key := newRevoker(t, client), newRevoker(t, client), newKey()
	one.revoke(key, base, time.Hour)
	if !one.once(key, time.Hour) || !other.mark(key).IsZero() || !other.once(key, time.Hour) {
		t.Error("one application's revocations are another's")
	}
}

// An unreachable Redis and a malformed mark are errors: a session that cannot be
// checked is refused.
func TestRevocationsFailClosed(t *testing.T) {
	s, ctx := newRedis(t), context.Background()
	v := newRevoker(t, redis.NewClient(&redis.Options{Addr: s.Addr}))
	key := newKey()
	v.revoke(key, base, time.Hour)
	keys := [4]ginauth.RevocationKey{newKey(), key, newKey(), newKey()}

	s.Stop()
	if marks, err := v.Watermarks(ctx, keys); err == nil {
		t.Errorf("with Redis gone, the marks are %v", marks)
	}
	if v.Revoke(ctx, key, base, time.Hour) == nil {
		t.Error("with Redis gone, Revoke worked")
	}
	if first, err := v.Once(ctx, newKey(), time.Hour); err == nil || first {
		t.Errorf("with Redis gone, Once is %v, %v", first, err)
	}
	s.Start()
	if at := v.mark(key); !at.Equal(base) {
		t.Errorf("with Redis back, the mark is %v", at)
	}

	if err := v.client.Set(ctx, v.prefix+"mark:"+hex(key), "soon", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if marks, err := v.Watermarks(ctx, keys); err == nil {
		t.Errorf("with a mark that is no number, the marks are %v", marks)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := v.Watermarks(gone, keys); err == nil {
		t.Error("on a context that is over, Watermarks worked")
	}
}
