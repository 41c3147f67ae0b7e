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
	seed maphash.Seed
	mu   sync.Mutex // of those that put
	sets [bearerSets]bearerSet
}

type bearerSet struct {
	hashes [bearerWays]atomic.Uint64
	slots  [bearerWays]atomic.Pointer[bearer]
	next   int // slot of the token that has been here for longest
}

// bearer is a verified token and its user.
type bearer struct {
	token  string
	opened *opened
	weight int // bytes
}

func newBearerCache() *bearerCache { return &bearerCache{seed: maphash.MakeSeed()} }

func (c *bearerCache) set(token string) (set *bearerSet, hash uint64) {
	hash = maphash.String(c.seed, token)
	return &c.sets[hash%bearerSets], hash
}

// find returns what put was given with the token, or nil if it has expired since.
func (c *bearerCache) find(token string, now time.Time) *opened {
	set, hash := c.set(token)
	for i := range set.slots {
		if set.hashes[i].Load() != hash {
			continue
		}
		if b := set.slots[i].Load(); b != nil && b.token == token {
			if at := now.UnixMicro(); at >= b.opened.notBefore && at <= b.opened.expires {
				return b.opened
			}
		}
	}
	return nil
}

// put keeps the user of a token. weight is the size of the user. The text of the token is
// copied: it is a piece of a header, which would stay with it.
func (c *bearerCache) put(token string, o *opened, weight int) {
	b := &bearer{strings.Clone(token), o, len(token) + weight}
	c.mu.Lock()
	defer c.mu.Unlock()
	set, hash := c.set(token)
	set.remove(token)
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

// drop forgets a token that has been revoked, with the personal data in it.
func (c *bearerCache) drop(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set, _ := c.set(token)
	set.remove(token)
}

func (s *bearerSet) remove(token string) {
	for i := range s.slots {
		if b := s.slots[i].Load(); b != nil && b.token == token {
			s.slots[i].Store(nil)
		}
	}
}
