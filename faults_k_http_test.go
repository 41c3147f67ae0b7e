package ginauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// k7MixUp: an attacker who runs one of two providers tries to get at the code,
// or into the account, of the other (RFC 9700, section 4.4).
func k7MixUp(t *testing.T) {
	two := func(t *testing.T, mix func(s *site, honest *authtest.Provider, metadata map[string]any)) (*site, *authtest.Provider) {
		var honest *authtest.Provider
		s := newSite(t, func(s *site, o *ginauth.Options) {
			honest = startIDP(t, authtest.Config{
				Addr: "honest.localhost:0", ClientID: s.idp.ClientID, ClientSecret: "the honest provider's secret", Now: s.clock.Now,
				RedirectURIs: []string{s.URL + "/authorize/honest", s.URL + "/authorize/demo"},
			})
			o.HTTPClient = honest.HTTPClient()
			o.Providers = append(o.Providers, client("honest", honest))
			s.idp.EditMetadata(func(m map[string]any) { mix(s, honest, m) })
		})
		return s, honest
	}
	t.Run("the honest authorization endpoint with an own token endpoint", func(t *testing.T) {
		t.Parallel()
		s, honest := two(t, func(_ *site, honest *authtest.Provider, m map[string]any) {
			m["authorization_endpoint"] = honest.URL(authtest.Authorize)
		})
		callback := s.begin("/login/demo")
		if honest.Count(authtest.Authorize) != 1 || !callback.Query().Has("code") {
			t.Fatalf("the attack did not take place: %s", callback)
		}
		s.failsClosed(t, s.finish(callback), closed{code: ginauth.ErrIssuerMismatch, hide: callback.Query()["code"]})
		s.finish(at(callback, "/authorize/honest")) // the code at the honest callback instead
		if s.user() != nil || honest.Count(authtest.Token) != 0 || s.idp.Count(authtest.Token) != 0 {
			t.Error("the code went to a token endpoint")
		}
	})
	t.Run("and the honest provider knows nothing of iss", func(t *testing.T) {
		t.Parallel()
		s, honest := two(t, func(_ *site, honest *authtest.Provider, m map[string]any) {
			m["authorization_endpoint"] = honest.URL(authtest.Authorize)
		})
		honest.EditAnswer(func(answer url.Values) { delete(answer, "iss") })
		callback := s.begin("/login/demo")
		s.failsClosed(t, s.finish(callback), closed{code: ginauth.ErrIssuerMismatch, hide: callback.Query()["code"]})
	})
	t.Run("the honest token endpoint", func(t *testing.T) {
		t.Parallel()
		s, honest := two(t, func(_ *site, honest *authtest.Provider, m map[string]any) {
			m["token_endpoint"] = honest.URL(authtest.Token)
		})
		p := s.get("/login/demo")
		if p.Status < 400 || s.user() != nil {
			t.Errorf("%s answered %d: %s", p.URL.Path, p.Status, p.Text())
		}
		for _, r := range honest.Requests(authtest.Token) {
			if strings.Contains(string(r.Body)+r.Header.Get("Authorization"), "honest") || r.Form.Get("redirect_uri") != s.URL+"/authorize/demo" {
				t.Errorf("the honest provider got its own secret, or another callback: %s", r.Body)
			}
		}
	})
	t.Run("a token endpoint that changes while the browser is away", func(t *testing.T) {
		t.Parallel()
		s, honest := two(t, func(*site, *authtest.Provider, map[string]any) {})
		callback := s.begin("/login/demo")
		s.idp.EditMetadata(func(m map[string]any) { m["token_endpoint"] = honest.URL(authtest.Token) })
		s.clock.Advance(9 * time.Minute)
		again := newSite(t, func(_ *site, o *ginauth.Options) { // the same application after a restart
			o.BaseURL, o.Providers = s.URL, []ginauth.Provider{client("demo", s.idp)}
			o.Now = s.clock.Now
		})
		r, err := http.NewRequest("GET", again.URL+callback.RequestURI(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.browser.Cookies(s.URL) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		p := again.must(again.newBrowser().Do(r))
		again.wantError(p, ginauth.ErrIssuerMismatch)
		if honest.Count(authtest.Token) != 0 || s.idp.Count(authtest.Token) != 0 {
			t.Error("the code went to a token endpoint")
		}
	})
}

func k8IssuerChanges(t *testing.T) {
	for name, change := range map[string]func(p *ginauth.Provider){
		"an issuer": func(*ginauth.Provider) {},
		"an issuer of many tenants": func(p *ginauth.Provider) {
			issuer := p.Issuer
			p.TokenIssuer = func(map[string]any) (string, error) { return issuer, nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) { change(&o.Providers[0]) })
			s.signIn()
			s.idp.EditMetadata(func(m map[string]any) {
				m["issuer"], m["token_endpoint"] = "https://evil.example", s.idp.EvilURL()
			})
			s.clock.Advance(25 * time.Hour)
			s.signIn() // with what is known; behind it the metadata is renewed
			eventually(t, func() bool { return strings.Contains(s.logs.String(), "https://evil.example") })
			s.clock.Advance(time.Minute)
			s.signIn()
			if s.idp.EvilRequests() != 0 {
				t.Error("the new token endpoint was used")
			}
			if !strings.Contains(s.logs.String(), "what is known stays in use") {
				t.Errorf("the log does not say what happened: %s", s.logs)
			}
		})
	}
}

