package ginauth_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// faultsBAnswer: what an answer may look like, and who it may be from.
func faultsBAnswer() []fault {
	return []fault{
		{"B7_wrong_iss", testWrongIss},
		{"B8_announced_iss_missing", testMissingIss},
		{"B9_iss_not_announced", testUnannouncedIss},
		{"B10_duplicate_parameters", testDuplicates},
		{"B11_code_and_error", func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, nil)
			callback := f.begin("/login/demo")
			f.refuses(t, with(callback, "error", "access_denied"), closed{code: ginauth.ErrBadRequest})
			f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid}) // used up
		}},
		{"B12_neither_code_nor_error", func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, nil)
			callback := f.begin("/login/demo")
			f.refuses(t, without(callback, "code"), closed{code: ginauth.ErrBadRequest})
			f.refuses(t, callback, closed{code: ginauth.ErrStateInvalid})
		}},
		{"B17_malformed_query", testMalformed},
		{"B20_other_methods", testOtherMethods},
		{"B29_malformed_code", testMalformedCode},
		{"B35_tokens_in_the_answer", testTokensInAnswer},
		{"B36_too_much", testTooMuch},
	}
}

func testWrongIss(t *testing.T) {
	t.Parallel()
	f, other := withTwo(t, nil)
	iss := f.idp.Issuer // "http://127.0.0.1:PORT"
	for _, wrong := range []string{
		other.Issuer, iss + "/", "HTTP" + strings.TrimPrefix(iss, "http"), strings.TrimPrefix(iss, "http:"), iss + "0", iss[:len(iss)-1],
		strings.Replace(iss, "127", "%3127", 1), strings.Replace(iss, ":", "%3A", 1), iss + "#", iss + "?", iss + " ", " " + iss, iss + "\n", iss + "/realms/x",
		strings.Replace(iss, "127.0.0.1", "localhost", 1), strings.Replace(iss, "http", "https", 1), "", "null",
	} {
		t.Run(fmt.Sprintf("%q", wrong), func(t *testing.T) {
			f.refuses(t, with(f.begin("/login/demo"), "iss", wrong), closed{code: ginauth.ErrIssuerMismatch})
		})
	}
	t.Run("in an error", func(t *testing.T) {
		denied := with(without(f.begin("/login/demo"), "code"), "error", "access_denied")
		f.refuses(t, with(denied, "iss", other.Issuer), closed{code: ginauth.ErrIssuerMismatch})
	})
	f.lands(t, f.begin("/login/demo"), "/")
}

func testMissingIss(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	f.refuses(t, without(f.begin("/login/demo"), "iss"), closed{code: ginauth.ErrIssuerMismatch})
	denied := with(without(f.begin("/login/demo"), "code"), "error", "access_denied")
	f.refuses(t, without(denied, "iss"), closed{code: ginauth.ErrIssuerMismatch})
}

func testUnannouncedIss(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(s *site, _ *ginauth.Options) {
		s.idp.EditMetadata(func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") })
	})
	f.refuses(t, with(f.begin("/login/demo"), "iss", f.idp.Issuer+"/"), closed{code: ginauth.ErrIssuerMismatch})
	f.lands(t, f.begin("/login/demo?return_to=/page/with"), "/page/with")
	f.lands(t, without(f.begin("/login/demo?return_to=/page/without"), "iss"), "/page/without")
}

func testDuplicates(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo?return_to=/page/b10")
	denied := without(callback, "code").Query()
	denied.Set("error", "access_denied")
	for _, name := range []string{"state", "code", "iss", "error"} {
		query := callback.RawQuery
		if name == "error" {
			query = denied.Encode()
		}
		q, _ := url.ParseQuery(query)
		for _, second := range []string{q.Get(name), "another", ""} {
			f.refuses(t, withRaw(callback, query+"&"+name+"="+url.QueryEscape(second)), closed{code: ginauth.ErrBadRequest})
			f.refuses(t, withRaw(callback, name+"="+url.QueryEscape(second)+"&"+query), closed{code: ginauth.ErrBadRequest})
		}
	}
	f.lands(t, callback, "/page/b10") // none of them used it up
}

