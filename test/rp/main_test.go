// Package rp tests the requests to the provider through Mount, from discovery to userinfo: which
// are sent, what is cached, and how unusual responses are handled.
package rp

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
