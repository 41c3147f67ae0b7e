package faults

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsResponse(t *testing.T) {
	runFaults(t, []fault{
		{"B7_wrong_iss", b7WrongIss},
		{"B8_announced_iss_missing", b8AnnouncedIssMissing},
		{"B9_iss_not_announced", b9IssNotAnnounced},
		{"B10_duplicate_parameters", b10DuplicateParameters},
		{"B11_code_and_error", func(t *testing.T) {
			t.Parallel()
			f := sitetest.NewFlow(t, nil)
			callback := f.Begin("/login/demo")
			f.Refuses(t, sitetest.With(callback, "error", "access_denied"), sitetest.Closed{Code: ginauth.ErrBadRequest})
			f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid}) // used up
		}},
		{"B12_neither_code_nor_error", func(t *testing.T) {
			t.Parallel()
			f := sitetest.NewFlow(t, nil)
			callback := f.Begin("/login/demo")
			f.Refuses(t, sitetest.Without(callback, "code"), sitetest.Closed{Code: ginauth.ErrBadRequest})
			f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
		}},
		{"B13_access_denied", func(t *testing.T) {
			t.Parallel()
			f := sitetest.NewFlow(t, nil)
			f.IDP.DenyConsent(true)
			denied := f.Begin("/login/demo")
			f.Refuses(t, denied, sitetest.Closed{Code: ginauth.ErrProviderDenied})
			if f.LoginStates() != nil {
				t.Error("the attempt was not used up")
			}
			f.Refuses(t, denied, sitetest.Closed{Code: ginauth.ErrStateInvalid})
		}},
		{"B14_error_without_state", func(t *testing.T) {
			t.Parallel()
			f := sitetest.NewFlow(t, nil)
			callback := sitetest.Without(f.Begin("/login/demo?return_to=/page/b14"), "code")
			denied := sitetest.With(sitetest.With(callback, "error", "access_denied"), "error_description", "call 555-0100 to unlock your account")
			for _, bad := range []string{"", "wrong", strings.Repeat("A", 69), sitetest.MadeUpState, callback.Query().Get("state") + "="} {
				f.Refuses(t, sitetest.With(denied, "state", bad), sitetest.Closed{Code: ginauth.ErrStateInvalid})
			}
			f.Refuses(t, sitetest.Without(denied, "state"), sitetest.Closed{Code: ginauth.ErrStateInvalid})
			f.Refuses(t, denied, sitetest.Closed{Code: ginauth.ErrProviderDenied, Hide: []string{"555-0100"}})
			f.SignIn()
			f.Refuses(t, denied, sitetest.Closed{Code: ginauth.ErrStateInvalid, Was: "ada", Tokens: 1})
		}},
		{"B15_hostile_error_texts", b15HostileErrorTexts},
		{"B16_error_uri", func(t *testing.T) {
			t.Parallel()
			f := sitetest.NewFlow(t, nil)
			for _, address := range []string{"javascript:alert(document.domain)", f.IDP.EvilURL(), "https://evil.example/help"} {
				denied := sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "server_error")
				p := f.Refuses(t, sitetest.With(denied, "error_uri", address), sitetest.Closed{Code: ginauth.ErrProviderError})
				if strings.Contains(p.Text(), "javascript:") || strings.Contains(p.Text(), "evil") {
					t.Errorf("the page has the error_uri: %s", p.Text())
				}
			}
			if f.IDP.EvilRequests() != 0 {
				t.Error("error_uri was followed")
			}
		}},
		{"B17_malformed_query", b17MalformedQuery},
		{"B20_other_methods", b20OtherMethods},
		{"B29_malformed_code", b29MalformedCode},
		{"B35_tokens_in_the_answer", b35TokensInTheAnswer},
		{"B36_too_much", b36TooMuch},
	})
}

