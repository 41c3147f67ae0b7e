package rp_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/rp"
)

// wantJoined checks that err joins errors of ProviderMisconfigured with these IDs.
func wantJoined(t *testing.T, err error, ids ...string) []*rp.Error {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %T (%v), want %v", err, err, ids)
	}
	list := joined.Unwrap()
	if len(list) != len(ids) {
		t.Fatalf("got %v, want %v", err, ids)
	}
	var all []*rp.Error
	for i, id := range ids {
		all = append(all, wantError(t, list[i], rp.ProviderMisconfigured, id))
	}
	return all
}

// discoveries checks how many requests for metadata there have been.
func (p *provider) discoveries(want int) {
	p.t.Helper()
	if got := len(p.requests(pathDiscovery)); got != want {
		p.t.Errorf("%d requests for metadata, want %d", got, want)
	}
}

func TestMetadataIsFetchedOnceForAll(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, _, err := c.AuthorizationURL(t.Context(), theRequest(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	p.discoveries(1)
}

// A sign-in that finds no cached metadata just before it arrives does not fetch it again.
func TestMetadataThatArrivesBetweenLookingAndAsking(t *testing.T) {
	p := newProvider(t)
	var c *rp.Client
	first := true
	c = p.client(func(cfg *rp.Config) {
		cfg.Now = func() time.Time {
			if first { // the cache has been read
				first = false
				if err := c.Discover(t.Context()); err != nil {
					t.Error(err)
				}
			}
			return p.clock.Now()
		}
	})
	if err := c.Discover(t.Context()); err != nil {
		t.Error(err)
	}
	p.discoveries(1)
}

// A sign-in that stops waiting does not cancel the request that others wait for.
func TestMetadataArrivesAfterTheFirstStopsWaiting(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	asked, release := make(chan struct{}), make(chan struct{})
	p.on(pathDiscovery, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		writeJSON(w, p.document())
	})
	gaveUp := errors.New("the person has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		err := c.Discover(ctx)
		if e := wantError(t, err, rp.ProviderUnavailable, "http.unusable"); !errors.Is(e, gaveUp) || e.Op != "discovery" {
			t.Errorf("got %+v", e)
		}
		close(release)
	})
	<-asked
	cancel(gaveUp)
	group.Wait()
	if err := c.Discover(t.Context()); err != nil {
		t.Error(err)
	}
	p.discoveries(1)
}

func TestMetadataIsKeptForADay(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	before := p.authorize(c, nil).String()
	p.clock.add(24*time.Hour - 1)
	p.authorize(c, nil)
	p.discoveries(1)

	// Then it is fetched again, while sign-ins continue with the old metadata.
	asked, release := make(chan struct{}), make(chan struct{})
	p.on(pathDiscovery, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		writeJSON(w, edit(p.document(), map[string]any{"authorization_endpoint": p.URL + "/newer"}))
	})
	p.clock.add(1)
	for range 3 {
		if got := p.authorize(c, nil).String(); got != before {
			t.Errorf("got %s", got)
		}
	}
	<-asked
	p.authorize(c, nil)
	close(release)
	until(t, func() bool {
		location, _, err := c.AuthorizationURL(t.Context(), theRequest(), nil)
		return err == nil && strings.HasPrefix(location, p.URL+"/newer?")
	})
	p.discoveries(2)
	p.clock.add(24*time.Hour - 1)
	if err := c.Discover(t.Context()); err != nil {
		t.Error(err)
	}
	p.discoveries(2)
}

