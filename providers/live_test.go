package providers_test

import (
	"flag"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/providers"
)

var live = flag.Bool("live", false, "ask the real providers for their metadata and print how it differs from testdata")

// TestDrift is for maintainers with internet access:
//
//	go test ./providers -run TestDrift -live -v
//
// It compares each provider's discovery document with the one in testdata,
// which the presets are tested against. Without -live, it checks that there is
// one for each preset with an issuer.
func TestDrift(t *testing.T) {
	client := fetch.Client(&http.Client{}, "ginauth-drift")
	for _, p := range providers.Catalogue() {
		d, recorded := readDialect(t, p.Name)
		if issuer := made(p).Issuer; issuer != "" && d.Discovery == "" {
			t.Errorf("%s has an issuer, and no discovery.json", p.Name)
		}
		if !*live || d.Discovery == "" || len(p.Args) > 0 { // examples have no server
			continue
		}
		now, _, err := fetch.JSON(t.Context(), client, fetch.Request{Op: "discovery", URL: d.Discovery})
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(recorded)) {
			if was, is := string(mustJSON(recorded[name])), string(mustJSON(now[name])); was != is {
				t.Errorf("%s: %s was %s, is %s", p.Name, name, was, is)
			}
		}
	}
}
