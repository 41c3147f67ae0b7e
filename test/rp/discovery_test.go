package rp

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// Mount makes no request, and the first sign-in makes at most one.
func TestDiscoveryIsLazyAndKept(t *testing.T) {
	s := sitetest.New(t, nil)
	if n := s.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("Mount called the provider %d times", n)
	}
	s.Get("/")
	s.Open("/login")
	if n := s.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("pages without a provider caused %d requests to it", n)
	}
	for range 3 {
		s.SignIn()
	}
	if n := s.IDP.Count(authtest.Discovery); n != 1 {
		t.Errorf("three sign-ins caused %d requests to the provider", n)
	}
}

// Many developers paste the URL of the discovery document as the issuer.
func TestTheDiscoveryAddressWorksAsIssuer(t *testing.T) {
	for _, end := range []string{"/.well-known/openid-configuration", "/.well-known/openid-configuration/"} {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Issuer += end })
		s.SignIn()
		if got := s.User().Issuer; got != s.IDP.Issuer {
			t.Errorf("%s: the user's issuer is %q, want %q", end, got, s.IDP.Issuer)
		}
	}
}

// Some issuers end with a slash, and their discovery URL has only one slash.
func TestAnIssuerThatEndsInASlash(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		slashed := s.IDP.Issuer + "/"
		o.Providers[0].Issuer = slashed
		s.IDP.EditMetadata(func(m map[string]any) { m["issuer"] = slashed })
		s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iss"] = slashed })
		s.IDP.EditAnswer(func(answer url.Values) { answer.Set("iss", slashed) })
	})
	s.SignIn()
	if got := s.IDP.LastRequest(authtest.Discovery).URL.Path; got != "/.well-known/openid-configuration" {
		t.Errorf("discovery requested %s", got)
	}
	if got := s.User().ID(); got != s.IDP.Issuer+"/#ada" {
		t.Errorf("the user is %s", got)
	}
}

// With all endpoints configured, there is no discovery; configured endpoints take precedence
// over discovered ones.
func TestEndpointsWrittenDownWin(t *testing.T) {
	t.Run("all of them", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			s.IDP.Fail(authtest.Discovery, authtest.Down)
			byHand(&o.Providers[0], s.IDP)
		})
		if err := s.Auth.Warm(t.Context()); err != nil {
			t.Error(err)
		}
		s.SignIn()
		if n := s.IDP.Count(authtest.Discovery); n != 0 {
			t.Errorf("there were %d discoveries", n)
		}
	})
	t.Run("one that is discovered wrongly", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			s.IDP.EditMetadata(func(m map[string]any) { m["token_endpoint"] = s.IDP.EvilURL() })
			o.Providers[0].TokenURL = s.IDP.URL(authtest.Token)
		})
		s.SignIn()
		if s.IDP.EvilRequests() != 0 || s.IDP.Count(authtest.Discovery) != 1 {
			t.Errorf("%d requests went to wrong addresses, %d discoveries", s.IDP.EvilRequests(), s.IDP.Count(authtest.Discovery))
		}
	})
	t.Run("one that is written down makes up for one that is missing", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			s.IDP.EditMetadata(func(m map[string]any) { m["jwks_uri"] = 7 })
			o.Providers[0].JWKSURL = s.IDP.URL(authtest.JWKS)
		})
		s.SignIn()
	})
}

func byHand(p *ginauth.Provider, idp *authtest.Provider) {
	p.AuthorizeURL, p.TokenURL = idp.URL(authtest.Authorize), idp.URL(authtest.Token)
	p.JWKSURL, p.UserinfoURL = idp.URL(authtest.JWKS), idp.URL(authtest.Userinfo)
}

// In containers a provider has two addresses: that of browsers, which is its issuer, and an
// internal one. Issuer has the former, the endpoints the latter.
func TestSplitHorizon(t *testing.T) {
	const outside = "https://login.example.com/realms/demo"
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Issuer = outside
		byHand(&o.Providers[0], s.IDP)
		s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iss"] = outside })
		s.IDP.EditAnswer(func(answer url.Values) { answer.Set("iss", outside) })
	})
	s.SignIn()
	if got := s.User().ID(); got != outside+"#ada" {
		t.Errorf("the user is %s", got)
	}
	// A token with the internal address has another issuer.
	s.IDP.EditIDToken(nil)
	s.WantError(s.Get("/login/demo"), ginauth.ErrIDTokenInvalid)
}

// inContainer is a site whose provider has a name that is not on loopback, over http, also as
// its issuer; edit changes its metadata.
func inContainer(t *testing.T, edit func(m map[string]any, base string)) *sitetest.Site {
	t.Helper()
	return sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		real, err := url.Parse(s.IDP.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		base := "http://keycloak:" + real.Port()
		s.IDP.EditMetadata(func(m map[string]any) {
			m["issuer"] = base
			for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"} {
				m[name] = strings.Replace(m[name].(string), s.IDP.Issuer, base, 1)
			}
			edit(m, base)
		})
		o.Providers[0].Issuer = base
		o.HTTPClient = &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, real.Host)
			},
		}}
	})
}

