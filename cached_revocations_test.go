package ginauth_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// tape is a store that any number of processes can follow, and that a test delays, disconnects
// and stops. Its clock is that of a synctest bubble, so that a test about 250 ms neither waits
// nor is late.
type tape struct {
	mu      sync.Mutex
	marks   map[ginauth.RevocationKey]time.Time
	feeds   map[*tapeFeed]bool
	wait    chan struct{} // if not nil, Watermarks waits for it after reading
	gate    chan struct{} // if not nil, Follow waits for it before it begins
	down    bool
	mute    bool // Follow never becomes live
	lost    bool // messages are lost, which the next message reveals
	late    time.Duration
	asked   atomic.Int64
	follows atomic.Int64
}

type tapeFeed struct {
	messages chan tapeMessage
	ended    chan struct{}
	gap      bool // a mark was lost
}

type tapeMessage struct {
	due   time.Time
	key   ginauth.RevocationKey
	at    time.Time
	token uint64
}

func newTape() *tape {
	return &tape{marks: map[ginauth.RevocationKey]time.Time{}, feeds: map[*tapeFeed]bool{}}
}

var errDown = errors.New("the store is down")

// do calls f at a separate moment of the clock.
func (s *tape) do(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	f()
	return nil
}

// set changes the behaviour of the store.
func (s *tape) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// followers returns the number of running calls of Follow.
func (s *tape) followers() (n int) {
	s.set(func() { n = len(s.feeds) })
	return n
}

func (s *tape) tell(m tapeMessage) {
	m.due = time.Now().Add(s.late)
	for f := range s.feeds {
		switch {
		case s.lost:
			f.gap = f.gap || m.token == 0
		case f.gap:
			close(f.ended)
			delete(s.feeds, f)
		default:
			f.messages <- m
		}
	}
}

// cut ends all calls of Follow.
func (s *tape) cut() {
	s.set(func() {
		for f := range s.feeds {
			close(f.ended)
		}
		clear(s.feeds)
	})
}

func (s *tape) Revoke(_ context.Context, key ginauth.RevocationKey, at time.Time, _ time.Duration) error {
	return s.do(func() {
		if at.After(s.marks[key]) {
			s.marks[key] = at
		}
		s.tell(tapeMessage{key: key, at: s.marks[key]})
	})
}

func (s *tape) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) (marks [4]time.Time, err error) {
	s.asked.Add(1)
	var wait chan struct{}
	err = s.do(func() {
		for i, key := range keys {
			marks[i] = s.marks[key]
		}
		wait = s.wait
	})
	if wait != nil {
		<-wait
	}
	return marks, err
}

func (s *tape) Once(context.Context, ginauth.RevocationKey, time.Duration) (bool, error) {
	return true, s.do(func() {})
}

func (s *tape) Follow(ctx context.Context, to ginauth.Follower) error {
	s.follows.Add(1)
	f := &tapeFeed{messages: make(chan tapeMessage, 1<<16), ended: make(chan struct{})}
	mute := false
	if s.gate != nil {
		<-s.gate
	}
	if err := s.do(func() {
		mute = s.mute
		s.feeds[f] = true
	}); err != nil {
		return err
	}
	defer s.set(func() { delete(s.feeds, f) })
	if !mute {
		to.Live()
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.ended:
			return errDown
		case m := <-f.messages:
			// Go 1.26's race detector crashes on a select of a timer that is due already.
			if wait := time.Until(m.due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-f.ended:
					return errDown
				}
			}
			lost := false
			s.set(func() { lost = s.lost; f.gap = f.gap || lost && m.token == 0 })
			switch {
			case ctx.Err() != nil || mute || lost:
			case m.token != 0:
				to.Beat(m.token)
			default:
				to.Mark(m.key, m.at)
			}
		}
	}
}

func (s *tape) Beat(_ context.Context, token uint64) error {
	return s.do(func() { s.tell(tapeMessage{token: token}) })
}

// keysOf returns the keys of a session.
func keysOf(n int) (keys [4]ginauth.RevocationKey) {
	for i := range keys {
		binary.BigEndian.PutUint32(keys[i][:], uint32(n))
		keys[i][15] = byte(i + 1)
	}
	return keys
}

// process is the view of the requests of one process.
type process struct {
	t *testing.T
	ginauth.Revocations
}

// admitted reports whether a session has no mark.
func (p process) admitted(n int) bool {
	p.t.Helper()
	marks, err := p.Watermarks(p.t.Context(), keysOf(n))
	if err != nil {
		p.t.Fatal(err)
	}
	return marks == [4]time.Time{}
}

func (p process) revoke(n int) {
	p.t.Helper()
	if err := p.Revoke(p.t.Context(), keysOf(n)[0], time.Now(), time.Hour); err != nil {
		p.t.Fatal(err)
	}
}

// warm queries sessions, and waits for the lease.
func (p process) warm(sessions ...int) {
	p.t.Helper()
	p.admitted(0)
	time.Sleep(60 * time.Millisecond)
	for _, n := range sessions {
		p.admitted(n)
	}
}

// inBubble runs a test in a bubble, and returns when no call of Follow is left: a remaining
// goroutine fails the test.
func inBubble(t *testing.T, test func(t *testing.T, s *tape, p, other process)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newTape()
		test(t, s, process{t, ginauth.Cached(s)}, process{t, ginauth.Cached(s)})
		time.Sleep(2 * time.Minute)
		if n := s.followers(); n != 0 {
			t.Errorf("after two minutes without a request, %d still follow", n)
		}
	})
}

func TestCachedAnswersFromMemory(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, _ process) {
		p.warm(1)
		before := s.asked.Load()
		for range 14 * 60 {
			time.Sleep(time.Second)
			p.admitted(1)
		}
		if n := s.asked.Load() - before; n != 0 {
			t.Errorf("in 14 minutes the store was queried %d times", n)
		}
		time.Sleep(30 * time.Second)
		p.admitted(1)
		time.Sleep(31 * time.Second)
		if p.admitted(1); s.asked.Load() != before+1 {
			t.Errorf("after 15 minutes the store was queried %d times", s.asked.Load()-before)
		}
	})
}

func TestCachedAllocatesNothingForAKnownSession(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, _ process) {
		p.warm(1)
		keys := keysOf(1)
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Watermarks(context.Background(), keys) }); n > 0 {
			t.Errorf("it allocates %v times", n)
		}
	})
}

func TestCachedHearsOtherProcesses(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		p.warm(1, 2)
		other.warm(1, 2)
		before := s.asked.Load()
		other.revoke(1)
		synctest.Wait()
		if p.admitted(1) {
			t.Error("a session that was revoked at another process is admitted")
		}
		if !p.admitted(2) {
			t.Error("another session is not admitted")
		}
		if n := s.asked.Load() - before; n != 0 {
			t.Errorf("the store was queried %d times", n)
		}
	})
}

// The marks of all four keys count, whether they were read or received.
func TestCachedAnswersWithTheMarks(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		keys, old, new := keysOf(1), time.UnixMilli(1000), time.UnixMilli(2000)
		s.marks[keys[1]], s.marks[keys[3]] = old, old
		p.warm(1)
		if err := other.Revoke(t.Context(), keys[3], new, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := other.Revoke(t.Context(), keys[2], time.Unix(0, 0), time.Hour); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := s.asked.Load()
		got, err := p.Watermarks(t.Context(), keys)
		if err != nil || !got[0].IsZero() || !got[1].Equal(old) || got[2].IsZero() || !got[3].Equal(new) {
			t.Errorf("the marks are %v, %v", got, err)
		}
		if s.asked.Load() != before {
			t.Error("they were not in memory")
		}
	})
}

func TestCachedRefusesItsOwnSignOutsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, _ process) {
		p.warm(1)
		s.set(func() { s.late = 100 * time.Millisecond })
		p.revoke(1)
		if p.admitted(1) {
			t.Error("a session that was revoked at this process is admitted by it")
		}
	})
}

// Messages stop arriving, without an error.
func TestCachedBelievesItsMemoryForALease(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		p.warm(1)
		s.set(func() { s.lost = true })
		other.revoke(1)
		time.Sleep(250 * time.Millisecond)
		if p.admitted(1) {
			t.Error("250 ms after its revocation a session is admitted")
		}
	})
}

