package faults

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsNetwork(t *testing.T) {
	runFaults(t, []fault{
		{"C1_redirect", c1Redirect},
		{"C2_one_post_per_code", c2OnePostPerCode},
		{"C2_the_body_that_would_be_sent_again", c2TheBodyThatWouldBeSentAgain},
		{"C16_too_large_or_too_slow", c16TooLargeOrTooSlow},
		{"C17_gzip", c17Gzip},
		{"C18_tls", c18Tls},
		{"C21_the_request", c21TheRequest},
		{"C25_cookies", c25Cookies},
		{"K11_the_process_defaults_are_not_used", k11TheProcessDefaultsAreNotUsed},
		{"K12_the_applications_http_client", k12TheApplicationsHttpClient},
	})
}

func c2OnePostPerCode(t *testing.T) {
	impatient := func(_ *sitetest.Site, o *ginauth.Options) { o.HTTPClient = sitetest.QuickClient(time.Second) }
	for name, tt := range map[string]struct {
		code ginauth.Code
		set  func(idp *authtest.Provider)
	}{
		"400": {ginauth.ErrBadTokenResponse, func(idp *authtest.Provider) { idp.Handle(authtest.Token, sitetest.AnswerWith(400, "text/plain", "no")) }},
		"401": {ginauth.ErrProviderMisconfigured, func(idp *authtest.Provider) {
			idp.Handle(authtest.Token, sitetest.AnswerWith(401, "application/json", `{"error":"invalid_client"}`))
		}},
		"500":     {ginauth.ErrProviderUnavailable, func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.ServerError) }},
		"503":     {ginauth.ErrProviderUnavailable, func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.Down) }},
		"a hang":  {ginauth.ErrProviderTimeout, func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.Hanging) }},
		"a reset": {ginauth.ErrProviderUnavailable, func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.Resetting) }},
		"invalid_code": {ginauth.ErrCodeRejected, func(idp *authtest.Provider) {
			idp.Handle(authtest.Token, sitetest.AnswerWith(400, "application/json", `{"error":"invalid_grant"}`))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, impatient)
			s.SignIn() // so that the next request uses an existing connection
			s.Browser = s.NewBrowser()
			tt.set(s.IDP)
			callback := s.Begin("/login/demo")
			p := s.Finish(callback)
			s.FailsClosed(t, p, sitetest.Closed{Code: tt.code, Tokens: 2})
			again := s.Finish(callback)
			s.FailsClosed(t, again, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 2})
		})
	}
}

// A request that net/http repeats, because its connection was closed, has the same body.
func c2TheBodyThatWouldBeSentAgain(t *testing.T) {
	t.Parallel()
	var sent, again []byte
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Quirks.EditToken = func(form, _ url.Values) { form.Set("resource", "https://api.example") }
		o.HTTPClient = &http.Client{Transport: sitetest.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				sent, _ = io.ReadAll(r.Body)
				body, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				again, _ = io.ReadAll(body)
				r.Body, _ = r.GetBody()
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
	})
	s.AcceptsSignIn(t, "/login/demo")
	if !bytes.Contains(sent, []byte("resource=")) || !bytes.Equal(sent, again) {
		t.Errorf("sent %q, then %q", sent, again)
	}
}

// c16TooLargeOrTooSlow waits half a second for a response that never ends; package fetch tests
// the default limit of ten seconds.
func c16TooLargeOrTooSlow(t *testing.T) {
	for name, tt := range map[string]struct {
		fault authtest.Fault
		code  ginauth.Code
		id    string
	}{
		"without an end":           {authtest.Endless, ginauth.ErrProviderUnavailable, "http.too_large"},
		"a byte now and then":      {authtest.Dripping, ginauth.ErrProviderTimeout, "http.timeout"},
		"not even a header":        {authtest.Hanging, ginauth.ErrProviderTimeout, "http.timeout"},
		"the connection was reset": {authtest.Resetting, ginauth.ErrProviderUnavailable, "http.network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.HTTPClient = sitetest.QuickClient(2 * time.Second) })
			s.IDP.Fail(authtest.Token, tt.fault)
			start := time.Now()
			s.RefusesSignIn(t, "/login/demo", tt.code, tt.id, 1)
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	t.Run("a header and then nothing", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.HTTPClient = sitetest.QuickClient(time.Second) })
		s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderTimeout, "http.timeout", 1)
	})
	t.Run("just over a mebibyte", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		sitetest.EditAnswer(s, authtest.Token, func(a *sitetest.Answer) { a.Body = padded(a.Body, 1<<20+1) })
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, "http.too_large", 1)
	})
	t.Run("a mebibyte", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		sitetest.EditAnswer(s, authtest.Token, func(a *sitetest.Answer) { a.Body = padded(a.Body, 1<<20) })
		s.AcceptsSignIn(t, "/login/demo")
	})
}

