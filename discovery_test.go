package ginauth_test

import (
	"context"
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
)

// Mount asks nobody, and the first visitor no more than once.
func TestDiscoveryIsLazyAndKept(t *testing.T) {
	s := newSite(t, nil)
	if n := s.idp.Count(authtest.Discovery); n != 0 {
		t.Errorf("Mount asked the provider %d times", n)
	}
	s.get("/")
	s.open("/login")
	if n := s.idp.Count(authtest.Discovery); n != 0 {
		t.Errorf("pages that need no provider asked it %d times", n)
	}
	for range 3 {
		s.signIn()
	}
	if n := s.idp.Count(authtest.Discovery); n != 1 {
		t.Errorf("three sign-ins asked the provider %d times", n)
	}
}

// Many paste the address of the document in the issuer's place.
func TestTheDiscoveryAddressWorksAsIssuer(t *testing.T) {
	for _, end := range []string{"/.well-known/openid-configuration", "/.well-known/openid-configuration/"} {
		s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Issuer += end })
		s.signIn()
		if got := s.user().Issuer; got != s.idp.Issuer {
			t.Errorf("%s: the user's issuer is %q, want %q", end, got, s.idp.Issuer)
		}
	}
}

// Some issuers end in a slash, and their discovery address has one slash alone.
func TestAnIssuerThatEndsInASlash(t *testing.T) {
	s := newSite(t, func(s *site, o *ginauth.Options) {
		slashed := s.idp.Issuer + "/"
		o.Providers[0].Issuer = slashed
		s.idp.EditMetadata(func(m map[string]any) { m["issuer"] = slashed })
		s.idp.EditIDToken(func(_, claims map[string]any) { claims["iss"] = slashed })
		s.idp.EditAnswer(func(answer url.Values) { answer.Set("iss", slashed) })
	})
	s.signIn()
	if got := s.idp.LastRequest(authtest.Discovery).URL.Path; got != "/.well-known/openid-configuration" {
		t.Errorf("discovery asked %s", got)
	}
	if got := s.user().ID(); got != s.idp.Issuer+"/#ada" {
		t.Errorf("the user is %s", got)
	}
}

// With every endpoint written down, nothing is discovered; what is written down
// wins over what is discovered.
func TestEndpointsWrittenDownWin(t *testing.T) {
	t.Run("all of them", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(s *site, o *ginauth.Options) {
			s.idp.Fail(authtest.Discovery, authtest.Down)
			byHand(&o.Providers[0], s.idp)
		})
		if err := s.auth.Warm(t.Context()); err != nil {
			t.Error(err)
		}
		s.signIn()
		if n := s.idp.Count(authtest.Discovery); n != 0 {
			t.Errorf("there were %d discoveries", n)
		}
	})
	t.Run("one that is discovered wrongly", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(s *site, o *ginauth.Options) {
			s.idp.EditMetadata(func(m map[string]any) { m["token_endpoint"] = s.idp.EvilURL() })
			o.Providers[0].TokenURL = s.idp.URL(authtest.Token)
		})
		s.signIn()
		if s.idp.EvilRequests() != 0 || s.idp.Count(authtest.Discovery) != 1 {
			t.Errorf("%d requests went astray, %d discoveries", s.idp.EvilRequests(), s.idp.Count(authtest.Discovery))
		}
	})
	t.Run("one that is written down makes up for one that is missing", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(s *site, o *ginauth.Options) {
			s.idp.EditMetadata(func(m map[string]any) { m["jwks_uri"] = 7 })
			o.Providers[0].JWKSURL = s.idp.URL(authtest.JWKS)
		})
		s.signIn()
	})
}

func byHand(p *ginauth.Provider, idp *authtest.Provider) {
	p.AuthorizeURL, p.TokenURL = idp.URL(authtest.Authorize), idp.URL(authtest.Token)
	p.JWKSURL, p.UserinfoURL = idp.URL(authtest.JWKS), idp.URL(authtest.Userinfo)
}

// In containers a provider has two addresses: people's, which is its issuer,
// and ours. Issuer says the former, the endpoints the latter.
func TestSplitHorizon(t *testing.T) {
	const outside = "https://login.example.com/realms/demo"
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Providers[0].Issuer = outside
		byHand(&o.Providers[0], s.idp)
		s.idp.EditIDToken(func(_, claims map[string]any) { claims["iss"] = outside })
		s.idp.EditAnswer(func(answer url.Values) { answer.Set("iss", outside) })
	})
	s.signIn()
	if got := s.user().ID(); got != outside+"#ada" {
		t.Errorf("the user is %s", got)
	}
	// A token that names the inner address is another issuer's.
	s.idp.EditIDToken(nil)
	s.wantError(s.get("/login/demo"), ginauth.ErrIDTokenInvalid)
}

// inContainer is a site whose provider is reached, and calls itself, by a name
// that is not loopback, over http; its metadata is what edit makes of it.
func inContainer(t *testing.T, edit func(m map[string]any, base string)) *site {
	t.Helper()
	return newSite(t, func(s *site, o *ginauth.Options) {
		real, err := url.Parse(s.idp.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		base := "http://keycloak:" + real.Port()
		s.idp.EditMetadata(func(m map[string]any) {
			m["issuer"] = base
			for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"} {
				m[name] = strings.Replace(m[name].(string), s.idp.Issuer, base, 1)
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
			p := s.open("/login/demo")
			if c.ok && p.Status != http.StatusSeeOther {
				t.Errorf("%d %s\n%s", p.Status, p.Text(), s.logs)
			}
			if !c.ok {
				s.wantError(p, ginauth.ErrProviderMisconfigured)
			}
		})
	}
}

// A visitor who looks, finds nothing, and is then overtaken by another whose
// discovery ends before the first one asks, must not cause a second.
func TestNoSecondDiscoveryForWhoWasOvertaken(t *testing.T) {
	var overtake atomic.Pointer[func()]
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Now = func() time.Time {
			if f := overtake.Load(); f != nil && calledFrom("Client).cached") && overtake.CompareAndSwap(f, nil) {
				(*f)()
			}
			return s.clock.Now()
		}
	})
	overtaken := false
	first := s.newBrowser()
	f := func() {
		overtaken = true
		if p, err := first.Open(s.URL + "/login/demo"); err != nil || p.Status != http.StatusSeeOther {
			t.Errorf("%v %v", p, err)
		}
	}
	overtake.Store(&f)
	if p := s.open("/login/demo"); p.Status != http.StatusSeeOther || !overtaken {
		t.Fatalf("%d %s, overtaken: %v", p.Status, p.Text(), overtaken)
	}
	if n := s.idp.Count(authtest.Discovery); n != 1 {
		t.Errorf("there were %d discoveries", n)
	}
}

// calledFrom says whether a function is among the callers.
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
