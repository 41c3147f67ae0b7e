package rp_test

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/rp"
)

const goodAnswer = `{"access_token":"` + theAccess + `","token_type":"bearer"}`

// tokenCase is a token response of a plain OAuth 2.0 provider.
type tokenCase struct {
	name   string
	status int
	media  string
	body   string
	code   rp.Code
	id     string // "" for a response that is accepted
}

func tryTokenResponses(t *testing.T, cases []tokenCase, edits ...func(*rp.Config)) {
	t.Helper()
	p := newProvider(t)
	c := p.client(append([]func(*rp.Config){p.plain}, edits...)...)
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			p.on(pathToken, answering(test.status, test.media, test.body))
			_, err := p.signIn(c)
			if test.id == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := wantError(t, err, test.code, test.id); e.Provider != "corp" || e.Op == "" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// members returns a token response with more members, as JSON.
func members(more string) string { return strings.TrimSuffix(goodAnswer, "}") + "," + more + "}" }

func TestTokenResponses(t *testing.T) {
	const json = "application/json"
	bad := rp.BadTokenResponse
	tryTokenResponses(t, []tokenCase{
		{"minimal", 200, json, goodAnswer, "", ""},
		{"with a charset", 200, "application/json;charset=UTF-8", goodAnswer, "", ""},
		{"in capitals", 200, "Application/JSON", goodAnswer, "", ""},
		{"unknown members", 200, json, members(`"x":[{}],"Access":1,"error_description":"none"`), "", ""},
		{"error is null", 200, json, members(`"error":null`), "", ""},

		{"a page", 200, "text/html", "<h1>Sign in</h1>", bad, "token.media_type"},
		{"JSON that says it is a page", 200, "text/html", goodAnswer, bad, "token.media_type"},
		{"JSON of another kind", 200, "application/problem+json", goodAnswer, bad, "token.media_type"},
		{"a form", 200, "application/x-www-form-urlencoded", "access_token=" + theAccess + "&token_type=bearer", bad, "token.media_type"},
		{"nothing said", 200, "", goodAnswer, bad, "token.media_type"},
		{"a hostile media type", 200, "text/" + strings.Repeat("x", 1000), goodAnswer, bad, "token.media_type"},

		{"empty", 200, json, "", bad, "token.json"},
		{"cut short", 200, json, goodAnswer[:len(goodAnswer)-1], bad, "token.json"},
		{"a list", 200, json, "[" + goodAnswer + "]", bad, "token.json"},
		{"two access tokens", 200, json, members(`"access_token":"x"`), bad, "token.json"},
		{"two errors", 200, json, `{"error":"a","error":"b"}`, bad, "token.json"},
		{"not UTF-8", 200, json, members("\"x\":\"\xff\""), bad, "token.json"},
		{"something behind it", 200, json, goodAnswer + "{}", bad, "token.json"},

		{"201", 201, json, goodAnswer, "", ""},
		{"202", 202, json, goodAnswer, "", ""},
		{"203", 203, json, goodAnswer, "", ""},
		{"299", 299, json, goodAnswer, "", ""},
		{"204", 204, json, "", bad, "token.status"},
		{"400", 400, json, `{}`, bad, "token.status"},
		{"401 with a page", 401, "text/html", "<h1>401</h1>", bad, "token.status"},
		{"404", 404, "text/html", "", bad, "token.status"},
		{"499", 499, json, goodAnswer, bad, "token.status"},
		{"500", 500, "text/html", "", rp.ProviderUnavailable, "http.status"},
		{"500 with tokens", 500, json, goodAnswer, rp.ProviderUnavailable, "http.status"},
		{"503", 503, "text/html", "", rp.ProviderUnavailable, "http.status"},

		{"Access_Token", 200, json, members(`"Access_Token":"x"`), bad, "token.ambiguous"},
		{"TOKEN_TYPE", 200, json, members(`"TOKEN_TYPE":"x"`), bad, "token.ambiguous"},
		{"Expires_In", 200, json, members(`"Expires_In":1`), bad, "token.ambiguous"},
		{"Refresh_Token", 200, json, members(`"Refresh_Token":"x"`), bad, "token.ambiguous"},
		{"ID_Token", 200, json, members(`"ID_Token":"x"`), bad, "token.ambiguous"},
		{"Scope", 200, json, members(`"Scope":"x"`), bad, "token.ambiguous"},
		{"Error", 200, json, members(`"Error":"x"`), bad, "token.ambiguous"},
		{"error is a number", 200, json, members(`"error":40029`), bad, "token.error_type"},
		{"error is false", 200, json, members(`"error":false`), bad, "token.error_type"},
		{"error is an object", 200, json, members(`"error":{"code":"x"}`), bad, "token.error_type"},

		{"BEARER", 200, json, `{"access_token":"x","token_type":"BEARER"}`, "", ""},
		{"no token_type", 200, json, `{"access_token":"x"}`, bad, "token.type_missing"},
		{"token_type is not text", 200, json, `{"access_token":"x","token_type":["bearer"]}`, bad, "token.type_missing"},
		{"mac", 200, json, `{"access_token":"x","token_type":"mac"}`, bad, "token.type"},
		{"DPoP", 200, json, `{"access_token":"x","token_type":"DPoP"}`, bad, "token.type"},

		{"no access token", 200, json, `{"token_type":"bearer"}`, bad, "token.access_token"},
		{"the access token is empty", 200, json, `{"access_token":"","token_type":"bearer"}`, bad, "token.access_token"},
		{"the access token is not text", 200, json, `{"access_token":1,"token_type":"bearer"}`, bad, "token.access_token"},
		{"the access token has a space", 200, json, `{"access_token":"a b","token_type":"bearer"}`, bad, "token.access_token"},
		{"the access token has a line break", 200, json, `{"access_token":"a\r\nX: y","token_type":"bearer"}`, bad, "token.access_token"},
		{"the access token is not ASCII", 200, json, `{"access_token":"é","token_type":"bearer"}`, bad, "token.access_token"},
		{"as long as an access token may be", 200, json, `{"access_token":"` + strings.Repeat("x", 16<<10) + `","token_type":"bearer"}`, "", ""},
		{"longer", 200, json, `{"access_token":"` + strings.Repeat("x", 16<<10+1) + `","token_type":"bearer"}`, bad, "token.access_token"},

		{"a megabyte", 200, json, members(`"x":"` + strings.Repeat("x", 1<<20-len(members(`"x":""`))) + `"`), "", ""},
		{"more", 200, json, members(`"x":"` + strings.Repeat("x", 1<<20-len(members(`"x":""`))+1) + `"`), rp.ProviderUnavailable, "http.too_large"},
	})
}

// TestEmptyMembers: in a token response, members that are null count as absent, and so does an empty
// error.
func TestEmptyMembers(t *testing.T) {
	p := newProvider(t)
	for _, answer := range []map[string]any{{"error": ""}, {"error": nil}, {"expires_in": nil}, {"refresh_token": nil}, {"scope": nil}} {
		p.answer = answer
		if _, err := p.signIn(p.client()); err != nil {
			t.Errorf("%v: %v", answer, err)
		}
	}
	for id, answer := range map[string]map[string]any{
		"token.error_type": {"error": []string{}}, "token.no_id_token": {"id_token": ""}, "token.access_token": {"access_token": ""}, "token.type_missing": {"token_type": ""},
	} {
		p.answer = answer
		_, err := p.signIn(p.client())
		wantError(t, err, rp.BadTokenResponse, id)
	}
}

// TestTokenTypeInWords: the reason distinguishes a missing token_type from another type.
func TestTokenTypeInWords(t *testing.T) {
	p := newProvider(t)
	const missing, another = "token.type_missing", "token.type"
	for _, tt := range []struct {
		typ any
		id  string
	}{{absent, missing}, {nil, missing}, {7, missing}, {"", missing}, {"DPoP", another}} {
		p.answer = map[string]any{"token_type": tt.typ}
		_, err := p.signIn(p.client())
		wantError(t, err, rp.BadTokenResponse, tt.id)
	}
}

// A partial response is rejected, even if its JSON is complete.
func TestPartialTokenResponse(t *testing.T) {
	cases := []tokenCase{{"206", 206, "application/json", goodAnswer, rp.BadTokenResponse, "token.status"}}
	tryTokenResponses(t, cases)
	tryTokenResponses(t, cases, func(cfg *rp.Config) {
		cfg.Quirks.NormalizeToken = func(_ http.Header, body []byte) ([]byte, error) { return body, nil }
	})
}

// TestStatusOfTokenResponse: other statuses of success are accepted.
func TestStatusOfTokenResponse(t *testing.T) {
	p := newProvider(t)
	status := 0
	p.on(pathToken, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			writeJSON(w, p.tokenResponse())
		}
	})
	for _, status = range []int{200, 201, 202} {
		if _, err := p.signIn(p.client()); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, status = range []int{204, 206, 400, 404} {
		_, err := p.signIn(p.client())
		wantError(t, err, rp.BadTokenResponse, "token.status")
	}
	// A transport may return an invalid status.
	p.on(pathToken, nil)
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && r.URL.Path == pathToken {
			resp.StatusCode = status
		}
		return resp, err
	})
	for _, status = range []int{0, 101, 199} {
		_, err := p.signIn(p.client(func(cfg *rp.Config) { cfg.HTTP = fetch.Client(&http.Client{Transport: transport}, "test") }))
		wantError(t, err, rp.BadTokenResponse, "token.status")
	}
}

