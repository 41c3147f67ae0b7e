package rp_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/rp"
)

// earlier returns the Earlier of a sign-in at the time of the clock.
func (p *provider) earlier() rp.Earlier {
	return rp.Earlier{Issuer: p.URL, Subject: theSubject, Nonce: sha256.Sum256([]byte(theNonce)), AuthTime: p.clock.Now(), IssuedAt: p.clock.Now()}
}

// refresh refreshes a token, and also returns the form of the request.
func (p *provider) refresh(c *rp.Client, r rp.RefreshRequest) (*rp.Refreshed, url.Values, error) {
	p.t.Helper()
	r.RefreshToken = theRefresh
	before := len(p.requests(pathToken))
	got, err := c.Refresh(p.t.Context(), r)
	all := p.requests(pathToken)[before:]
	if len(all) != 1 {
		p.t.Fatalf("%d token requests", len(all))
	}
	if err != nil && got != nil {
		p.t.Errorf("Refresh returned a token with the error %v", err)
	}
	return got, all[0].form, err
}

func TestRefresh(t *testing.T) {
	for name, test := range map[string]struct {
		edit    func(*rp.Config)
		request rp.RefreshRequest
		answer  map[string]any
		form    url.Values
		next    string // the refresh token to use next
	}{
		"rotated":         {answer: map[string]any{"refresh_token": "the-next"}, form: url.Values{}, next: "the-next"},
		"not rotated":     {answer: map[string]any{}, form: url.Values{}, next: theRefresh},
		"an unusable one": {answer: map[string]any{"refresh_token": 7}, form: url.Values{}, next: theRefresh},
		"an empty one":    {answer: map[string]any{"refresh_token": ""}, form: url.Values{}, next: theRefresh},
		"scopes":          {request: rp.RefreshRequest{Scopes: []string{"a", "b"}}, form: url.Values{"scope": {"a b"}}, next: theRefresh},
		"a resource":      {request: rp.RefreshRequest{Resource: "https://api.example"}, form: url.Values{"resource": {"https://api.example"}}, next: theRefresh},
		"scopes with a separator": {edit: func(cfg *rp.Config) { cfg.Quirks.ScopeSeparator = "," },
			request: rp.RefreshRequest{Scopes: []string{"a", "b"}}, form: url.Values{"scope": {"a,b"}}, next: theRefresh},
		"the secret in the form": {edit: func(cfg *rp.Config) { cfg.AuthMethod = "client_secret_post" },
			form: url.Values{"client_id": {theClient}, "client_secret": {theSecret}}, next: theRefresh},
		"an edit": {edit: func(cfg *rp.Config) {
			cfg.Quirks.EditToken = func(form, callback url.Values) {
				if callback.Get("code") != "" {
					form.Set("seen", callback.Get("code"))
				}
				form.Set("extra", form.Get("grant_type"))
			}
		}, form: url.Values{"extra": {"refresh_token"}}, next: theRefresh},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(func(cfg *rp.Config) {
				if test.edit != nil {
					test.edit(cfg)
				}
			})
			p.skipped, p.answer = true, test.answer
			got, form, err := p.refresh(c, test.request)
			if err != nil {
				t.Fatal(err)
			}
			test.form.Set("grant_type", "refresh_token")
			test.form.Set("refresh_token", theRefresh)
			if !reflect.DeepEqual(form, test.form) {
				t.Errorf("the form is %v, want %v", form, test.form)
			}
			if got.Token.AccessToken != theAccess || got.Token.RefreshToken != test.next || !got.Token.Expiry.Equal(p.clock.Now().Add(time.Hour)) || got.Claims != nil {
				t.Errorf("got %+v, %v", got.Token, got.Claims)
			}
		})
	}
}

