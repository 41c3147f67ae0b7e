package ginauth

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/seal"
)

// A response whose login cookie is missing is the most frequent failure of all,
// and the cookie that would explain it is what is missing. So the state parameter
// ends with a stamp, authenticated by Options.Keys, that says when and how the
// sign-in began. It chooses messages and nothing else: whether a response is
// accepted depends on the cookie.

func stateInvalid(id, reason, fix string) *Error {
	return &Error{Code: ErrStateInvalid, ID: id, Op: "match state", Reason: reason, Fix: fix}
}

// beginning is what the stamp of a state says of the request that began the
// sign-in.
type beginning struct {
	at        time.Time
	atBaseURL bool // it asked for BaseURL's host
	scheme    scheme
}

// create makes a login state for a request that begins a sign-in.
func (s *loginStates) create(r *http.Request, provider string) *loginState {
	l := newLoginState(provider, s.now())
	var fact [seal.FactSize]byte
	binary.BigEndian.PutUint32(fact[:], uint32(l.created.Unix()))
	if s.atBaseURL(r) { // of another host, the stamp does not say which
		fact[4] = 1
	}
	fact[5] = byte(schemeOf(r))
	l.stamp = s.stamps.Make(fact, l.secrets[0])
	return l
}

// atBaseURL reports whether a request asks for BaseURL's host, as far as this
// process can know.
func (s *loginStates) atBaseURL(r *http.Request) bool { return strings.EqualFold(hostOf(r), s.host) }

// beginningOf reads the stamp of a state that has the right form; ok is false if
// it was not made with one of Options.Keys.
func (s *loginStates) beginningOf(state string) (b beginning, ok bool) {
	var secret [secretSize]byte
	var stamp [seal.StampSize]byte
	const at = stateLength - 16
	if _, err := base64.RawURLEncoding.Strict().Decode(secret[:], []byte(state[handleLength+1:at-1])); err != nil {
		return b, false
	}
	if _, err := base64.RawURLEncoding.Decode(stamp[:], []byte(state[at:])); err != nil {
		return b, false
	}
	fact, ok := s.stamps.Read(stamp, secret)
	return beginning{at: time.Unix(int64(binary.BigEndian.Uint32(fact[:])), 0), atBaseURL: fact[4] == 1, scheme: scheme(fact[5])}, ok
}

// missingCookie is what a request has in place of the login state's cookie.
type missingCookie struct {
	cookies int   // of any kind
	others  int   // of other login states
	broken  error // why the right one does not open, or nil
}

// keysFix says what to do about cookies that do not open. A key that this process
// made ends with it: nothing is wrong with the replicas.
func (c *config) keysFix() string {
	if c.keyMade {
		return "start again; Options.Keys is empty, so each process generates its own key: set Options.Keys (openssl rand -hex 32) to keep sessions across restarts and replicas"
	}
	return "give every replica the same Options.Keys and BaseURL, and keep the old key as the second entry when rotating keys"
}

// explain tells, without guessing, why there is no login state for a response.
func (s *loginStates) explain(r *http.Request, at *callbackPath, state string, missing missingCookie) error {
	begun, ours := s.beginningOf(state)
	switch {
	case errors.Is(missing.broken, seal.ErrKey):
		return stateInvalid("state.other_key", "the login cookie was sealed with another key", s.keysFix)
	case errors.Is(missing.broken, errCookieVersion):
		return stateInvalid("state.other_version", "the login cookie was written by another version of ginauth", "run the same version on every replica, and start again")
	case missing.broken != nil:
		return stateInvalid("state.cookie_altered", "the login cookie was altered or truncated in transit", "check for a proxy or a browser extension that changes cookies")
	case !ours:
		return stateInvalid("state.not_authentic", "the state was not sealed with the current keys: Options.Keys differ between replicas or have changed, or the state is forged", s.keysFix)
	case s.expired(begun.at):
		return s.expiredError(begun.at)
	case s.failed.value(r) == state[:handleLength]:
		return usedError()
	}
	if e := s.originError(r, at, begun); e != nil {
		return e
	}
	elsewhere := "in another browser"
	if !s.atBaseURL(r) { // a proxy writes another, and did so before
		elsewhere += " or on another host name"
	}
	fix := "start again; if every sign-in ends like this, check whether cookies are blocked or a proxy drops Set-Cookie"
	if s.jar.Secure && schemeOf(r) == unknownScheme {
		fix += ", or the browser uses http, over which it rejects Secure cookies"
	}
	switch {
	case missing.others > 0:
		return stateInvalid("state.cookie_missing_others", "the login cookie is missing, but those of other sign-ins were sent: the sign-in was already finished, displaced by five newer ones, or begun "+elsewhere, "start again")
	case missing.cookies > 0:
		return stateInvalid("state.cookie_missing", "the login cookie is missing, but other cookies were sent: the sign-in was already finished, its cookie was blocked, or it was begun "+elsewhere, fix)
	}
	return stateInvalid("state.no_cookies", "the browser sent no cookies: cookies are blocked, or the sign-in was begun "+elsewhere, fix)
}

// originError reports a sign-in that began where the browser could not keep its
// cookie, or does not send it from. Host names decide only if one of the two
// requests came to BaseURL's: a proxy that writes another Host does so both times.
func (s *loginStates) originError(r *http.Request, at *callbackPath, begun beginning) *Error {
	scheme := "http"
	if s.jar.Secure {
		scheme = "https"
	}
	base := scheme + "://" + s.host
	switch here := s.atBaseURL(r); {
	case s.jar.Secure && begun.scheme == overHTTP:
		return stateInvalid("state.began_over_http", "the sign-in began over http according to the proxy, but BaseURL is https: browsers reject Secure cookies over http",
			"redirect http to https at the proxy; if it does so already, correct its X-Forwarded-Proto header")
	case s.jar.Secure && begun.scheme == unknownScheme && schemeOf(r) == overHTTPS:
		return stateInvalid("state.began_without_tls", "the sign-in began without TLS, and the response arrived over https, the scheme of BaseURL: browsers reject Secure cookies over http", "open the application at "+base)
	case here && !begun.atBaseURL:
		return stateInvalid("state.other_host", "the sign-in began on a different host than BaseURL: cookies belong to one host", "open the application at "+base+", and redirect other host names to it")
	case !here && otherLoopback(r.Host, s.host):
		return stateInvalid("state.answered_at_other_host", "the response arrived at "+scheme+"://"+r.Host+", but BaseURL is "+base+": cookies belong to one host", "register exactly this redirect URI at the provider, and remove those with another loopback name: "+at.uri)
	}
	return nil
}

// expiredError says what is wrong with a login state that has expired.
func (s *loginStates) expiredError(begun time.Time) *Error {
	if ahead := begun.Sub(s.now()); ahead > leeway {
		return stateInvalid("state.clock", fmt.Sprintf("the sign-in began %v in the future: the clocks of the replicas differ", ahead.Round(time.Second)), "synchronize the clocks of the replicas (NTP)")
	}
	return stateInvalid("state.expired", "the sign-in took longer than 10 minutes", "start again")
}

func usedError() *Error {
	return stateInvalid("state.used", "the response was already used", "start again; a callback URL works only once")
}
