package providers_test

import (
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

func TestBothFormsOfKakaoAreOnePerson(t *testing.T) {
	var ids []string
	for _, name := range []string{"kakao", "kakao-oauth"} {
		s := newStandIn(t, name)
		ids = append(ids, s.app(s.provider()).signIn().ID())
	}
	if ids[0] != ids[1] || ids[0] != "https://kauth.kakao.com#9007199254740993" {
		t.Errorf("the ids are %q", ids)
	}
}

// An address that was verified is not valid any more when somebody else has it.
func TestKakaoAddresses(t *testing.T) {
	for _, name := range []string{"kakao", "kakao-oauth"} {
		for _, change := range []struct {
			old, new string
			verified bool
		}{
			{`"is_email_valid"`, `"is_email_valid"`, true},
			{`"is_email_valid": true`, `"is_email_valid": false`, false},
			{`"is_email_verified": true`, `"is_email_verified": false`, false},
			{`"is_email_verified": true`, `"is_email_verified": "true"`, false},
			{`"is_email_verified": true, `, ``, false},
		} {
			s := newStandIn(t, name)
			me := string(read(t, name+"/me.json"))
			if !strings.Contains(me, change.old) {
				t.Fatalf("%s is not in me.json", change.old)
			}
			s.answers["me.json"] = []byte(strings.Replace(me, change.old, change.new, 1))
			if u := s.app(s.provider()).signIn(); u.EmailVerified != change.verified || u.Email != "petra@kvarnbygd.example" {
				t.Errorf("%s %s: %q is verified: %v", name, change.new, u.Email, u.EmailVerified)
			}
		}
	}
}

func TestKakaoProfileOfAnotherPerson(t *testing.T) {
	s := newStandIn(t, "kakao")
	s.answers["me.json"] = []byte(strings.Replace(string(read(t, "kakao/me.json")), "9007199254740993", "9007199254740992", 1))
	s.app(s.provider()).refuses(ginauth.ErrUserinfoInvalid, "userinfo.sub")
}

func TestNaverAnswersThatAreNoProfile(t *testing.T) {
	for _, answer := range []string{
		`{"resultcode":"024","message":"Authentication failed"}`,
		`{"resultcode":"024","response":{"id":"x"}}`, `{"response":{"id":"x"}}`, `{"resultcode":0,"response":{"id":"x"}}`,
	} {
		s := newStandIn(t, "naver")
		s.answers["me.json"] = []byte(answer)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.rejected", "resultcode")
	}
	s := newStandIn(t, "naver")
	s.answers["me.json"] = []byte(`{"resultcode":"00","message":"success"}`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
	s = newStandIn(t, "naver")
	s.answers["token.json"] = []byte(`{"error":"invalid_request","error_description":"no valid data in session"}`) // under status 200
	s.app(s.provider()).refuses(ginauth.ErrProviderError, "token.error", `\"invalid_request\"`)
}

func TestNaverAddressesAreNotVerified(t *testing.T) {
	s := newStandIn(t, "naver")
	s.answers["me.json"] = []byte(`{"resultcode":"00","email_verified":true,"response":{"id":"x","nickname":"petra","email":"petra@kvarnbygd.example","email_verified":true}}`)
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Name != "petra" || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
}

// The standard's word for signing in anew works at NAVER too, which has one of
// its own.
func TestNaverPrompts(t *testing.T) {
	for _, name := range []string{"naver", "naver-oidc"} {
		for query, want := range map[string]string{
			"prompt=login": "reauthenticate", "prompt=consent": "reprompt", "prompt=none": "", "": "", "auth_type=reprompt": "reprompt",
		} {
			s := newStandIn(t, name)
			a := s.app(s.provider())
			a.get("/login/" + name + "?" + query)
			if got := s.params.Get("auth_type"); got != want || s.params.Has("prompt") {
				t.Errorf("%s with %s: auth_type is %q and prompt %q, want %q", name, query, got, s.params.Get("prompt"), want)
			}
		}
	}
}

func TestNaverOIDC(t *testing.T) {
	s := newStandIn(t, "naver-oidc")
	s.claims["email"], s.claims["email_verified"] = "petra@kvarnbygd.example", true
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
	s = newStandIn(t, "naver-oidc")
	s.claims["nonce"] = "another"
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "id_token.nonce")
}
