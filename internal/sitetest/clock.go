package sitetest

import (
	"sync/atomic"
	"time"
)

// Clock is the clock of a Site: the real time plus an offset that the test sets. The zero Clock is
// ready for use.
type Clock struct{ offset atomic.Int64 }

// Now returns the time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Advance sets the clock forward, or back if d is negative.
func (c *Clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }
