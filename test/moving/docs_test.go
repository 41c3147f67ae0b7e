package moving

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/doctest"
)

// docs/coming-from.md shows the current code of each of these programs, and their
// lengths.
func TestThePageShowsTheApplications(t *testing.T) {
	text, err := os.ReadFile("../../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := doctest.Read("../..", "coming-from"); err != nil {
		t.Error(err) // a part that is not there
	}
	for app, shown := range map[string][]string{"goth": {"before", "after"}, "settings": {"after"}, "jwt": {"after", "own"}} {
		for _, version := range shown {
			if part := fmt.Sprintf("<!-- part of test/moving/%s/%s/app.go -->", app, version); !strings.Contains(string(text), part) {
				t.Errorf("the page has no %s", part)
			}
		}
		lengths := []string{}
		for _, version := range []string{"before", "after", "own"} {
			if program, err := os.ReadFile(app + "/" + version + "/app.go"); err == nil {
				lengths = append(lengths, fmt.Sprintf("%d lines", strings.Count(string(program), "\n")))
			}
		}
		row := lengths[0] + ", " + strings.Join(lengths[1:], " or ")
		if !strings.Contains(string(text), "| "+row+" |") {
			t.Errorf("the page does not say that %s has %s", app, row)
		}
	}
}
