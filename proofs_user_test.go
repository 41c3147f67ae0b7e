package ginauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// The time that the provider names is the user's.
func TestAuthTimeIsTheProviders(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	at := s.clock.Now().Add(-time.Hour).Truncate(time.Second)
	s.idp.EditIDToken(func(_, c claims) { c["auth_time"] = at.Unix() })
	if got := s.accepts(t, "/login/demo").AuthTime; !got.Equal(at) {
		t.Errorf("AuthTime is %v, want %v", got, at)
	}
}

// Who has no name in one piece has one all the same.
func TestNameInPieces(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Userinfo = "never" })
	s.idp.EditIDToken(func(_, c claims) {
		delete(c, "name")
		c["given_name"], c["family_name"] = "Ada", "King"
	})
	if got := s.accepts(t, "/login/demo").Name; got != "Ada King" {
		t.Errorf("Name is %q", got)
	}
}

// A session that keeps claims which nobody sent has none, which is not null.
func TestNoClaimsAreKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.KeepClaims = []string{"department"} })
	s.engine.GET("/kept", s.auth.RequireAuth(), func(c *gin.Context) {
		kept, err := ginauth.Claims[map[string]any](c)
		c.String(http.StatusOK, "%t %d %v", kept == nil, len(kept), err)
	})
	s.signIn()
	if got := s.ask("GET", "/kept", fetches...).Text(); got != "false 0 <nil>" {
		t.Errorf("got %s", got)
	}
}

// HasClaim looks into all claims where all are kept, and in OnLogin, where none
// has gone yet.
func TestHasClaimOfAllClaims(t *testing.T) {
	t.Parallel()
	var atLogin error
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			atLogin = ginauth.HasClaim("department", "math")(l.User)
			return nil
		}
		s.idp.EditIDToken(func(_, c claims) { c["department"] = "math" })
	})
	s.engine.GET("/math", s.auth.RequireAuth(ginauth.HasClaim("department", "math")), func(c *gin.Context) { c.Status(http.StatusOK) })
	s.signIn()
	if p := s.ask("GET", "/math", fetches...); p.Status != http.StatusOK || atLogin != nil {
		t.Errorf("answered %d; in OnLogin: %v", p.Status, atLogin)
	}
}

// Without a Name in KeepClaims, HasClaim in OnLogin still finds it.
func TestHasClaimInOnLogin(t *testing.T) {
	t.Parallel()
	atLogin := ginauth.HasClaim("email", "ada@example.com")
	var err error
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			err = atLogin(l.User)
			return nil
		}
	})
	s.signIn()
	if err != nil {
		t.Error(err)
	}
}

// A front channel that nobody is signed in on says so in a page, and calls
// nobody: there is no user for OnLogout.
func TestFrontChannelSaysSoToNobody(t *testing.T) {
	t.Parallel()
	out := 0
	s := newLogoutSite(t, func(_ *site, o *ginauth.Options) { o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { out++ } })
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, httptest.NewRequest("GET", s.URL+"/logout/demo/frontchannel?iss=x&sid=y", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<title>Signed out</title>") || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("answered %d, %v: %s", w.Code, w.Header(), w.Body)
	}
	if out != 0 || strings.Contains(s.logs.String(), "signed_out") {
		t.Errorf("OnLogout ran %d times\n%s", out, s.logs)
	}
}
