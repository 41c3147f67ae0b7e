// Package model runs random events in random order, and compares every response with a model of
// what the package promises.
package model

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
