package ginauth_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// TestAuthTimeOfZero: a provider that sends 0 does not know when the user authenticated.
func TestAuthTimeOfZero(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.EditIDToken(func(_, c map[string]any) { c["auth_time"] = 0 })
	if at := s.AcceptsSignIn(t, "/login/demo").AuthTime; time.Since(at).Abs() > time.Hour {
		t.Errorf("AuthTime is %v", at)
	}
}

// TestNullIsMissing: userinfo is requested for a claim that is null.
func TestNullIsMissing(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].ClaimPaths = map[string]string{"locale": "extra.locale"}
	})
	s.IDP.EditIDToken(func(_, c map[string]any) { c["extra"] = sitetest.Claims{"locale": nil} })
	s.AcceptsSignIn(t, "/login/demo")
	if n := s.IDP.Count(authtest.Userinfo); n != 1 {
		t.Errorf("%d requests for the claim that is null below another", n)
	}
	s.IDP.EditIDToken(func(_, c map[string]any) { c["extra"], c["name"] = sitetest.Claims{"locale": "en"}, nil })
	if u := s.AcceptsSignIn(t, "/login/demo"); u.Name != "Ada Lovelace" {
		t.Errorf("the name is %q", u.Name)
	}
}

// An auth_time in the future in a plain OAuth 2.0 profile is ignored.
func TestAuthTimeOfAProfileThatIsAhead(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		p := sitetest.Client("demo", s.IDP)
		p.Issuer, p.Namespace, p.Scopes = "", s.IDP.Issuer, []string{"profile"}
		p.AuthorizeURL, p.TokenURL, p.UserinfoURL = s.IDP.Issuer+"/authorize", s.IDP.Issuer+"/token", s.IDP.Issuer+"/userinfo"
		o.Providers[0] = p
		s.IDP.EditUserinfo(func(claims map[string]any) { claims["auth_time"] = 253370764799 })
	})
	s.SignIn()
	if at := s.User().AuthTime; time.Since(at).Abs() > time.Hour {
		t.Errorf("AuthTime is %v", at)
	}
}

// TestVerifiedFlagSpeaksOfTheAddressSent: email_verified refers to the claim email. It applies
// to an address that ClaimPaths reads from elsewhere only if the addresses are equal.
func TestVerifiedFlagSpeaksOfTheAddressSent(t *testing.T) {
	elsewhere := map[string]string{"email": "upn"}
	own := map[string]string{"email": "upn", "email_verified": "upn_verified"}
	for _, tt := range []struct {
		name     string
		paths    map[string]string
		sent     sitetest.Claims
		rule     func(map[string]any) bool
		email    string
		verified bool
	}{
		{"another address", elsewhere, sitetest.Claims{"upn": "boss@corp.example", "email": "eve@mail.example", "email_verified": true}, nil, "boss@corp.example", false},
		{"the same address", elsewhere, sitetest.Claims{"upn": "ada@corp.example", "email": "ada@corp.example", "email_verified": true}, nil, "ada@corp.example", true},
		{"the same in other case", elsewhere, sitetest.Claims{"upn": "Ada@corp.example", "email": "ada@corp.example", "email_verified": true}, nil, "Ada@corp.example", false},
		{"no address beside it", elsewhere, sitetest.Claims{"upn": "boss@corp.example", "email_verified": true}, nil, "boss@corp.example", false},
		{"a list beside it", elsewhere, sitetest.Claims{"upn": "boss@corp.example", "email": []string{"boss@corp.example"}, "email_verified": true}, nil, "boss@corp.example", false},
		{"no mapped address", elsewhere, sitetest.Claims{"email": "eve@mail.example", "email_verified": true}, nil, "", false},
		{"a flag of its own", own, sitetest.Claims{"upn": "boss@corp.example", "upn_verified": true, "email": "eve@mail.example"}, nil, "boss@corp.example", true},
		{"a flag of its own that says no", own, sitetest.Claims{"upn": "boss@corp.example", "upn_verified": false, "email_verified": true}, nil, "boss@corp.example", false},
		{"the flag alone is mapped", map[string]string{"email_verified": "ok"}, sitetest.Claims{"email": "ada@corp.example", "ok": true}, nil, "ada@corp.example", true},
		{"the provider's rule", elsewhere, sitetest.Claims{"upn": "boss@corp.example"}, func(map[string]any) bool { return true }, "boss@corp.example", true},
	} {
		check := func(t *testing.T, s *sitetest.Site) {
			t.Helper()
			if u := s.AcceptsSignIn(t, "/login/demo"); u.Email != tt.email || u.EmailVerified != tt.verified {
				t.Errorf("got %q, verified %t", u.Email, u.EmailVerified)
			}
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				p := &o.Providers[0]
				p.ClaimPaths, p.EmailVerified, p.Userinfo = tt.paths, tt.rule, "never"
			})
			s.IDP.EditIDToken(func(_, c map[string]any) { layEmail(c, tt.sent) })
			check(t, s)
		})
		t.Run(tt.name+", plain OAuth 2.0", func(t *testing.T) {
			t.Parallel()
			profile := sitetest.Claims{"sub": "7"}
			layEmail(profile, tt.sent)
			check(t, sitetest.NewPlain(t, sitetest.JSON(profile), func(_ *sitetest.Site, p *ginauth.Provider) { p.ClaimPaths, p.EmailVerified = tt.paths, tt.rule }))
		})
	}
}

