package ginauth_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func c2OnePost(t *testing.T) {
	impatient := func(_ *site, o *ginauth.Options) { o.HTTPClient = quick(time.Second) }
	for name, tt := range map[string]struct {
		code ginauth.Code
		set  func(idp *authtest.Provider)
	}{
		"400": {ginauth.ErrBadTokenResponse, func(idp *authtest.Provider) { idp.Handle(authtest.Token, answers(400, "text/plain", "no")) }},
		"401": {ginauth.ErrProviderMisconfigured, func(idp *authtest.Provider) {
			idp.Handle(authtest.Token, answers(401, "application/json", `{"error":"invalid_client"}`))
		}},
		"500":     {ginauth.ErrProviderUnavailable, func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.ServerError) }},
		"503":     {ginauth.ErrProviderUnavailable, func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.Down) }},
		"a hang":  {ginauth.ErrProviderTimeout, func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.Hanging) }},
		"a reset": {ginauth.ErrProviderUnavailable, func(idp *authtest.Provider) { idp.Fail(authtest.Token, authtest.Resetting) }},
		"invalid_code": {ginauth.ErrCodeRejected, func(idp *authtest.Provider) {
			idp.Handle(authtest.Token, answers(400, "application/json", `{"error":"invalid_grant"}`))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, impatient)
			s.signIn() // so that the next request goes over a connection that was used before
			s.browser = s.newBrowser()
			tt.set(s.idp)
			callback := s.begin("/login/demo")
			p := s.finish(callback)
			s.failsClosed(t, p, closed{code: tt.code, tokens: 2})
			again := s.finish(callback)
			s.failsClosed(t, again, closed{code: ginauth.ErrStateInvalid, tokens: 2})
		})
	}
}

// c2SameBody: what net/http would send again, on a connection that turned out
// closed, is what was to be sent.
func c2SameBody(t *testing.T) {
	t.Parallel()
	var sent, again []byte
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Providers[0].Quirks.EditToken = func(form, _ url.Values) { form.Set("resource", "https://api.example") }
		o.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
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
	s.accepts(t, "/login/demo")
	if !bytes.Contains(sent, []byte("resource=")) || !bytes.Equal(sent, again) {
		t.Errorf("sent %q, then %q", sent, again)
	}
}

// c16Limits waits half a second for what would never end; that the limit is
// ten seconds where nothing else is said, package fetch tests.
func c16Limits(t *testing.T) {
	for name, tt := range map[string]struct {
		fault authtest.Fault
		code  ginauth.Code
	}{
		"without an end":           {authtest.Endless, ginauth.ErrProviderUnavailable},
		"a byte now and then":      {authtest.Dripping, ginauth.ErrProviderTimeout},
		"not even a header":        {authtest.Hanging, ginauth.ErrProviderTimeout},
		"the connection was reset": {authtest.Resetting, ginauth.ErrProviderUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) { o.HTTPClient = quick(2 * time.Second) })
			s.idp.Fail(authtest.Token, tt.fault)
			start := time.Now()
			s.refuses(t, "/login/demo", tt.code, "token endpoint", 1)
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	t.Run("a header and then nothing", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(_ *site, o *ginauth.Options) { o.HTTPClient = quick(time.Second) })
		s.idp.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		s.refuses(t, "/login/demo", ginauth.ErrProviderTimeout, "token endpoint", 1)
	})
	t.Run("just over a mebibyte", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		editAnswer(s, authtest.Token, func(a *answer) { a.body = padded(a.body, 1<<20+1) })
		s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "more than the limit", 1)
	})
	t.Run("a mebibyte", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		editAnswer(s, authtest.Token, func(a *answer) { a.body = padded(a.body, 1<<20) })
		s.accepts(t, "/login/demo")
	})
}

// padded makes a JSON object so many bytes long.
func padded(object string, size int) string {
	object = strings.TrimSpace(object)
	return adding(`"x":"` + strings.Repeat("x", size-len(object)-len(`,"x":""`)) + `"`)(object)
}

