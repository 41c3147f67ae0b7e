package providers_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	"github.com/ginauth/ginauth"
)

func TestFacebookProvesItsSecret(t *testing.T) {
	s := newStandIn(t, "facebook")
	mac := hmac.New(sha256.New, []byte(testClientSecret))
	io.WriteString(mac, testToken)
	s.Requests[0].URL = "https://graph.facebook.com/v24.0/me?fields=id,name,email,picture.type(large)&appsecret_proof=" + hex.EncodeToString(mac.Sum(nil))
	if u := s.app(s.provider()).signIn(); u.Subject != "10229384756102938" {
		t.Errorf("signed in as %+v", u)
	}
}

func TestFacebookAddresses(t *testing.T) {
	for _, tt := range []struct{ name, profile, email string }{
		{"whatever a profile says of it", `{"id":"1","name":"Petra","email":"petra@kvarnbygd.example","email_verified":true,"verified":true}`, "petra@kvarnbygd.example"},
		{"declined", `{"id":"1","name":"Petra"}`, ""},
	} {
		s := newStandIn(t, "facebook")
		s.answers["me.json"] = []byte(tt.profile)
		if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email != tt.email || u.Picture != "" {
			t.Errorf("%s: signed in as %+v", tt.name, u)
		}
	}
}

func TestFacebookRefusals(t *testing.T) {
	s := newStandIn(t, "facebook")
	s.answers["token.json"], s.status["token.json"] = []byte(`{"error":{"message":"This authorization code has been used.","type":"OAuthException","code":100}}`), 400
	s.app(s.provider()).refuses(ginauth.ErrBadTokenResponse, "token.status", "400")
	s = newStandIn(t, "facebook")
	s.answers["me.json"], s.status["me.json"] = []byte(`{"error":{"message":"Invalid appsecret_proof provided in the API argument","type":"GraphMethodException","code":100}}`), 400
	s.app(s.provider()).refuses(ginauth.ErrProviderUnavailable, "http.status", "op=profile")
}
