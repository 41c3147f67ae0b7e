// Package redisstate stores in Redis the state that the replicas of an application share:
// ginauth's revocations, so that a sign-out takes effect in all replicas and survives
// restarts; and the provider's tokens of signed-in users, for applications that call their
// providers' APIs.
//
//	shared := redisstate.New(client, "myapp:")
//	auth, err := ginauth.Mount(router, ginauth.Options{
//		…
//		Revocations: ginauth.Cached(shared),
//		Tokens:      shared,
//	})
//
// With [ginauth.Cached] each replica answers from its memory; docs/replicas.md states the
// guarantees. Without it, each guarded request queries Redis.
//
// Sessions themselves stay in the sealed cookie or in [ginauth.Options.Sessions]. Redis holds
// a few dozen bytes for each sign-out, for the idle timeout of a session, and no personal
// data: keys are hashes.
//
// # Requirements for Redis
//
// A lost key reverts a sign-out. So disable eviction (maxmemory-policy noeviction, the
// default) and enable persistence, preferably appendonly yes. Reads must go to the primary,
// since a replica may not have the latest sign-outs: do not set ClusterOptions.ReadOnly and
// similar options. A failover may lose the last moments, since Redis replicates
// asynchronously.
//
// While Redis is unavailable or read-only, every guarded request gets 503. Without Cached, the
// client's timeouts decide how long that takes; go-redis waits up to 5 s for a connection and
// 3 s for a reply, and retries. Shorter timeouts (DialTimeout, ReadTimeout: 500 ms) are
// recommended in both cases.
//
// Revoke publishes each watermark. An ACL user needs access to the channels with the prefix; a
// cluster needs Redis 7 and a hash tag in the prefix ("{myapp}:"). Otherwise nothing is
// answered from memory. The key "chain" after the prefix is the only one without a hash; it
// expires after a day without a sign-out.
package redisstate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
)

var (
	_ ginauth.Followed = (*Store)(nil)
	_ ginauth.Tokens   = (*Store)(nil)
)

// Store implements [ginauth.Followed] and [ginauth.Tokens] in Redis: pass the same Store to
// both options, to Revocations through [ginauth.Cached]. It is safe for concurrent use. The
// caller closes the client.
type Store struct {
	client               redis.UniversalClient
	marks, spent, tokens string // prefixes of keys
	chain, fence         string // keys: see raise and read
	told, beats          string // channels of all watermarks, and of this Store's beats
	publish              string // the command that publishes to them
	scattered            bool   // a cluster has the keys on several servers
}

// New returns a Store whose keys begin with prefix: "myapp:", or "ginauth:" if it is empty. It
// makes no requests. Replicas of one application must share a prefix, and different
// applications must not: LogoutEverywhere in one would take effect in the other.
//
// client may be that of a server, Sentinel or a cluster, but not a Ring: it moves the keys of
// a server that is down to the others, which have no watermarks.
func New(client redis.UniversalClient, prefix string) *Store {
	if prefix == "" {
		prefix = "ginauth:"
	}
	s := &Store{
		client: client, marks: prefix + "mark:", spent: prefix + "spent:", tokens: prefix + "tokens:",
		chain: prefix + "chain", fence: prefix + "fence", told: prefix + "told", beats: prefix + "beats:" + rand.Text(), publish: "PUBLISH",
	}
	if _, single := client.(*redis.Client); !single {
		s.publish, s.scattered = "SPUBLISH", !hashTag.MatchString(prefix)
	}
	return s
}

// hashTag matches a prefix with a hash tag, by which a cluster selects a key's server instead of
// by the whole key.
var hashTag = regexp.MustCompile(`^[^{]*\{[^}]+\}`)

// raise stores the later of two watermarks for the longer of two lives, so that neither a clock
// that is behind nor a late request revives a session. It then publishes the watermark: see
// Follow. If Redis does not permit that, because of an ACL or its version, the watermark is
// still stored: the chain then has a link that is not delivered, so no process relies on its
// memory.
var raise = redis.NewScript(`
local at, life = ARGV[1], tonumber(ARGV[2])
local old = redis.call('GET', KEYS[1])
if old and tonumber(old) > tonumber(at) then at = old end
local left = redis.call('PTTL', KEYS[1])
if left > life then life = left end
redis.call('SET', KEYS[1], at, 'PX', string.format('%d', life))
if KEYS[2] then
	local last = redis.call('GET', KEYS[2]) or ''
	local n = tonumber(string.match(last, '^%d+') or '0') + 1
	local link = string.format('%d-%s', n, ARGV[4])
	redis.call('SET', KEYS[2], link, 'PX', 86400000)
	redis.pcall(ARGV[5], ARGV[6], ARGV[3] .. ',' .. at .. ',' .. last .. ',' .. link)
end
return 1
`)

