package rp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/rp"
)

// TestIdentify tests which claims Identify returns, and whether they are incomplete.
func TestIdentify(t *testing.T) {
	down := func(p *provider) { p.on(pathUserinfo, answering(503, "text/plain", "down")) }
	token := map[string]any{"sub": theSubject, "iss": "the issuer", "department": "engines"}
	for name, test := range map[string]struct {
		edit       func(p *provider, cfg *rp.Config)
		refreshed  bool
		claims     map[string]any // of the ID token
		want       []string
		incomplete bool
		asked      int
	}{
		"an ID token that has all": {func(_ *provider, cfg *rp.Config) { cfg.Complete = func(map[string]any) bool { return true } }, true, token,
			[]string{"department", "iss", "sub"}, false, 0},
		"an ID token that has not":          {nil, true, token, []string{"department", "iss", "name", "sub"}, false, 1},
		"an ID token, and always":           {func(_ *provider, cfg *rp.Config) { cfg.Userinfo = "always" }, true, token, []string{"department", "iss", "name", "sub"}, false, 1},
		"an ID token, and never":            {func(_ *provider, cfg *rp.Config) { cfg.Userinfo = "never" }, true, token, []string{"department", "iss", "sub"}, false, 0},
		"an ID token and an outage":         {func(p *provider, _ *rp.Config) { down(p) }, true, token, []string{"department", "iss", "sub"}, true, 1},
		"an ID token, always and an outage": {func(p *provider, cfg *rp.Config) { down(p); cfg.Userinfo = "always" }, true, token, []string{"department", "iss", "sub"}, true, 1},
		"no ID token":                       {nil, true, nil, []string{"name", "sub"}, true, 1},
		"no ID token, and never":            {func(_ *provider, cfg *rp.Config) { cfg.Userinfo = "never" }, true, nil, nil, true, 0},
		"no ID token and an outage":         {func(p *provider, _ *rp.Config) { down(p) }, true, nil, nil, true, 1},
		"a null in the userinfo":            {func(p *provider, _ *rp.Config) { p.info["name"], p.info["locale"] = "Ann", nil }, true, token, []string{"department", "iss", "name", "sub"}, false, 1},
		"no refresh":                        {nil, false, nil, []string{"name", "sub"}, true, 1},
		"plain OAuth 2.0":                   {func(p *provider, cfg *rp.Config) { p.plain(cfg) }, false, nil, []string{"iss", "name", "sub"}, false, 1},
		"plain OAuth 2.0, and an outage":    {func(p *provider, cfg *rp.Config) { p.plain(cfg); down(p) }, true, nil, nil, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.info = map[string]any{"email": absent, "email_verified": absent, "name": "Ann", "iss": "another"}
			c := p.client(func(cfg *rp.Config) {
				cfg.Userinfo, cfg.Complete = "missing", func(map[string]any) bool { return false }
				if test.edit != nil {
					test.edit(p, cfg)
				}
			})
			before := maps.Clone(test.claims)
			id, err := c.Identify(t.Context(), rp.IdentifyRequest{Token: &oauth2.Token{AccessToken: theAccess}, Refreshed: test.refreshed, Claims: test.claims,
				Earlier: rp.Earlier{Issuer: p.URL, Subject: theSubject}})
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(maps.Keys(id.Claims)); !slices.Equal(got, test.want) || id.Incomplete != test.incomplete {
				t.Errorf("got %q, incomplete %t; want %q, %t", got, id.Incomplete, test.want, test.incomplete)
			}
			if (id.Claims == nil) != (test.want == nil) || !maps.Equal(test.claims, before) {
				t.Errorf("the claims are %v, and those of the ID token %v", id.Claims, test.claims)
			}
			if n := len(p.requests(pathUserinfo)); n != test.asked {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// The claims about the session come from the ID token, and userinfo may be a JWT.
func TestIdentifyReadsTheSession(t *testing.T) {
	p := newProvider(t)
	at := p.clock.Now().Add(-time.Hour).Truncate(time.Second)
	token := map[string]any{"sub": theSubject, "iss": p.URL, "acr": "mfa", "auth_time": json.Number(strconv.FormatInt(at.Unix(), 10))}
	p.on(pathUserinfo, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = io.WriteString(w, p.signer.sign(claims{"alg": p.signer.alg, "kid": p.signer.kid}, claims{"iss": p.URL, "aud": theClient, "sub": theSubject, "name": "Ann"}))
	})
	id, err := p.client(func(cfg *rp.Config) { cfg.Userinfo = "always" }).Identify(t.Context(),
		rp.IdentifyRequest{Token: &oauth2.Token{AccessToken: theAccess}, Refreshed: true, Claims: token, Earlier: rp.Earlier{Issuer: p.URL, Subject: theSubject}})
	if err != nil || id.ACR != "mfa" || !id.AuthTime.Equal(at) || id.Claims["name"] != "Ann" {
		t.Errorf("got %+v, %v", id, err)
	}
}

// Refused is set in the errors by which the provider or the application rejects the user.
func TestIdentifyIsRefused(t *testing.T) {
	says := func(code rp.Code) func(*provider, *rp.Config) {
		return func(_ *provider, cfg *rp.Config) {
			cfg.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
				return nil, &rp.Error{Code: code}
			}
		}
	}
	answers := func(status int) func(*provider, *rp.Config) {
		return func(p *provider, _ *rp.Config) { p.on(pathUserinfo, answering(status, "application/json", "{}")) }
	}
	asks := func(p *provider, cfg *rp.Config) {
		cfg.Profile = func(_ context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
			resp, err := client.Get(p.URL + pathUserinfo)
			if err == nil {
				resp.Body.Close()
			}
			return nil, errors.New("no profile")
		}
	}
	for name, test := range map[string]struct {
		edit      func(p *provider, cfg *rp.Config)
		refreshed bool
		code      rp.Code
		refused   bool
	}{
		"401": {answers(401), false, rp.ProviderUnavailable, true}, "403": {answers(403), false, rp.ProviderUnavailable, false},
		"404": {answers(404), false, rp.ProviderUnavailable, false}, "500": {answers(500), false, rp.ProviderUnavailable, false},
		"401 to Profile": {func(p *provider, cfg *rp.Config) { answers(401)(p, cfg); asks(p, cfg) }, false, rp.ProviderUnavailable, true},
		"403 to Profile": {func(p *provider, cfg *rp.Config) { answers(403)(p, cfg); asks(p, cfg) }, false, rp.ProviderUnavailable, false},
		"Profile fails": {func(_ *provider, cfg *rp.Config) {
			cfg.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
				return nil, errors.New("no profile")
			}
		}, false, rp.ProviderUnavailable, false},
		"Profile rejects":                   {says(rp.IdentityRejected), false, rp.IdentityRejected, true},
		"Profile rejects, after a refresh":  {says("forbidden"), true, "forbidden", true},
		"Profile knows no such user":        {says("unauthenticated"), false, "unauthenticated", true},
		"Profile denies":                    {says(rp.ProviderDenied), false, rp.ProviderDenied, true},
		"Profile says that the API is down": {says(rp.ProviderUnavailable), true, rp.ProviderUnavailable, false},
		"a profile that cannot be read": {func(p *provider, cfg *rp.Config) {
			p.plain(cfg)
			p.on(pathUserinfo, answering(200, "application/json", "{"))
		}, false, rp.IdentityRejected, false},
		"another person":                  {func(p *provider, _ *rp.Config) { p.info = map[string]any{"sub": "bob"} }, false, rp.IDTokenInvalid, false},
		"another person, after a refresh": {func(p *provider, _ *rp.Config) { p.info = map[string]any{"sub": "bob"} }, true, rp.IDTokenInvalid, false},
		"no person":                       {func(p *provider, _ *rp.Config) { p.info = map[string]any{"sub": absent} }, true, rp.IDTokenInvalid, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(func(cfg *rp.Config) {
				cfg.Userinfo = "missing"
				test.edit(p, cfg)
			})
			id, err := c.Identify(t.Context(), rp.IdentifyRequest{Token: &oauth2.Token{AccessToken: theAccess}, Refreshed: test.refreshed, Earlier: rp.Earlier{Issuer: p.URL, Subject: theSubject}})
			e, _ := err.(*rp.Error)
			if test.code == rp.IDTokenInvalid {
				wantError(t, err, rp.IDTokenInvalid, "userinfo.another_person")
			}
			if id != nil || e == nil || e.Code != test.code || e.Refused != test.refused {
				t.Errorf("got %+v, %+v; want %s, refused %t", id, e, test.code, test.refused)
			}
		})
	}
}

func TestAsksProfile(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(p *provider, cfg *rp.Config)
		want bool
	}{
		"userinfo": {func(*provider, *rp.Config) {}, true},
		"never":    {func(_ *provider, cfg *rp.Config) { cfg.Userinfo = "never" }, false},
		"no endpoint": {func(p *provider, _ *rp.Config) {
			p.doc = map[string]any{"userinfo_endpoint": absent}
		}, false},
		"Profile": {func(p *provider, cfg *rp.Config) {
			p.doc = map[string]any{"userinfo_endpoint": absent}
			cfg.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return nil, nil }
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(func(cfg *rp.Config) { cfg.Userinfo = "missing"; test.edit(p, cfg) })
			if got, err := c.AsksProfile(t.Context()); got != test.want || err != nil {
				t.Errorf("got %t, %v", got, err)
			}
		})
	}
}
