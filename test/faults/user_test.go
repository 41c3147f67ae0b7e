package faults

import (
	"context"
	"crypto/tls"
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
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsUser(t *testing.T) {
	runFaults(t, []fault{
		{"E6_email_verified", e6EmailVerified},
		{"E7_unverified_email", e7UnverifiedEmail},
		{"E8_email_is_no_identity", e8EmailIsNoIdentity},
		{"E9_odd_addresses", e9OddAddresses},
		{"E10_profile_without_an_id", e10ProfileWithoutAnId},
		{"E11_large_ids_are_exact", e11LargeIdsAreExact},
		{"E12_names_change_hands", e12NamesChangeHands},
		{"E13_ids_do_not_collide", e13IdsDoNotCollide},
		{"E14_same_sub_at_two_issuers", e14SameSubAtTwoIssuers},
		{"E15_hooks_that_fail", e15HooksThatFail},
		{"E16_changing_the_user_changes_nothing", e16ChangingTheUserChangesNothing},
		{"E17_hostile_names_and_pictures", e17HostileNamesAndPictures},
		{"E18_groups", e18Groups},
		{"E19_tokens_are_not_taken_from_browsers", e19TokensAreNotTakenFromBrowsers},
		{"E20_nobody_is_nil", e20NobodyIsNil},
	})
}

func e6EmailVerified(t *testing.T) {
	lenient := func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].EmailVerified = func(c map[string]any) bool { return c["email_verified"] == true || c["email_verified"] == "true" }
	}
	for _, tt := range []struct {
		value         any
		want, lenient bool
	}{
		{true, true, true}, {"true", false, true}, {"True", false, false}, {1, false, false}, {"1", false, false}, {"false", false, false},
		{false, false, false}, {json.RawMessage("null"), false, false}, {nil, false, false}, {[]bool{true}, false, false}, {sitetest.Claims{"value": true}, false, false},
	} {
		t.Run(fmt.Sprintf("%v", tt.value), func(t *testing.T) {
			t.Parallel()
			for i, change := range []func(*sitetest.Site, *ginauth.Options){nil, lenient} {
				s := sitetest.New(t, change)
				s.IDP.EditIDToken(func(_, c map[string]any) { sitetest.Put(c, "email_verified", tt.value) })
				s.IDP.EditUserinfo(func(c map[string]any) { sitetest.Put(c, "email_verified", tt.value) })
				want := []bool{tt.want, tt.lenient}[i]
				u := s.AcceptsSignIn(t, "/login/demo")
				if u.EmailVerified != want {
					t.Errorf("verified is %t", u.EmailVerified)
				}
				if email, ok := u.VerifiedEmail(); ok != want || (email == "") == want {
					t.Errorf("VerifiedEmail returned %q, %t", email, ok)
				}
			}
		})
	}
	t.Run("without an address nothing is verified", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].EmailVerified = func(map[string]any) bool { return true }
		})
		s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "email") })
		s.IDP.EditUserinfo(func(c map[string]any) { delete(c, "email") })
		if u := s.AcceptsSignIn(t, "/login/demo"); u.EmailVerified || u.Email != "" {
			t.Errorf("got %+v", u)
		}
	})
}

func e7UnverifiedEmail(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, corpOnly)
	s.Engine.GET("/corp", s.Auth.RequireAuth(ginauth.VerifiedEmailDomain("corp.com")), func(c *gin.Context) { c.String(200, "in") })
	s.IDP.EditIDToken(func(_, c map[string]any) { c["email"], c["email_verified"] = "ada@corp.com", false })
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIdentityRejected, "check.email_unverified", 1)
	s.IDP.EditIDToken(func(_, c map[string]any) { c["email"] = "ada@corp.com" })
	s.AcceptsSignIn(t, "/login/demo")
	if p := s.Get("/corp"); p.Text() != "in" {
		t.Errorf("the guard responds with %s", p.Text())
	}
	if email, ok := (&ginauth.User{Email: "ada@corp.com"}).VerifiedEmail(); email != "" || ok {
		t.Errorf("VerifiedEmail returned %q, %t", email, ok)
	}
}

