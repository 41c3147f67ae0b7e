package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

const xWithoutAddress = "https://api.x.com/2/users/me?user.fields=profile_image_url"

func TestXAddressIsNotAskedForUnlessGranted(t *testing.T) {
	s := newStandIn(t, "x")
	s.answers["token.json"] = []byte(`{"token_type":"bearer","expires_in":7200,"access_token":"` + testToken + `","scope":"users.read tweet.read"}`)
	s.answers["me.json"] = []byte(`{"data":{"id":"1729384756102938475","name":"Petra Lindqvist","username":"hollow_oak"}}`)
	s.Requests[0].URL = xWithoutAddress
	if u := s.app(s.provider()).signIn(); u.Subject != "1729384756102938475" || u.Email != "" || u.EmailVerified {
		t.Errorf("signed in as %+v", u)
	}
}

func TestXAddressThatIsRefused(t *testing.T) {
	s := newStandIn(t, "x")
	s.answers["refused.json"], s.status["refused.json"] = []byte(`{"title":"Forbidden","status":403}`), 403
	s.answers["bare.json"] = []byte(`{"data":{"id":"1729384756102938475","name":"Petra Lindqvist","username":"hollow_oak"}}`)
	s.Requests[0].Answer = "refused.json"
	s.Requests = append(s.Requests, request{URL: xWithoutAddress, Answer: "bare.json"})
	a := s.app(s.provider())
	if u := a.signIn(); u.Subject != "1729384756102938475" || u.Email != "" || u.EmailVerified {
		t.Errorf("signed in as %+v", u)
	}
	if n := s.requests("GET https://api.x.com/2/users/me"); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestXProfiles(t *testing.T) {
	s := newStandIn(t, "x")
	s.answers["me.json"] = []byte(`{"email":"petra@kvarnbygd.example","email_verified":true,"data":{"id":"1","username":"hollow_oak","email":"petra@kvarnbygd.example","verified":true}}`)
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email != "" || u.Username != "hollow_oak" {
		t.Errorf("signed in as %+v", u)
	}
	s = newStandIn(t, "x")
	s.answers["me.json"] = []byte(`{"id":"1","sub":"2","username":"hollow_oak","errors":[{"title":"Unauthorized"}]}`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
	s = newStandIn(t, "x")
	s.status["me.json"] = 429
	s.app(s.provider()).refuses(ginauth.ErrProviderUnavailable, "http.status", "429")
	if n := s.requests("GET https://api.x.com/2/users/me"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
