package ginauth

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
)

// A browser that signs in so often within so short a time, and still has no
// session, is sent round and round by machines. A round is five redirects and
// those inside the provider, and browsers give up after 20, some after 16: a
// third round would end on their error page, which says nothing.
const (
	loopMost   = 2
	loopWindow = 10 * time.Second
)

// loops counts the sign-ins of a browser in a cookie of its own, which says how
// many there were and when the first one was. Whoever forges it is shown a page
// that explains a loop, or is not.
type loops struct {
	jar    cookie.Jar
	cookie string
	now    func() time.Time
}

// count returns how many sign-ins the window has so far, and when it began.
func (k *loops) count(r *http.Request) (n int, since time.Time) {
	now := k.now()
	for _, value := range cookie.Values(r.Header, k.cookie, 1) {
		count, began, _ := strings.Cut(value, ".")
		n, _ := strconv.Atoi(count)
		ms, _ := strconv.ParseInt(began, 10, 64)
		at := time.UnixMilli(ms)
		if !at.After(now) && now.Sub(at) < loopWindow {
			return n, at
		}
	}
	return 0, now
}

// add counts a sign-in.
func (k *loops) add(w http.ResponseWriter, r *http.Request) {
	n, since := k.count(r)
	k.jar.Set(w.Header(), k.cookie, strconv.Itoa(n+1)+"."+strconv.FormatInt(since.UnixMilli(), 10), loopWindow)
}

// reset forgets the sign-ins of a browser that signs out: it had a session.
func (k *loops) reset(w http.ResponseWriter, r *http.Request) {
	if len(cookie.Values(r.Header, k.cookie, 1)) > 0 {
		k.jar.Expire(w.Header(), k.cookie)
	}
}

// looping refuses a sign-in of a browser that had enough of them and has no
// session to show for it, and says why the session does not come back. A
// session that was revoked does come back: that is no loop.
func (a *Auth) looping(w http.ResponseWriter, r *http.Request, at *attempt) error {
	n, _ := a.loops.count(r)
	if n < loopMost {
		return nil
	}
	if s, err := a.sessions.open(w, r, a.cfg.Now()); s != nil || err != nil {
		return nil // what is wrong with the store, the sign-in itself will say
	}
	e := &Error{Code: ErrLoginLoop, Op: "begin sign-in", Provider: at.provider, retry: a.LoginURL(at.provider, at.returnTo)}
	ids, some := a.sessions.home.ids(w, r)
	why := ""
	switch {
	case len(ids) > 0:
		why, e.Fix = "its session cookie opens, but the session is not there or over", "give every replica the same session store, and clocks that agree"
	case some:
		why = "its session cookie does not open, or came without the other one that belongs to it"
		e.Fix = "give every replica the same Options.Keys and Options.BaseURL; if they have, look in the browser's developer tools for a cookie that is refused"
	default:
		why = "it sends other cookies of ours, but never the one of the session"
		e.Fix = "look at the answer of /authorize in the browser's developer tools: they say why a cookie is refused; a proxy that cuts long header lines, or keeps one Set-Cookie line of several, does it too"
	}
	e.Reason = fmt.Sprintf("this browser signed in %d times within %d seconds, and is sent to sign in again: %s", n, loopWindow/time.Second, why)
	return e
}
