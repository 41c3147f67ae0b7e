package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsToken(t *testing.T) {
	runFaults(t, []fault{
		{"C3_auth_methods", c3AuthMethods},
		{"C4_odd_characters_in_the_secret", c4OddCharactersInTheSecret},
		{"C5_errors", c5Errors},
		{"C6_other_statuses", c6OtherStatuses},
		{"C7_content_type", c7ContentType},
		{"C8_token_type", c8TokenType},
		{"C9_access_token_missing", c9AccessTokenMissing},
		{"C10_access_token_with_odd_characters", c10AccessTokenWithOddCharacters},
		{"C11_duplicate_members", c11DuplicateMembers},
		{"C12_expires_in", c12ExpiresIn},
		{"C13_no_id_token", c13NoIdToken},
		{"C14_id_token_no_text", c14IdTokenNoText},
		{"C15_not_json", c15NotJson},
		{"C19_scope_lacks_something", c19ScopeLacksSomething},
		{"C20_refresh_token_is_not_kept", c20RefreshTokenIsNotKept},
		{"C22_answer_that_quotes_secrets", c22AnswerThatQuotesSecrets},
	})
}

func c22AnswerThatQuotesSecrets(t *testing.T) {
	const secret, lettersOnly = "SECRETSECRET1234567890", "qCEAZREJcjWgcOZIlettersByChance"
	for name, a := range map[string]struct {
		status      int
		media, body string
		code        ginauth.Code
	}{
		"500":                     {500, "text/plain", "token=" + secret + "\nFAKE LOG", ginauth.ErrProviderUnavailable},
		"400":                     {400, "text/plain", "token=" + secret + "\nFAKE LOG", ginauth.ErrBadTokenResponse},
		"a page with status 200":  {200, "text/html", "token=" + secret + "\nFAKE LOG", ginauth.ErrBadTokenResponse},
		"JSON that is none":       {200, "application/json", `{"` + secret + `":FAKE LOG`, ginauth.ErrBadTokenResponse},
		"error_uri":               {400, "application/json", `{"error":"invalid_grant","error_uri":"https://idp.example/` + secret + `"}`, ginauth.ErrCodeRejected},
		"the error itself":        {400, "application/json", `{"error":"` + secret + `\nFAKE LOG"}`, ginauth.ErrProviderError},
		"the error, plausible":    {400, "application/json", `{"error":"invalid_code_` + secret + `"}`, ginauth.ErrProviderError},
		"letters alone":           {400, "application/json", `{"error":"` + lettersOnly + `"}`, ginauth.ErrProviderError},
		"a token type":            {200, "application/json", `{"access_token":"a","token_type":"` + secret + `"}`, ginauth.ErrBadTokenResponse},
		"an access token":         {200, "application/json", `{"access_token":"` + secret + ` FAKE LOG","token_type":"bearer"}`, ginauth.ErrBadTokenResponse},
		"an expiry":               {200, "application/json", `{"access_token":"a","id_token":"b","token_type":"bearer","expires_in":"` + secret + `"}`, ginauth.ErrBadTokenResponse},
		"an ID token":             {200, "application/json", `{"access_token":"a","id_token":"` + secret + `.FAKE LOG","token_type":"bearer"}`, ginauth.ErrIDTokenInvalid},
		"an ID token's algorithm": {200, "application/json", `{"access_token":"a","id_token":"` + sitetest.Base64([]byte(`{"alg":"X"}`)) + `.` + secret + `.` + secret + `","token_type":"bearer"}`, ginauth.ErrIDTokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.Handle(authtest.Token, sitetest.AnswerWith(a.status, a.media, a.body))
			s.RefusesSignIn(t, "/login/demo", a.code, "", 1, secret, lettersOnly)
			if strings.Contains(s.Logs.String(), "FAKE LOG") {
				t.Errorf("the log has the text of the response:\n%s", s.Logs)
			}
		})
	}
	t.Run("a description, on a line of its own", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.Handle(authtest.Token, sitetest.AnswerWith(400, "application/json", sitetest.JSON(map[string]string{
			"error": "invalid_request", "error_description": "PKCE failed\nlevel=ERROR msg=\"FAKE LOG\"",
		})))
		p := s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderError, "token.error", 1)
		for line := range strings.Lines(s.Logs.String()) {
			if strings.HasPrefix(line, "level=ERROR") {
				t.Errorf("the description began a line of the log:\n%s", s.Logs)
			}
		}
		if !strings.Contains(s.Logs.String(), "PKCE failed") || strings.Contains(p.Text(), "FAKE LOG") {
			t.Errorf("the description belongs into the log and not onto the page:\n%s\n%s", s.Logs, p.Text())
		}
	})
	t.Run("the code, the secret and the verifier", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			text := r.Form.Encode() + " " + r.Header.Get("Authorization") + " " + s.IDP.ClientSecret
			sitetest.AnswerWith(400, "application/json", sitetest.JSON(map[string]string{"error": r.Form.Get("code"), "error_description": text}))(w, r)
		})
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderError, "", 1)
	})
}

