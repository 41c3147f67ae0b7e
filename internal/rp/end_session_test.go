package rp_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/rp"
)

// OpenID Connect RP-Initiated Logout 1.0, section 2.
func TestEndSessionURL(t *testing.T) {
	p := newProvider(t)
	const home = "https://app.example/logout/return?x=1&y"
	for _, test := range []struct {
		name, endpoint, hint string
		want                 url.Values
	}{
		{"with a hint", "", "h1nt", url.Values{"client_id": {theClient}, "post_logout_redirect_uri": {home}, "state": {"st&te"}, "id_token_hint": {"h1nt"}}},
		{"without", "", "", url.Values{"client_id": {theClient}, "post_logout_redirect_uri": {home}, "state": {"st&te"}}},
		{"at an endpoint with a query", "?p=b2c_1&state=x", "", url.Values{"client_id": {theClient}, "post_logout_redirect_uri": {home}, "state": {"st&te"}, "p": {"b2c_1"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.doc = map[string]any{"end_session_endpoint": p.URL + pathEndSession + test.endpoint}
			u, err := url.Parse(p.client().EndSessionURL(t.Context(), test.hint, "st&te", home))
			if err != nil || u.Scheme+"://"+u.Host+u.Path != p.URL+pathEndSession || !reflect.DeepEqual(u.Query(), test.want) {
				t.Errorf("got %v, %v", u, err)
			}
		})
	}
}

// TestHintOfAWithdrawnKey: a provider rejects an ID token whose key it has deleted, so it is not sent
// as a hint.
func TestHintOfAWithdrawnKey(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	hinted := func(hint string) bool {
		t.Helper()
		u, err := url.Parse(c.EndSessionURL(t.Context(), hint, "state", theRedirect))
		if err != nil || u.Query().Get("client_id") != theClient || u.Query().Get("post_logout_redirect_uri") != theRedirect {
			t.Fatalf("signing out at %v, %v", u, err)
		}
		return u.Query().Get("id_token_hint") == hint && hint != ""
	}
	p.mustSignIn(c)
	old := p.idToken()
	if n := len(p.requests(pathKeys)); !hinted(old) || len(p.requests(pathKeys)) != n {
		t.Error("the hint is missing, or the keys are fetched for it at once")
	}

	// A new key is added, while the old one stays published.
	p.signer, p.keys = otherRSA(), []any{otherRSA().jwk(), rsaKey().jwk()}
	p.clock.add(time.Minute)
	if !hinted(old) || !hinted(p.idToken()) {
		t.Error("the hint of a key that is published is left out")
	}
	// The key is published, but ginauth cannot use it.
	p.keys = []any{otherRSA().jwk(), edit(rsaKey().jwk(), map[string]any{"use": "enc"})}
	p.clock.add(time.Minute)
	if !hinted(old) {
		t.Error("the hint of a key that is published is left out")
	}
	p.keys = []any{otherRSA().jwk(), edit(ecKey().jwk(), map[string]any{"use": "enc"})}
	p.clock.add(time.Minute)
	if hinted(old) || !hinted(p.idToken()) {
		t.Error("the hint with the old key is sent, or the hint with the new one is not")
	}
	// Many sign-outs do not flood the provider.
	n := len(p.requests(pathKeys))
	for range 20 {
		hinted(old)
	}
	if got := len(p.requests(pathKeys)); got != n {
		t.Errorf("the keys were fetched %d more times", got-n)
	}
	// Nor do they prevent the next sign-in from fetching its keys.
	p.signer, p.keys = ecKey(), []any{ecKey().jwk()}
	p.mustSignIn(c)
}

// TestHintThatCannotBeJudged: a hint is sent if it is unknown whether the provider accepts it.
func TestHintThatCannotBeJudged(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	for _, hint := range []string{
		"not a token", rsaKey().sign(map[string]any{"alg": "RS256"}, p.idClaims()), rsaKey().sign(map[string]any{"alg": "RS256", "kid": 7}, p.idClaims()),
		rsaKey().signText(`{"alg":`, "{}"),
	} {
		if u, _ := url.Parse(c.EndSessionURL(t.Context(), hint, "state", theRedirect)); u.Query().Get("id_token_hint") != hint {
			t.Errorf("%.40q is missing", hint)
		}
	}
	p.clock.add(time.Minute)
	p.on(pathKeys, answering(http.StatusInternalServerError, "text/plain", "no"))
	hint := otherRSA().sign(map[string]any{"alg": "RS256", "kid": "old"}, p.idClaims())
	if u, _ := url.Parse(c.EndSessionURL(t.Context(), hint, "state", theRedirect)); u.Query().Get("id_token_hint") != hint {
		t.Error("the hint is missing, though the keys could not be fetched")
	}
	plain := p.client(p.plain, func(cfg *rp.Config) { cfg.EndSessionURL = p.URL + pathEndSession })
	if u, _ := url.Parse(plain.EndSessionURL(t.Context(), hint, "state", theRedirect)); u.Query().Get("id_token_hint") != hint {
		t.Error("a provider without keys gets no hint")
	}
}

func TestLogoutURL(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *rp.Config) {
		cfg.LogoutURL = "https://idp.example/v2/logout?client_id={client_id}&returnTo={post_logout_redirect_uri}&s={state}&x={other}"
		cfg.EndSessionURL = p.URL
	})
	want := "https://idp.example/v2/logout?client_id=the+client&returnTo=https%3A%2F%2Fapp.example%2F%3Fx%3D%7Bstate%7D&s=a%26b&x={other}"
	for _, hint := range []string{"", "hint", p.idToken()} { // which has no place there
		if got := c.EndSessionURL(t.Context(), hint, "a&b", "https://app.example/?x={state}"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	p.discoveries(0)
}

func TestSignOutsWithoutAPlaceToGo(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"end_session_endpoint": absent}
	for name, edit := range map[string]func(*rp.Config){
		"no endpoint": func(*rp.Config) {},
		"local": func(cfg *rp.Config) {
			cfg.LogoutLocal, cfg.LogoutURL, cfg.EndSessionURL = true, "https://idp.example/", p.URL
		},
		"plain": p.plain,
	} {
		if got := p.client(edit).EndSessionURL(t.Context(), "", "s", "https://app.example/"); got != "" {
			t.Errorf("%s: got %s", name, got)
		}
	}
	p.discoveries(1)
	if p.client().EndsSessions(t.Context()) {
		t.Error("EndsSessions is true, but the metadata has no end-session endpoint")
	}
	if !p.client(func(cfg *rp.Config) { cfg.EndSessionURL = p.URL + pathEndSession }).EndsSessions(t.Context()) {
		t.Error("EndsSessions is false, but an end-session endpoint is configured")
	}
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", ""))
	if got := p.client().EndSessionURL(t.Context(), "", "s", "https://app.example/"); got != "" {
		t.Errorf("without metadata: got %s", got)
	}
	if p.client().EndsSessions(t.Context()) {
		t.Error("EndsSessions is true without metadata")
	}
	p.on(pathDiscovery, nil)
	c := p.client(p.plain, func(cfg *rp.Config) { cfg.EndSessionURL = "http://[::1" })
	if got := c.EndSessionURL(t.Context(), "", "s", "https://app.example/"); got != "" {
		t.Errorf("with an invalid address: got %s", got)
	}
}

