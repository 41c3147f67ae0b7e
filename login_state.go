package ginauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/rp"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	loginStateLife    = 10 * time.Minute
	loginStateVersion = 3
	maxLoginStates    = 5       // in one browser at a time
	loginStatesRoom   = 6 << 10 // bytes of their cookies: proxies accept header lines of 8 KB
	maxStatesOpened   = 8 * maxLoginStates

	handleSize   = 6 // bytes
	handleLength = 8 // characters
	secretSize   = 32
	secretLength = 43                  // characters: of a PKCE verifier, 43 to 128 (RFC 7636, 4.1)
	stateLength  = 8 + 1 + 43 + 1 + 16 // handle, secret and stamp, with dots between
)

// loginState is the state of a sign-in during the redirect to the provider. Each is stored in
// a separate sealed cookie, so that sign-ins in several tabs do not interfere with each other
// or with a session. The state parameter names the cookie and carries a secret that must equal
// the sealed one: it binds the response to this browser (RFC 9700, 4.7.1). The stamp at the
// end of the parameter explains a missing cookie: see login_state_hint.go.
type loginState struct {
	handle    string              // names the cookie
	secrets   [3][secretSize]byte // of state, nonce and PKCE
	stamp     [seal.StampSize]byte
	provider  string
	print     rp.Fingerprint // of the provider and the client when the sign-in began
	created   time.Time
	returnTo  string
	maxAge    int               // seconds; -1 if not requested
	acr       string            // acr_values, if requested
	linkingOf string            // key of the user who asks to link an account, from linkingUser, or ""
	renews    string            // id of the session that a check rejected, or ""
	scopes    string            // requested in addition to the provider's, space-separated
	round     int               // of a demand: 1, then 2; 0 without one
	data      map[string]string // Start.Data, or nil
}

// newLoginState generates all random values of a login state at once.
func newLoginState(provider string, now time.Time) *loginState {
	l := &loginState{provider: provider, created: now, maxAge: -1}
	var random [handleSize + len(l.secrets)*secretSize]byte
	rand.Read(random[:])
	l.handle = base64.RawURLEncoding.EncodeToString(random[:handleSize])
	for i := range l.secrets {
		copy(l.secrets[i][:], random[handleSize+i*secretSize:])
	}
	return l
}

func (l *loginState) appendSecret(b []byte, i int) []byte {
	return base64.RawURLEncoding.AppendEncode(b, l.secrets[i][:])
}

// state returns the state parameter, which must come back (RFC 6749, 4.1.1).
func (l *loginState) state() string {
	var b [stateLength]byte
	return string(l.appendState(b[:0]))
}

func (l *loginState) appendState(b []byte) []byte {
	b = append(append(b, l.handle...), '.')
	b = append(l.appendSecret(b, 0), '.')
	return base64.RawURLEncoding.AppendEncode(b, l.stamp[:])
}

// request returns the rp.Request. Its texts share one string, which saves two allocations.
func (l *loginState) request() rp.Request {
	var room [stateLength + 2*secretLength]byte
	text := string(l.appendSecret(l.appendSecret(l.appendState(room[:0]), 1), 2))
	return rp.Request{
		State: text[:stateLength], Nonce: text[stateLength : stateLength+secretLength], Verifier: text[stateLength+secretLength:],
		Started: l.created, MaxAge: l.maxAge, ACRValues: l.acr, Fingerprint: l.print, Scopes: strings.Fields(l.scopes),
	}
}

// nonceHash is the stored hash of the nonce, which a refreshed ID token may contain.
func (l *loginState) nonceHash() [sha256.Size]byte { return sha256.Sum256(l.appendSecret(nil, 1)) }

// needsItsStart reports whether a sign-in can be retried only where it began: in the handler
// that set Data, or by the form that links an account. A retry by a link would be a plain
// sign-in, which ends the user's session. It is false for a nil state.
func (l *loginState) needsItsStart() bool {
	return l != nil && (l.data != nil || l.linkingOf != "")
}

