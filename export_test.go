package ginauth

import (
	"net/http"

	"github.com/ginauth/ginauth/internal/rp"
)

// RelyingPartyConfig returns the configuration of the relying party of p.
func RelyingPartyConfig(p Provider) rp.Config {
	cfg := &config{Options: Options{BaseURL: "https://app.example.com"}, loopback: true}
	cfg.defaults()
	return (&client{provider: p, cfg: cfg, redirectURI: "https://app.example.com/authorize/x", shared: true}).rpConfig(new(http.Client))
}

// CachedWithLimit is Cached with room for fewer sessions and marks.
func CachedWithLimit(store Followed, limit int) Revocations {
	return newCachedRevocations(store, limit)
}
