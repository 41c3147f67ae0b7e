package rp_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

// full is metadata that lists everything that ginauth uses.
func full() map[string]any {
	return map[string]any{
		"response_types_supported":                       []string{"code", "id_token"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"scopes_supported":                               []string{"openid", "email", "profile"},
		"code_challenge_methods_supported":               []string{"plain", "S256"},
		"id_token_signing_alg_values_supported":          []string{"RS256", "ES256", "HS256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_post", "client_secret_basic"},
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true,
		"frontchannel_logout_supported":                  false,
		"claims_supported":                               []string{"sub"},
	}
}

// diagnose examines the provider in development, where loopback is normal.
func (p *provider) diagnose(edits ...func(*rp.Config)) *rp.Report {
	p.t.Helper()
	development := func(cfg *rp.Config) { cfg.Development = true }
	return p.client(append([]func(*rp.Config){development}, edits...)...).Diagnose(p.t.Context())
}

// ids returns the IDs of findings, after checks like those of wantError.
func ids(t *testing.T, found []*rp.Error) (ids []string) {
	t.Helper()
	for _, e := range found {
		wantError(t, e, e.Code, e.ID)
		if e.Provider != "corp" || e.Op == "" {
			t.Errorf("got %+v", e)
		}
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

// wantFindings checks which problems and warnings a report has.
func wantFindings(t *testing.T, r *rp.Report, problems, warnings string) {
	t.Helper()
	if got := strings.Join(ids(t, r.Problems), " "); got != problems {
		t.Errorf("the problems are %q, want %q", got, problems)
	}
	if got := strings.Join(ids(t, r.Warnings), " "); got != warnings {
		t.Errorf("the warnings are %q, want %q", got, warnings)
	}
}

func TestDiagnose(t *testing.T) {
	p := newProvider(t)
	p.doc = full()
	p.doc["authorization_endpoint"] = p.URL + pathAuthorize + "?key=s3cret"
	p.doc["token_endpoint"] = p.URL + pathToken + "?key=s3cret"
	p.keys = []any{rsaKey().jwk(), otherRSA().jwk(), ecKey().jwk(), edKey().jwk(), map[string]any{"kty": "x"}}
	r := p.diagnose()
	wantFindings(t, r, "", "diagnose.key_unusable")
	if want := map[string]string{
		"authorization_endpoint": p.URL + pathAuthorize, "token_endpoint": p.URL + pathToken, "userinfo_endpoint": p.URL + pathUserinfo,
		"end_session_endpoint": p.URL + pathEndSession, "jwks_uri": p.URL + pathKeys,
	}; !maps.Equal(r.Endpoints, want) {
		t.Errorf("the endpoints are %v, want %v", r.Endpoints, want)
	}
	want := map[string][]string{"authorization_response_iss_parameter_supported": {"true"}, "backchannel_logout_supported": {"true"}, "frontchannel_logout_supported": {"false"}}
	for name, v := range full() {
		if list, ok := v.([]string); ok && name != "claims_supported" {
			want[name] = list
		}
	}
	if !reflect.DeepEqual(r.Offered, want) {
		t.Errorf("Offered is %v, want %v", r.Offered, want)
	}
	if want := []string{"RS256", "ES256"}; !slices.Equal(r.Algorithms, want) {
		t.Errorf("the algorithms are %v", r.Algorithms)
	}
	if want := map[string]int{"RS256": 2, "ES256": 1}; !maps.Equal(r.Keys, want) {
		t.Errorf("the keys are %v", r.Keys)
	}
	if r.AuthMethod != "client_secret_basic" || !r.RequiresIss || !r.Returns {
		t.Errorf("got %+v", r)
	}
	if r.ClockTolerance <= 0 || r.ClockAhead.Abs() > r.ClockTolerance {
		t.Errorf("the clock is %v ahead, +/- %v", r.ClockAhead, r.ClockTolerance)
	}
}

// Diagnose checks whether the endpoints respond. It sends nothing that could be spent or logged.
func TestRequestsOfDiagnose(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"token_endpoint": p.URL + pathToken + "?key=s3cret"}
	p.diagnose()
	for path, method := range map[string]string{pathToken: http.MethodHead, pathUserinfo: http.MethodHead, pathAuthorize: http.MethodOptions} {
		all := p.requests(path)
		if len(all) != 1 || all[0].method != method || all[0].query != "" || all[0].body != "" || all[0].authorization != "" {
			t.Errorf("%s got %+v", path, all)
		}
	}
	if n := len(p.requests(pathKeys)); n != 1 {
		t.Errorf("%d requests for keys", n)
	}
	p.diagnose(func(cfg *rp.Config) { cfg.Userinfo = "never" })
	if n := len(p.requests(pathUserinfo)); n != 1 {
		t.Errorf("%d requests for userinfo that is never used", n)
	}
	p.diagnose(returning(nil, nil))
	if n := len(p.requests(pathUserinfo)); n != 1 {
		t.Errorf("%d requests for userinfo, which Config.Profile replaces", n)
	}
}

// Diagnose neither changes nor uses the cache of sign-ins.
func TestDiagnoseLeavesTheCacheAlone(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.doc = map[string]any{"authorization_endpoint": p.URL + "/newer", "issuer": "https://evil.example"}
	if r := c.Diagnose(t.Context()); len(r.Problems) != 1 {
		t.Errorf("got %v", r.Problems)
	}
	p.authorize(c, nil)
	p.doc = nil
	p.on(pathKeys, answering(503, "text/plain", ""))
	if r := c.Diagnose(t.Context()); len(r.Problems) != 1 || r.Keys != nil {
		t.Errorf("got %v, %v", r.Problems, r.Keys)
	}
	p.mustSignIn(c)

	fresh := p.client()
	p.on(pathKeys, nil)
	before := len(p.requests(pathDiscovery))
	fresh.Diagnose(t.Context())
	p.mustSignIn(fresh)
	p.discoveries(before + 2)
}

func TestFindings(t *testing.T) {
	head := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	const none = "" // no finding
	for _, test := range []struct {
		name               string
		prepare            func(*provider)
		edit               func(*rp.Config)
		problems, warnings string
	}{
		{"nothing said", nil, nil, none, none},
		{"everything said", func(p *provider) { p.doc = full() }, nil, none, none},
		{"no metadata", func(p *provider) { p.on(pathDiscovery, answering(404, "text/html", "")) }, nil, "http.not_found", none},
		{"a page", func(p *provider) { p.on(pathDiscovery, answering(200, "text/html", "")) }, nil, "http.media_type", none},
		{"another issuer, which is not read further", func(p *provider) { p.doc = claims{"issuer": "https://evil.example", "token_endpoint": 1} }, nil, "discovery.issuer_mismatch", none},
		{"several mistakes", func(p *provider) { p.doc = claims{"jwks_uri": absent, "token_endpoint": 1} }, nil, "discovery.endpoint_missing discovery.endpoint_missing", none},

		{"endpoints that do not know HEAD", func(p *provider) {
			p.on(pathToken, head(405))
			p.on(pathUserinfo, head(401))
			p.on(pathAuthorize, head(400))
		}, nil, none, none},
		{"endpoints that redirect", func(p *provider) {
			for _, path := range []string{pathToken, pathUserinfo, pathAuthorize} {
				p.on(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })
			}
		}, nil, none, none},
		{"a token endpoint behind a proxy", func(p *provider) { p.on(pathToken, head(502)) }, nil, "http.status", none},
		{"a userinfo endpoint that is down", func(p *provider) { p.on(pathUserinfo, head(503)) }, nil, "http.status", none},
		{"an endpoint that is slow", func(p *provider) { p.on(pathToken, head(504)) }, nil, "http.status", none},
		{"a token endpoint that hangs up", func(p *provider) {
			p.on(pathToken, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, nil, "http.network", none},
		{"an authorization endpoint that only browsers reach", func(p *provider) { p.on(pathAuthorize, head(503)) }, nil, none, "http.status"},
		{"keys that cannot be had", func(p *provider) { p.on(pathKeys, head(500)) }, nil, "http.status", none},
		{"no keys", func(p *provider) { p.keys = []any{} }, nil, "diagnose.keys", none},
		{"keys of other algorithms", func(p *provider) {
			p.doc = claims{"id_token_signing_alg_values_supported": []string{"ES256"}}
		}, nil, "diagnose.keys", none},
		{"a key that is for something unknown", func(p *provider) {
			p.keys = []any{rsaKey().jwk(), edit(otherRSA().jwk(), map[string]any{"use": "x"}), edit(ecKey().jwk(), map[string]any{"use": "enc"})}
		}, nil, none, "diagnose.key_unusable"},
		{"no keys, and none needed", func(p *provider) { p.keys = []any{} }, func(cfg *rp.Config) { cfg.Quirks.HS256 = true }, none, none},

		{"no PKCE", func(p *provider) { p.doc = claims{"code_challenge_methods_supported": []string{"plain"}} }, nil, none, "diagnose.pkce_not_offered"},
		{"no PKCE, which is known", func(p *provider) { p.doc = claims{"code_challenge_methods_supported": []string{"plain"}} },
			func(cfg *rp.Config) { cfg.Quirks.DisablePKCE = true }, none, none},
		{"PKCE that is not used", func(p *provider) { p.doc = full() }, func(cfg *rp.Config) { cfg.Quirks.DisablePKCE = true }, none, "diagnose.pkce_disabled"},
		{"another authentication", func(p *provider) { p.doc = full() }, func(cfg *rp.Config) { cfg.AuthMethod = "none" }, none, "diagnose.auth_method"},
		{"another response mode", func(p *provider) { p.doc = claims{"response_modes_supported": []string{"fragment"}} }, nil, none, "diagnose.response_mode"},
		{"another flow", func(p *provider) { p.doc = claims{"response_types_supported": []string{"id_token"}} }, nil, none, "diagnose.response_type"},
		{"scopes that are not offered", func(p *provider) { p.doc = claims{"scopes_supported": []string{"openid"}} },
			func(cfg *rp.Config) { cfg.Scopes = []string{"openid", "a", "b"} }, none, "diagnose.scope diagnose.scope"},
		{"loopback in production", nil, func(cfg *rp.Config) { cfg.Development = false }, none, "diagnose.loopback"},

		{"a clock that is nearly right", func(p *provider) { p.ahead = 9 * time.Second }, nil, none, none},
		{"a clock that is off", func(p *provider) { p.ahead = 30 * time.Second }, nil, none, "diagnose.clock"},
		{"a clock that is behind", func(p *provider) { p.ahead = -30 * time.Second }, nil, none, "diagnose.clock"},
		{"a clock by which tokens are rejected", func(p *provider) { p.ahead = 5 * time.Minute }, nil, "diagnose.clock", none},
		{"one that is behind by as much", func(p *provider) { p.ahead = -5 * time.Minute }, nil, "diagnose.clock", none},

		{"a secret that cannot be had", nil, func(cfg *rp.Config) {
			cfg.ClientSecretFunc = func(context.Context) (string, error) { return "", errors.New("sealed") }
		}, "token.client_secret_func", none},
		{"a secret that panics", nil, func(cfg *rp.Config) {
			cfg.ClientSecretFunc = func(context.Context) (string, error) { panic("sealed") }
		}, "token.client_secret_func", none},
		{"a secret that can be had", nil, func(cfg *rp.Config) {
			cfg.ClientSecretFunc = func(context.Context) (string, error) { return theSecret, nil }
		}, none, none},
		{"a secret, and no metadata", func(p *provider) { p.on(pathDiscovery, answering(404, "text/html", "")) }, func(cfg *rp.Config) {
			cfg.ClientSecretFunc = func(context.Context) (string, error) { return "", nil }
		}, "http.not_found token.client_secret_func", none},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			if test.prepare != nil {
				test.prepare(p)
			}
			var edits []func(*rp.Config)
			if test.edit != nil {
				edits = append(edits, test.edit)
			}
			wantFindings(t, p.diagnose(edits...), test.problems, test.warnings)
		})
	}
}

// TestDiagnoseNamesUnusableKeys: encryption keys are not reported.
func TestDiagnoseNamesUnusableKeys(t *testing.T) {
	p := newProvider(t)
	p.keys = []any{rsaKey().jwk(), edit(otherRSA().jwk(), map[string]any{"use": "enc"}), newRSA("weak", 1024).jwk()}
	r := p.client().Diagnose(t.Context())
	var about []string
	for _, e := range r.Warnings {
		if e.ID == "diagnose.key_unusable" {
			about = append(about, e.Reason)
		}
	}
	if len(about) != 1 || !strings.Contains(about[0], `"weak"`) || !strings.Contains(about[0], "1024 bits") {
		t.Errorf("Diagnose warns of %q", about)
	}
	if r.Keys["RS256"] != 1 {
		t.Errorf("usable keys: %v", r.Keys)
	}
	p.keys = p.keys[2:]
	r = p.client().Diagnose(t.Context())
	if len(r.Problems) != 1 || r.Problems[0].ID != "diagnose.keys" || r.Problems[0].Cause == nil || !strings.Contains(r.Problems[0].Cause.Error(), "1024 bits") {
		t.Errorf("with only that key: %v", r.Problems)
	}
}

// A cache in between keeps the old Date, and says in Age how old it is.
func TestClockBehindACache(t *testing.T) {
	p := newProvider(t)
	for _, path := range []string{pathDiscovery, pathKeys, pathToken, pathUserinfo, pathAuthorize} {
		p.on(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", p.clock.Now().Add(-time.Hour).Format(http.TimeFormat))
			w.Header().Set("Age", "3600")
			switch path {
			case pathDiscovery:
				writeJSON(w, p.document())
			case pathKeys:
				writeJSON(w, map[string]any{"keys": p.published()})
			}
		})
	}
	wantFindings(t, p.diagnose(), "", "")
}

