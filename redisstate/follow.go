package redisstate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ginauth/ginauth"
)

// joinWait bounds the steps before Follow waits for messages.
const joinWait = time.Second

// Follow implements [ginauth.Followed]: it subscribes to the watermarks that Revoke publishes.
//
// Redis does not guarantee delivery, and messages can be lost while the connection stays up: a
// server that was demoted and resynchronizes with the next primary keeps its subscribers
// without telling them what they missed. So each message names the previous one, and each beat
// the latest: a gap in this chain is always detected.
//
// It returns the client's errors, and errors for a gap in the chain, for a message that this
// package did not write, and for a cluster whose keys are on several servers: there the prefix
// needs a hash tag, as in "{myapp}:", and Redis 7.
func (s *Store) Follow(ctx context.Context, to ginauth.Follower) error {
	if s.scattered {
		return errors.New(`redisstate: the prefix needs a hash tag, as in "{myapp}:", without which a cluster spreads the keys over several servers`)
	}
	if err := s.follow(ctx, to); err != nil {
		return fmt.Errorf("redisstate: follow: %w", err)
	}
	return nil
}

func (s *Store) follow(ctx context.Context, to ginauth.Follower) error {
	joining, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	sub := s.subscribe(joining)
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // Receive ignores ctx while it waits
	defer func() { _ = sub.Close() }()
	for range 2 { // channels
		if got, err := sub.Receive(joining); err != nil {
			return err
		} else if _, ok := got.(*redis.Subscription); !ok {
			return unexpected(got)
		}
	}
	// Our own beat gives the position in the chain. Earlier watermarks were raised before the
	// caller relies on this run.
	start := rand.Uint64()
	if err := s.Beat(joining, start); err != nil {
		return err
	}
	r := reader{to: to}
	for {
		got, err := sub.Receive(ctx)
		if err != nil {
			return err
		}
		m, ok := got.(*redis.Message)
		if !ok {
			return unexpected(got) // go-redis has reconnected and resubscribed
		}
		if !r.live {
			if b, ok := parseBeat(m.Payload); ok && m.Channel == s.beats && b.token == start {
				r.live, r.last = true, b.last
				to.Live()
			}
			continue
		}
		if m.Channel == s.beats {
			err = r.beat(m.Payload)
		} else {
			err = r.mark(m.Payload)
		}
		if err != nil {
			return err
		}
	}
}

func unexpected(got any) error { return fmt.Errorf("the subscription was replaced: %v", got) }

// subscribe subscribes to both channels over one connection, which keeps their order.
func (s *Store) subscribe(ctx context.Context) *redis.PubSub {
	client := s.within(ctx)
	if s.publish == "SPUBLISH" {
		return client.SSubscribe(ctx, s.told, s.beats)
	}
	return client.Subscribe(ctx, s.told, s.beats)
}

// reader reads the messages in order.
type reader struct {
	to   ginauth.Follower
	live bool
	last string // link of the chain
}

var errGap = errors.New("a published revocation was not received: the connection or the server has lost messages")

// mark reads a message of raise: the key, the watermark, the previous link of the chain and the
// new one.
func (r *reader) mark(payload string) error {
	part := strings.Split(payload, ",")
	if len(part) != 4 {
		return nonsense(payload)
	}
	key, ok := parseKey(part[0])
	at, err := strconv.ParseInt(part[1], 10, 64)
	if !ok || err != nil {
		return nonsense(payload)
	}
	if part[2] != r.last {
		return errGap
	}
	r.last = part[3]
	r.to.Mark(key, time.UnixMilli(at))
	return nil
}

func (r *reader) beat(payload string) error {
	b, ok := parseBeat(payload)
	if !ok {
		return nonsense(payload)
	}
	if b.last != r.last {
		return errGap
	}
	r.to.Beat(b.token)
	return nil
}

func nonsense(payload string) error {
	return fmt.Errorf("unexpected message %.40q: check that no other program uses the prefix", payload)
}

// parseKey parses a key in the form that Revoke publishes.
func parseKey(text string) (key ginauth.RevocationKey, ok bool) {
	b, err := hex.DecodeString(text)
	return key, err == nil && copy(key[:], b) == len(key) && len(b) == len(key)
}

// beatMessage is a message of pulse.
type beatMessage struct {
	token uint64
	last  string // link of the chain
}

func parseBeat(payload string) (b beatMessage, ok bool) {
	token, last, ok := strings.Cut(payload, ",")
	n, err := strconv.ParseUint(token, 10, 64)
	return beatMessage{n, last}, ok && err == nil
}

// pulse publishes a token with the latest link of the chain. Like read, it deletes a fence key:
// a beat through a server that accepts no watermarks would prove nothing.
var pulse = redis.NewScript(`
redis.call('DEL', KEYS[2])
redis.call(ARGV[1], ARGV[2], ARGV[3] .. ',' .. (redis.call('GET', KEYS[1]) or ''))
return 1
`)

// Beat implements [ginauth.Followed]. Its errors are those of the client.
func (s *Store) Beat(ctx context.Context, token uint64) error {
	err := pulse.Run(ctx, s.within(ctx), []string{s.chain, s.fence}, s.publish, s.beats, strconv.FormatUint(token, 10)).Err()
	if err != nil {
		return fmt.Errorf("redisstate: beat: %w", err)
	}
	return nil
}

// within returns the client for a call that must end when ctx does. Unless ContextTimeoutEnabled
// is set, go-redis ignores ctx while it waits for a server, and occupies a connection of the
// pool until ReadTimeout. The client of a cluster has no such setting.
func (s *Store) within(ctx context.Context) redis.UniversalClient {
	end, limited := ctx.Deadline()
	single, ok := s.client.(*redis.Client)
	if !limited || !ok {
		return s.client
	}
	left := max(time.Until(end), time.Millisecond)
	if most := single.Options().ReadTimeout; 0 < most && most <= left {
		return s.client
	}
	return single.WithTimeout(left)
}
