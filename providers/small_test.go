package providers_test

import (
	"slices"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// What looks like an id in a profile, and is not the one that stays a person's.
func TestProfilesWithoutAStableID(t *testing.T) {
	for _, tt := range []struct{ preset, file, answer string }{
		{"figma", "me.json", `{"handle":"Petra","email":"petra@kvarnbygd.example"}`},
		{"heroku", "account.json", `{"email":"petra@kvarnbygd.example","name":"Petra","verified":true}`},
		{"kick", "users.json", `{"data":[],"message":"OK"}`},
		{"kick", "users.json", `{"user_id":1047291,"data":[{"name":"hollow_oak"}]}`},
		{"mailchimp", "metadata.json", `{"error":"invalid_token"}`},
		{"mailchimp", "metadata.json", `{"user_id":20472910,"accountname":"Kvarnbygd","login":{"login_name":"hollow-oak"}}`},
		{"mailru", "userinfo.json", `{"error":"token not found","error_code":6}`},
		{"pinterest", "account.json", `{"username":"hollowoak","business_name":"Kvarnbygd"}`},
	} {
		s := newStandIn(t, tt.preset)
		s.answers[tt.file] = []byte(tt.answer)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
	}
}

func TestFigmaTokenWithoutAType(t *testing.T) {
	s := newStandIn(t, "figma")
	s.answers["token.json"] = []byte(`{"user_id_string":"1","access_token":"` + testToken + `","expires_in":7776000}`)
	s.app(s.provider()).signIn()
	s = newStandIn(t, "figma")
	s.answers["token.json"] = []byte(`{"access_token":"` + testToken + `","token_type":"mac"}`)
	s.app(s.provider()).refuses(ginauth.ErrBadTokenResponse, "token.type")
	s = newStandIn(t, "figma")
	s.answers["token.json"] = []byte(`<html>`)
	s.app(s.provider()).refuses(ginauth.ErrBadTokenResponse, "token.normalize")
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

// The names come from userinfo alone, and a person may hide them.
func TestORCIDNames(t *testing.T) {
	s := newStandIn(t, "orcid")
	s.answers["userinfo.json"] = []byte(`{"sub":"0000-0002-1825-009X","name":null,"given_name":"Petra"}`)
	if u := s.app(s.provider()).signIn(); u.Subject != "0000-0002-1825-009X" || u.Name != "Petra" {
		t.Errorf("signed in as %+v", u)
	}
	s = newStandIn(t, "orcid")
	s.answers["userinfo.json"] = []byte(`{"sub":"0000-0001-5109-3700","name":"Somebody Else"}`)
	s.app(s.provider()).refuses(ginauth.ErrUserinfoInvalid, "userinfo.sub")
}

func TestKindeSignOut(t *testing.T) {
	s := newStandIn(t, "kinde")
	a := s.app(s.provider())
	if to := a.signOut(); to.Host+to.Path != "login.kvarnbygd.example/logout" || to.Query().Get("redirect") != a.URL+"/logout/return" {
		t.Errorf("went to %s", to)
	}
	if p := a.get("/logout/return"); p.URL.Path != "/" {
		t.Errorf("coming back without a state ended at %s", p.URL)
	}
}

// The client id is part of Descope's issuer.
func TestDescopeClientIDs(t *testing.T) {
	for _, id := range []string{"../evil", "a/b", "P2abc?x", "P2abc#", "@evil.example", "P2 abc"} {
		if err := mount(providers.Descope(id, testClientSecret)); !slices.Equal(mistakes(err), []string{"provider.client_id.not_a_path_segment"}) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
