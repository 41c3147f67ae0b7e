package ginauth_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestLogoutEndsWhatSignInBegan(t *testing.T) {
	s := sitetest.New(t, nil)
	s.Engine.GET("/auto", func(c *gin.Context) {
		if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "somebody"}, nil); err != nil {
			t.Error(err)
		}
		if err := s.Auth.Logout(c); err != nil {
			t.Error(err)
		}
		if ginauth.CurrentUser(c) != nil {
			t.Error("there is a user after Logout")
		}
		c.String(http.StatusForbidden, "no")
	})
	s.Get("/auto")
	if u := s.User(); u != nil {
		t.Errorf("%s is signed in", u.Subject)
	}
}

// Run with -race: Gin's documented way to continue after the response.
func TestUpdateBesideACopiedContext(t *testing.T) {
	s := sitetest.New(t, nil)
	done := make(chan string, 1)
	s.Engine.GET("/copy", s.Auth.RequireAuth(), func(c *gin.Context) {
		copied := c.Copy()
		go func() {
			name := ""
			for range 100 {
				name = ginauth.CurrentUser(copied).Name
			}
			done <- name
		}()
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Name = "New Name" }); err != nil {
			t.Error(err)
		}
	})
	s.SignIn()
	s.Get("/copy")
	if name := <-done; name != "Ada Lovelace" {
		t.Errorf("the copy saw %q", name)
	}
}

func TestARefusedUpdateTellsNobodyWhoItIs(t *testing.T) {
	s := sitetest.New(t, nil)
	s.Engine.POST("/comment", s.Auth.LoadUser(), func(c *gin.Context) {
		if err := s.Auth.Update(c, func(*ginauth.User) {}); !errors.Is(err, ginauth.ErrCrossOrigin) {
			t.Errorf("Update: %v", err)
		}
		if u := ginauth.CurrentUser(c); u != nil {
			t.Errorf("the request is %s's", u.Subject)
		}
	})
	s.SignIn()
	header := http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://sibling.localhost"}}
	s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/comment", header, ""))
}

func TestDataCanBeWrittenToAtOnce(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			l.User.Data["account"] = "7"
			return nil
		}
	})
	s.Engine.POST("/project", s.Auth.RequireAuth(), func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Data["project"] = "x" }); err != nil {
			t.Error(err)
		}
	})
	s.SignIn()
	s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/project", nil, ""))
	if u := s.User(); u.Data["account"] != "7" || u.Data["project"] != "x" {
		t.Errorf("Data is %v", u.Data)
	}
	if err := authtest.SignIn(s.Auth, s.Browser, &ginauth.User{Provider: "demo", Subject: "1"}); err != nil {
		t.Fatal(err)
	}
	s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/project", nil, ""))
	if u := s.User(); u.Data["project"] != "x" || len(u.Data) != 1 {
		t.Errorf("Data is %v", u.Data)
	}
}

