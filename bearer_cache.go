package ginauth

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	bearerWays      = 8
	bearerSets      = 1 << 10
	bearerSetWeight = 64 << 10 // bytes of tokens and users that a set holds; one token alone may have more
)

// bearerCache holds the users of access tokens that were verified: 8,192 of them, in sets of
// eight. To verify a token again takes twenty times what it takes to find it here, and a
// provider is asked about an opaque one once a minute; so, other than in sessionCache, a token
// does not lose its place to the first other one that falls on it. Nothing gets in that was
// not verified, so that strangers cannot push the others out.
//
// Tokens are looked up by all of their text, as sessions are, and readers take no lock.
type bearerCache struct {
	seed  maphash.Seed
	weigh func(*session) int // bytes
	sets  [bearerSets]bearerSet
	mu    sync.Mutex // of those that put, begin and end
	calls map[string]*tokenCall
}

type bearerSet struct {
	hashes [bearerWays]atomic.Uint64
	slots  [bearerWays]atomic.Pointer[bearer]
	next   int // slot of the token that has been here for longest
}

// bearer is a verified token, and its user or why that one is refused.
type bearer struct {
	token            string
	opened           *opened
	refused          *Error
	notBefore, until time.Time
	weight           int // bytes
}

// tokenCall is a token that is being opened.
type tokenCall struct {
	done   chan struct{} // closed when it is over; the rest is read afterwards
	bearer *bearer
	err    error
	gone   bool // the client that waited for it has hung up: the error may be about that
}

func newBearerCache(weigh func(*session) int) *bearerCache {
	return &bearerCache{seed: maphash.MakeSeed(), weigh: weigh, calls: map[string]*tokenCall{}}
}

func (c *bearerCache) set(token string) (set *bearerSet, hash uint64) {
	hash = maphash.String(c.seed, token)
	return &c.sets[hash%bearerSets], hash
}

// find returns what put was given with the token, or nil if that does not count any more.
func (c *bearerCache) find(token string, now time.Time) *bearer {
	set, hash := c.set(token)
	for i := range set.slots {
		if set.hashes[i].Load() != hash {
			continue
		}
		if b := set.slots[i].Load(); b != nil && b.token == token && !now.Before(b.notBefore) && !now.After(b.until) {
			return b
		}
	}
	return nil
}

// put keeps a token. Its text is copied: it is a piece of a header, which would stay with it.
func (c *bearerCache) put(b *bearer) {
	b.token = strings.Clone(b.token)
	if b.weight = len(b.token); b.opened != nil {
		b.weight += c.weigh(&b.opened.session)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	set, hash := c.set(b.token)
	set.remove(b.token)
	at := set.next
	for i := range bearerWays { // a free place, or else that of the oldest
		if j := (set.next + i) % bearerWays; set.slots[j].Load() == nil {
			at = j
			break
		}
	}
	if at == set.next {
		set.next = (at + 1) % bearerWays
	}
	set.slots[at].Store(b)
	set.hashes[at].Store(hash)
	for i := 1; set.weight() > bearerSetWeight && i < bearerWays; i++ {
		set.slots[(at+i)%bearerWays].Store(nil)
	}
}

func (s *bearerSet) weight() (n int) {
	for i := range s.slots {
		if b := s.slots[i].Load(); b != nil {
			n += b.weight
		}
	}
	return n
}

func (s *bearerSet) remove(token string) {
	for i := range s.slots {
		if b := s.slots[i].Load(); b != nil && b.token == token {
			s.slots[i].Store(nil)
		}
	}
}

// begin returns the call that opens a token, and whether it is the caller's to make.
func (c *bearerCache) begin(token string) (call *tokenCall, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call = c.calls[token]; call != nil {
		return call, false
	}
	call = &tokenCall{done: make(chan struct{})}
	c.calls[token] = call
	return call, true
}

// end lets those go on that wait for a call.
func (c *bearerCache) end(token string, call *tokenCall) {
	c.mu.Lock()
	delete(c.calls, token)
	c.mu.Unlock()
	close(call.done)
}
