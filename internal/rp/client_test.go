package rp_test

import (
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

func TestNewMakesNoRequest(t *testing.T) {
	p := newProvider(t)
	p.client()
	p.client(p.plain)
	if n := len(p.requests(pathDiscovery)); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestDiscover(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	for range 3 {
		if err := c.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.requests(pathDiscovery)); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Where everything is configured, nothing is discovered. One address that is missing
// is reason enough.
func TestWhatIsDiscovered(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*rp.Config, *provider)
		want int
	}{
		"nothing":            {func(*rp.Config, *provider) {}, 0},
		"authorize":          {func(cfg *rp.Config, _ *provider) { cfg.AuthorizeURL = "" }, 1},
		"token":              {func(cfg *rp.Config, _ *provider) { cfg.TokenURL = "" }, 1},
		"keys":               {func(cfg *rp.Config, _ *provider) { cfg.JWKSURL = "" }, 1},
		"plain without keys": {func(cfg *rp.Config, p *provider) { cfg.JWKSURL = ""; p.plain(cfg) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(p.plainEndpoints, func(cfg *rp.Config) { test.edit(cfg, p) })
			p.mustSignIn(c)
			if n := len(p.requests(pathDiscovery)); n != test.want {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// What is configured wins over what is discovered.
func TestConfiguredEndpoints(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{
		"authorization_endpoint": "http://127.0.0.1:1/a", "token_endpoint": "http://127.0.0.1:1/t", "userinfo_endpoint": "http://127.0.0.1:1/u",
		"end_session_endpoint": "http://127.0.0.1:1/e",
	}
	c := p.client(func(cfg *rp.Config) {
		cfg.AuthorizeURL, cfg.TokenURL, cfg.UserinfoURL, cfg.EndSessionURL = p.URL+pathAuthorize, p.URL+pathToken, p.URL+pathUserinfo, p.URL+pathEndSession
		cfg.Userinfo = "always"
	})
	p.authorize(c, nil)
	if id := p.mustSignIn(c); id.Claims["name"] == nil {
		t.Error("no userinfo came")
	}
	if got := c.EndSessionURL(t.Context(), "", "s", "https://app.example/"); !strings.HasPrefix(got, p.URL+pathEndSession+"?") {
		t.Errorf("got %q", got)
	}
	if n := len(p.requests(pathDiscovery)); n != 1 {
		t.Errorf("%d requests for metadata, which has the address of the keys", n)
	}
}

// Config is validated before, so that no user ever sees this.
func TestNewWithAnAddressThatIsNone(t *testing.T) {
	p := newProvider(t)
	c := p.client(p.plain, func(cfg *rp.Config) { cfg.AuthorizeURL = "" })
	for range 2 {
		wantJoined(t, c.Discover(t.Context()), "discovery.endpoint_missing")
	}
	if n := len(p.requests(pathDiscovery)); n != 0 {
		t.Errorf("%d requests", n)
	}
}
