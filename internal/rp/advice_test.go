package rp_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/rp"
)

// TestVariantsAreNamed: a claim almost called as another is named, and so is the way
// out.
func TestVariantsAreNamed(t *testing.T) {
	p := newProvider(t)
	names := func(more ...string) func(*rp.Config) {
		return func(cfg *rp.Config) {
			cfg.Names, cfg.Complete = append(more, "email"), func(map[string]any) bool { return false }
		}
	}
	p.claims = map[string]any{"email": "ann@example.com", "Email": "ann@work.example"}
	_, err := p.signIn(p.client(names()))
	e := wantError(t, err, rp.IDTokenInvalid, "jwt.claims_ambiguous")
	if !strings.Contains(e.Reason, `"Email"`) || !strings.Contains(e.Reason, `"email"`) || !strings.Contains(e.Fix, "ClaimPaths") || !strings.Contains(e.Fix, `"Email"`) {
		t.Errorf("the error is %v", e)
	}
	p.mustSignIn(p.client(names("Email"))) // as the way out has it

	p.claims, p.info = nil, p.claims
	_, err = p.signIn(p.client(names()))
	if e := wantError(t, err, rp.UserinfoInvalid, "jwt.claims_ambiguous"); !strings.Contains(e.Reason, `"Email"`) {
		t.Errorf("the error is %v", e)
	}

	p.claims = map[string]any{"SUB": "eve"}
	_, err = p.signIn(p.client())
	if e := wantError(t, err, rp.IDTokenInvalid, "jwt.claims_ambiguous"); strings.Contains(e.Fix, "ClaimPaths") {
		t.Errorf("a claim of the protocol gets another meaning: %v", e)
	}
	p.claims = nil
	p.answer = map[string]any{"Access_Token": "x"}
	_, err = p.signIn(p.client())
	if e := wantError(t, err, rp.BadTokenResponse, "token.ambiguous"); !strings.Contains(e.Reason, `"Access_Token"`) {
		t.Errorf("the error is %v", e)
	}
}

// TestErrorWithoutIssuer: where the metadata announces iss and an error answer has
// none, the error that it has is told.
func TestErrorWithoutIssuer(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"authorization_response_iss_parameter_supported": true}
	c := p.client()
	err := c.CheckResponse(t.Context(), url.Values{"state": {theState}, "error": {"access_denied"}, "error_description": {"the person said no"}})
	e := wantError(t, err, rp.IssuerMismatch, "response.issuer_missing")
	if !strings.Contains(e.Reason, `"access_denied"`) || e.Cause == nil || !strings.Contains(e.Cause.Error(), "the person said no") {
		t.Errorf("the error is %v", e)
	}
	if !strings.Contains(e.Fix, "Exclude Issuer From Authentication Response") {
		t.Errorf("Keycloak's switch is not named: %v", e)
	}
	if e := wantError(t, c.CheckResponse(t.Context(), response()), rp.IssuerMismatch, "response.issuer_missing"); e.Cause != nil || strings.Contains(e.Reason, "error") {
		t.Errorf("the error is %v", e)
	}
}

// TestFixOfEveryFailure: also of those that the network makes.
func TestFixOfEveryFailure(t *testing.T) {
	p := newProvider(t)
	discover := func(edits ...func(*rp.Config)) error { return p.client(edits...).Discover(t.Context()) }

	p.on(pathDiscovery, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	slow := func(cfg *rp.Config) { cfg.HTTP = fetch.Client(&http.Client{Timeout: 50 * time.Millisecond}, "test") }
	wantError(t, discover(slow), rp.ProviderTimeout, "http.timeout")
	p.on(pathDiscovery, answering(200, "application/json", "[]"))
	wantError(t, discover(), rp.ProviderUnavailable, "http.unusable")
	p.on(pathDiscovery, nil)

	refuse := func(cfg *rp.Config) { cfg.VerifyCallback = func(url.Values) error { return errors.New("forged") } }
	wantError(t, p.client(refuse).CheckResponse(t.Context(), response()), rp.ProviderError, "response.verify_callback")
}
