package rp_test

import (
	"crypto/sha256"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

// request is a Request of the tests.
func theRequest() rp.Request {
	return rp.Request{State: theState, Nonce: theNonce, Verifier: theProof, MaxAge: -1}
}

// authorize returns the authorization URL for some params.
func (p *provider) authorize(c *rp.Client, params map[string]string) *url.URL {
	p.t.Helper()
	location, _, err := c.AuthorizationURL(p.t.Context(), theRequest(), params)
	if err != nil {
		p.t.Fatal(err)
	}
	u, err := url.Parse(location)
	if err != nil {
		p.t.Fatal(err)
	}
	if u.Scheme+"://"+u.Host != p.URL || u.Path != pathAuthorize || strings.Contains(location, "#") {
		p.t.Errorf("the address is %s", location)
	}
	return u
}

// asked returns the parameters that every request has.
func asked(more ...string) url.Values {
	sum := sha256.Sum256([]byte(theProof)) // RFC 7636, 4.2
	return with(url.Values{
		"response_type": {"code"}, "client_id": {theClient}, "redirect_uri": {theRedirect}, "scope": {"openid email"},
		"state": {theState}, "nonce": {theNonce}, "code_challenge_method": {"S256"}, "code_challenge": {b64(sum[:])},
	}, more...)
}

// without returns a copy of the parameters without the named ones.
func without(params url.Values, names ...string) url.Values {
	for _, name := range names {
		params.Del(name)
	}
	return params
}

func TestAuthorizationURL(t *testing.T) {
	for _, test := range []struct {
		name   string
		edit   func(*rp.Config)
		params map[string]string
		want   url.Values
	}{
		{"by default", func(*rp.Config) {}, nil, asked()},
		{"form_post", func(cfg *rp.Config) { cfg.ResponseMode = "form_post" }, nil, asked("response_mode", "form_post")},
		{"no scopes", func(cfg *rp.Config) { cfg.Scopes = nil }, nil, without(asked(), "scope")},
		{"params of the request", func(*rp.Config) {}, map[string]string{"login_hint": "ann@example.com", "ui_locales": "de fr"},
			asked("login_hint", "ann@example.com", "ui_locales", "de fr")},
		{"AuthParams", func(cfg *rp.Config) { cfg.AuthParams = map[string]string{"prompt": "login", "hd": "a&b=c"} }, nil,
			asked("prompt", "login", "hd", "a&b=c")},
		{"AuthParams win over the request's", func(cfg *rp.Config) { cfg.AuthParams = map[string]string{"prompt": "login"} },
			map[string]string{"prompt": "none", "max_age": "0"}, asked("prompt", "login", "max_age", "0")},
		{"AuthParams do not win over the protocol's", func(cfg *rp.Config) { cfg.AuthParams = map[string]string{"client_id": "x", "request": "y"} }, nil, asked()},
		{"ClientIDParam", func(cfg *rp.Config) { cfg.Quirks.ClientIDParam = "appid" }, nil,
			with(without(asked(), "client_id"), "appid", theClient)},
		{"ScopeSeparator", func(cfg *rp.Config) { cfg.Quirks.ScopeSeparator = "," }, nil, asked("scope", "openid,email")},
		{"DisablePKCE", func(cfg *rp.Config) { cfg.Quirks.DisablePKCE = true }, nil, without(asked(), "code_challenge", "code_challenge_method")},
		{"DisableNonce", func(cfg *rp.Config) { cfg.Quirks.DisableNonce = true }, nil, without(asked(), "nonce")},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			u := p.authorize(p.client(test.edit), test.params)
			if got := u.Query(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("the parameters are %v, want %v", got, test.want)
			}
			if strings.Contains(u.RawQuery, "+") {
				t.Errorf("spaces are written as +: %s", u.RawQuery) // Apple does not read them
			}
		})
	}
}

// Only the Client sets these parameters, whatever a link contains.
func TestParamsThatAreTheProtocolsOwn(t *testing.T) {
	own := []string{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
		"code_challenge", "code_challenge_method", "request", "request_uri", "registration", "client_secret",
	}
	hostile := map[string]string{}
	for _, name := range own {
		if !rp.ProtocolParam(name) {
			t.Errorf("%s is a protocol parameter", name)
		}
		hostile[name] = "hostile"
	}
	for _, name := range []string{"prompt", "login_hint", "max_age", "State", ""} {
		if rp.ProtocolParam(name) {
			t.Errorf("%q is not a protocol parameter", name)
		}
	}
	p := newProvider(t)
	for name, edit := range map[string]func(*rp.Config){
		"default":      func(*rp.Config) {},
		"without both": func(cfg *rp.Config) { cfg.Quirks.DisableNonce, cfg.Quirks.DisablePKCE = true, true },
		"no scopes":    func(cfg *rp.Config) { cfg.Scopes = nil },
		"AuthParams":   func(cfg *rp.Config) { cfg.AuthParams = hostile },
		"plain":        p.plain,
	} {
		if u := p.authorize(p.client(edit), hostile); strings.Contains(u.String(), "hostile") {
			t.Errorf("%s: %s", name, u)
		}
	}
	for name, want := range map[string]bool{"grant_type": true, "code": true, "code_verifier": true, "state": false, "Code": false, "": false} {
		if rp.TokenParam(name) != want {
			t.Errorf("TokenParam(%q) is %v", name, !want)
		}
	}
}

