package model

import (
	"slices"
	"time"
)

const (
	machineLifetime = 7 * 24 * time.Hour
	machineIdle     = 24 * time.Hour
	machineLeeway   = time.Minute
	attemptMinutes  = 10 * time.Minute
	keysCooldown    = 15 * time.Second
)

// login is one sign-in that succeeded. Its name is what OnLogin called it.
type login struct {
	name, by       string // by is Provider.Name
	provider       int    // machinePage for the application's own page
	acr            string
	authTime       time.Time
	told           bool // by the provider, when the person authenticated
	issuer, sub    string
	email, sid     string
	created, until time.Time
	issued         time.Time // by the provider
	mark           time.Time // its person's, when it began
	dead           time.Time // until when it is remembered that it was signed out or replaced
}

// watermark is what the sessions of somebody end by until a time.
type watermark struct{ at, until time.Time }

// record is what is kept of a login. Copies of a device share it if it is kept
// on the server, and have one each if it is in a cookie.
type record struct {
	seen time.Time
	note string // what Update wrote
	key  string // that sealed it
	gone bool   // from the server's store
}

// held is the session that a device has the cookies of.
type held struct {
	login  *login
	record *record
	bind   string // the key that sealed the binding cookie
}

// pending is a sign-in under way. Copies share it: that it is spent is known to
// all of them.
type pending struct {
	state, challenge string
	provider         int
	by, at           string // Provider.Name, and where the answer arrives
	created          time.Time
	key              string // that sealed its cookie
	linking          *login // who asked to link
	note             string // what the handler that began it put into Data; "" by /login
	round, maxAge    int    // of a demand; 0 without one. In seconds; -1 if not asked for
	acr              string // acr_values
	renews           *login // whose session a page refused
	own              bool   // the application keeps the session
	spent            bool
}

// outcome is who a request comes from, as far as it can be known.
type outcome int

const (
	nobody outcome = iota
	somebody
	unknowable // a store fails: 503
)

func (w *world) opens(key string) bool { return slices.Contains(w.keys, key) }

// named says whether the cookies of a device name its session, so that it can
// be revoked, whatever the store does.
func (w *world) named(h *held) bool {
	if h == nil {
		return false
	}
	if w.home.stored {
		return w.opens(h.bind)
	}
	return w.opens(h.record.key)
}

// find is who a device's cookies are of, by their own account.
func (w *world) find(h *held) outcome {
	switch {
	case !w.named(h):
		return nobody
	case w.home.stored && w.store.failRead:
		return unknowable
	case h.record.gone || !w.opens(h.record.key) || w.over(h) || !w.known(h.login):
		return nobody
	}
	return somebody
}

// load is find, and knows what was signed out.
func (w *world) load(h *held) outcome {
	switch found := w.find(h); {
	case found != somebody:
		return found
	case w.marks.failRead:
		return unknowable
	case w.revoked(h.login):
		return nobody
	}
	return somebody
}

// over: absolute and idle lifetime, and nothing from the future. What is kept
// in whole seconds counts from the second's beginning.
func (w *world) over(h *held) bool {
	now, l := w.now(), h.login
	return now.Sub(h.record.seen) > machineIdle || now.Sub(l.created) > machineLifetime || now.After(l.until) ||
		h.record.seen.Sub(now) > machineLeeway || l.created.Sub(now) > machineLeeway
}

// revoked: a person's mark, if it is higher than at the session's beginning; the
// provider's marks are compared with the provider's time, and a tie is dead.
func (w *world) revoked(l *login) bool {
	before := func(at time.Time, marks map[string]watermark, key string) bool {
		mark := w.watermark(marks, key)
		return !mark.IsZero() && !at.After(mark)
	}
	person := l.issuer + "#" + l.sub
	return !w.forgotten(l.dead) || w.watermark(w.everywhere, person).After(l.mark) || before(l.issued, w.subs, person) || before(l.issued, w.sids, l.issuer+"#"+l.sid)
}

// due says whether a session is written again at this request: after a tenth of
// its idle time, or when it is sealed under an old key.
func (w *world) due(h *held) bool {
	old := h.record.key != w.keys[0] || w.home.stored && h.bind != w.keys[0]
	return old || w.now().Sub(h.record.seen) >= machineIdle/10
}

// visited is load of a request that is guarded, which may write the session
// again. On a device that keeps nothing of the answer, only what is on the
// server changes.
func (w *world) visited(h *held, keeps bool) outcome {
	who := w.load(h)
	if who != somebody || !w.due(h) {
		return who
	}
	if w.home.stored && w.store.failWrite {
		return unknowable
	}
	if keeps || w.home.server {
		w.written(h)
	}
	if keeps {
		h.bind = w.keys[0]
	}
	return somebody
}

func (w *world) written(h *held) {
	h.record.seen, h.record.key = seconds(w.now()), w.keys[0]
}

// erased is what happens to the record when a session ends; ok is false if the
// store did not do it.
func (w *world) erased(h *held) (ok bool) {
	switch {
	case !w.home.stored || !w.named(h):
		return true
	case w.store.failRead:
		return false
	case h.record.gone || !w.opens(h.record.key):
		return true
	case w.store.failWrite:
		return false
	}
	h.record.gone = w.home.server
	return true
}

func (w *world) overAttempt(a *pending) bool {
	age := w.now().Sub(seconds(a.created))
	return age > attemptMinutes || age < -machineLeeway
}

func seconds(t time.Time) time.Time { return t.Truncate(time.Second) }

// raise makes a watermark, which is kept for as long as a session of today can live.
func (w *world) raise(marks map[string]watermark, key string, at time.Time) {
	old := marks[key]
	marks[key] = watermark{latest(old.at, at), latest(old.until, w.now().Add(markLife))}
}

// watermark is that of a key, the zero time if there is none or it has expired.
func (w *world) watermark(marks map[string]watermark, key string) time.Time {
	if mark := marks[key]; !w.forgotten(mark.until) {
		return mark.at
	}
	return time.Time{}
}

// markLife is how long a mark is kept.
const markLife = machineIdle + 2*machineLeeway

// forgotten says whether something is over that is kept in whole seconds.
func (w *world) forgotten(until time.Time) bool { return until.Unix() < w.now().Unix() }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// kill is what a sign-out does to the session of a device, wherever else its cookies
// are. If the session was seen by a clock ahead of today's, it is remembered for
// longer.
func (w *world) kill(h *held) {
	until := w.now().Add(markLife)
	if ahead := h.record.seen.Sub(w.now()); ahead > 0 && w.readable(h) {
		until = until.Add(ahead)
	}
	h.login.dead = latest(h.login.dead, until)
}

// readable says whether a sign-out sees the record of a session. In a store it does not
// see that of a provider which was removed.
func (w *world) readable(h *held) bool {
	return w.opens(h.record.key) && !(w.home.stored && (h.record.gone || w.store.failRead || !w.known(h.login)))
}
