package rp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/rp"
)

// TestSignOutWhileTheProviderIsDown: a provider that did not answer the last request
// is asked whether it answers again, before anybody is sent there.
func TestSignOutWhileTheProviderIsDown(t *testing.T) {
	for _, template := range []string{"", "https://idp.example/logout?to={post_logout_redirect_uri}"} {
		p := newProvider(t)
		c := p.client(func(cfg *rp.Config) { cfg.LogoutURL = template })
		there := func() bool { return c.EndSessionURL(t.Context(), "", "state", theRedirect) != "" }
		p.mustSignIn(c)
		if n := len(p.requests(pathToken)); !there() || len(p.requests(pathToken)) != n {
			t.Errorf("%q: a provider that answers is asked first, or not taken for one", template)
		}

		down := answering(http.StatusServiceUnavailable, "text/html", "down")
		p.on(pathToken, down)
		_, err := p.signIn(c)
		wantError(t, err, rp.ProviderUnavailable, "http.status")
		if there() {
			t.Errorf("%q: people are sent to a provider that is down", template)
		}
		if c.EndSessionEndpoint(t.Context()) == "" {
			t.Errorf("%q: the endpoint is forgotten", template)
		}
		// Up again: no sign-in is needed to notice it.
		p.on(pathToken, nil)
		if !there() {
			t.Errorf("%q: nobody is sent to a provider that is up again", template)
		}
		n := len(p.requests(pathToken))
		if !there() || len(p.requests(pathToken)) != n {
			t.Errorf("%q: a provider that is up again is asked each time", template)
		}
	}
}

// TestOutageThatAHintShows: before a hint is sent, the keys are asked for, and that may
// be the first request that the provider does not answer.
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
		t.Errorf("people are sent to a provider that is down: %s", to)
	}
	p.on(pathToken, nil)
	p.clock.add(time.Minute)
	if to := c.EndSessionURL(t.Context(), hint, "state", theRedirect); !strings.Contains(to, hint) {
		t.Errorf("a provider without its keys is taken for down: %q", to)
	}

	p.clock.add(time.Minute)
	release := make(chan struct{})
	defer close(release)
	p.on(pathKeys, func(http.ResponseWriter, *http.Request) { <-release })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if to := c.EndSessionURL(ctx, hint, "state", theRedirect); to != "" {
		t.Errorf("people are sent to a provider that does not answer in time: %s", to)
	}
}

// TestSilence: which failures mean that the provider does not answer.
func TestSilence(t *testing.T) {
	p := newProvider(t)
	gone := false
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if gone {
			r.URL.Host = "127.0.0.1:1" // nothing listens there
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
	}{{pathToken, 400}, {pathToken, 401}, {pathToken, 500}, {pathUserinfo, 403}, {pathUserinfo, 429}} {
		p.on(tt.path, answering(tt.status, "text/plain", "no"))
		_, _ = p.signIn(c)
		n := len(p.requests(pathToken))
		if !there() || len(p.requests(pathToken)) != n {
			t.Errorf("%s with %d is taken for an outage", tt.path, tt.status)
		}
		p.on(tt.path, nil)
	}
	gone = true
	_, err := p.signIn(c)
	wantError(t, err, rp.ProviderUnavailable, "http.network")
	if there() {
		t.Error("people are sent to a provider that cannot be reached")
	}
	gone = false
	p.mustSignIn(c)
	if !there() {
		t.Error("a sign-in worked, and the provider is taken for down")
	}
}

// TestDiagnoseCountsNoFailure: what it asks says nothing about sign-ins.
func TestDiagnoseCountsNoFailure(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.on(pathUserinfo, answering(http.StatusBadGateway, "text/html", "down"))
	p.on(pathKeys, answering(http.StatusBadGateway, "text/html", "down"))
	p.on(pathToken, answering(http.StatusBadGateway, "text/html", "down"))
	if r := c.Diagnose(t.Context()); len(r.Problems) != 3 {
		t.Errorf("the problems are %v", r.Problems)
	}
	if to := c.EndSessionURL(t.Context(), "", "state", theRedirect); !strings.HasPrefix(to, p.URL+pathEndSession) {
		t.Errorf("signing out at %q", to)
	}
}
