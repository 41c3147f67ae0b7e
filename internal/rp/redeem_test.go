package rp_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

func TestIdentity(t *testing.T) {
	p := newProvider(t)
	now := p.clock.Now()
	p.claims = claims{"sid": "s1d", "session_expiry": p.clock.unix(time.Hour), "email": "ann@example.com", "roles": []any{"a", 1, nil}}
	p.answer = map[string]any{"refresh_token": theRefresh, "scope": "openid email", "extra": "x"}
	id := p.mustSignIn(p.client())
	if id.Issuer != p.URL || id.SID != "s1d" || !id.IssuedAt.Equal(now) || !id.SessionExpiry.Equal(now.Add(time.Hour)) {
		t.Errorf("got %+v", id)
	}
	want := []string{"aud", "email", "exp", "iat", "iss", "nonce", "roles", "session_expiry", "sid", "sub"}
	if got := slices.Sorted(maps.Keys(id.Claims)); !slices.Equal(got, want) {
		t.Errorf("the claims are %v", got)
	}
	token := id.Token
	if token.AccessToken != theAccess || token.TokenType != "Bearer" || token.RefreshToken != theRefresh || !token.Expiry.Equal(now.Add(time.Hour)) {
		t.Errorf("got %+v", token)
	}
	if token.Extra("scope") != "openid email" || token.Extra("extra") != "x" || token.Extra("id_token") == nil {
		t.Error("Token.Extra does not have the token response")
	}
}

func TestIdentityWithoutWhatIsOptional(t *testing.T) {
	p := newProvider(t)
	p.answer = map[string]any{"expires_in": absent}
	p.claims = claims{"sid": 1}
	id := p.mustSignIn(p.client())
	if id.SID != "" || !id.SessionExpiry.IsZero() || !id.Token.Expiry.IsZero() || id.Token.RefreshToken != "" {
		t.Errorf("got %+v, %+v", id, id.Token)
	}
}

func TestIdentityOfPlainOAuth(t *testing.T) {
	p := newProvider(t)
	p.answer = map[string]any{"id_token": "not looked at"}
	p.info = map[string]any{"sid": "x", "iat": 1, "session_expiry": 1, "iss": "y"}
	id := p.mustSignIn(p.client(p.plain))
	if id.Issuer != "https://plain.example" || id.SID != "" || !id.IssuedAt.IsZero() || !id.SessionExpiry.IsZero() || id.Claims["name"] == nil {
		t.Errorf("got %+v", id)
	}
	if n := len(p.requests(pathDiscovery)) + len(p.requests(pathKeys)); n != 0 {
		t.Errorf("%d requests that only OpenID Connect needs", n)
	}
}

// RFC 9700, 4.4.2: provider and client must be the same at both ends of a sign-in. Otherwise the code
// is not sent.
func TestFingerprint(t *testing.T) {
	p := newProvider(t)
	before := p.begin(p.client())
	for _, test := range []struct {
		name string
		edit func(*rp.Config)
		code rp.Code
		id   string
	}{
		{"the same", func(*rp.Config) {}, "", ""},
		{"other scopes", func(cfg *rp.Config) { cfg.Scopes = []string{"openid"} }, "", ""},
		{"another secret", func(cfg *rp.Config) { cfg.ClientSecret = "new" }, "", ""},
		{"another authorization endpoint", func(cfg *rp.Config) { cfg.AuthorizeURL = p.URL + "/other" }, "", ""},
		{"another token endpoint", func(cfg *rp.Config) { cfg.TokenURL = p.URL + "/other" }, rp.IssuerMismatch, "response.provider_changed"},
		{"another issuer", func(cfg *rp.Config) {
			cfg.Issuer += "/other"
			p.plainEndpoints(cfg)
		}, rp.IssuerMismatch, "response.provider_changed"},
		{"another namespace", func(cfg *rp.Config) { cfg.Namespace = "https://other.example" }, rp.IssuerMismatch, "response.provider_changed"},
		{"another client", func(cfg *rp.Config) { cfg.ClientID = "other" }, rp.StateInvalid, "response.client_changed"},
		{"another redirect URI", func(cfg *rp.Config) { cfg.RedirectURI += "/" }, rp.StateInvalid, "response.client_changed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sent := len(p.requests(pathToken))
			c := p.client(test.edit)
			id, err := c.Redeem(t.Context(), before, response())
			again := c.CheckProvider(t.Context(), before)
			if test.id == "" {
				if err != nil || again != nil {
					t.Fatal(err, again)
				}
				return
			}
			wantError(t, err, test.code, test.id)
			wantError(t, again, test.code, test.id)
			if n := len(p.requests(pathToken)) - sent; n != 0 || id != nil {
				t.Errorf("%d token requests, and %v", n, id)
			}
		})
	}
	_, err := p.client().Redeem(t.Context(), rp.Request{Nonce: theNonce, Verifier: theProof, MaxAge: -1}, response())
	wantError(t, err, rp.IssuerMismatch, "response.provider_changed")
}

