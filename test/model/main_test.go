// Package model lets random things happen in random order, and compares every
// answer with a model of what the package promises.
package model

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
