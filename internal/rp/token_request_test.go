package rp_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

// tokenRequest signs in and returns the only request to the token endpoint.
func (p *provider) tokenRequest(c *rp.Client) request {
	p.t.Helper()
	before := len(p.requests(pathToken))
	p.mustSignIn(c)
	all := p.requests(pathToken)[before:]
	if len(all) != 1 {
		p.t.Fatalf("%d token requests", len(all))
	}
	return all[0]
}

// codeForm is the form of a token request without client authentication.
func codeForm() url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {theCode}, "redirect_uri": {theRedirect}, "code_verifier": {theProof},
	}
}

// with returns a copy of the form with more parameters.
func with(form url.Values, more ...string) url.Values {
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// RFC 6749, 2.3: one authentication method in each request.
func TestClientAuthentication(t *testing.T) {
	// 2.3.1: "The client identifier is encoded using the
	// "application/x-www-form-urlencoded" encoding algorithm".
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("the+client:"+theSecret))
	for _, test := range []struct {
		name   string
		edit   func(*rp.Config)
		header string
		form   url.Values
	}{
		{"by default", func(*rp.Config) {}, basic, codeForm()},
		{"basic", func(cfg *rp.Config) { cfg.AuthMethod = "client_secret_basic" }, basic, codeForm()},
		{"basic with a secret that has to be encoded", func(cfg *rp.Config) { cfg.ClientSecret = "a:b%c+d é" },
			"Basic " + base64.StdEncoding.EncodeToString([]byte("the+client:a%3Ab%25c%2Bd+%C3%A9")), codeForm()},
		{"post", func(cfg *rp.Config) { cfg.AuthMethod = "client_secret_post" }, "",
			with(codeForm(), "client_id", theClient, "client_secret", theSecret)},
		{"none", func(cfg *rp.Config) { cfg.AuthMethod, cfg.ClientSecret = "none", "" }, "",
			with(codeForm(), "client_id", theClient)},
		{"another name for client_id", func(cfg *rp.Config) { cfg.AuthMethod, cfg.Quirks.ClientIDParam = "client_secret_post", "appid" }, "",
			with(codeForm(), "appid", theClient, "client_secret", theSecret)},
		{"a secret that is made each time", func(cfg *rp.Config) {
			cfg.ClientSecret, cfg.AuthMethod = "", "client_secret_post"
			cfg.ClientSecretFunc = func(context.Context) (string, error) { return "fresh", nil }
		}, "", with(codeForm(), "client_id", theClient, "client_secret", "fresh")},
		{"without PKCE", func(cfg *rp.Config) { cfg.Quirks.DisablePKCE = true }, basic, url.Values{
			"grant_type": {"authorization_code"}, "code": {theCode}, "redirect_uri": {theRedirect}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			got := p.tokenRequest(p.client(test.edit))
			if got.authorization != test.header {
				t.Errorf("Authorization is %q, want %q", got.authorization, test.header)
			}
			if !reflect.DeepEqual(got.form, test.form) {
				t.Errorf("the form is %v, want %v", got.form, test.form)
			}
			if got.method != http.MethodPost || got.query != "" || got.header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
				got.header.Get("Accept") != "application/json" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestClientSecretFuncThatFails(t *testing.T) {
	cause := errors.New("the vault is sealed")
	for name, secret := range map[string]func(context.Context) (string, error){
		"an error":              func(context.Context) (string, error) { return "", cause },
		"an error and a secret": func(context.Context) (string, error) { return theSecret, cause },
		"nothing":               func(context.Context) (string, error) { return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			_, err := p.signIn(p.client(func(cfg *rp.Config) { cfg.ClientSecretFunc = secret }))
			e := wantError(t, err, rp.ProviderMisconfigured, "token.client_secret_func")
			if errors.Is(e, cause) != (name != "nothing") {
				t.Errorf("the cause is %v", e.Cause)
			}
			if n := len(p.requests(pathToken)); n != 0 {
				t.Errorf("the code was spent: %d token requests", n)
			}
		})
	}
}

// ClientSecretFunc is called with the context of the sign-in.
func TestClientSecretFuncGetsTheContext(t *testing.T) {
	type key struct{}
	p := newProvider(t)
	var got any
	c := p.client(func(cfg *rp.Config) {
		cfg.ClientSecretFunc = func(ctx context.Context) (string, error) {
			got = ctx.Value(key{})
			return theSecret, nil
		}
	})
	r := p.begin(c)
	if _, err := c.Redeem(context.WithValue(t.Context(), key{}, "value"), r, response()); err != nil || got != "value" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestQuirksOfTheTokenRequest(t *testing.T) {
	t.Run("EditToken", func(t *testing.T) {
		p := newProvider(t)
		c := p.client(func(cfg *rp.Config) {
			cfg.AuthMethod = "client_secret_post"
			cfg.Quirks.EditToken = func(form, callback url.Values) {
				form.Set("shop", callback.Get("shop"))
				form.Del("redirect_uri")
				form.Set("client_secret", form.Get("client_secret")+"-signed")
				callback["code"][0] = "another" // must not change the response either
				callback.Set("state", "another")
			}
		})
		r := p.begin(c)
		answer := with(response(), "shop", "b&c=d")
		state := answer.Get("state")
		if _, err := c.Redeem(t.Context(), r, answer); err != nil {
			t.Fatal(err)
		}
		want := with(codeForm(), "client_id", theClient, "client_secret", theSecret+"-signed", "shop", "b&c=d")
		want.Del("redirect_uri")
		if got := p.requests(pathToken)[0].form; !reflect.DeepEqual(got, want) {
			t.Errorf("the form is %v, want %v", got, want)
		}
		if answer.Get("code") != theCode || answer.Get("state") != state {
			t.Error("the response was edited")
		}
	})
	t.Run("TokenMethod GET", func(t *testing.T) {
		p := newProvider(t)
		p.doc = map[string]any{"token_endpoint": p.URL + pathToken + "?lang=en"}
		got := p.tokenRequest(p.client(func(cfg *rp.Config) {
			cfg.AuthMethod, cfg.Quirks.TokenMethod = "client_secret_post", http.MethodGet
		}))
		if want := with(codeForm(), "client_id", theClient, "client_secret", theSecret, "lang", "en"); !reflect.DeepEqual(got.form, want) {
			t.Errorf("the query is %v, want %v", got.form, want)
		}
		if got.method != http.MethodGet || got.body != "" || got.header.Get("Content-Type") != "" || got.header.Get("Content-Length") != "" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("TokenMethod GET at an endpoint without a query", func(t *testing.T) {
		p := newProvider(t)
		got := p.tokenRequest(p.client(func(cfg *rp.Config) { cfg.Quirks.TokenMethod = http.MethodGet }))
		if strings.HasPrefix(got.query, "&") || !reflect.DeepEqual(got.form, codeForm()) {
			t.Errorf("the query is %q", got.query)
		}
	})
	t.Run("Header", func(t *testing.T) {
		p := newProvider(t)
		got := p.tokenRequest(p.client(func(cfg *rp.Config) {
			cfg.Quirks.Header = map[string]string{"X-Api-Version": "2", "Accept": "application/x"}
		}))
		if got.header.Get("X-Api-Version") != "2" || got.header.Get("Accept") != "application/x" {
			t.Errorf("the header is %v", got.header)
		}
	})
}

// The endpoint's own query is kept (RFC 6749, 3.2).
func TestQueryOfTheTokenEndpoint(t *testing.T) {
	p := newProvider(t)
	p.doc = map[string]any{"token_endpoint": p.URL + pathToken + "?p=b2c_1"}
	got := p.tokenRequest(p.client())
	if got.query != "p=b2c_1" || !reflect.DeepEqual(got.form, codeForm()) {
		t.Errorf("got %+v", got)
	}
}

// The characters of a code are escaped.
func TestCodeIsEscaped(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	const odd = "a&client_id=x;b=c%41+/#?"
	if _, err := c.Redeem(t.Context(), p.begin(c), url.Values{"code": {odd}}); err != nil {
		t.Fatal(err)
	}
	if got := p.requests(pathToken)[0].form; !reflect.DeepEqual(got, with(codeForm(), "code", odd)) {
		t.Errorf("the form is %v", got)
	}
}

// A redirect would send code and secret elsewhere: a 307 repeats the body.
func TestRedirectsOfTheTokenEndpointAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := newProvider(t)
		c := p.client(func(cfg *rp.Config) {
			cfg.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
		})
		p.on(pathToken, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", status) })
		_, err := p.signIn(c)
		wantError(t, err, rp.ProviderUnavailable, "http.redirect")
		if n := len(p.requests("/elsewhere")); n != 0 {
			t.Errorf("%d: the redirect was followed", status)
		}
	}
}

func TestTokenEndpointThatDoesNotAnswer(t *testing.T) {
	p := newProvider(t)
	p.on(pathToken, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := p.signIn(p.client())
	if e := wantError(t, err, rp.ProviderUnavailable, "http.network"); e.RetryAfter == 0 || e.Provider != "corp" || e.Op == "" {
		t.Errorf("got %+v", e)
	}
	p.on(pathToken, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		panic(http.ErrAbortHandler)
	})
	_, err = p.signIn(p.client())
	wantError(t, err, rp.ProviderUnavailable, "http.network")
}

func TestTokenEndpointThatHangs(t *testing.T) {
	p := newProvider(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.on(pathToken, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	c := p.client()
	_, err := c.Redeem(ctx, p.begin(c), response())
	wantError(t, err, rp.ProviderUnavailable, "http.network") // canceled

	expired, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	_, err = c.Redeem(expired, p.begin(c), response())
	wantError(t, err, rp.ProviderTimeout, "http.timeout")
}

// The caller validates Config, so that users never see this error.
func TestTokenURLThatIsNoAddress(t *testing.T) {
	p := newProvider(t)
	c := p.client(p.plain, func(cfg *rp.Config) { cfg.TokenURL = "http://[::1" })
	_, err := p.signIn(c)
	wantError(t, err, rp.ProviderMisconfigured, "token.endpoint")
}