func TestHTTPEndpointsAreThoseOfAnHTTPIssuer(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(m map[string]any, base string)
		ok   bool
	}{
		"at its own host":     {func(map[string]any, string) {}, true},
		"people's, loopback":  {func(m map[string]any, _ string) { m["authorization_endpoint"] = "http://localhost:9000/authorize" }, true},
		"at another host":     {func(m map[string]any, _ string) { m["token_endpoint"] = "http://vault:8200/token" }, false},
		"at another port":     {func(m map[string]any, base string) { m["token_endpoint"] = base + "1/token" }, false},
		"over https anywhere": {func(m map[string]any, _ string) { m["token_endpoint"] = "https://login.example.com/token" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inContainer(t, c.edit)
			p := s.Open("/login/demo")
			if c.ok && p.Status != http.StatusSeeOther {
				t.Errorf("%d %s\n%s", p.Status, p.Text(), s.Logs)
			}
			if !c.ok {
				s.WantError(p, ginauth.ErrProviderMisconfigured)
			}
		})
	}
}

// A request that finds no metadata, and is overtaken by another whose discovery ends before the
// first one starts its own, must not cause a second discovery.
func TestNoSecondDiscoveryForWhoWasOvertaken(t *testing.T) {
	var overtake atomic.Pointer[func()]
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Now = func() time.Time {
			if f := overtake.Load(); f != nil && calledFrom("Client).cached") && overtake.CompareAndSwap(f, nil) {
				(*f)()
			}
			return s.Clock.Now()
		}
	})
	overtaken := false
	first := s.NewBrowser()
	f := func() {
		overtaken = true
		if p, err := first.Open(s.URL + "/login/demo"); err != nil || p.Status != http.StatusSeeOther {
			t.Errorf("%v %v", p, err)
		}
	}
	overtake.Store(&f)
	if p := s.Open("/login/demo"); p.Status != http.StatusSeeOther || !overtaken {
		t.Fatalf("%d %s, overtaken: %v", p.Status, p.Text(), overtaken)
	}
	if n := s.IDP.Count(authtest.Discovery); n != 1 {
		t.Errorf("there were %d discoveries", n)
	}
}

// calledFrom reports whether a function is among the callers.
func calledFrom(name string) bool {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, name) {
			return true
		}
		if !more {
			return false
		}
	}
}

// Metadata without an issuer is rejected, even if TokenIssuer determines the issuers of tokens.
func TestMetadataWithoutAnIssuer(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].TokenIssuer = func(map[string]any) (string, error) { return s.IDP.Issuer, nil }
		s.IDP.EditMetadata(func(m map[string]any) { delete(m, "issuer") })
	})
	s.WantError(s.Open("/login/demo"), ginauth.ErrProviderMisconfigured)
	if !strings.Contains(s.Logs.String(), "id=discovery.issuer_missing ") {
		t.Error(s.Logs)
	}
}

// With two of three endpoints configured, the third is discovered, whichever it is.
func TestEachEndpointIsDiscovered(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(p *ginauth.Provider){
		"authorize": func(p *ginauth.Provider) { p.AuthorizeURL = "" },
		"token":     func(p *ginauth.Provider) { p.TokenURL = "" },
		"keys":      func(p *ginauth.Provider) { p.JWKSURL = "" },
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				byHand(&o.Providers[0], s.IDP)
				forget(&o.Providers[0])
			})
			s.SignIn()
			if n := s.IDP.Count(authtest.Discovery); n != 1 {
				t.Errorf("discovery was called %d times", n)
			}
		})
	}
}

// fixed responds to every request with the same JSON.
type fixed string

func (f fixed) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(f)))}, nil
}

// A provider whose tokens are signed with the shared secret may offer only HS256; for any other
// this is an error.
func TestMetadataThatOffersTheSharedSecretAlone(t *testing.T) {
	t.Parallel()
	const issuer = "https://access.line.me"
	for _, shared := range []bool{true, false} {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: fixed(sitetest.JSON(sitetest.Claims{
				"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/keys",
				"id_token_signing_alg_values_supported": []string{"HS256"},
			}))}
			o.Providers[0].Issuer, o.Providers[0].Quirks.HS256 = issuer, shared
		})
		if err := s.Auth.Warm(t.Context()); (err == nil) != shared {
			t.Errorf("with HS256 %v: %v", shared, err)
		}
	}
}

// With two of three endpoints configured, the third is discovered.
func TestKeysAreDiscoveredWhereTheyAreNotWrittenDown(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].AuthorizeURL, o.Providers[0].TokenURL = s.IDP.URL(authtest.Authorize), s.IDP.URL(authtest.Token)
	})
	s.SignIn()
	if n := s.IDP.Count(authtest.Discovery); n != 1 {
		t.Errorf("discovery was called %d times", n)
	}
}