// A failure is returned from memory for one second, then for two, four and five.
func TestDiscoveryThatFails(t *testing.T) {
	p := newProvider(t)
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", ""))
	c := p.client()
	for i, wait := range []time.Duration{1, 2, 4, 5, 5, 5} {
		for range 2 {
			wantError(t, c.Discover(t.Context()), rp.ProviderUnavailable, "http.status")
			p.discoveries(i + 1)
			p.clock.add(wait*time.Second/2 - 1)
		}
		wantError(t, c.Discover(t.Context()), rp.ProviderUnavailable, "http.status")
		p.discoveries(i + 1)
		p.clock.add(2)
	}
	p.on(pathDiscovery, nil)
	if err := c.Discover(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(p.warnings()); n != 0 {
		t.Errorf("%d warnings about failures that the requests returned", n)
	}

	// A success resets the backoff.
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", ""))
	p.clock.add(24 * time.Hour)
	for i, wait := range []time.Duration{1, 2, 4} {
		until(t, func() bool {
			if err := c.Discover(t.Context()); err != nil {
				t.Fatal(err)
			}
			return len(p.warnings()) == i+1
		})
		p.clock.add(wait*time.Second - 1)
		_ = c.Discover(t.Context())
		p.discoveries(8 + i)
		p.clock.add(1)
	}
}

// Cached metadata stays in use during an outage, and if something else responds in the provider's
// place. Config.Warn reports it.
func TestMetadataOutlivesAnOutage(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	before := p.authorize(c, nil).String()
	p.clock.add(24 * time.Hour)
	for i, answer := range []http.HandlerFunc{
		answering(http.StatusServiceUnavailable, "text/plain", ""),
		answering(http.StatusOK, "text/html", "<h1>We are moving</h1>"),
		answering(http.StatusOK, "application/json", `{"issuer":"https://evil.example"}`),
		answering(http.StatusOK, "application/json", `{"issuer":"`+p.URL+`"}`),
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		p.on(pathDiscovery, answer)
		until(t, func() bool {
			if got := p.authorize(c, nil).String(); got != before {
				t.Errorf("got %s", got)
			}
			return len(p.warnings()) == i+1
		})
		p.mustSignIn(c)
		p.clock.add(5 * time.Second)
	}
	for _, w := range p.warnings() {
		if w.id != "discovery.not_renewed" || w.msg == "" || w.err == nil {
			t.Errorf("got %+v", w)
		}
	}
	wantError(t, p.warnings()[0].err, rp.ProviderUnavailable, "http.status")
	wantError(t, p.warnings()[2].err, rp.ProviderMisconfigured, "discovery.issuer_mismatch")
}

func TestMetadataWhenTheClockIsPutBack(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	if err := c.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.clock.add(-time.Second) // it was fetched "later", so its age is unknown
	until(t, func() bool { _ = c.Discover(t.Context()); return len(p.requests(pathDiscovery)) == 2 })

	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", ""))
	failing := p.client()
	for i := range 3 {
		wantError(t, failing.Discover(t.Context()), rp.ProviderUnavailable, "http.status")
		p.discoveries(3 + i)
		p.clock.add(-time.Hour) // otherwise the failure would last for an hour
	}
}

// The request is made on a separate goroutine, where a panic would end the process.
func TestPanicOfTheTransportWhileMetadataIsFetched(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *rp.Config) {
		cfg.HTTP = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("transport") })}
	})
	wantError(t, c.Discover(t.Context()), rp.ProviderUnavailable, "http.unusable")
}

func TestDocumentsThatAreNone(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		id     string
	}{
		"nothing there":   {answering(http.StatusNotFound, "text/html", "404"), "http.not_found"},
		"another status":  {answering(http.StatusAccepted, "application/json", "{}"), "http.status"},
		"a page":          {answering(http.StatusOK, "text/html", "<html>"), "http.media_type"},
		"no media type":   {answering(http.StatusOK, "", "{}"), "http.media_type"},
		"a redirect":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "http.redirect"},
		"no JSON":         {answering(http.StatusOK, "application/json", "{"), "http.unusable"},
		"a list":          {answering(http.StatusOK, "application/json", "[]"), "http.unusable"},
		"two issuers":     {answering(http.StatusOK, "application/json", `{"issuer":"a","issuer":"b"}`), "http.unusable"},
		"over a megabyte": {answering(http.StatusOK, "application/json", `{"x":"`+strings.Repeat("x", 1<<20)+`"}`), "http.too_large"},
		"a broken answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "http.network"},
		"packed otherwise": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			writeJSON(w, "x")
		}, "http.unusable"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.on(pathDiscovery, test.answer)
			e := wantError(t, p.client().Discover(t.Context()), rp.ProviderUnavailable, test.id)
			if e.Provider != "corp" || e.Op != "discovery" || e.RetryAfter == 0 {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// Discovery 1.0, 4.1: a final slash of the issuer is removed before the path is
// appended.
func TestAddressOfTheMetadata(t *testing.T) {
	for issuer, path := range map[string]string{
		"": pathDiscovery, "/": pathDiscovery, "/tenant": "/tenant" + pathDiscovery, "/tenant/": "/tenant" + pathDiscovery,
	} {
		p := newProvider(t)
		p.doc = map[string]any{"issuer": p.URL + issuer}
		p.on(path, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.document()) })
		if err := p.client(func(cfg *rp.Config) { cfg.Issuer += issuer }).Discover(t.Context()); err != nil {
			t.Errorf("%q: %v", issuer, err)
		}
		if n := len(p.requests(path)); n != 1 {
			t.Errorf("%q: %d requests for %s", issuer, n, path)
		}
	}
}

