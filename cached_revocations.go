package ginauth

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ginauth/ginauth/internal/contain"
)

// Followed is a [Revocations] that notifies every process of the watermarks that any of them
// raises; [Cached] then reads them from memory. Package redisstate implements it on Redis;
// docs/replicas.md has an implementation on PostgreSQL.
//
// Revoke must store the watermark and publish it in one atomic step. With two steps, a process
// that stops between them leaves a watermark that is stored but not published, or published but
// not stored. Watermarks must fail where Revoke would fail, for example at a server that was
// demoted or has lost its replicas, since their results are cached for 15 minutes.
type Followed interface {
	Revocations

	// Follow calls to.Live when it receives every watermark that any process raises from then
	// on. It then calls to.Mark for each watermark and to.Beat for each token of Beat, one
	// call at a time and in the order of the store.
	//
	// Follow returns an error as soon as it may have missed anything, in particular when its
	// connection ends or is replaced, and when ctx ends. It must not reconnect: it is called
	// again. It calls none of the functions after it has returned.
	Follow(ctx context.Context, to Follower) error

	// Beat makes each running Follow of this value receive token, after all watermarks whose
	// Revoke returned, in any process, before Beat was called. It uses the same path as
	// Revoke, and returns an error where Revoke would. It may be called concurrently.
	Beat(ctx context.Context, token uint64) error
}

// Follower holds the functions that Follow of a [Followed] calls. They return immediately.
type Follower struct {
	// Live reports that no watermark raised from now on will be missed.
	Live func()
	// Mark reports that the watermark of key is at, or higher.
	Mark func(key RevocationKey, at time.Time)
	// Beat passes on the token of a Beat.
	Beat func(token uint64)
}

// The times of Cached. The guarantee in docs/replicas.md follows from them.
const (
	beatEvery  = 50 * time.Millisecond
	leaseLife  = 250 * time.Millisecond // since just before a beat was sent
	askWait    = 450 * time.Millisecond // so that the response is a 503 within 500 ms
	roomWait   = 100 * time.Millisecond // of askWait: a later query would not be answered in time
	mostAsks   = 16                     // queries at a time: see ask
	knownLife  = 15 * time.Minute       // then the store is queried about a session again
	heardLife  = knownLife + 5*time.Minute
	idleAfter  = time.Minute
	cacheLimit = memoryLimit // sessions, and as many watermarks, that one process caches
)

// Cached returns Revocations that read watermarks from this process's memory, and use the store
// for everything else. With it, requests of a signed-in user query the store once in 15 minutes.
//
//	Revocations: ginauth.Cached(redisstate.New(client, "myapp:")),
//
// The process receives the watermarks of all replicas. It relies on its memory for 250 ms after
// sending a beat that returned through the store. A sign-out at another replica therefore
// normally takes effect here within a few milliseconds, and in every case before any request
// that begins 250 ms after the sign-out returned, even if the store or the network fails. A
// sign-out in this process takes effect immediately. Without a recent beat, and for a session
// that is not cached, the store is queried, for at most 450 ms and with at most 16 queries at a
// time; if that fails, guarded requests get 503 ([ErrStoreUnavailable]).
//
// Every replica must use the same store, in a version that publishes its watermarks.
//
// Cached uses about 48 bytes for each session of the last 15 minutes and 70 for each watermark
// of the last 20, and keeps at most a million of each; beyond that it clears its memory and
// queries the store again. It starts with the first request and pauses after a minute without
// one, so it need not be closed. Several Mounts may share it.
func Cached(store Followed) Revocations {
	return newCachedRevocations(store, cacheLimit)
}

func newCachedRevocations(store Followed, limit int) *cachedRevocations {
	return &cachedRevocations{
		store: store, limit: limit, began: time.Now(), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		follows: make(chan struct{}, mostFollows), beats: make(chan struct{}, mostBeats), asks: make(chan struct{}, mostAsks),
	}
}

// cachedRevocations is the result of Cached. Each run of Follow has its own feed, so that late
// messages of an abandoned run have no effect.
type cachedRevocations struct {
	store Followed
	limit int       // of sessions, and of watermarks
	began time.Time // origin of times, by the monotonic clock
	seeds [2]maphash.Seed

	feed    atomic.Pointer[feed]
	running atomic.Bool           // a goroutine is following
	used    atomic.Bool           // by a request since the last look for idleness
	trouble atomic.Pointer[error] // what ended the last run of Follow
	follows chan struct{}
	beats   chan struct{}
	asks    chan struct{}

	mu        sync.Mutex
	listeners []func(error) // of each Mount
}

