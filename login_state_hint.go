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

// A missing login cookie is the most frequent failure of all, and the cookie that would explain
// the failure is missing. The state parameter therefore ends with a stamp, authenticated by
// Options.Keys, that records when and how the sign-in began. The stamp only selects the error
// message: whether a response is accepted depends on the cookie.

func stateInvalid(id, reason, fix string) *Error {
	return &Error{Code: ErrStateInvalid, ID: id, Op: "match state", Reason: reason, Fix: fix}
}

// beginning holds what the stamp of a state records of the request that began the sign-in.
type beginning struct {
	at        time.Time
	atBaseURL bool // its host was that of BaseURL
	scheme    scheme
}

// create makes a login state for a request that begins a sign-in.
func (s *loginStates) create(r *http.Request, provider string) *loginState {
	l := newLoginState(provider, s.now())
	var fact [seal.FactSize]byte
	binary.BigEndian.PutUint32(fact[:], uint32(l.created.Unix()))
	if s.atBaseURL(r) { // the stamp does not record which other host
		fact[4] = 1
	}
	fact[5] = byte(schemeOf(r))
	l.stamp = s.stamps.Make(fact, l.secrets[0])
	return l
}

// atBaseURL reports whether the host of a request is that of BaseURL, as far as this process
// can tell.
func (s *loginStates) atBaseURL(r *http.Request) bool { return strings.EqualFold(hostOf(r), s.host) }

// beginningOf reads the stamp of a well-formed state; ok is false if the stamp was not created
// with one of Options.Keys.
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

// missingCookie describes the cookies of a request that has no usable login cookie.
type missingCookie struct {
	cookies int   // of any kind
	others  int   // of other login states
	broken  error // why the login cookie cannot be opened, or nil
}

// keysFix returns the Fix for cookies that cannot be opened. A key that this process generated
// ends with the process; the replicas are then not the cause.
func (c *config) keysFix() string {
	if c.keyMade {
		return "start again; Options.Keys is empty, so each process generates its own key: set Options.Keys (openssl rand -hex 32) to keep sessions across restarts and replicas"
	}
	return "give every replica the same Options.Keys and BaseURL, and keep the old key as the second entry when rotating keys"
}

// explain returns why a response has no login state. It does not guess.
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
	if !s.atBaseURL(r) { // behind a proxy that rewrites Host, the browser's host is unknown
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

// originError returns an error if the sign-in began at an origin where the browser could not
// store the login cookie, or from which it does not send the cookie. Host names are compared
// only if one of the two requests has that of BaseURL: a proxy that rewrites Host does so for
// both.
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

// expiredError returns the error for an expired login state.
func (s *loginStates) expiredError(begun time.Time) *Error {
	if ahead := begun.Sub(s.now()); ahead > leeway {
		return stateInvalid("state.clock", fmt.Sprintf("the sign-in began %v in the future: the clocks of the replicas differ", ahead.Round(time.Second)), "synchronize the clocks of the replicas (NTP)")
	}
	return stateInvalid("state.expired", "the sign-in took longer than 10 minutes", "start again")
}

func usedError() *Error {
	return stateInvalid("state.used", "the response was already used", "start again; a callback URL works only once")
}
