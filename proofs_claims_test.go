package ginauth_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// What is taken out of userinfo, so that no flag goes to another address, is that
// flag and that address alone.
func TestWhatStandsBesideAFlag(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		always(s, o)
		o.KeepClaims = []string{"flags", "office"}
		o.Providers[0].ClaimPaths = map[string]string{"email_verified": "flags.email.ok"}
	})
	s.idp.EditUserinfo(func(c claims) {
		c["email"] = "other@example.com"
		c["flags"] = claims{"email": claims{"ok": true}, "phone": true}
		c["office"] = claims{"email": "desk@example.com"}
	})
	s.engine.GET("/kept", s.auth.RequireAuth(), func(c *gin.Context) {
		kept, _ := ginauth.Claims[map[string]any](c)
		c.String(http.StatusOK, "%t %s", ginauth.CurrentUser(c).EmailVerified, jsonOf(kept))
	})
	s.signIn()
	if got, want := s.ask("GET", "/kept", fetches...).Text(), `false {"flags":{"email":{},"phone":true},"office":{"email":"desk@example.com"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A provider that shares the client secret may sign with it, and with its key.
func TestSignedWithTheClientSecret(t *testing.T) {
	t.Parallel()
	const issuer = "https://access.line.me"
	shared := strings.Repeat("0123456789abcdef", 2)
	for _, alg := range []string{"HS256", "RS256"} {
		s := newSite(t, func(s *site, o *ginauth.Options) {
			s.idp = startIDP(t, authtest.Config{Now: s.clock.Now, ClientSecret: shared})
			p := client("demo", s.idp)
			p.AuthorizeURL, p.TokenURL, p.JWKSURL = s.idp.URL(authtest.Authorize), s.idp.URL(authtest.Token), s.idp.URL(authtest.JWKS)
			p.Issuer, p.Quirks.HS256 = issuer, true
			o.Providers[0] = p
		})
		s.idp.EditAnswer(func(answer url.Values) { answer.Del("iss") })
		s.idp.EditIDToken(func(_, c claims) { c["iss"] = issuer })
		s.idp.ReplaceIDToken(func(compact string) string {
			if alg == "RS256" {
				return compact
			}
			return hs256([]byte(shared), `{"alg":"HS256","typ":"JWT"}`, decoded(compact, 1))
		})
		s.accepts(t, "/login/demo")
	}
}

// A key that names an issuer, as Microsoft's do, is any key where the Provider
// does not say that there are several.
func TestKeysThatNameAnIssuer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.EditJWKS(func(keys []map[string]any) []map[string]any { keys[0]["issuer"] = "https://other.example"; return keys })
	s.accepts(t, "/login/demo")
}

// A token that names no key, and is signed with one that is known, asks for none.
func TestATokenWithoutAKidAsksForKeysOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.EditIDToken(func(header, _ claims) { delete(header, "kid") })
	for range 3 {
		s.accepts(t, "/login/demo")
		s.clock.Advance(time.Minute)
	}
	if n := s.idp.Count(authtest.JWKS); n != 1 {
		t.Errorf("the keys were asked for %d times", n)
	}
}

// Keys that cannot be had are no fault of the userinfo that they should verify.
func TestSignedUserinfoAndKeysThatCannotBeHad(t *testing.T) {
	t.Parallel()
	s := newSite(t, always)
	s.idp.Handle(authtest.Userinfo, func(w http.ResponseWriter, r *http.Request) {
		s.idp.Fail(authtest.JWKS, authtest.Down)
		answers(http.StatusOK, "application/jwt", signed(strangerKey(), claims{"alg": "RS256", "kid": "newer"}, `{"sub":"ada"}`))(w, r)
	})
	s.wantError(s.get("/login/demo"), ginauth.ErrProviderUnavailable)
}

// What a plain provider answers in place of a profile is what the log speaks of.
func TestProfilesThatAreNone(t *testing.T) {
	t.Parallel()
	s := plainSite(t, "", nil)
	s.idp.Handle(authtest.Userinfo, answers(http.StatusInternalServerError, "application/json", `{"id":7}`))
	s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "http.status", 1)

	s = plainSite(t, "", func(_ *site, p *ginauth.Provider) {
		p.UserinfoURL = ""
		p.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
			return map[string]any{"sub": "7", "at": make(chan int)}, nil
		}
	})
	s.refuses(t, "/login/demo", ginauth.ErrIdentityRejected, "cannot be written as JSON", 1)
}

// A flag that came without an address does not go to one that is empty.
func TestAFlagForAnEmptyAddress(t *testing.T) {
	t.Parallel()
	var seen map[string]any
	s := newSite(t, func(s *site, o *ginauth.Options) {
		always(s, o)
		o.Providers[0].VerifyClaims = func(c map[string]any) error { seen = c; return nil }
	})
	s.idp.EditIDToken(func(_, c claims) { c["email"] = ""; delete(c, "email_verified") })
	s.idp.EditUserinfo(func(c claims) { delete(c, "email"); c["email_verified"] = true })
	s.accepts(t, "/login/demo")
	if v, there := seen["email_verified"]; there || seen["email"] != "" {
		t.Errorf("email %q is verified: %v", seen["email"], v)
	}
}

// A provider is told that its logout token was taken, whatever a middleware in
// front wrote down before.
func TestBackChannelAnswersOK(t *testing.T) {
	t.Parallel()
	s := newLogoutSite(t, func(s *site, _ *ginauth.Options) {
		s.engine.Use(func(c *gin.Context) { c.Status(http.StatusNotFound) })
	})
	if p := s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(claims{"sub": "ada"}))); p.Status != http.StatusOK {
		t.Errorf("answered %d: %s", p.Status, p.Text())
	}
}
