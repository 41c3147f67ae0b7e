package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

// The tests, rows of the catalogue of faults, and files that docs/threats.md and SECURITY.md
// name exist.
func TestThreatsNamesWhatExists(t *testing.T) {
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "internal/*/*_test.go", "test/*/*_test.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			tests.WriteString(sitetest.File(t, name))
		}
	}
	all, named := tests.String(), 0
	quoted := regexp.MustCompile("`([^`\n]+)`")
	row := regexp.MustCompile(`^[A-S][0-9]+_[a-z0-9_]+$`)
	path := regexp.MustCompile(`^(?:internal|docs)/[a-z/.]+$`)
	for _, m := range quoted.FindAllStringSubmatch(sitetest.File(t, "docs/threats.md")+sitetest.File(t, "SECURITY.md"), -1) {
		name := m[1]
		switch {
		case strings.HasPrefix(name, "Test"), strings.HasPrefix(name, "Fuzz"):
			named++
			if !strings.Contains(all, "\nfunc "+name+"(") {
				t.Errorf("there is no test %s", name)
			}
		case row.MatchString(name):
			named++
			if !strings.Contains(all, `{"`+name+`"`) {
				t.Errorf("there is no fault %s", name)
			}
		case path.MatchString(name):
			if _, err := os.Stat(name); err != nil {
				t.Error(err)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d tests are named: this checks the wrong thing", named)
	}
}
