package ginauth_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// TestAuthTimeOfZero: a provider that says 0 does not know when the person
// authenticated.
func TestAuthTimeOfZero(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.EditIDToken(func(_, c map[string]any) { c["auth_time"] = 0 })
	if at := s.accepts(t, "/login/demo").AuthTime; time.Since(at).Abs() > time.Hour {
		t.Errorf("AuthTime is %v", at)
	}
}

// TestNullIsMissing: the userinfo endpoint is asked for a claim that is null.
func TestNullIsMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].ClaimPaths = map[string]string{"locale": "extra.locale"}
	})
	s.idp.EditIDToken(func(_, c map[string]any) { c["extra"] = claims{"locale": nil} })
	s.accepts(t, "/login/demo")
	if n := s.idp.Count(authtest.Userinfo); n != 1 {
		t.Errorf("asked %d times for the claim that is null below another", n)
	}
	s.idp.EditIDToken(func(_, c map[string]any) { c["extra"], c["name"] = claims{"locale": "en"}, nil })
	if u := s.accepts(t, "/login/demo"); u.Name != "Ada Lovelace" {
		t.Errorf("the name is %q", u.Name)
	}
}

// groupsSite is a site whose ID tokens have no groups, and whose provider says of
// them what more has.
func groupsSite(t *testing.T, path string, more claims) *site {
	t.Helper()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		if path != "" {
			o.Providers[0].ClaimPaths = map[string]string{"groups": path}
		}
	})
	s.idp.EditIDToken(func(_, c map[string]any) {
		delete(c, "groups")
		maps.Copy(c, more)
	})
	s.idp.EditUserinfo(func(c map[string]any) { delete(c, "groups") })
	return s
}

// TestGroupsThatAreElsewhere: people in many groups have none in their token. The
// log warns of it once, by the claim's name.
func TestGroupsThatAreElsewhere(t *testing.T) {
	const id = "claims.groups_elsewhere"
	for _, tt := range []struct {
		name, path string
		more       claims
		warned     bool
	}{
		{"Entra ID", "", claims{"_claim_names": claims{"groups": "src1"}, "_claim_sources": claims{"src1": claims{"endpoint": "https://graph.example/groups"}}}, true},
		{"without room for a source", "", claims{"hasgroups": true}, true},
		{"in text", "", claims{"hasgroups": "true"}, true},
		{"by another path", "app.groups", claims{"_claim_names": claims{"app": "src1"}, "_claim_sources": claims{"src1": claims{}}}, true},
		{"another claim", "", claims{"_claim_names": claims{"address": "src1"}, "_claim_sources": claims{"src1": claims{}}}, false},
		{"no groups", "", claims{"hasgroups": false}, false},
		{"app roles", "roles", claims{"hasgroups": true, "roles": []string{"admin"}}, false},
		{"groups after all", "", claims{"hasgroups": true, "groups": []string{"admin"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := groupsSite(t, tt.path, tt.more)
			s.signIn()
			s.signIn()
			log := s.logs.String()
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
	s.engine.GET("/staff", s.auth.RequireAuth(ginauth.HasGroup("staff")), teapot)
	s.signIn()
	if log := s.logs.String(); !strings.Contains(log, "level=DEBUG msg=\"ginauth: the user has no groups") || !strings.Contains(log, "claim=realm_access.roles") {
		t.Errorf("the sign-in does not say that there are no groups:\n%s", log)
	}
	s.get("/staff")
	if log := s.logs.String(); !strings.Contains(log, "id=check.no_groups") {
		t.Errorf("the refusal does not say that there are no groups:\n%s", log)
	}
	s.idp.EditIDToken(func(_, c map[string]any) { c["realm_access"] = claims{"roles": []string{"crew"}} })
	s.logs.Reset()
	s.signIn()
	s.get("/staff")
	if log := s.logs.String(); !strings.Contains(log, "id=check.group") || strings.Contains(log, "no groups") {
		t.Errorf("somebody with a group:\n%s", log)
	}
}
