// Package faults tests what must be rejected: every row of CATALOGUE.md is a subtest in the file
// of its subject.
package faults

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
