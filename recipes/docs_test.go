package recipes

import (
	"slices"
	"testing"

	"github.com/ginauth/ginauth/internal/doctest"
)

// The pages show the code of these programs as it is.
func TestThePageShowsTheRecipes(t *testing.T) {
	missing := []string{"observability", "local-accounts", "cli", "mcp", "api-keys", "websockets"}
	for _, page := range doctest.ReadAll(t, "..") {
		if len(page.Blocks) > 0 {
			missing = slices.DeleteFunc(missing, func(name string) bool { return name == page.Name })
		}
	}
	if len(missing) > 0 {
		t.Errorf("there are no pages %q in docs: this test looks at nothing", missing)
	}
}