// eventually waits for something that happens behind the requests.
func eventually(t testing.TB, done func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatal("it did not happen in ten seconds")
		}
	}
}

// spareKey is a published key that signs nothing here.
func spareKey(kid string) map[string]any {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		panic(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "x": text(point[1:33]), "y": text(point[33:])}
}

func k9KeySets(t *testing.T) {
	many := func(n int) (keys []map[string]any) {
		key := spareKey("")
		for i := range n {
			keys = append(keys, map[string]any{"kty": "EC", "crv": "P-256", "kid": fmt.Sprint("k", i), "x": key["x"], "y": key["y"]})
		}
		return keys
	}
	for name, c := range map[string]struct {
		edit func(keys []map[string]any) []map[string]any
		code ginauth.Code // "" if it is fine
	}{
		"99 keys before the one":  {func(keys []map[string]any) []map[string]any { return append(many(99), keys...) }, ""},
		"100 keys before the one": {func(keys []map[string]any) []map[string]any { return append(many(100), keys...) }, ginauth.ErrIDTokenInvalid},
		"10,000 keys":             {func(keys []map[string]any) []map[string]any { return append(keys, many(10_000)...) }, ginauth.ErrProviderUnavailable},
		"10,000 small keys":       {func(keys []map[string]any) []map[string]any { return append(keys, make([]map[string]any, 10_000)...) }, ""},
		"10 MB": {func(keys []map[string]any) []map[string]any {
			return append(keys, map[string]any{"kty": "EC", "padding": strings.Repeat("x", 10<<20)})
		}, ginauth.ErrProviderUnavailable},
		"just above 512 KB": {func(keys []map[string]any) []map[string]any {
			return append(keys, map[string]any{"kty": "EC", "padding": strings.Repeat("x", 512<<10)})
		}, ginauth.ErrProviderUnavailable},
		"just below 512 KB": {func(keys []map[string]any) []map[string]any {
			return append(keys, map[string]any{"kty": "EC", "padding": strings.Repeat("x", 510<<10)})
		}, ""},
		"the private half too": {func(keys []map[string]any) []map[string]any {
			keys[0]["d"] = "c2VjcmV0"
			return keys
		}, ginauth.ErrIDTokenInvalid},
		"a symmetric key of the same name before it": {func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{{"kty": "oct", "kid": keys[0]["kid"], "k": "c2VjcmV0"}}, keys...)
		}, ""},
		"a symmetric key alone": {func(keys []map[string]any) []map[string]any {
			return []map[string]any{{"kty": "oct", "kid": keys[0]["kid"], "k": "c2VjcmV0"}}
		}, ginauth.ErrIDTokenInvalid},
		"keys that nobody can use around it": {func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, {"kty": "RSA"}, {"kty": 7}, nil}, keys...)
		}, ""},
		"none":    {func([]map[string]any) []map[string]any { return nil }, ginauth.ErrIDTokenInvalid},
		"garbage": {func([]map[string]any) []map[string]any { return []map[string]any{{"keys": "x"}} }, ginauth.ErrIDTokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.EditJWKS(c.edit) })
			callback := s.begin("/login/demo")
			p := s.finish(callback)
			if c.code == "" {
				if s.user() == nil {
					t.Errorf("nobody is signed in: %d %s\n%s", p.Status, p.Text(), s.logs)
				}
				return
			}
			s.failsClosed(t, p, closed{code: c.code, tokens: 1, hide: callback.Query()["code"]})
		})
	}
}

