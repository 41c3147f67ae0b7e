package ginauth

import "time"

// NewMemoryRevocations makes the default Revocations, with room for limit
// marks and limit spent keys, so that tests can fill it.
func NewMemoryRevocations(now func() time.Time, limit int) Revocations {
	m := newMemoryRevocations(now)
	m.limit = limit
	return m
}