// c17Gzip runs by itself, since it counts what the process allocates.
func c17Gzip(t *testing.T) {
	s := newSite(t, nil)
	callback := s.begin("/login/demo")
	s.idp.Fail(authtest.Token, authtest.Oversized)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p := s.finish(callback)
	runtime.ReadMemStats(&after)
	s.failsClosed(t, p, closed{code: ginauth.ErrProviderUnavailable, tokens: 1})
	if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
		t.Errorf("%d MB were allocated for it", got>>20)
	}
	if !strings.Contains(s.logs.String(), "more than the limit") {
		t.Errorf("the log does not say what happened:\n%s", s.logs)
	}
	t.Run("that is honest", func(t *testing.T) {
		s := newSite(t, nil)
		s.idp.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			own := httptest.NewRecorder()
			s.idp.Default(authtest.Token).ServeHTTP(own, r)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			_, _ = z.Write(own.Body.Bytes())
		})
		s.accepts(t, "/login/demo")
	})
}

// c18TLS puts the token endpoint behind certificates that are not good, and
// tells the client to trust who issued them: all but one thing is right.
func c18TLS(t *testing.T) {
	good := func(*x509.Certificate) {}
	for _, tt := range []struct {
		name     string
		template func(*x509.Certificate)
		trusted  bool // by RootCAs
		skip     bool // InsecureSkipVerify, which must not help
		works    bool
	}{
		{"good", good, true, false, true},
		{"self-signed", good, false, false, false},
		{"self-signed, and verification switched off", good, false, true, false},
		{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, true, false, false},
		{"not valid yet", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, true, false, false},
		{"for another host", func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }, true, false, false},
		{"for another host, and verification switched off", func(c *x509.Certificate) { c.IPAddresses = nil }, true, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cert := certificate(t, tt.template)
			roots := x509.NewCertPool()
			if tt.trusted {
				roots.AddCert(cert.Leaf)
			}
			s := newSite(t, func(s *site, o *ginauth.Options) {
				endpoint := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s.idp.Default(authtest.Token).ServeHTTP(w, r)
				}))
				endpoint.Config.ErrorLog = nil
				endpoint.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
				endpoint.StartTLS()
				t.Cleanup(endpoint.Close)
				o.Providers[0].TokenURL = endpoint.URL + "/token"
				o.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, InsecureSkipVerify: tt.skip}}}
			})
			if tt.works {
				s.accepts(t, "/login/demo")
				return
			}
			s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "the provider's certificate is not trusted", 0)
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

