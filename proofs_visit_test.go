package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
)

// An answer that nothing was written of, and that renews the session's cookie,
// goes into no cache either, whatever the handler said.
func TestRenewalsBesideAnEmptyAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.engine.GET("/quiet", s.auth.RequireAuth(), func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age=60")
		c.Status(http.StatusNoContent)
	})
	s.as("ada")
	s.clock.Advance(3 * time.Hour)
	p := s.ask("GET", "/quiet")
	if p.Status != http.StatusNoContent || p.Header.Get("Set-Cookie") == "" || !strings.Contains(p.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("answered %d with %v", p.Status, p.Header)
	}
}

// A request from another origin is anonymous behind LoadUser, even if somebody
// put a user there before.
func TestAForeignRequestHasNoUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	put := func(c *gin.Context) { c.Set(ginauth.UserKey, &ginauth.User{Name: "Ada"}) }
	s.engine.POST("/foreign", put, s.auth.LoadUser(), func(c *gin.Context) {
		if u := ginauth.CurrentUser(c); u != nil {
			c.String(http.StatusOK, u.Name)
		}
	})
	if p := s.ask("POST", "/foreign", "Sec-Fetch-Site", "cross-site"); p.Text() != "" {
		t.Errorf("it is %s's", p.Text())
	}
}

// LoadUser lets everybody pass, and says in the log why it knows nobody.
func TestLoadUserLogsWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	f := &faultyRevocations{}
	s := newSite(t, func(s *site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.clock.Now, 1<<20)
		o.Revocations = f
	})
	s.as("ada")
	f.readErr = errBroken
	s.logs.Reset()
	if p := s.get("/"); p.Text() != "home" || !strings.Contains(s.logs.String(), string(ginauth.ErrStoreUnavailable)) {
		t.Errorf("%s\n%s", p.Text(), s.logs)
	}
}

// Two guards in a row say once what the answer varies by.
func TestVaryIsSaidOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.engine.GET("/twice", s.auth.LoadUser(), s.auth.LoadUser(), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	if got := s.ask("GET", "/twice").Header.Values("Vary"); !slices.Equal(got, []string{"Cookie"}) {
		t.Errorf("Vary is %q", got)
	}
}

// After a sign-out, the request it happened in has no session, and one that
// began in the same request has ended as well.
func TestSignOutWithinTheRequest(t *testing.T) {
	t.Parallel()
	var left []string
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(_ *gin.Context, u *ginauth.User) { left = append(left, u.Subject) }
	})
	there := true
	out := func(c *gin.Context) {
		if err := s.auth.Logout(c); err != nil {
			t.Error(err)
		}
		_, there = s.auth.Session(c)
	}
	s.engine.GET("/out", s.auth.RequireAuth(), out)
	s.engine.GET("/in-and-out", func(c *gin.Context) {
		if err := s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}); err != nil {
			t.Error(err)
		}
		out(c)
	})
	s.as("ada")
	if s.ask("GET", "/out"); there || s.user() != nil || !slices.Equal(left, []string{"ada"}) {
		t.Errorf("signed out: %v, %v, OnLogout of %q", there, s.user(), left)
	}
	there = true
	if s.ask("GET", "/in-and-out"); there || s.user() != nil || !slices.Equal(left, []string{"ada", "grace"}) {
		t.Errorf("signed in and out: %v, %v, OnLogout of %q", there, s.user(), left)
	}
}

// A SignIn that fails has signed nobody in.
func TestSignInThatCannotBeKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	var err error
	var u *ginauth.User
	s.engine.GET("/as", func(c *gin.Context) {
		err = s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada", Name: strings.Repeat("x", 20_000)})
		u = ginauth.CurrentUser(c)
		c.Status(http.StatusNoContent)
	})
	if p := s.ask("GET", "/as"); p.Status != http.StatusNoContent || !errors.Is(err, ginauth.ErrSessionError) || u != nil || s.user() != nil {
		t.Errorf("answered %d, %v, %v is signed in", p.Status, err, u)
	}
}

