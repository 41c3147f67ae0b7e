package ginauth_test

import (
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