// Before discovery, the provider may have an end-session endpoint.
func TestReturnsOfAClient(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"end_session_endpoint": absent}
	c := p.client()
	if !c.Returns() {
		t.Error("Returns is false before discovery")
	}
	if err := c.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.Returns() {
		t.Error("Returns is true without an endpoint")
	}
	p.discoveries(1)
}

// A sign-out waits at most two seconds for a provider.
func TestSignOutDoesNotWaitLong(t *testing.T) {
	p := newProvider(t)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := rp.New(rp.Config{Name: "corp", Issuer: p.URL, Now: time.Now, HTTP: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			<-release
			return nil, context.Canceled
		})}})
		start := time.Now()
		if got := c.EndSessionURL(t.Context(), "", "s", "https://app.example/"); got != "" || time.Since(start) != 2*time.Second {
			t.Errorf("got %q after %v", got, time.Since(start))
		}
		close(release)
		synctest.Wait()
	})
}

// TestSignOutWhileTheProviderIsDown: if the provider did not respond to the last request, a sign-out
// checks whether it responds again before redirecting the browser there.
func TestSignOutWhileTheProviderIsDown(t *testing.T) {
	for _, template := range []string{"", "https://idp.example/logout?to={post_logout_redirect_uri}"} {
		p := newProvider(t)
		c := p.client(func(cfg *rp.Config) { cfg.LogoutURL = template })
		there := func() bool { return c.EndSessionURL(t.Context(), "", "state", theRedirect) != "" }
		p.mustSignIn(c)
		if n := len(p.requests(pathToken)); !there() || len(p.requests(pathToken)) != n {
			t.Errorf("%q: a responding provider is checked first, or taken for down", template)
		}

		down := answering(http.StatusServiceUnavailable, "text/html", "down")
		p.on(pathToken, down)
		_, err := p.signIn(c)
		wantError(t, err, rp.ProviderUnavailable, "http.status")
		if there() {
			t.Errorf("%q: browsers are sent to a provider that is down", template)
		}
		if c.EndSessionEndpoint(t.Context()) == "" {
			t.Errorf("%q: EndSessionEndpoint does not return the endpoint", template)
		}
		// Once the provider is up again, a sign-out notices it without a sign-in.
		p.on(pathToken, nil)
		if !there() {
			t.Errorf("%q: browsers are not sent to a provider that is up again", template)
		}
		n := len(p.requests(pathToken))
		if !there() || len(p.requests(pathToken)) != n {
			t.Errorf("%q: a provider that is up again is checked each time", template)
		}
	}
}