func TestLogoutEverywhere(t *testing.T) {
	s := sitetest.New(t, nil)
	var all []*authtest.Browser
	for range 3 {
		s.Browser = s.NewBrowser()
		s.SignIn()
		all = append(all, s.Browser)
	}
	id := s.User().ID()
	s.IDP.SignInAs("grace")
	grace := s.NewBrowser()
	s.Browser = grace
	s.SignIn()
	if err := s.Auth.LogoutEverywhere(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for i, b := range all {
		if s.UserOf(b) != nil {
			t.Errorf("session %d is still valid", i)
		}
	}
	if s.UserOf(grace) == nil {
		t.Error("another user was signed out")
	}
	s.Clock.Advance(time.Second)
	s.IDP.SignInAs("ada")
	s.Browser = s.NewBrowser()
	s.SignIn()
	for _, wrong := range []string{"", "ada", "#ada", s.IDP.Issuer + "#"} {
		if err := s.Auth.LogoutEverywhere(t.Context(), wrong); !errors.Is(err, ginauth.ErrBadRequest) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// The provider's clock may be ahead of ours or behind: this must neither keep a stolen session
// nor end the new one.
func TestLogoutEverywhereWithClocksThatDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-50 * time.Second, 50 * time.Second} {
		s := sitetest.New(t, nil)
		s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iat"] = s.Clock.Now().Add(skew).Unix() })
		s.SignIn()
		stolen := s.Browser
		if err := s.Auth.LogoutEverywhere(t.Context(), s.User().ID()); err != nil {
			t.Fatal(err)
		}
		if s.UserOf(stolen) != nil {
			t.Errorf("skew %v: the session is still valid", skew)
		}
		s.Clock.Advance(time.Second)
		s.Browser = s.NewBrowser()
		s.SignIn()
	}
}

func TestSessionInfo(t *testing.T) {
	s := sitetest.New(t, nil)
	var info ginauth.SessionInfo
	var ok bool
	s.Engine.GET("/session", s.Auth.LoadUser(), func(c *gin.Context) { info, ok = s.Auth.Session(c) })
	s.Get("/session")
	if ok {
		t.Error("there is a session before the sign-in")
	}
	s.SignIn()
	began := s.Clock.Now()
	s.Clock.Advance(3 * time.Hour)
	s.Get("/session")
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() < 2*time.Second }
	if !ok || info.Provider != "demo" || !near(info.Created, began) || !near(info.LastSeen, s.Clock.Now()) ||
		!near(info.IdleExpiry, s.Clock.Now().Add(24*time.Hour)) || !near(info.AbsoluteExpiry, began.Add(7*24*time.Hour)) {
		t.Errorf("%+v, %v", info, ok)
	}
}

// A user whose account was stolen signs out everywhere and immediately in again: within the same
// second, and even the same millisecond.
func TestSignInRightAfterLogoutEverywhere(t *testing.T) {
	s := sitetest.New(t, nil)
	s.SignIn()
	for range 5 {
		if err := s.Auth.LogoutEverywhere(t.Context(), s.User().ID()); err != nil {
			t.Fatal(err)
		}
		if s.User() != nil {
			t.Fatal("still signed in")
		}
		s.SignIn()
	}
}

// Logout from a handler of the application: the user is signed out for the rest of the request,
// and afterwards.
func TestLogoutFromAHandler(t *testing.T) {
	t.Parallel()
	var told []string
	var err error
	s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(c *gin.Context, u *ginauth.User) {
			told = append(told, u.Subject)
			if ginauth.CurrentUser(c) != nil {
				told = append(told, "still here")
			}
		}
	})
	s.Engine.POST("/bye", s.Auth.LoadUser(), func(c *gin.Context) {
		err = s.Auth.Logout(c)
		s.BothUsers(c)
	})
	s.As("ada")
	line := s.CookieHeader()
	p := s.Ask("POST", "/bye", sitetest.Fetch...)
	if err != nil || p.Text() != "nobody, nobody" || strings.Join(told, " ") != "ada" {
		t.Errorf("in the request: %v, %q; OnLogout got %q", err, p.Text(), told)
	}
	if len(s.SessionCookies()) > 0 || s.Stolen(line) != "" {
		t.Error("the session is still valid")
	}
	if p := s.Ask("POST", "/bye", sitetest.Fetch...); err != nil || p.Text() != "nobody, nobody" || len(told) != 1 {
		t.Errorf("with no user signed in: %v, %q, %q", err, p.Text(), told)
	}
}

func TestLogoutAfterTheAnswer(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	var err error
	s.Guard("/late", func(c *gin.Context) {
		c.String(http.StatusOK, "written")
		err = s.Auth.Logout(c)
	})
	s.As("ada")
	if s.Ask("GET", "/late"); !errors.Is(err, ginauth.ErrSessionError) || s.User() == nil {
		t.Errorf("after the response was written: %v", err)
	}
}

