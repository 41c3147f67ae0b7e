package ginauth

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// tokensLimit is the number of sessions whose tokens are kept in this process's memory.
const tokensLimit = 1 << 17

// memoryTokens keeps tokens in this process.
type memoryTokens struct {
	now    func() time.Time
	mu     sync.Mutex
	values map[RevocationKey]memoryToken
	sweep  int // the number of values at which expired ones are deleted
}

type memoryToken struct {
	value []byte
	ends  time.Time
}

func newMemoryTokens(now func() time.Time) *memoryTokens {
	return &memoryTokens{now: now, values: map[RevocationKey]memoryToken{}, sweep: 64}
}

// Load implements Tokens.
func (m *memoryTokens) Load(_ context.Context, key RevocationKey) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value(key), nil
}

func (m *memoryTokens) value(key RevocationKey) []byte {
	t, there := m.values[key]
	if !there || m.now().After(t.ends) {
		return nil
	}
	return t.value
}

// Swap implements Tokens.
func (m *memoryTokens) Swap(_ context.Context, key RevocationKey, old, next []byte, ttl time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.value(key), old) {
		return false, nil
	}
	if next == nil {
		delete(m.values, key)
		return true, nil
	}
	m.values[key] = memoryToken{next, m.now().Add(ttl)}
	m.tidy(key)
	return true, nil
}

// tidy deletes expired values each time that the number of values has doubled, and any others
// beyond the limit, whose users are redirected to the provider for new tokens.
func (m *memoryTokens) tidy(keep RevocationKey) {
	if len(m.values) < m.sweep {
		return
	}
	now := m.now()
	for key, t := range m.values {
		if now.After(t.ends) {
			delete(m.values, key)
		}
	}
	for key := range m.values {
		if len(m.values) <= tokensLimit {
			break
		}
		if key != keep {
			delete(m.values, key)
		}
	}
	m.sweep = min(max(64, 2*len(m.values)), tokensLimit+1)
}
