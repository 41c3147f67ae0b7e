// Package faults tests what must be refused: every row of CATALOGUE.md is a
// subtest of the file of its subject.
package faults

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
