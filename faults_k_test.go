package ginauth_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

func faultsK() []fault {
	return []fault{
		{"K1_metadata_of_another_issuer", k1OtherIssuer},
		{"K2_endpoints_that_are_none", k2Endpoints},
		{"K3_issuers_that_are_none", k3Issuers},
		{"K4_metadata_that_is_none", k4Metadata},
		{"K6_providers_in_each_others_way", k6Names},
		{"K7_mix_up_by_metadata", k7MixUp},
		{"K8_metadata_changes_its_issuer", k8IssuerChanges},
		{"K9_hostile_key_sets", k9KeySets},
		{"K10_one_discovery_for_a_hundred", k10SingleFlight},
		{"K11_the_process_defaults_are_not_used", k11Defaults},
		{"K12_the_applications_http_client", k12HTTPClient},
		{"K13_client_secret_empty_or_with_a_line_break", k13Secrets},
		{"K14_arguments_of_presets", k14Arguments},
		{"K15_secrets_are_not_printed", TestOptionsAndProvidersPrintNoSecrets},
	}
}

// misconfigured asserts that nobody can sign in with what a provider says about
// itself, that Warm returns it, and that the developer is told what is wrong.
func misconfigured(t *testing.T, s *site, says ...string) {
	t.Helper()
	s.failsClosed(t, s.open("/login/demo"), closed{code: ginauth.ErrProviderMisconfigured})
	if s.hasCookie("-a-") {
		t.Error("an attempt was begun")
	}
	err := s.auth.Warm(t.Context())
	for _, text := range append(says, "demo: discovery: ") {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Warm does not say %q: %v", text, err)
		}
		if !strings.Contains(s.logs.String(), logged(text)) {
			t.Errorf("the log does not say %q: %s", text, s.logs)
		}
	}
}

// logged is a text as the log quotes it; where the log splits a line into
// attributes, nothing.
func logged(text string) string {
	if strings.HasPrefix(text, "demo: ") {
		return ""
	}
	return strings.ReplaceAll(text, `"`, `\"`)
}

func metadataSite(t *testing.T, edit func(metadata map[string]any)) *site {
	t.Helper()
	return newSite(t, func(s *site, _ *ginauth.Options) { s.idp.EditMetadata(edit) })
}

func k1OtherIssuer(t *testing.T) {
	for name, c := range map[string]struct {
		issuer func(own string) any
		says   string
	}{
		"a slash more": {func(own string) any { return own + "/" }, "the final / counts: set Issuer to \"http://"},
		"another case": {func(own string) any { return strings.Replace(own, "http://", "HTTP://", 1) }, "set Issuer to \"HTTP://"},
		"another path": {func(own string) any { return own + "/realms/demo" }, "/realms/demo\""},
		"another host": {func(string) any { return "https://login.example.com" }, "set Issuer to \"https://login.example.com\" if it can be reached there; if it has another address inside your network (containers), set AuthorizeURL"},
		"many tenants": {func(own string) any { return own + "/{tenantid}/v2.0" }, "for many tenants"},
		"nothing":      {func(string) any { return nil }, "the provider's metadata has no issuer"},
		"no text":      {func(string) any { return 7 }, "the provider's metadata has no issuer"},
		"a long one":   {func(own string) any { return own + strings.Repeat("/x", 5000) }, "/x/x/x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, _ *ginauth.Options) {
				s.idp.EditMetadata(func(m map[string]any) { m["issuer"] = c.issuer(s.idp.Issuer) })
			})
			misconfigured(t, s, c.says)
			if n := len(s.logs.String()); n > 8000 {
				t.Errorf("the log has %d bytes", n)
			}
		})
	}
}

func k2Endpoints(t *testing.T) {
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
				misconfigured(t, metadataSite(t, func(m map[string]any) { m[endpoint] = address }), "the provider's "+endpoint+" ")
			})
		}
	}
	t.Run("http on loopback, from https", func(t *testing.T) {
		t.Parallel()
		// Whatever listens on this machine is not the provider's to name.
		s := newTLSSite(t, func(s *site, _ *ginauth.Options) {
			s.idp.EditMetadata(func(m map[string]any) { m["token_endpoint"] = "http://127.0.0.1:2375/token" })
		})
		misconfigured(t, s, "the provider's token_endpoint is not https")
	})
	t.Run("userinfo with the secret of another in its address", func(t *testing.T) {
		t.Parallel()
		s := metadataSite(t, func(m map[string]any) { m["userinfo_endpoint"] = "https://me:hunter2hunter2@idp.example/" })
		misconfigured(t, s, "userinfo_endpoint has a user name in it")
		if strings.Contains(s.logs.String(), "hunter2") {
			t.Error("the log has the password")
		}
	})
}

// The texts are tested with the other mistakes: see TestMistakesInAddresses.
func k3Issuers(t *testing.T) {
	for name, issuer := range map[string]string{
		"http": "http://login.example.com", "query": "https://login.example.com?x=1", "empty query": "https://login.example.com?",
		"fragment": "https://login.example.com#x", "user": "https://me@login.example.com", "empty": "", "spaces": "https://login.example.com  ",
	} {
		opts := goodOptions()
		opts.Providers[0].Issuer = issuer
		err := mountError(opts)
		says(t, err, `provider "corp": Issuer: `)
		if strings.Count(err.Error(), "\n") != 0 {
			t.Errorf("%s: more than one mistake: %v", name, err)
		}
	}
}