// appendTo encodes the login state.
func (l *loginState) appendTo(b []byte) []byte {
	for i := range l.secrets {
		b = append(b, l.secrets[i][:]...)
	}
	b = append(b, l.stamp[:]...)
	b = append(b, l.print.Theirs[:]...)
	b = append(b, l.print.Ours[:]...)
	b = wire.AppendString(b, l.provider)
	b = wire.AppendTime(b, l.created)
	b = wire.AppendString(b, l.returnTo)
	b = wire.AppendUint(b, uint64(l.maxAge+1))
	b = wire.AppendString(b, l.acr)
	b = wire.AppendString(b, l.linkingOf)
	b = wire.AppendString(b, l.renews)
	b = wire.AppendUint(b, uint64(l.round))
	b = wire.AppendString(b, l.scopes)
	if len(l.data) > 0 { // most have none, which takes no bytes
		b = wire.AppendMap(b, l.data)
	}
	return b
}

// readLoginState decodes the result of appendTo.
func readLoginState(r *wire.Reader, handle string) (*loginState, bool) {
	l := &loginState{handle: handle}
	for i := range l.secrets {
		copy(l.secrets[i][:], r.Bytes(secretSize))
	}
	copy(l.stamp[:], r.Bytes(len(l.stamp)))
	copy(l.print.Theirs[:], r.Bytes(len(l.print.Theirs)))
	copy(l.print.Ours[:], r.Bytes(len(l.print.Ours)))
	l.provider = r.String()
	l.created = r.Time()
	l.returnTo = r.String()
	l.maxAge = int(r.Uint()) - 1
	l.acr = r.String()
	l.linkingOf = r.String()
	l.renews = r.String()
	l.round = int(r.Uint())
	l.scopes = r.String()
	if r.More() {
		if l.data = r.Map(); l.data == nil {
			return l, false
		}
	}
	return l, r.OK()
}

// loginStates stores login states in cookies.
type loginStates struct {
	sealedCookie
	prefix  string     // of the cookies' names
	failed  hintCookie // the handle of the sign-in that failed last
	stamps  *seal.Stamps
	host    string // of BaseURL
	keysFix string // the Fix for cookies that cannot be opened
	once    func(r *http.Request, key RevocationKey, ttl time.Duration) (bool, error)
}

// save seals a login state into its cookie. Other sites can start sign-ins, so a browser has
// at most five, and 6 KB of them: the oldest and the expired ones are deleted. A cookie that
// cannot be opened is kept, since it may be another application's.
func (s *loginStates) save(w http.ResponseWriter, r *http.Request, l *loginState) error {
	out, name := w.Header(), s.prefix+l.handle
	contents := l.appendTo(s.contents())
	var live []*loginState
	s.each(r, func(name string, old *loginState) {
		if s.expired(old.created) {
			s.jar.Expire(out, name)
		} else {
			live = append(live, old)
		}
	})
	slices.SortFunc(live, func(x, y *loginState) int { return y.created.Compare(x.created) })
	room := loginStatesRoom - s.size(name, contents)
	for i, old := range live {
		room -= s.size(name, old.appendTo(s.contents())) // all names have the same length
		if i >= maxLoginStates-1 || room < 0 {
			s.jar.Expire(out, s.prefix+old.handle)
		}
	}
	if !s.set(out, name, contents) {
		return &Error{Code: ErrSessionError, ID: "state.too_large", Op: "begin sign-in", Provider: l.provider, Reason: "the login state does not fit into a cookie",
			Fix: "shorten the return path, the forwarded parameters or Start.Data"}
	}
	return nil
}

