package ginauth

import "time"

// Message is the sentence that programs get for a code.
func Message(a *Auth, code Code) string { return a.message(code) }

// SetBodyWait says how long the body of a request may take to arrive, so that
// a test of one that never ends is over at once.
func (a *Auth) SetBodyWait(wait time.Duration) { a.bodyWait = wait }

// MemorySize is how many sessions an Auth remembers at most.
const MemorySize = memorySize

// Remembered counts those that it does.
func Remembered(a *Auth) (n int) {
	for i := range a.sessions.memory.places {
		if a.sessions.memory.places[i].Load() != nil {
			n++
		}
	}
	return n
}

// ForgetSessions makes the next request of every browser its first.
func ForgetSessions(a *Auth) { clear(a.sessions.memory.places[:]) }