// A beat confirms messages sent before the beat was sent, not before it was received.
func TestCachedCountsALeaseFromBeforeTheBeatWasSent(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		s.late = 200 * time.Millisecond
		p.admitted(0)
		time.Sleep(150 * time.Millisecond) // a beat has been sent
		p.admitted(1)
		time.Sleep(2 * time.Millisecond)
		other.revoke(1)
		time.Sleep(199 * time.Millisecond) // the beat has been received, but not yet the mark
		s.set(func() { s.lost = true })
		time.Sleep(52 * time.Millisecond)
		if p.admitted(1) {
			t.Error("250 ms after its revocation a session is admitted")
		}
	})
}

// Two processes on one store, with beats that cross: each counts only its own.
func TestCachedCountsItsOwnBeats(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		s.late = 100 * time.Millisecond
		other.admitted(0)
		time.Sleep(90 * time.Millisecond)
		p.admitted(0)
		time.Sleep(time.Millisecond)
		p.admitted(1)
		time.Sleep(11 * time.Millisecond) // the other has sent a beat
		other.revoke(1)
		time.Sleep(99 * time.Millisecond) // which has been received, but not yet the mark
		s.set(func() { s.lost = true })
		time.Sleep(152 * time.Millisecond)
		if p.admitted(1) {
			t.Error("more than 250 ms after its revocation a session is admitted")
		}
	})
}

func TestCachedForgetsWhenItMayHaveMissedSomething(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		p.warm(1)
		s.cut()
		synctest.Wait()
		other.revoke(1)
		for range 100 {
			time.Sleep(10 * time.Millisecond) // until it is followed again
			if p.admitted(1) {
				t.Fatal("a session that was revoked while the store was not followed is admitted")
			}
		}
		before := s.asked.Load()
		if p.admitted(1); s.asked.Load() != before {
			t.Error("after a second it still asks: it is not followed again")
		}
	})
}

// A response that was read before Follow was live may lack a mark that will never be delivered.
func TestCachedRemembersNothingFromBeforeItFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		s.wait, s.gate = make(chan struct{}), make(chan struct{})
		done := make(chan bool, 2)
		for n := range 2 { // the first one begins to follow
			go func() { done <- p.admitted(n) }()
			synctest.Wait() // it has read
		}
		read := s.wait
		other.revoke(1)
		s.set(func() { s.wait = nil })
		close(s.gate)
		time.Sleep(100 * time.Millisecond) // now it is followed
		close(read)
		if one, two := <-done, <-done; !one || !two {
			t.Error("the result differs from the store's response")
		}
		time.Sleep(60 * time.Millisecond)
		if p.admitted(1) {
			t.Error("a mark from before it was followed is not known")
		}
	})
}

// A mark that expires in the store may be missing in another process's response: a session that
// begins then must be treated equally everywhere.
func TestCachedForgetsWhatHasExpiredInTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		p.warm(1)
		other.revoke(1)
		synctest.Wait()
		if p.admitted(1) {
			t.Fatal("a revoked session is admitted")
		}
		s.set(func() { clear(s.marks) })
		keys := keysOf(1)
		keys[1] = keysOf(2)[1] // another session with the same key
		time.Sleep(time.Millisecond)
		marks, err := p.Watermarks(t.Context(), keys)
		if again, _ := p.Watermarks(t.Context(), keys); err != nil || marks != again || !marks[0].IsZero() {
			t.Errorf("after the mark has expired, it is %v and then %v: %v", marks[0], again[0], err)
		}
	})
}

func TestCachedForgetsWhenItIsFull(t *testing.T) {
	const limit = 1000
	synctest.Test(t, func(t *testing.T) {
		s := newTape()
		p, other := process{t, ginauth.CachedWithLimit(s, limit)}, process{t, ginauth.Cached(s)}
		p.warm()
		for n := range 3 * limit { // sessions
			p.admitted(n)
		}
		before := s.asked.Load()
		for n := range 3 * limit {
			p.admitted(n)
		}
		if n := s.asked.Load() - before; n < 2*limit {
			t.Errorf("of %d sessions %d were remembered", 3*limit, 3*limit-n)
		}
		other.revoke(0)
		for n := 1; n < 3*limit; n++ { // marks
			other.revoke(n)
		}
		synctest.Wait()
		for n := range 3 * limit {
			if p.admitted(n) {
				t.Fatalf("session %d was revoked, and is admitted", n)
			}
		}
		time.Sleep(2 * time.Minute)
	})
}

func TestCachedAnswersOrFailsInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, _ process) {
		s.wait = make(chan struct{})
		defer close(s.wait)
		start := time.Now()
		if _, err := p.Watermarks(t.Context(), keysOf(1)); err == nil || time.Since(start) >= 500*time.Millisecond {
			t.Errorf("the query of a hanging store took %v: %v", time.Since(start), err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		start = time.Now()
		if _, err := p.Watermarks(gone, keysOf(1)); !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Errorf("a request that is over waited for %v: %v", time.Since(start), err)
		}
	})
}

// At most 16 queries are in progress. Others wait 100 ms for a place, and then fail; one that gets
// a place uses what another request of the session has learned meanwhile.
func TestCachedLimitsItsQueries(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, _ process) {
		p.warm()
		many, one := make(chan struct{}), make(chan struct{})
		defer close(many)
		var wg sync.WaitGroup
		ask := func(n int) { wg.Go(func() { _, _ = p.Watermarks(t.Context(), keysOf(n)) }) }
		s.set(func() { s.wait = many })
		for n := range 15 {
			ask(1 + n)
		}
		synctest.Wait()
		s.set(func() { s.wait = one })
		ask(16)
		synctest.Wait()
		s.set(func() { s.wait = nil })

		before, start := s.asked.Load(), time.Now()
		if _, err := p.Watermarks(t.Context(), keysOf(17)); err == nil || time.Since(start) != 100*time.Millisecond {
			t.Errorf("without a place: %v after %v", err, time.Since(start))
		}
		gone, cancel := context.WithCancelCause(t.Context())
		cancel(errDown)
		start = time.Now()
		if _, err := p.Watermarks(gone, keysOf(17)); err != errDown || time.Since(start) != 0 {
			t.Errorf("a request that is over: %v after %v", err, time.Since(start))
		}
		if n := s.asked.Load() - before; n != 0 {
			t.Errorf("%d queries beside 16", n)
		}

		var waited sync.WaitGroup
		for range 3 {
			waited.Go(func() {
				if _, err := p.Watermarks(t.Context(), keysOf(18)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(one)
		waited.Wait()
		if n := s.asked.Load() - before; n != 1 {
			t.Errorf("%d queries for three requests of one session", n)
		}
	})
}

// A store that is down is neither trusted nor queried endlessly.
func TestCachedWithAStoreThatIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, other process) {
		p.warm(1)
		s.set(func() { s.down = true })
		s.cut()
		time.Sleep(250 * time.Millisecond)
		if _, err := p.Watermarks(t.Context(), keysOf(1)); !errors.Is(err, errDown) {
			t.Errorf("without the store the result is %v", err)
		}
		before := s.follows.Load()
		time.Sleep(10 * time.Second)
		if n := s.follows.Load() - before; n > 60 {
			t.Errorf("in 10 s it was tried %d times", n)
		}
		s.set(func() { s.down = false })
		time.Sleep(time.Second)
		before = s.asked.Load()
		p.admitted(1)
		if p.admitted(1); s.asked.Load() != before+1 {
			t.Error("a second after the store is back, it is still queried each time")
		}
	})
}

// broken is a store whose Follow and Beat misbehave.
type broken struct {
	*tape
	follow func(ctx context.Context, to ginauth.Follower) error
	beat   func(ctx context.Context, token uint64) error
}

func (s *broken) Follow(ctx context.Context, to ginauth.Follower) error {
	s.follows.Add(1)
	if s.follow == nil {
		return s.tape.Follow(ctx, to)
	}
	return s.follow(ctx, to)
}

func (s *broken) Beat(ctx context.Context, token uint64) error {
	if s.beat == nil {
		return s.tape.Beat(ctx, token)
	}
	return s.beat(ctx, token)
}

