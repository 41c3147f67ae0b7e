package fuzz

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

// metadataWith returns the valid metadata with one member changed; nil removes it.
func metadataWith(name string, value any) string {
	m := stageMetadata()
	sitetest.Put(m, name, value)
	return sitetest.JSON(m)
}

// goodMetadata is the reference: the conditions of a discovery document before any request to a
// URL in it (OpenID Connect Discovery 1.0, sections 3 and 4.3).
func goodMetadata(media, body string) (doc map[string]any, ok bool) {
	kind, _, err := mime.ParseMediaType(media)
	doc, strict := readStrictly(body)
	isJSON := kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
	if err != nil && err != mime.ErrInvalidMediaParameter || !isJSON || !strict || doc["issuer"] != stageIDP {
		return nil, false
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} { // others are not used for a sign-in here
		address, _ := doc[name].(string)
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(address, "#") || strings.ContainsAny(address, "\\ \t\r\n") {
			return nil, false
		}
	}
	offers := func(name string, ours ...string) bool {
		list, _ := doc[name].([]any)
		texts := slices.DeleteFunc(slices.Clone(list), func(v any) bool { _, isText := v.(string); return !isText })
		return len(texts) == 0 || slices.ContainsFunc(ours, func(s string) bool { return slices.Contains(texts, any(s)) })
	}
	return doc, offers("id_token_signing_alg_values_supported", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA") &&
		offers("token_endpoint_auth_methods_supported", "client_secret_basic", "client_secret_post")
}

// FuzzDiscovery fuzzes the discovery document. A browser is redirected only to the URL in a
// document that the reference accepts, with our authorization request; later requests go only to
// the document's URLs.
func FuzzDiscovery(f *testing.F) {
	f.Add("application/json", sitetest.JSON(stageMetadata()))
	for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"} {
		for _, value := range []any{nil, "", stageIDP, stageIDP + "/", "https://IDP.example", "http://idp.example/x", "http://169.254.169.254/x", "https://169.254.169.254/x", "javascript:alert(1)", "file:///etc/passwd",
			"https://u:p@idp.example/x", stageIDP + "/x#f", stageIDP + "/x#", "https:///x", "//idp.example/x", "/x", "https://idp.example:x/", "https://[::1", "https://idp.example/a b", `https:\\idp.example`, 7, []any{}, map[string]any{}} {
			if name == "issuer" || name == "token_endpoint" || value == nil || value == "javascript:alert(1)" || value == 7 || value == "https://u:p@idp.example/x" {
				f.Add("application/json", metadataWith(name, value))
			}
		}
	}
	for _, value := range []any{nil, "x", []any{}, []any{"none"}, []any{"HS256"}, []any{"none", "EdDSA"}, []any{7}, []any{"client_secret_post"}, []any{"private_key_jwt"}, []any{"none", "client_secret_basic"}} {
		f.Add("application/json", metadataWith("id_token_signing_alg_values_supported", value))
		f.Add("application/json", metadataWith("token_endpoint_auth_methods_supported", value))
		f.Add("application/json", metadataWith("authorization_response_iss_parameter_supported", value))
	}
	f.Add("application/json", metadataWith("authorization_endpoint", stageIDP+"/authorize?tenant=1&state=z&redirect_uri=https://evil.example&client_id=x&scope=admin&response_type=token"))
	for _, body := range []string{"", "{}", "[]", "null", "<!doctype html>", sitetest.Adding(`"issuer":"https://evil.example"`)(sitetest.JSON(stageMetadata())), "\ufeff" + sitetest.JSON(stageMetadata()), sitetest.JSON(stageMetadata()) + "x", sitetest.Adding(`"x":` + strings.Repeat("[", 40))(sitetest.JSON(stageMetadata()))} {
		f.Add("application/json", body)
	}
	for _, media := range []string{"", "text/html", "application/json; charset=utf-8", "application/json;", "application/x+json", "text/json"} {
		f.Add(media, sitetest.JSON(stageMetadata()))
	}
	f.Fuzz(func(t *testing.T, media, body string) {
		h, _, ok := fuzzedAnswer(0, media, body)
		if !ok {
			return
		}
		s := newStage(t, nil)
		s.fresh(t, len(body))
		s.answer["/.well-known/openid-configuration"] = h
		w := s.ask("GET", "/login/demo", "", "")
		doc, good := goodMetadata(media, body)
		if w.Code != http.StatusSeeOther {
			small := len(body) < 4000
			fit := good && !slices.ContainsFunc([]string{"authorization_endpoint", "token_endpoint", "jwks_uri"}, func(name string) bool { return !plainAddress(doc[name]) })
			if w.Code != http.StatusBadGateway || len(w.Header()["Set-Cookie"]) != 0 || fit && small || s.auth.Warm(t.Context()) == nil {
				t.Errorf("the response is %d %s\n%s\n%s", w.Code, w.Body, body, &s.log)
			}
			s.closes(t, w)
			return
		}
		if !good {
			t.Fatalf("sent to %s by %s", w.Header().Get("Location"), body)
		}
		s.obeys(t, doc, w.Header().Get("Location"), jarOf(w))
	})
}