// A sign-in that OnLogin refuses takes back what OnLogin began, and nothing
// else: not the session that the application knew in this request before.
func TestARefusedSignInTakesBackItsOwn(t *testing.T) {
	t.Parallel()
	began, shown := false, &ginauth.User{}
	s := newSite(t, func(s *site, o *ginauth.Options) {
		s.engine.Use(func(c *gin.Context) {
			if s.auth != nil {
				s.auth.LoadUser()(c)
			}
		})
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			if began {
				if err := s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}); err != nil {
					t.Error(err)
				}
			}
			return errors.New("not you")
		}
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) { shown = ginauth.CurrentUser(c) }
	})
	s.as("ada")
	s.get("/login/demo")
	if u := s.user(); u == nil || u.Subject != "ada" {
		t.Errorf("%v is signed in", u)
	}
	began = true
	s.get("/login/demo")
	if shown != nil {
		t.Errorf("OnError sees %v", shown)
	}
}

// Who asks to link an account from a page of ours says so by either header.
func TestLinkingIsProvedByEitherHeader(t *testing.T) {
	t.Parallel()
	s, _, _ := linkingSite(t)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, tt := range []struct {
		header []string
		admits bool
	}{
		{[]string{"Sec-Fetch-Site", "same-origin"}, true}, {[]string{"Origin", s.URL}, true}, {nil, false},
		{[]string{"Sec-Fetch-Site", "same-site"}, false}, {[]string{"Sec-Fetch-Site", "cross-site"}, false},
		{[]string{"Sec-Fetch-Site", "none"}, false}, {[]string{"Origin", "https://evil.example"}, false}, {[]string{"Origin", "null"}, false},
	} {
		p := s.post("/login/demo", linkForm.Encode(), append(form, tt.header...)...)
		if tt.admits != (p.Status == http.StatusSeeOther) || !tt.admits && p.Status != http.StatusForbidden {
			t.Errorf("%q: %d", tt.header, p.Status)
		}
	}
}

// post sends a body with the browser's cookies and just these headers.
func (s *site) post(path, body string, header ...string) *authtest.Page {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return s.must(s.browser.Do(r))
}

// A session ends when an ID token says so, and not when some profile does.
func TestSessionExpiryOfAProfile(t *testing.T) {
	t.Parallel()
	s := plainSite(t, `{"id":7,"session_expiry":1}`, nil)
	if u := s.accepts(t, "/login/demo"); u.Subject != "7" {
		t.Errorf("%+v", u)
	}
}

// Of the claims to keep, those that the provider did not send are not there,
// rather than null.
func TestClaimsToKeepThatAreNotSent(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.KeepClaims = []string{"email", "shoe_size"} })
	s.engine.GET("/kept", s.auth.RequireAuth(), func(c *gin.Context) {
		kept, err := ginauth.Claims[claims](c)
		if err != nil {
			t.Error(err)
		}
		c.JSON(http.StatusOK, kept)
	})
	s.signIn()
	if got := s.get("/kept").Text(); got != `{"email":"ada@example.com"}` {
		t.Errorf("kept %s", got)
	}
}

// What looks at claims is not asked about a token that did not hold.
func TestNobodyLooksAtClaimsOfABadToken(t *testing.T) {
	t.Parallel()
	asked := 0
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Providers[0].VerifyClaims = func(map[string]any) error { asked++; return errors.New("no") }
		s.idp.EditIDToken(func(_, c claims) { c["aud"] = "another" })
	})
	s.wantError(s.get("/login/demo"), ginauth.ErrIDTokenInvalid)
	if asked != 0 {
		t.Errorf("VerifyClaims was asked %d times", asked)
	}
}

// Nor is there a name to add to them.
func TestNobodyNamesABadToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Providers[0].NameFromCallback = func(url.Values) string { return "Ada" }
		s.idp.EditIDToken(func(_, c claims) { c["aud"] = "another" })
	})
	s.wantError(s.get("/login/demo"), ginauth.ErrIDTokenInvalid)
}