// answerCase is a change of the token response, and the id of the expected error: "" if the
// sign-in succeeds.
type answerCase struct {
	name   string
	code   ginauth.Code
	id     string
	change func(a *sitetest.Answer)
}

func answerCases(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options), cases []answerCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, change)
			sitetest.EditAnswer(s, authtest.Token, tt.change)
			if tt.code == "" {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", tt.code, tt.id, 1)
		})
	}
}

// member replaces a member of the token response; value is JSON, "" removes it.
func member(name string, code ginauth.Code, id, key, value string) answerCase {
	return answerCase{name, code, id, func(a *sitetest.Answer) { a.Body = replaced(a.Body, key, value) }}
}

// replaced replaces a member of a flat JSON object.
func replaced(object, key, value string) string {
	var members []string
	for m := range strings.SplitSeq(strings.Trim(object, "{}"), ",") {
		if !strings.HasPrefix(m, `"`+key+`":`) {
			members = append(members, m)
		}
	}
	if value != "" {
		members = append(members, `"`+key+`":`+value)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func c3AuthMethods(t *testing.T) {
	for _, tt := range []struct {
		name    string
		offered any
		want    string // how the client authenticated; "" if the configuration is invalid
	}{
		{"not said", nil, "basic"},
		{"an empty list", []string{}, "basic"},
		{"basic and post", []string{"client_secret_post", "client_secret_basic"}, "basic"},
		{"post alone", []string{"client_secret_post"}, "post"},
		{"post and more", []string{"private_key_jwt", "client_secret_post"}, "post"},
		{"none alone", []string{"none"}, ""},
		{"private_key_jwt alone", []string{"private_key_jwt"}, ""},
		{"client_secret_jwt alone", []string{"client_secret_jwt", "tls_client_auth"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.EditMetadata(func(m map[string]any) { sitetest.Put(m, "token_endpoint_auth_methods_supported", tt.offered) })
			if tt.want == "" {
				p := s.Get("/login/demo")
				s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrProviderMisconfigured})
				if err := s.Auth.Warm(t.Context()); !errors.Is(err, ginauth.ErrProviderMisconfigured) || !sitetest.HasID(err, "discovery.auth_method") || !strings.Contains(err.Error(), "AuthMethod") {
					t.Errorf("Warm returned %v", err)
				}
				return
			}
			s.AcceptsSignIn(t, "/login/demo")
			if got := authenticated(s.IDP.LastRequest(authtest.Token)); got != tt.want || s.IDP.Count(authtest.Token) != 1 {
				t.Errorf("the client authenticated by %s, in %d requests", got, s.IDP.Count(authtest.Token))
			}
		})
	}
	t.Run("none, by hand", func(t *testing.T) {
		t.Parallel()
		s := sitetest.NewWith(t, authtest.Config{Public: true}, nil)
		s.IDP.EditMetadata(func(m map[string]any) { m["token_endpoint_auth_methods_supported"] = []string{"none"} })
		s.AcceptsSignIn(t, "/login/demo")
		r := s.IDP.LastRequest(authtest.Token)
		if got := authenticated(r); got != "none" || len(r.Form.Get("code_verifier")) < 43 {
			t.Errorf("the client authenticated by %s, with verifier %q", got, r.Form.Get("code_verifier"))
		}
	})
	t.Run("post by hand, whatever the metadata says", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].AuthMethod = "client_secret_post" })
		s.IDP.EditMetadata(func(m map[string]any) { m["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic"} })
		s.AcceptsSignIn(t, "/login/demo")
		if got := authenticated(s.IDP.LastRequest(authtest.Token)); got != "post" {
			t.Errorf("the client authenticated by %s", got)
		}
	})
}

