package ginauth_test

import (
	"context"
	"sync"
	"time"

	"github.com/ginauth/ginauth"
)

// revocationMap is the plainest Revocations there can be.
type revocationMap struct {
	mu    sync.Mutex
	marks map[ginauth.RevocationKey]time.Time
	spent map[ginauth.RevocationKey]bool
}

func (m *revocationMap) Revoke(_ context.Context, key ginauth.RevocationKey, at time.Time, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.marks == nil {
		m.marks = map[ginauth.RevocationKey]time.Time{}
	}
	if at.After(m.marks[key]) {
		m.marks[key] = at
	}
	return nil
}

func (m *revocationMap) Watermarks(_ context.Context, keys [4]ginauth.RevocationKey) (marks [4]time.Time, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, key := range keys {
		marks[i] = m.marks[key]
	}
	return marks, nil
}

func (m *revocationMap) Once(_ context.Context, key ginauth.RevocationKey, _ time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spent == nil {
		m.spent = map[ginauth.RevocationKey]bool{}
	}
	first := !m.spent[key]
	m.spent[key] = true
	return first, nil
}