func k4Metadata(t *testing.T) {
	for _, field := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
		t.Run("no "+field, func(t *testing.T) {
			t.Parallel()
			misconfigured(t, metadataSite(t, func(m map[string]any) { delete(m, field) }), "the provider's metadata has no "+field, "set it by hand")
		})
	}
	for name, value := range map[string]any{"number": 7, "list": []string{"https://idp.example/x"}, "object": map[string]any{"a": 1}, "bool": true} {
		for _, field := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"} {
			t.Run(field+" is a "+name, func(t *testing.T) {
				t.Parallel()
				misconfigured(t, metadataSite(t, func(m map[string]any) { m[field] = value }), "the provider's metadata has no "+field)
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
		err := s.auth.Warm(t.Context())
		for _, text := range []string{"token_endpoint", "jwks_uri", `"HS256"`, `"tls_client_auth"`} {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("Warm does not say %q: %v", text, err)
			}
		}
	})
	t.Run("null is nothing", func(t *testing.T) {
		t.Parallel()
		metadataSite(t, func(m map[string]any) { m["userinfo_endpoint"] = nil }).signIn()
	})
	for name, c := range badMetadata() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, _ *ginauth.Options) { s.idp.Handle(authtest.Discovery, c.answer) })
			p := s.open("/login/demo")
			s.failsClosed(t, p, closed{code: ginauth.ErrProviderUnavailable})
			if p.Header.Get("Retry-After") != "5" {
				t.Errorf("Retry-After is %q", p.Header.Get("Retry-After"))
			}
			if !strings.Contains(s.logs.String(), c.says) {
				t.Errorf("the log does not say %q: %s", c.says, s.logs)
			}
			s.idp.Handle(authtest.Discovery, nil)
			s.clock.Advance(6 * time.Second)
			s.signIn()
			if s.idp.EvilRequests() != 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

type badAnswer struct {
	answer http.HandlerFunc
	says   string
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
		"5 MB":                 {body(object, `{"padding":"`+strings.Repeat("x", 5<<20)+`"}`), "answered more than the limit allows"},
		"HTML":                 {body("text/html", "<!DOCTYPE html><p>Welcome"), "answered text/html, not JSON"},
		"HTML called JSON":     {body(object, "<!DOCTYPE html><p>Welcome"), "unusable JSON"},
		"404":                  {http.NotFound, "answered 404 Not Found"},
		"401":                  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "answered 401 Unauthorized"},
		"204":                  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "answered 204 No Content"},
		"a redirect to itself": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/evil", 302) }, "redirected to another path (not followed)"},
		"a permanent redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/evil", 308) }, "redirected to another path (not followed)"},
		"nothing":              {body(object, ""), "unusable JSON"},
		"a list":               {body(object, `[{"issuer":"x"}]`), "unusable JSON"},
		"half of it":           {body(object, `{"issuer":"http://`), "unusable JSON"},
		"two of them":          {body(object, `{}{}`), "unusable JSON"},
		"issuer twice":         {body(object, `{"issuer":"a","issuer":"b"}`), "unusable JSON"},
		"no UTF-8":             {body(object, "{\"issuer\":\"\xff\"}"), "unusable JSON"},
		"no media type":        {func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; fmt.Fprint(w, "{}") }, "not JSON"},
	}
}

// The texts are tested with the other mistakes: see TestMistakesInNames.
func k6Names(t *testing.T) {
	for _, name := range []string{"", "/", "..", "a b", "ä", "a/b", strings.Repeat("x", 33), "A"} {
		opts := goodOptions()
		opts.Providers[0].Name = name
		says(t, mountError(opts), "Name: ", "cannot stand in a route")
	}
	two := goodOptions()
	two.Providers = append(two.Providers, goodProvider())
	says(t, mountError(two), "is there twice")
	two.Providers[1].Name = "other"
	says(t, mountError(two), "the same client at the same issuer")
	two.Providers[1].ClientID = "other"
	if err := mountError(two); err != nil {
		t.Error(err)
	}
}

// The texts are tested with the other mistakes: see TestMistakesInTheClient.
func k13Secrets(t *testing.T) {
	for _, secret := range []string{"", "s3cr3t-of-corp\n", "s3cr3t-of-corp\r\n", " s3cr3t-of-corp", `"s3cr3t-of-corp"`} {
		opts := goodOptions()
		opts.Providers[0].ClientSecret = secret
		err := mountError(opts)
		says(t, err, `provider "corp": ClientSecret: `)
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

// k14Arguments: what a preset is made of must not lead elsewhere, nor fall back
// to something wider. All presets are tested beside them.
func k14Arguments(t *testing.T) {
	for _, domain := range []string{"", "../evil", "a/b", "?x", "corp.example?", "me@evil.example", "corp example", "https://corp.example", "..", "*"} {
		opts := goodOptions()
		opts.Providers = []ginauth.Provider{providers.GoogleWorkspace(domain, "web", "s3cr3t-of-corp")}
		err := mountError(opts)
		says(t, err, `provider "google-workspace": domain: `)
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}
