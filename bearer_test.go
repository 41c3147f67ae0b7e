package ginauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

const apiAudience = "https://api.example/"

// A service that only validates tokens has no routes to sign in, needs no keys, and reads no
// cookies.
func TestResourceServer(t *testing.T) {
	idp := sitetest.StartProvider(t, authtest.Config{})
	var logs sitetest.Logs
	engine := gin.New()
	auth, err := ginauth.Mount(engine.Group("/v1"), ginauth.Options{
		BaseURL: "https://api.example", Logger: logs.Logger(), Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: apiAudience}},
	})
	if err != nil {
		t.Fatal(err)
	}
	engine.GET("/orders", auth.RequireAuth(ginauth.HasScope("orders:read")), func(c *gin.Context) {
		c.String(http.StatusOK, ginauth.CurrentUser(c).Subject)
	})
	ask := func(method, path string, header http.Header) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://api.example"+path, nil)
		for name, lines := range header {
			r.Header[name] = lines
		}
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, r)
		return w
	}
	if w := ask("GET", "/orders", authtest.Bearer(idp, apiAudience, "ada", "orders:read")); w.Code != http.StatusOK || w.Body.String() != "ada" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, page := range []http.Header{nil, {"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}} {
		w := ask("GET", "/orders", page)
		if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != `Bearer scope="orders:read", resource_metadata="https://api.example/.well-known/oauth-protected-resource"` || strings.Contains(w.Body.String(), "login") {
			t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
		}
	}
	for _, path := range []string{"/v1/login", "/v1/login/corp", "/v1/authorize/corp", "/v1/logout"} {
		if w := ask("GET", path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	w := ask("GET", "/.well-known/oauth-protected-resource", nil)
	var said map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || said["resource"] != apiAudience {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if n := len(logs.Lines("INFO", "provider.resource_metadata")); n != 1 {
		t.Errorf("the log names the address of the metadata %d times:\n%s", n, &logs)
	}
	if strings.Contains(logs.String(), "level=WARN") {
		t.Errorf("warnings: %s", &logs)
	}
	if err := auth.SetProviders([]ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, ClientID: "web", ClientSecret: "a secret of the client"}}); !sitetest.HasID(err, "options.providers.resource_server") {
		t.Errorf("SetProviders: %v", err)
	}
	if d := auth.Diagnose(t.Context()); len(d.Problems) != 0 || len(d.Providers) != 1 || !d.Providers[0].Reachable || d.Providers[0].RedirectURI != "" {
		t.Errorf("the diagnosis is %+v", d)
	}
}

// Beside providers for signing in, a provider without a client is on no page and has no route.
func TestResourceServerBesideSignIns(t *testing.T) {
	other := sitetest.StartProvider(t, authtest.Config{})
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, ginauth.Provider{Name: "partners", Issuer: other.Issuer, Audience: apiAudience})
	})
	s.Engine.GET("/orders", s.Auth.RequireAuth(ginauth.HasScope("orders:read"), ginauth.FromProvider("partners", "demo")), func(c *gin.Context) {
		c.String(http.StatusOK, ginauth.CurrentUser(c).ID())
	})
	if list := s.Auth.Providers(); len(list) != 1 || list[0].Name != "demo" {
		t.Errorf("the providers are %+v", list)
	}
	s.WantError(s.Get("/login/partners"), ginauth.ErrUnknownProvider)
	s.SignIn()
	if p := s.Get("/orders"); p.Status != http.StatusOK || !strings.HasPrefix(p.Text(), s.IDP.Issuer) {
		t.Errorf("%d %s", p.Status, p.Text())
	}
	token := authtest.Bearer(other, apiAudience, "ada", "orders:read")["Authorization"][0]
	if p := s.Ask("GET", "/orders", "Authorization", token); p.Status != http.StatusOK || !strings.HasPrefix(p.Text(), other.Issuer) {
		t.Errorf("%d %s", p.Status, p.Text())
	}
	mine := authtest.Bearer(s.IDP, apiAudience, "ada", "orders:read")["Authorization"][0] // from a provider without Audience
	s.WantError(s.Ask("GET", "/orders", "Authorization", mine), ginauth.ErrInvalidToken)
}

// The client receives what an API requires of its token's user (RFC 9470).
func TestStepUpOfATokenIsTheClients(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Audience = apiAudience })
	s.Engine.GET("/payout", s.Auth.RequireAuth(ginauth.HasScope("pay"), ginauth.MaxAge(300e9), ginauth.ACR("mfa")), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	ask := func(edit func(header, claims map[string]any)) *authtest.Page {
		token := s.IDP.AccessToken(authtest.AccessToken{Audience: apiAudience, Subject: "ada", Scopes: []string{"pay"}, Edit: edit})
		return s.Ask("GET", "/payout", "Authorization", "Bearer "+token, "Accept", "text/html")
	}
	p := ask(nil)
	s.WantError(p, ginauth.ErrStepUpRequired)
	if got, want := p.Header.Get("WWW-Authenticate"), `Bearer error="insufficient_user_authentication", max_age="300", acr_values="mfa", resource_metadata="`; !strings.HasPrefix(got, want) || strings.Contains(p.Text(), "login_url") {
		t.Errorf("the challenge is %q, and the response %s", got, p.Text())
	}
	if p := ask(func(_, claims map[string]any) { claims["acr"], claims["auth_time"] = "mfa", s.Clock.Now().Unix() }); p.Status != http.StatusNoContent {
		t.Errorf("%d %s", p.Status, p.Text())
	}
}

