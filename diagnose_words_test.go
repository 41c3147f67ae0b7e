package ginauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// TestWordsOfADiagnosis: what a diagnosis says of a provider is not what it does not
// mean.
func TestWordsOfADiagnosis(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *sitetest.Site, p *ginauth.Provider)
		has    []string
		not    []string
	}{
		{"metadata that is not taken", func(s *sitetest.Site, _ *ginauth.Provider) {
			edited(s, "token_endpoint_auth_methods_supported", []string{"private_key_jwt"})
		}, []string{"(offered: RS256)"}, []string{"none (offered"}},
		{"no metadata at the address", func(s *sitetest.Site, _ *ginauth.Provider) {
			s.IDP.Handle(authtest.Discovery, http.NotFound)
		}, []string{"answers, but not as a provider does"}, []string{"does not answer"}},
		{"a page in its place", func(s *sitetest.Site, _ *ginauth.Provider) { s.IDP.Fail(authtest.Discovery, authtest.HTML) },
			[]string{"answers, but not as a provider does"}, []string{"does not answer"}},
		{"a proxy in front of one that is down", func(s *sitetest.Site, _ *ginauth.Provider) { s.IDP.Fail(authtest.Discovery, authtest.Down) },
			[]string{"provider demo: does not answer"}, nil},
		{"one that resets connections", func(s *sitetest.Site, _ *ginauth.Provider) { s.IDP.Fail(authtest.Discovery, authtest.Resetting) },
			[]string{"provider demo: does not answer"}, nil},
		{"a page, and an endpoint that is down", func(s *sitetest.Site, _ *ginauth.Provider) {
			s.IDP.Fail(authtest.JWKS, authtest.HTML)
			s.IDP.Fail(authtest.Token, authtest.Down)
		}, []string{"provider demo: does not answer"}, nil},
		{"a public client that the metadata does not offer", func(s *sitetest.Site, p *ginauth.Provider) {
			p.AuthMethod, p.ClientSecret = "none", ""
			edited(s, "token_endpoint_auth_methods_supported", []string{"client_secret_basic"})
		}, []string{`does not offer the AuthMethod "none"`, "public clients"}, []string{"drop AuthMethod"}},
		{"a method that the metadata does not offer", func(s *sitetest.Site, p *ginauth.Provider) {
			p.AuthMethod = "client_secret_post"
			edited(s, "token_endpoint_auth_methods_supported", []string{"client_secret_basic"})
		}, []string{"drop AuthMethod"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { tt.change(s, &o.Providers[0]) })
			text := s.Auth.Diagnose(t.Context()).String()
			for _, part := range tt.has {
				if !strings.Contains(text, part) {
					t.Errorf("no %q in\n%s", part, text)
				}
			}
			for _, part := range tt.not {
				if strings.Contains(text, part) {
					t.Errorf("%q in\n%s", part, text)
				}
			}
		})
	}
}

// TestRestartWithAKeyThatWasMade: nothing is wrong with the replicas.
func TestRestartWithAKeyThatWasMade(t *testing.T) {
	t.Parallel()
	logs := &sitetest.Logs{}
	serve := func() *gin.Engine {
		engine := gin.New()
		o := sitetest.GoodOptions()
		o.BaseURL, o.Keys, o.Logger = "http://localhost:8080", nil, logs.Logger()
		o.Providers = []ginauth.Provider{{Name: "demo", Issuer: "https://idp.example", ClientID: "id", ClientSecret: "secret",
			AuthorizeURL: "https://idp.example/a", TokenURL: "https://idp.example/t", JWKSURL: "https://idp.example/k"}}
		if _, err := ginauth.Mount(engine, o); err != nil {
			t.Fatal(err)
		}
		return engine
	}
	w := httptest.NewRecorder()
	serve().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost:8080/login/demo", nil))
	to, err := url.Parse(w.Header().Get("Location"))
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	if err != nil || to.Query().Get("state") == "" || cookie == "" {
		t.Fatalf("no sign-in began: %d %v", w.Code, w.Header())
	}
	restarted := serve()
	logs.Reset()
	for _, cookies := range []string{cookie, ""} {
		r := httptest.NewRequest("GET", "http://localhost:8080/authorize/demo?code=c&state="+to.Query().Get("state"), nil)
		r.Header.Set("Cookie", cookies)
		restarted.ServeHTTP(httptest.NewRecorder(), r)
	}
	log := logs.String()
	if n := strings.Count(log, "so that each start makes a key of its own"); n != 2 || strings.Contains(log, "every replica the same") {
		t.Errorf("said %d times:\n%s", n, log)
	}
}