func k10SingleFlight(t *testing.T) {
	s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.Fail(authtest.Discovery, authtest.Down) })
	hundred := func() (statuses map[int]int) {
		statuses = map[int]int{}
		var mu sync.Mutex
		var group sync.WaitGroup
		for range 100 {
			b := s.newBrowser()
			group.Go(func() {
				p, err := b.Open(s.URL + "/login/demo")
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				statuses[p.Status]++
			})
		}
		group.Wait()
		return statuses
	}
	if got := hundred(); got[http.StatusBadGateway] != 100 {
		t.Errorf("the answers were %v", got)
	}
	if n := s.idp.Count(authtest.Discovery); n != 1 {
		t.Errorf("a provider that is down was asked %d times at once", n)
	}
	s.idp.Heal()
	s.clock.Advance(5*time.Second + time.Millisecond)
	s.idp.Reset()
	if got := hundred(); got[http.StatusSeeOther] != 100 {
		t.Errorf("the answers were %v", got)
	}
	if n := s.idp.Count(authtest.Discovery); n != 1 {
		t.Errorf("there were %d discoveries", n)
	}
}

func k11Defaults(t *testing.T) {
	was, wasClient := http.DefaultTransport, http.DefaultClient.Transport
	http.DefaultTransport, http.DefaultClient.Transport = failing{}, failing{}
	defer func() { http.DefaultTransport, http.DefaultClient.Transport = was, wasClient }()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	s.signIn()
}

// watched is an application's transport: it sees what comes through.
type watched struct {
	http.RoundTripper
	requests, late atomic.Int64
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	if until, ok := r.Context().Deadline(); !ok || time.Until(until) > 10*time.Second {
		w.late.Add(1)
	}
	return w.RoundTripper.RoundTrip(r)
}

func k12HTTPClient(t *testing.T) {
	t.Run("gets our limits", func(t *testing.T) {
		t.Parallel()
		w := &watched{RoundTripper: &http.Transport{}}
		own := &http.Client{Transport: w}
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.HTTPClient = own
			o.Providers[0].Userinfo = "always"
		})
		s.signIn()
		if w.requests.Load() != 4 || w.late.Load() != 0 {
			t.Errorf("of %d requests, %d had no deadline within ten seconds", w.requests.Load(), w.late.Load())
		}
		if own.CheckRedirect != nil || own.Timeout != 0 || own.Transport != w {
			t.Errorf("the application's client was changed: %+v", own)
		}
	})
	for _, f := range []authtest.Fault{authtest.Redirecting, authtest.Redirecting307, authtest.Oversized, authtest.Endless} {
		for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
			t.Run(string(e)+" answers with "+string(f), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, func(s *site, o *ginauth.Options) {
					o.HTTPClient = &http.Client{Transport: &http.Transport{}}
					o.Providers[0].Userinfo = "always"
					s.idp.Fail(e, f)
				})
				p := s.get("/login/demo")
				s.wantError(p, ginauth.ErrProviderUnavailable)
				if s.user() != nil || s.idp.EvilRequests() != 0 {
					t.Errorf("signed in, or %d redirects followed", s.idp.EvilRequests())
				}
			})
		}
	}
	t.Run("that panics fails its request, not the process", func(t *testing.T) {
		t.Parallel()
		var calm atomic.Bool
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if !calm.Load() || strings.HasSuffix(r.URL.Path, "jwks") {
					panic("a transport of the application")
				}
				return http.DefaultTransport.RoundTrip(r)
			})}
		})
		s.wantError(s.open("/login/demo"), ginauth.ErrProviderUnavailable)
		calm.Store(true)
		s.clock.Advance(6 * time.Second)
		s.wantError(s.get("/login/demo"), ginauth.ErrProviderUnavailable)
		if !strings.Contains(s.logs.String(), "panic: a transport of the application") {
			t.Errorf("the log does not tell of the panic: %s", s.logs)
		}
	})
	t.Run("that answers nonsense", func(t *testing.T) {
		t.Parallel()
		for name, answer := range map[string]func() (*http.Response, error){
			"nothing":  func() (*http.Response, error) { return nil, nil },
			"an error": func() (*http.Response, error) { return nil, errors.New("no") },
			"no body":  func() (*http.Response, error) { return &http.Response{StatusCode: 200}, nil },
			"no header": func() (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("{}"))}, nil
			},
			"a status 0": func() (*http.Response, error) { return &http.Response{Body: http.NoBody, Header: http.Header{}}, nil },
		} {
			s := newSite(t, func(_ *site, o *ginauth.Options) {
				o.HTTPClient = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return answer() })}
			})
			p := s.open("/login/demo")
			if p.Status != http.StatusBadGateway {
				t.Errorf("%s: %d %s", name, p.Status, p.Text())
			}
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
