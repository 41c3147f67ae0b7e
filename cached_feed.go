package ginauth

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/marks"
)

const (
	mostFollows = 8 // concurrent calls of Follow: canceled ones may not have returned
	mostBeats   = 8 // concurrent calls of Beat
	joinWait    = 800 * time.Millisecond
	silentAfter = 2 * leaseLife
	pauseLeast  = 25 * time.Millisecond
	pauseMost   = 400 * time.Millisecond
	vainRuns    = 4 // failed runs in a row, about two seconds, after which a warning is logged: a restart of the store is shorter
)

// feed is the state of one run of Follow: the received watermarks and the lease. Methods of a
// nil feed report no lease.
type feed struct {
	began time.Time // as in cachedRevocations
	limit int

	// lease is the time at which the latest beat that came back was sent. It has readings of
	// both clocks: the monotonic clock, which cannot be set, and the wall clock, which advances
	// while the machine is suspended.
	lease  atomic.Pointer[time.Time]
	memory atomic.Pointer[memory] // nil before Live
	failed atomic.Pointer[error]  // the error of the last failed beat

	joined chan struct{} // receives a value when Follow calls Live

	mu    sync.Mutex
	heard time.Time           // when Live was called or a beat of this process last came back
	token uint64              // of the last beat sent
	sent  [4 * mostBeats]sent // the latest beats, by token
}

type sent struct {
	token uint64
	at    time.Time
}

// memory holds watermarks received and queried without a gap. It is replaced as a whole when
// it is full: a session queried after that does not need earlier watermarks.
type memory struct {
	known *marks.Seen  // sessions, with the time of the query
	heard *marks.Table // watermarks in Unix milliseconds, with 1 in place of 0
}

func (c *cachedRevocations) newFeed() *feed {
	// Tokens start at a random number, since another Cached on the same store receives them, too.
	return &feed{began: c.began, limit: c.limit, token: rand.Uint64(), heard: time.Now(), joined: make(chan struct{}, 1)}
}

func (f *feed) newMemory() *memory {
	return &memory{known: marks.NewSeen(f.limit), heard: marks.New(f.limit)}
}

func (f *feed) since(t time.Time) int64 { return int64(t.Sub(f.began)) + 1 }

// leased reports whether, at the time now, every watermark has been received whose Revoke
// returned at least leaseLife earlier.
func (f *feed) leased(now time.Time) bool {
	if f == nil {
		return false
	}
	from := f.lease.Load()
	return from != nil && now.Sub(*from) < leaseLife && now.UnixNano()-from.UnixNano() < int64(leaseLife)
}

func (f *feed) remembers() *memory {
	if f == nil {
		return nil
	}
	return f.memory.Load()
}

// recall returns the watermarks of a recently queried session that were received or read
// since. Older ones were in the store's response, or had expired.
func (f *feed) recall(id [16]byte, keys *[4]RevocationKey, now time.Time) (found [4]time.Time, known bool) {
	m := f.memory.Load()
	if m == nil {
		return found, false
	}
	asked := m.known.At(id)
	if asked == 0 || f.since(now)-asked > int64(knownLife) {
		return found, false
	}
	for i, key := range keys {
		if at, heard := m.heard.Written(key); heard >= asked { // an absent key was heard at 0, and asked is at least 1
			found[i] = time.UnixMilli(at)
		}
	}
	return found, true
}

// learn caches the store's response. m must have been created before the query was sent.
func (f *feed) learn(m *memory, id [16]byte, keys *[4]RevocationKey, found *[4]time.Time, asked int64) {
	for i, at := range found {
		if !at.IsZero() && !f.remember(m, keys[i], at) {
			return
		}
	}
	// The watermarks come first: a reader that finds the session must also find them.
	if !m.known.Put(id, asked, f.oldest(time.Now())) {
		f.renew(m)
	}
}

// oldest returns the earliest query time for which a session is still cached.
func (f *feed) oldest(now time.Time) int64 { return f.since(now) - int64(knownLife) }

// raise stores a received watermark.
func (f *feed) raise(key RevocationKey, at time.Time) {
	if m := f.remembers(); m != nil {
		f.remember(m, key, at)
	}
}

// remember returns false if m is full; it must then be replaced.
func (f *feed) remember(m *memory, key RevocationKey, at time.Time) bool {
	// Both clocks of the table are set from the monotonic clock: a watermark must not expire
	// before the sessions that it revokes.
	now := f.since(time.Now())
	value := millis(at)
	if value == 0 {
		value = 1
	}
	if m.heard.Raise(key, value, heardLife, marks.Now{Wall: time.Unix(0, now), Run: now / int64(time.Second)}) {
		return true
	}
	f.renew(m)
	return false
}

// renew clears the memory. A watermark for which there was no room is in the store, whose
// responses to later queries include it.
func (f *feed) renew(m *memory) { f.memory.CompareAndSwap(m, f.newMemory()) }

// follower returns the functions for Follow to call.
func (f *feed) follower() Follower {
	return Follower{Live: f.live, Mark: f.raise, Beat: f.beat}
}

func (f *feed) live() {
	f.mu.Lock()
	f.heard = time.Now()
	f.mu.Unlock()
	f.memory.Store(f.newMemory())
	select {
	case f.joined <- struct{}{}:
	default: // Live was called before
	}
}

