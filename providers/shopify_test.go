package providers_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// answerMAC is what Shopify puts into hmac: the other parameters by name, under
// the client secret.
func answerMAC(answer url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(answer)) {
		pairs = append(pairs, name+"="+url.QueryEscape(answer.Get(name)))
	}
	mac := hmac.New(sha256.New, []byte(testClientSecret))
	mac.Write([]byte(strings.Join(pairs, "&")))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestShopifyAnswers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(s *standIn)
		id, part string
	}{
		{"no hmac", func(s *standIn) { s.Authorize.HMAC = "" }, "response.verify_callback", "hmac"},
		{"an hmac of something else", func(s *standIn) { s.Authorize.HMAC, s.Authorize.Answer["hmac"] = "", strings.Repeat("0a", 32) }, "response.verify_callback", "hmac"},
		{"no hexadecimal digits", func(s *standIn) { s.Authorize.HMAC, s.Authorize.Answer["hmac"] = "", "Shopify" }, "response.verify_callback", "hmac"},
		{"another shop's", func(s *standIn) { s.Authorize.Answer["shop"] = "hollow-oak.myshopify.com" }, "response.verify_callback", "another shop"},
		{"a host that only looks like it", func(s *standIn) { s.Authorize.Answer["shop"] = "kvarnbygd.myshopify.com.evil.example" }, "response.verify_callback", "another shop"},
		{"no shop", func(s *standIn) { delete(s.Authorize.Answer, "shop") }, "response.verify_callback", "another shop"},
	} {
		s := newStandIn(t, "shopify")
		tt.change(s)
		s.app(s.provider()).refuses(ginauth.ErrProviderError, tt.id, tt.part)
		if n := s.requests("POST " + s.Token.URL); n != 0 {
			t.Errorf("%s: the code was redeemed", tt.name)
		}
	}
}

func TestShopifyTokens(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		code         ginauth.Code
		id, part     string
	}{
		{"the shop's", `{"access_token":"` + testToken + `","scope":""}`, ginauth.ErrIdentityRejected, "login.failed", "per-user"},
		{"no text", `{"access_token":"` + testToken + `","associated_user":"petra"}`, ginauth.ErrIdentityRejected, "login.failed", "per-user"},
		{"a user without an id", `{"access_token":"` + testToken + `","associated_user":{"email":"petra@kvarnbygd.example"}}`, ginauth.ErrIdentityRejected, "claims.sub", ""},
		{"of another type", `{"access_token":"` + testToken + `","token_type":"mac","associated_user":{"id":1}}`, ginauth.ErrBadTokenResponse, "token.type", ""},
		{"no JSON", `<html>`, ginauth.ErrBadTokenResponse, "token.normalize", ""},
		{"an error", `{"error":"invalid_request","error_description":"The authorization code was not found or was already used"}`, ginauth.ErrProviderError, "token.error", `\"invalid_request\"`},
	} {
		s := newStandIn(t, "shopify")
		s.answers["token.json"] = []byte(tt.answer)
		t.Run(tt.name, func(t *testing.T) { s.app(s.provider()).refuses(tt.code, tt.id, tt.part) })
	}
}

// Numbers beyond a float's are people of their own.
func TestShopifyNumbers(t *testing.T) {
	s := newStandIn(t, "shopify")
	s.answers["token.json"] = []byte(`{"access_token":"` + testToken + `","associated_user":{"id":9007199254740993,"first_name":"Petra","email":"petra@kvarnbygd.example","email_verified":false}}`)
	u := s.app(s.provider()).signIn()
	if u.ID() != "https://kvarnbygd.myshopify.com#9007199254740993" || u.Name != "Petra" || u.EmailVerified || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
}

// Shopify names the larger scope alone.
func TestShopifyScopes(t *testing.T) {
	includes := providers.Shopify("kvarnbygd", "id", testClientSecret).Quirks.IncludedScopes
	for scope, want := range map[string][]string{"write_products": {"read_products"}, "read_products": nil, "rewrite_x": nil} {
		if got := includes(scope); !slices.Equal(got, want) {
			t.Errorf("%s includes %q, want %q", scope, got, want)
		}
	}
}
