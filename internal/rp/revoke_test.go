package rp_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

const pathRevoke = "/revoke"

// RFC 7009, 2.1: the token and its type are sent with the client's authentication.
func TestRevoke(t *testing.T) {
	p := newProvider(t)
	p.doc = claims{"revocation_endpoint": p.URL + pathRevoke}
	p.on(pathRevoke, answering(http.StatusOK, "text/plain", ""))
	if err := p.client().Revoke(t.Context(), theRefresh); err != nil {
		t.Fatal(err)
	}
	asked := p.requests(pathRevoke)
	if len(asked) != 1 || asked[0].form.Get("token") != theRefresh || asked[0].form.Get("token_type_hint") != "refresh_token" || asked[0].authorization == "" {
		t.Errorf("the requests are %+v", asked)
	}
}

// Without an endpoint nothing is sent. Everything else that does not revoke the token is an error.
func TestRevokeFails(t *testing.T) {
	for name, test := range map[string]struct {
		edit  func(p *provider, cfg *rp.Config)
		code  rp.Code
		id    string
		asked int
	}{
		"no endpoint": {func(p *provider, _ *rp.Config) { p.doc = nil }, "", "", 0},
		"no metadata": {func(p *provider, _ *rp.Config) {
			p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/html", ""))
		}, rp.ProviderUnavailable, "http.status", 0},
		"no secret": {func(_ *provider, cfg *rp.Config) {
			cfg.ClientSecret, cfg.ClientSecretFunc = "", func(context.Context) (string, error) { return "", errors.New("no key") }
		}, rp.ProviderMisconfigured, "token.client_secret_func", 0},
		"an error": {func(p *provider, _ *rp.Config) {
			p.on(pathRevoke, answering(http.StatusBadRequest, "application/json", `{"error":"unsupported_token_type"}`))
		}, rp.ProviderUnavailable, "http.status", 1},
		"an outage": {func(p *provider, _ *rp.Config) {
			p.on(pathRevoke, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, rp.ProviderUnavailable, "http.network", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.doc = claims{"revocation_endpoint": p.URL + pathRevoke}
			err := p.client(func(cfg *rp.Config) { test.edit(p, cfg) }).Revoke(t.Context(), theRefresh)
			if test.id == "" && err != nil {
				t.Error(err)
			}
			if test.id != "" {
				wantError(t, err, test.code, test.id)
			}
			if n := len(p.requests(pathRevoke)); n != test.asked {
				t.Errorf("%d requests", n)
			}
		})
	}
}
