package ginauth_test

import (
	"os"
	"path"
	"testing"

	"github.com/ginauth/ginauth/internal/doctest"
)

// Every program in docs compiles, as it stands there and after each of the
// changes that the page shows, in a module as somebody has it who follows the
// page; the tests in docs pass.
func TestDocsCompile(t *testing.T) { doctest.Vet(t, ".", "") }

// Programs that need more than this module has are compiled by the tests of
// another, which must have the same test as this one.
func TestDocsOfOtherModulesAreCompiledThere(t *testing.T) {
	for _, page := range doctest.ReadAll(t, ".") {
		for _, p := range page.Programs {
			if _, err := os.Stat(path.Join(p.Module, "docs_test.go")); err != nil {
				t.Errorf("%s is compiled nowhere: %v", p.Name, err)
			}
		}
	}
}
