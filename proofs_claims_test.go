package ginauth_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
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
