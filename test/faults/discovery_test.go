package faults

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsDiscovery(t *testing.T) {
	runFaults(t, []fault{
		{"K1_metadata_of_another_issuer", k1MetadataOfAnotherIssuer},
		{"K2_endpoints_that_are_none", k2EndpointsThatAreNone},
		{"K4_metadata_that_is_none", k4MetadataThatIsNone},
		{"K7_mix_up_by_metadata", k7MixUpByMetadata},
		{"K8_metadata_changes_its_issuer", k8MetadataChangesItsIssuer},
		{"K10_one_discovery_for_a_hundred", k10OneDiscoveryForAHundred},
	})
}

// An attacker who runs one of two providers tries to obtain codes for the other, or access to
// its users' accounts (RFC 9700, section 4.4).
func k7MixUpByMetadata(t *testing.T) {
	two := func(t *testing.T, mix func(s *sitetest.Site, honest *authtest.Provider, metadata map[string]any)) (*sitetest.Site, *authtest.Provider) {
		var honest *authtest.Provider
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			honest = sitetest.StartProvider(t, authtest.Config{
				Addr: "honest.localhost:0", ClientID: s.IDP.ClientID, ClientSecret: "the honest provider's secret", Now: s.Clock.Now,
				RedirectURIs: []string{s.URL + "/authorize/honest", s.URL + "/authorize/demo"},
			})
			o.HTTPClient = honest.HTTPClient()
			o.Providers = append(o.Providers, sitetest.Client("honest", honest))
			s.IDP.EditMetadata(func(m map[string]any) { mix(s, honest, m) })
		})
		return s, honest
	}
	t.Run("the honest authorization endpoint with an own token endpoint", func(t *testing.T) {
		t.Parallel()
		s, honest := two(t, func(_ *sitetest.Site, honest *authtest.Provider, m map[string]any) {
			m["authorization_endpoint"] = honest.URL(authtest.Authorize)
		})
		callback := s.Begin("/login/demo")
		if honest.Count(authtest.Authorize) != 1 || !callback.Query().Has("code") {
			t.Fatalf("the attack did not take place: %s", callback)
		}
		s.FailsClosed(t, s.Finish(callback), sitetest.Closed{Code: ginauth.ErrIssuerMismatch, Hide: callback.Query()["code"]})
		s.Finish(sitetest.AtPath(callback, "/authorize/honest")) // the code at the honest provider's callback instead
		if s.User() != nil || honest.Count(authtest.Token) != 0 || s.IDP.Count(authtest.Token) != 0 {
			t.Error("the code was sent to a token endpoint")
		}
	})
	t.Run("and the honest provider knows nothing of iss", func(t *testing.T) {
		t.Parallel()
		s, honest := two(t, func(_ *sitetest.Site, honest *authtest.Provider, m map[string]any) {
			m["authorization_endpoint"] = honest.URL(authtest.Authorize)
		})
		honest.EditAnswer(func(answer url.Values) { delete(answer, "iss") })
		callback := s.Begin("/login/demo")
		s.FailsClosed(t, s.Finish(callback), sitetest.Closed{Code: ginauth.ErrIssuerMismatch, Hide: callback.Query()["code"]})
	})
	t.Run("the honest token endpoint", func(t *testing.T) {
		t.Parallel()
		s, honest := two(t, func(_ *sitetest.Site, honest *authtest.Provider, m map[string]any) {
			m["token_endpoint"] = honest.URL(authtest.Token)
		})
		p := s.Get("/login/demo")
		if p.Status < 400 || s.User() != nil {
			t.Errorf("%s responded %d: %s", p.URL.Path, p.Status, p.Text())
		}
		for _, r := range honest.Requests(authtest.Token) {
			if strings.Contains(string(r.Body)+r.Header.Get("Authorization"), "honest") || r.Form.Get("redirect_uri") != s.URL+"/authorize/demo" {
				t.Errorf("the honest provider got its own secret, or another callback: %s", r.Body)
			}
		}
	})
	t.Run("a token endpoint that changes while the browser is away", func(t *testing.T) {
		t.Parallel()
		s, honest := two(t, func(*sitetest.Site, *authtest.Provider, map[string]any) {})
		callback := s.Begin("/login/demo")
		s.IDP.EditMetadata(func(m map[string]any) { m["token_endpoint"] = honest.URL(authtest.Token) })
		s.Clock.Advance(9 * time.Minute)
		again := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { // the same application after a restart
			o.BaseURL, o.Providers = s.URL, []ginauth.Provider{sitetest.Client("demo", s.IDP)}
			o.Now = s.Clock.Now
		})
		r, err := http.NewRequest("GET", again.URL+callback.RequestURI(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Browser.Cookies(s.URL) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		p := again.Must(again.NewBrowser().Do(r))
		again.WantError(p, ginauth.ErrIssuerMismatch)
		if honest.Count(authtest.Token) != 0 || s.IDP.Count(authtest.Token) != 0 {
			t.Error("the code was sent to a token endpoint")
		}
	})
}

