package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestStackOverflowTokens(t *testing.T) {
	for _, tt := range []struct {
		name, answer, id, part string
		status                 int
		code                   ginauth.Code
	}{
		{"an error", `{"error":{"type":"invalid_request","message":"Invalid code"}}`, "token.status", "400", 400, ginauth.ErrBadTokenResponse},
		{"an error under status 200", `error=invalid_grant`, "token.normalize", "", 200, ginauth.ErrBadTokenResponse},
		{"JSON", `{"access_token":"abcd"}`, "token.normalize", "", 200, ginauth.ErrBadTokenResponse},
		{"no form", `access_token=abcd&x=%zz`, "token.normalize", "", 200, ginauth.ErrBadTokenResponse},
		{"a life that is no number", `access_token=abcd&expires=soon`, "token.expires_in", "", 200, ginauth.ErrBadTokenResponse},
		{"two lines", `access_token=ab%0acd`, "token.access_token", "", 200, ginauth.ErrBadTokenResponse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStandIn(t, "stackoverflow")
			s.answers["token.json"], s.status["token.json"] = []byte(tt.answer), tt.status
			s.app(s.provider()).refuses(tt.code, tt.id, tt.part)
		})
	}
}

func TestStackOverflowTokenWithoutEnd(t *testing.T) {
	s := newStandIn(t, "stackoverflow")
	s.answers["token.json"] = []byte(`access_token=abcd*(01234%29)`)
	a := s.app(s.provider())
	if a.signIn(); !a.login.Token.Expiry.IsZero() {
		t.Errorf("the token ends at %s", a.login.Token.Expiry)
	}
}

// An account without a profile on the site is refused, and the number of the profile is
// not that of the account.
func TestStackOverflowProfiles(t *testing.T) {
	for _, answer := range []string{`{"items":[],"has_more":false}`, `{"items":[{"user_id":3104729,"display_name":"Petra"}]}`} {
		s := newStandIn(t, "stackoverflow")
		s.answers["me.json"] = []byte(answer)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
	}
	s := newStandIn(t, "stackoverflow")
	s.status["me.json"] = 502
	s.app(s.provider()).refuses(ginauth.ErrProviderUnavailable, "http.status", "502")
}
