package docs

import (
	"maps"
	"slices"
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestEveryEventIsDocumented(t *testing.T) {
	rows := sitetest.DocumentedEvents(t)
	if got, want := sortedNames(rows), sortedNames(sitetest.EventNames); !slices.Equal(got, want) {
		t.Errorf("docs/observability.md has %q, want %q", got, want)
	}
}

func sortedNames[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