func k8MetadataChangesItsIssuer(t *testing.T) {
	for name, change := range map[string]func(p *ginauth.Provider){
		"an issuer": func(*ginauth.Provider) {},
		"an issuer of many tenants": func(p *ginauth.Provider) {
			issuer := p.Issuer
			p.TokenIssuer = func(map[string]any) (string, error) { return issuer, nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { change(&o.Providers[0]) })
			s.SignIn()
			s.IDP.EditMetadata(func(m map[string]any) {
				m["issuer"], m["token_endpoint"] = "https://evil.example", s.IDP.EvilURL()
			})
			s.Clock.Advance(25 * time.Hour)
			s.SignIn() // with cached metadata, which is renewed in the background
			sitetest.Eventually(t, func() bool { return strings.Contains(s.Logs.String(), "https://evil.example") })
			s.Clock.Advance(time.Minute)
			s.SignIn()
			if s.IDP.EvilRequests() != 0 {
				t.Error("the new token endpoint was used")
			}
			if len(s.Logs.Lines("WARN", "discovery.not_renewed")) == 0 {
				t.Errorf("the log does not say what happened: %s", s.Logs)
			}
		})
	}
}

func k10OneDiscoveryForAHundred(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(authtest.Discovery, authtest.Down) })
	hundred := func() (statuses map[int]int) {
		statuses = map[int]int{}
		var mu sync.Mutex
		var group sync.WaitGroup
		for range 100 {
			b := s.NewBrowser()
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
		t.Errorf("the responses were %v", got)
	}
	if n := s.IDP.Count(authtest.Discovery); n != 1 {
		t.Errorf("a provider that is down was called %d times at once", n)
	}
	s.IDP.Heal()
	s.Clock.Advance(5*time.Second + time.Millisecond)
	s.IDP.Reset()
	if got := hundred(); got[http.StatusSeeOther] != 100 {
		t.Errorf("the responses were %v", got)
	}
	if n := s.IDP.Count(authtest.Discovery); n != 1 {
		t.Errorf("there were %d discoveries", n)
	}
}

// misconfigured asserts that no user can sign in with a provider's metadata, that Warm returns
// the error with this ID, and that the error contains these names.
func misconfigured(t *testing.T, s *sitetest.Site, id string, names ...string) {
	t.Helper()
	s.FailsClosed(t, s.Open("/login/demo"), sitetest.Closed{Code: ginauth.ErrProviderMisconfigured})
	if s.HasCookie("-a-") {
		t.Error("an attempt was begun")
	}
	err := s.Auth.Warm(t.Context())
	e, ok := errors.AsType[*ginauth.Error](err)
	if !ok || e.ID != id || e.Provider != "demo" || e.Op != "discovery" {
		t.Fatalf("Warm returns %v, want %s", err, id)
	}
	sitetest.WantNames(t, err.Error(), names...)
	sitetest.WantID(t, s.Logs.String(), id)
	for _, name := range names {
		sitetest.WantNames(t, s.Logs.String(), strings.ReplaceAll(name, `"`, `\"`))
	}
}

