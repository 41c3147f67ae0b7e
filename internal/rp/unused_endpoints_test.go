package rp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/rp"
)

var malformedEndpoints = []any{"", "http://idp.example/x", "/relative", "javascript:alert(1)", "https://", "https://user@idp.example/", "https://idp.example/#f", 7, []string{}, map[string]any{}, true}

// TestUnusedEndpoints: a malformed endpoint that no sign-in needs is as good as
// absent, with a warning and a line in Diagnose.
func TestUnusedEndpoints(t *testing.T) {
	p := newProvider(t)
	never := func(cfg *rp.Config) { cfg.Userinfo = "never" }
	profile := func(cfg *rp.Config) {
		cfg.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return nil, nil }
	}
	local := func(cfg *rp.Config) { cfg.LogoutLocal = true }
	elsewhere := func(cfg *rp.Config) { cfg.LogoutURL = p.URL + "/bye" }
	for _, tt := range []struct {
		name   string
		change func(*rp.Config)
		amend  bool // there is something to set right
	}{{"end_session_endpoint", func(*rp.Config) {}, true}, {"end_session_endpoint", local, false}, {"end_session_endpoint", elsewhere, false}, {"userinfo_endpoint", never, false}, {"userinfo_endpoint", profile, false}} {
		for _, address := range malformedEndpoints {
			p.doc, p.warned = map[string]any{tt.name: address}, nil
			c := p.client(tt.change)
			p.mustSignIn(c)
			if w := p.warnings(); len(w) != 1 {
				t.Errorf("%s %q: warned of %v", tt.name, address, w)
			} else if e := w[0].err.(*rp.Error); e.Reason == "" || strings.HasPrefix(e.Fix, "nothing") == tt.amend {
				t.Errorf("%s %q: the warning is %v", tt.name, address, e)
			}
			if tt.amend {
				if to := c.EndSessionURL(t.Context(), "", "state", theRedirect); to != "" {
					t.Errorf("signing out at %q", to)
				}
			}
			p.warned = nil
			r := p.client(tt.change, func(cfg *rp.Config) { cfg.Development = true }).Diagnose(t.Context())
			if len(r.Problems) != 0 || len(r.Warnings) != 1 || len(p.warnings()) != 0 {
				t.Errorf("%s %q: Diagnose found %v, warned of %v and logged %v", tt.name, address, r.Problems, r.Warnings, p.warnings())
			}
		}
	}
}

// TestUsedEndpoints: those that get secrets, or the browser, must be right.
func TestUsedEndpoints(t *testing.T) {
	p := newProvider(t)
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"} {
		for _, mode := range []string{"missing", "always"} {
			for _, address := range malformedEndpoints {
				p.doc = map[string]any{name: address}
				err := p.client(func(cfg *rp.Config) { cfg.Userinfo = mode }).Discover(t.Context())
				if err == nil {
					t.Errorf("%s %q is accepted with Userinfo %q", name, address, mode)
				}
			}
		}
	}
}

// TestConfiguredEndpointsWin: what the metadata says of an endpoint that is
// configured does not matter.
func TestConfiguredEndpointsWin(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"userinfo_endpoint": "http://idp.example/", "end_session_endpoint": 7, "token_endpoint": ""}
	c := p.client(func(cfg *rp.Config) {
		cfg.UserinfoURL, cfg.EndSessionURL, cfg.TokenURL = p.URL+pathUserinfo, p.URL+pathEndSession, p.URL+pathToken
	})
	p.mustSignIn(c)
	if w := p.warnings(); len(w) != 0 || c.EndSessionURL(t.Context(), "", "state", theRedirect) == "" {
		t.Errorf("warned of %v", w)
	}
}
