package rp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

// TestNullClaims: a claim that is null is absent.
func TestNullClaims(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	for _, name := range []string{"c_hash", "s_hash", "at_hash", "azp", "auth_time", "nbf", "acr", "sid", "jti", "session_expiry", "email", "_claim_names"} {
		p.claims = map[string]any{name: nil}
		id, err := p.signIn(c)
		if err != nil {
			t.Errorf("%s: null: %v", name, err)
			continue
		}
		if v, there := id.Claims[name]; there {
			t.Errorf("%s: null is there as %v", name, v)
		}
	}
	for name, id := range map[string]string{"iss": "jwt.issuer_missing", "sub": "id_token.sub", "aud": "jwt.audience", "exp": "jwt.exp", "iat": "id_token.iat", "nonce": "id_token.nonce"} {
		p.claims = map[string]any{name: nil}
		_, err := p.signIn(c)
		wantError(t, err, rp.IDTokenInvalid, id)
	}
	for _, name := range []string{"exp", "nbf", "sid", "azp"} {
		if _, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, map[string]any{name: nil})); err != nil {
			t.Errorf("%s: null in a logout token: %v", name, err)
		}
	}
	for name, id := range map[string]string{"jti": "logout_token.jti", "iat": "logout_token.iat", "events": "logout_token.events", "nonce": "logout_token.nonce"} {
		_, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, map[string]any{name: nil}))
		wantError(t, err, rp.LogoutTokenInvalid, id)
	}
}

// TestNullWithSeveralAudiences: an azp that is null does not vouch for them.
func TestNullWithSeveralAudiences(t *testing.T) {
	p := newProvider(t)
	p.claims = map[string]any{"aud": []string{theClient, "another"}, "azp": nil}
	_, err := p.signIn(p.client())
	wantError(t, err, rp.IDTokenInvalid, "id_token.audiences")
}

// TestNullGivesWay: what the userinfo knows takes the place of a claim that is
// null in the ID token, and null there is absent too.
func TestNullGivesWay(t *testing.T) {
	p := newProvider(t)
	p.claims, p.info = map[string]any{"name": nil, "locale": "en"}, map[string]any{"locale": nil, "picture": nil}
	id := p.mustSignIn(p.client(func(cfg *rp.Config) { cfg.Complete = func(map[string]any) bool { return false } }))
	if _, there := id.Claims["picture"]; there || id.Claims["name"] != "Ann of the userinfo" || id.Claims["locale"] != "en" {
		t.Errorf("the claims are %v", id.Claims)
	}
}

// TestUnusedClaimSources: nothing here uses aggregated and distributed claims
// (OpenID Connect Core 1.0, section 5.6.2).
func TestUnusedClaimSources(t *testing.T) {
	p := newProvider(t)
	for _, claims := range []map[string]any{
		{"_claim_names": map[string]any{"groups": "src1"}},
		{"_claim_names": map[string]any{"groups": ""}, "_claim_sources": map[string]any{}},
		{"_claim_names": []string{"groups"}, "_claim_sources": 1},
		{"_claim_names": 1},
		{"_claim_sources": 1},
	} {
		p.claims = claims
		if _, err := p.signIn(p.client()); err != nil {
			t.Errorf("%v: %v", claims, err)
		}
	}
}

// TestAuthTimeOfZero: a provider that says 0 does not know it.
func TestAuthTimeOfZero(t *testing.T) {
	p := newProvider(t)
	p.claims = map[string]any{"auth_time": 0}
	p.mustSignIn(p.client())
	_, err := p.signIn(p.client(), func(r *rp.Request) { r.MaxAge = 3600 })
	wantError(t, err, rp.IDTokenInvalid, "id_token.max_age_ignored")
}

// TestEmptyMembers: members of the token response that are null are absent, and so
// is an empty error.
func TestEmptyMembers(t *testing.T) {
	p := newProvider(t)
	for _, answer := range []map[string]any{{"error": ""}, {"error": nil}, {"expires_in": nil}, {"refresh_token": nil}, {"scope": nil}} {
		p.answer = answer
		if _, err := p.signIn(p.client()); err != nil {
			t.Errorf("%v: %v", answer, err)
		}
	}
	for id, answer := range map[string]map[string]any{
		"token.error_type": {"error": []string{}}, "token.no_id_token": {"id_token": ""}, "token.access_token": {"access_token": ""}, "token.type": {"token_type": ""},
	} {
		p.answer = answer
		_, err := p.signIn(p.client())
		wantError(t, err, rp.BadTokenResponse, id)
	}
}

// TestStatusOfTokenResponse: every status of success is one.
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
}

// TestEmptyParameters: RFC 6749, 3.1: "Parameters sent without a value MUST be
// treated as if they were omitted from the request."
func TestEmptyParameters(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	check := func(code, refusal string) error {
		r := response()
		r.Set("code", code)
		r.Set("error", refusal)
		return c.CheckResponse(t.Context(), r)
	}
	if err := check(theCode, ""); err != nil {
		t.Errorf("an empty error beside a code: %v", err)
	}
	wantError(t, check("", "access_denied"), rp.ProviderDenied, "response.access_denied")
	wantError(t, check("", ""), rp.ProviderError, "response.error")
	wantError(t, c.CheckResponse(t.Context(), url.Values{"state": {theState}, "code": {""}}), rp.BadRequest, "response.empty")
	wantError(t, check(theCode, "access_denied"), rp.BadRequest, "response.code_and_error")
}

// TestTokenTypeInWords: one that is missing is not another one.
func TestTokenTypeInWords(t *testing.T) {
	p := newProvider(t)
	for _, tt := range []struct {
		typ     any
		missing bool
	}{{absent, true}, {nil, true}, {7, true}, {"", true}, {"DPoP", false}} {
		p.answer = map[string]any{"token_type": tt.typ}
		_, err := p.signIn(p.client())
		if e := wantError(t, err, rp.BadTokenResponse, "token.type"); strings.Contains(e.Reason, "Bearer") == tt.missing {
			t.Errorf("%v: %v", tt.typ, e)
		}
	}
}