func b7WrongIss(t *testing.T) {
	t.Parallel()
	f, other := sitetest.NewFlowWithTwo(t, nil)
	iss := f.IDP.Issuer // "http://127.0.0.1:PORT"
	for _, wrong := range []string{
		other.Issuer, iss + "/", "HTTP" + strings.TrimPrefix(iss, "http"), strings.TrimPrefix(iss, "http:"), iss + "0", iss[:len(iss)-1],
		strings.Replace(iss, "127", "%3127", 1), strings.Replace(iss, ":", "%3A", 1), iss + "#", iss + "?", iss + " ", " " + iss, iss + "\n", iss + "/realms/x",
		strings.Replace(iss, "127.0.0.1", "localhost", 1), strings.Replace(iss, "http", "https", 1), "", "null",
	} {
		t.Run(fmt.Sprintf("%q", wrong), func(t *testing.T) {
			f.Refuses(t, sitetest.With(f.Begin("/login/demo"), "iss", wrong), sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
		})
	}
	t.Run("in an error", func(t *testing.T) {
		denied := sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "access_denied")
		f.Refuses(t, sitetest.With(denied, "iss", other.Issuer), sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
	})
	f.Lands(t, f.Begin("/login/demo"), "/")
}

func b8AnnouncedIssMissing(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.Refuses(t, sitetest.Without(f.Begin("/login/demo"), "iss"), sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
	denied := sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "access_denied")
	f.Refuses(t, sitetest.Without(denied, "iss"), sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
}

func b9IssNotAnnounced(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(s *sitetest.Site, _ *ginauth.Options) {
		s.IDP.EditMetadata(func(m map[string]any) { delete(m, "authorization_response_iss_parameter_supported") })
	})
	f.Refuses(t, sitetest.With(f.Begin("/login/demo"), "iss", f.IDP.Issuer+"/"), sitetest.Closed{Code: ginauth.ErrIssuerMismatch})
	f.Lands(t, f.Begin("/login/demo?return_to=/page/with"), "/page/with")
	f.Lands(t, sitetest.Without(f.Begin("/login/demo?return_to=/page/without"), "iss"), "/page/without")
}

func b10DuplicateParameters(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo?return_to=/page/b10")
	denied := sitetest.Without(callback, "code").Query()
	denied.Set("error", "access_denied")
	for _, name := range []string{"state", "code", "iss", "error"} {
		query := callback.RawQuery
		if name == "error" {
			query = denied.Encode()
		}
		q, _ := url.ParseQuery(query)
		for _, second := range []string{q.Get(name), "another", ""} {
			f.Refuses(t, sitetest.WithQuery(callback, query+"&"+name+"="+url.QueryEscape(second)), sitetest.Closed{Code: ginauth.ErrBadRequest})
			f.Refuses(t, sitetest.WithQuery(callback, name+"="+url.QueryEscape(second)+"&"+query), sitetest.Closed{Code: ginauth.ErrBadRequest})
		}
	}
	f.Lands(t, callback, "/page/b10") // none of the requests used it up
}

func b17MalformedQuery(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo?return_to=/page/b17")
	q := callback.Query()
	state, code := url.QueryEscape(q.Get("state")), url.QueryEscape(q.Get("code"))
	for _, query := range []string{
		"state=%zz&code=" + code, "code=" + code + ";state=" + state, "code=" + code + "&state=" + state + ";", "state[]=" + state + "&code=" + code,
		"STATE=" + state + "&code=" + code, "State=" + state + "&Code=" + code, callback.RawQuery + "&Code=x", callback.RawQuery + "&code[]=x",
		callback.RawQuery + "&state[0]=x", callback.RawQuery + "&ISS=x", callback.RawQuery + "&Error=x", callback.RawQuery + "&x=1;code=x", callback.RawQuery + ";x=1",
		callback.RawQuery + "&x;State", callback.RawQuery + "&x;+code[]=y", "code=100%&state=" + state, "code=" + code + "&state=" + state + "&iss=%",
	} {
		f.Refuses(t, sitetest.WithQuery(callback, query), sitetest.Closed{Code: ginauth.ErrBadRequest})
	}
	f.Lands(t, callback, "/page/b17")
}

func b20OtherMethods(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo?return_to=/page/b20")
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"} {
		for _, path := range []string{"/authorize/demo", "/authorize/demo/"} {
			r, _ := http.NewRequest(method, sitetest.AtPath(callback, path).String(), nil)
			p := f.Must(f.Browser.Do(r))
			f.WantRefused(t, p, callback, sitetest.Closed{Code: ginauth.ErrMethodNotAllowed})
			if allow := p.Header.Get("Allow"); allow != "GET, POST" {
				t.Errorf("%s: Allow is %q", method, allow)
			}
		}
	}
	f.Lands(t, callback, "/page/b20")
}

