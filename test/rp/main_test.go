// Package rp tests the trip to the provider through Mount, from discovery to the
// userinfo: what is asked, what is kept, and what becomes of odd answers.
package rp

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
