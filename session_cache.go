package ginauth

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ginauth/ginauth/internal/seal"
)

// groupsRoom is how many groups a user may have without a further allocation:
// most people have no more.
const groupsRoom = 5

// opened is a session as its record has it. It never changes, so that requests
// can share it.
type opened struct {
	session // whose user is the one below
	user    User
	keys    [4]RevocationKey   // of the session
	begins  time.Time          // before that it cannot have begun
	ends    time.Time          // when it ends by itself if nothing more is heard of it
	stale   time.Time          // when it is time to write down that it is in use
	old     bool               // sealed under an old key
	from    sealedText         // what it was opened from
	groups  [groupsRoom]string // room for user.Groups
}

// copy is for those who change it, or hand it to the application. Nobody's is
// nobody's.
func (o *opened) copy() *session {
	if o == nil {
		return nil
	}
	s := o.session
	s.user = o.user.clone()
	return &s
}

// read makes a session of its record. What is no record of ours makes none.
func (k *sessions) read(record string, old bool) *opened {
	o := &opened{old: old}
	o.session.user = &o.user
	o.user.Groups = o.groups[:]
	if !k.decode(record, &o.session) {
		return nil
	}
	o.keys = o.session.keys()
	o.begins = later(o.created, o.seen).Add(-leeway)
	o.ends = o.seen.Add(k.left(&o.session))
	o.stale = o.seen.Add(k.cfg.IdleTimeout / 10)
	return o
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sealedAnew is a session that has to be: its record is under the first key, and
// something else of it is not.
func (o *opened) sealedAnew() *opened {
	c := *o
	c.old = true
	return &c
}

// opener is what opens the texts of a box.
func (k *sessions) opener(box *seal.Box) func(text, rest, name string) *opened {
	return func(text, rest, name string) *opened {
		from := k.cache.sealed(text, rest, name)
		if o := k.cache.find(&from); o != nil {
			return o
		}
		record, old, err := box.OpenParts(text, rest, name)
		if err != nil {
			return nil
		}
		o := k.read(record, old)
		if o != nil {
			k.cache.put(from, o)
		}
		return o
	}
}

// sessionCacheSize is how many sessions the cache holds: those of as many
// browsers as come back within seconds, in about 1.5 MB.
const sessionCacheSize = 1 << 10

// sessionCache holds the sessions of sealed texts: a browser sends the same text
// with every request, and opening it gives the same session, until the keys
// change, and they do not while the program runs. To find it again takes a tenth
// of what decoding, decrypting and reading takes. Whether a session has expired
// or was revoked is asked anew each time.
//
// A session is looked up by all of its text, so that nothing but the very text
// that was sealed finds it. Texts are compared only if their hashes agree, under
// a seed of this process: how long it takes tells nothing of what others sent.
// Readers take no lock. A new session takes the slot of the one before.
type sessionCache struct {
	seed  maphash.Seed
	slots [sessionCacheSize]atomic.Pointer[opened]
}

// sealedText is a text and what it opens with: see seal.Box.OpenParts.
type sealedText struct {
	hash             uint64 // of text
	text, rest, name string
}

func newSessionCache() *sessionCache { return &sessionCache{seed: maphash.MakeSeed()} }

func (c *sessionCache) sealed(text, rest, name string) sealedText {
	return sealedText{maphash.String(c.seed, text), text, rest, name}
}

// find returns what put was given with that text, or nil.
func (c *sessionCache) find(from *sealedText) *opened {
	if o := c.slots[from.hash%sessionCacheSize].Load(); o != nil && o.from == *from {
		return o
	}
	return nil
}

// put keeps a session. The text is copied: it is a piece of a header, which
// would stay with it.
func (c *sessionCache) put(from sealedText, o *opened) {
	from.text, from.rest = strings.Clone(from.text), strings.Clone(from.rest)
	o.from = from
	c.slots[from.hash%sessionCacheSize].Store(o)
}

// drop forgets a session that has ended, with the personal data in it. If another
// one has taken its slot meanwhile, that one will be opened again.
func (c *sessionCache) drop(o *opened) {
	if o != nil {
		c.slots[o.from.hash%sessionCacheSize].Store(nil)
	}
}
