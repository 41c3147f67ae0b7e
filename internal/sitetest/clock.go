package sitetest

import (
	"sync/atomic"
	"time"
)

// Clock is the clock of a Site: the time of day, and what a test has added to
// it. The zero Clock is ready for use.
type Clock struct{ offset atomic.Int64 }

// Now returns the time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Advance puts the clock forward, or back.
func (c *Clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }
