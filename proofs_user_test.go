package ginauth_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
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

// An ID token that has all that the scopes can ask for needs no userinfo, even
// where everything is kept.
func TestNoUserinfoForWhatIsThere(t *testing.T) {
	t.Parallel()
	all := strings.Fields("family_name given_name middle_name nickname profile website gender birthdate zoneinfo updated_at")
	for _, missing := range append(all, "") {
		s := newSite(t, func(_ *site, o *ginauth.Options) { o.KeepClaims = []string{"*"} })
		var asked atomic.Bool
		s.idp.EditUserinfo(func(claims) { asked.Store(true) })
		s.idp.EditIDToken(func(_, c claims) {
			for _, name := range append(all, "name", "preferred_username", "picture", "locale", "email") {
				c[name] = "https://example.com/" + name
			}
			c["email"], c["email_verified"] = "ada@example.com", true
			delete(c, missing)
		})
		s.accepts(t, "/login/demo")
		if asked.Load() != (missing != "") {
			t.Errorf("without %q, userinfo was asked: %v", missing, asked.Load())
		}
	}
}

// Userinfo that was asked for a missing claim and cannot be used ends the sign-in.
func TestMissingClaimsAndUserinfoThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.EditIDToken(func(_, c claims) { delete(c, "name") })
	s.idp.Handle(authtest.Userinfo, answers(http.StatusOK, "application/json", `{"sub":`))
	s.refuses(t, "/login/demo", ginauth.ErrUserinfoInvalid, "the answer is not strict JSON", 1)
}

// Provider.Profile is where userinfo comes from, also where the provider has no
// endpoint for it.
func TestProfileInPlaceOfAnEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		p := &o.Providers[0]
		p.AuthorizeURL, p.TokenURL, p.JWKSURL = s.idp.Issuer+"/authorize", s.idp.Issuer+"/token", s.idp.Issuer+"/jwks"
		p.Userinfo = "always"
		p.Profile = func(_ context.Context, _ *http.Client, token *oauth2.Token) (map[string]any, error) {
			return map[string]any{"sub": "ada", "zoneinfo": "UTC"}, nil
		}
		o.KeepClaims = []string{"zoneinfo"}
	})
	s.engine.GET("/zone", s.auth.RequireAuth(ginauth.HasClaim("zoneinfo", "UTC")), func(c *gin.Context) { c.Status(http.StatusOK) })
	s.signIn()
	if p := s.ask("GET", "/zone", fetches...); p.Status != http.StatusOK {
		t.Errorf("answered %d: %s", p.Status, p.Text())
	}
}

// closing counts the bodies of answers that were not closed.
type closing struct{ open atomic.Int64 }

func (n *closing) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		n.open.Add(1)
		answer.Body = &countedBody{answer.Body, n}
	}
	return answer, err
}

type countedBody struct {
	io.ReadCloser
	n *closing
}

func (c *countedBody) Close() error {
	c.n.open.Add(-1)
	return c.ReadCloser.Close()
}

// Answers that are refused are closed like others.
func TestRefusedAnswersAreClosed(t *testing.T) {
	t.Parallel()
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS, authtest.Token, authtest.Userinfo} {
		n := &closing{}
		s := newSite(t, func(_ *site, o *ginauth.Options) {
			o.Providers[0].Userinfo = "always"
			o.HTTPClient = &http.Client{Transport: n}
		})
		s.idp.Handle(e, answers(http.StatusTeapot, "text/plain", "no"))
		if p := s.get("/login/demo"); p.Status < 400 || n.open.Load() != 0 {
			t.Errorf("%s: answered %d; %d bodies are open", e, p.Status, n.open.Load())
		}
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
