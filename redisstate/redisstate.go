// Package redisstate keeps in Redis what the replicas of an application share:
// ginauth's revocations, so that a sign-out at one replica counts at all of them, at
// once, and after a restart too; and the tokens of signed-in users, for applications
// that call their providers' APIs.
//
//	shared := redisstate.New(client, "myapp:")
//	auth, err := ginauth.Mount(router, ginauth.Options{
//		…
//		Revocations: shared,
//		Tokens:      shared,
//	})
//
// Sessions may stay where they are: in the sealed cookie, or in any store.
// What Redis holds is a few dozen bytes for each sign-out, for as long as a
// session lives without a request, and nothing personal: keys are hashes.
//
// # What Redis must be like
//
// A mark that is lost is a sign-out undone. So: no eviction (maxmemory-policy
// noeviction, the default), and persistence, best appendonly yes. Reads must go
// to the primary: a replica may not know yet of a sign-out, so leave
// ClusterOptions.ReadOnly and its like alone. A failover may lose the marks of
// its last moments, since Redis replicates after it has answered.
//
// While Redis cannot be asked nobody gets in: every guarded request is answered
// with 503. The client's timeouts say how long that takes; go-redis waits up to
// 5 s for a connection and 3 s for an answer, and tries again. Shorter ones
// (DialTimeout, ReadTimeout: 500 ms) suit a store that every request asks.
package redisstate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
)

var (
	_ ginauth.Revocations = (*Store)(nil)
	_ ginauth.Tokens      = (*Store)(nil)
)

// Store implements [ginauth.Revocations] and [ginauth.Tokens] in Redis: pass the same one
// to both options. It is safe for concurrent use. The application keeps the client, and
// closes it.
type Store struct {
	client               redis.UniversalClient
	marks, spent, tokens string // what keys begin with
	together             bool   // one server holds all keys, and MGET may name several
}

// New returns a Store whose keys begin with prefix: "myapp:", or "ginauth:" if it
// is empty. It makes no request. Replicas of one application share a prefix, and
// different applications must not: who signs out of all sessions of one would
// leave the other too.
//
// client is one server's, Sentinel's or a cluster's. A Ring will not do: it
// gives the keys of a server that is down to the others, which know of no marks.
func New(client redis.UniversalClient, prefix string) *Store {
	if prefix == "" {
		prefix = "ginauth:"
	}
	_, single := client.(*redis.Client)
	return &Store{client: client, marks: prefix + "mark:", spent: prefix + "spent:", tokens: prefix + "tokens:", together: single}
}

// raise keeps the later of two marks, for the longer of two lives: neither a
// clock that is behind nor a request that comes late revives a session.
var raise = redis.NewScript(`
local at, life = ARGV[1], tonumber(ARGV[2])
local old = redis.call('GET', KEYS[1])
if old and tonumber(old) > tonumber(at) then at = old end
local left = redis.call('PTTL', KEYS[1])
if left > life then life = left end
redis.call('SET', KEYS[1], at, 'PX', string.format('%d', life))
return 1
`)

// Revoke implements [ginauth.Revocations]. Its errors are those of the client.
func (s *Store) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	// Rounded up: a session that began in the same millisecond as the mark,
	// and before it, stays dead.
	mark := at.Add(time.Millisecond - 1).UnixMilli()
	if err := raise.Run(ctx, s.client, []string{name(s.marks, key)}, mark, milliseconds(ttl)).Err(); err != nil {
		return fmt.Errorf("redisstate: %w", err)
	}
	return nil
}

// Watermarks implements [ginauth.Revocations] with one round trip. Its errors are
// those of the client, and one for a value that this package did not write.
func (s *Store) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	values, err := s.values(ctx, keys)
	if err != nil {
		return marks, fmt.Errorf("redisstate: %w", err)
	}
	for i, value := range values {
		if value == "" {
			continue
		}
		at, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return marks, errors.New("redisstate: a mark is no number: is the prefix used for something else?")
		}
		marks[i] = time.UnixMilli(at)
	}
	return marks, nil
}

// values reads the marks, "" where there is none. A cluster has them on several
// servers, and no command asks those together.
func (s *Store) values(ctx context.Context, keys [4]ginauth.RevocationKey) (values [4]string, err error) {
	if s.together {
		found, err := s.client.MGet(ctx, name(s.marks, keys[0]), name(s.marks, keys[1]), name(s.marks, keys[2]), name(s.marks, keys[3])).Result()
		if err == nil && len(found) != len(keys) {
			err = fmt.Errorf("MGET answered with %d values for %d keys", len(found), len(keys))
		}
		if err != nil {
			return values, err
		}
		for i, value := range found {
			if value != nil {
				values[i] = fmt.Sprint(value)
			}
		}
		return values, nil
	}
	var asked [4]*redis.StringCmd
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			asked[i] = p.Get(ctx, name(s.marks, key))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return values, err
	}
	for i, got := range asked {
		// Pipelined tells one error of several: each has its own.
		if values[i], err = got.Result(); err != nil && !errors.Is(err, redis.Nil) {
			return values, err
		}
	}
	return values, nil
}

// Once implements [ginauth.Revocations]. A Redis that did it and could not say so
// makes the first caller the second: a sign-in that has to be begun again, and
// never one that counts twice.
func (s *Store) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	life := time.Duration(milliseconds(ttl)) * time.Millisecond
	first, err := s.client.SetNX(ctx, name(s.spent, key), 1, life).Result()
	if err != nil {
		return false, fmt.Errorf("redisstate: %w", err)
	}
	return first, nil
}

// Load implements [ginauth.Tokens]. Its errors are those of the client.
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

// exchange stores a value if another one is there, or none if that is empty. Without
// a new one it deletes the key.
var exchange = redis.NewScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
`)

// Swap implements [ginauth.Tokens]. Its errors are those of the client. A Redis that did it
// and could not say so has swapped all the same.
func (s *Store) Swap(ctx context.Context, key ginauth.RevocationKey, old, next []byte, ttl time.Duration) (bool, error) {
	done, err := exchange.Run(ctx, s.client, []string{name(s.tokens, key)}, old, next, milliseconds(ttl)).Bool()
	if err != nil {
		return false, fmt.Errorf("redisstate: %w", err)
	}
	return done, nil
}

// name is a key's name in Redis.
func name(prefix string, key ginauth.RevocationKey) string {
	return fmt.Sprintf("%s%x", prefix, key[:])
}

// milliseconds rounds a life up: Redis knows nothing shorter, and no life of 0.
func milliseconds(ttl time.Duration) int64 {
	return max(int64((ttl+time.Millisecond-1)/time.Millisecond), 1)
}
