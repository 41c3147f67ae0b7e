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

// TestAdviceAboutIssuers: what to do about an issuer that differs depends on how.
// Advice that leads to the next error, and back, helps nobody.
func TestAdviceAboutIssuers(t *testing.T) {
	for _, tt := range []struct {
		ours, theirs string
		want         []string // in the fix
		not          string
	}{
		{"https://login.example/realms/x", "http://login.example/realms/x", []string{"--proxy-headers", "--hostname=https://login.example"}, "set Issuer"},
		{"https://login.example/realms/x", "http://login.example:8080/realms/x", []string{"--proxy-headers"}, "set Issuer"},
		{"https://login.example/realms/x", "http://keycloak:8080/realms/x", []string{"--proxy-headers", "--hostname=https://login.example"}, "set Issuer"},
		{"https://login.example/x", "http://localhost:8080/x", []string{`set Issuer to "http://localhost:8080/x"`}, ""},
		{"https://login.example", "https://login.example/", []string{`set Issuer to "https://login.example/"`}, "by hand"},
		{"https://login.example/oidc", "https://login.example", []string{`set Issuer to "https://login.example"`, "by hand", "Logout.EndSessionURL"}, ""},
		{"https://login.example", "https://login.example/op", []string{`set Issuer to "https://login.example/op"`, "by hand", "JWKSURL"}, ""},
		{"https://keycloak.internal/realms/x", "https://login.example/realms/x", []string{"inside your network", "by hand", "Logout.EndSessionURL"}, ""},
		{"https://login.example/{tenantid}/v2.0", "https://login.example/common/v2.0", nil, ""},
		{"https://login.example/t/v2.0", "https://login.example/{tenantid}/v2.0", []string{"the id of yours"}, "by hand"},
		{"https://login.example", "login.example", []string{"not an address"}, "set Issuer"},
	} {
		check := func(e *rp.Error) {
			t.Helper()
			for _, want := range tt.want {
				if !strings.Contains(e.Fix, want) {
					t.Errorf("%s, %s: the fix lacks %q: %s", tt.ours, tt.theirs, want, e.Fix)
				}
			}
			if tt.not != "" && strings.Contains(e.Fix, tt.not) {
				t.Errorf("%s, %s: the fix has %q: %s", tt.ours, tt.theirs, tt.not, e.Fix)
			}
		}
		p := newProvider(t)
		p.doc = map[string]any{"issuer": tt.theirs}
		to := roundTripper(func(r *http.Request) (*http.Response, error) {
			r.URL.Scheme, r.URL.Host, r.URL.Path = "http", strings.TrimPrefix(p.URL, "http://"), pathDiscovery
			return http.DefaultTransport.RoundTrip(r)
		})
		ours := func(cfg *rp.Config) {
			cfg.Issuer, cfg.HTTP = tt.ours, fetch.Client(&http.Client{Transport: to}, "test")
		}
		check(wantError(t, p.client(ours).Discover(t.Context()), rp.ProviderMisconfigured, "discovery.issuer_mismatch"))

		// The same of an ID token.
		p = newProvider(t)
		p.claims = map[string]any{"iss": tt.theirs}
		byHand := func(cfg *rp.Config) {
			cfg.Issuer = tt.ours
			cfg.AuthorizeURL, cfg.TokenURL, cfg.JWKSURL = p.URL+pathAuthorize, p.URL+pathToken, p.URL+pathKeys
		}
		_, err := p.signIn(p.client(byHand))
		check(wantError(t, err, rp.IDTokenInvalid, "jwt.issuer"))
	}
}

// TestAdviceAboutAuthMethods: with a secret, "none" is the next mistake.
func TestAdviceAboutAuthMethods(t *testing.T) {
	p := newProvider(t)
	for _, offered := range []string{"none", "private_key_jwt"} {
		p.doc = map[string]any{"token_endpoint_auth_methods_supported": []string{offered}}
		e, ok := errors.AsType[*rp.Error](p.client().Discover(t.Context()))
		if !ok || e.ID != "discovery.auth_method" {
			t.Fatalf("%s: %v", offered, e)
		}
		if !strings.Contains(e.Fix, "leave ClientSecret out") || !strings.Contains(e.Fix, "client_secret_basic") {
			t.Errorf("%s: the fix is %s", offered, e.Fix)
		}
	}
}

// TestAdviceWhereNoMetadataIs: an Issuer that was changed as told may lead to none.
func TestAdviceWhereNoMetadataIs(t *testing.T) {
	p := newProvider(t)
	p.on(pathDiscovery, http.NotFound)
	if e := wantError(t, p.client().Discover(t.Context()), rp.ProviderUnavailable, "http.not_found"); !strings.Contains(e.Fix, rp.WellKnown) || !strings.Contains(e.Fix, "by hand") {
		t.Errorf("the fix is %s", e.Fix)
	}
}