// e8EmailIsNoIdentity: a tenant's administrator may write any address into an account. Unless
// the provider reports it as verified, it is not, and a user's identity never depends on it.
func e8EmailIsNoIdentity(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].EmailVerified = func(c map[string]any) bool { return c["xms_edov"] == true || c["xms_edov"] == "1" }
	})
	ids := map[string]bool{}
	for _, tt := range []struct {
		sub      string
		edov     any
		verified bool
	}{{"attacker", nil, false}, {"attacker", false, false}, {"victim", true, true}} {
		s.Browser = s.NewBrowser()
		s.IDP.EditIDToken(func(_, c map[string]any) {
			c["sub"], c["email"], c["email_verified"] = tt.sub, "victim@corp.com", true
			sitetest.Put(c, "xms_edov", tt.edov)
		})
		s.IDP.EditUserinfo(func(c map[string]any) { c["sub"] = tt.sub })
		u := s.AcceptsSignIn(t, "/login/demo")
		ids[u.ID()] = true
		if u.EmailVerified != tt.verified || u.Email != "victim@corp.com" {
			t.Errorf("%s: got %+v", tt.sub, u)
		}
	}
	if len(ids) != 2 {
		t.Errorf("the ids are %v", ids)
	}
}

func e9OddAddresses(t *testing.T) {
	for _, tt := range []struct {
		email string
		good  bool
	}{
		{"a@evil.com@corp.com", false}, {"v@corp.com\n", false}, {"v\uff20corp.com", false}, {"v\ufe6bcorp.com", false}, {"v@corp.com.", false},
		{`"a@corp.com"@evil.com`, false}, {`"a"@corp.com`, false}, {"v@evilcorp.com", false}, {"v@corp.com.evil", false}, {"v@c\u043erp.com", false},
		{"v@mail.corp.com", false}, {"@corp.com", false}, {"v@", false}, {"corp.com", false}, {"v @corp.com", false}, {" v@corp.com", false}, {"v@corp.com ", false},
		{"Ada <v@corp.com>", false}, {"v@corp.com,w@evil.com", false}, {"v(x)@corp.com", false}, {"v@[127.0.0.1]", false}, {"v@corp.com\t", false},
		{"v@\u212aorp.com", false}, {"v@corp\u3002com", false}, {strings.Repeat("v", 250) + "@corp.com", false},
		{"V@CORP.COM", true}, {"v+w@Corp.com", true}, {"o'neil@corp.com", true},
	} {
		t.Run(fmt.Sprintf("%.40q", tt.email), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, corpOnly)
			s.IDP.EditIDToken(func(_, c map[string]any) { c["email"], c["email_verified"] = tt.email, true })
			if tt.good {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIdentityRejected, "check.email_domain", 1)
		})
	}
	for _, email := range []string{"v@di\u017fk.example", "v@dis\u212a.example", "v@dis%6b.example"} { // Unicode folds both into ASCII letters
		if ginauth.VerifiedEmailDomain("disk.example")(&ginauth.User{Email: email, EmailVerified: true}) == nil {
			t.Errorf("%q is at disk.example", email)
		}
	}
}

func e10ProfileWithoutAnId(t *testing.T) {
	for _, profile := range []string{`{}`, `{"id":null}`, `{"id":0}`, `{"id":""}`, `{"id":false}`, `{"id":[1]}`, `{"id":{}}`, `{"id":1.5}`, `{"id":-0}`, `{"ID":1}`,
		`{"id":1,"id":2}`, `{"id":1,"Id":2}`, `{"id":"a\u0000"}`, `{"id":"` + strings.Repeat("a", 256) + `"}`, `[]`} {
		t.Run(fmt.Sprintf("%.30s", profile), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, sitetest.Plain)
			s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(200, "application/json", profile))
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIdentityRejected, "", 1)
		})
	}
	t.Run("an error is nobody", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, sitetest.Plain)
		s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(403, "application/json", `{"id":7,"message":"rate limit"}`))
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, "", 1)
	})
}