func TestClockThatIsNotKnown(t *testing.T) {
	p := newProvider(t)
	for _, path := range []string{pathDiscovery, pathKeys, pathToken, pathUserinfo, pathAuthorize} {
		p.on(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = nil
			switch path {
			case pathDiscovery:
				writeJSON(w, p.document())
			case pathKeys:
				writeJSON(w, map[string]any{"keys": p.published()})
			}
		})
	}
	r := p.diagnose()
	wantFindings(t, r, "", "")
	if r.ClockTolerance != 0 {
		t.Errorf("got %v, %v", r.ClockAhead, r.ClockTolerance)
	}
}

func TestDiagnoseOfPlainOAuth(t *testing.T) {
	p := newProvider(t)
	p.ahead = time.Hour // which does not matter
	r := p.diagnose(p.plain)
	wantFindings(t, r, "", "")
	if r.Keys != nil || r.Algorithms != nil || r.Offered != nil || len(r.Endpoints) != 3 || r.Returns {
		t.Errorf("got %+v", r)
	}
	p.discoveries(0)
	if n := len(p.requests(pathKeys)); n != 0 {
		t.Errorf("%d requests for keys", n)
	}
}

func TestDiagnoseOfAProviderThatIsDown(t *testing.T) {
	p := newProvider(t)
	p.Close()
	r := p.diagnose(func(cfg *rp.Config) { cfg.AuthMethod = "client_secret_post" })
	wantFindings(t, r, "http.network", "")
	if r.Endpoints != nil || r.Offered != nil || r.Algorithms != nil || r.AuthMethod != "client_secret_post" || !r.Returns {
		t.Errorf("got %+v", r)
	}
}