// layEmail replaces the provider's claims about the address.
func layEmail(over, own sitetest.Claims) {
	delete(over, "email")
	delete(over, "email_verified")
	for name, value := range own {
		over[name] = value
	}
}

// TestVerifiedFlagStaysWithItsMappedAddress is TestVerifiedFlagStaysWithItsAddress with the
// claim names of ClaimPaths.
func TestVerifiedFlagStaysWithItsMappedAddress(t *testing.T) {
	flat := map[string]string{"email": "mail", "email_verified": "mail_verified"}
	deep := map[string]string{"email": "contact.mail", "email_verified": "flags.mail.ok"}
	apart := map[string]string{"email": "mail"}
	flag := sitetest.Claims{"mail": sitetest.Claims{"ok": true}, "phone": true}
	for _, tt := range []struct {
		name        string
		paths       map[string]string
		token, info sitetest.Claims
		email       string
		verified    bool
	}{
		{"another address", flat, sitetest.Claims{"mail": "a@x"}, sitetest.Claims{"mail": "b@x", "mail_verified": true}, "a@x", false},
		{"the same address", flat, sitetest.Claims{"mail": "a@x"}, sitetest.Claims{"mail": "a@x", "mail_verified": true}, "a@x", true},
		{"a flag without an address", flat, sitetest.Claims{"mail": "a@x"}, sitetest.Claims{"mail_verified": true}, "a@x", false},
		{"the token's own flag", flat, sitetest.Claims{"mail": "a@x", "mail_verified": false}, sitetest.Claims{"mail": "a@x", "mail_verified": true}, "a@x", false},
		{"the token's flag without an address", flat, sitetest.Claims{"mail_verified": true}, sitetest.Claims{"mail": "b@x"}, "", false},
		{"the userinfo alone", flat, sitetest.Claims{}, sitetest.Claims{"mail": "b@x", "mail_verified": true}, "b@x", true},
		{"another address within", deep, sitetest.Claims{"contact": sitetest.Claims{"mail": "a@x"}}, sitetest.Claims{"contact": sitetest.Claims{"mail": "b@x"}, "flags": flag}, "a@x", false},
		{"the same address within", deep, sitetest.Claims{"contact": sitetest.Claims{"mail": "a@x"}}, sitetest.Claims{"contact": sitetest.Claims{"mail": "a@x"}, "flags": flag}, "a@x", true},
		{"the userinfo alone within", deep, sitetest.Claims{}, sitetest.Claims{"contact": sitetest.Claims{"mail": "b@x"}, "flags": flag}, "b@x", true},
		{"a flag in a list", map[string]string{"email": "mail", "email_verified": "flags.0.ok"},
			sitetest.Claims{"mail": "a@x"}, sitetest.Claims{"mail": "b@x", "flags": []sitetest.Claims{{"ok": true}}}, "a@x", false},
		{"a second address under the same path", deep, sitetest.Claims{"contact": sitetest.Claims{"mail": "a@x"}, "flags": flag}, sitetest.Claims{"contact.mail": "b@x"}, "a@x", true},
		{"a second address under the same path, and no flags", deep, sitetest.Claims{"contact": sitetest.Claims{"mail": "a@x"}}, sitetest.Claims{"contact.mail": "b@x"}, "a@x", false},
		{"a second flag under the same path", deep, sitetest.Claims{"contact": sitetest.Claims{"mail": "a@x"}, "flags": sitetest.Claims{"mail": sitetest.Claims{"ok": false}}},
			sitetest.Claims{"contact": sitetest.Claims{"mail": "a@x"}, "flags.mail.ok": true}, "a@x", false},
		{"the address alone is mapped", apart, sitetest.Claims{"mail": "a@x"}, sitetest.Claims{"email": "b@x", "email_verified": true}, "a@x", false},
		{"the address alone is mapped, and is the same", apart, sitetest.Claims{"mail": "a@x"}, sitetest.Claims{"email": "a@x", "email_verified": true}, "a@x", true},
		{"the flag alone is mapped", map[string]string{"email_verified": "ok"}, sitetest.Claims{"email": "a@x"}, sitetest.Claims{"email": "b@x", "ok": true}, "a@x", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				sitetest.UserinfoAlways(s, o)
				o.Providers[0].ClaimPaths = tt.paths
			})
			s.IDP.EditIDToken(func(_, c map[string]any) { layEmail(c, tt.token) })
			s.IDP.EditUserinfo(func(c map[string]any) { layEmail(c, tt.info) })
			if u := s.AcceptsSignIn(t, "/login/demo"); u.Email != tt.email || u.EmailVerified != tt.verified {
				t.Errorf("got %q, verified %t", u.Email, u.EmailVerified)
			}
		})
	}
}