// Scopes of one request come after the configured ones, each once, and resources (RFC 8707) after
// those in the endpoint's query.
func TestScopesAndResourcesOfARequest(t *testing.T) {
	p := newProvider(t)
	const one, two = "https://one.example/", "https://two.example/"
	p.doc = map[string]any{"authorization_endpoint": p.URL + pathAuthorize + "?resource=" + url.QueryEscape(one)}
	c := p.client(func(cfg *rp.Config) { cfg.Resources = []string{one, two} })
	for scopes, want := range map[string]string{"": "openid email", "files": "openid email files", "email files openid": "openid email files"} {
		r := theRequest()
		r.Scopes = strings.Fields(scopes)
		address, _, err := c.AuthorizationURL(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if q := u.Query(); q.Get("scope") != want || !slices.Equal(q["resource"], []string{one, two}) {
			t.Errorf("%q: scope %q, resource %q", scopes, q.Get("scope"), q["resource"])
		}
	}
}

// RFC 6749, 3.1: the endpoint's own query is kept, except for parameters of the protocol.
func TestQueryOfTheAuthorizationEndpoint(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"authorization_endpoint": p.URL + pathAuthorize + "?p=b2c_1&client_id=x&state=y&scope=z&nonce=n&x=1&x=2"}
	c := p.client(func(cfg *rp.Config) { cfg.AuthParams = map[string]string{"p": "b2c_2"} })
	want := asked("p", "b2c_2")
	want["x"] = []string{"1", "2"}
	if got := p.authorize(c, nil).Query(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, params := range []map[string]string{nil, {"x": "3"}, nil} { // a request must not affect the next
		got := p.authorize(c, params).Query()
		if n := len(got["x"]); params == nil && n != 2 || params != nil && n != 1 {
			t.Errorf("%v: got %v", params, got)
		}
	}
}

func TestPlainOAuthHasNoNonce(t *testing.T) {
	p := newProvider(t)
	if got, want := p.authorize(p.client(p.plain), nil).Query(), without(asked("scope", "user"), "nonce"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// EditAuthorize may change every parameter except those that bind the response to this browser and
// this client.
func TestEditAuthorize(t *testing.T) {
	p := newProvider(t)
	calls := 0
	edit := func(cfg *rp.Config) {
		cfg.Quirks.EditAuthorize = func(q url.Values) {
			calls++
			q.Set("scope", "own")
			q.Del("response_type")
			q["x"] = []string{"1", "2"}
			for _, name := range []string{"redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method"} {
				q.Set(name, "edited")
			}
		}
	}
	c := p.client(edit)
	want := without(asked("scope", "own"), "response_type")
	want["x"] = []string{"1", "2"}
	for range 2 {
		if got := p.authorize(c, nil).Query(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if calls != 2 {
		t.Errorf("called %d times for two requests", calls)
	}
	c = p.client(edit, func(cfg *rp.Config) { cfg.Quirks.DisableNonce, cfg.Quirks.DisablePKCE = true, true })
	got := p.authorize(c, nil).Query()
	if got.Get("nonce") != "edited" || got.Get("code_challenge") != "edited" || got.Get("code_challenge_method") != "edited" || got.Get("state") != theState {
		t.Errorf("EditAuthorize could not set the parameters that the Client omits: %v", got)
	}
}

func TestAuthorizeFragment(t *testing.T) {
	p := newProvider(t)
	location, _, err := p.client(func(cfg *rp.Config) { cfg.Quirks.AuthorizeFragment = "wechat_redirect" }).AuthorizationURL(t.Context(), theRequest(), nil)
	if err != nil || !strings.HasSuffix(location, "#wechat_redirect") {
		t.Errorf("got %s, %v", location, err)
	}
}

// RFC 9110, 4.1: not every server accepts a URL of more than 8000 bytes.
func TestLengthOfTheAuthorizationURL(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	length := func(hint int) (int, error) {
		location, print, err := c.AuthorizationURL(t.Context(), theRequest(), map[string]string{"login_hint": strings.Repeat("x", hint)})
		if err != nil && (location != "" || print != rp.Fingerprint{}) {
			t.Errorf("with the error came %q", location)
		}
		return len(location), err
	}
	base, err := length(1)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := length(1 + 8<<10 - base); err != nil || n != 8<<10 {
		t.Errorf("%d bytes: %v", n, err)
	}
	_, err = length(2 + 8<<10 - base)
	if e := wantError(t, err, rp.BadRequest, "authorize.too_long"); e.Provider != "corp" || e.Op == "" || e.Fix == "" {
		t.Errorf("got %+v", e)
	}
}

func TestAuthorizationURLWithoutMetadata(t *testing.T) {
	p := newProvider(t)
	p.on(pathDiscovery, answering(503, "text/plain", ""))
	location, print, err := p.client().AuthorizationURL(t.Context(), theRequest(), nil)
	wantError(t, err, rp.ProviderUnavailable, "http.status")
	if location != "" || print != (rp.Fingerprint{}) {
		t.Errorf("got %q, %v", location, print)
	}
}