// TestAdviceAboutAuthMethods: a client with a secret must not be told to use "none".
func TestAdviceAboutAuthMethods(t *testing.T) {
	p := newProvider(t)
	for _, offered := range []string{"none", "private_key_jwt"} {
		p.doc = map[string]any{"token_endpoint_auth_methods_supported": []string{offered}}
		e, ok := errors.AsType[*rp.Error](p.client().Discover(t.Context()))
		if !ok || e.ID != "discovery.auth_method" {
			t.Fatalf("%s: %v", offered, e)
		}
		if !strings.Contains(e.Fix, `AuthMethod "none"`) || !strings.Contains(e.Fix, "client_secret_basic") {
			t.Errorf("%s: the fix is %s", offered, e.Fix)
		}
	}
}

// TestAdviceWhereNoMetadataIs: after a fix, the new Issuer may have no metadata.
func TestAdviceWhereNoMetadataIs(t *testing.T) {
	p := newProvider(t)
	p.on(pathDiscovery, http.NotFound)
	if e := wantError(t, p.client().Discover(t.Context()), rp.ProviderUnavailable, "http.not_found"); !strings.Contains(e.Fix, rp.WellKnown) || !strings.Contains(e.Fix, "JWKSURL") {
		t.Errorf("the fix is %s", e.Fix)
	}
}

// Discovery 1.0, 4.3: the issuer in the document is the one from which it was fetched.
func TestIssuerOfTheMetadata(t *testing.T) {
	p := newProvider(t)
	fixes := map[string]bool{}
	for _, test := range []struct {
		name   string
		issuer any
		id     string
	}{
		{"another host", "https://evil.example", "discovery.issuer_mismatch"},
		{"a slash", p.URL + "/", "discovery.issuer_mismatch"},
		{"a path", p.URL + "/tenant", "discovery.issuer_mismatch"},
		{"a template", p.URL + "/{tenantid}", "discovery.issuer_mismatch"},
		{"missing", absent, "discovery.issuer_missing"},
		{"empty", "", "discovery.issuer_missing"},
		{"not text", 1, "discovery.issuer_missing"},
		{"no address", "http://[", "discovery.issuer_mismatch"},
		{"in capitals", strings.ToUpper(p.URL), "discovery.issuer_mismatch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.doc = map[string]any{"issuer": test.issuer, "token_endpoint": absent} // which is no longer read
			e := wantError(t, p.client().Discover(t.Context()), rp.ProviderMisconfigured, test.id)
			if e.Provider != "corp" || e.Op != "discovery" || e.Fix == "" {
				t.Errorf("got %+v", e)
			}
			fixes[e.Fix] = true
		})
	}
	if len(fixes) < 7 { // each way in which issuers differ has a different fix
		t.Errorf("only %d fixes", len(fixes))
	}
	p.doc = map[string]any{"issuer": "https://evil.example/" + strings.Repeat("x", 10_000)}
	if e := wantError(t, p.client().Discover(t.Context()), rp.ProviderMisconfigured, "discovery.issuer_mismatch"); len(e.Error()) > 1500 {
		t.Errorf("%d bytes", len(e.Error()))
	}
}

// With TokenIssuer, the document may have another issuer, but it must not change.
func TestIssuerOfTheMetadataWithTokenIssuer(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"issuer": "https://login.example/{tenantid}"}
	c := p.client(func(cfg *rp.Config) {
		cfg.TokenIssuer = func(map[string]any) (string, error) { return p.URL, nil }
	})
	p.mustSignIn(c)
	p.doc["issuer"] = "https://evil.example"
	p.clock.add(24 * time.Hour)
	until(t, func() bool { _ = c.Discover(t.Context()); return len(p.warnings()) == 1 })
	wantError(t, p.warnings()[0].err, rp.ProviderMisconfigured, "discovery.issuer_mismatch")
	p.mustSignIn(c)

	p.doc["issuer"] = absent
	wantError(t, p.client(func(cfg *rp.Config) {
		cfg.TokenIssuer = func(map[string]any) (string, error) { return p.URL, nil }
	}).Discover(t.Context()), rp.ProviderMisconfigured, "discovery.issuer_missing")
}

