package ginauth

import (
	"net/http"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

// RelyingPartyConfig is what the relying party of p is configured with.
func RelyingPartyConfig(p Provider) rp.Config {
	cfg := &config{Options: Options{BaseURL: "https://app.example.com"}, loopback: true}
	cfg.defaults()
	return (&client{provider: p, cfg: cfg, redirectURI: "https://app.example.com/authorize/x"}).rpConfig(new(http.Client))
}

// Message is the sentence that programs get for a code.
func Message(a *Auth, code Code) string { return a.message(code) }

// SetBodyWait says how long the body of a request may take to arrive, so that
// a test of one that never ends is over at once.
func (a *Auth) SetBodyWait(wait time.Duration) { a.bodyWait = wait }

// NewMemoryRevocations makes the default Revocations, with room for limit
// marks and limit spent keys, so that tests can fill it.
func NewMemoryRevocations(now func() time.Time, limit int) Revocations {
	return newMemoryRevocations(now, limit)
}

// RunBy has the default Revocations take how long the process has run from ran.
func RunBy(r Revocations, ran func() time.Duration) { r.(*memoryRevocations).ran = ran }

// MemorySize is how many sessions an Auth remembers at most.
const MemorySize = sessionCacheSize

// Remembered counts those that it does.
func Remembered(a *Auth) (n int) {
	for i := range a.sessions.cache.slots {
		if a.sessions.cache.slots[i].Load() != nil {
			n++
		}
	}
	return n
}

// ForgetSessions makes the next request of every browser its first.
func ForgetSessions(a *Auth) { clear(a.sessions.cache.slots[:]) }
