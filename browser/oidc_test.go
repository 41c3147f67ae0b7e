package browser

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// sid is the session's id at the provider, which the ID token told.
func (s *site) sid() string {
	s.t.Helper()
	var answer struct {
		Token string `json:"id_token"`
	}
	var claims struct{ Sid string }
	if err := json.Unmarshal(s.idp.LastRequest("token").Answer, &answer); err != nil {
		s.t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.Token, ".")[1])
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil || claims.Sid == "" {
		s.t.Fatalf("the ID token has no sid: %v", err)
	}
	return claims.Sid
}
