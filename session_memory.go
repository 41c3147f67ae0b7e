package ginauth

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"
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
	from    time.Time          // before that it cannot have begun
	to      time.Time          // when it ends by itself if nothing more is heard of it
	stale   time.Time          // when it is time to write down that it is in use
	old     bool               // sealed under an old key
	text    string             // what it was opened from, if it is remembered
	hash    uint64             // of text
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
	if record == "" || !k.decode(record, &o.session) {
		return nil
	}
	o.keys = o.session.keys()
	o.from = later(o.created, o.seen).Add(-leeway)
	o.to = o.seen.Add(k.left(&o.session))
	o.stale = o.seen.Add(k.cfg.IdleTimeout / 10)
	return o
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// memorySize is how many sessions are remembered: those of as many browsers as
// come back within seconds, in about 1.5 MB.
const memorySize = 1 << 10

// memory remembers the sessions that cookies held: a browser sends the same one
// with every request, and what comes of it is always the same, until the keys
// change, and they do not while the program runs. To find it again takes a
// tenth of what decoding, decrypting and reading takes. Whether a session is
// over or revoked is asked anew each time.
//
// A cookie is looked up by all of its text, so that nothing but the very text
// that was sealed finds it. Texts are compared only if their hashes agree, under
// a seed of this process: how long it takes tells nothing of what others sent.
// Readers take no lock. Whoever comes to a place takes it.
type memory struct {
	seed   maphash.Seed
	places [memorySize]atomic.Pointer[opened]
}

func newMemory() *memory { return &memory{seed: maphash.MakeSeed()} }

// find returns what put was given with that text, or nil; for "" too.
func (m *memory) find(text string) *opened {
	if text == "" {
		return nil
	}
	hash := maphash.String(m.seed, text)
	if o := m.places[hash%memorySize].Load(); o != nil && o.hash == hash && o.text == text {
		return o
	}
	return nil
}

// put remembers a session, unless its text is "". The text is copied: it is a piece of a header, which
// would stay with it.
func (m *memory) put(text string, o *opened) {
	if text == "" {
		return
	}
	o.text, o.hash = strings.Clone(text), maphash.String(m.seed, text)
	m.places[o.hash%memorySize].Store(o)
}

// drop forgets a session that is over, with the personal data in it.
func (m *memory) drop(o *opened) {
	if o != nil {
		m.places[o.hash%memorySize].CompareAndSwap(o, nil)
	}
}