// padded returns a JSON object with that many bytes.
func padded(object string, size int) string {
	object = strings.TrimSpace(object)
	return sitetest.Adding(`"x":"` + strings.Repeat("x", size-len(object)-len(`,"x":""`)) + `"`)(object)
}

// c17Gzip is not parallel, since it counts the allocations of the process.
func c17Gzip(t *testing.T) {
	s := sitetest.New(t, nil)
	callback := s.Begin("/login/demo")
	s.IDP.Fail(authtest.Token, authtest.Oversized)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p := s.Finish(callback)
	runtime.ReadMemStats(&after)
	s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrProviderUnavailable, Tokens: 1})
	if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
		t.Errorf("%d MB were allocated for it", got>>20)
	}
	if !strings.Contains(s.Logs.String(), "id=http.too_large ") {
		t.Errorf("the log does not say what happened:\n%s", s.Logs)
	}
	t.Run("that is honest", func(t *testing.T) {
		s := sitetest.New(t, nil)
		s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			own := httptest.NewRecorder()
			s.IDP.Default(authtest.Token).ServeHTTP(own, r)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			_, _ = z.Write(own.Body.Bytes())
		})
		s.AcceptsSignIn(t, "/login/demo")
	})
}

// c18Tls puts the token endpoint behind invalid certificates, and makes the client trust their
// issuer: each has exactly one fault.
func c18Tls(t *testing.T) {
	good := func(*x509.Certificate) {}
	for _, tt := range []struct {
		name     string
		template func(*x509.Certificate)
		trusted  bool   // by RootCAs
		skip     bool   // InsecureSkipVerify, which must not help
		id       string // of the error; "" if the sign-in succeeds
	}{
		{"good", good, true, false, ""},
		{"self-signed", good, false, false, "http.certificate"},
		{"self-signed, and verification switched off", good, false, true, "http.certificate"},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, true, false, "http.certificate_expired"},
		{"not valid yet", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, true, false, "http.certificate_expired"},
		{"for another host", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }, true, false, "http.certificate_host"},
		{"for another host, and verification switched off", func(c *x509.Certificate) { c.IPAddresses = nil }, true, true, "http.certificate_host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cert := certificate(t, tt.template)
			roots := x509.NewCertPool()
			if tt.trusted {
				roots.AddCert(cert.Leaf)
			}
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				endpoint := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s.IDP.Default(authtest.Token).ServeHTTP(w, r)
				}))
				endpoint.Config.ErrorLog = nil
				endpoint.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
				endpoint.StartTLS()
				t.Cleanup(endpoint.Close)
				o.Providers[0].TokenURL = endpoint.URL + "/token"
				o.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, InsecureSkipVerify: tt.skip}}}
			})
			if tt.id == "" {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, tt.id, 0)
		})
	}
}

func certificate(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(2 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func c21TheRequest(t *testing.T) {
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].AuthMethod, o.Providers[0].Userinfo = method, "always"
				o.Providers[0].Quirks.Header = map[string]string{"X-Wanted": "yes"}
			})
			s.Browser.Header = http.Header{"X-Own": {"1"}, "Authorization": {"Bearer of-the-browser"}, "Accept-Language": {"en"}}
			s.AcceptsSignIn(t, "/login/demo")
			token, info := s.IDP.LastRequest(authtest.Token), s.IDP.LastRequest(authtest.Userinfo)
			allowed := []string{"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "User-Agent", "X-Wanted"}
			for _, r := range []authtest.Request{token, info, s.IDP.LastRequest(authtest.Discovery), s.IDP.LastRequest(authtest.JWKS)} {
				for name := range r.Header {
					if !slices.Contains(allowed, name) {
						t.Errorf("%s was sent %s", r.URL.Path, name)
					}
				}
				if r.URL.RawQuery != "" || !strings.HasPrefix(r.Header.Get("User-Agent"), "ginauth/") || strings.Contains(r.Header.Get("Authorization"), "browser") {
					t.Errorf("%s was asked with query %q, agent %q", r.URL.Path, r.URL.RawQuery, r.Header.Get("User-Agent"))
				}
			}
			if token.Header.Get("X-Wanted") != "yes" || info.Header.Get("X-Wanted") != "yes" || s.IDP.LastRequest(authtest.JWKS).Header.Get("X-Wanted") != "" {
				t.Error("Provider.Header did not go where it should")
			}
			if token.Header.Get("Accept") != "application/json" || token.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || token.Method != "POST" {
				t.Errorf("the request is %s %v", token.Method, token.Header)
			}
			for name := range token.Form {
				if !slices.Contains([]string{"grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"}, name) {
					t.Errorf("the form has %s", name)
				}
			}
		})
	}
}

