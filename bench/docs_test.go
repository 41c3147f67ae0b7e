package bench_test

import (
	"testing"

	"github.com/ginauth/ginauth/internal/doctest"
)

// The programs in docs that show other packages, compiled with the
// dependencies of this module.
func TestDocsCompile(t *testing.T) { doctest.Vet(t, "..", "bench") }