// Returns says whether a sign-out at the provider leads back to the application.
func TestReturns(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*rp.Config)
		want bool
	}{
		{"discovered", func(*rp.Config) {}, true},
		{"local", func(cfg *rp.Config) { cfg.LogoutLocal = true }, false},
		{"a template with the address", func(cfg *rp.Config) { cfg.LogoutURL = "https://idp.example/?r={post_logout_redirect_uri}" }, true},
		{"a template without", func(cfg *rp.Config) { cfg.LogoutURL = "https://idp.example/" }, false},
	} {
		if got := newProvider(t).diagnose(test.edit).Returns; got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	p := newProvider(t)
	p.doc = claims{"end_session_endpoint": absent}
	if p.diagnose().Returns {
		t.Error("Returns is true without an end-session endpoint")
	}
}

// Texts for printing are clipped and have no control characters.
func TestHostileMetadata(t *testing.T) {
	p := newProvider(t)
	var scopes []string
	for i := range 100 {
		scopes = append(scopes, fmt.Sprint("\x1b[31m", i, strings.Repeat("x", 1000)))
	}
	p.doc = claims{"scopes_supported": scopes, "authorization_endpoint": p.URL + "/%1b%0a" + strings.Repeat("x", 1000)}
	r := p.diagnose(func(cfg *rp.Config) { cfg.Scopes = nil })
	if n := len(r.Offered["scopes_supported"]); n != 50 {
		t.Errorf("%d scopes", n)
	}
	for _, text := range append(r.Offered["scopes_supported"], r.Endpoints["authorization_endpoint"]) {
		if len(text) > 200 || strings.ContainsAny(text, "\x1b\n") {
			t.Errorf("%d bytes: %.60q", len(text), text)
		}
	}
}

// The wait for a ClientSecretFunc that does not return is limited.
func TestDiagnoseDoesNotWaitForeverForASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := rp.New(rp.Config{Name: "corp", Issuer: "https://idp.example", ClientID: "ginauth", Now: time.Now,
			ClientSecretFunc: func(context.Context) (string, error) { <-release; return theSecret, nil },
			HTTP:             &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no network") })},
		})
		start := time.Now()
		wantFindings(t, c.Diagnose(t.Context()), "http.network token.client_secret_func", "")
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %v", took)
		}
		close(release)
		synctest.Wait()
	})
}

func TestClockText(t *testing.T) {
	const s = time.Second
	texts := map[string]bool{}
	for _, test := range []struct{ ahead, tolerance time.Duration }{{0, 0}, {s, s}, {-s, s}, {90 * s, s}, {-90 * s, s}} {
		text := rp.ClockText(test.ahead, test.tolerance)
		texts[text] = true
		if strings.Contains(text, "1m30s") != (test.ahead.Abs() == 90*s) {
			t.Errorf("%v, %v: %q", test.ahead, test.tolerance, text)
		}
	}
	if len(texts) != 4 { // unknown, the same, ahead, behind
		t.Errorf("got %v", texts)
	}
}