// authenticated returns how a token request authenticated the client.
func authenticated(r authtest.Request) string {
	basic, secret := r.Header.Get("Authorization") != "", r.Form.Has("client_secret")
	switch {
	case basic && (secret || r.Form.Has("client_id")):
		return "two ways"
	case basic:
		return "basic"
	case secret:
		return "post"
	}
	return "none"
}

func c4OddCharactersInTheSecret(t *testing.T) {
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		for _, odd := range []string{"a:b", "50%", "a+b", "a&b=c", "caf\u00e9 au lait", "%41", `q"u'o\te`, "/?#[]@!$'()*;,~"} {
			t.Run(method+" "+odd, func(t *testing.T) {
				t.Parallel()
				config := authtest.Config{ClientID: "id " + odd + " id", ClientSecret: "a secret " + odd + " of some length"}
				s := sitetest.NewWith(t, config, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].AuthMethod = method })
				s.AcceptsSignIn(t, "/login/demo")
			})
		}
	}
	t.Run("form-encoded before base64", func(t *testing.T) {
		t.Parallel()
		s := sitetest.NewWith(t, authtest.Config{ClientID: "a:b", ClientSecret: "50% & more é"}, nil)
		s.AcceptsSignIn(t, "/login/demo")
		r := http.Request{Header: s.IDP.LastRequest(authtest.Token).Header}
		id, secret, _ := r.BasicAuth()
		if id != "a%3Ab" || secret != "50%25+%26+more+%C3%A9" {
			t.Errorf("sent %q and %q", id, secret)
		}
	})
}

func c5Errors(t *testing.T) {
	says := func(name string, code ginauth.Code, id string, status int, body string) answerCase {
		return answerCase{name, code, id, func(a *sitetest.Answer) { a.Status, a.Body = status, body }}
	}
	answerCases(t, nil, []answerCase{
		says("200 with an error", ginauth.ErrProviderError, "token.error", 200, `{"error":"slow_down"}`),
		says("200 with an error and a token", ginauth.ErrProviderError, "token.error", 200, `{"error":"slow_down","access_token":"abc","token_type":"bearer"}`),
		{"200 with an error that is an object, beside a token", ginauth.ErrBadTokenResponse, "token.error_type", func(a *sitetest.Answer) {
			a.Body = replaced(a.Body, "error", `{"message":"no"}`)
		}},
		{"200 with an error that is null", "", "", func(a *sitetest.Answer) { a.Body = replaced(a.Body, "error", "null") }},
		says("invalid_grant", ginauth.ErrCodeRejected, "token.invalid_grant", 400, `{"error":"invalid_grant"}`),
		says("GitHub's invalid_grant", ginauth.ErrCodeRejected, "token.invalid_grant", 200, `{"error":"bad_verification_code"}`),
		says("invalid_client", ginauth.ErrProviderMisconfigured, "token.invalid_client", 401, `{"error":"invalid_client"}`),
		says("unauthorized_client", ginauth.ErrProviderMisconfigured, "token.invalid_client", 400, `{"error":"unauthorized_client"}`),
		says("redirect_uri_mismatch", ginauth.ErrProviderMisconfigured, "token.redirect_uri_mismatch", 400, `{"error":"redirect_uri_mismatch"}`),
		says("invalid_scope", ginauth.ErrProviderError, "token.error", 400, `{"error":"invalid_scope"}`),
		says("server_error", ginauth.ErrProviderUnavailable, "token.unavailable", 400, `{"error":"server_error"}`),
		{"400 without a word", ginauth.ErrBadTokenResponse, "token.status", func(a *sitetest.Answer) { a.Status, a.Body = 400, "" }},
		{"500 with a page that says invalid_grant", ginauth.ErrProviderUnavailable, "http.status", func(a *sitetest.Answer) {
			a.Status, a.Media, a.Body = 500, "text/html", "<p>invalid_grant"
		}},
	})
}