// AD FS signs access tokens as another issuer than ID tokens, and so does Microsoft for version
// 1.0: TokenIssuer returns that issuer. Its argument is not verified yet, and anyone can send
// it.
func TestAccessTokensOfAnotherIssuer(t *testing.T) {
	const issuer = "http://sts.example/adfs/services/trust"
	idp := sitetest.StartProvider(t, authtest.Config{})
	engine := gin.New()
	auth, err := ginauth.Mount(engine, ginauth.Options{BaseURL: "https://api.example", Logger: new(sitetest.Logs).Logger(), Providers: []ginauth.Provider{{
		Name: "corp", Issuer: idp.Issuer, Audience: apiAudience, TokenIssuer: func(map[string]any) (string, error) { return issuer, nil },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	engine.GET("/orders", auth.RequireAuth(ginauth.HasScope("orders:read")), func(c *gin.Context) {
		c.String(http.StatusOK, ginauth.CurrentUser(c).ID())
	})
	for iss, status := range map[string]int{issuer: http.StatusOK, idp.Issuer: http.StatusUnauthorized, "https://other.example": http.StatusUnauthorized} {
		token := idp.AccessToken(authtest.AccessToken{Audience: apiAudience, Subject: "ada", Scopes: []string{"orders:read"}, Edit: func(_, claims map[string]any) { claims["iss"] = iss }})
		r := httptest.NewRequest("GET", "https://api.example/orders", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		if engine.ServeHTTP(w, r); w.Code != status || status == http.StatusOK && w.Body.String() != issuer+"#ada" {
			t.Errorf("%s: %d %s", iss, w.Code, w.Body)
		}
	}
}

// An Audience that is an address of the application is the resource of the metadata, at the
// address that RFC 9728, 3.1, derives from it: clients compare the resource with the address
// that they called, and request tokens for it (RFC 8707).
func TestMetadataAreAboutTheAudience(t *testing.T) {
	idp := sitetest.StartProvider(t, authtest.Config{})
	for _, test := range []struct{ audience, resource, at string }{
		{"https://api.example/mcp", "https://api.example/mcp", "/.well-known/oauth-protected-resource/mcp"},
		{"https://api.example/", "https://api.example/", "/.well-known/oauth-protected-resource"},
		{"https://api.example", "https://api.example", "/.well-known/oauth-protected-resource"},
		{"https://api.example.evil/mcp", "https://api.example", "/.well-known/oauth-protected-resource"},
		{"https://api.example/v1/mcp/", "https://api.example/v1/mcp/", "/.well-known/oauth-protected-resource/v1/mcp"},
		{"https://api.example/../mcp", "https://api.example", "/.well-known/oauth-protected-resource"},
		{"https://api.example/a%2Fb", "https://api.example", "/.well-known/oauth-protected-resource"},
		{"https://api.example/:id/*all", "https://api.example", "/.well-known/oauth-protected-resource"},
		{"https://api.example//mcp", "https://api.example", "/.well-known/oauth-protected-resource"},
		{"https://api.example/mcp?x=y", "https://api.example", "/.well-known/oauth-protected-resource"},
		{"api://orders", "https://api.example", "/.well-known/oauth-protected-resource"},
	} {
		t.Run(test.audience, func(t *testing.T) {
			engine := gin.New()
			auth, err := ginauth.Mount(engine, ginauth.Options{
				BaseURL: "https://api.example", Logger: new(sitetest.Logs).Logger(), Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: test.audience}},
			})
			if err != nil {
				t.Fatal(err)
			}
			engine.POST("/mcp", auth.RequireAuth(ginauth.HasScope("notes")), func(*gin.Context) {})
			ask := func(method, path string) *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				engine.ServeHTTP(w, httptest.NewRequest(method, "https://api.example"+path, nil))
				return w
			}
			if got, want := ask("POST", "/mcp").Header().Get("WWW-Authenticate"), `Bearer scope="notes", resource_metadata="https://api.example`+test.at+`"`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			var said struct{ Resource string }
			if w := ask("GET", test.at); json.Unmarshal(w.Body.Bytes(), &said) != nil || said.Resource != test.resource {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

// Authenticating again does not renew an API key, so the response does not ask for it.
func TestDemandsThatNoKeyCanMeet(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].Audience = apiAudience
		o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
			if c.GetHeader("Authorization") != "Bearer key" {
				return nil, nil
			}
			return &ginauth.User{Provider: "demo", Subject: "ada", Grant: &ginauth.Grant{Scopes: []string{"read"}}}, nil
		}
	})
	s.Engine.GET("/both", s.Auth.RequireAuth(ginauth.MaxAge(time.Minute), ginauth.HasScope("read")), func(*gin.Context) { t.Error("admitted") })
	if s.WantError(s.Ask("GET", "/both", "Authorization", "Bearer key"), ginauth.ErrForbidden); !strings.Contains(s.Logs.String(), "id=check.step_up_no_session") {
		t.Errorf("%s", s.Logs)
	}
	s.WantError(s.Ask("GET", "/both", "Authorization", authtest.Bearer(s.IDP, apiAudience, "ada", "read").Get("Authorization")), ginauth.ErrStepUpRequired)
}
