package providers_test

import (
	"slices"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/strictjson"
	"github.com/ginauth/ginauth/providers"
)

// ownAlgs are presets whose metadata names one algorithm and that are not held to
// it: the administrator of the server or of the client can choose another one.
var ownAlgs = []string{"asgardeo", "authentik", "codeberg", "duende", "forgejo", "gitea", "oidc", "ory-hydra"}

// A preset is held to the algorithm of its metadata if that names one.
func TestIDTokenAlg(t *testing.T) {
	for _, p := range providers.Catalogue() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t, p.Name)
			alg, want := s.provider().IDTokenAlg, ""
			if names := strictjson.Strings(s.discovery["id_token_signing_alg_values_supported"]); len(names) == 1 && !slices.Contains(ownAlgs, p.Name) {
				want = names[0]
			}
			if s.IDToken.Alg == "HS256" { // LINE's metadata is about native applications
				want = "HS256"
			}
			if alg != want {
				t.Errorf("IDTokenAlg is %q, want %q", alg, want)
			}
			if alg == "" {
				return
			}
			other := "ES256"
			if alg == other {
				other = "RS256"
			}
			s.IDToken.Alg, s.discovery["id_token_signing_alg_values_supported"] = other, []string{other, alg}
			s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "jwt.algorithm")
		})
	}
}