func c6OtherStatuses(t *testing.T) {
	for _, status := range []int{201, 202, 203} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			sitetest.EditAnswer(s, authtest.Token, func(a *sitetest.Answer) { a.Status = status })
			s.AcceptsSignIn(t, "/login/demo")
		})
	}
	for _, status := range []int{206, 400, 404, 418} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			sitetest.EditAnswer(s, authtest.Token, func(a *sitetest.Answer) { a.Status = status })
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrBadTokenResponse, "token.status", 1)
			sitetest.WantNames(t, s.Logs.String(), fmt.Sprint("status ", status))
		})
	}
	answerCases(t, nil, []answerCase{
		{"204", ginauth.ErrBadTokenResponse, "token.status", func(a *sitetest.Answer) { a.Status, a.Body = 204, "" }},
		{"300 with JSON", ginauth.ErrProviderUnavailable, "http.redirect", func(a *sitetest.Answer) { a.Status = 300 }},
	})
	t.Run("206", func(t *testing.T) { // a partial response, which may end anywhere
		t.Parallel()
		s := sitetest.New(t, nil)
		sitetest.EditAnswer(s, authtest.Token, func(a *sitetest.Answer) { a.Status = 206 })
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrBadTokenResponse, "token.status", 1)
	})
}

func c7ContentType(t *testing.T) {
	media := func(name string, code ginauth.Code, media string) answerCase {
		return answerCase{name, code, "token.media_type", func(a *sitetest.Answer) { a.Media = media }}
	}
	cases := []answerCase{
		media("a page", ginauth.ErrBadTokenResponse, "text/html"),
		media("none", ginauth.ErrBadTokenResponse, ""),
		media("a form", ginauth.ErrBadTokenResponse, "application/x-www-form-urlencoded"),
		media("text", ginauth.ErrBadTokenResponse, "text/plain; charset=utf-8"),
		media("a script", ginauth.ErrBadTokenResponse, "text/json"),
		media("JSON with a charset", "", "Application/JSON; charset=UTF-8"),
	}
	answerCases(t, nil, cases)
	relaxed := func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Quirks.NormalizeToken = func(_ http.Header, body []byte) ([]byte, error) { return body, nil }
	}
	t.Run("a provider with a NormalizeToken of its own", func(t *testing.T) {
		answerCases(t, relaxed, []answerCase{media("a page", "", "text/html"), media("none", "", "")})
	})
}

func c8TokenType(t *testing.T) {
	const missing, another = "token.type_missing", "token.type"
	typ := func(name string, code ginauth.Code, id, value string) answerCase {
		return member(name, code, id, "token_type", value)
	}
	answerCases(t, nil, []answerCase{
		typ("missing", ginauth.ErrBadTokenResponse, missing, ""),
		typ("mac", ginauth.ErrBadTokenResponse, another, `"mac"`),
		typ("DPoP", ginauth.ErrBadTokenResponse, another, `"DPoP"`),
		typ("N_A", ginauth.ErrBadTokenResponse, another, `"N_A"`),
		typ("a list", ginauth.ErrBadTokenResponse, missing, `["bearer"]`),
		typ("null", ginauth.ErrBadTokenResponse, missing, `null`),
		typ("empty", ginauth.ErrBadTokenResponse, missing, `""`),
		typ("bEaReR", "", "", `"bEaReR"`),
	})
}