// Revoke implements [ginauth.Revocations]. Its errors are those of the client.
func (s *Store) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	// Rounded up, so that a session that began earlier in the same millisecond is revoked.
	mark := at.Add(time.Millisecond - 1).UnixMilli()
	keys, arguments := []string{name(s.marks, key)}, []any{mark, milliseconds(ttl)}
	if !s.scattered {
		keys = append(keys, s.chain)
		arguments = append(arguments, fmt.Sprintf("%x", key[:]), rand.Text(), s.publish, s.told)
	}
	if err := raise.Run(ctx, s.within(ctx), keys, arguments...).Err(); err != nil {
		return fmt.Errorf("redisstate: %w", err)
	}
	return nil
}

// read returns the watermarks of all keys except the last, which does not exist. It first
// deletes that key, which has no effect but fails where a write of a watermark would: at a
// replica, such as a demoted primary, whose watermarks are old; and at a primary with fewer
// replicas than min-replicas-to-write.
var read = redis.NewScript(`
redis.call('DEL', table.remove(KEYS))
return redis.call('MGET', unpack(KEYS))
`)

// Watermarks implements [ginauth.Revocations] with one round trip, to a primary that accepts
// writes. It returns the client's errors, and an error for a value that this package did not
// write.
func (s *Store) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	values, err := s.values(ctx, keys)
	if err != nil {
		return marks, fmt.Errorf("redisstate: %w", err)
	}
	for i, value := range values {
		if value == nil {
			continue
		}
		at, err := strconv.ParseInt(fmt.Sprint(value), 10, 64)
		if err != nil {
			return marks, errors.New("redisstate: a value is not a number: check that no other program uses the prefix")
		}
		marks[i] = time.UnixMilli(at)
	}
	return marks, nil
}

// values reads the watermarks; nil means that a key has none.
func (s *Store) values(ctx context.Context, keys [4]ginauth.RevocationKey) (values []any, err error) {
	if s.scattered {
		return s.gather(ctx, keys)
	}
	values, err = read.Run(ctx, s.within(ctx),
		[]string{name(s.marks, keys[0]), name(s.marks, keys[1]), name(s.marks, keys[2]), name(s.marks, keys[3]), s.fence}).Slice()
	if err == nil && len(values) != len(keys) {
		err = fmt.Errorf("MGET returned %d values for %d keys", len(values), len(keys))
	}
	return values, err
}

// gather reads each watermark from its server: a cluster has them on several servers, which a
// single command cannot query. Each read has its own fence key on the server of the watermark.
func (s *Store) gather(ctx context.Context, keys [4]ginauth.RevocationKey) (values []any, err error) {
	var asked [4]*redis.Cmd
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			mark := name(s.marks, key)
			asked[i] = read.Eval(ctx, p, []string{mark, "{" + mark + "}fence"})
		}
		return nil
	})
	for _, got := range asked {
		// Pipelined returns one of several errors; each command has its own.
		one, failed := got.Slice()
		if failed = cmp.Or(failed, err); failed != nil {
			return nil, failed
		}
		values = append(values, one...)
	}
	return values, nil
}

// Once implements [ginauth.Revocations]. If Redis executed the command but the reply was lost,
// a retry returns false: the sign-in must be started again, and never succeeds twice.
func (s *Store) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	life := time.Duration(milliseconds(ttl)) * time.Millisecond
	first, err := s.client.SetNX(ctx, name(s.spent, key), 1, life).Result()
	if err != nil {
		return false, fmt.Errorf("redisstate: %w", err)
	}
	return first, nil
}

// Load implements [ginauth.Tokens]. It returns the client's errors.
func (s *Store) Load(ctx context.Context, key ginauth.RevocationKey) ([]byte, error) {
	value, err := s.client.Get(ctx, name(s.tokens, key)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("redisstate: %w", err)
	}
	return value, nil
}

// exchange stores ARGV[2] if the current value is ARGV[1]; "" means that the key has no value,
// and deletes it.
var exchange = redis.NewScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
`)

// Swap implements [ginauth.Tokens]. It returns the client's errors. If Redis executed the swap
// but the reply was lost, the swap still took effect.
func (s *Store) Swap(ctx context.Context, key ginauth.RevocationKey, old, next []byte, ttl time.Duration) (bool, error) {
	done, err := exchange.Run(ctx, s.client, []string{name(s.tokens, key)}, old, next, milliseconds(ttl)).Bool()
	if err != nil {
		return false, fmt.Errorf("redisstate: %w", err)
	}
	return done, nil
}

// name returns a key's name in Redis.
func name(prefix string, key ginauth.RevocationKey) string {
	return fmt.Sprintf("%s%x", prefix, key[:])
}

// milliseconds rounds a duration up to at least one millisecond, the smallest expiry of Redis.
func milliseconds(ttl time.Duration) int64 {
	return max(int64((ttl+time.Millisecond-1)/time.Millisecond), 1)
}