// RFC 6749, 5.1: expires_in is a number of seconds; some providers send text.
func TestExpiresIn(t *testing.T) {
	for _, test := range []struct {
		json string
		want int64 // seconds; -1 if it is refused
	}{
		{`3600`, 3600}, {`"3600"`, 3600}, {`0`, 0}, {`"0"`, 0}, {`null`, 0}, {`2147483647`, math.MaxInt32},
		{`2147483648`, math.MaxInt32}, {`1000000000000000000000`, math.MaxInt32}, {`"1000000000000000000000"`, math.MaxInt32}, {`"007"`, 7},
		{`-1`, -1}, {`"-1"`, -1}, {`-1000000000000000000000`, -1}, {`3600.5`, -1}, {`3.6e3`, -1}, {`"3600.0"`, -1}, {`"1h"`, -1}, {`""`, -1},
		{`" 3600"`, -1}, {`"+3600"`, -1}, {`"0x10"`, -1}, {`"1_000"`, -1}, {`true`, -1}, {`[3600]`, -1}, {`{}`, -1},
	} {
		t.Run(test.json, func(t *testing.T) {
			p := newProvider(t)
			p.on(pathToken, answering(200, "application/json", members(`"expires_in":`+test.json)))
			id, err := p.signIn(p.client(p.plain))
			if test.want < 0 {
				wantError(t, err, rp.BadTokenResponse, "token.expires_in")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want time.Time
			if test.want > 0 {
				want = p.clock.Now().Add(time.Duration(test.want) * time.Second)
			}
			if id.Token.ExpiresIn != test.want || !id.Token.Expiry.Equal(want) {
				t.Errorf("got %d, %v", id.Token.ExpiresIn, id.Token.Expiry)
			}
		})
	}
}

// Unusable members that a sign-in does not need are dropped.
func TestOptionalMembersOfATokenResponse(t *testing.T) {
	for _, test := range []struct {
		member, refresh, scope string
	}{
		{`"refresh_token":"` + theRefresh + `"`, theRefresh, ""},
		{`"refresh_token":"` + strings.Repeat("x", 64<<10) + `"`, strings.Repeat("x", 64<<10), ""},
		{`"refresh_token":"` + strings.Repeat("x", 64<<10+1) + `"`, "", ""},
		{`"refresh_token":1`, "", ""},
		{`"refresh_token":null`, "", ""},
		{`"scope":"a b"`, "", "a b"},
		{`"scope":["a","b"]`, "", "a b"},
		{`"scope":["a",1]`, "", "a"},
	} {
		p := newProvider(t)
		p.on(pathToken, answering(200, "application/json", members(test.member)))
		id, err := p.signIn(p.client(p.plain))
		if err != nil {
			t.Fatal(err)
		}
		scope, _ := id.Token.Extra("scope").(string)
		if id.Token.RefreshToken != test.refresh || scope != test.scope {
			t.Errorf("%.40s: got %.40q, %q", test.member, id.Token.RefreshToken, scope)
		}
		if id.Token.Extra("refresh_token") != nil && test.refresh == "" {
			t.Errorf("%.40s: Token.Extra has the refresh token", test.member)
		}
	}
}

func TestTokenResponsesWithoutAnIDToken(t *testing.T) {
	p := newProvider(t)
	for _, v := range []any{absent, "", nil, 1, []string{"x"}} {
		p.answer = map[string]any{"id_token": v}
		_, err := p.signIn(p.client())
		wantError(t, err, rp.BadTokenResponse, "token.no_id_token")
	}
}

// RFC 6749, 5.2, whatever the status is: GitHub answers 200.
func TestTokenErrors(t *testing.T) {
	const json = "application/json"
	var cases []tokenCase
	for _, test := range []struct {
		error string
		code  rp.Code
		id    string
	}{
		{"invalid_grant", rp.CodeRejected, "token.invalid_grant"},
		{"bad_verification_code", rp.CodeRejected, "token.invalid_grant"},
		{"invalid_client", rp.ProviderMisconfigured, "token.invalid_client"},
		{"unauthorized_client", rp.ProviderMisconfigured, "token.invalid_client"},
		{"incorrect_client_credentials", rp.ProviderMisconfigured, "token.invalid_client"},
		{"redirect_uri_mismatch", rp.ProviderMisconfigured, "token.redirect_uri_mismatch"},
		{"temporarily_unavailable", rp.ProviderUnavailable, "token.unavailable"},
		{"server_error", rp.ProviderUnavailable, "token.unavailable"},
		{"invalid_request", rp.ProviderError, "token.error"},
		{"unsupported_grant_type", rp.ProviderError, "token.error"},
		{"", rp.ProviderError, "token.error"},
		{"INVALID_GRANT", rp.ProviderError, "token.error"},
	} {
		body := `{"error":"` + test.error + `","error_description":"` + theCode + `"}`
		with := tokenCase{test.error + " with tokens", 200, json, members(`"error":"` + test.error + `"`), test.code, test.id}
		if test.error == "" { // some providers always send the member
			with.code, with.id = "", ""
		}
		cases = append(cases, with,
			tokenCase{test.error + " with 400", 400, json, body, test.code, test.id},
			tokenCase{test.error + " with 401 and another media type", 401, "text/plain", body, test.code, test.id},
			tokenCase{test.error + " with 500", 500, json, body, test.code, test.id},
			tokenCase{test.error + " with 200", 200, json, body, test.code, test.id},
		)
	}
	tryTokenResponses(t, cases)
}

func TestTokenErrorsThatCanBeTriedAgain(t *testing.T) {
	p := newProvider(t)
	for code, again := range map[string]bool{"server_error": true, "temporarily_unavailable": true, "invalid_grant": false, "invalid_client": false, "x": false} {
		p.on(pathToken, answering(400, "application/json", `{"error":"`+code+`"}`))
		_, err := p.signIn(p.client())
		if e, _ := err.(*rp.Error); (e.RetryAfter != 0) != again {
			t.Errorf("%s: RetryAfter is %v", code, e.RetryAfter)
		}
	}
}

// A server may send secrets back. Of the response, only an error code of valid form is quoted.
func TestTokenErrorsRepeatNothing(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	unquoted := map[int]map[string]bool{200: {}, 400: {}, 500: {}} // reasons by status, the only detail that they contain
	for _, test := range []struct {
		error  string
		quoted bool
	}{
		{"invalid_request", true}, {"invalid.request-2", false}, {"invalid.request-two", true}, {strings.Repeat("x", 60), true}, {strings.Repeat("x", 61), false},
		{theCode, false}, {theSecret, false}, {theProof, false}, {"a b", false}, {"a\\nb", false}, {"Invalid", false}, {"\\u001b[31m", false}, {"", false},
	} {
		for _, status := range []int{200, 400, 500} {
			p.on(pathToken, answering(status, "application/json", `{"error":"`+test.error+`","error_description":"`+theCode+` `+theSecret+`"}`))
			_, err := p.signIn(c)
			e := wantError(t, err, rp.ProviderError, "token.error")
			if strings.Contains(e.Error(), test.error) != test.quoted && test.error != "" {
				t.Errorf("%q: %v", test.error, e)
			}
			if !test.quoted {
				unquoted[status][e.Reason] = true
			}
		}
	}
	for status, reasons := range unquoted {
		if len(reasons) != 1 {
			t.Errorf("%d: got %v", status, reasons)
		}
	}
}

func TestNormalizeToken(t *testing.T) {
	odd := errors.New("not what this provider sends")
	normalize := func(cfg *rp.Config) {
		cfg.Quirks.NormalizeToken = func(h http.Header, body []byte) ([]byte, error) {
			if h.Get("Content-Type") == "text/odd" {
				return nil, odd
			}
			return []byte(strings.TrimPrefix(string(body), "while(1);")), nil
		}
	}
	tryTokenResponses(t, []tokenCase{
		{"what it corrects", 200, "text/javascript", "while(1);" + goodAnswer, "", ""},
		{"what needs no correction", 200, "application/json", goodAnswer, "", ""},
		{"what it makes is checked", 200, "text/javascript", "while(1);{}", rp.BadTokenResponse, "token.type_missing"},
		{"what it makes is no JSON", 200, "text/javascript", "while(1);", rp.BadTokenResponse, "token.json"},
		{"what it refuses", 200, "text/odd", goodAnswer, rp.BadTokenResponse, "token.normalize"},
		{"errors are not for it", 400, "text/odd", `{"error":"invalid_grant"}`, rp.CodeRejected, "token.invalid_grant"},
		{"its result may be an error", 200, "text/javascript", `while(1);{"error":"invalid_grant"}`, rp.CodeRejected, "token.invalid_grant"},
	}, normalize)

	p := newProvider(t)
	p.on(pathToken, answering(200, "text/odd", ""))
	_, err := p.signIn(p.client(p.plain, normalize))
	if !errors.Is(err, odd) {
		t.Errorf("its error is not the cause: %v", err)
	}
}
