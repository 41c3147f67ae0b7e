package faults

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

// fault is one case that must be rejected: a row of CATALOGUE.md, named by its number and
// subject.
type fault struct {
	name string // "B6_provider_swap"
	run  func(t *testing.T)
}

// runFaults runs rows as subtests, none of which may leave a goroutine behind.
func runFaults(t *testing.T, faults []fault) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			sitetest.LeavesNothing(t, f.name)
			f.run(t)
		})
	}
}
