package ginauth_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// groupsSite is a site whose ID tokens have no groups, and whose provider says of
// them what more has.
func groupsSite(t *testing.T, path string, more sitetest.Claims) *sitetest.Site {
	t.Helper()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		if path != "" {
			o.Providers[0].ClaimPaths = map[string]string{"groups": path}
		}
	})
	s.IDP.EditIDToken(func(_, c map[string]any) {
		delete(c, "groups")
		maps.Copy(c, more)
	})
	s.IDP.EditUserinfo(func(c map[string]any) { delete(c, "groups") })
	return s
}

// TestGroupsThatAreElsewhere: people in many groups have none in their token. The
// log warns of it once, by the claim's name.
func TestGroupsThatAreElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		more       sitetest.Claims
		warned     bool
	}{
		{"Entra ID", "", sitetest.Claims{"_claim_names": sitetest.Claims{"groups": "src1"}, "_claim_sources": sitetest.Claims{"src1": sitetest.Claims{"endpoint": "https://graph.example/groups"}}}, true},
		{"without room for a source", "", sitetest.Claims{"hasgroups": true}, true},
		{"in text", "", sitetest.Claims{"hasgroups": "true"}, true},
		{"by another path", "app.groups", sitetest.Claims{"_claim_names": sitetest.Claims{"app": "src1"}, "_claim_sources": sitetest.Claims{"src1": sitetest.Claims{}}}, true},
		{"another claim", "", sitetest.Claims{"_claim_names": sitetest.Claims{"address": "src1"}, "_claim_sources": sitetest.Claims{"src1": sitetest.Claims{}}}, false},
		{"no groups", "", sitetest.Claims{"hasgroups": false}, false},
		{"app roles", "roles", sitetest.Claims{"hasgroups": true, "roles": []string{"admin"}}, false},
		{"groups after all", "", sitetest.Claims{"hasgroups": true, "groups": []string{"admin"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := groupsSite(t, tt.path, tt.more)
			s.SignIn()
			s.SignIn()
			log := s.Logs.String()
			if n := strings.Count(log, "somebody signed in without groups"); n != 1 && tt.warned || n != 0 && !tt.warned {
				t.Errorf("warned %d times:\n%s", n, log)
			}
		})
	}
}

// TestUserWithoutGroups: where the claim came in neither place, the log of the
// sign-in says so, and so does the refusal of a check.
func TestUserWithoutGroups(t *testing.T) {
	t.Parallel()
	s := groupsSite(t, "realm_access.roles", nil)
	s.Engine.GET("/staff", s.Auth.RequireAuth(ginauth.HasGroup("staff")), sitetest.Teapot)
	s.SignIn()
	if log := s.Logs.String(); !strings.Contains(log, "level=DEBUG msg=\"ginauth: the user has no groups") || !strings.Contains(log, "claim=realm_access.roles") {
		t.Errorf("the sign-in does not say that there are no groups:\n%s", log)
	}
	s.Get("/staff")
	if log := s.Logs.String(); !strings.Contains(log, "id=check.no_groups") {
		t.Errorf("the refusal does not say that there are no groups:\n%s", log)
	}
	s.IDP.EditIDToken(func(_, c map[string]any) { c["realm_access"] = sitetest.Claims{"roles": []string{"crew"}} })
	s.Logs.Reset()
	s.SignIn()
	s.Get("/staff")
	if log := s.Logs.String(); !strings.Contains(log, "id=check.group") || strings.Contains(log, "no groups") {
		t.Errorf("somebody with a group:\n%s", log)
	}
}
