package ginauth

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	bearerWays      = 8
	bearerSets      = 1 << 10
	bearerSetWeight = 64 << 10 // bytes of tokens and users that a set holds; one token alone may have more
)

// bearerCache caches the users of up to 8,192 verified access tokens, in sets of eight.
// Verifying a token takes twenty times as long as a lookup, and introspecting one a request to
// the provider; so, unlike in sessionCache, a collision does not evict a token. Only verified
// tokens are cached, so that an attacker cannot evict others.
//
// Tokens are compared in full, as sessions are, and readers take no lock.
type bearerCache struct {
	seed  maphash.Seed
	sets  [bearerSets]bearerSet
	mu    sync.Mutex // held by put, begin and end
	calls map[string]*tokenCall
}

type bearerSet struct {
	hashes  [bearerWays]atomic.Uint64
	slots   [bearerWays]atomic.Pointer[bearer]
	weights [bearerWays]int // bytes of the token in each slot and its user; 0 for an empty slot
	next    int             // slot of the oldest token
}

// bearer is a verified token with its user, or the error for which it is rejected.
type bearer struct {
	token            []byte // a copy, not a part of a request's header
	opened           *opened
	refused          *Error
	notBefore, until time.Time
}

// tokenCall is the opening of a token in progress.
type tokenCall struct {
	done   chan struct{} // closed when the call ends; the other fields are read afterwards
	bearer *bearer
	err    error
	gone   bool // the client that began the call has disconnected, which may be the cause of err
}

func newBearerCache() *bearerCache {
	return &bearerCache{seed: maphash.MakeSeed(), calls: map[string]*tokenCall{}}
}

func (c *bearerCache) set(hash uint64) *bearerSet { return &c.sets[hash%bearerSets] }

// find returns the cached bearer of a token, or nil if it is missing or out of date.
func (c *bearerCache) find(token string, now time.Time) *bearer {
	hash := maphash.String(c.seed, token)
	set := c.set(hash)
	for i := range set.slots {
		if set.hashes[i].Load() != hash {
			continue
		}
		if b := set.slots[i].Load(); b != nil && string(b.token) == token && !now.Before(b.notBefore) && !now.After(b.until) {
			return b
		}
	}
	return nil
}

// accepted reports whether a token was accepted before, even if that result is out of date.
func (c *bearerCache) accepted(token string) bool {
	hash := maphash.String(c.seed, token)
	set := c.set(hash)
	for i := range set.slots {
		if b := set.slots[i].Load(); set.hashes[i].Load() == hash && b != nil && string(b.token) == token {
			return b.refused == nil
		}
	}
	return false
}

// put caches a token.
func (c *bearerCache) put(b *bearer) {
	weight := len(b.token)
	if b.opened != nil {
		weight += b.opened.user.weight()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	hash := maphash.Bytes(c.seed, b.token)
	set := c.set(hash)
	set.remove(hash, b.token)
	at := set.next
	for i := range bearerWays { // a free slot, or else that of the oldest token
		if j := (set.next + i) % bearerWays; set.weights[j] == 0 {
			at = j
			break
		}
	}
	if at == set.next {
		set.next = (at + 1) % bearerWays
	}
	set.slots[at].Store(b)
	set.hashes[at].Store(hash)
	set.weights[at] = weight
	for i := 1; set.weight() > bearerSetWeight && i < bearerWays; i++ {
		set.empty((at + i) % bearerWays)
	}
}

func (s *bearerSet) weight() (n int) {
	for _, weight := range s.weights {
		n += weight
	}
	return n
}

func (s *bearerSet) empty(i int) {
	s.slots[i].Store(nil)
	s.weights[i] = 0
}

func (s *bearerSet) remove(hash uint64, token []byte) {
	for i := range s.slots {
		if b := s.slots[i].Load(); s.hashes[i].Load() == hash && b != nil && bytes.Equal(b.token, token) {
			s.empty(i)
		}
	}
}

// begin returns the call that opens a token, and whether the caller must make it.
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

// end completes a call and releases its waiters.
func (c *bearerCache) end(token string, call *tokenCall) {
	c.mu.Lock()
	delete(c.calls, token)
	c.mu.Unlock()
	close(call.done)
}

// weight returns the approximate size of a user's text in bytes.
func (u *User) weight() int {
	n := len(u.Subject) + len(u.Name) + len(u.Username) + len(u.Email) + len(u.Locale) + len(u.Picture)
	for _, g := range u.Groups {
		n += len(g)
	}
	for name, text := range u.Data {
		n += len(name) + len(text)
	}
	return n + len(u.claims())
}