// each opens the login states of a request, at most maxStatesOpened: enough for a browser that
// restores twenty tabs at once, and fewer than fit into a header.
func (s *loginStates) each(r *http.Request, visit func(name string, l *loginState)) {
	n := 0
	cookie.Each(r.Header, s.prefix, func(name, value string) {
		if n++; n > maxStatesOpened {
			return
		}
		if l, err := s.read(name, value); err == nil {
			visit(name, l)
		}
	})
}

// read opens the cookie of a login state.
func (s *loginStates) read(name, value string) (*loginState, error) {
	r, err := s.open(name, value)
	if err != nil {
		return nil, err
	}
	l, ok := readLoginState(r, strings.TrimPrefix(name, s.prefix))
	if !ok {
		return nil, errCookieVersion
	}
	return l, nil
}

// take finds the login state of a response and consumes it: the cookie is expired and the state
// recorded as used before anything else happens, so that no response is redeemed twice. Unless
// the store fails, the browser gets state_invalid for every failure; the log has the reason. On
// failure, take still returns the login state if it found one, so that a retry returns to the
// same page.
func (s *loginStates) take(w http.ResponseWriter, r *http.Request, at *callbackPath, state string) (*loginState, error) {
	l, err := s.match(r, at, state)
	if err != nil {
		return nil, err
	}
	s.jar.Expire(w.Header(), s.prefix+l.handle)
	first, err := s.once(r, revocationKey(spentState, state), loginStateLife+2*leeway)
	switch {
	case err != nil:
		return l, &Error{Code: ErrStoreUnavailable, ID: "store.once_failed", Op: "spend state", Err: err, retryAfter: retryAfter,
			Reason: "the revocation store is unavailable, so replay cannot be ruled out", Fix: "check the store behind Options.Revocations"}
	case !first:
		return l, usedError()
	case s.expired(l.created):
		return l, s.expiredError(l.created)
	case at.client(l.provider) == nil:
		return l, stateInvalid("state.other_provider", "the response of one provider arrived at the callback of another", "check the redirect URIs registered at the providers")
	}
	return l, nil
}

// match finds the cookie that a state parameter names and compares the parameter with the
// sealed state.
func (s *loginStates) match(r *http.Request, at *callbackPath, state string) (*loginState, error) {
	if !isState(state) {
		const fix = "start the sign-in at /login"
		if state == "" {
			return nil, stateInvalid("state.missing", "the state parameter is missing: the request is not an authorization response", fix)
		}
		return nil, stateInvalid("state.malformed", "the state parameter is malformed", fix)
	}
	name := s.prefix + state[:handleLength]
	var found *loginState
	var missing missingCookie
	copies := 0
	missing.cookies = cookie.Each(r.Header, s.prefix, func(n, value string) {
		if n != name {
			missing.others++
			return
		}
		if copies++; copies > maxCopies {
			return
		}
		if l, err := s.read(n, value); err == nil {
			found = l
		} else {
			missing.broken = err
		}
	})
	if found == nil {
		return nil, s.explain(r, at, state, missing)
	}
	if subtle.ConstantTimeCompare([]byte(state), []byte(found.state())) != 1 {
		return nil, stateInvalid("state.mismatch", "the state parameter does not match the login cookie", "start again")
	}
	return found, nil
}

// isState reports whether a state parameter has the form of those that this package creates.
func isState(state string) bool {
	const secret, stamp = handleLength + 1, stateLength - 16
	return len(state) == stateLength && state[handleLength] == '.' && state[stamp-1] == '.' &&
		strings.Trim(state[:handleLength]+state[secret:stamp-1]+state[stamp:], base64url) == ""
}

// expireAll expires the cookies of all login states, and the hint about the sign-in that failed
// last, when the user signs out.
func (s *loginStates) expireAll(w http.ResponseWriter, r *http.Request) {
	s.each(r, func(name string, _ *loginState) { s.jar.Expire(w.Header(), name) })
	s.failed.expire(w, r)
}

// base64url is the URL-safe alphabet (RFC 4648, section 5).
const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
