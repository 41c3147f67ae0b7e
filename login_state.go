package ginauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	attemptLife    = 10 * time.Minute
	attemptsMost   = 5       // live at a time in one browser
	attemptsRoom   = 6 << 10 // bytes of their cookies: proxies take 8 KB of a header line
	attemptsTried  = 8 * attemptsMost
	attemptVersion = 2
	handleSize     = 6 // bytes
	handleLength   = 8 // characters
	secretSize     = 32
	stateLength    = 8 + 1 + 43 + 1 + 16 // handle, secret and note, with dots between
)

// attempt is one login attempt: what must survive the trip to the provider.
// It lives in a sealed cookie of its own, named after its state, so that
// attempts in several tabs are not in each other's way and none touches a
// session. The state names the cookie and holds a secret that must equal the
// sealed one: it binds the answer to this browser (RFC 9700, section 4.7.1).
// The note at its end is for when no cookie comes back: see login_state_hint.go.
type attempt struct {
	handle    string // names the cookie
	secrets   [3][secretSize]byte
	note      [seal.StampSize]byte // how it was begun
	provider  string
	print     fingerprint // of what the provider was at the start
	created   time.Time
	returnTo  string
	maxAge    int    // seconds; -1: not asked for
	acr       string // acr_values asked for
	linkingOf string // id of the session that asked to link, or ""
}

// newAttempt draws all of an attempt's randomness at once.
func newAttempt(provider string, now time.Time) *attempt {
	a := &attempt{provider: provider, created: now, maxAge: -1}
	var random [handleSize + len(a.secrets)*secretSize]byte
	rand.Read(random[:])
	a.handle = base64.RawURLEncoding.EncodeToString(random[:handleSize])
	for i := range a.secrets {
		copy(a.secrets[i][:], random[handleSize+i*secretSize:])
	}
	return a
}

func (a *attempt) secret(i int) string {
	var b [64]byte
	return string(a.appendSecret(b[:0], i))
}

func (a *attempt) appendSecret(b []byte, i int) []byte {
	return base64.RawURLEncoding.AppendEncode(b, a.secrets[i][:])
}

// state is what goes to the provider and must come back.
func (a *attempt) state() string {
	var b [stateLength]byte
	return string(a.appendState(b[:0]))
}

func (a *attempt) appendState(b []byte) []byte {
	b = append(append(b, a.handle...), '.')
	b = append(a.appendSecret(b, 0), '.')
	return base64.RawURLEncoding.AppendEncode(b, a.note[:])
}

// nonce ties the ID token to this attempt.
func (a *attempt) nonce() string { return a.secret(1) }

// verifier is PKCE's code_verifier: 43 characters (RFC 7636, section 4.1).
func (a *attempt) verifier() string { return a.secret(2) }

// appendQuery appends what an authorization request has of the attempt, with
// the S256 challenge of the verifier: BASE64URL(SHA256(ASCII(code_verifier)))
// (RFC 7636, section 4.2). Nothing in it has to be escaped.
func (a *attempt) appendQuery(b []byte, nonce, challenge bool) []byte {
	b = a.appendState(append(b, "&state="...))
	if nonce {
		b = a.appendSecret(append(b, "&nonce="...), 1)
	}
	if challenge {
		var verifier [64]byte
		sum := sha256.Sum256(a.appendSecret(verifier[:0], 2))
		b = append(b, "&code_challenge_method=S256&code_challenge="...)
		b = base64.RawURLEncoding.AppendEncode(b, sum[:])
	}
	return b
}

func (a *attempt) encode() []byte {
	b := append(make([]byte, 0, 256), attemptVersion)
	for i := range a.secrets {
		b = append(b, a.secrets[i][:]...)
	}
	b = append(b, a.note[:]...)
	b = append(b, a.print.theirs[:]...)
	b = append(b, a.print.ours[:]...)
	b = wire.AppendString(b, a.provider)
	b = wire.AppendTime(b, a.created)
	b = wire.AppendString(b, a.returnTo)
	b = wire.AppendUint(b, uint64(a.maxAge+1))
	b = wire.AppendString(b, a.acr)
	return wire.AppendString(b, a.linkingOf)
}

func decodeAttempt(plain, handle string) (*attempt, bool) {
	r := wire.NewReader(plain)
	if r.Bytes(1) != string(rune(attemptVersion)) {
		return nil, false
	}
	a := &attempt{handle: handle}
	for i := range a.secrets {
		copy(a.secrets[i][:], r.Bytes(secretSize))
	}
	copy(a.note[:], r.Bytes(len(a.note)))
	copy(a.print.theirs[:], r.Bytes(len(a.print.theirs)))
	copy(a.print.ours[:], r.Bytes(len(a.print.ours)))
	a.provider = r.String()
	a.created = r.Time()
	a.returnTo = r.String()
	a.maxAge = int(r.Uint()) - 1
	a.acr = r.String()
	a.linkingOf = r.String()
	return a, r.OK()
}

// fingerprint is what must not have changed while the browser was gone: who the
// provider is (RFC 9700, section 4.4.2), and who we are there.
type fingerprint struct{ theirs, ours [8]byte }

func (c *client) fingerprint(tokenURL string) fingerprint {
	p := &c.provider
	return fingerprint{theirs: digest(p.Issuer, p.Namespace, tokenURL), ours: digest(p.ClientID, c.redirectURI)}
}

func digest(parts ...string) [8]byte {
	sum := sha256.Sum256(wire.AppendStrings(nil, parts))
	return [8]byte(sum[:8])
}

