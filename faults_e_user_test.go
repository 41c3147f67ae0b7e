package ginauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// e13Collisions: an issuer has no "#", so that the first one in an id ends it.
func e13Collisions(t *testing.T) {
	for _, change := range []func(p *ginauth.Provider){
		func(p *ginauth.Provider) { p.Issuer = "https://idp.example/a#b" },
		func(p *ginauth.Provider) { p.Issuer = "https://idp.example/a#" },
		func(p *ginauth.Provider) {
			*p = ginauth.Provider{Name: "demo", ClientID: "a", ClientSecret: "a secret of some length", AuthorizeURL: "https://a.example/a", TokenURL: "https://a.example/t",
				UserinfoURL: "https://a.example/u", Namespace: "https://a.example#b"}
		},
	} {
		p := ginauth.Provider{Name: "demo", ClientID: "a", ClientSecret: "a secret of some length"}
		change(&p)
		says(t, mountError(ginauth.Options{BaseURL: "http://localhost", Keys: []string{testKey}, Providers: []ginauth.Provider{p}}), "demo")
	}
	t.Run("a sub may have one", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditIDToken(func(_, c map[string]any) { c["sub"] = "b#c" })
		s.idp.EditUserinfo(func(c map[string]any) { c["sub"] = "b#c" })
		if u := s.accepts(t, "/login/demo"); u.ID() != s.idp.Issuer+"#b#c" {
			t.Errorf("the id is %q", u.ID())
		}
	})
}

func e14TwoIssuers(t *testing.T) {
	t.Parallel()
	var other *authtest.Provider
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		other = startIDP(t, authtest.Config{ClientID: "other-client"})
		o.Providers = append(o.Providers, client("other", other))
	})
	first := s.accepts(t, "/login/demo")
	second := s.accepts(t, "/login/other")
	if first.Subject != "ada" || second.Subject != "ada" || first.ID() == second.ID() || second.ID() != other.Issuer+"#ada" || second.Provider != "other" {
		t.Errorf("got %q and %q", first.ID(), second.ID())
	}
}

func e15Hooks(t *testing.T) {
	own := &ginauth.Error{Code: ginauth.ErrForbidden, Reason: "not before noon"}
	for name, tt := range map[string]struct {
		hook   func(c *gin.Context, login *ginauth.Login) error
		code   ginauth.Code
		reason string
	}{
		"an error":               {func(*gin.Context, *ginauth.Login) error { return errRefused }, ginauth.ErrIdentityRejected, errRefused.Error()},
		"an Error with its code": {func(*gin.Context, *ginauth.Login) error { e := *own; return &e }, ginauth.ErrForbidden, own.Reason},
		"a panic":                {func(*gin.Context, *ginauth.Login) error { panic("a bug") }, ginauth.ErrSessionError, "panicked"},
		"no Previous":            {func(_ *gin.Context, l *ginauth.Login) error { l.Previous.Name = "x"; return nil }, ginauth.ErrSessionError, "panicked"},
		"no user":                {func(_ *gin.Context, l *ginauth.Login) error { l.User = nil; return nil }, ginauth.ErrSessionError, "dropped the user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) { o.Hooks.OnLogin = tt.hook })
			s.refuses(t, "/login/demo", tt.code, tt.reason, 1)
		})
	}
	for name, break_ := range map[string]func(p *ginauth.Provider){
		"VerifyClaims":  func(p *ginauth.Provider) { p.VerifyClaims = func(map[string]any) error { panic("a bug") } },
		"EmailVerified": func(p *ginauth.Provider) { p.EmailVerified = func(map[string]any) bool { panic("a bug") } },
		"TokenIssuer":   func(p *ginauth.Provider) { p.TokenIssuer = func(map[string]any) (string, error) { panic("a bug") } },
	} {
		t.Run("a panic in "+name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) { break_(&o.Providers[0]) })
			s.refuses(t, "/login/demo", ginauth.ErrSessionError, "panicked", 1)
		})
	}
	t.Run("a hook that makes somebody else of the user", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
				l.User = &ginauth.User{Provider: "x", Issuer: "https://x.example", Subject: "root", Name: "Countess", Groups: []string{"more"}, Data: map[string]string{"id": "7"}}
				return nil
			}
		})
		u := s.accepts(t, "/login/demo")
		if u.ID() != s.idp.Issuer+"#ada" || u.Provider != "demo" || u.Name != "Countess" || u.Groups[0] != "more" || u.Data["id"] != "7" {
			t.Errorf("got %+v", u)
		}
	})
}

