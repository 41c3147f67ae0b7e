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

// login is one successful sign-in. OnLogin assigns its name.
type login struct {
	name, by       string // by is Provider.Name
	provider       int    // machinePage for the application's own page
	acr            string
	authTime       time.Time
	told           bool // whether the provider sent the time of authentication
	issuer, sub    string
	email, sid     string
	created, until time.Time
	issued         time.Time // by the provider
	mark           time.Time // the user's watermark when the session began
	dead           time.Time // until when its sign-out or replacement is remembered
}

// watermark revokes the sessions of a user, and is kept until a time.
type watermark struct{ at, until time.Time }

// record is the stored session of a login. Copies of a device share it if it is on the server,
// and have separate ones if it is in a cookie.
type record struct {
	seen time.Time
	note string // the text that Update wrote
	key  string // that sealed it
	gone bool   // deleted from the server's store
}

// held is the session in the cookies of a device.
type held struct {
	login  *login
	record *record
	bind   string // the key that sealed the binding cookie
}

// pending is a sign-in in progress. Copies share it, since its use is recorded for all of them.
type pending struct {
	state, challenge string
	provider         int
	by, at           string // Provider.Name, and the path at which the response arrives
	created          time.Time
	key              string // the key that sealed its cookie
	linking          *login // the session that requested linking
	note             string // the handler's Data; "" for /login
	round, maxAge    int    // the round of a step-up, or 0; max_age in seconds, or -1
	acr              string // acr_values
	renews           *login // the session that a page rejected
	own              bool   // the application keeps the session
	spent            bool
}

// outcome is the state of a request's session, as far as it can be known.
type outcome int

const (
	nobody outcome = iota
	somebody
	unknowable // a store fails: 503
)

func (w *world) opens(key string) bool { return slices.Contains(w.keys, key) }

// named reports whether the cookies of a device identify its session, so that it can be revoked
// even if the store fails.
func (w *world) named(h *held) bool {
	if h == nil {
		return false
	}
	if w.home.stored {
		return w.opens(h.bind)
	}
	return w.opens(h.record.key)
}

// find returns the session of a device's cookies, without checking revocation.
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

// load is find with a check for revocation.
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

// over reports whether a session has expired, by absolute and idle lifetime, or is from the
// future. Times in whole seconds count from the beginning of the second.
func (w *world) over(h *held) bool {
	now, l := w.now(), h.login
	return now.Sub(h.record.seen) > machineIdle || now.Sub(l.created) > machineLifetime || now.After(l.until) ||
		h.record.seen.Sub(now) > machineLeeway || l.created.Sub(now) > machineLeeway
}

// revoked: a user's mark counts if it is later than at the session's beginning; the provider's
// marks are compared with the provider's time, and equal times revoke.
func (w *world) revoked(l *login) bool {
	before := func(at time.Time, marks map[string]watermark, key string) bool {
		mark := w.watermark(marks, key)
		return !mark.IsZero() && !at.After(mark)
	}
	person := l.issuer + "#" + l.sub
	return !w.forgotten(l.dead) || w.watermark(w.everywhere, person).After(l.mark) || before(l.issued, w.subs, person) || before(l.issued, w.sids, l.issuer+"#"+l.sid)
}

// due reports whether this request rewrites the session: after a tenth of its idle time, or if
// it is sealed under an old key.
func (w *world) due(h *held) bool {
	old := h.record.key != w.keys[0] || w.home.stored && h.bind != w.keys[0]
	return old || w.now().Sub(h.record.seen) >= machineIdle/10
}

// visited is load for a guarded request, which may rewrite the session. On a device that ignores
// the response, only the server's state changes.
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

// erased updates the record when a session ends; ok is false if the store failed.
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

// raise writes a watermark, which is kept as long as a current session can be valid.
func (w *world) raise(marks map[string]watermark, key string, at time.Time) {
	old := marks[key]
	marks[key] = watermark{latest(old.at, at), latest(old.until, w.now().Add(markLife))}
}

// watermark returns the watermark of a key, or the zero time if there is none or it has expired.
func (w *world) watermark(marks map[string]watermark, key string) time.Time {
	if mark := marks[key]; !w.forgotten(mark.until) {
		return mark.at
	}
	return time.Time{}
}

// markLife returns how long a mark is kept.
const markLife = machineIdle + 2*machineLeeway

// forgotten reports whether an entry with a lifetime in whole seconds has expired.
func (w *world) forgotten(until time.Time) bool { return until.Unix() < w.now().Unix() }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// kill applies a sign-out to the session of a device and all copies of its cookies. If the
// session was used while the clock was ahead, the sign-out is kept for longer.
func (w *world) kill(h *held) {
	until := w.now().Add(markLife)
	if ahead := h.record.seen.Sub(w.now()); ahead > 0 && w.readable(h) {
		until = until.Add(ahead)
	}
	h.login.dead = latest(h.login.dead, until)
}

// readable reports whether a sign-out can read the record of a session. In a store it cannot
// read that of a removed provider.
func (w *world) readable(h *held) bool {
	return w.opens(h.record.key) && !(w.home.stored && (h.record.gone || w.store.failRead || !w.known(h.login)))
}
