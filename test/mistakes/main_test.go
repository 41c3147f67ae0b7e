// Package mistakes makes the mistakes that people make, in Options, at the
// provider and in their own code, and tests what they are told.
package mistakes

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
