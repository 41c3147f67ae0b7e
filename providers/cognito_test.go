package providers_test

import "testing"

func TestCognitoAddresses(t *testing.T) {
	for _, tt := range []struct {
		flag     any
		verified bool
	}{
		{true, true}, {"true", true}, {false, false}, {"false", false}, {nil, false}, {1, false}, {"TRUE", false},
	} {
		s := newStandIn(t, "cognito")
		s.claims["email_verified"] = tt.flag
		if u := s.app(s.provider()).signIn(); u.EmailVerified != tt.verified || u.Email != "petra@kvarnbygd.example" {
			t.Errorf("%v: signed in as %+v", tt.flag, u)
		}
	}
}
