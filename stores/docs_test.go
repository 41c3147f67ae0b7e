package stores_test

import (
	"testing"

	"github.com/ginauth/ginauth/internal/doctest"
)

// The programs in docs that keep sessions in a server, compiled with the
// dependencies of this module.
func TestDocsCompile(t *testing.T) { doctest.Vet(t, "..", "stores") }
