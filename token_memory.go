package ginauth

import (
	"bytes"
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// tokenMemory caches the tokens of the sessions that used them most recently.
type tokenMemory struct {
	mu    sync.Mutex
	byID  map[string]*list.Element
	order list.List // of *memoryEntry, the latest first
}

type memoryEntry struct {
	id      string
	held    storedTokens
	session string    // id of the session that was last found not to be revoked
	checked time.Time // the time of that check
}

// checkedLately reports whether a session was found not to be revoked within signedInFor. A
// check of another session that had the tokens before does not count.
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

// check records that a session was found not to be revoked.
func (m *tokenMemory) check(w wanted, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.byID[w.id()]; e != nil {
		entry := e.Value.(*memoryEntry)
		entry.session, entry.checked = w.v.opened.id, now
	}
}

// settle returns the current tokens: those of the store, which it caches, or newer ones in
// memory that could not be stored.
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

// failed pauses requests to the provider after a failed one. An error response about one session
// does not count.
func (c *client) failed(e *Error, now time.Time) {
	if e.Code == ErrProviderError {
		return
	}
	c.rest.Store(now.Add(providerRest).UnixMicro())
	told := *e
	told.Err = nil // it may contain data of a user
	c.failure.Store(&told)
}

// resting returns the provider's last failure while requests to it are paused.
func (c *client) resting(now time.Time) error {
	if now.UnixMicro() >= c.rest.Load() {
		return nil
	}
	if e := c.failure.Load(); e != nil {
		return e
	}
	return nil
}

// tokenFailures records the failed refreshes and rechecks of a client.
type tokenFailures struct {
	recheckRest    atomic.Int64 // until when rechecks are paused, in Unix microseconds
	recheckFailure atomic.Pointer[Error]
	recheckLogged  atomic.Int64 // when a failure was last logged, in Unix microseconds

	rest    atomic.Int64 // until when requests to the provider are paused, in Unix microseconds
	failure atomic.Pointer[Error]
}
