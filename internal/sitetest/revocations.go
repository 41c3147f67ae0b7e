package sitetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ginauth/ginauth"
)

// BrokenRevocations keeps revocations in a map and counts them. It fails while Broken is set.
type BrokenRevocations struct {
	Broken  atomic.Bool
	Revoked atomic.Int64
	inner   RevocationMap
}

// ErrBroken is the error of BrokenRevocations.
var ErrBroken = errors.New("the revocation store is down")

// Revoke implements ginauth.Revocations.
func (b *BrokenRevocations) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	if b.Broken.Load() {
		return ErrBroken
	}
	b.Revoked.Add(1)
	return b.inner.Revoke(ctx, key, at, ttl)
}

// Watermarks implements ginauth.Revocations.
func (b *BrokenRevocations) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	if b.Broken.Load() {
		return [4]time.Time{}, ErrBroken
	}
	return b.inner.Watermarks(ctx, keys)
}

// Once implements ginauth.Revocations.
func (b *BrokenRevocations) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	if b.Broken.Load() {
		return false, ErrBroken
	}
	return b.inner.Once(ctx, key, ttl)
}

// RevocationMap is the simplest implementation of Revocations. The zero value is
// ready for use.
type RevocationMap struct {
	mu    sync.Mutex
	marks map[ginauth.RevocationKey]time.Time
	spent map[ginauth.RevocationKey]bool
}

// Expire drops all marks, as a store does when they expire.
func (m *RevocationMap) Expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks = nil
}

// Revoke implements ginauth.Revocations.
func (m *RevocationMap) Revoke(_ context.Context, key ginauth.RevocationKey, at time.Time, _ time.Duration) error {
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

// Watermarks implements ginauth.Revocations.
func (m *RevocationMap) Watermarks(_ context.Context, keys [4]ginauth.RevocationKey) (marks [4]time.Time, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, key := range keys {
		marks[i] = m.marks[key]
	}
	return marks, nil
}

// Once implements ginauth.Revocations.
func (m *RevocationMap) Once(_ context.Context, key ginauth.RevocationKey, _ time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spent == nil {
		m.spent = map[ginauth.RevocationKey]bool{}
	}
	first := !m.spent[key]
	m.spent[key] = true
	return first, nil
}

// FaultyRevocations wraps another implementation. It returns the errors that are set, and remembers
// the keys of the last call.
type FaultyRevocations struct {
	ginauth.Revocations
	ReadErr, WriteErr, OnceErr error
	mu                         sync.Mutex
	Asked                      [4]ginauth.RevocationKey
}

// Revoke implements ginauth.Revocations.
func (f *FaultyRevocations) Revoke(ctx context.Context, key ginauth.RevocationKey, at time.Time, ttl time.Duration) error {
	if f.WriteErr != nil {
		return f.WriteErr
	}
	return f.Revocations.Revoke(ctx, key, at, ttl)
}

// Watermarks implements ginauth.Revocations.
func (f *FaultyRevocations) Watermarks(ctx context.Context, keys [4]ginauth.RevocationKey) ([4]time.Time, error) {
	f.mu.Lock()
	f.Asked = keys
	f.mu.Unlock()
	if f.ReadErr != nil {
		return [4]time.Time{}, f.ReadErr
	}
	return f.Revocations.Watermarks(ctx, keys)
}

// Once implements ginauth.Revocations.
func (f *FaultyRevocations) Once(ctx context.Context, key ginauth.RevocationKey, ttl time.Duration) (bool, error) {
	if f.OnceErr != nil {
		return false, f.OnceErr
	}
	return f.Revocations.Once(ctx, key, ttl)
}