func c21Request(t *testing.T) {
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) {
				o.Providers[0].AuthMethod, o.Providers[0].Userinfo = method, "always"
				o.Providers[0].Quirks.Header = map[string]string{"X-Wanted": "yes"}
			})
			s.browser.Header = http.Header{"X-Own": {"1"}, "Authorization": {"Bearer of-the-browser"}, "Accept-Language": {"en"}}
			s.accepts(t, "/login/demo")
			token, info := s.idp.LastRequest(authtest.Token), s.idp.LastRequest(authtest.Userinfo)
			allowed := []string{"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "User-Agent", "X-Wanted"}
			for _, r := range []authtest.Request{token, info, s.idp.LastRequest(authtest.Discovery), s.idp.LastRequest(authtest.JWKS)} {
				for name := range r.Header {
					if !slices.Contains(allowed, name) {
						t.Errorf("%s was sent %s", r.URL.Path, name)
					}
				}
				if r.URL.RawQuery != "" || !strings.HasPrefix(r.Header.Get("User-Agent"), "ginauth/") || strings.Contains(r.Header.Get("Authorization"), "browser") {
					t.Errorf("%s was asked with query %q, agent %q", r.URL.Path, r.URL.RawQuery, r.Header.Get("User-Agent"))
				}
			}
			if token.Header.Get("X-Wanted") != "yes" || info.Header.Get("X-Wanted") != "yes" || s.idp.LastRequest(authtest.JWKS).Header.Get("X-Wanted") != "" {
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

func c22Echo(t *testing.T) {
	const secret, lettersOnly = "SECRETSECRET1234567890", "qCEAZREJcjWgcOZIlettersByChance"
	for name, a := range map[string]struct {
		status      int
		media, body string
		code        ginauth.Code
	}{
		"500":                     {500, "text/plain", "token=" + secret + "\nFAKE LOG", ginauth.ErrProviderUnavailable},
		"400":                     {400, "text/plain", "token=" + secret + "\nFAKE LOG", ginauth.ErrBadTokenResponse},
		"a page with status 200":  {200, "text/html", "token=" + secret + "\nFAKE LOG", ginauth.ErrBadTokenResponse},
		"JSON that is none":       {200, "application/json", `{"` + secret + `":FAKE LOG`, ginauth.ErrBadTokenResponse},
		"error_uri":               {400, "application/json", `{"error":"invalid_grant","error_uri":"https://idp.example/` + secret + `"}`, ginauth.ErrCodeRejected},
		"the error itself":        {400, "application/json", `{"error":"` + secret + `\nFAKE LOG"}`, ginauth.ErrProviderError},
		"the error, plausible":    {400, "application/json", `{"error":"invalid_code_` + secret + `"}`, ginauth.ErrProviderError},
		"letters alone":           {400, "application/json", `{"error":"` + lettersOnly + `"}`, ginauth.ErrProviderError},
		"a token type":            {200, "application/json", `{"access_token":"a","token_type":"` + secret + `"}`, ginauth.ErrBadTokenResponse},
		"an access token":         {200, "application/json", `{"access_token":"` + secret + ` FAKE LOG","token_type":"bearer"}`, ginauth.ErrBadTokenResponse},
		"an expiry":               {200, "application/json", `{"access_token":"a","id_token":"b","token_type":"bearer","expires_in":"` + secret + `"}`, ginauth.ErrBadTokenResponse},
		"an ID token":             {200, "application/json", `{"access_token":"a","id_token":"` + secret + `.FAKE LOG","token_type":"bearer"}`, ginauth.ErrIDTokenInvalid},
		"an ID token's algorithm": {200, "application/json", `{"access_token":"a","id_token":"` + b64([]byte(`{"alg":"X"}`)) + `.` + secret + `.` + secret + `","token_type":"bearer"}`, ginauth.ErrIDTokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.idp.Handle(authtest.Token, answers(a.status, a.media, a.body))
			s.refuses(t, "/login/demo", a.code, "", 1, secret, lettersOnly)
			if strings.Contains(s.logs.String(), "FAKE LOG") {
				t.Errorf("the log has what the answer said:\n%s", s.logs)
			}
		})
	}
	t.Run("the code, the secret and the verifier", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			text := r.Form.Encode() + " " + r.Header.Get("Authorization") + " " + s.idp.ClientSecret
			answers(400, "application/json", jsonOf(map[string]string{"error": r.Form.Get("code"), "error_description": text}))(w, r)
		})
		s.refuses(t, "/login/demo", ginauth.ErrProviderError, "", 1)
	})
}

func c24Encrypted(t *testing.T) {
	jwe := func(header string) rawCase {
		return rawCase{header, wrongForm, func(_ *site, c, _, _ string) string {
			body := base64.RawURLEncoding.EncodeToString([]byte(c))
			return b64([]byte(header)) + "." + b64(make([]byte, 64)) + "." + b64(make([]byte, 12)) + "." + body + "." + b64(make([]byte, 16))
		}}
	}
	rawCases(t, []rawCase{
		jwe(`{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT"}`),
		jwe(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAA"}`),
		jwe(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`),
		{"three parts and zip", oddHeader, func(s *site, _, header, payload string) string {
			return s.idp.SignRaw([]byte(adding(`"zip":"DEF"`)(header)), []byte(payload))
		}},
		{"three parts and enc", oddHeader, func(s *site, _, header, payload string) string {
			return s.idp.SignRaw([]byte(adding(`"enc":"A256GCM"`)(header)), []byte(payload))
		}},
	})
}

func c25Cookies(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
		s.idp.Handle(e, func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "tracking", Value: "1", Path: "/"})
			s.idp.Default(e).ServeHTTP(w, r)
		})
	}
	s.accepts(t, "/login/demo")
	s.accepts(t, "/login/demo")
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo} {
		for _, r := range s.idp.Requests(e) {
			if r.Header.Get("Cookie") != "" {
				t.Errorf("%s was sent the cookie %q", e, r.Header.Get("Cookie"))
			}
		}
	}
	for _, c := range s.browser.Cookies(s.URL) {
		if c.Name == "tracking" {
			t.Errorf("the browser got %+v", c)
		}
	}
}