func metadataSite(t *testing.T, edit func(metadata map[string]any)) *sitetest.Site {
	t.Helper()
	return sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.EditMetadata(edit) })
}

func k1MetadataOfAnotherIssuer(t *testing.T) {
	const mismatch = "discovery.issuer_mismatch"
	for name, c := range map[string]struct {
		issuer func(own string) any
		id     string
		name   string // that the error has
	}{
		"a slash more": {func(own string) any { return own + "/" }, mismatch, "final /"},
		"another case": {func(own string) any { return strings.Replace(own, "http://", "HTTP://", 1) }, mismatch, "set Issuer to \"HTTP://"},
		"another path": {func(own string) any { return own + "/realms/demo" }, mismatch, "/realms/demo\""},
		"another host": {func(string) any { return "https://login.example.com" }, mismatch, "AuthorizeURL"},
		"many tenants": {func(own string) any { return own + "/{tenantid}/v2.0" }, mismatch, "many tenants"},
		"nothing":      {func(string) any { return nil }, "discovery.issuer_missing", ""},
		"no text":      {func(string) any { return 7 }, "discovery.issuer_missing", ""},
		"a long one":   {func(own string) any { return own + strings.Repeat("/x", 5000) }, mismatch, "/x/x/x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditMetadata(func(m map[string]any) { m["issuer"] = c.issuer(s.IDP.Issuer) })
			})
			misconfigured(t, s, c.id, c.name)
			if n := len(s.Logs.String()); n > 8000 {
				t.Errorf("the log has %d bytes", n)
			}
		})
	}
}

func k2EndpointsThatAreNone(t *testing.T) {
	endpoints := []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"}
	for name, address := range map[string]any{
		"javascript":            "javascript:alert(document.cookie)",
		"javascript_and_a_host": "javascript://idp.example/%0aalert(1)",
		"data":                  "data:text/html,<script>alert(1)</script>",
		"file":                  "file:///etc/passwd",
		"http":                  "http://idp.example/x",
		"a user":                "https://evil:secret@idp.example/x",
		"a fragment":            "https://idp.example/x#y",
		"cloud metadata":        "http://169.254.169.254/latest/meta-data",
		"cloud metadata, https": "https://169.254.169.254/latest/meta-data",
		"cloud metadata, IPv6":  "https://[fe80::a9fe:a9fe]/",
		"to listen on":          "https://0.0.0.0/",
		"a relative address":    "/token",
		"white space":           " https://idp.example/x",
		"dot segments":          "https://idp.example/a/../b",
	} {
		for _, endpoint := range endpoints {
			t.Run(name+"/"+endpoint, func(t *testing.T) {
				t.Parallel()
				misconfigured(t, metadataSite(t, func(m map[string]any) { m[endpoint] = address }), "discovery.endpoint_invalid", endpoint)
			})
		}
	}
	t.Run("http on loopback, from https", func(t *testing.T) {
		t.Parallel()
		// A provider must not name an endpoint on this machine.
		s := sitetest.NewTLS(t, func(s *sitetest.Site, _ *ginauth.Options) {
			s.IDP.EditMetadata(func(m map[string]any) { m["token_endpoint"] = "http://127.0.0.1:2375/token" })
		})
		misconfigured(t, s, "discovery.endpoint_invalid", "token_endpoint")
	})
	t.Run("userinfo with the secret of another in its address", func(t *testing.T) {
		t.Parallel()
		s := metadataSite(t, func(m map[string]any) { m["userinfo_endpoint"] = "https://me:hunter2hunter2@idp.example/" })
		misconfigured(t, s, "discovery.endpoint_invalid", "userinfo_endpoint")
		if strings.Contains(s.Logs.String(), "hunter2") {
			t.Error("the log has the password")
		}
	})
}