// plainAddress reports whether a URL is valid by every rule.
func plainAddress(v any) bool {
	address, _ := v.(string)
	rest, ok := strings.CutPrefix(address, stageIDP+"/")
	return v == nil || ok && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz/") == ""
}

// obeys compares a sign-in with the document on which it is based.
func (s *stage) obeys(t *testing.T, doc map[string]any, location, cookies string) {
	t.Helper()
	to, err := url.Parse(location)
	there, _ := url.Parse(doc["authorization_endpoint"].(string))
	if err != nil || to.Scheme != "https" || to.Host != there.Host || to.EscapedPath() != there.EscapedPath() || to.User != nil || to.Fragment != "" {
		t.Fatalf("sent to %q by %q", location, there)
	}
	q := to.Query()
	for name, want := range map[string]string{"client_id": stageClient, "redirect_uri": stageURL + "/authorize/demo", "response_type": "code", "scope": "openid profile email", "code_challenge_method": "S256"} {
		if len(q[name]) != 1 || q[name][0] != want {
			t.Errorf("%s is sent as %q", name, q[name])
		}
	}
	if len(q["state"]) != 1 || !sitetest.StateForm.MatchString(q.Get("state")) || len(q["nonce"]) != 1 || len(q.Get("nonce")) != 43 {
		t.Errorf("state and nonce are sent as %q and %q", q["state"], q["nonce"])
	}
	s.asked = nil
	s.ask("GET", "/authorize/demo", answerOf(attempt{state: q.Get("state")}), cookies)
	if len(s.asked) != 1 || s.asked[0].Method != "POST" {
		t.Fatalf("%d requests were sent\n%s", len(s.asked), &s.log)
	}
	token, _ := url.Parse(doc["token_endpoint"].(string))
	_, _, basic := s.asked[0].BasicAuth()
	offered, _ := doc["token_endpoint_auth_methods_supported"].([]any)
	post := slices.Contains(offered, any("client_secret_post")) && !slices.Contains(offered, any("client_secret_basic"))
	if got := s.asked[0].URL; got.String() != token.String() || basic == post || (s.asked[0].PostForm.Get("client_secret") != "") != post {
		t.Errorf("the code went to %q, with Basic: %t; the document says %q, %q", got, basic, token, offered)
	}
}

// keySets are seeds; EDX is the x of the provider's key "ed", ECX and ECY are x and y of "ec",
// and ALIENX is the x of the foreign key.
var keySets = []string{
	`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","use":"sig","alg":"EdDSA","x":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"EDX"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"ec","x":"ECX","y":"ECY"}]}`,
	`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","use":"enc","x":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","alg":"ES256","x":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","key_ops":["sign"],"x":"EDX"}]}`,
	`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","key_ops":["verify"],"x":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX","d":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","use":null,"x":"EDX"}]}`,
	`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"other","x":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"ALIENX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"ALIENX"},{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}]}`,
	`{"keys":[{"kty":"OKP","crv":"X25519","kid":"ed","x":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":""}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"AAAA"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":7}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDXAA"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX="}]}`,
	`{"keys":[{"kty":"oct","kid":"ed","k":"EDX"}]}`, `{"keys":[{"kty":"oct","kid":"ed","k":"EDX","alg":"HS256"}]}`, `{"keys":[{"kty":"RSA","kid":"ed","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"RSA","kid":"ed","n":"","e":""}]}`, `{"keys":[{"kty":"RSA","kid":"ed","n":"AQAB","e":"AAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`,
	`{"keys":[{"kty":"EC","crv":"secp256k1","kid":"k","x":"ECX","y":"ECY"},{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"ec","x":"ECX","y":"ECX"}]}`, `{"keys":[{"kty":"EC","crv":"P-384","kid":"ec","x":"ECX","y":"ECY"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"ec","x":"AA","y":"AA"}]}`,
	`{"keys":[{"kty":"EC","crv":"P-256","kid":"ec","x":"ECX","y":"ECY","x5c":["AA=="]}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX","x5u":"https://idp.example/evil"}]}`, `{"keys":[null,{},7,"x",[],{"kty":"QQ"},{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}]}`,
	`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","kid":"ed","x":"EDX"}]}`, `{"keys":[],"KEYS":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}]}`, `{"keys":[{"KTY":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","X":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","KID":"ed","x":"EDX"}]}`,
	`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","Use":"enc","x":"EDX"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","D":"EDX","x":"EDX"}]}`, `{"keys":{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}}`, `[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}]`, `{"keys":null}`, `{}`, `[]`, ``, `<!doctype html>`,
}

