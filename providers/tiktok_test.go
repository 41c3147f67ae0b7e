package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestTikTokAnswersThatAreNoProfile(t *testing.T) {
	for _, answer := range []string{
		`{"error":{"code":"access_token_invalid","message":"…","log_id":"1"}}`,
		`{"data":{"user":{"open_id":"x"}},"error":{"code":"scope_not_authorized"}}`,
		`{"data":{"user":{"open_id":"x"}}}`,
	} {
		s := newStandIn(t, "tiktok")
		s.answers["info.json"] = []byte(answer)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.rejected", "error.code")
	}
	s := newStandIn(t, "tiktok")
	s.answers["info.json"] = []byte(`{"data":{"user":{}},"error":{"code":"ok"}}`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
	s = newStandIn(t, "tiktok")
	s.answers["token.json"] = []byte(`{"error":"invalid_grant","error_description":"Authorization code is expired.","log_id":"1"}`) // under status 200
	s.app(s.provider()).refuses(ginauth.ErrCodeRejected, "token.invalid_grant", `\"invalid_grant\"`)
}

func TestTikTokAndStravaSeparateScopesByCommas(t *testing.T) {
	for name, scopes := range map[string][]string{"tiktok": {"user.info.basic", "user.info.profile"}, "strava": {"read", "profile:read_all"}} {
		s := newStandIn(t, name)
		p := s.provider()
		p.Scopes = scopes
		s.Authorize.Params = map[string]string{"scope": scopes[0] + "," + scopes[1]}
		s.app(p).signIn()
	}
}
