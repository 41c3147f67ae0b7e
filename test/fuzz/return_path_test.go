package fuzz

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

// FuzzReturnTo: every admitted return path stays on this site, for every parser, and is admitted
// again unchanged.
func FuzzReturnTo(f *testing.F) {
	for _, list := range sitetest.HostilePaths {
		for _, raw := range list {
			f.Add(raw)
		}
	}
	for _, raw := range sitetest.OwnPaths {
		f.Add(raw)
	}
	for raw := range sitetest.GoodPaths {
		f.Add(raw)
	}
	admit := sitetest.ReturnPaths(f, "")
	f.Fuzz(func(t *testing.T, raw string) {
		if out := admit(raw); out != "" {
			sitetest.StaysHome(t, raw, out, admit)
		}
	})
}
