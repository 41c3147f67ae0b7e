package ginauth

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/ginauth/ginauth/internal/seal"
)

// groupsRoom is the number of groups that need no further allocation; most users have no more.
const groupsRoom = 5

// opened is a decoded session. It is immutable, so that requests can share it.
type opened struct {
	session       // its user points to the field below
	user          User
	keys          [4]RevocationKey   // of the session
	notBefore     int64              // an earlier time means a wrong clock; this and the next three in Unix microseconds
	expires       int64              // without a further request
	renewAt       int64              // from when on a request renews the record
	authenticated int64              // user.AuthTime
	oldKey        bool               // sealed under a key that is not the first
	from          sealedText         // the text from which it was opened
	groups        [groupsRoom]string // room for user.Groups
}

// copy returns a session that can be modified or passed to the application. The copy of nil is
// nil.
func (o *opened) copy() *session {
	if o == nil {
		return nil
	}
	s := o.session
	s.user = o.user.clone()
	return &s
}

// read returns the session of a record, or nil if the record has an unknown version or its
// provider is not configured.
func (k *sessions) read(record string, oldKey bool) *opened {
	o := &opened{oldKey: oldKey}
	o.session.user = &o.user
	o.user.Groups = o.groups[:]
	if !k.decode(record, &o.session) {
		return nil
	}
	o.keys = o.session.keys()
	o.notBefore = max(o.created.UnixMicro(), o.lastSeen.UnixMicro()) - leeway.Microseconds()
	o.expires = o.lastSeen.Add(k.remaining(&o.session)).UnixMicro()
	o.renewAt = o.lastSeen.Add(min(k.cfg.IdleTimeout, o.idle) / 10).UnixMicro()
	o.authenticated = o.user.AuthTime.UnixMicro()
	return o
}

// withOldKey returns a copy of the session that must be sealed again: its record is sealed under
// the first key, but its binding cookie is not.
func (o *opened) withOldKey() *opened {
	c := *o
	c.oldKey = true
	return &c
}

// opener returns a function that opens what box sealed, or finds it in the cache.
func (k *sessions) opener(box *seal.Box) func(text, rest, name string) *opened {
	return func(text, rest, name string) *opened {
		from := k.cache.sealed(text, rest, name)
		if o := k.cache.find(&from); o != nil {
			return o
		}
		record, oldKey, err := box.OpenParts(text, rest, name)
		if err != nil {
			return nil
		}
		o := k.read(record, oldKey)
		if o != nil {
			k.cache.put(from, o)
		}
		return o
	}
}

// sessionCacheSize is the number of sessions in the cache, enough for the browsers that return
// within seconds. They take about 1.5 MB.
const sessionCacheSize = 1 << 10

// sessionCache caches sessions by their sealed text: a browser sends the same text with every
// request, and opening it always yields the same session, since the keys do not change while
// the program runs. A lookup takes a tenth of the time of decoding, decrypting and reading.
// Expiry and revocation are checked at every request.
//
// A session is looked up by its complete text, so that no other text finds it. Texts are
// compared only if their hashes, under a seed of this process, are equal, so that the time of a
// lookup reveals nothing about texts that others sent. Readers take no lock. A new session
// replaces the one in its slot.
type sessionCache struct {
	seed  maphash.Seed
	slots [sessionCacheSize]atomic.Pointer[opened]
}

// sealedText holds the arguments of seal.Box.OpenParts.
type sealedText struct {
	hash             uint64 // of text
	text, rest, name string
}

func newSessionCache() *sessionCache { return &sessionCache{seed: maphash.MakeSeed()} }

func (c *sessionCache) sealed(text, rest, name string) sealedText {
	return sealedText{maphash.String(c.seed, text), text, rest, name}
}

// find returns the cached session of a text, or nil.
func (c *sessionCache) find(from *sealedText) *opened {
	if o := c.slots[from.hash%sessionCacheSize].Load(); o != nil && o.from == *from {
		return o
	}
	return nil
}

// put caches a session. The text is copied, since it is part of a header that would be
// retained with it.
func (c *sessionCache) put(from sealedText, o *opened) {
	from.text, from.rest = strings.Clone(from.text), strings.Clone(from.rest)
	o.from = from
	c.slots[from.hash%sessionCacheSize].Store(o)
}

// drop removes an ended session, with its personal data. If another session has taken its slot
// meanwhile, that one must be opened again.
func (c *sessionCache) drop(o *opened) {
	if o != nil {
		c.slots[o.from.hash%sessionCacheSize].Store(nil)
	}
}