func e16Mutation(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.KeepClaims = []string{"groups"}
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			l.User.Data = map[string]string{"id": "7"}
			return nil
		}
	})
	s.engine.GET("/spoil", s.auth.RequireAuth(), func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		var kept map[string]any
		if err := u.Claims(&kept); err != nil {
			t.Error(err)
		}
		kept["groups"].([]any)[0] = "root"
		u.Subject, u.Name, u.Groups[0], u.Data["id"] = "root", "Evil", "root", "0"
		u.Groups, u.EmailVerified = append(u.Groups, "root"), true
		c.Status(http.StatusNoContent)
	})
	want := s.accepts(t, "/login/demo")
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 5 {
				if _, err := s.browser.Open(s.URL + "/spoil"); err != nil {
					t.Error(err)
				}
				if u := s.user(); !reflect.DeepEqual(u, want) {
					t.Errorf("it became %+v", u)
				}
			}
		})
	}
	wait.Wait()
	if want.Subject != "ada" || want.Data["id"] != "7" {
		t.Errorf("got %+v", want)
	}
}

func e17Hostile(t *testing.T) {
	const name = "<script>alert(1)</script> \u202egnp.exe \u0007 \U0001f9d1"
	t.Run("names are kept as they are", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditIDToken(func(_, c map[string]any) { c["name"] = name })
		if u := s.accepts(t, "/login/demo"); u.Name != name {
			t.Errorf("the name is %q", u.Name)
		}
	})
	for _, tt := range []struct{ sent, loopback, public string }{
		{"https://pictures.example/a.png", "https://pictures.example/a.png", "https://pictures.example/a.png"},
		{"http://pictures.example/a.png", "http://pictures.example/a.png", ""},
		{"javascript:alert(1)", "", ""}, {"JavaScript:alert(1)", "", ""}, {"data:image/svg+xml,<svg/onload=alert(1)>", "", ""}, {" https://a.example", "", ""},
		{"//pictures.example/a.png", "", ""}, {"/a.png", "", ""}, {"file:///etc/passwd", "", ""}, {"httpsx://a", "", ""}, {"", "", ""},
	} {
		t.Run(fmt.Sprintf("the picture %q", tt.sent), func(t *testing.T) {
			t.Parallel()
			for _, s := range []*site{newSite(t, nil), publicSite(t)} {
				want := tt.loopback
				if !strings.Contains(s.URL, "localhost") {
					want = tt.public
				}
				s.idp.EditIDToken(func(_, c map[string]any) { c["picture"] = tt.sent })
				if u := s.accepts(t, "/login/demo"); u.Picture != want {
					t.Errorf("%s: the picture is %q", s.URL, u.Picture)
				}
			}
		})
	}
	t.Run("fields that are no text", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditIDToken(func(_, c map[string]any) {
			for _, field := range []string{"name", "preferred_username", "picture", "locale", "email"} {
				c[field] = claims{"a": []int{1}}
			}
		})
		if u := s.accepts(t, "/login/demo"); u.Name+u.Username+u.Picture+u.Locale+u.Email != "" || u.EmailVerified {
			t.Errorf("got %+v", u)
		}
	})
}

// publicSite is an application at https://app.example.com.
func publicSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		cert, err := authtest.Certificate("app.example.com")
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(s.engine)
		server.TLS = tlsConfig(cert)
		server.StartTLS()
		t.Cleanup(server.Close)
		s.browser.Resolve("app.example.com", server.Listener.Addr().String())
		s.URL = "https://app.example.com"
		o.BaseURL = s.URL
	})
	return s
}