func TestCachedWithAStoreThatDoesNotBehave(t *testing.T) {
	type step = func(t *testing.T, s *broken, end chan struct{})
	for name, breaks := range map[string]step{
		"Follow panics": func(t *testing.T, s *broken, _ chan struct{}) {
			s.follow = func(context.Context, ginauth.Follower) error { panic("out of order") }
		},
		"Follow returns at once": func(t *testing.T, s *broken, _ chan struct{}) {
			s.follow = func(_ context.Context, to ginauth.Follower) error { to.Live(); return nil }
		},
		"Follow never becomes live": func(t *testing.T, s *broken, _ chan struct{}) {
			s.follow = func(ctx context.Context, _ ginauth.Follower) error { <-ctx.Done(); return ctx.Err() }
		},
		"Follow never returns": func(t *testing.T, s *broken, end chan struct{}) {
			s.follow = func(context.Context, ginauth.Follower) error { <-end; return nil }
		},
		"Beat panics": func(t *testing.T, s *broken, _ chan struct{}) {
			s.beat = func(context.Context, uint64) error { panic("out of order") }
		},
		"Beat never returns": func(t *testing.T, s *broken, end chan struct{}) {
			s.beat = func(context.Context, uint64) error { <-end; return nil }
		},
		"Beat makes other tokens heard": func(t *testing.T, s *broken, _ chan struct{}) {
			s.beat = func(ctx context.Context, token uint64) error { return s.tape.Beat(ctx, token+1<<20) }
		},
		"a run goes on after it was given up": func(t *testing.T, s *broken, end chan struct{}) {
			s.follow = func(_ context.Context, to ginauth.Follower) error {
				go func() {
					for token := range uint64(1000) {
						to.Live()
						to.Beat(token)
						time.Sleep(time.Millisecond)
						select {
						case <-end:
							return
						default:
						}
					}
				}()
				return errDown
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, end := &broken{tape: newTape()}, make(chan struct{})
				breaks(t, s, end)
				p := process{t, ginauth.Cached(s)}
				for n := range 2000 {
					if !p.admitted(1) {
						t.Fatal("it is not admitted")
					}
					time.Sleep(5 * time.Millisecond)
					if got := s.asked.Load(); got != int64(n+1) {
						t.Fatalf("the store was queried %d times for %d requests", got, n+1)
					}
				}
				if n := s.follows.Load(); n < 2 || n > 100 {
					t.Errorf("in 10 s Follow was called %d times", n)
				}
				close(end)
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

// A store that cannot be followed works, at the cost of a query for each request: Diagnose
// reports it.
func TestDiagnoseSaysThatRevocationsAreNotFollowed(t *testing.T) {
	diagnose := func(s *broken) []*ginauth.Error {
		auth, err := ginauth.Mount(gin.New(), ginauth.Options{
			BaseURL: "http://localhost:8080", Revocations: ginauth.Cached(s), Logger: slog.New(slog.DiscardHandler),
			Keys: []string{"the key of an application that is diagnosed"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(auth.Diagnose(t.Context()).Warnings, func(e *ginauth.Error) bool { return e.ID != "options.revocations.deaf" })
	}
	if found := diagnose(&broken{tape: newTape()}); len(found) != 0 {
		t.Errorf("for a store that is followed, the diagnosis is %v", found)
	}
	refused := errors.New("NOPERM")
	for name, s := range map[string]*broken{
		"Follow fails":  {tape: newTape(), follow: func(context.Context, ginauth.Follower) error { return refused }},
		"Beat fails":    {tape: newTape(), beat: func(context.Context, uint64) error { return refused }},
		"Follow panics": {tape: newTape(), follow: func(context.Context, ginauth.Follower) error { panic("NOPERM") }},
	} {
		if found := diagnose(s); len(found) != 1 || !strings.Contains(found[0].Err.Error(), "NOPERM") {
			t.Errorf("%s: the diagnosis is %v", name, found)
		}
	}
}

// Warm reports it too, and so does the log of a process that serves requests: once, until marks
// are followed again.
func TestTheLogSaysThatRevocationsAreNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("NOPERM")
		s := &broken{tape: newTape(), follow: func(context.Context, ginauth.Follower) error { return refused }}
		var logs sitetest.Logs
		cached := ginauth.Cached(s)
		auth, err := ginauth.Mount(gin.New(), ginauth.Options{
			BaseURL: "http://localhost:8080", Revocations: cached, Logger: logs.Logger(), Keys: []string{"the key of an application that is diagnosed"},
		})
		if err != nil {
			t.Fatal(err)
		}
		told := func() int { return len(logs.Lines("WARN", "options.revocations.deaf")) }
		if err := auth.Warm(t.Context()); err != nil || told() != 1 || !strings.Contains(logs.String(), "NOPERM") {
			t.Errorf("Warm: %v\n%s", err, &logs)
		}
		logs.Reset()
		for range 100 {
			if _, err := cached.Watermarks(t.Context(), keysOf(1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := told(); n != 1 {
			t.Errorf("the log has it %d times\n%s", n, &logs)
		}
		time.Sleep(5 * time.Minute) // it stops following, and ends with the test
	})
}

func TestCachedStartsAgainAfterARest(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, _ process) {
		for range 3 {
			p.warm(1)
			before := s.asked.Load()
			if p.admitted(1); s.asked.Load() != before {
				t.Error("it does not follow")
			}
			time.Sleep(3 * time.Minute)
			if s.followers() != 0 {
				t.Error("it follows although there are no requests")
			}
		}
	})
}

func TestCachedPassesOnErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, s *tape, p, _ process) {
		s.down = true
		if err := p.Revoke(t.Context(), keysOf(1)[0], time.Now(), time.Hour); !errors.Is(err, errDown) {
			t.Errorf("Revoke: %v", err)
		}
		if _, err := p.Once(t.Context(), keysOf(1)[0], time.Hour); !errors.Is(err, errDown) {
			t.Errorf("Once: %v", err)
		}
	})
}

// Despite any failure between the processes and the store, no request that begins more than 250
// ms after Revoke returned is admitted. The model records when each session was revoked.
func TestCachedKeepsThePromise(t *testing.T) {
	seed := rand.Uint64()
	for n := range 10 {
		t.Run("", func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			t.Logf("seed %d, %d", seed, n)
			synctest.Test(t, func(t *testing.T) { keepThePromise(t, r) })
		})
	}
}

func keepThePromise(t *testing.T, r *rand.Rand) {
	const sessions, processes, steps = 50, 3, 2000
	s := newTape()
	var all []ginauth.Revocations
	for range processes {
		all = append(all, ginauth.CachedWithLimit(s, 20+r.IntN(100)))
	}
	revoked := map[int]time.Time{}
	hits := 0
	for range steps {
		n, p := r.IntN(sessions), all[r.IntN(processes)]
		switch r.IntN(150) {
		case 0:
			s.cut()
		case 1:
			s.set(func() { s.lost = !s.lost })
		case 2:
			s.set(func() { s.down = !s.down && r.IntN(2) == 0 })
		case 3:
			s.set(func() { s.late = time.Duration(r.IntN(300)) * time.Millisecond })
		case 4:
			s.set(func() { s.mute = !s.mute && r.IntN(2) == 0 })
		case 5, 6, 7, 8:
			s.set(func() { s.lost, s.down, s.late, s.mute = false, false, 0, false })
		case 9, 10, 11, 12, 13, 14:
			if p.Revoke(t.Context(), keysOf(n)[r.IntN(4)], time.Now(), time.Hour) == nil && revoked[n].IsZero() {
				revoked[n] = time.Now()
			}
		case 15:
			time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		default:
			time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
			begins, before := time.Now(), s.asked.Load()
			marks, err := p.Watermarks(t.Context(), keysOf(n))
			if err == nil && s.asked.Load() == before {
				hits++
			}
			at := revoked[n]
			if err == nil && marks == [4]time.Time{} && !at.IsZero() && begins.Sub(at) > 250*time.Millisecond {
				t.Fatalf("a session is admitted %v after it was revoked", begins.Sub(at))
			}
			if err == nil && marks != [4]time.Time{} && at.IsZero() {
				t.Fatal("a session that was not revoked is not admitted")
			}
		}
		if len(revoked) == sessions { // all others
			clear(revoked)
			s.set(func() { clear(s.marks) })
			s.cut()
			time.Sleep(time.Second)
		}
	}
	if hits < steps/20 {
		t.Errorf("only %d requests were checked in memory: the test checks nothing", hits)
	}
	s.cut()
	time.Sleep(2 * time.Minute)
}