// FuzzJWKS fuzzes the key set. A token signed by one of the provider's keys is accepted only if
// the set has that public key, for verifying signatures with its algorithm, under that kid or
// none.
func FuzzJWKS(f *testing.F) {
	for i, body := range keySets {
		f.Add("application/json", body, uint8(i%2))
		f.Add("application/json", body, uint8(2+i%2))
	}
	for _, media := range []string{"application/jwk-set+json", "application/json; charset=utf-8", "text/plain", ""} {
		f.Add(media, keySets[0], uint8(0))
	}
	many := strings.Repeat(`{"kty":"OKP","crv":"Ed25519","x":"ALIENX"},`, 12)
	f.Add("application/json", `{"keys":[`+many+`{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}]}`, uint8(0))
	f.Add("application/json", `{"keys":[`+many+`{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"EDX"}]}`, uint8(1))
	ec := sitetest.ECJWK("", &stageEC.PublicKey)
	names := strings.NewReplacer("EDX", edJWK("", stageEd)["x"].(string), "ECX", ec["x"].(string), "ECY", ec["y"].(string), "ALIENX", edJWK("", stageAlien)["x"].(string))
	f.Fuzz(func(t *testing.T, media, body string, kind uint8) {
		body = names.Replace(body)
		h, _, ok := fuzzedAnswer(0, media, body)
		if !ok {
			return
		}
		s := newStage(t, nil)
		s.fresh(t, len(body))
		s.answer["/keys"] = h
		a := s.begin(t, "")
		alg, kid := "EdDSA", "ed"
		if kind&2 != 0 {
			alg, kid = "ES256", "ec"
		}
		header := map[string]any{"alg": alg, "kid": kid}
		if kind&1 != 0 {
			delete(header, "kid")
		}
		input := sitetest.Base64([]byte(sitetest.JSON(header))) + "." + sitetest.Base64([]byte(sitetest.JSON(s.goodClaims(a))))
		s.tokenAnswer(input + "." + jwsSigners[int(kind>>1)&1](input))
		w := s.ask("GET", "/authorize/demo", answerOf(a), a.cookie())
		u := s.who(t, jarOf(w))
		if n := s.count("/keys"); n < 1 || n > 2 || s.count("/evil") != 0 {
			t.Errorf("the keys were requested %d times", n)
		}
		if u == nil {
			if w.Code != http.StatusForbidden && w.Code != http.StatusBadGateway || body == names.Replace(keySets[0]) && media == "application/json" && alg == "EdDSA" {
				t.Errorf("the response is %d %s\n%s", w.Code, w.Body, &s.log)
			}
			s.closes(t, w, a.state, a.nonce, a.value, stageCode, stageToken)
			return
		}
		if !publishes(body, alg, header["kid"], ec) {
			t.Errorf("a token signed with %s was taken, and the keys are %s", alg, body)
		}
	})
}

// publishes is the reference (RFC 7517 4): whether a key set has the provider's
// key for an algorithm.
func publishes(body, alg string, kid any, ec map[string]any) bool {
	set, _ := readStrictly(body)
	keys, _ := set["keys"].([]any)
	return slices.ContainsFunc(keys, func(item any) bool {
		key, _ := item.(map[string]any)
		is := func(name string, wants ...any) bool { return slices.Contains(wants, key[name]) }
		same := func(name string, want any) bool {
			text, _ := key[name].(string)
			return undone(strings.TrimRight(text, "=")) == undone(want.(string))
		}
		ops, isList := key["key_ops"].([]any)
		if !is("d", nil, "") || !is("use", nil, "", "sig") || key["key_ops"] != nil && !isList || len(ops) > 0 && !slices.Contains(ops, any("verify")) || !is("alg", nil, "", alg) || kid != nil && !is("kid", nil, "", kid) {
			return false
		}
		if alg == "EdDSA" {
			return is("kty", "OKP") && is("crv", "Ed25519") && same("x", edJWK("", stageEd)["x"])
		}
		return is("kty", "EC") && is("crv", "P-256") && same("x", ec["x"]) && same("y", ec["y"])
	})
}