// Revoke raises the watermark in the store and at once in memory.
func (c *cachedRevocations) Revoke(ctx context.Context, key RevocationKey, at time.Time, ttl time.Duration) error {
	if err := c.store.Revoke(ctx, key, at, ttl); err != nil {
		return err
	}
	c.feed.Load().raise(key, at)
	return nil
}

// Once always queries the store: an unused state cannot be cached.
func (c *cachedRevocations) Once(ctx context.Context, key RevocationKey, ttl time.Duration) (bool, error) {
	return c.store.Once(ctx, key, ttl)
}

// Watermarks answers from memory while the lease is valid, and otherwise queries the store.
func (c *cachedRevocations) Watermarks(ctx context.Context, keys [4]RevocationKey) ([4]time.Time, error) {
	now := time.Now() // first of all: the lease must cover the start of the request
	f := c.awake()
	id := c.identify(&keys)
	if marks, known := f.answer(id, &keys, now); known {
		return marks, nil
	}
	waited, err := c.awaitRoom(ctx)
	if err != nil {
		return [4]time.Time{}, err
	}
	defer func() { <-c.asks }()
	limit := askWait
	if waited { // in the meantime another request of the session may have asked, and a feed become live
		limit -= roomWait
		f = c.feed.Load()
		if marks, known := f.answer(id, &keys, time.Now()); known {
			return marks, nil
		}
	}
	return c.ask(ctx, limit, f, id, keys)
}

// answer returns the watermarks of a session from memory, if a request that began at the time
// now may rely on it.
func (f *feed) answer(id [16]byte, keys *[4]RevocationKey, now time.Time) (marks [4]time.Time, known bool) {
	if !f.leased(now) {
		return marks, false
	}
	return f.recall(id, keys, now)
}

var errBusy = errors.New("too many queries are in progress: the store responds to fewer than are needed")

// awaitRoom waits, if it must, until fewer than mostAsks queries are in progress. The caller's query
// is then one of them.
func (c *cachedRevocations) awaitRoom(ctx context.Context) (waited bool, err error) {
	select {
	case c.asks <- struct{}{}:
		return false, nil
	default:
	}
	timer := time.NewTimer(roomWait)
	defer timer.Stop()
	select {
	case c.asks <- struct{}{}:
		return true, nil
	case <-timer.C:
		return true, errBusy
	case <-ctx.Done():
		return true, context.Cause(ctx)
	}
}

// ask queries the store. The response is cached only if watermarks were already being received
// before the query was sent: then every watermark that the response lacks will be received.
//
// Only mostAsks queries are in progress at a time. After an interruption every session is
// queried again; without a limit, the heartbeats would wait behind the queries, and without
// heartbeats known sessions would be queried, too, until traffic falls.
func (c *cachedRevocations) ask(ctx context.Context, limit time.Duration, f *feed, id [16]byte, keys [4]RevocationKey) (marks [4]time.Time, err error) {
	m, asked := f.remembers(), c.since(time.Now())
	var got [4]time.Time
	err = contain.Within(ctx, limit, func(ctx context.Context) (err error) {
		got, err = c.store.Watermarks(ctx, keys)
		return err
	})
	if err != nil {
		return marks, err // got is not read: the call may still be running
	}
	if m != nil {
		f.learn(m, id, &keys, &got, asked)
	}
	return got, nil
}

// identify returns the cache key of a session's four keys. The seeds are secret, so that an
// attacker cannot create a session that collides with another one.
func (c *cachedRevocations) identify(keys *[4]RevocationKey) (id [16]byte) {
	var text [4 * len(RevocationKey{})]byte
	for i := range keys {
		copy(text[i*len(RevocationKey{}):], keys[i][:])
	}
	for i, seed := range c.seeds {
		binary.LittleEndian.PutUint64(id[8*i:], maphash.Bytes(seed, text[:]))
	}
	return id
}

// since converts a time to the monotonic clock; the result is above 0.
func (c *cachedRevocations) since(t time.Time) int64 { return int64(t.Sub(c.began)) + 1 }