// A session that grew and ended in one request leaves no cookie, and Update cannot restore it.
func TestLogoutBehindUpdate(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	var errs []error
	s.Guard("/grow-and-go", func(c *gin.Context) {
		errs = []error{
			s.Auth.Update(c, func(u *ginauth.User) { u.Groups = sitetest.Groups(4000) }),
			s.Auth.Logout(c),
			s.Auth.Update(c, func(u *ginauth.User) { u.Name = "back" }),
		}
	})
	s.As("ada")
	s.Ask("POST", "/grow-and-go", sitetest.Fetch...)
	if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], ginauth.ErrUnauthenticated) {
		t.Errorf("got %v", errs)
	}
	if left := s.SessionCookies(); len(left) > 0 {
		t.Errorf("remaining cookies: %v", left)
	}
}

// SignIn rejects a provider that is not configured.
func TestSignInOfAnUnknownProvider(t *testing.T) {
	t.Parallel()
	s := remembering(t, nil)
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest("GET", "/", nil)
	if err := s.Auth.SignIn(c, &ginauth.User{Provider: "gone", Subject: "grace"}, nil); !errors.Is(err, ginauth.ErrUnknownProvider) {
		t.Errorf("SignIn returned %v", err)
	}
}

func TestSignInOfNobody(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	var err error
	since := s.Clock.Now().Add(-time.Hour).Round(time.Second)
	u := (*ginauth.User)(nil)
	s.Engine.GET("/as", func(c *gin.Context) { err = s.Auth.SignIn(c, u, nil) })
	if s.Ask("GET", "/as"); !errors.Is(err, ginauth.ErrIdentityRejected) || s.User() != nil {
		t.Errorf("without a user: %v", err)
	}
	u = &ginauth.User{Provider: "demo", Subject: "ada", AuthTime: since}
	if s.Ask("GET", "/as"); err != nil || s.User() == nil || !s.User().AuthTime.Equal(since) {
		t.Errorf("a user with an AuthTime: %v, %+v", err, s.User())
	}
}

// Update checks that the session is not revoked before it changes anything.
func TestUpdateWhenRevocationsCannotBeRead(t *testing.T) {
	t.Parallel()
	s, f, _ := linkingSite(t)
	var err error
	s.Engine.POST("/rename", func(c *gin.Context) {
		err = s.Auth.Update(c, func(u *ginauth.User) { u.Name = "changed" })
	})
	f.ReadErr = sitetest.ErrBroken
	s.Ask("POST", "/rename", sitetest.Fetch...)
	f.ReadErr = nil
	if u := s.User(); !errors.Is(err, ginauth.ErrStoreUnavailable) || u == nil || u.Name == "changed" {
		t.Errorf("got %v; the user is %+v", err, u)
	}
}

func TestSessionInfoNamesNoTimeAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Lifetime, o.IdleTimeout = 3*time.Hour, 2*time.Hour })
	var info ginauth.SessionInfo
	s.Guard("/info", func(c *gin.Context) { info, _ = s.Auth.Session(c) })
	s.As("ada")
	s.Clock.Advance(90 * time.Minute)
	s.Ask("GET", "/info")
	s.Clock.Advance(80 * time.Minute)
	s.Ask("GET", "/info")
	if info.AbsoluteExpiry.IsZero() || !info.IdleExpiry.Equal(info.AbsoluteExpiry) {
		t.Errorf("it expires at %v and ends at %v", info.IdleExpiry, info.AbsoluteExpiry)
	}
}

// After a sign-out, its request has no session, and a session that began in the same request has
// ended as well.
func TestSignOutWithinTheRequest(t *testing.T) {
	t.Parallel()
	var left []string
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(_ *gin.Context, u *ginauth.User) { left = append(left, u.Subject) }
	})
	there := true
	out := func(c *gin.Context) {
		if err := s.Auth.Logout(c); err != nil {
			t.Error(err)
		}
		_, there = s.Auth.Session(c)
	}
	s.Engine.GET("/out", s.Auth.RequireAuth(), out)
	s.Engine.GET("/in-and-out", func(c *gin.Context) {
		if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}, nil); err != nil {
			t.Error(err)
		}
		out(c)
	})
	s.As("ada")
	if s.Ask("GET", "/out"); there || s.User() != nil || !slices.Equal(left, []string{"ada"}) {
		t.Errorf("signed out: %v, %v, OnLogout of %q", there, s.User(), left)
	}
	there = true
	if s.Ask("GET", "/in-and-out"); there || s.User() != nil || !slices.Equal(left, []string{"ada", "grace"}) {
		t.Errorf("signed in and out: %v, %v, OnLogout of %q", there, s.User(), left)
	}
}