func b29MalformedCode(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	for _, code := range []string{
		"", " ", strings.Repeat("a", 4097), "two words", "a\tcode", "a\ncode", "a\x00code", "a\x7fcode", "cod\u00e9-latin-letters", "\u202ecode-backwards", "caf\xe9-not-utf-8",
	} {
		t.Run(fmt.Sprintf("%.20q", code), func(t *testing.T) {
			f.Refuses(t, sitetest.With(f.Begin("/login/demo"), "code", code), sitetest.Closed{Code: ginauth.ErrBadRequest})
		})
	}
	longest := sitetest.With(f.Begin("/login/demo"), "code", strings.Repeat("a", 4096)) // RFC 6749 sets no limit: the provider rejects this one
	f.Refuses(t, longest, sitetest.Closed{Code: ginauth.ErrCodeRejected, Tokens: 1})
}

// The identity comes only from the token endpoint.
func b35TokensInTheAnswer(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	callback := f.Begin("/login/demo?return_to=/page/b35")
	now := time.Now()
	forged := f.IDP.Sign(nil, map[string]any{
		"iss": f.IDP.Issuer, "aud": f.IDP.ClientID, "sub": "eve", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"nonce": f.IDP.LastRequest(authtest.Authorize).Form.Get("nonce"),
	})
	tokens := sitetest.With(sitetest.With(sitetest.With(callback, "id_token", forged), "access_token", "token-of-somebody-else"), "token_type", "Bearer")
	f.Refuses(t, sitetest.Without(tokens, "code"), sitetest.Closed{Code: ginauth.ErrBadRequest, Hide: []string{forged, "token-of-somebody-else"}})

	callback = f.Begin("/login/demo?return_to=/page/b35")
	tokens = sitetest.With(sitetest.With(callback, "id_token", forged), "access_token", "token-of-somebody-else")
	f.Lands(t, tokens, "/page/b35")
	if u := f.User(); u.Subject != "ada" {
		t.Errorf("%q is signed in", u.Subject)
	}
	if auth := f.IDP.LastRequest(authtest.Userinfo).Header.Get("Authorization"); strings.Contains(auth, "somebody-else") {
		t.Error("the token of the address was used")
	}
}

func b36TooMuch(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo?return_to=/page/b36")
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
		{"a state over 512 bytes", sitetest.With(callback, "state", strings.Repeat("a", 513)).RawQuery, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f.Refuses(t, sitetest.WithQuery(callback, tc.query), sitetest.Closed{Code: ginauth.ErrBadRequest, Status: tc.status})
		})
	}
	f.Lands(t, sitetest.WithQuery(callback, many(filler)), "/page/b36")
}

// tcp sends a request byte for byte and returns the first line of the response.
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

func b15HostileErrorTexts(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	for _, text := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "one\r\nSet-Cookie: stolen=1", "\u202egnp.exe", "\x1b[31mred\x1b[0m",
		"line one\u2028line two", strings.Repeat("A", 15<<10), "half a rune \xe2\x82", "\x00\x07\u0085\u200b",
	} {
		t.Run(fmt.Sprintf("%.12q", text), func(t *testing.T) {
			denied := sitetest.Without(f.Begin("/login/demo"), "code")
			p := f.Finish(sitetest.With(sitetest.With(denied, "error", "access_denied"), "error_description", text))
			f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrProviderDenied})
			if strings.Contains(p.Text(), text) || strings.Contains(p.Text(), "AAAA") {
				t.Error("the page has the description")
			}
			p = f.Finish(sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", text))
			f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrProviderError})
			if strings.Contains(p.Text(), text) || strings.ContainsFunc(p.Text(), func(r rune) bool { return r == '\u202e' || r == 0x1b || r == 0 }) {
				t.Errorf("the page has the error as it was sent: %s", p.Text())
			}
		})
	}
	log := f.Logs.String()
	if !strings.Contains(log, `\\u202egnp.exe`) || !strings.Contains(log, "<script>") {
		t.Errorf("the log lacks the descriptions, quoted:\n%.4000s", log)
	}
	if strings.ContainsFunc(log, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Error("the log has characters that do not print")
	}
	if strings.Contains(log, strings.Repeat("A", 201)) || !strings.Contains(log, strings.Repeat("A", 200)) {
		t.Error("the log does not cut at 200 bytes")
	}
	// A form above 16 KB is rejected completely.
	long := sitetest.With(sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "access_denied"), "error_description", strings.Repeat("B", 64<<10))
	p := f.Finish(long)
	f.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest, Status: http.StatusRequestEntityTooLarge})
	if strings.Contains(p.Text()+f.Logs.String(), "BBBB") {
		t.Error("what is too long was repeated")
	}
}
