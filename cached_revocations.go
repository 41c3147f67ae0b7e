package ginauth

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ginauth/ginauth/internal/contain"
)

// Followed is a [Revocations] that tells every process of the marks which any of them
// raises. [Cached] answers from memory what it hears. Package redisstate implements it on
// Redis; docs/replicas.md has an implementation on PostgreSQL.
//
// Revoke has to store the mark and tell it in one atomic step: in two, a process that
// stops in between leaves a mark that nobody hears, or one that is heard and not there.
// And Watermarks must fail where Revoke would, such as at a server that was demoted or
// has lost its replicas: what it answers is believed for 15 minutes.
type Followed interface {
	Revocations

	// Follow calls to.Live once it hears every mark that any process raises from then
	// on. Then it calls to.Mark for each of them, and to.Beat for each token of Beat, one
	// call at a time and in the order in which the store did them.
	//
	// Follow returns an error as soon as it may have missed anything, in particular
	// when its connection ends or is replaced, and when ctx ends. It does not connect
	// again by itself: it is called again. It calls none of the functions after it has
	// returned.
	Follow(ctx context.Context, to Follower) error

	// Beat makes each running Follow of this value hear token, after all marks whose
	// Revoke has returned anywhere before Beat was called. It goes the way that Revoke
	// goes, and returns an error where Revoke would. Several calls may run at once.
	Beat(ctx context.Context, token uint64) error
}

// Follower is what Follow of a [Followed] calls. Its functions return at once.
type Follower struct {
	// Live says that no mark raised from now on will be missed.
	Live func()
	// Mark says that the watermark of key is at, or higher.
	Mark func(key RevocationKey, at time.Time)
	// Beat passes on the token of a Beat.
	Beat func(token uint64)
}

// The times of Cached. The promise of docs/replicas.md is made of them.
const (
	beatEvery  = 50 * time.Millisecond
	leaseLife  = 250 * time.Millisecond // from before a beat was sent
	askWait    = 450 * time.Millisecond // so that the answer is 503 within 500 ms
	knownLife  = 15 * time.Minute       // then a session is asked about again
	heardLife  = knownLife + 5*time.Minute
	idleAfter  = time.Minute
	cacheLimit = memoryLimit // sessions, and marks, that one process remembers
)

// Cached returns Revocations that answer Watermarks from this process's memory, and
// everything else from the store: with it, a request of a signed-in user waits for the
// network once in 15 minutes.
//
//	Revocations: ginauth.Cached(redisstate.New(client, "myapp:")),
//
// The process follows the marks of all replicas, and believes its memory for 250 ms
// after it sent a beat that came back through the store. So a sign-out that returned is
// refused here within a few milliseconds, and by no request that begins more than 250 ms
// later is the session admitted, whatever happens to the store and the network. Sign-outs
// at this process are refused here at once. Without a beat that came back in time, and for
// a session that it does not know, it asks the store, and waits 450 ms at most; then
// guarded requests are answered with 503 ([ErrStoreUnavailable]).
//
// Every replica has to use the same store, and a version of it that tells its marks.
//
// It takes about 48 bytes for each session seen in 15 minutes and 70 for each mark heard
// in 20, of a million each at most; beyond that it forgets them and asks again. It starts
// with the first request and rests after a minute without one: there is nothing to
// close. It may be used by several Mounts.
func Cached(store Followed) Revocations {
	return newCachedRevocations(store, cacheLimit)
}

func newCachedRevocations(store Followed, limit int) *cachedRevocations {
	return &cachedRevocations{
		store: store, limit: limit, began: time.Now(), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		follows: make(chan struct{}, mostFollows), beats: make(chan struct{}, mostBeats),
	}
}

// cachedRevocations is what Cached returns. The state of what is followed is in feed:
// each run of Follow has its own, so that what a run that was given up still says
// counts for nothing.
type cachedRevocations struct {
	store Followed
	limit int       // of sessions, and of marks
	began time.Time // what times are counted from, by the monotonic clock
	seeds [2]maphash.Seed

	feed    atomic.Pointer[feed]
	running atomic.Bool           // there is a goroutine that follows
	used    atomic.Bool           // since it last looked
	trouble atomic.Pointer[error] // what ended the last run of Follow
	follows chan struct{}
	beats   chan struct{}

	mu        sync.Mutex
	listeners []func(error) // of each Mount
}

// Revoke raises the mark in the store and, so that this process does not have to hear
// it first, in memory.
func (c *cachedRevocations) Revoke(ctx context.Context, key RevocationKey, at time.Time, ttl time.Duration) error {
	if err := c.store.Revoke(ctx, key, at, ttl); err != nil {
		return err
	}
	c.feed.Load().raise(key, at)
	return nil
}

// Once asks the store: that a state was not used is nothing to remember.
func (c *cachedRevocations) Once(ctx context.Context, key RevocationKey, ttl time.Duration) (bool, error) {
	return c.store.Once(ctx, key, ttl)
}

// Watermarks answers from memory while that may be believed, and else asks.
func (c *cachedRevocations) Watermarks(ctx context.Context, keys [4]RevocationKey) ([4]time.Time, error) {
	now := time.Now() // before anything else: the lease has to reach to the request's beginning
	f := c.awake()
	id := c.identify(&keys)
	if f.leased(now) {
		if marks, known := f.recall(id, &keys, now); known {
			return marks, nil
		}
	}
	return c.ask(ctx, f, id, keys)
}

// ask asks the store. What it answers is remembered only if marks were followed before
// the question was sent: then each mark that the answer lacks will be heard.
func (c *cachedRevocations) ask(ctx context.Context, f *feed, id [16]byte, keys [4]RevocationKey) (marks [4]time.Time, err error) {
	m, asked := f.remembers(), c.since(time.Now())
	var got [4]time.Time
	err = contain.Within(ctx, askWait, func(ctx context.Context) (err error) {
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

// identify returns what a session's four keys are remembered under. The seeds are
// secret, so that nobody can make a session that has another one's.
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

// since is a time by the monotonic clock, above 0.
func (c *cachedRevocations) since(t time.Time) int64 { return int64(t.Sub(c.began)) + 1 }