// A failed SignIn signs no user in.
func TestSignInThatCannotBeKept(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	var err error
	var u *ginauth.User
	s.Engine.GET("/as", func(c *gin.Context) {
		err = s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada", Name: strings.Repeat("x", 20_000)}, nil)
		u = ginauth.CurrentUser(c)
		c.Status(http.StatusNoContent)
	})
	if p := s.Ask("GET", "/as"); p.Status != http.StatusNoContent || !errors.Is(err, ginauth.ErrSessionError) || u != nil || s.User() != nil {
		t.Errorf("the response is %d, %v, %v is signed in", p.Status, err, u)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s, update := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) { o.KeepClaims = []string{"locale"} })
	var claims map[string]any
	s.Guard("/claims", func(c *gin.Context) { _ = ginauth.CurrentUser(c).Claims(&claims) })
	s.SignIn()
	before, old := s.User(), s.CookieHeader()
	p, err := update(func(u *ginauth.User) {
		u.Groups = append(u.Groups, "editors")
		u.Data = map[string]string{"id": "42"}
		u.Name, u.Email = "The Countess", "new@example.com"
		u.Provider, u.Issuer, u.Subject = "other", "https://evil.example", "root"
	})
	if err != nil || !strings.Contains(p.Text(), `"editors"`) || !strings.Contains(p.Text(), `"sub":"ada"`) {
		t.Errorf("in the request itself: %v %s", err, p.Text())
	}
	after := s.User()
	if after.ID() != before.ID() || after.Provider != "demo" {
		t.Errorf("Update made ada %+v", after)
	}
	if !slices.Equal(after.Groups, []string{"admin", "staff", "editors"}) || !maps.Equal(after.Data, map[string]string{"id": "42"}) ||
		after.Name != "The Countess" || after.Email != "new@example.com" {
		t.Errorf("Update lost something: %+v", after)
	}
	if s.Ask("GET", "/claims"); claims["locale"] != "en-GB" || len(claims) != 1 {
		t.Errorf("Update changed the claims: %v", claims)
	}
	if s.Stolen(old) != "ada" {
		t.Error("the session got another id: a request under way at the same time would be signed out")
	}
	if p := s.Must(s.Browser.Fetch(sitetest.HomePage(s), "POST", s.URL+"/logout", nil, "")); p.Status != http.StatusOK || s.Stolen(old) != "" {
		t.Error("signing out did not end the copy from before Update")
	}
}

func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	s, update := sitetest.NewSession(t, nil)
	var late, nobody error
	s.Guard("/late", func(c *gin.Context) {
		c.String(http.StatusOK, "written")
		late = s.Auth.Update(c, func(u *ginauth.User) { u.Name = "late" })
	})
	s.Engine.GET("/nobody", func(c *gin.Context) { nobody = s.Auth.Update(c, func(u *ginauth.User) { u.Name = "x" }) })
	s.Ask("GET", "/nobody")
	if !errors.Is(nobody, ginauth.ErrUnauthenticated) || !strings.Contains(nobody.Error(), "RequireAuth") {
		t.Errorf("no user is signed in: %v", nobody)
	}
	s.AsUser(&ginauth.User{Subject: "ada", Name: "Ada", Data: map[string]string{"k": "v"}})
	if s.Ask("GET", "/late"); !errors.Is(late, ginauth.ErrSessionError) {
		t.Errorf("after the response was written: %v", late)
	}
	p, err := update(func(u *ginauth.User) {
		u.Name = "changed"
		u.Data["k"], u.Data["more"] = "changed", strings.Repeat("x", 6000)
	})
	if !errors.Is(err, ginauth.ErrSessionError) || !sitetest.HasID(err, "session.too_large") || !strings.Contains(err.Error(), "data more (6.0 KB)") {
		t.Errorf("too large: %v", err)
	}
	if strings.Contains(p.Text(), "changed") || len(p.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("what could not be kept changed this request: %s %v", p.Text(), p.Header)
	}
	_, err = update(func(u *ginauth.User) {
		u.Name, u.Data["k"] = "changed", "changed"
		panic("in the application")
	})
	if err == nil || err.Error() != "panic: in the application" {
		t.Errorf("a panic of the application's own: %v", err)
	}
	if u := s.User(); u == nil || u.Name != "Ada" || u.Data["k"] != "v" || len(u.Data) != 1 {
		t.Errorf("the session changed: %+v", u)
	}
}

