// Package fuzz feeds hostile bytes to parsers, through the public API: cookies, callbacks,
// forms, metadata, keys, tokens and return paths.
package fuzz

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