func c9AccessTokenMissing(t *testing.T) {
	token := func(name, value string) answerCase {
		return member(name, ginauth.ErrBadTokenResponse, "token.access_token", "access_token", value)
	}
	answerCases(t, nil, []answerCase{
		token("missing", ""), token("empty", `""`), token("a number", "7"), token("an object", `{}`), token("null", "null"), token("a list", `["a"]`),
	})
}

func c10AccessTokenWithOddCharacters(t *testing.T) {
	token := func(name, value string) answerCase {
		return member(name, ginauth.ErrBadTokenResponse, "token.access_token", "access_token", `"`+value+`"`)
	}
	answerCases(t, nil, []answerCase{
		token("a line break", `abc\r\nX-Evil: 1`), token("a space", "a b"), token("a tab", `a\tb`), token("a delete", "a\x7fb"),
		token("not ASCII", "caf\u00e9"), token("longer than 16 KB", strings.Repeat("a", 16<<10+1)),
		member("a NUL", ginauth.ErrBadTokenResponse, "token.json", "access_token", `"a\u0000b"`),
	})
	t.Run("16 KB", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "at_hash") })
		sitetest.EditAnswer(s, authtest.Token, func(a *sitetest.Answer) {
			a.Body = replaced(a.Body, "access_token", `"`+strings.Repeat("a", 16<<10)+`"`)
		})
		s.AcceptsSignIn(t, "/login/demo")
	})
}

func c11DuplicateMembers(t *testing.T) {
	more := func(name, members string) answerCase {
		return answerCase{name, ginauth.ErrBadTokenResponse, "", func(a *sitetest.Answer) { a.Body = sitetest.Adding(members)(strings.TrimSpace(a.Body)) }}
	}
	answerCases(t, nil, []answerCase{
		more("access_token twice", `"access_token":"b"`), more("in upper case", `"ACCESS_TOKEN":"b"`), more("with a long s", `"acce\u017fs_token":"b"`),
		more("id_token twice", `"id_token":"b"`), more("ID_Token", `"ID_Token":"b"`), more("Error", `"Error":"x"`),
		more("Token_type", `"Token_type":"Bearer"`), more("EXPIRES_IN", `"EXPIRES_IN":1`), more("Refresh_Token", `"Refresh_Token":"r"`), more("Scope", `"Scope":"openid"`), more("escaped", `"\u0061ccess_token":"b"`),
		more("a member that nobody reads, twice", `"x":1,"x":1`),
		{"a member that nobody knows", "", "", func(a *sitetest.Answer) { a.Body = sitetest.Adding(`"x_custom":{"a":[1]}`)(strings.TrimSpace(a.Body)) }},
	})
}

func c12ExpiresIn(t *testing.T) {
	var cases []answerCase
	for _, bad := range []string{"-5", `"-5"`, "1.5", `"1.5"`, "1e400", "1e3", `""`, `"soon"`, `"+5"`, "true", "[]", "{}", "-99999999999999999999", `"0x10"`} {
		cases = append(cases, member(bad, ginauth.ErrBadTokenResponse, "", "expires_in", bad))
	}
	answerCases(t, nil, cases)
	for _, tt := range []struct {
		value string
		life  time.Duration // 0: unknown
	}{
		{"", 0}, {"null", 0}, {"0", 0}, {`"0"`, 0}, {"3600", time.Hour}, {`"3600"`, time.Hour},
		{"99999999999", (1<<31 - 1) * time.Second}, {`"99999999999999999999999"`, (1<<31 - 1) * time.Second},
	} {
		t.Run("good: "+tt.value, func(t *testing.T) {
			t.Parallel()
			s, token := sitetest.NewWithToken(t)
			sitetest.EditAnswer(s, authtest.Token, func(a *sitetest.Answer) { a.Body = replaced(strings.TrimSpace(a.Body), "expires_in", tt.value) })
			s.AcceptsSignIn(t, "/login/demo")
			got := token().Expiry
			if tt.life == 0 && !got.IsZero() || tt.life > 0 && (time.Until(got)-tt.life).Abs() > time.Minute {
				t.Errorf("the token expires at %v", got)
			}
		})
	}
}