func c25Cookies(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
		s.IDP.Handle(e, func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "tracking", Value: "1", Path: "/"})
			s.IDP.Default(e).ServeHTTP(w, r)
		})
	}
	s.AcceptsSignIn(t, "/login/demo")
	s.AcceptsSignIn(t, "/login/demo")
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
		for _, r := range s.IDP.Requests(e) {
			if r.Header.Get("Cookie") != "" {
				t.Errorf("%s was sent the cookie %q", e, r.Header.Get("Cookie"))
			}
		}
	}
	for _, c := range s.Browser.Cookies(s.URL) {
		if c.Name == "tracking" {
			t.Errorf("the browser got %+v", c)
		}
	}
}

func c1Redirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, s.IDP.EvilURL(), status) })
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, "http.redirect", 1)
			if n := s.IDP.EvilRequests(); n != 0 {
				t.Errorf("the redirect was followed %d times", n)
			}
		})
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

func k11TheProcessDefaultsAreNotUsed(t *testing.T) {
	was, wasClient := http.DefaultTransport, http.DefaultClient.Transport
	http.DefaultTransport, http.DefaultClient.Transport = sitetest.Failing{}, sitetest.Failing{}
	defer func() { http.DefaultTransport, http.DefaultClient.Transport = was, wasClient }()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	s.SignIn()
}

// watched is an application's transport that records requests.
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

func k12TheApplicationsHttpClient(t *testing.T) {
	t.Run("gets our limits", func(t *testing.T) {
		t.Parallel()
		w := &watched{RoundTripper: &http.Transport{}}
		own := &http.Client{Transport: w}
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.HTTPClient = own
			o.Providers[0].Userinfo = "always"
		})
		s.SignIn()
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
				s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
					o.HTTPClient = &http.Client{Transport: &http.Transport{}}
					o.Providers[0].Userinfo = "always"
					s.IDP.Fail(e, f)
				})
				p := s.Get("/login/demo")
				s.WantError(p, ginauth.ErrProviderUnavailable)
				if s.User() != nil || s.IDP.EvilRequests() != 0 {
					t.Errorf("signed in, or %d redirects followed", s.IDP.EvilRequests())
				}
			})
		}
	}
	t.Run("that panics fails its request, not the process", func(t *testing.T) {
		t.Parallel()
		var calm atomic.Bool
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.HTTPClient = &http.Client{Transport: sitetest.RoundTripper(func(r *http.Request) (*http.Response, error) {
				if !calm.Load() || strings.HasSuffix(r.URL.Path, "jwks") {
					panic("a transport of the application")
				}
				return http.DefaultTransport.RoundTrip(r)
			})}
		})
		s.WantError(s.Open("/login/demo"), ginauth.ErrProviderUnavailable)
		calm.Store(true)
		s.Clock.Advance(6 * time.Second)
		s.WantError(s.Get("/login/demo"), ginauth.ErrProviderUnavailable)
		if !strings.Contains(s.Logs.String(), "panic: a transport of the application") {
			t.Errorf("the log does not tell of the panic: %s", s.Logs)
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
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.HTTPClient = &http.Client{Transport: sitetest.RoundTripper(func(*http.Request) (*http.Response, error) { return answer() })}
			})
			p := s.Open("/login/demo")
			if p.Status != http.StatusBadGateway {
				t.Errorf("%s: %d %s", name, p.Status, p.Text())
			}
		}
	})
}