// With HS256 the client secret verifies the response, so that no keys are needed.
func TestRefreshWithHS256NeedsNoKeys(t *testing.T) {
	p := newProvider(t)
	p.on(pathKeys, answering(http.StatusServiceUnavailable, "text/html", ""))
	p.skipped, p.answer = true, map[string]any{}
	if _, _, err := p.refresh(p.client(func(cfg *rp.Config) { cfg.Quirks.HS256 = true }), rp.RefreshRequest{}); err != nil {
		t.Error(err)
	}
	_, err := p.client().Refresh(t.Context(), rp.RefreshRequest{RefreshToken: theRefresh})
	wantError(t, err, rp.ProviderUnavailable, "http.status")
}

// RFC 6749, 5.2, and non-standard codes of some providers.
func TestRefreshIsRefused(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   rp.Code
		id     string
	}{
		{400, "invalid_grant", rp.StepUpRequired, "refresh.invalid_grant"},
		{200, "bad_refresh_token", rp.StepUpRequired, "refresh.invalid_grant"},
		{200, "invalid_refresh_token", rp.StepUpRequired, "refresh.invalid_grant"},
		{400, "invalid_scope", rp.StepUpRequired, "refresh.consent"},
		{400, "invalid_target", rp.StepUpRequired, "refresh.consent"},
		{400, "consent_required", rp.StepUpRequired, "refresh.consent"},
		{400, "interaction_required", rp.StepUpRequired, "refresh.consent"},
		{400, "login_required", rp.StepUpRequired, "refresh.consent"},
		{401, "invalid_client", rp.ProviderMisconfigured, "token.invalid_client"},
		{400, "unauthorized_client", rp.ProviderMisconfigured, "token.invalid_client"},
		{400, "unsupported_grant_type", rp.ProviderError, "token.error"},
		{503, "temporarily_unavailable", rp.ProviderUnavailable, "token.unavailable"},
	} {
		t.Run(test.code, func(t *testing.T) {
			p := newProvider(t)
			p.on(pathToken, answering(test.status, "application/json", `{"error":"`+test.code+`","error_description":"about `+theRefresh+`"}`))
			_, _, err := p.refresh(p.client(), rp.RefreshRequest{})
			if e := wantError(t, err, test.want, test.id); e.Op != "refresh token" {
				t.Errorf("the operation is %q", e.Op)
			}
		})
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		code    rp.Code
		id      string
	}{
		"a page that has the words": {answering(500, "text/html", "invalid_grant"), rp.ProviderUnavailable, "http.status"},
		"a login page":              {answering(200, "text/html", "invalid_grant"), rp.BadTokenResponse, "token.media_type"},
		"a 400 without words":       {answering(400, "text/plain", "invalid_grant"), rp.BadTokenResponse, "token.status"},
		"no access token":           {answering(200, "application/json", `{"token_type":"Bearer"}`), rp.BadTokenResponse, "token.access_token"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 307) },
			rp.ProviderUnavailable, "http.redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.on(pathToken, test.handler)
			_, _, err := p.refresh(p.client(), rp.RefreshRequest{})
			wantError(t, err, test.code, test.id)
		})
	}
	t.Run("the provider was never there", func(t *testing.T) {
		p := newProvider(t)
		p.on(pathDiscovery, answering(503, "text/html", "down"))
		got, err := p.client().Refresh(t.Context(), rp.RefreshRequest{RefreshToken: theRefresh})
		wantError(t, err, rp.ProviderUnavailable, "http.status")
		if got != nil {
			t.Errorf("with the error came %+v", got)
		}
	})
	t.Run("the provider is down", func(t *testing.T) {
		p := newProvider(t)
		c := p.client()
		if err := c.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Server.CloseClientConnections()
		p.Server.Close()
		_, err := c.Refresh(t.Context(), rp.RefreshRequest{RefreshToken: theRefresh})
		wantError(t, err, rp.ProviderUnavailable, "http.network")
	})
}