// Only the flag and its address are removed from userinfo, so that the flag does not apply to
// another address.
func TestWhatStandsBesideAFlag(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.UserinfoAlways(s, o)
		o.KeepClaims = []string{"flags", "office"}
		o.Providers[0].ClaimPaths = map[string]string{"email_verified": "flags.email.ok"}
	})
	s.IDP.EditUserinfo(func(c sitetest.Claims) {
		c["email"] = "other@example.com"
		c["flags"] = sitetest.Claims{"email": sitetest.Claims{"ok": true}, "phone": true}
		c["office"] = sitetest.Claims{"email": "desk@example.com"}
	})
	s.Engine.GET("/kept", s.Auth.RequireAuth(), func(c *gin.Context) {
		kept, _ := ginauth.Claims[map[string]any](c)
		c.String(http.StatusOK, "%t %s", ginauth.CurrentUser(c).EmailVerified, sitetest.JSON(kept))
	})
	s.SignIn()
	if got, want := s.Ask("GET", "/kept", sitetest.Fetch...).Text(), `false {"flags":{"email":{},"phone":true},"office":{"email":"desk@example.com"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A flag that was sent without an address does not apply to an empty address.
func TestAFlagForAnEmptyAddress(t *testing.T) {
	t.Parallel()
	var seen map[string]any
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.UserinfoAlways(s, o)
		o.Providers[0].VerifyClaims = func(c map[string]any) error { seen = c; return nil }
	})
	s.IDP.EditIDToken(func(_, c sitetest.Claims) { c["email"] = ""; delete(c, "email_verified") })
	s.IDP.EditUserinfo(func(c sitetest.Claims) { delete(c, "email"); c["email_verified"] = true })
	s.AcceptsSignIn(t, "/login/demo")
	if v, there := seen["email_verified"]; there || seen["email"] != "" {
		t.Errorf("email %q is verified: %v", seen["email"], v)
	}
}

// A claim to keep that is missing in the ID token is missing in the session, too.
func TestAbsentClaimIsNotKept(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"email", "absent"} })
	s.Engine.GET("/claims", s.Auth.RequireAuth(), func(c *gin.Context) {
		claims := map[string]any{}
		if err := ginauth.CurrentUser(c).Claims(&claims); err != nil {
			t.Error(err)
		}
		c.JSON(http.StatusOK, claims)
	})
	s.SignIn()
	if got := s.Get("/claims").Text(); !strings.Contains(got, `"email"`) || strings.Contains(got, "absent") {
		t.Errorf("kept: %s", got)
	}
}

// The auth_time of the provider becomes the user's AuthTime.
func TestAuthTimeIsTheProviders(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	at := s.Clock.Now().Add(-time.Hour).Truncate(time.Second)
	s.IDP.EditIDToken(func(_, c sitetest.Claims) { c["auth_time"] = at.Unix() })
	if got := s.AcceptsSignIn(t, "/login/demo").AuthTime; !got.Equal(at) {
		t.Errorf("AuthTime is %v, want %v", got, at)
	}
}

// A user without the claim name gets a name from its parts.
func TestNameInPieces(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Userinfo = "never" })
	s.IDP.EditIDToken(func(_, c sitetest.Claims) {
		delete(c, "name")
		c["given_name"], c["family_name"] = "Ada", "King"
	})
	if got := s.AcceptsSignIn(t, "/login/demo").Name; got != "Ada King" {
		t.Errorf("Name is %q", got)
	}
}

// If the provider sends none of the claims to keep, the session has no claims, rather than null.
func TestNoClaimsAreKept(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"department"} })
	s.Engine.GET("/kept", s.Auth.RequireAuth(), func(c *gin.Context) {
		kept, err := ginauth.Claims[map[string]any](c)
		c.String(http.StatusOK, "%t %d %v", kept == nil, len(kept), err)
	})
	s.SignIn()
	if got := s.Ask("GET", "/kept", sitetest.Fetch...).Text(); got != "false 0 <nil>" {
		t.Errorf("got %s", got)
	}
}

// Claims to keep that the provider did not send are absent, rather than null.
func TestClaimsToKeepThatAreNotSent(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"email", "shoe_size"} })
	s.Engine.GET("/kept", s.Auth.RequireAuth(), func(c *gin.Context) {
		kept, err := ginauth.Claims[sitetest.Claims](c)
		if err != nil {
			t.Error(err)
		}
		c.JSON(http.StatusOK, kept)
	})
	s.SignIn()
	if got := s.Get("/kept").Text(); got != `{"email":"ada@example.com"}` {
		t.Errorf("kept %s", got)
	}
}

// VerifyClaims is not called for an invalid token.
func TestNobodyLooksAtClaimsOfABadToken(t *testing.T) {
	t.Parallel()
	asked := 0
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].VerifyClaims = func(map[string]any) error { asked++; return errors.New("no") }
		s.IDP.EditIDToken(func(_, c sitetest.Claims) { c["aud"] = "another" })
	})
	s.WantError(s.Get("/login/demo"), ginauth.ErrIDTokenInvalid)
	if asked != 0 {
		t.Errorf("VerifyClaims was called %d times", asked)
	}
}

// Nor is there a name to add to the claims.
func TestNobodyNamesABadToken(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].NameFromCallback = func(url.Values) string { return "Ada" }
		s.IDP.EditIDToken(func(_, c sitetest.Claims) { c["aud"] = "another" })
	})
	s.WantError(s.Get("/login/demo"), ginauth.ErrIDTokenInvalid)
}

// The session keeps claims about the user. Pages that show all kept claims show no parameters of
// the sign-in itself.
func TestAllClaimsAreKeptButTheNonce(t *testing.T) {
	t.Parallel()
	nonces := 0
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			claims := map[string]any{}
			if err := login.User.Claims(&claims); err != nil || claims["nonce"] == nil {
				t.Errorf("OnLogin gets %v, %v", claims, err)
			}
			nonces++
			return nil
		}
	})
	s.Engine.GET("/claims", s.Auth.RequireAuth(), func(c *gin.Context) {
		claims, err := ginauth.Claims[map[string]any](c)
		if err != nil || claims["nonce"] != nil || claims["sub"] != "ada" || claims["email"] != "ada@example.com" || claims["at_hash"] == nil {
			t.Errorf("a handler gets %v, %v", claims, err)
		}
		c.JSON(http.StatusOK, claims)
	})
	s.SignIn()
	if p := s.Get("/claims"); p.Status != http.StatusOK || nonces != 1 {
		t.Errorf("status %d, and %d sign-ins", p.Status, nonces)
	}
}

// groupsSite is a site whose ID tokens have no groups, and the additional claims in more.
func groupsSite(t *testing.T, path string, more sitetest.Claims) *sitetest.Site {
	t.Helper()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		if path != "" {
			o.Providers[0].ClaimPaths = map[string]string{"groups": path}
		}
	})
	s.IDP.EditIDToken(func(_, c map[string]any) {
		delete(c, "groups")
		maps.Copy(c, more)
	})
	s.IDP.EditUserinfo(func(c map[string]any) { delete(c, "groups") })
	return s
}

// TestGroupsThatAreElsewhere: the token of a user in many groups has none of them. The log warns
// about it once, with the claim's name.
func TestGroupsThatAreElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		more       sitetest.Claims
		warned     bool
	}{
		{"Entra ID", "", sitetest.Claims{"_claim_names": sitetest.Claims{"groups": "src1"}, "_claim_sources": sitetest.Claims{"src1": sitetest.Claims{"endpoint": "https://graph.example/groups"}}}, true},
		{"without room for a source", "", sitetest.Claims{"hasgroups": true}, true},
		{"in text", "", sitetest.Claims{"hasgroups": "true"}, true},
		{"by another path", "app.groups", sitetest.Claims{"_claim_names": sitetest.Claims{"app": "src1"}, "_claim_sources": sitetest.Claims{"src1": sitetest.Claims{}}}, true},
		{"another claim", "", sitetest.Claims{"_claim_names": sitetest.Claims{"address": "src1"}, "_claim_sources": sitetest.Claims{"src1": sitetest.Claims{}}}, false},
		{"no groups", "", sitetest.Claims{"hasgroups": false}, false},
		{"no app roles", "roles", sitetest.Claims{"hasgroups": true}, false},
		{"app roles", "roles", sitetest.Claims{"hasgroups": true, "roles": []string{"admin"}}, false},
		{"groups after all", "", sitetest.Claims{"hasgroups": true, "groups": []string{"admin"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := groupsSite(t, tt.path, tt.more)
			s.SignIn()
			s.SignIn()
			want := 0
			if tt.warned {
				want = 1
			}
			if n, all := len(s.Logs.Lines("WARN", "claims.groups_elsewhere")), strings.Count(s.Logs.String(), "level=WARN"); n != want || all != want {
				t.Errorf("warned %d times, of groups %d times; want %d:\n%s", all, n, want, s.Logs)
			}
		})
	}
}

// TestUserWithoutGroups: if the claim is missing in both places, the log of the sign-in reports
// it, and so does the error of a check.
func TestUserWithoutGroups(t *testing.T) {
	t.Parallel()
	s := groupsSite(t, "realm_access.roles", nil)
	s.Engine.GET("/staff", s.Auth.RequireAuth(ginauth.HasGroup("staff")), sitetest.Teapot)
	s.SignIn()
	if lines := s.Logs.Lines("DEBUG", "claims.no_groups"); len(lines) != 1 || !strings.Contains(lines[0], "claim=realm_access.roles") {
		t.Errorf("the sign-in does not say that there are no groups:\n%s", s.Logs)
	}
	s.Get("/staff")
	if log := s.Logs.String(); !strings.Contains(log, "id=check.no_groups") {
		t.Errorf("the refusal does not say that there are no groups:\n%s", log)
	}
	s.IDP.EditIDToken(func(_, c map[string]any) { c["realm_access"] = sitetest.Claims{"roles": []string{"crew"}} })
	s.Logs.Reset()
	s.SignIn()
	s.Get("/staff")
	if log := s.Logs.String(); !strings.Contains(log, "id=check.group ") || strings.Contains(log, "no_groups") {
		t.Errorf("a user with a group:\n%s", log)
	}
}
