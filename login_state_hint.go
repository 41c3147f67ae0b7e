package ginauth

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/seal"
)

// An answer without its attempt's cookie is the most frequent trouble of all,
// and the cookie that would say why is what is missing. So the state says, in
// words of ours that a key attests, when and how the attempt was begun. This is
// for messages: what is accepted hangs on the cookie.

func stateInvalid(reason, fix string) *Error {
	return &Error{Code: ErrStateInvalid, Op: "match state", Reason: reason, Fix: fix}
}

// note is how an attempt was begun.
type note struct {
	begun time.Time
	home  bool // at BaseURL's host
	over  scheme
}

// begin makes an attempt, with a note of how its request came.
func (s *attempts) begin(r *http.Request, provider string) *attempt {
	a := newAttempt(provider, s.now())
	var fact [seal.FactSize]byte
	binary.BigEndian.PutUint32(fact[:], uint32(a.created.Unix()))
	if strings.EqualFold(hostOf(r), s.home) { // which other one is nobody's business
		fact[4] = 1
	}
	fact[5] = byte(schemeOf(r))
	a.note = s.notes.Make(fact, a.secrets[0])
	return a
}

// read returns the note of a state of the right form; ours is false where none
// of our keys made it.
func (s *attempts) read(state string) (n note, ours bool) {
	var secret [secretSize]byte
	var stamp [seal.StampSize]byte
	const at = stateLength - 16
	if _, err := base64.RawURLEncoding.Strict().Decode(secret[:], []byte(state[handleLength+1:at-1])); err != nil {
		return n, false
	}
	if _, err := base64.RawURLEncoding.Decode(stamp[:], []byte(state[at:])); err != nil {
		return n, false
	}
	fact, ours := s.notes.Read(stamp, secret)
	return note{begun: time.Unix(int64(binary.BigEndian.Uint32(fact[:])), 0), home: fact[4] == 1, over: scheme(fact[5])}, ours
}

// sighting is what a request had in place of the attempt's cookie.
type sighting struct {
	cookies int   // of any kind
	others  int   // of other attempts
	broken  error // why the attempt's own does not open
}

const sameKeys = "give every replica the same Options.Keys and BaseURL, and keep the old key in second place when changing it"

// diagnose tells, without guessing, why there is no attempt for a state.
func (s *attempts) diagnose(r *http.Request, provider, state string, seen sighting) error {
	n, ours := s.read(state)
	age := s.now().Sub(n.begun)
	switch {
	case errors.Is(seen.broken, seal.ErrKey):
		return stateInvalid("the attempt's cookie was sealed under another key", sameKeys)
	case seen.broken != nil:
		return stateInvalid("the attempt's cookie was altered or cut on its way", "look for a proxy or an extension that changes cookies")
	case !ours:
		return stateInvalid("the answer's state was not made with our keys: they differ between replicas or changed, or somebody made it up", sameKeys)
	case age > attemptLife || age < -leeway:
		return s.untimely(n.begun)
	case s.hasFailed(r, state[:handleLength]):
		return usedAlready()
	}
	if e := s.strayed(r, provider, n); e != nil {
		return e
	}
	elsewhere := "in another browser"
	if !strings.EqualFold(hostOf(r), s.home) { // a proxy writes another, and did so before
		elsewhere += " or on another host name"
	}
	fix := "start again; if this is every sign-in's end, see whether cookies are blocked, or a proxy drops Set-Cookie"
	if s.jar.Secure && schemeOf(r) == unsaid {
		fix += "; or the browser is on http all along, where it keeps no Secure cookie"
	}
	switch {
	case seen.others > 0:
		return stateInvalid("the browser has other sign-ins under way, but not this one: it ended here before, was pushed out by five newer ones, or was begun "+elsewhere, "start again")
	case seen.cookies > 0:
		return stateInvalid("the browser sent cookies, but none of this sign-in: it ended here before, its cookie was not kept, or it was begun "+elsewhere, fix)
	}
	return stateInvalid("the browser sent no cookie at all: cookies are blocked, or the sign-in was begun "+elsewhere, fix)
}

// strayed says whether an attempt was begun where its cookie could not be kept,
// or not be sent back from. Hosts are compared where the answer came to BaseURL's:
// a proxy that writes another Host would have done so both times.
func (s *attempts) strayed(r *http.Request, provider string, n note) *Error {
	scheme := "http"
	if s.jar.Secure {
		scheme = "https"
	}
	home := scheme + "://" + s.home
	switch here := strings.EqualFold(hostOf(r), s.home); {
	case s.jar.Secure && n.over == overHTTP:
		return stateInvalid("the sign-in began over http, as the proxy in front says, and BaseURL is https: a browser keeps no Secure cookie from http",
			"have the proxy send people to https; if it does, have it write X-Forwarded-Proto as the browser asked")
	case s.jar.Secure && n.over == unsaid && schemeOf(r) == overHTTPS:
		return stateInvalid("the sign-in came here without TLS, and no proxy said that there was any; its answer came over https, as BaseURL is: a browser keeps no Secure cookie from http", "open the application at "+home)
	case here && !n.home:
		return stateInvalid("the sign-in was begun at another host name than BaseURL's, where its cookie stayed: cookies are per host", "open the application at "+home+", and send visits to other names there")
	case !here && otherLoopback(r.Host, s.home):
		return stateInvalid("the answer came to "+scheme+"://"+r.Host+", and BaseURL is "+home+": cookies are per host", "register this redirect URI at the provider, exactly, and no other loopback name's: "+s.answer+provider)
	}
	return nil
}

// untimely is what is wrong with an attempt that did not begin within its life.
func (s *attempts) untimely(begun time.Time) *Error {
	if ahead := begun.Sub(s.now()); ahead > leeway {
		return stateInvalid(fmt.Sprintf("the sign-in began %v ahead of this machine's clock: the clocks of replicas differ", ahead.Round(time.Second)), "set their clocks (NTP)")
	}
	return stateInvalid("the sign-in took longer than 10 minutes", "start again")
}

func usedAlready() *Error {
	return stateInvalid("this answer was used already", "start again; do not open an answer's address twice")
}

// setFailed remembers in the browser that this attempt has failed: its address stays
// in the address bar, and people reload it. A hint, which nothing hangs on.
func (s *attempts) setFailed(w http.ResponseWriter, a *attempt) {
	s.jar.Set(w.Header(), s.failed, a.handle, attemptLife)
}

func (s *attempts) hasFailed(r *http.Request, handle string) bool {
	for _, value := range cookie.Values(r.Header, s.failed, 1) {
		return value == handle
	}
	return false
}
