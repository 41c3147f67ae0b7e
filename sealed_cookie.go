package ginauth

import (
	"errors"
	"net/http"
	"time"

	"github.com/ginauth/ginauth/internal/cookie"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/wire"
)

const (
	browserLimit = 4096 // bytes of a cookie's name and value that browsers keep (RFC 6265bis, 5.6)
	cookieLimit  = 3800 // bytes in use: some browsers also count the attributes
	maxCopies    = 4    // cookies of one name that are read
)

// sealedCookie seals one kind of small cookie: a login state, a form_post response, a pending
// sign-out. Each kind has a separate key, and the cookie's name is authenticated with its
// contents, so that no cookie can stand in for another one.
type sealedCookie struct {
	jar     cookie.Jar
	box     *seal.Box
	version byte // of the contents; other versions do not open
	life    time.Duration
	now     func() time.Time
}

// errCookieVersion means that a cookie was sealed with a current key by another version of
// this package.
var errCookieVersion = errors.New("the cookie content has another version")

// contents begins the contents of a cookie, with room for the rest.
func (k *sealedCookie) contents() []byte { return append(make([]byte, 0, 256), k.version) }

// size returns the size of a cookie in a request, in bytes.
func (k *sealedCookie) size(name string, contents []byte) int {
	return len(name) + seal.Size(len(contents))
}

// set seals contents into a cookie. If they do not fit, it sets nothing and returns false.
func (k *sealedCookie) set(out http.Header, name string, contents []byte) bool {
	if k.size(name, contents) > cookieLimit {
		return false
	}
	k.jar.Set(out, name, k.box.Seal(contents, name), k.life)
	return true
}

// open returns the contents of a cookie, behind their version. The error is
// seal.ErrKey, seal.ErrForged or errCookieVersion.
func (k *sealedCookie) open(name, value string) (*wire.Reader, error) {
	plain, _, err := k.box.Open(value, name)
	if err != nil {
		return nil, err
	}
	r := wire.NewReader(plain)
	if version := r.Bytes(1); version == "" || version[0] != k.version {
		return nil, errCookieVersion
	}
	return r, nil
}

// expired reports whether a cookie created at that time has expired. A time in the future
// counts as expired: the clocks of two replicas differ, or the clock was set back, and the
// expiry could be any time away.
func (k *sealedCookie) expired(made time.Time) bool {
	age := k.now().Sub(made)
	return age > k.life || age < -leeway
}

// take finds the cookie of that name whose contents can be opened, have not expired and are
// accepted, and expires it, since it is for one use. The contents begin with the time at which
// they were created.
func (k *sealedCookie) take(out, in http.Header, name string, accept func(*wire.Reader) bool) bool {
	for _, value := range cookie.Values(in, name, maxCopies) {
		if k.accepts(name, value, accept) { // a sibling domain may have set another
			k.jar.Expire(out, name)
			return true
		}
	}
	return false
}

// accepts reports whether contents that were sealed for a name can be opened, have not expired
// and are accepted.
func (k *sealedCookie) accepts(name, value string, accept func(*wire.Reader) bool) bool {
	r, err := k.open(name, value)
	if err != nil {
		return false
	}
	made := r.Time()
	return accept(r) && r.OK() && !k.expired(made)
}

// hintCookie is a small unsealed cookie. No security decision depends on it: a user who forges
// it changes only the order of buttons, or the message, in their own browser. Sealed, it would
// add some 60 bytes to every request, for a year with the provider used last, and a decryption
// to each sign-in.
type hintCookie struct {
	jar  cookie.Jar
	name string
	life time.Duration
}

// value returns the cookie's value, or "" if the request has none.
func (k *hintCookie) value(r *http.Request) string {
	for _, value := range cookie.Values(r.Header, k.name, 1) {
		return value
	}
	return ""
}

func (k *hintCookie) set(w http.ResponseWriter, value string) { k.setFor(w, value, k.life) }

func (k *hintCookie) setFor(w http.ResponseWriter, value string, life time.Duration) {
	k.jar.Set(w.Header(), k.name, value, life)
}

// expire expires the cookie if the request has it.
func (k *hintCookie) expire(w http.ResponseWriter, r *http.Request) {
	if len(cookie.Values(r.Header, k.name, 1)) > 0 {
		k.jar.Expire(w.Header(), k.name)
	}
}
