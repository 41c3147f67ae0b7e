package providers_test

import (
	"slices"
	"testing"

	"github.com/ginauth/ginauth"
)

func TestKeycloakRoles(t *testing.T) {
	s := newStandIn(t, "keycloak")
	s.claims["realm_access"] = map[string]any{"roles": []string{"baker"}} // what is signed wins
	if u := s.app(s.provider()).signIn(); !slices.Equal(u.Groups, []string{"baker"}) {
		t.Errorf("the groups are %q", u.Groups)
	}
	s = newStandIn(t, "keycloak")
	s.claims["resource_access"] = map[string]any{"mill.app": map[string]any{"roles": []string{"grinder"}}}
	p := s.provider()
	p.ClaimPaths["groups"] = "resource_access.mill.app.roles"
	if u := s.app(p).signIn(); !slices.Equal(u.Groups, []string{"grinder"}) {
		t.Errorf("the groups are %q", u.Groups)
	}
	s = newStandIn(t, "keycloak")
	s.answers["userinfo.json"] = []byte(`{"sub":"3f0c1d9a-52b7-4c11-9a80-1f2e3d4c5b6a","groups":["admin"],"roles":["admin"]}`)
	if u := s.app(s.provider()).signIn(); len(u.Groups) > 0 {
		t.Errorf("the groups are %q", u.Groups)
	}
}

// Its metadata announces iss, which then must come, and be the realm's.
func TestKeycloakAnswersOfAnotherRealm(t *testing.T) {
	s := newStandIn(t, "keycloak")
	s.Authorize.Answer["iss"] = "https://login.kvarnbygd.example/realms/guests"
	s.app(s.provider()).refuses(ginauth.ErrIssuerMismatch, "response.issuer", "realms/guests")
	s = newStandIn(t, "keycloak")
	delete(s.Authorize.Answer, "iss")
	s.app(s.provider()).refuses(ginauth.ErrIssuerMismatch, "response.issuer_missing")
}