func e18Groups(t *testing.T) {
	for _, tt := range []struct {
		name string
		sent string // JSON
		want []string
	}{
		{"a list", `["admin","staff"]`, []string{"admin", "staff"}},
		{"a text", `"admin"`, []string{"admin"}},
		{"a text with commas", `"admin,staff"`, []string{"admin,staff"}},
		{"a text with spaces", `"admin staff"`, []string{"admin staff"}},
		{"other things in the list", `["admin",7,null,{"a":1},["root"],"staff"]`, []string{"admin", "staff"}},
		{"an object", `{"admin":true}`, nil},
		{"a number", `7`, nil},
		{"null", `null`, nil},
		{"an empty list", `[]`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.idp.EditIDToken(func(_, c map[string]any) { c["groups"] = json.RawMessage(tt.sent) })
			u := s.accepts(t, "/login/demo")
			if fmt.Sprint(u.Groups) != fmt.Sprint(tt.want) {
				t.Errorf("the groups are %q", u.Groups)
			}
			status := http.StatusForbidden
			if len(tt.want) > 0 && tt.want[0] == "admin" {
				status = http.StatusOK
			}
			if p := s.open("/admin"); p.Status != status {
				t.Errorf("/admin answered %d", p.Status)
			}
		})
	}
	t.Run("nested", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.Providers[0].ClaimPaths = map[string]string{"groups": "realm_access.roles"}
		})
		s.idp.EditIDToken(func(_, c map[string]any) { c["realm_access"] = claims{"roles": []string{"a", "b"}} })
		if u := s.accepts(t, "/login/demo"); fmt.Sprint(u.Groups) != "[a b]" {
			t.Errorf("the groups are %q", u.Groups)
		}
	})
	u := &ginauth.User{Groups: []string{"admin"}}
	for _, near := range []string{"adm", "Admin", "admin ", "", "*", "admins"} {
		if ginauth.HasGroup(near)(u) == nil {
			t.Errorf("%q is in [admin]", near)
		}
	}
	if ginauth.HasGroup()(u) == nil || ginauth.HasGroup("x", "admin")(u) != nil {
		t.Error("HasGroup is wrong about none, or about one of two")
	}
}

func e19Tokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	token := s.idp.Sign(nil, claims{"iss": s.idp.Issuer, "aud": s.idp.ClientID, "sub": "eve"})
	for _, offer := range []string{"access_token=" + token, "id_token=" + token, "token=" + token, "access_token=x&token_type=bearer&id_token=" + token} {
		callback := s.begin("/login/demo")
		q := callback.Query()
		q.Del("code")
		callback.RawQuery = q.Encode() + "&" + offer
		p := s.finish(callback)
		s.failsClosed(t, p, closed{code: ginauth.ErrBadRequest, hide: []string{token}})
	}
	for _, header := range []http.Header{{"Authorization": {"Bearer " + token}}, {"X-Forwarded-User": {"eve"}}, {"X-Access-Token": {token}}} {
		p, err := s.browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", header, "")
		if err != nil || p.Status != http.StatusUnauthorized {
			t.Errorf("%v: %v, %v", header, p, err)
		}
	}
	callback := s.begin("/login/demo")
	callback.RawQuery += "&access_token=" + token + "&id_token=" + token
	if s.finish(callback); s.user() == nil || s.user().Subject != "ada" {
		t.Errorf("beside a code, a token made it %+v", s.user())
	}
}

func e20Nobody(t *testing.T) {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest("GET", "/", nil)
	c.Request.Header.Set("X-User", "root")
	type key string
	for name, ctx := range map[string]context.Context{
		"an empty one": context.Background(), "a request's": c.Request.Context(), "Gin's": c,
		"one with a text under the key": context.WithValue(context.Background(), ginauth.UserKey, "root"),
		"one with another's key":        context.WithValue(context.Background(), key("user"), &ginauth.User{Subject: "root"}),
		"one with a nil user":           context.WithValue(context.Background(), ginauth.UserKey, (*ginauth.User)(nil)),
	} {
		if u := ginauth.CurrentUser(ctx); u != nil {
			t.Errorf("%s: got %+v", name, u)
		}
		got, err := ginauth.Claims[map[string]any](ctx)
		if got != nil || !errors.Is(err, ginauth.ErrUnauthenticated) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	c.Set("user", &ginauth.User{Subject: "root"})
	c.Set("ginauth.UserKey", &ginauth.User{Subject: "root"})
	c.Set(ginauth.UserKey, "root")
	if u := ginauth.CurrentUser(c); u != nil {
		t.Errorf("got %+v", u)
	}
}
