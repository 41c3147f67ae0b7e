package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestYahoo(t *testing.T) {
	s := newStandIn(t, "yahoo")
	s.claims["email_verified"] = false // userinfo does not overrule it
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
	s = newStandIn(t, "yahoo")
	s.claims["nonce"] = "another"
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "id_token.nonce")
	s = newStandIn(t, "yahoo")
	s.replace("userinfo.json", "4XVDLM", "4XVDLN")
	s.app(s.provider()).refuses(ginauth.ErrUserinfoInvalid, "userinfo.sub")
}
