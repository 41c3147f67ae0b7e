package fuzz

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// logoutStage is a stage with two signed-in users: Ada, with a session at the provider, and
// Grace.
func logoutStage(f testing.TB) (s *stage, ada, grace string) {
	s = newStage(f, nil)
	a := s.begin(f, "")
	claims := s.goodClaims(a)
	claims["sid"] = "s1"
	s.tokenAnswer(edToken(nil, sitetest.JSON(claims)))
	ada = jarOf(s.ask("GET", "/authorize/demo", answerOf(a), a.cookie()))
	grace = (&sitetest.Site{T: f, Auth: s.auth}).Mint(&ginauth.User{Subject: "grace"})
	if s.who(f, ada) == nil || s.who(f, grace) == nil {
		f.Fatal("nobody is signed in\n", &s.log)
	}
	return s, ada, grace
}

// backChannel posts a logout token like a provider.
func (s *stage) backChannel(token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", stageURL+"/logout/demo/backchannel", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	r.Header.Set("Content-Type", sitetest.FormType)
	return s.send(r)
}

// logoutTyps are values of typ; the first half is accepted in logout tokens.
var logoutTyps = []any{"logout+jwt", "JWT", nil, "LOGOUT+JWT", "application/logout+jwt", "at+jwt", "", "secevent+jwt", 1, []any{"logout+jwt"}}

// FuzzLogoutToken changes the claims of a logout token, and signs it correctly. Ada is signed
// out if and only if the reference accepts the token, and it names her or her session; Grace
// never is.
func FuzzLogoutToken(f *testing.F) {
	const event = `{"http://schemas.openid.net/event/backchannel-logout":{}}`
	for typ := range logoutTyps {
		f.Add([]byte{}, uint8(0), uint8(typ))
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "events"} {
		f.Add(change(dropClaim, name, "true"), uint8(0), uint8(0))
		f.Add(change(doubleClaim, name, `"ada"`), uint8(0), uint8(0))
		for _, value := range []string{"null", `""`, "1", "{}", "[]", `"T"`, "T-120", "T+61", "9e18"} {
			f.Add(change(setClaim, name, value), uint8(0), uint8(0))
		}
	}
	for _, program := range [][]byte{
		change(setClaim, "at_hash", "1e-3"), change(setClaim, "nonce", "null"), change(setClaim, "nonce", `"NONCE"`), change(setClaim, "Nonce", "null"), change(setClaim, "Events", event), change(setClaim, "sid", `"s1"`), change(setClaim, "sid", `""`), change(setClaim, "sid", "null"),
		slices.Concat(change(dropClaim, "sub", "true"), change(setClaim, "sid", `"ada"`)), change(setClaim, "aud", `["CID",null]`), change(setClaim, "aud", `["x","CID"]`), change(setClaim, "azp", `"CID2"`),
		slices.Concat(change(setClaim, "events", "{}"), change(setClaim, "Events", event)), change(setClaim, "sub", `"LONG256"`), change(setClaim, "sub", `"ada\u0000"`),
	} {
		f.Add(program, uint8(0), uint8(0))
		f.Add(program, uint8(20), uint8(1))
	}
	s, ada, grace := logoutStage(f)
	f.Fuzz(func(t *testing.T, program []byte, wait, typ uint8) {
		s.fresh(t, len(program))
		s.signsOut(t, ada, grace, program, wait, typ)
	})
}

// TestLogoutClaimsOneByOne makes every single change to a valid logout token.
func TestLogoutClaimsOneByOne(t *testing.T) {
	t.Parallel()
	s, ada, grace := logoutStage(t)
	oneByOne(func(_ string, program []byte) {
		s.forget()
		s.signsOut(t, ada, grace, program, 20, 0)
	})
}

// signsOut posts a logout token that a program has changed, and compares the result with the
// reference.
func (s *stage) signsOut(t *testing.T, ada, grace string, program []byte, wait, typ uint8) {
	s.now = s.now.Add(20 * time.Duration(wait) * time.Second)
	values := strings.NewReplacer("ISS", stageIDP, "CID", stageClient, "LONG255", strings.Repeat("x", 255), "LONG256", strings.Repeat("x", 256))
	payload := forge([]entry{{"iss", sitetest.JSON(stageIDP)}, {"aud", sitetest.JSON(stageClient)}, {"iat", fmt.Sprint(s.now.Unix())}, {"exp", fmt.Sprint(s.now.Unix() + 120)},
		{"jti", `"j"`}, {"events", `{"http://schemas.openid.net/event/backchannel-logout":{}}`}, {"sub", `"ada"`}}, program[:min(len(program), 24)],
		func(template string) string { return values.Replace(moment(template, s.now)) })
	kind := int(typ) % len(logoutTyps)
	token := edToken(map[string]any{"typ": logoutTyps[kind]}, payload)
	why := whyNot(payload, expectation{now: s.now, begun: s.now, logoutToken: true})
	if kind >= len(logoutTyps)/2 {
		why = "typ"
	}
	w := s.backChannel(token)
	s.closes(t, w, token[len(token)-40:])
	if (why == "") != (w.Code == http.StatusOK) || why != "" && (w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"invalid_request"`) || len(s.marks) != 0) {
		t.Fatalf("the reference says %q, and it got %d %s\n%s\n%s", why, w.Code, w.Body, payload, &s.log)
	}
	if w.Header()["Set-Cookie"] != nil || w.Code == http.StatusOK && w.Body.Len() != 0 {
		t.Errorf("the response is %q, %s", w.Header()["Set-Cookie"], w.Body)
	}
	if s.who(t, grace) == nil {
		t.Errorf("Grace was signed out\n%s", payload)
	}
	if gone := s.who(t, ada) == nil; gone != (why == "" && endsAda(payload)) {
		t.Errorf("Ada is signed out: %t; the reference says %q\n%s", gone, why, payload)
	}
}

// endsAda is the reference for the sessions that a valid logout token ends: that of the sid, if
// there is one, and otherwise all of the user that began before it was issued. Ada's ID token
// was issued when the fuzzing began.
func endsAda(payload string) bool {
	c, _ := readClaims(payload)
	iat, _, _ := secondsIn(c, "iat")
	if !inRange(iat, fuzzTime, 0, ever) {
		return false
	}
	if sid := c["sid"]; sid != nil {
		return sid == "s1"
	}
	return c["sub"] == "ada"
}
