package ginauth

import (
	"bytes"
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// tokenMemory remembers the tokens of the sessions that used them last.
type tokenMemory struct {
	mu    sync.Mutex
	byID  map[string]*list.Element
	order list.List // of *memoryEntry, the latest first
}

type memoryEntry struct {
	id      string
	held    storedTokens
	session string    // that was last found not to be revoked
	checked time.Time // when that was
}

// checkedLately reports whether a session was lately found not to be revoked. Another one that
// had the tokens before says nothing of it.
func (m *tokenMemory) checkedLately(w wanted, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byID[w.id()]
	if e == nil {
		return false
	}
	entry := e.Value.(*memoryEntry)
	since := now.Sub(entry.checked)
	return entry.session == w.v.opened.id && 0 <= since && since <= signedInFor
}

// check notes that a session was found not to be revoked.
func (m *tokenMemory) check(w wanted, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.byID[w.id()]; e != nil {
		entry := e.Value.(*memoryEntry)
		entry.session, entry.checked = w.v.opened.id, now
	}
}

// settle remembers what the store has, unless there are newer tokens that it could not be
// told of, and returns what there is.
func (m *tokenMemory) settle(id string, last storedTokens) storedTokens {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.byID[id]; e != nil {
		if held := e.Value.(*memoryEntry).held; held.unsaved() && bytes.Equal(held.base, last.value) {
			return held
		}
	}
	m.set(id, last)
	return last
}

func (m *tokenMemory) get(id string) (storedTokens, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byID[id]
	if e == nil {
		return storedTokens{}, false
	}
	m.order.MoveToFront(e)
	return e.Value.(*memoryEntry).held, true
}

func (m *tokenMemory) put(id string, held storedTokens) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(id, held)
}

func (m *tokenMemory) set(id string, held storedTokens) {
	if held.tokenRecord == nil {
		m.remove(id)
		return
	}
	if e := m.byID[id]; e != nil {
		e.Value.(*memoryEntry).held = held
		m.order.MoveToFront(e)
		return
	}
	if m.byID == nil {
		m.byID = map[string]*list.Element{}
	}
	m.byID[id] = m.order.PushFront(&memoryEntry{id: id, held: held})
	if len(m.byID) > tokensRemembered {
		m.remove(m.order.Back().Value.(*memoryEntry).id)
	}
}

func (m *tokenMemory) drop(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(id)
}

func (m *tokenMemory) remove(id string) {
	if e := m.byID[id]; e != nil {
		m.order.Remove(e)
		delete(m.byID, id)
	}
}

// failed leaves the provider alone for a moment if it could not be asked. What it answered to
// one session says nothing of the others.
func (c *client) failed(e *Error, now time.Time) {
	if e.Code == ErrProviderError {
		return
	}
	c.rest.Store(now.Add(providerRest).UnixMicro())
	told := *e
	told.Err = nil // it may be about a person
	c.failure.Store(&told)
}

// resting returns the error of the provider's last failure while it is left alone.
func (c *client) resting(now time.Time) error {
	if now.UnixMicro() >= c.rest.Load() {
		return nil
	}
	if e := c.failure.Load(); e != nil {
		return e
	}
	return nil
}

// tokenFailures is what a client knows of refreshes, and rechecks, that failed.
type tokenFailures struct {
	recheckRest    atomic.Int64 // until when rechecks leave the provider alone, in Unix microseconds
	recheckFailure atomic.Pointer[Error]
	recheckLogged  atomic.Int64 // when the log was told of one last

	rest    atomic.Int64 // until when the provider is left alone, in Unix microseconds
	failure atomic.Pointer[Error]
}
