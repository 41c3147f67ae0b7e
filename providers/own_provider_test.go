package providers_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The Go code of docs/own-provider.md is in the examples, which run.
func TestOwnProviderPageIsInTheExamples(t *testing.T) {
	page, err := os.ReadFile("../docs/own-provider.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)\n^```$").FindAllSubmatch(page, -1)
	if len(blocks) < 4 {
		t.Errorf("the page has %d pieces of Go", len(blocks))
	}
	for _, block := range blocks {
		if lines := strings.Count(string(block[1]), "\n") + 1; lines > 10 {
			t.Errorf("%d lines are too many to write a provider:\n%s", lines, block[1])
		}
		if inside := "\n\t" + strings.ReplaceAll(string(block[1]), "\n", "\n\t") + "\n"; !strings.Contains(string(examples), inside) {
			t.Errorf("no example has\n%s", block[1])
		}
	}
}