func testMalformed(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo?return_to=/page/b17")
	q := callback.Query()
	state, code := url.QueryEscape(q.Get("state")), url.QueryEscape(q.Get("code"))
	for _, query := range []string{
		"state=%zz&code=" + code, "code=" + code + ";state=" + state, "code=" + code + "&state=" + state + ";", "state[]=" + state + "&code=" + code,
		"STATE=" + state + "&code=" + code, "State=" + state + "&Code=" + code, callback.RawQuery + "&Code=x", callback.RawQuery + "&code[]=x",
		callback.RawQuery + "&state[0]=x", callback.RawQuery + "&ISS=x", callback.RawQuery + "&Error=x", callback.RawQuery + "&x=1;code=x", callback.RawQuery + ";x=1",
		callback.RawQuery + "&x;State", callback.RawQuery + "&x;+code[]=y", "code=100%&state=" + state, "code=" + code + "&state=" + state + "&iss=%",
	} {
		f.refuses(t, withRaw(callback, query), closed{code: ginauth.ErrBadRequest})
	}
	f.lands(t, callback, "/page/b17")
}

func testOtherMethods(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo?return_to=/page/b20")
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"} {
		for _, path := range []string{"/authorize/demo", "/authorize/demo/"} {
			r, _ := http.NewRequest(method, at(callback, path).String(), nil)
			p := f.must(f.browser.Do(r))
			f.refused(t, p, callback, closed{code: ginauth.ErrMethodNotAllowed})
			if allow := p.Header.Get("Allow"); allow != "GET, POST" {
				t.Errorf("%s: Allow is %q", method, allow)
			}
		}
	}
	f.lands(t, callback, "/page/b20")
}

func testMalformedCode(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	for _, code := range []string{
		"", " ", strings.Repeat("a", 4097), "two words", "a\tcode", "a\ncode", "a\x00code", "a\x7fcode", "cod\u00e9-latin-letters", "\u202ecode-backwards", "caf\xe9-not-utf-8",
	} {
		t.Run(fmt.Sprintf("%.20q", code), func(t *testing.T) {
			f.refuses(t, with(f.begin("/login/demo"), "code", code), closed{code: ginauth.ErrBadRequest})
		})
	}
	longest := with(f.begin("/login/demo"), "code", strings.Repeat("a", 4096)) // RFC 6749 sets no limit: this one is for the provider to refuse
	f.refuses(t, longest, closed{code: ginauth.ErrCodeRejected, tokens: 1})
}

// testTokensInAnswer: identity comes from the token endpoint alone.
func testTokensInAnswer(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	callback := f.begin("/login/demo?return_to=/page/b35")
	now := time.Now()
	forged := f.idp.Sign(nil, map[string]any{
		"iss": f.idp.Issuer, "aud": f.idp.ClientID, "sub": "eve", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"nonce": f.idp.LastRequest(authtest.Authorize).Form.Get("nonce"),
	})
	tokens := with(with(with(callback, "id_token", forged), "access_token", "token-of-somebody-else"), "token_type", "Bearer")
	f.refuses(t, without(tokens, "code"), closed{code: ginauth.ErrBadRequest, hide: []string{forged, "token-of-somebody-else"}})

	callback = f.begin("/login/demo?return_to=/page/b35")
	tokens = with(with(callback, "id_token", forged), "access_token", "token-of-somebody-else")
	f.lands(t, tokens, "/page/b35")
	if u := f.user(); u.Subject != "ada" {
		t.Errorf("%q is signed in", u.Subject)
	}
	if auth := f.idp.LastRequest(authtest.Userinfo).Header.Get("Authorization"); strings.Contains(auth, "somebody-else") {
		t.Error("the token of the address was used")
	}
}

func testTooMuch(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo?return_to=/page/b36")
	filler := 50 - len(callback.Query())
	many := func(n int) string {
		query := callback.RawQuery
		for i := range n {
			query += fmt.Sprintf("&p%d=x", i)
		}
		return query
	}
	for _, tc := range []struct {
		name, query string
		status      int
	}{
		{"51 parameters", many(filler + 1), 400},
		{"5,000 parameters", many(5000)[:16<<10-10], 400},
		{"51 times &", callback.RawQuery + strings.Repeat("&", 51), 400},
		{"a query over 16 KB", callback.RawQuery + "&x=" + strings.Repeat("a", 16<<10), 413},
		{"a state over 512 bytes", with(callback, "state", strings.Repeat("a", 513)).RawQuery, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.refuses(t, withRaw(callback, tc.query), closed{code: ginauth.ErrBadRequest, status: tc.status})
		})
	}
	f.lands(t, withRaw(callback, many(filler)), "/page/b36")
}

// tcp sends a request byte for byte and returns the first line of the answer.
func tcp(t testing.TB, address, request string, thenClose bool) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	if thenClose {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, 64<<10)
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(answer[:n]), "\r\n")
	return line
}