func c13NoIdToken(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.Fail(authtest.Token, authtest.NoIDToken)
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrBadTokenResponse, "token.no_id_token", 1)
}

func c14IdTokenNoText(t *testing.T) {
	var cases []answerCase
	for _, value := range []string{`["a"]`, `{"a":1}`, "null", `""`, "7", "true"} {
		cases = append(cases, member(value, ginauth.ErrBadTokenResponse, "token.no_id_token", "id_token", value))
	}
	answerCases(t, nil, cases)
}

func c15NotJson(t *testing.T) {
	body := func(name string, change func(string) string) answerCase {
		return answerCase{name, ginauth.ErrBadTokenResponse, "token.json", func(a *sitetest.Answer) { a.Body = change(strings.TrimSpace(a.Body)) }}
	}
	answerCases(t, nil, []answerCase{
		body("cut short", func(b string) string { return b[:len(b)-1] }),
		body("something behind it", func(b string) string { return b + "x" }),
		body("twice", func(b string) string { return b + b }),
		body("a byte order mark", func(b string) string { return "\ufeff" + b }),
		body("invalid UTF-8", func(b string) string { return sitetest.Adding("\"x\":\"\xff\"")(b) }),
		body("a list", func(b string) string { return "[" + b + "]" }),
		body("empty", func(string) string { return "" }),
		body("a text", func(string) string { return `"token"` }),
		body("null", func(string) string { return "null" }),
		body("a form", func(string) string { return "access_token=a&token_type=bearer" }),
		body("a comment", func(b string) string { return "/**/" + b }),
		body("a comma too many", func(b string) string { return strings.TrimSuffix(b, "}") + ",}" }),
		body("nested too deep", func(b string) string {
			return sitetest.Adding(`"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40))(b)
		}),
	})
}

func c19ScopeLacksSomething(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			scope, _ := login.Token.Extra("scope").(string)
			if n := login.Token.Extra("account"); n != json.Number("9007199254740993") || login.Token.ExpiresIn != 3600 || login.Token.RefreshToken != "a+b&c=d %41" {
				t.Errorf("the response is now %v, %+v", n, login.Token)
			}
			if !slices.Contains(strings.Fields(scope), "email") {
				return errors.New("the address was not shared")
			}
			return nil
		}
	})
	answer := map[string]any{"account": json.Number("9007199254740993"), "expires_in": 3600, "refresh_token": "a+b&c=d %41"}
	s.IDP.EditToken(func(a map[string]any) { maps.Copy(a, answer) })
	s.AcceptsSignIn(t, "/login/demo")
	s.Browser = s.NewBrowser()
	answer["scope"] = "openid profile"
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIdentityRejected, "hook.on_login_refused", 2)
	sitetest.WantNames(t, s.Logs.String(), "the address was not shared")
}

func c20RefreshTokenIsNotKept(t *testing.T) {
	t.Parallel()
	const refresh = "refresh-token-that-nobody-asked-for"
	s, token := sitetest.NewWithToken(t)
	s.IDP.EditToken(func(a map[string]any) { a["refresh_token"] = refresh })
	p := s.SignIn()
	if token().RefreshToken != refresh {
		t.Error("OnLogin did not get it")
	}
	s.KeepsSecrets(t, p, refresh)
	box, err := seal.New([]string{sitetest.Key}, s.URL, "session")
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, c := range s.Browser.Cookies(s.URL) {
		plain, _, err := box.Open(c.Value[1:], c.Name) // the first character is the number of cookies
		if err != nil {
			continue
		}
		opened++
		for _, secret := range []string{refresh, s.IDP.ClientSecret, strings.TrimPrefix(s.IDP.LastRequest(authtest.Userinfo).Header.Get("Authorization"), "Bearer ")} {
			if secret != "" && strings.Contains(string(plain), secret) {
				t.Errorf("%s has the secret %.8q…", c.Name, secret)
			}
		}
	}
	if opened == 0 {
		t.Error("no session cookie opened")
	}
}