// beat renews the lease, from the time before the beat was sent.
func (f *feed) beat(token uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.sent[token%uint64(len(f.sent))]
	if s.at.IsZero() || s.token != token {
		return // of another process, or of an earlier run
	}
	f.heard = time.Now()
	at := s.at
	f.lease.Store(&at)
}

// next returns the token of the next beat.
func (f *feed) next() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token++
	f.sent[f.token%uint64(len(f.sent))] = sent{f.token, time.Now()}
	return f.token
}

// silent reports whether the run does not become live, or its beats do not come back.
func (f *feed) silent(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait := joinWait
	if f.memory.Load() != nil {
		wait = silentAfter
	}
	return now.Sub(f.heard) > wait
}

// awake records that there are requests, starts run if it is not running, and returns the feed
// of the current run, or nil.
func (c *cachedRevocations) awake() *feed {
	if !c.used.Load() { // a write per request would be contended on many cores
		c.used.Store(true)
	}
	if !c.running.Load() && c.running.CompareAndSwap(false, true) {
		go c.run()
	}
	return c.feed.Load()
}

// run follows the store until there are no more requests.
func (c *cachedRevocations) run() {
	var idle idleness
	vain := 0 // runs in a row that never had a lease
	for pause := pauseLeast; ; {
		believed, err := c.follow(&idle)
		c.trouble.Store(&err)
		c.feed.Store(nil)
		if vain++; believed || errors.Is(err, errIdle) {
			vain = 0
		} else if vain == vainRuns {
			c.tell(err)
		}
		if idle.look(c, time.Now()) {
			c.running.Store(false)
			// A request that arrived in the meantime found running true, and started no run.
			if !c.used.Load() || !c.running.CompareAndSwap(false, true) {
				return
			}
			idle, pause = idleness{}, pauseLeast
			continue
		}
		if believed {
			pause = pauseLeast
		}
		time.Sleep(pause/2 + rand.N(pause)) // replicas must not retry in step
		pause = min(2*pause, pauseMost)
	}
}

// tell calls the listeners with the error that prevents following watermarks.
func (c *cachedRevocations) tell(err error) {
	c.mu.Lock()
	listeners := slices.Clone(c.listeners)
	c.mu.Unlock()
	for _, listener := range listeners {
		listener(err)
	}
}

// onTrouble registers a function that is called when watermarks cannot be followed for a while.
func (c *cachedRevocations) onTrouble(listener func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, listener)
}

// idleness tracks the time without requests.
type idleness struct{ since time.Time }

// look reports whether there were no requests for idleAfter.
func (i *idleness) look(c *cachedRevocations, now time.Time) bool {
	if c.used.Swap(false) || i.since.IsZero() {
		i.since = now
	}
	return now.Sub(i.since) > idleAfter
}

// follow calls Follow once, and sends beats while it runs. It returns when Follow does, when
// the feed is silent, and when there are no more requests. It reports whether any beat came
// back, and why the run ended.
func (c *cachedRevocations) follow(idle *idleness) (believed bool, err error) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	select {
	case c.follows <- struct{}{}:
	case <-tick.C:
		return false, errStuck
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f := c.newFeed()
	c.feed.Store(f)
	ended := make(chan error, 1)
	go func() {
		defer func() { <-c.follows }()
		ended <- contain.Do(func() error { return c.store.Follow(ctx, f.follower()) })
	}()
	for {
		select {
		case err := <-ended:
			return f.lease.Load() != nil, err
		case <-f.joined: // the first beat need not wait for a tick
			c.beat(ctx, f)
		case <-tick.C:
			now := time.Now() // not the time of the tick, which may be late
			if idle.look(c, now) {
				return f.lease.Load() != nil, errIdle
			}
			if f.silent(now) {
				return f.lease.Load() != nil, f.silence()
			}
			if m := f.memory.Load(); m != nil {
				c.beat(ctx, f)
				m.known.Tidy(f.oldest(now))
			}
		}
	}
}

// beat sends a beat, unless mostBeats are in progress: a store that hangs receives no more.
func (c *cachedRevocations) beat(ctx context.Context, f *feed) {
	select {
	case c.beats <- struct{}{}:
	default:
		return
	}
	token := f.next() // records the time, before the beat is sent
	go func() {
		defer func() { <-c.beats }()
		ctx, cancel := context.WithTimeoutCause(ctx, leaseLife, errBeat)
		defer cancel()
		if err := contain.Do(func() error { return c.store.Beat(ctx, token) }); err != nil {
			f.failed.Store(&err) // for Diagnose; the lease ends anyway, because the beat does not come back
		}
	}()
}

var (
	errBeat   = errors.New("a heartbeat must return within 250 ms")
	errIdle   = errors.New("no requests for a while")
	errStuck  = errors.New("Follow does not return when its context is canceled")
	errSilent = errors.New("Follow receives no messages or does not become live")
)

// silence returns why nothing was received, if known.
func (f *feed) silence() error {
	if err := f.failed.Load(); err != nil {
		return errors.Join(errSilent, *err)
	}
	return errSilent
}

// settle waits until the feed has a lease, and returns nil, or until Follow has ended, and
// returns the error that ended it.
func (c *cachedRevocations) settle(ctx context.Context) error {
	tick := time.NewTicker(beatEvery / 5)
	defer tick.Stop()
	for !c.awake().leased(time.Now()) {
		if err := c.trouble.Load(); err != nil && !errors.Is(*err, errIdle) {
			return *err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