// TestAdviceAboutIssuers: the fix depends on how the issuers differ. It must not lead to another
// error whose fix leads back.
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
		{"https://localhost:8443/x", "http://localhost:8080/x", []string{"--proxy-headers", "--hostname=https://localhost:8443"}, "set Issuer"},
		{"https://login.example/x", "http://login.example/y", []string{`set Issuer to "http://login.example/y"`, "EndSessionURL"}, "proxy"},
		{"http://localhost/x", "https://localhost/x", []string{`set Issuer to "https://localhost/x"`, "trust"}, "EndSessionURL"},
		{"http://login.example/x", "http://keycloak:8080/x", []string{`set Issuer to "http://keycloak:8080/x"`, "EndSessionURL"}, "proxy"},
		{"https://login.example", "https://login.example/", []string{`set Issuer to "https://login.example/"`}, "EndSessionURL"},
		{"https://login.example/oidc", "https://login.example", []string{`set Issuer to "https://login.example"`, "EndSessionURL", "Logout.EndSessionURL"}, ""},
		{"https://login.example", "https://login.example/op", []string{`set Issuer to "https://login.example/op"`, "EndSessionURL", "JWKSURL"}, ""},
		{"https://keycloak.internal/realms/x", "https://login.example/realms/x", []string{`set Issuer to "https://login.example/realms/x"`, "EndSessionURL", "Logout.EndSessionURL"}, ""},
		{"https://login.example/{tenantid}/v2.0", "https://login.example/common/v2.0", nil, ""},
		{"https://login.example/t/v2.0", "https://login.example/{tenantid}/v2.0", []string{"tenant ID"}, "EndSessionURL"},
		{"https://login.example", "login.example", []string{"URL"}, "set Issuer"},
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

		// The same for an ID token.
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

// All errors in a document are reported at once.
func TestMetadataWithSeveralMistakes(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{
		"authorization_endpoint": absent, "token_endpoint": 1, "jwks_uri": nil, "userinfo_endpoint": "ftp://idp.example/", "end_session_endpoint": []string{},
		"id_token_signing_alg_values_supported": []string{"none"}, "token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
	}
	all := wantJoined(t, p.client().Discover(t.Context()),
		"discovery.endpoint_missing", "discovery.endpoint_missing", "discovery.endpoint_missing", "discovery.endpoint_invalid",
		"discovery.algorithms", "discovery.auth_method")
	for i, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "none", "private_key_jwt"} {
		if !strings.Contains(all[i].Reason, name) || all[i].Fix == "" || all[i].Op != "discovery" {
			t.Errorf("got %+v, which does not name %s", all[i], name)
		}
	}
	// They are remembered like a single failure.
	_ = p.client().Discover(t.Context())
}

func TestMetadataWithoutWhatIsOptional(t *testing.T) {
	p := newProvider(t)
	for _, v := range []any{absent, nil} {
		p.doc = map[string]any{"userinfo_endpoint": v, "end_session_endpoint": v, "token_endpoint_auth_methods_supported": v, "id_token_signing_alg_values_supported": v}
		c := p.client()
		p.mustSignIn(c)
		if got := c.EndSessionURL(t.Context(), "", "s", "u"); got != "" {
			t.Errorf("got %q", got)
		}
	}
}

var malformedEndpoints = []any{"", "http://idp.example/x", "/relative", "javascript:alert(1)", "https://", "https://user@idp.example/", "https://idp.example/#f", 7, []string{}, map[string]any{}, true}