// SignIn starts a new session, which counts immediately.
func TestSignInByTheApplication(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	var err error
	var during string
	to := &ginauth.User{Provider: "demo", Subject: "grace"}
	s.Engine.GET("/as", func(c *gin.Context) {
		if c.Query("late") != "" {
			c.String(http.StatusOK, "written")
		}
		if err = s.Auth.SignIn(c, to, nil); err != nil || c.Query("late") != "" {
			return
		}
		if err = s.Auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"by": "ada"} }); err != nil {
			return
		}
		during = ginauth.CurrentUser(c).Subject + " and " + ginauth.CurrentUser(c.Request.Context()).Subject
	})
	s.As("ada")
	old := s.CookieHeader()
	s.Ask("GET", "/as")
	if err != nil || during != "grace and grace" {
		t.Errorf("during the request: %q, %v", during, err)
	}
	u := s.User()
	if u == nil || u.Subject != "grace" || u.Issuer != s.IDP.Issuer || u.Data["by"] != "ada" || u.AuthTime.IsZero() {
		t.Errorf("signed in is %+v", u)
	}
	if s.Stolen(old) != "" {
		t.Error("the replaced session is still valid")
	}
	if s.IDP.Count(authtest.Discovery) != 0 {
		t.Error("a provider was called")
	}
	for name, tt := range map[string]struct {
		path string
		user ginauth.User
		code ginauth.Code
	}{
		"a provider that is not configured":    {"/as", ginauth.User{Provider: "other", Subject: "x"}, ginauth.ErrUnknownProvider},
		"no subject":                           {"/as", ginauth.User{Provider: "demo"}, ginauth.ErrIdentityRejected},
		"an issuer that is not the provider's": {"/as", ginauth.User{Provider: "demo", Subject: "x", Issuer: "https://evil.example"}, ginauth.ErrIdentityRejected},
		"after the answer was written":         {"/as?late=1", ginauth.User{Provider: "demo", Subject: "x"}, ginauth.ErrSessionError},
		"too much":                             {"/as", ginauth.User{Provider: "demo", Subject: "x", Name: strings.Repeat("n", 9000)}, ginauth.ErrSessionError},
	} {
		to = &tt.user
		if p := s.Ask("GET", tt.path); !errors.Is(err, tt.code) || len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %v, want %s; %v", name, err, tt.code, p.Header)
		}
	}
}

// A handler that writes too early often ignores the error as well.
func TestCookiesThatComeTooLateAreLogged(t *testing.T) {
	s := sitetest.New(t, nil)
	for path, late := range map[string]func(c *gin.Context) error{
		"/update": func(c *gin.Context) error { return s.Auth.Update(c, func(*ginauth.User) {}) },
		"/in": func(c *gin.Context) error {
			return s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "eve"}, nil)
		},
		"/out": func(c *gin.Context) error { return s.Auth.Logout(c) },
		"/begin": func(c *gin.Context) error {
			_, err := s.Auth.BeginLogin(c, ginauth.Start{Provider: "demo"})
			return err
		},
	} {
		s.Engine.GET(path, func(c *gin.Context) {
			c.String(http.StatusOK, "written")
			if err := late(c); !sitetest.HasID(err, "session.answer_written") {
				t.Errorf("%s: %v", path, err)
			}
		})
		s.As("ada")
		s.Logs.Reset()
		s.Get(path)
		if lines := s.Logs.Lines("WARN", "session.answer_written"); len(lines) != 1 || !strings.Contains(lines[0], "path="+path) {
			t.Errorf("%s: the log has %q", path, lines)
		}
	}
}
