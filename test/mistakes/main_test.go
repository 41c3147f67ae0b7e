// Package mistakes makes common mistakes, in Options, at the provider and in the application,
// and tests the resulting messages.
package mistakes

import (
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m) }
