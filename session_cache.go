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
		from := k.memory.sealed(text, rest, name)
		if o := k.memory.find(&from); o != nil {
			return o
		}
		record, old, err := box.OpenParts(text, rest, name)
		if err != nil {
			return nil
		}
		o := k.read(record, old)
		if o != nil {
			k.memory.put(from, o)
		}
		return o
	}
}

// memorySize is how many sessions are remembered: those of as many browsers as
// come back within seconds, in about 1.5 MB.
const memorySize = 1 << 10

// memory remembers the sessions that sealed texts held: a browser sends the same
// one with every request, and what comes of it is always the same, until the
// keys change, and they do not while the program runs. To find it again takes a
// tenth of what decoding, decrypting and reading takes. Whether a session is
// over or revoked is asked anew each time.
//
// A session is looked up by all of its text, so that nothing but the very text
// that was sealed finds it. Texts are compared only if their hashes agree, under
// a seed of this process: how long it takes tells nothing of what others sent.
// Readers take no lock. Whoever comes to a place takes it.
type memory struct {
	seed   maphash.Seed
	places [memorySize]atomic.Pointer[opened]
}

// sealedText is a text and what it opens with: see seal.Box.OpenParts.
type sealedText struct {
	hash             uint64 // of text
	text, rest, name string
}

func newMemory() *memory { return &memory{seed: maphash.MakeSeed()} }

func (m *memory) sealed(text, rest, name string) sealedText {
	return sealedText{maphash.String(m.seed, text), text, rest, name}
}

// find returns what put was given with that text, or nil.
func (m *memory) find(from *sealedText) *opened {
	if o := m.places[from.hash%memorySize].Load(); o != nil && o.from == *from {
		return o
	}
	return nil
}

// put remembers a session. The text is copied: it is a piece of a header, which
// would stay with it.
func (m *memory) put(from sealedText, o *opened) {
	from.text, from.rest = strings.Clone(from.text), strings.Clone(from.rest)
	o.from = from
	m.places[from.hash%memorySize].Store(o)
}

// drop forgets a session that is over, with the personal data in it, or whatever
// has taken its place meanwhile, which is opened again then.
func (m *memory) drop(o *opened) {
	if o != nil {
		m.places[o.from.hash%memorySize].Store(nil)
	}
}
