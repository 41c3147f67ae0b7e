package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestInstagramTokenAnswers(t *testing.T) {
	s := newStandIn(t, "instagram")
	s.answers["token.json"] = []byte(`{"access_token":"` + testToken + `","user_id":1020304050}`)
	if u := s.app(s.provider()).signIn(); u.Subject != "17841405793187218" {
		t.Errorf("signed in as %+v", u)
	}
	for _, answer := range []string{`{"data":[]}`, `{"data":["x"]}`, `{"data":[{"user_id":"1"}]}`, `{"data":{"access_token":"x"}}`, `[]`, `access_token=x`} {
		s := newStandIn(t, "instagram")
		s.answers["token.json"] = []byte(answer)
		s.app(s.provider()).refuses(ginauth.ErrBadTokenResponse, "")
	}
}

// The application's own number for the person is not the account's.
func TestInstagramSubject(t *testing.T) {
	s := newStandIn(t, "instagram")
	s.answers["me.json"] = []byte(`{"id":"9876543210987654","username":"hollow.oak"}`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
}