func k4MetadataThatIsNone(t *testing.T) {
	for _, field := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
		t.Run("no "+field, func(t *testing.T) {
			t.Parallel()
			misconfigured(t, metadataSite(t, func(m map[string]any) { delete(m, field) }), "discovery.endpoint_missing", field)
		})
	}
	for name, value := range map[string]any{"number": 7, "list": []string{"https://idp.example/x"}, "object": map[string]any{"a": 1}, "bool": true} {
		for _, field := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"} {
			t.Run(field+" is a "+name, func(t *testing.T) {
				t.Parallel()
				misconfigured(t, metadataSite(t, func(m map[string]any) { m[field] = value }), "discovery.endpoint_missing", field)
			})
		}
	}
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		s := metadataSite(t, func(m map[string]any) {
			delete(m, "token_endpoint")
			m["jwks_uri"] = "file:///etc/passwd"
			m["id_token_signing_alg_values_supported"] = []string{"HS256"}
			m["token_endpoint_auth_methods_supported"] = []string{"tls_client_auth"}
		})
		err := s.Auth.Warm(t.Context())
		for _, text := range []string{"token_endpoint", "jwks_uri", `"HS256"`, `"tls_client_auth"`} {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("Warm does not say %q: %v", text, err)
			}
		}
	})
	t.Run("null is nothing", func(t *testing.T) {
		t.Parallel()
		metadataSite(t, func(m map[string]any) { m["userinfo_endpoint"] = nil }).SignIn()
	})
	for name, c := range badMetadata() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Handle(authtest.Discovery, c.answer) })
			p := s.Open("/login/demo")
			s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrProviderUnavailable})
			if p.Header.Get("Retry-After") != "5" {
				t.Errorf("Retry-After is %q", p.Header.Get("Retry-After"))
			}
			sitetest.WantID(t, s.Logs.String(), c.id)
			sitetest.WantNames(t, s.Logs.String(), c.name)
			s.IDP.Handle(authtest.Discovery, nil)
			s.Clock.Advance(6 * time.Second)
			s.SignIn()
			if s.IDP.EvilRequests() != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

type badAnswer struct {
	answer http.HandlerFunc
	id     string
	name   string // that the log has
}

func badMetadata() map[string]badAnswer {
	body := func(contentType, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, text)
		}
	}
	const object = "application/json"
	return map[string]badAnswer{
		"5 MB":                 {body(object, `{"padding":"`+strings.Repeat("x", 5<<20)+`"}`), "http.too_large", ""},
		"HTML":                 {body("text/html", "<!DOCTYPE html><p>Welcome"), "http.media_type", "text/html"},
		"HTML called JSON":     {body(object, "<!DOCTYPE html><p>Welcome"), "http.unusable", "JSON"},
		"404":                  {http.NotFound, "http.not_found", ""},
		"401":                  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "http.status", "401"},
		"204":                  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "http.status", "204"},
		"a redirect to itself": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/evil", 302) }, "http.redirect", "another path"},
		"a permanent redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/evil", 308) }, "http.redirect", "another path"},
		"nothing":              {body(object, ""), "http.unusable", "JSON"},
		"a list":               {body(object, `[{"issuer":"x"}]`), "http.unusable", "JSON"},
		"half of it":           {body(object, `{"issuer":"http://`), "http.unusable", "JSON"},
		"two of them":          {body(object, `{}{}`), "http.unusable", "JSON"},
		"issuer twice":         {body(object, `{"issuer":"a","issuer":"b"}`), "http.unusable", "JSON"},
		"no UTF-8":             {body(object, "{\"issuer\":\"\xff\"}"), "http.unusable", "JSON"},
		"no media type":        {func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; fmt.Fprint(w, "{}") }, "http.media_type", ""},
	}
}