func e11LargeIdsAreExact(t *testing.T) {
	for _, id := range []string{"9007199254740993", "18446744073709551617", "1", "-5"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, sitetest.Plain)
			s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(200, "application/json", `{"id":`+id+`}`))
			if u := s.AcceptsSignIn(t, "/login/demo"); u.Subject != id || u.ID() != "https://idp.example#"+id {
				t.Errorf("the id is %q", u.ID())
			}
		})
	}
}

func e12NamesChangeHands(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.Plain(s, o)
		o.Providers[0].ClaimPaths["preferred_username"] = "login"
	})
	sign := func(profile string) *ginauth.User {
		s.Browser = s.NewBrowser()
		s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(200, "application/json", profile))
		return s.AcceptsSignIn(t, "/login/demo")
	}
	first, renamed, recycled := sign(`{"id":7,"login":"ada"}`), sign(`{"id":7,"login":"countess"}`), sign(`{"id":8,"login":"ada"}`)
	if first.ID() != renamed.ID() || first.ID() == recycled.ID() || recycled.Username != "ada" {
		t.Errorf("the ids are %q, %q, %q", first.ID(), renamed.ID(), recycled.ID())
	}
}

// e13Collisions: an issuer has no "#", so the first "#" in an id ends the issuer.
func e13IdsDoNotCollide(t *testing.T) {
	for _, tt := range []struct {
		id     string
		change func(p *ginauth.Provider)
	}{
		{"provider.issuer.fragment", func(p *ginauth.Provider) { p.Issuer = "https://idp.example/a#b" }},
		{"provider.issuer.fragment", func(p *ginauth.Provider) { p.Issuer = "https://idp.example/a#" }},
		{"provider.namespace.malformed", func(p *ginauth.Provider) {
			*p = ginauth.Provider{Name: "demo", ClientID: "a", ClientSecret: "a secret of some length", AuthorizeURL: "https://a.example/a", TokenURL: "https://a.example/t",
				UserinfoURL: "https://a.example/u", Namespace: "https://a.example#b"}
		}},
	} {
		p := ginauth.Provider{Name: "demo", ClientID: "a", ClientSecret: "a secret of some length"}
		tt.change(&p)
		sitetest.WantInvalid(t, sitetest.MountError(ginauth.Options{BaseURL: "http://localhost", Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{p}}), tt.id)
	}
	t.Run("a sub may have one", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditIDToken(func(_, c map[string]any) { c["sub"] = "b#c" })
		s.IDP.EditUserinfo(func(c map[string]any) { c["sub"] = "b#c" })
		if u := s.AcceptsSignIn(t, "/login/demo"); u.ID() != s.IDP.Issuer+"#b#c" {
			t.Errorf("the id is %q", u.ID())
		}
	})
}

func e14SameSubAtTwoIssuers(t *testing.T) {
	t.Parallel()
	var other *authtest.Provider
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		other = sitetest.StartProvider(t, authtest.Config{ClientID: "other-client"})
		o.Providers = append(o.Providers, sitetest.Client("other", other))
	})
	first := s.AcceptsSignIn(t, "/login/demo")
	second := s.AcceptsSignIn(t, "/login/other")
	if first.Subject != "ada" || second.Subject != "ada" || first.ID() == second.ID() || second.ID() != other.Issuer+"#ada" || second.Provider != "other" {
		t.Errorf("got %q and %q", first.ID(), second.ID())
	}
}

