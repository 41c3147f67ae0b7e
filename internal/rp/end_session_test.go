package rp_test

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

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

func TestLogoutURL(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *rp.Config) {
		cfg.LogoutURL = "https://idp.example/v2/logout?client_id={client_id}&returnTo={post_logout_redirect_uri}&s={state}&x={other}"
		cfg.EndSessionURL = p.URL
	})
	want := "https://idp.example/v2/logout?client_id=the+client&returnTo=https%3A%2F%2Fapp.example%2F%3Fx%3D%7Bstate%7D&s=a%26b&x={other}"
	if got := c.EndSessionURL(t.Context(), "hint", "a&b", "https://app.example/?x={state}"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
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
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", ""))
	if got := p.client().EndSessionURL(t.Context(), "", "s", "https://app.example/"); got != "" {
		t.Errorf("without metadata: got %s", got)
	}
	p.on(pathDiscovery, nil)
	c := p.client(p.plain, func(cfg *rp.Config) { cfg.EndSessionURL = "http://[::1" })
	if got := c.EndSessionURL(t.Context(), "", "s", "https://app.example/"); got != "" {
		t.Errorf("no address: got %s", got)
	}
}

// Before the provider is discovered it may have an endpoint.
func TestReturnsOfAClient(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"end_session_endpoint": absent}
	c := p.client()
	if !c.Returns() {
		t.Error("false while nothing is known")
	}
	if err := c.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.Returns() {
		t.Error("true without an endpoint")
	}
	p.discoveries(1)
}

// A sign-out waits two seconds for a provider, and not longer.
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