// plainEndpoints configures the endpoints instead of discovery.
func (p *provider) plainEndpoints(cfg *rp.Config) {
	cfg.AuthorizeURL, cfg.TokenURL, cfg.JWKSURL = p.URL+pathAuthorize, p.URL+pathToken, p.URL+pathKeys
}

// If a provider moves its token endpoint during a sign-in, the code is not sent there.
func TestFingerprintOfDiscoveredMetadata(t *testing.T) {
	p := newProvider(t)
	r := p.begin(p.client())
	p.doc = map[string]any{"token_endpoint": p.URL + "/other"}
	_, err := p.client().Redeem(t.Context(), r, response())
	wantError(t, err, rp.IssuerMismatch, "response.provider_changed")
}

func TestCheckProviderWithoutMetadata(t *testing.T) {
	p := newProvider(t)
	r := p.begin(p.client())
	p.on(pathDiscovery, answering(404, "text/html", ""))
	wantError(t, p.client().CheckProvider(t.Context(), r), rp.ProviderUnavailable, "http.not_found")
}

func TestRedeemWithoutMetadata(t *testing.T) {
	p := newProvider(t)
	r := p.begin(p.client())
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", ""))
	_, err := p.client().Redeem(t.Context(), r, response())
	wantError(t, err, rp.ProviderUnavailable, "http.status")
	if n := len(p.requests(pathToken)); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

// Whatever is wrong with the response, the code is sent once, and an access token without a valid ID
// token is not used.
func TestCodeIsSentOnce(t *testing.T) {
	for name, fail := range map[string]func(*provider){
		"nothing":               func(*provider) {},
		"the status":            func(p *provider) { p.on(pathToken, answering(503, "text/plain", "")) },
		"the body":              func(p *provider) { p.on(pathToken, answering(200, "application/json", "{")) },
		"the code was rejected": func(p *provider) { p.on(pathToken, answering(400, "application/json", `{"error":"invalid_grant"}`)) },
		"no answer": func(p *provider) {
			p.on(pathToken, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		},
		"a redirect": func(p *provider) {
			p.on(pathToken, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, pathToken, http.StatusTemporaryRedirect)
			})
		},
		"the ID token": func(p *provider) { p.claims = claims{"nonce": "x"} },
		"its absence":  func(p *provider) { p.skipped = true },
		"the keys":     func(p *provider) { p.on(pathKeys, answering(503, "text/plain", "")) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			fail(p)
			_, err := p.signIn(p.client(func(cfg *rp.Config) { cfg.Userinfo = "always" }))
			if failed := err != nil; failed != (name != "nothing") {
				t.Errorf("got %v", err)
			}
			if n := len(p.requests(pathToken)); n != 1 {
				t.Errorf("%d token requests", n)
			}
			if n := len(p.requests(pathUserinfo)); (n != 0) != (name == "nothing") {
				t.Errorf("%d userinfo requests", n)
			}
		})
	}
}