func e15HooksThatFail(t *testing.T) {
	own := &ginauth.Error{Code: ginauth.ErrForbidden, Reason: "not before noon"}
	for name, tt := range map[string]struct {
		hook func(c *gin.Context, login *ginauth.Login) error
		code ginauth.Code
		id   string
		says string // the error of the hook
	}{
		"an error":               {func(*gin.Context, *ginauth.Login) error { return sitetest.ErrRefused }, ginauth.ErrIdentityRejected, "hook.on_login_refused", sitetest.ErrRefused.Error()},
		"an Error with its code": {func(*gin.Context, *ginauth.Login) error { e := *own; return &e }, ginauth.ErrForbidden, "hook.on_login_refused", own.Reason},
		"a panic":                {func(*gin.Context, *ginauth.Login) error { panic("a bug") }, ginauth.ErrSessionError, "hook.panicked", ""},
		"no Previous":            {func(_ *gin.Context, l *ginauth.Login) error { l.Previous.Name = "x"; return nil }, ginauth.ErrSessionError, "hook.panicked", ""},
		"no user":                {func(_ *gin.Context, l *ginauth.Login) error { l.User = nil; return nil }, ginauth.ErrSessionError, "hook.on_login_answered", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Hooks.OnLogin = tt.hook })
			s.RefusesSignIn(t, "/login/demo", tt.code, tt.id, 1)
			sitetest.WantNames(t, s.Logs.String(), tt.says)
		})
	}
	for name, break_ := range map[string]func(p *ginauth.Provider){
		"VerifyClaims":  func(p *ginauth.Provider) { p.VerifyClaims = func(map[string]any) error { panic("a bug") } },
		"EmailVerified": func(p *ginauth.Provider) { p.EmailVerified = func(map[string]any) bool { panic("a bug") } },
		"TokenIssuer":   func(p *ginauth.Provider) { p.TokenIssuer = func(map[string]any) (string, error) { panic("a bug") } },
	} {
		t.Run("a panic in "+name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { break_(&o.Providers[0]) })
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrSessionError, "hook.panicked", 1)
		})
	}
	t.Run("a hook that makes somebody else of the user", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
				l.User = &ginauth.User{Provider: "x", Issuer: "https://x.example", Subject: "root", Name: "Countess", Groups: []string{"more"}, Data: map[string]string{"id": "7"}}
				return nil
			}
		})
		u := s.AcceptsSignIn(t, "/login/demo")
		if u.ID() != s.IDP.Issuer+"#ada" || u.Provider != "demo" || u.Name != "Countess" || u.Groups[0] != "more" || u.Data["id"] != "7" {
			t.Errorf("got %+v", u)
		}
	})
}

func e16ChangingTheUserChangesNothing(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.KeepClaims = []string{"groups"}
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			l.User.Data = map[string]string{"id": "7"}
			return nil
		}
	})
	s.Engine.GET("/spoil", s.Auth.RequireAuth(), func(c *gin.Context) {
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
	want := s.AcceptsSignIn(t, "/login/demo")
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 5 {
				if _, err := s.Browser.Open(s.URL + "/spoil"); err != nil {
					t.Error(err)
				}
				if u := s.User(); !reflect.DeepEqual(u, want) {
					t.Errorf("it is %+v", u)
				}
			}
		})
	}
	wait.Wait()
	if want.Subject != "ada" || want.Data["id"] != "7" {
		t.Errorf("got %+v", want)
	}
}

func e17HostileNamesAndPictures(t *testing.T) {
	const name = "<script>alert(1)</script> \u202egnp.exe \u0007 \U0001f9d1"
	t.Run("names are kept as they are", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditIDToken(func(_, c map[string]any) { c["name"] = name })
		if u := s.AcceptsSignIn(t, "/login/demo"); u.Name != name {
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
			for _, s := range []*sitetest.Site{sitetest.New(t, nil), publicSite(t)} {
				want := tt.loopback
				if !strings.Contains(s.URL, "localhost") {
					want = tt.public
				}
				s.IDP.EditIDToken(func(_, c map[string]any) { c["picture"] = tt.sent })
				if u := s.AcceptsSignIn(t, "/login/demo"); u.Picture != want {
					t.Errorf("%s: the picture is %q", s.URL, u.Picture)
				}
			}
		})
	}
	t.Run("fields that are no text", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditIDToken(func(_, c map[string]any) {
			for _, field := range []string{"name", "preferred_username", "picture", "locale", "email"} {
				c[field] = sitetest.Claims{"a": []int{1}}
			}
		})
		if u := s.AcceptsSignIn(t, "/login/demo"); u.Name+u.Username+u.Picture+u.Locale+u.Email != "" || u.EmailVerified {
			t.Errorf("got %+v", u)
		}
	})
}

