package rp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

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

// If all endpoints are configured, there is no discovery. A single missing one is reason enough.
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

// Configured endpoints take precedence over discovered ones.
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
		t.Errorf("%d requests for the metadata, which has jwks_uri", n)
	}
}

// A new Client of the same provider takes over the metadata and keys of another, and interprets
// them by its own configuration.
func TestClientAfterAnother(t *testing.T) {
	p := newProvider(t)
	p.doc = full()
	redeem := func(c *rp.Client) *rp.Identity { // CheckResponse would require iss
		t.Helper()
		return must(c.Redeem(t.Context(), p.begin(c), response()))
	}
	c := p.client()
	redeem(c)
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	p.on(pathDiscovery, down)
	p.on(pathKeys, down)
	next := rp.New(p.config(func(cfg *rp.Config) {
		cfg.ClientID, cfg.AuthMethod, cfg.Userinfo = "another client", "client_secret_post", "always"
	}), p.client(p.plain), c)
	p.claims = map[string]any{"aud": "another client"}
	if id := redeem(next); id.Claims["name"] == nil {
		t.Error("no userinfo came")
	}
	sent := p.requests(pathToken)
	if form := sent[len(sent)-1].form; form.Get("client_id") != "another client" || form.Get("client_secret") != theSecret {
		t.Errorf("the client is not the new one: %v", form)
	}
	if got := next.EndSessionEndpoint(t.Context()); got != p.URL+pathEndSession {
		t.Errorf("the end-session endpoint is %q", got)
	}
	wantError(t, next.CheckResponse(t.Context(), response()), rp.IssuerMismatch, "response.issuer_missing") // the announcement of iss is taken over too
	if n := len(p.requests(pathDiscovery)) + len(p.requests(pathKeys)); n != 2 {
		t.Errorf("%d requests for metadata and keys", n)
	}

	// Keys that one of them fetches are available to the other.
	p.on(pathKeys, nil)
	p.signer, p.claims = otherRSA(), nil
	p.clock.add(time.Minute)
	redeem(c)
	p.on(pathKeys, down)
	p.claims = map[string]any{"aud": "another client"}
	redeem(next)
}

// The new Client chooses the client authentication from the metadata again, unless it is
// configured.
func TestAuthenticationOfAClientAfterAnother(t *testing.T) {
	p := newProvider(t)
	p.doc = claims{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}, "token_endpoint_auth_signing_alg_values_supported": []string{"PS256"}}
	c := p.client()
	p.mustSignIn(c)
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", "down"))
	if form := p.tokenRequest(rp.New(p.config(), c)).form; form.Get("client_secret") != theSecret {
		t.Errorf("the secret is not in the form: %v", form)
	}
	key := clientKeys(t)["RS256"]
	if header, _ := opened(t, p.tokenRequest(rp.New(p.config(asserting(key)), c)).form.Get("client_assertion"), key); header.Algorithm != "PS256" {
		t.Errorf("the assertion is signed with %s", header.Algorithm)
	}
}

func TestClientAfterOneOfAnotherProvider(t *testing.T) {
	for name, edit := range map[string]func(*rp.Config){
		"issuer":       func(cfg *rp.Config) { cfg.Issuer += "/other" },
		"authorize":    func(cfg *rp.Config) { cfg.AuthorizeURL = "https://other.example" },
		"token":        func(cfg *rp.Config) { cfg.TokenURL = "https://other.example" },
		"userinfo":     func(cfg *rp.Config) { cfg.UserinfoURL = "https://other.example" },
		"keys":         func(cfg *rp.Config) { cfg.JWKSURL = "https://other.example" },
		"end session":  func(cfg *rp.Config) { cfg.EndSessionURL = "https://other.example" },
		"many issuers": func(cfg *rp.Config) { cfg.TokenIssuer = func(map[string]any) (string, error) { return "", nil } },
		"an algorithm that is not offered": func(cfg *rp.Config) { // the same provider, but its document does not fit
			cfg.IDTokenAlg = "EdDSA"
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.doc = claims{"id_token_signing_alg_values_supported": []string{"RS256"}}
			c := p.client()
			p.mustSignIn(c)
			_ = rp.New(p.config(edit), c).Discover(t.Context())
			if n := len(p.requests(pathDiscovery)) + len(p.requests("/other"+pathDiscovery)); n != 2 {
				t.Errorf("%d requests for metadata", n)
			}
		})
	}
}

// Without discovery, only the keys are taken over.
func TestKeysOfAClientAfterAnother(t *testing.T) {
	p := newProvider(t)
	c := p.client(p.plainEndpoints)
	p.mustSignIn(c)
	p.mustSignIn(rp.New(p.config(p.plainEndpoints), c))
	if n := len(p.requests(pathKeys)); n != 1 {
		t.Errorf("%d requests for keys", n)
	}
	p.mustSignIn(rp.New(p.config(p.plain), p.client(p.plain)))
}

// The caller validates Config, so that users never see this error.
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
