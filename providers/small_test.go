package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

// What looks like an id in a profile, and is not the one that stays a person's.
func TestProfilesWithoutAStableID(t *testing.T) {
	for _, tt := range []struct{ preset, file, answer string }{
		{"figma", "me.json", `{"handle":"Petra","email":"petra@kvarnbygd.example"}`},
		{"heroku", "account.json", `{"email":"petra@kvarnbygd.example","name":"Petra","verified":true}`},
		{"kick", "users.json", `{"data":[],"message":"OK"}`},
		{"kick", "users.json", `{"user_id":1047291,"data":[{"name":"hollow_oak"}]}`},
		{"pinterest", "account.json", `{"username":"hollowoak","business_name":"Kvarnbygd"}`},
	} {
		s := newStandIn(t, tt.preset)
		s.answers[tt.file] = []byte(tt.answer)
		s.app(s.provider()).refuses(ginauth.IdentityRejected, "no usable subject")
	}
}

func TestFigmaTokenWithoutAType(t *testing.T) {
	s := newStandIn(t, "figma")
	s.answers["token.json"] = []byte(`{"user_id_string":"1","access_token":"` + testToken + `","expires_in":7776000}`)
	s.app(s.provider()).signIn()
	s = newStandIn(t, "figma")
	s.answers["token.json"] = []byte(`{"access_token":"` + testToken + `","token_type":"mac"}`)
	s.app(s.provider()).refuses(ginauth.BadTokenResponse, "token_type")
	s = newStandIn(t, "figma")
	s.answers["token.json"] = []byte(`<html>`)
	s.app(s.provider()).refuses(ginauth.BadTokenResponse, "NormalizeToken")
}

// Without userinfo's word an address is not verified, and its word is about the
// address that stands beside it.
func TestVercelAddresses(t *testing.T) {
	for _, userinfo := range []string{
		`{"sub":"345e869043f1e55f8bdc837c","email":"petra@kvarnbygd.example"}`,
		`{"sub":"345e869043f1e55f8bdc837c","email":"petra@other.example","email_verified":true}`,
		`{"sub":"345e869043f1e55f8bdc837c","email":"petra@kvarnbygd.example","email_verified":"true"}`,
	} {
		s := newStandIn(t, "vercel")
		s.answers["userinfo.json"] = []byte(userinfo)
		if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email != "petra@kvarnbygd.example" {
			t.Errorf("%s: signed in as %+v", userinfo, u)
		}
	}
}

func TestPinterestWithoutABusiness(t *testing.T) {
	s := newStandIn(t, "pinterest")
	s.answers["account.json"] = []byte(`{"id":"2783136121146311751","username":"hollowoak","business_name":null}`)
	if u := s.app(s.provider()).signIn(); u.Name != "hollowoak" {
		t.Errorf("signed in as %+v", u)
	}
}
