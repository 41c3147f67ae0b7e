package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestLarkProfiles(t *testing.T) {
	for _, tt := range []struct{ answer, id, part string }{
		{`{"code":20005,"msg":"invalid access token","data":{"union_id":"on_d89"}}`, "claims.rejected", "code is"},
		{`{"msg":"success","data":{"union_id":"on_d89"}}`, "claims.rejected", "code is"},
		{`{"code":0,"union_id":"on_d89","data":{"open_id":"ou_cae","name":"Petra"}}`, "claims.sub", ""},
	} {
		s := newStandIn(t, "lark")
		s.answers["user_info.json"] = []byte(tt.answer)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, tt.id, tt.part)
	}
	s := newStandIn(t, "lark")
	s.answers["user_info.json"] = []byte(`{"code":0,"email_verified":true,"data":{"union_id":"on_d89","email":"petra@kvarnbygd.example","email_verified":true}}`)
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email != "petra@kvarnbygd.example" || u.Subject != "on_d89" {
		t.Errorf("signed in as %+v", u)
	}
}

func TestLarkRefusesACode(t *testing.T) {
	s := newStandIn(t, "feishu")
	s.answers["token.json"], s.status["token.json"] = []byte(`{"code":20003,"error":"invalid_grant","error_description":"The authorization code is not found."}`), 400
	s.app(s.provider()).refuses(ginauth.ErrCodeRejected, "token.invalid_grant", `\"invalid_grant\"`)
}