// TestUnusedEndpoints: an invalid endpoint that sign-ins do not need is treated as absent, with a
// warning in the log and in Diagnose.
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
		amend  bool // the fix asks for a change
	}{{"end_session_endpoint", func(*rp.Config) {}, true}, {"end_session_endpoint", local, false}, {"end_session_endpoint", elsewhere, false}, {"userinfo_endpoint", never, false}, {"userinfo_endpoint", profile, false},
		{"revocation_endpoint", local, true}, {"introspection_endpoint", local, true}} {
		for _, address := range malformedEndpoints {
			p.doc, p.warned = map[string]any{tt.name: address}, nil
			c := p.client(tt.change)
			p.mustSignIn(c)
			if w := p.warnings(); len(w) != 1 {
				t.Errorf("%s %q: warned of %v", tt.name, address, w)
			} else if e := w[0].err.(*rp.Error); w[0].id != "discovery.endpoint_ignored" || e.ID != "discovery.endpoint_invalid" && e.ID != "discovery.endpoint_missing" || e.Reason == "" || strings.HasPrefix(e.Fix, "ignore") == tt.amend {
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

// TestUsedEndpoints: endpoints that receive secrets or browsers must be valid.
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

// TestConfiguredEndpointsWin: an invalid endpoint in the metadata does not matter if it is
// configured.
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

// Endpoints are https. The metadata of an http issuer may have http addresses on loopback, and in
// development at the issuer's host.
func TestSchemesOfEndpoints(t *testing.T) {
	for _, test := range []struct {
		name, issuer, endpoint string
		development            bool
		ok                     bool
	}{
		{"https", "https://idp.example", "https://idp.example/t", false, true},
		{"https elsewhere", "https://idp.example", "https://api.example/t", false, true},
		{"http", "https://idp.example", "http://idp.example/t", false, false},
		{"http in development", "https://idp.example", "http://idp.example/t", true, false},
		{"http on loopback", "https://idp.example", "http://127.0.0.1/t", true, false},
		{"both on loopback", "http://127.0.0.1:8080", "http://127.0.0.1:8080/t", false, true},
		{"both on loopback, another port", "http://127.0.0.1:8080", "http://localhost:9090/t", false, true},
		{"from loopback to the outside", "http://127.0.0.1:8080", "http://idp.example/t", true, false},
		{"from loopback to https", "http://127.0.0.1:8080", "https://idp.example/t", false, true},
		{"a host in development", "http://idp:8080", "http://idp:8080/t", true, true},
		{"another port in development", "http://idp:8080", "http://idp:9090/t", true, false},
		{"another host in development", "http://idp:8080", "http://other:8080/t", true, false},
		{"a host, not in development", "http://idp:8080", "http://idp:8080/t", false, false},
		{"a user name", "https://idp.example", "https://user@idp.example/t", false, false},
		{"a fragment", "https://idp.example", "https://idp.example/t#x", false, false},
		{"dot segments", "https://idp.example", "https://idp.example/a/../t", false, false},
		{"metadata of a cloud", "https://idp.example", "https://169.254.169.254/t", false, false},
		{"another scheme", "https://idp.example", "javascript:alert(1)", false, false},
		{"no host", "https://idp.example", "https:///t", false, false},
		{"relative", "https://idp.example", "/t", false, false},
		{"no address", "https://idp.example", "http://[", false, false},
		{"empty", "https://idp.example", "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"} {
				p := newProvider(t)
				p.doc = map[string]any{"issuer": test.issuer}
				for _, endpoint := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"} {
					p.doc[endpoint] = "https://idp.example/"
				}
				p.doc[name] = test.endpoint
				c := p.client(func(cfg *rp.Config) { cfg.Issuer, cfg.Development = test.issuer, test.development }, p.everywhere)
				err := c.Discover(t.Context())
				if name == "end_session_endpoint" && !test.ok { // sign-ins do not need it
					if got := c.EndSessionURL(t.Context(), "", "s", "u"); err != nil || got != "" || len(p.warnings()) != 1 {
						t.Errorf("%s: %v, %q, %d warnings", name, err, got, len(p.warnings()))
					}
				} else if !test.ok {
					wantJoined(t, err, "discovery.endpoint_invalid")
				} else if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// everywhere makes a Client resolve every host name to the provider.
func (p *provider) everywhere(cfg *rp.Config) {
	here := must(url.Parse(p.URL))
	next := p.Client().Transport
	cfg.HTTP = fetch.Client(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host = here.Scheme, here.Host
		return next.RoundTrip(r)
	})}, "rp test")
}

// Everything also works over https with real certificates.
func TestProviderOverHTTPS(t *testing.T) {
	p := startProvider(t, (*httptest.Server).StartTLS)
	if id := p.mustSignIn(p.client(func(cfg *rp.Config) { cfg.Userinfo = "always" })); id.Claims["name"] == nil {
		t.Errorf("got %+v", id)
	}
}

// The metadata restricts the accepted algorithms, and never adds any.
func TestAlgorithmsOfTheMetadata(t *testing.T) {
	hs256 := func(cfg *rp.Config) { cfg.Quirks.HS256 = true }
	only := func(alg string) func(*rp.Config) { return func(cfg *rp.Config) { cfg.IDTokenAlg = alg } }
	secret := &signer{"", "HS256", []byte(theSecret)}
	for _, test := range []struct {
		name    string
		offered any
		edit    func(*rp.Config)
		signer  *signer
		id      string // of the sign-in's error, or of the discovery's
	}{
		{"not said", absent, nil, rsaKey(), ""},
		{"an empty list", []string{}, nil, ecKey(), ""},
		{"not a list", "ES256", nil, rsaKey(), ""},
		{"numbers", []int{1}, nil, rsaKey(), ""},
		{"among others", []string{"HS256", "none", "RS256"}, nil, rsaKey(), ""},
		{"not among them", []string{"ES256"}, nil, rsaKey(), "jwt.algorithm"},
		{"of the same kind", []string{"RS512"}, nil, rsaKey(), "jwt.algorithm"},
		{"offered, but not one of ours", []string{"RS256", "HS256"}, nil, secret, "jwt.algorithm"},
		{"none alone", []string{"none"}, nil, rsaKey(), "discovery.algorithms"},
		{"HS256 alone", []string{"HS256", "none"}, nil, secret, "discovery.algorithms"},
		{"an unknown one", []string{"ES256K"}, nil, rsaKey(), "discovery.algorithms"},
		{"HS256 alone, which is allowed", []string{"HS256"}, hs256, secret, ""},
		{"HS256 alone, and the token is not", []string{"HS256"}, hs256, rsaKey(), "jwt.algorithm"},
		{"the one registered", []string{"RS256", "ES256"}, only("ES256"), ecKey(), ""},
		{"another than the one registered", []string{"RS256", "ES256"}, only("ES256"), rsaKey(), "jwt.algorithm"},
		{"the one registered is not offered", []string{"RS256"}, only("ES256"), ecKey(), "discovery.id_token_alg"},
		{"the one registered, nothing said", absent, only("ES256"), rsaKey(), "jwt.algorithm"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.doc = map[string]any{"id_token_signing_alg_values_supported": test.offered}
			p.signer = test.signer
			p.keys = []any{rsaKey().jwk(), ecKey().jwk()}
			var edits []func(*rp.Config)
			if test.edit != nil {
				edits = append(edits, test.edit)
			}
			c := p.client(edits...)
			if strings.HasPrefix(test.id, "discovery.") {
				wantJoined(t, c.Discover(t.Context()), test.id)
				return
			}
			_, err := p.signIn(c)
			if test.id != "" {
				wantError(t, err, rp.IDTokenInvalid, test.id)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// The fix for a token with the wrong algorithm is different if the algorithm was configured.
func TestFixForAnAlgorithm(t *testing.T) {
	fix := func(edits ...func(*rp.Config)) string {
		p := newProvider(t)
		p.signer = newEC("p384", "ES384", elliptic.P384())
		p.doc = map[string]any{"id_token_signing_alg_values_supported": []string{"RS256"}}
		_, err := p.signIn(p.client(edits...))
		return wantError(t, err, rp.IDTokenInvalid, "jwt.algorithm").Fix
	}
	if fix() == fix(func(cfg *rp.Config) { cfg.IDTokenAlg = "RS256" }) {
		t.Error("the fix is the same")
	}
}

// Methods of client authentication are never tried out.
func TestAuthMethodOfTheMetadata(t *testing.T) {
	for _, test := range []struct {
		name    string
		offered any
		method  string // configured
		basic   bool
		id      string
	}{
		{"not said", absent, "", true, ""},
		{"an empty list", []string{}, "", true, ""},
		{"not a list", "client_secret_post", "", true, ""},
		{"basic", []string{"private_key_jwt", "client_secret_basic"}, "", true, ""},
		{"both", []string{"client_secret_post", "client_secret_basic"}, "", true, ""},
		{"post", []string{"private_key_jwt", "client_secret_post"}, "", false, ""},
		{"neither", []string{"private_key_jwt"}, "", false, "discovery.auth_method"},
		{"neither, but one is configured", []string{"private_key_jwt"}, "client_secret_post", false, ""},
		{"post, but basic is configured", []string{"client_secret_post"}, "client_secret_basic", true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.doc = map[string]any{"token_endpoint_auth_methods_supported": test.offered}
			c := p.client(func(cfg *rp.Config) { cfg.AuthMethod = test.method })
			if test.id != "" {
				wantJoined(t, c.Discover(t.Context()), test.id)
			} else if got := p.tokenRequest(c); (got.authorization != "") != test.basic || got.form.Has("client_secret") == test.basic {
				t.Errorf("got %+v", got)
			}
		})
	}
}
