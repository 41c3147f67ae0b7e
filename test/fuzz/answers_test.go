package fuzz

import (
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// fuzzedAnswer is an endpoint with a fuzzed response; ok is false for responses that no server
// can send.
func fuzzedAnswer(status uint16, media, body string) (h http.HandlerFunc, code int, ok bool) {
	code = 200 + int(status)%400
	if strings.ContainsFunc(media, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, 0, false
	}
	return sitetest.AnswerWith(code, media, body), code, true
}

// readStrictly decodes an object that both encoding/json and strictjson accept; the latter has a
// separate fuzz target.
func readStrictly(body string) (map[string]any, bool) {
	if _, err := strictjson.Object([]byte(body)); err != nil {
		return nil, false
	}
	obj, err := readClaims(body)
	return obj, err == nil && obj != nil
}

// variants reports whether the name of a member differs from one of names only in case.
func variants(obj map[string]any, names string) bool {
	for member := range obj {
		for name := range strings.FieldsSeq(names) {
			if member != name && strings.EqualFold(member, name) {
				return true
			}
		}
	}
	return false
}

// goodTokenAnswer is the reference: RFC 6749 5.1, with some leniency: another 2xx status, an
// empty error, and expires_in as a string.
func goodTokenAnswer(status int, media, body, idToken string) bool {
	kind, _, _ := mime.ParseMediaType(media)
	obj, ok := readStrictly(body)
	if status/100 != 2 || status == http.StatusNoContent || status == http.StatusPartialContent || kind != "application/json" || !ok || variants(obj, "access_token token_type expires_in refresh_token id_token scope error") {
		return false
	}
	access, _ := obj["access_token"].(string)
	typ, _ := obj["token_type"].(string)
	printable := !strings.ContainsFunc(access, func(r rune) bool { return r < '!' || r > '~' })
	if access == "" || len(access) > 16<<10 || !printable || !strings.EqualFold(typ, "bearer") || obj["error"] != nil && obj["error"] != "" || obj["id_token"] != idToken {
		return false
	}
	switch v := obj["expires_in"].(type) {
	case nil:
		return true
	case json.Number:
		return wholeSeconds(string(v))
	case string:
		return wholeSeconds(v)
	}
	return false
}

func wholeSeconds(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == "" || text == "-0"
}

// tokenAnswers are seeds; IDTOKEN is replaced by a valid ID token.
var tokenAnswers = []string{
	`{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"access_token":"a","token_type":"bEaReR","id_token":"IDTOKEN","expires_in":3600,"scope":"openid","refresh_token":"r"}`,
	`{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":"3600"}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":-5}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":0}`,
	`{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":1.5}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":1e400}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":99999999999999999999999}`,
	`{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":""}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":"+5"}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":null}`,
	`{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":"-0"}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":true}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","expires_in":{}}`,
	`{"access_token":"a","token_type":"mac","id_token":"IDTOKEN"}`, `{"access_token":"a","token_type":"DPoP","id_token":"IDTOKEN"}`, `{"access_token":"a","token_type":["bearer"],"id_token":"IDTOKEN"}`, `{"access_token":"a","id_token":"IDTOKEN"}`, `{"access_token":"a","token_type":"Bearer\u0000","id_token":"IDTOKEN"}`,
	`{"access_token":"","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"access_token":1,"token_type":"Bearer","id_token":"IDTOKEN"}`, `{"access_token":{},"token_type":"Bearer","id_token":"IDTOKEN"}`, `{"token_type":"Bearer","id_token":"IDTOKEN"}`,
	`{"access_token":"a\r\nb","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"access_token":"a b","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"access_token":"ä","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"access_token":"a","ACCESS_TOKEN":"b","token_type":"Bearer","id_token":"IDTOKEN"}`,
	`{"access_token":"a","access_token":"b","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"acceſſ_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"access_token":"a","token_type":"Bearer"}`, `{"access_token":"a","token_type":"Bearer","id_token":""}`,
	`{"access_token":"a","token_type":"Bearer","id_token":null}`, `{"access_token":"a","token_type":"Bearer","id_token":["IDTOKEN"]}`, `{"access_token":"a","token_type":"Bearer","id_token":{}}`, `{"access_token":"a","token_type":"Bearer","id_token":" IDTOKEN"}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN\n"}`,
	`{"error":"invalid_grant"}`, `{"error":"invalid_grant","access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"error":"invalid_client","error_description":"<script>"}`, `{"error":"temporarily_unavailable"}`, `{"error":null,"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}`,
	`{"error":"","access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"error":1,"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"error":{},"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}`, `{"error":"redirect_uri_mismatch"}`, `{"error":"x\r\nlevel=ERROR"}`, `{"error":"VERIFIER"}`,
	`{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","scope":["openid","email"]}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","scope":[1]}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","scope":{}}`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN","refresh_token":{}}`,
	`{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"`, `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}x`, "\ufeff" + `{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}`, `[{"access_token":"a","token_type":"Bearer","id_token":"IDTOKEN"}]`, `{"access_token":"a\xff","token_type":"Bearer","id_token":"IDTOKEN"}`,
	``, `null`, `{}`, `"a"`, `access_token=a&token_type=bearer`, `<!doctype html><title>invalid_grant</title>`, `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
}

// FuzzTokenAnswer fuzzes the response of the token endpoint. Ada is signed in if and only if the
// reference accepts it as a token response; the code is sent once, for any response.
func FuzzTokenAnswer(f *testing.F) {
	for _, body := range tokenAnswers {
		f.Add(uint16(0), "application/json", body)
	}
	for _, status := range []uint16{1, 4, 6, 102, 107, 108, 200, 201, 203, 229, 300, 303} {
		f.Add(status, "application/json", tokenAnswers[0])
		f.Add(status, "application/json", `{"error":"invalid_grant"}`)
		f.Add(status, "text/html", "<h1>invalid_grant</h1>")
	}
	for _, media := range []string{"application/json; charset=utf-8", "APPLICATION/JSON", "application/json;", "application/json; charset", "text/html", "text/plain", "", "application/x-www-form-urlencoded", "application/jwt", "application/problem+json", "x/y\n"} {
		f.Add(uint16(0), media, tokenAnswers[0])
	}
	s := newStage(f, nil)
	f.Fuzz(func(t *testing.T, status uint16, media, body string) {
		s.fresh(t, len(body))
		a := s.begin(t, "")
		idToken := edToken(nil, sitetest.JSON(s.goodClaims(a)))
		body = strings.ReplaceAll(body, "IDTOKEN", idToken)
		_, code, ok := fuzzedAnswer(status, media, body)
		if !ok {
			return
		}
		s.answer["/token"] = func(w http.ResponseWriter, r *http.Request) {
			body = strings.ReplaceAll(body, "VERIFIER", r.PostForm.Get("code_verifier"))
			sitetest.AnswerWith(code, media, body)(w, r)
		}
		w := s.ask("GET", "/authorize/demo", answerOf(a), a.cookie())
		good := goodTokenAnswer(code, media, body, idToken)
		u := s.who(t, jarOf(w))
		if n := s.count("/token"); n != 1 || good != (u != nil) {
			t.Fatalf("good is %t, and %+v is signed in, after %d requests for a token\n%d %q %q\n%s", good, u, n, code, media, body, &s.log)
		}
		if good {
			var said struct {
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal([]byte(body), &said); err != nil || s.login.Token.AccessToken != said.Token || !s.login.Token.Valid() && !strings.Contains(body, "expires_in") {
				t.Errorf("OnLogin got the token %+v, %v", s.login.Token, err)
			}
			return
		}
		if !slices.Contains([]int{400, 403, 502, 503}, w.Code) {
			t.Errorf("the response is %d %s", w.Code, w.Body)
		}
		s.closes(t, w, a.state, a.nonce, a.value, stageCode)
	})
}

// userinfos are seeds.
var userinfos = []string{
	`{"sub":"ada"}`, `{"sub":"ada","email":"ada@idp.example","email_verified":true}`, `{"sub":"ada","email":"eve@evil.example","email_verified":true,"name":"Ada"}`, `{"sub":"ada","email":"ada@idp.example","email_verified":"true"}`,
	`{"sub":"ada","email":"ada@idp.example","email_verified":1}`, `{"sub":"ada","email_verified":true}`, `{"sub":"ada","email":{"a":1},"email_verified":true}`, `{"sub":"ada","email":null,"email_verified":true}`, `{"sub":"ada","email":"","email_verified":true}`,
	`{"sub":"eve"}`, `{"sub":""}`, `{"sub":null}`, `{"sub":1}`, `{"sub":["ada"]}`, `{"sub":"ada","sub":"ada"}`, `{"sub":"ada","SUB":"ada"}`, `{"SUB":"ada"}`, `{"ſub":"ada"}`, `{"sub":"ada","emaIl":"x"}`, `{"sub":"ada","Email_Verified":true}`,
	`{"sub":"ada","iss":"https://evil.example","aud":"x","exp":1,"nonce":"n","sid":"evil","events":{}}`, `{"sub":"ada","groups":["admin"],"picture":"javascript:1","name":"<b>"}`, `{"sub":"\u0061da"}`, `{"sub":"ada"}x`, `[{"sub":"ada"}]`, `{"error":"invalid_token"}`, ``, `{}`, `null`,
	`{"id":7,"email":"ada@idp.example","email_verified":true}`, `{"id":9007199254740993}`, `{"id":9007199254740992.0}`, `{"id":0}`, `{"id":"0"}`, `{"id":-0}`, `{"id":1e3}`, `{"id":null}`, `{"id":""}`, `{"id":true}`, `{"id":[1]}`, `{"id":{"a":1}}`, `{"id":-7}`, `{"id":7,"id":8}`, `{"id":7,"Id":8}`, `{"ID":7}`,
	`{"id":"a\u0000b"}`, `{"id":"ä"}`, `{"id":"` + strings.Repeat("x", 256) + `"}`, `{"id":7,"sub":"eve"}`, `{"sub":"eve"}`, `{"id":123456789012345678901234567890}`,
}

// userOf is the reference: the user that a userinfo response, or a plain profile, may sign in,
// or "".
func userOf(plain bool, body string) (subject string) {
	obj, ok := readStrictly(body)
	if !ok || variants(obj, strings.Join(reservedNames, " ")) || plain && variants(obj, "id") {
		return ""
	}
	if !plain {
		if obj["sub"] == "ada" {
			return "ada"
		}
		return ""
	}
	switch id := obj["id"].(type) {
	case string:
		subject = id
	case json.Number:
		if strings.Trim(strings.TrimPrefix(string(id), "-"), "0123456789") == "" && id != "-0" && id != "0" {
			subject = string(id)
		}
	}
	if len(subject) > 255 || strings.ContainsFunc(subject, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return subject
}

// userinfoStage is a stage with two providers: "demo", whose userinfo is always requested, and
// "plain", which is plain OAuth 2.0 and has its user's id in "id".
func userinfoStage(f *testing.F) *stage {
	return newStage(f, func(p *ginauth.Provider, o *ginauth.Options) {
		p.Userinfo = "always"
		o.Providers = append(o.Providers, ginauth.Provider{Name: "plain", Namespace: "https://plain.example", ClientID: "p", ClientSecret: stageSecret, ResponseIssuer: stageIDP,
			AuthorizeURL: stageIDP + "/authorize", TokenURL: stageIDP + "/token", UserinfoURL: stageIDP + "/userinfo", ClaimPaths: map[string]string{"sub": "id"}})
	})
}

// FuzzUserinfo fuzzes the response of the userinfo endpoint, or of a plain profile: as JSON, or
// correctly signed. The signed-in user is the one in the ID token, or in the profile, digit for
// digit; an address is verified only if the response marks it as verified.
func FuzzUserinfo(f *testing.F) {
	for i, body := range userinfos {
		f.Add(uint16(0), "application/json", body, uint8(i%2))
		f.Add(uint16(0), "application/json", body, uint8(2))
		f.Add(uint16(0), "application/jwt", strings.Replace(body, "{", `{"iss":"`+stageIDP+`","aud":"`+stageClient+`",`, 1), uint8(5))
	}
	for _, more := range []string{`"aud":"CID"`, `"iss":"ISS"`, `"iss":"ISS","aud":"x"`, `"iss":"ISS/","aud":"CID"`, `"iss":"ISS","aud":["x","CID"]`, `"iss":"ISS","aud":["CID",null]`, `"iss":"ISS","aud":"CID","exp":1`,
		`"iss":"ISS","aud":"CID","exp":9999999999`, `"iss":"ISS","aud":"CID","exp":"9999999999"`, `"iss":"ISS","aud":"CID","nbf":9999999999`} {
		body := strings.NewReplacer("ISS", stageIDP, "CID", stageClient).Replace(`{"sub":"ada",` + more + `}`)
		f.Add(uint16(0), "application/jwt", body, uint8(4))
		f.Add(uint16(0), "application/jwt", body, uint8(6))
		f.Add(uint16(0), "application/json", body, uint8(4))
		f.Add(uint16(0), "application/jwt", body, uint8(0))
	}
	for _, status := range []uint16{1, 4, 102, 107, 201, 203, 300} {
		f.Add(status, "application/json", userinfos[0], uint8(0))
		f.Add(status, "application/json", `{"id":7}`, uint8(2))
	}
	for _, media := range []string{"", "text/html", "application/json; charset=utf-8", "text/json", "application/scim+json", "x/y+json", "application/jwt; a=b", "APPLICATION/JSON"} {
		f.Add(uint16(0), media, userinfos[1], uint8(0))
		f.Add(uint16(0), media, `{"id":7}`, uint8(2))
		f.Add(uint16(0), media, `{"sub":"ada","iss":"`+stageIDP+`","aud":"`+stageClient+`"}`, uint8(4))
	}
	s := userinfoStage(f)
	f.Fuzz(func(t *testing.T, status uint16, media, body string, kind uint8) {
		s.fresh(t, len(body))
		name, plain := "demo", kind&2 != 0
		if plain {
			name = "plain"
		}
		a := s.beginWith(t, name, "")
		claims := s.goodClaims(a)
		claims["email"] = "ada@idp.example"
		if kind&1 != 0 {
			delete(claims, "email")
		}
		s.tokenAnswer(edToken(nil, sitetest.JSON(claims)))
		said := body
		if kind&4 != 0 {
			said = edToken(map[string]any{"typ": nil}, body)
		}
		answer, code, ok := fuzzedAnswer(status, media, said)
		if !ok {
			return
		}
		s.answer["/userinfo"] = answer
		w := s.ask("GET", "/authorize/"+name, answerOf(a), a.cookie())
		u := s.who(t, jarOf(w))
		if u == nil {
			if !slices.Contains([]int{403, 502, 503, 500}, w.Code) || w.Code == 500 && len(body) < 3000 {
				t.Errorf("the response is %d %s", w.Code, w.Body)
			}
			s.closes(t, w, a.state, a.nonce, a.value, stageCode, stageToken)
		}
		s.mayBe(t, u, body, said, code, media, plain, claims["email"])
	})
}

func audiencesIn(obj map[string]any) []any {
	if list, ok := obj["aud"].([]any); ok {
		return list
	}
	return []any{obj["aud"]}
}

// mayBe compares the signed-in user with the reference.
func (s *stage) mayBe(t *testing.T, u *ginauth.User, body, said string, code int, media string, plain bool, email any) {
	t.Helper()
	want, kind := userOf(plain, body), ""
	kind, _, _ = mime.ParseMediaType(media)
	isJSON := kind == "application/json" || strings.HasSuffix(kind, "+json")
	isSigned := body != said
	obj, _ := readClaims(body)
	switch {
	case code != http.StatusOK, isSigned && isJSON, !isSigned && !isJSON, isSigned && (plain || kind != "application/jwt"):
		want = ""
	case isSigned && (obj["iss"] != stageIDP || !slices.Contains(audiencesIn(obj), any(stageClient))): // OpenID Connect Core 5.3.2
		want = ""
	}
	if u == nil {
		small := len(body) < 2000 && !isSigned // sessions have a size limit, and signed responses other rules
		if want != "" && small {
			t.Errorf("%q is not signed in, by %d %q %s\n%s", want, code, media, body, &s.log)
		}
		return
	}
	if u.Subject != want || u.Issuer == "" || u.Provider == "plain" != plain {
		t.Errorf("%+v is signed in, and the reference says %q\n%s", u, want, body)
	}
	var told struct {
		Email    any
		Verified any `json:"email_verified"`
	}
	_ = json.Unmarshal([]byte(body), &told)
	if number, isNumber := told.Email.(float64); isNumber {
		told.Email = strconv.FormatFloat(number, 'f', -1, 64)
	}
	if u.EmailVerified && (told.Verified != true || told.Email != u.Email) {
		t.Errorf("%q is verified\n%s", u.Email, body)
	}
	if !plain && email != nil && u.Email != email {
		t.Errorf("the ID token says %q, and the user has %q\n%s", email, u.Email, body)
	}
}
