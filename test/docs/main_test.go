// Package docs tests that the documentation is correct: its programs compile and run, its links
// have targets, and its tables of errors, events and texts are complete.
package docs

import (
	"fmt"
	"os"
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

// The tests name files from the root of the module.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sitetest.Main(m)
}
