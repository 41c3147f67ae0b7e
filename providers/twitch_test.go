package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestTwitchAddressThatIsNotVerified(t *testing.T) {
	for _, flag := range []any{false, "true", nil} {
		s := newStandIn(t, "twitch")
		s.claims["email_verified"] = flag
		if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" {
			t.Errorf("%v: signed in as %+v", flag, u)
		}
	}
}

func TestTwitchRefusals(t *testing.T) {
	s := newStandIn(t, "twitch")
	s.answers["token.json"], s.status["token.json"] = []byte(`{"status":400,"message":"Invalid authorization code"}`), 400
	s.app(s.provider()).refuses(ginauth.ErrBadTokenResponse, "token.status", "400")
	s = newStandIn(t, "twitch")
	s.claims["nonce"] = "another"
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "id_token.nonce")
}

// What a link asks for goes along; the claims stay what they are.
func TestTwitchParameters(t *testing.T) {
	s := newStandIn(t, "twitch")
	s.app(s.provider()).get("/login/twitch?force_verify=true&claims=%7B%7D")
	if s.params.Get("force_verify") != "true" || s.params.Get("claims") == "{}" {
		t.Errorf("the authorization request has %v", s.params)
	}
}