// TestSignOutDuringTheFirstOutage: without the metadata there is no endpoint to check.
func TestSignOutDuringTheFirstOutage(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *rp.Config) { cfg.LogoutURL = "https://idp.example/logout?to={post_logout_redirect_uri}" })
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/html", "down"))
	wantError(t, c.Discover(t.Context()), rp.ProviderUnavailable, "http.status")
	if to := c.EndSessionURL(t.Context(), "", "state", theRedirect); to != "" {
		t.Errorf("browsers are sent to a provider that is down: %s", to)
	}
}

// TestOutageThatAHintShows: before a hint is sent, the keys are fetched, which may be the first
// request that fails.
func TestOutageThatAHintShows(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	hint := p.idToken()
	down := answering(http.StatusServiceUnavailable, "text/html", "down")
	p.clock.add(time.Minute)
	p.on(pathKeys, down)
	p.on(pathToken, down)
	if to := c.EndSessionURL(t.Context(), hint, "state", theRedirect); to != "" {
		t.Errorf("browsers are sent to a provider that is down: %s", to)
	}
	p.on(pathToken, nil)
	p.clock.add(time.Minute)
	if to := c.EndSessionURL(t.Context(), hint, "state", theRedirect); !strings.Contains(to, hint) {
		t.Errorf("a provider whose keys are missing is taken for down: %q", to)
	}

	p.clock.add(time.Minute)
	release := make(chan struct{})
	defer close(release)
	p.on(pathKeys, func(http.ResponseWriter, *http.Request) { <-release })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if to := c.EndSessionURL(ctx, hint, "state", theRedirect); to != "" {
		t.Errorf("browsers are sent to a provider that does not respond in time: %s", to)
	}
}

// TestSilence tests which failures mean that the provider is down.
func TestSilence(t *testing.T) {
	p := newProvider(t)
	var failure error
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if failure != nil {
			return nil, failure
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	c := p.client(func(cfg *rp.Config) {
		cfg.HTTP, cfg.Userinfo = fetch.Client(&http.Client{Transport: transport}, "test"), "always"
	})
	there := func() bool { return c.EndSessionURL(t.Context(), "", "state", theRedirect) != "" }
	p.mustSignIn(c)
	for _, tt := range []struct {
		path   string
		status int
	}{{pathToken, 400}, {pathToken, 401}, {pathToken, 500}, {pathToken, 302}, {pathUserinfo, 403}, {pathUserinfo, 429}} {
		p.on(tt.path, answering(tt.status, "text/plain", "no"))
		_, _ = p.signIn(c)
		n := len(p.requests(pathToken))
		if !there() || len(p.requests(pathToken)) != n {
			t.Errorf("%s with %d is taken for an outage", tt.path, tt.status)
		}
		p.on(tt.path, nil)
	}
	for id, tt := range map[string]struct {
		failure error
		code    rp.Code
	}{
		"http.network":     {syscall.ECONNREFUSED, rp.ProviderUnavailable},
		"http.timeout":     {context.DeadlineExceeded, rp.ProviderTimeout},
		"http.certificate": {x509.UnknownAuthorityError{}, rp.ProviderUnavailable},
	} {
		failure = tt.failure
		_, err := p.signIn(c)
		wantError(t, err, tt.code, id)
		if there() {
			t.Errorf("%s: browsers are sent to a provider that cannot be reached", id)
		}
		failure = nil
		p.mustSignIn(c)
		if !there() {
			t.Errorf("%s: a sign-in worked, but the provider is taken for down", id)
		}
	}

	// A request is canceled while the provider is queried.
	ctx, cancel := context.WithCancel(t.Context())
	p.on(pathToken, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Redeem(ctx, p.begin(c), response()); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	p.on(pathToken, nil)
	n := len(p.requests(pathToken))
	if !there() || len(p.requests(pathToken)) != n {
		t.Error("a canceled request is taken for an outage")
	}
}

// TestDiagnoseCountsNoFailure: a failed request of Diagnose does not count as an outage.
func TestDiagnoseCountsNoFailure(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.on(pathUserinfo, answering(http.StatusBadGateway, "text/html", "down"))
	p.on(pathKeys, answering(http.StatusBadGateway, "text/html", "down"))
	p.on(pathToken, answering(http.StatusBadGateway, "text/html", "down"))
	p.on(pathAuthorize, answering(http.StatusBadGateway, "text/html", "down"))
	if r := c.Diagnose(t.Context()); len(r.Problems) != 3 {
		t.Errorf("the problems are %v", r.Problems)
	}
	if to := c.EndSessionURL(t.Context(), "", "state", theRedirect); !strings.HasPrefix(to, p.URL+pathEndSession) {
		t.Errorf("signing out at %q", to)
	}
}
