package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestLinkedInAddresses(t *testing.T) {
	for _, tt := range []struct {
		flag     any
		verified bool
	}{
		{true, true}, {"true", true}, {false, false}, {"false", false}, {nil, false}, {1, false}, {"True", false}, {"yes", false},
	} {
		s := newStandIn(t, "linkedin")
		s.claims["email_verified"] = tt.flag
		if u := s.app(s.provider()).signIn(); u.EmailVerified != tt.verified || u.Email != "petra@kvarnbygd.example" {
			t.Errorf("%v: signed in as %+v", tt.flag, u)
		}
	}
}

func TestLinkedInIssuerFromBefore(t *testing.T) {
	s := newStandIn(t, "linkedin")
	s.claims["iss"] = "https://www.linkedin.com"
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "jwt.issuer")
}