// publicSite is an application at https://app.example.com.
func publicSite(t *testing.T) *sitetest.Site {
	t.Helper()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		cert, err := authtest.Certificate("app.example.com")
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(s.Engine)
		server.TLS = tlsConfig(cert)
		server.StartTLS()
		t.Cleanup(server.Close)
		s.Browser.Resolve("app.example.com", server.Listener.Addr().String())
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
			s := sitetest.New(t, nil)
			s.IDP.EditIDToken(func(_, c map[string]any) { c["groups"] = json.RawMessage(tt.sent) })
			u := s.AcceptsSignIn(t, "/login/demo")
			if fmt.Sprint(u.Groups) != fmt.Sprint(tt.want) {
				t.Errorf("the groups are %q", u.Groups)
			}
			status := http.StatusForbidden
			if len(tt.want) > 0 && tt.want[0] == "admin" {
				status = http.StatusOK
			}
			if p := s.Open("/admin"); p.Status != status {
				t.Errorf("/admin responded %d", p.Status)
			}
		})
	}
	t.Run("nested", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].ClaimPaths = map[string]string{"groups": "realm_access.roles"}
		})
		s.IDP.EditIDToken(func(_, c map[string]any) { c["realm_access"] = sitetest.Claims{"roles": []string{"a", "b"}} })
		if u := s.AcceptsSignIn(t, "/login/demo"); fmt.Sprint(u.Groups) != "[a b]" {
			t.Errorf("the groups are %q", u.Groups)
		}
	})
	u := &ginauth.User{Groups: []string{"admin"}}
	for _, near := range []string{"adm", "Admin", "admin ", "", "*", "admins"} {
		if near != "" && ginauth.HasGroup(near)(u) == nil { // an empty name panics at the start
			t.Errorf("%q is in [admin]", near)
		}
		if ginauth.HasGroup("admin")(&ginauth.User{Groups: []string{near}}) == nil {
			t.Errorf("admin is in [%s]", near)
		}
	}
	if ginauth.HasGroup("x")(u) == nil || ginauth.HasGroup("x", "admin")(u) != nil {
		t.Error("HasGroup is wrong about none, or about one of two")
	}
}

func e19TokensAreNotTakenFromBrowsers(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = "always" })
	token := s.IDP.Sign(nil, sitetest.Claims{"iss": s.IDP.Issuer, "aud": s.IDP.ClientID, "sub": "eve"})
	for _, offer := range []string{"access_token=" + token, "id_token=" + token, "token=" + token, "access_token=x&token_type=bearer&id_token=" + token} {
		callback := s.Begin("/login/demo")
		q := callback.Query()
		q.Del("code")
		callback.RawQuery = q.Encode() + "&" + offer
		p := s.Finish(callback)
		s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest, Hide: []string{token}})
	}
	for _, header := range []http.Header{{"Authorization": {"Bearer " + token}}, {"X-Forwarded-User": {"eve"}}, {"X-Access-Token": {token}}} {
		p, err := s.Browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", header, "")
		if err != nil || p.Status != http.StatusUnauthorized {
			t.Errorf("%v: %v, %v", header, p, err)
		}
	}
	callback := s.Begin("/login/demo")
	callback.RawQuery += "&access_token=" + token + "&id_token=" + token
	if s.Finish(callback); s.User() == nil || s.User().Subject != "ada" {
		t.Errorf("beside a code, a token made it %+v", s.User())
	}
}

func e20NobodyIsNil(t *testing.T) {
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

func tlsConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}