// OpenID Connect Core 1.0, 12.2.
func TestIDTokenOfARefresh(t *testing.T) {
	unknown := rp.Earlier{}
	for _, test := range []struct {
		name    string
		claims  claims
		earlier *rp.Earlier // default: that of the sign-in
		id      string      // of the error; "" for a valid token
	}{
		{"the same", nil, nil, ""},
		{"no nonce", claims{"nonce": absent}, nil, ""},
		{"a null nonce", claims{"nonce": nil}, nil, ""},
		{"the auth_time", claims{"auth_time": int64(0)}, nil, ""}, // some providers send 0 if the time is unknown
		{"several audiences and azp", claims{"aud": []any{theClient, "api"}, "azp": theClient}, nil, ""},
		{"a nonce that nothing is known of", claims{"nonce": "other"}, &unknown, ""},
		{"an auth_time that nothing is known of", claims{"auth_time": int64(1700000000)}, &unknown, ""},
		{"c_hash and s_hash of the sign-in", claims{"c_hash": "AAAA", "s_hash": "AAAA"}, nil, ""}, // there is neither code nor state here
		{"a person that nothing is known of", claims{"sub": "bob"}, &unknown, ""},
		{"another nonce", claims{"nonce": "other"}, nil, "refresh.nonce"},
		{"an empty nonce", claims{"nonce": ""}, nil, "refresh.nonce"},
		{"a nonce that is a number", claims{"nonce": 1}, nil, "jwt.claims_form"},
		{"another person", claims{"sub": "bob"}, nil, "refresh.subject"},
		{"another letter case", claims{"sub": "Ann"}, nil, "refresh.subject"},
		{"no person", claims{"sub": absent}, nil, "id_token.sub"},
		{"another issuer", claims{"iss": "https://other.example"}, nil, "jwt.issuer"},
		{"another client", claims{"aud": "other"}, nil, "jwt.audience"},
		{"another client's azp", claims{"azp": "other"}, nil, "id_token.azp"},
		{"several audiences", claims{"aud": []any{theClient, "api"}}, nil, "id_token.audiences"},
		{"expired", claims{"exp": int64(1)}, nil, "jwt.expired"},
		{"no iat", claims{"iat": absent}, nil, "id_token.iat"},
		{"another auth_time", claims{"auth_time": int64(1700000000)}, nil, "refresh.auth_time"},
		{"at_hash of another access token", claims{"at_hash": "AAAA"}, nil, "id_token.at_hash"},
		{"a logout token", claims{"events": map[string]any{}}, nil, "id_token.events"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			c, earlier := p.client(), p.earlier()
			if test.earlier != nil {
				earlier = *test.earlier
			}
			p.claims = test.claims
			got, _, err := p.refresh(c, rp.RefreshRequest{Earlier: earlier})
			if test.id != "" {
				wantError(t, err, rp.IDTokenInvalid, test.id)
				return
			}
			if err != nil || got.Claims["iss"] != p.URL {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}

	t.Run("times", func(t *testing.T) {
		p := newProvider(t)
		c, earlier := p.client(), p.earlier()
		p.claims = claims{"auth_time": p.clock.unix(0)}
		for _, after := range []time.Duration{-rp.Leeway, 0, time.Hour} {
			p.claims["iat"] = p.clock.unix(after)
			if after > 0 {
				p.clock.add(after)
			}
			if _, _, err := p.refresh(c, rp.RefreshRequest{Earlier: earlier}); err != nil {
				t.Errorf("%v after: %v", after, err)
			}
		}
		p.claims["iat"] = earlier.IssuedAt.Add(-rp.Leeway - time.Second).Unix()
		p.claims["exp"] = p.clock.unix(time.Hour)
		_, _, err := p.refresh(c, rp.RefreshRequest{Earlier: earlier})
		wantError(t, err, rp.IDTokenInvalid, "refresh.iat")
		p.claims["iat"] = p.clock.unix(2 * rp.Leeway)
		_, _, err = p.refresh(c, rp.RefreshRequest{Earlier: earlier})
		wantError(t, err, rp.IDTokenInvalid, "id_token.iat_future")
	})

	t.Run("another of the provider's issuers", func(t *testing.T) {
		p := newProvider(t)
		c := p.client(func(cfg *rp.Config) {
			cfg.TokenIssuer = func(claims map[string]any) (string, error) {
				if tenant, _ := claims["tid"].(string); tenant != "" {
					return "https://login.example/" + tenant, nil
				}
				return "", errors.New("no tenant")
			}
		})
		p.claims = claims{"tid": "b", "iss": "https://login.example/b"}
		earlier := p.earlier()
		earlier.Issuer = "https://login.example/a"
		_, _, err := p.refresh(c, rp.RefreshRequest{Earlier: earlier})
		wantError(t, err, rp.IDTokenInvalid, "refresh.issuer")
	})

	t.Run("of plain OAuth 2.0", func(t *testing.T) {
		p := newProvider(t)
		p.answer = map[string]any{"id_token": "not looked at"}
		if got, _, err := p.refresh(p.client(p.plain), rp.RefreshRequest{}); err != nil || got.Claims != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	})

	t.Run("signed by another", func(t *testing.T) {
		p := newProvider(t)
		p.keys = []any{otherRSA().jwk()}
		_, _, err := p.refresh(p.client(), rp.RefreshRequest{Earlier: p.earlier()})
		if e, ok := err.(*rp.Error); !ok || e.Code != rp.IDTokenInvalid || !strings.HasPrefix(e.ID, "jwt.") {
			t.Errorf("got %v", err)
		}
	})
}

// A refresh token is not sent while the keys to verify the response are unavailable. If they become
// unavailable afterwards, the next refresh token is not lost.
func TestRefreshWithoutKeys(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.handle = map[string]http.HandlerFunc{pathKeys: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }}
	got, err := c.Refresh(t.Context(), rp.RefreshRequest{RefreshToken: theRefresh, Earlier: p.earlier()})
	wantError(t, err, rp.ProviderUnavailable, "http.status")
	if n := len(p.requests(pathToken)); n != 0 || got != nil {
		t.Errorf("%d token requests, got %+v", n, got)
	}

	p = newProvider(t)
	c = p.client()
	if _, _, err := p.refresh(c, rp.RefreshRequest{Earlier: p.earlier()}); err != nil {
		t.Fatal(err)
	}
	p.signer, p.answer = otherRSA(), map[string]any{"refresh_token": "the-next"}
	p.header = map[string]any{"kid": "of today"}
	p.handle = map[string]http.HandlerFunc{pathKeys: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }}
	p.clock.add(time.Minute)
	got, err = c.Refresh(t.Context(), rp.RefreshRequest{RefreshToken: theRefresh, Earlier: p.earlier()})
	wantError(t, err, rp.ProviderUnavailable, "http.status")
	if got == nil || got.Token.RefreshToken != "the-next" || got.Token.AccessToken != "" || got.Claims != nil {
		t.Errorf("got %+v", got)
	}
}

func TestGrantedScopes(t *testing.T) {
	includes := func(scope string) []string {
		return map[string][]string{"admin": {"user"}, "user": {"user:email", "admin"}}[scope]
	}
	for _, test := range []struct {
		scope    any
		includes func(string) []string
		want     []string
	}{
		{nil, nil, []string{}},
		{7, nil, []string{}},
		{"", nil, []string{}},
		{" ,, ", includes, []string{}},
		{"a b", nil, []string{"a", "b"}},
		{"a,b", nil, []string{"a", "b"}},
		{"admin", nil, []string{"admin"}},
		{"admin x user", includes, []string{"admin", "x", "user", "user:email"}},
	} {
		c := newProvider(t).client(func(cfg *rp.Config) { cfg.Quirks.IncludedScopes = test.includes })
		token := new(oauth2.Token).WithExtra(map[string]any{"scope": test.scope})
		if got := c.GrantedScopes(token); !slices.Equal(got, test.want) {
			t.Errorf("%v grants %q, want %q", test.scope, got, test.want)
		}
	}
}