// attempts is where login attempts are kept: in the browser, sealed.
type attempts struct {
	box    *seal.Box
	notes  *seal.Stamps
	jar    cookie.Jar
	prefix string // of the cookies' names
	failed string // name of the cookie that says which attempt failed last
	home   string // host of BaseURL
	answer string // redirect URIs, up to the provider's name
	now    func() time.Time
	once   func(r *http.Request, key RevocationKey, ttl time.Duration) (bool, error)
}

// save seals an attempt into its cookie. A browser holds five at most, and 6 KB
// of them, since other sites can begin some: the oldest make room, and those
// that are over go. A cookie that does not open is
// left alone: it may be another application's.
func (s *attempts) save(w http.ResponseWriter, r *http.Request, a *attempt) error {
	var live []*attempt
	s.each(r, func(name string, old *attempt) {
		if s.over(old) {
			s.jar.Expire(w.Header(), name)
		} else {
			live = append(live, old)
		}
	})
	slices.SortFunc(live, func(x, y *attempt) int { return y.created.Compare(x.created) })
	name := s.prefix + a.handle
	text := s.box.Seal(a.encode(), name)
	room := attemptsRoom - len(name) - len(text)
	for i, old := range live {
		room -= len(name) + seal.Size(len(old.encode()))
		if i >= attemptsMost-1 || room < 0 {
			s.jar.Expire(w.Header(), s.prefix+old.handle)
		}
	}
	if len(name)+len(text) > cookieLimit {
		return &Error{Code: ErrSessionError, Op: "begin sign-in", Provider: a.provider, Reason: "the login attempt does not fit into a cookie",
			Fix: "shorten the return path or the parameters passed on"}
	}
	s.jar.Set(w.Header(), name, text, attemptLife)
	return nil
}

// each opens the attempts of a request: as many as a browser may have by
// accident (twenty tabs that are restored at once), not as many as fit into a
// header.
func (s *attempts) each(r *http.Request, visit func(name string, a *attempt)) {
	tried := 0
	cookie.Each(r.Header, s.prefix, func(name, value string) {
		if tried++; tried > attemptsTried {
			return
		}
		if a, err := s.open(name, value); err == nil {
			visit(name, a)
		}
	})
}

func (s *attempts) open(name, value string) (*attempt, error) {
	plain, _, err := s.box.Open(value, name)
	if err != nil {
		return nil, err
	}
	a, ok := decodeAttempt(plain, strings.TrimPrefix(name, s.prefix))
	if !ok {
		return nil, errors.New("the login attempt is of another version")
	}
	return a, nil
}

func (s *attempts) over(a *attempt) bool {
	age := s.now().Sub(a.created)
	return age > attemptLife || age < -leeway
}

// take finds the attempt that an answer belongs to, and uses it up: its cookie
// is expired and its state spent before anything else happens, so that nothing
// can redeem an answer twice. Every failure is state_invalid to the outside;
// the reason, which the log gets, tells them apart. An attempt that was found
// is returned with the failure too: starting again should lead where it did.
func (s *attempts) take(w http.ResponseWriter, r *http.Request, provider, state string) (*attempt, error) {
	a, err := s.match(r, provider, state)
	if err != nil {
		return nil, err
	}
	s.jar.Expire(w.Header(), s.prefix+a.handle)
	first, err := s.once(r, revocationKey(spentState, state), attemptLife+2*leeway)
	switch {
	case err != nil:
		return a, &Error{Code: ErrStoreUnavailable, Op: "spend state", Err: err, retryAfter: retryMost,
			Reason: "it cannot be known whether this answer was used before"}
	case !first:
		return a, usedAlready()
	case s.over(a):
		return a, s.untimely(a.created)
	case a.provider != provider:
		return a, stateInvalid("the answer to a sign-in with one provider came to the callback of another", "check the redirect URIs registered at the providers")
	}
	return a, nil
}

// match finds the cookie that a state names and compares the state with the
// sealed one.
func (s *attempts) match(r *http.Request, provider, state string) (*attempt, error) {
	if !stateForm(state) {
		reason := "the answer's state is not one of ours"
		if state == "" {
			reason = "there is no state: this is not a provider's answer"
		}
		return nil, stateInvalid(reason, "sign-ins must begin at /login")
	}
	name := s.prefix + state[:handleLength]
	var found *attempt
	var seen sighting
	copies := 0
	seen.cookies = cookie.Each(r.Header, s.prefix, func(n, value string) {
		if n != name {
			seen.others++
			return
		}
		if copies++; copies > copiesMost {
			return
		}
		if a, err := s.open(n, value); err == nil {
			found = a
		} else {
			seen.broken = err
		}
	})
	if found == nil {
		return nil, s.diagnose(r, provider, state, seen)
	}
	if subtle.ConstantTimeCompare([]byte(state), []byte(found.state())) != 1 {
		return nil, stateInvalid("the answer's state is not the one that was sent", "start again")
	}
	return found, nil
}

// stateForm says whether a state looks like ours.
func stateForm(state string) bool {
	const secret, note = handleLength + 1, stateLength - 16
	return len(state) == stateLength && state[handleLength] == '.' && state[note-1] == '.' &&
		strings.Trim(state[:handleLength]+state[secret:note-1]+state[note:], base64url) == ""
}

// all names the cookies that a request has of attempts, for signing out.
func (s *attempts) all(r *http.Request) (names []string) {
	s.each(r, func(name string, _ *attempt) { names = append(names, name) })
	if len(cookie.Values(r.Header, s.failed, 1)) > 0 {
		names = append(names, s.failed)
	}
	return names
}

// wanted is the return path of an attempt, or "" if there is none.
func (a *attempt) wanted() string {
	if a == nil {
		return ""
	}
	return a.returnTo
}

// base64url is its alphabet.
const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
