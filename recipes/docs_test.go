package recipes

import (
	"testing"

	"github.com/ginauth/ginauth/internal/doctest"
)

// The pages show the code of these programs as it is.
func TestThePageShowsTheRecipes(t *testing.T) {
	for _, page := range doctest.ReadAll(t, "..") {
		if page.Name == "observability" && len(page.Blocks) > 0 {
			return
		}
	}
	t.Error("there is no page docs/observability.md: this test looks at nothing")
}
