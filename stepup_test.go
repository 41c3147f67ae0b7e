package ginauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	cookiestore "github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// levels is a site whose provider keeps a session after a sign-in with a password.
func levels(t *testing.T, change func(o *ginauth.Options)) *sitetest.Site {
	t.Helper()
	s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) {
		if change != nil {
			change(o)
		}
	})
	s.IDP.SingleSignOn(true)
	s.IDP.AuthenticateWith("pwd", "pwd")
	return s
}

// trips counts the authorization requests during do.
func trips(s *sitetest.Site, do func()) int {
	before := s.IDP.Count(authtest.Authorize)
	do()
	return s.IDP.Count(authtest.Authorize) - before
}

// A page behind MaxAge is shown while the authentication is recent enough; afterwards it
// redirects through the provider. Callback and guard allow the same minute for different clocks.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	s.Engine.GET("/payout", s.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), s.Protected)
	s.SignIn()
	for _, step := range []struct {
		after time.Duration
		trips int
	}{
		{0, 1}, // the sign-in did not request auth_time
		{5 * time.Minute, 0}, {50 * time.Second, 0}, {11 * time.Second, 1}, {time.Second, 0}, {time.Hour, 1},
	} {
		s.Clock.Advance(step.after)
		var page *authtest.Page
		n := trips(s, func() { page = s.Get("/payout") })
		if page.Status != http.StatusOK || !strings.HasPrefix(page.URL.String(), s.URL+"/payout") || n != step.trips {
			t.Errorf("after another %v: %d at %s, %d trips, want %d\n%s", step.after, page.Status, page.URL, n, step.trips, s.Logs)
		}
	}
}

// A provider that returns the current authentication gets a second request; one that prompts for
// the missing factor does not.
func TestACRInTwoRounds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ignores []authtest.Ignorable
		prompt  string // of the Provider
		trips   int
		asks    string // the expected prompt
	}{
		"asks for what is missing":            {nil, "", 1, ""},
		"goes on with what it has":            {[]authtest.Ignorable{authtest.ACRValuesSignOn}, "", 2, "login"},
		"goes on, and is asked for a consent": {[]authtest.Ignorable{authtest.ACRValuesSignOn}, "consent", 2, "login consent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := levels(t, func(o *ginauth.Options) {
				if tt.prompt != "" {
					o.Providers[0].AuthParams = map[string]string{"prompt": tt.prompt}
				}
			})
			s.IDP.Ignore(tt.ignores...)
			s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa", "hwk")), s.Protected)
			s.SignIn()
			var page *authtest.Page
			if n := trips(s, func() { page = s.Get("/keys?id=7") }); n != tt.trips || page.Status != http.StatusOK || page.URL.RequestURI() != "/keys?id=7" {
				t.Errorf("%d at %s after %d trips\n%s", page.Status, page.URL, n, s.Logs)
			}
			asked := s.IDP.LastRequest(authtest.Authorize).Form
			if asked.Get("acr_values") != "mfa hwk" || asked.Get("login_hint") != "ada@example.com" || asked.Has("max_age") != (tt.trips == 2) || asked.Get("prompt") != tt.asks {
				t.Errorf("requested %v", asked)
			}
			if u := s.User(); u.ACR != "mfa" {
				t.Errorf("acr is %q", u.ACR)
			}
			if n := trips(s, func() { s.Get("/keys") }); n != 0 {
				t.Errorf("%d trips more", n)
			}
		})
	}
}

// It is the same if the response is a form, and if sessions are in a store.
func TestStepUpInOtherWays(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *ginauth.Options){
		"form_post": func(o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" },
		"a store":   func(o *ginauth.Options) { o.Sessions = memstore.NewStore([]byte(sitetest.Key)) },
		"cookies":   func(o *ginauth.Options) { o.Sessions = cookiestore.NewStore([]byte(sitetest.Key)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := levels(t, func(o *ginauth.Options) {
				change(o)
				o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
					l.User.Data["logins"] += "x"
					return nil
				}
			})
			s.IDP.Ignore(authtest.ACRValuesSignOn)
			s.Engine.GET("/both", s.Auth.RequireAuth(ginauth.ACR("mfa"), ginauth.MaxAge(5*time.Minute)), s.Protected)
			s.SignIn()
			line := s.CookieHeader()
			for _, want := range []int{2, 0} {
				if n := trips(s, func() { s.Get("/both?id=7") }); n != want || s.Ran.Load() == 0 {
					t.Errorf("%d trips, want %d\n%s", n, want, s.Logs)
				}
			}
			if u := s.User(); u.ACR != "mfa" || u.Data["logins"] != "xx" {
				t.Errorf("signed in is %+v", u)
			}
			if who := s.Stolen(line); name != "cookies" && who != "" {
				t.Errorf("the session before is still that of %s", who)
			}
			s.Clock.Advance(7 * time.Minute)
			if n := trips(s, func() { s.Get("/both") }); n == 0 {
				t.Error("no trip with an old authentication")
			}
		})
	}
}

// A login_hint is not longer than the limit for a parameter of a link.
func TestLongLoginHint(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]bool{256: true, 257: false} {
		s := levels(t, nil)
		s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
		s.AsUser(&ginauth.User{Subject: "ada", Email: strings.Repeat("a", length)})
		s.Get("/keys")
		if got := s.IDP.LastRequest(authtest.Authorize).Form.Has("login_hint"); got != want {
			t.Errorf("%d bytes: %v", length, got)
		}
	}
}

// The provider's claims about the authentication cannot be changed.
func TestAuthenticationCannotBeForged(t *testing.T) {
	t.Parallel()
	far := time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)
	forge := func(u *ginauth.User) { u.ACR, u.AuthTime = "mfa", far }
	s := levels(t, func(o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error { forge(l.User); return nil }
	})
	s.Engine.POST("/forge", s.Auth.RequireAuth(), func(c *gin.Context) {
		forge(ginauth.CurrentUser(c))
		if err := s.Auth.Update(c, forge); err != nil {
			t.Error(err)
		}
		for _, check := range []ginauth.Check{ginauth.ACR("mfa"), ginauth.MaxAge(time.Hour)} {
			u := ginauth.CurrentUser(c)
			forge(u)
			if err := check(u); !errors.Is(err, ginauth.ErrStepUpRequired) {
				t.Errorf("a forged user passes: %v", err)
			}
		}
	})
	s.SignIn()
	s.Must(s.Browser.Fetch(s.Open("/"), "POST", s.URL+"/forge", nil, ""))
	if u := s.User(); u.ACR != "pwd" || u.AuthTime.Equal(far) {
		t.Errorf("signed in with %q at %v", u.ACR, u.AuthTime)
	}
	made := &ginauth.User{Provider: "demo", Subject: "ada", ACR: "mfa", AuthTime: time.Now()}
	for _, check := range []ginauth.Check{ginauth.ACR("mfa"), ginauth.MaxAge(time.Hour)} {
		if err := check(made); !errors.Is(err, ginauth.ErrStepUpRequired) {
			t.Errorf("a user that was made by hand passes: %v", err)
		}
		if err := check(nil); !errors.Is(err, ginauth.ErrUnauthenticated) {
			t.Errorf("no user: %v", err)
		}
	}
}

// The AuthTime and ACR of SignIn count; without an AuthTime it is now.
func TestStepUpAfterSignIn(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	s.Engine.GET("/payout", s.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), s.Protected)
	s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
	for _, tt := range []struct {
		user         ginauth.User
		payout, keys int
	}{
		{ginauth.User{Subject: "ada"}, 200, 401},
		{ginauth.User{Subject: "ada", AuthTime: s.Clock.Now().Add(-time.Hour), ACR: "mfa"}, 401, 200},
		{ginauth.User{Subject: "ada", AuthTime: s.Clock.Now().Add(-5 * time.Minute), ACR: "pwd"}, 200, 401},
	} {
		s.AsUser(&tt.user)
		payout, keys := s.Ask("GET", "/payout", sitetest.Fetch...), s.Ask("GET", "/keys", sitetest.Fetch...)
		if payout.Status != tt.payout || keys.Status != tt.keys {
			t.Errorf("%+v: %d and %d", tt.user, payout.Status, keys.Status)
		}
	}
}

// Requirements work inside AnyOf and the application's checks, wrapped or not; a bare code has
// too little information.
func TestDemandsInOtherChecks(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	refuse := func(*ginauth.User) error { return errors.New("no") }
	outage := func(*ginauth.User) error { return &ginauth.Error{Code: ginauth.ErrStoreUnavailable} }
	wrapped := func(u *ginauth.User) error { return fmt.Errorf("for the archive: %w", ginauth.ACR("mfa")(u)) }
	s.As("ada", "staff")
	for name, tt := range map[string]struct {
		checks []ginauth.Check
		status int
		asks   string
	}{
		"AnyOf that passes":             {[]ginauth.Check{ginauth.AnyOf(ginauth.ACR("mfa"), ginauth.HasGroup("staff"))}, 200, ""},
		"AnyOf with a refusal":          {[]ginauth.Check{ginauth.AnyOf(ginauth.ACR("mfa"), refuse)}, 401, "mfa"},
		"AnyOf with two demands":        {[]ginauth.Check{ginauth.AnyOf(refuse, ginauth.ACR("mfa"), ginauth.ACR("hwk"))}, 401, "mfa"},
		"AnyOf with an outage":          {[]ginauth.Check{ginauth.AnyOf(outage, ginauth.ACR("mfa"), refuse)}, 401, "mfa"},
		"AnyOf beside a refusal":        {[]ginauth.Check{ginauth.AnyOf(ginauth.ACR("mfa"), refuse), refuse}, 403, ""},
		"a check of the application's":  {[]ginauth.Check{wrapped}, 401, "mfa"},
		"two":                           {[]ginauth.Check{wrapped, ginauth.ACR("hwk", "mfa")}, 401, "mfa"},
		"two without a common value":    {[]ginauth.Check{wrapped, ginauth.ACR("hwk")}, 403, ""},
		"a demand, then a panic":        {[]ginauth.Check{wrapped, func(*ginauth.User) error { panic("x") }}, 403, ""},
		"a demand, then an outage":      {[]ginauth.Check{wrapped, outage}, 503, ""},
		"a code that does not say what": {[]ginauth.Check{func(*ginauth.User) error { return &ginauth.Error{Code: ginauth.ErrStepUpRequired} }}, 403, ""},
	} {
		path := fmt.Sprint("/route/", len(s.Engine.Routes()))
		s.Engine.GET(path, s.Auth.RequireAuth(tt.checks...), s.Protected)
		p := s.Ask("GET", path, sitetest.Fetch...)
		if p.Status != tt.status || tt.asks != "" && !strings.Contains(p.Text(), `"acr_values":"`+tt.asks+`"`) {
			t.Errorf("%s: %d %s", name, p.Status, p.Text())
		}
	}
}

// Fail responds to a handler's error as a guard does, once.
func TestFail(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	next := 0
	fail := func(path string, err func(u *ginauth.User) error) {
		s.Engine.GET(path, s.Auth.LoadUser(), func(c *gin.Context) {
			if err := err(ginauth.CurrentUser(c)); err != nil {
				s.Auth.Fail(c, err)
				if !c.IsAborted() {
					t.Error("not aborted")
				}
				return
			}
			s.Auth.Fail(c, nil)
			s.Protected(c)
		}, func(*gin.Context) { next++ })
	}
	fail("/keys", ginauth.ACR("mfa"))
	fail("/group", ginauth.HasGroup("nobody"))
	fail("/other", func(*ginauth.User) error { return errors.New("the disk is full") })
	s.Engine.GET("/bare", func(c *gin.Context) { s.Auth.Fail(c, ginauth.MaxAge(time.Hour)(ginauth.CurrentUser(c))) })
	s.Engine.GET("/written", s.Auth.RequireAuth(), func(c *gin.Context) {
		c.String(http.StatusTeapot, "already")
		s.Auth.Fail(c, ginauth.ACR("mfa")(ginauth.CurrentUser(c)))
	})
	if p := s.Open("/keys"); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), "/login?return_to=%2Fkeys") {
		t.Errorf("without a user: %d %q", p.Status, p.Header.Get("Location"))
	}
	if p := s.Open("/bare"); p.Status != http.StatusSeeOther {
		t.Errorf("without a user and a guard: %d", p.Status)
	}
	s.SignIn()
	s.WantError(s.Open("/group"), ginauth.ErrForbidden)
	s.WantError(s.Open("/other"), ginauth.ErrSessionError)
	if p := s.Open("/written"); p.Status != http.StatusTeapot || p.Text() != "already" {
		t.Errorf("%d %s", p.Status, p.Text())
	}
	s.WantError(s.Get("/bare"), ginauth.ErrSessionError) // and is not redirected in a loop
	if next != 0 {
		t.Errorf("%d handlers ran behind one that failed", next)
	}
	if p := s.Get("/keys"); p.Status != http.StatusOK || s.User().ACR != "mfa" || next != 1 {
		t.Errorf("%d %s, and %d handlers ran behind it", p.Status, p.Text(), next)
	}
}

// OnLogin learns that a check caused the sign-in, and receives the session's data.
func TestRenewal(t *testing.T) {
	t.Parallel()
	var renewals []bool
	s := levels(t, func(o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			renewals = append(renewals, l.Renewal)
			if l.Previous != nil {
				t.Error("there is an account to link")
			}
			l.User.Data["logins"] += "x"
			return nil
		}
	})
	s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
	s.SignIn()
	line := s.CookieHeader()
	s.Get("/keys")
	if u := s.User(); u.Data["logins"] != "xx" || fmt.Sprint(renewals) != "[false true]" {
		t.Errorf("%v, %v", u.Data, renewals)
	}
	if who := s.Stolen(line); who != "" {
		t.Errorf("the session before is still that of %s", who)
	}
	s.Get("/login/demo")
	if u := s.User(); u.Data["logins"] != "x" || len(renewals) != 3 || renewals[2] {
		t.Errorf("an ordinary sign-in: %v, %v", u.Data, renewals)
	}
}

// Pages with different checks keep each other's results: if the ID token has no auth_time, that
// of the session stays.
func TestStepUpKeepsAuthTime(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"same person": true, "another person": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := levels(t, nil)
			s.Engine.GET("/payout", s.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), s.Protected)
			s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
			s.SignIn()
			s.Get("/payout")
			proved := s.User().AuthTime
			s.Clock.Advance(2 * time.Minute)
			s.IDP.EditIDToken(func(_, claims map[string]any) {
				if !s.IDP.LastRequest(authtest.Authorize).Form.Has("max_age") {
					delete(claims, "auth_time")
				}
			})
			if !again {
				s.IDP.SignInAs("grace")
			}
			s.Get("/keys")
			u := s.User()
			if kept := u.AuthTime.Equal(proved); u.ACR != "mfa" || kept != again {
				t.Errorf("acr is %q, auth_time %s, was %s\n%s", u.ACR, u.AuthTime, proved, s.Logs)
			}
			want := map[bool]int{false: 1}[again]
			if n := trips(s, func() { s.Get("/payout") }); n != want {
				t.Errorf("%d trips, want %d", n, want)
			}
			s.Clock.Advance(5 * time.Minute)
			if n := trips(s, func() { s.Get("/payout") }); again && n != 1 {
				t.Errorf("%d trips with an old auth_time, want 1", n)
			}
		})
	}
}

// The second of two tabs returns when the first has already replaced the session.
func TestStepUpInTwoTabs(t *testing.T) {
	t.Parallel()
	s := levels(t, func(o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			if !l.Renewal {
				l.User.Data["cart"] = "new"
			}
			return nil
		}
	})
	s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
	s.Engine.POST("/fill", s.Auth.RequireAuth(), func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Data["cart"] = "full" }); err != nil {
			t.Error(err)
		}
	})
	s.SignIn()
	s.Must(s.Browser.Fetch(s.Open("/"), "POST", s.URL+"/fill", nil, ""))
	var tabs []*authtest.Page
	for range 2 {
		tabs = append(tabs, s.Open(s.Open("/keys").Header.Get("Location")))
	}
	for i, tab := range tabs {
		p := s.Must(s.Browser.Follow(tab))
		if u := s.User(); p.Status != http.StatusOK || u.ACR != "mfa" || u.Data["cart"] != "full" {
			t.Errorf("tab %d ends at %s with status %d, and %+v\n%s", i, p.URL, p.Status, u, s.Logs)
		}
	}
}

// "Try again" opens the page, which starts the step-up again. A plain sign-in would end the
// session, with its Data.
func TestTryAgainAfterAStepUp(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(s *sitetest.Site){
		"the provider ignores it": func(s *sitetest.Site) { s.IDP.Ignore(authtest.ACRValues) },
		"the person refuses":      func(s *sitetest.Site) { s.IDP.DenyConsent(true) },
		"the provider is away":    func(s *sitetest.Site) { s.IDP.Fail(authtest.Token, authtest.Down) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := levels(t, nil)
			s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
			s.Engine.POST("/fill", s.Auth.RequireAuth(), func(c *gin.Context) {
				if err := s.Auth.Update(c, func(u *ginauth.User) { u.Data["cart"] = "full" }); err != nil {
					t.Error(err)
				}
			})
			s.SignIn()
			s.Must(s.Browser.Fetch(s.Open("/"), "POST", s.URL+"/fill", nil, ""))
			fail(s)
			p := s.Get("/keys?id=7")
			s.IDP.Ignore()
			s.IDP.DenyConsent(false)
			s.IDP.Heal()
			p = s.Must(s.Browser.ClickLink(p, "Try again"))
			if u := s.User(); p.Status != http.StatusOK || p.URL.RequestURI() != "/keys?id=7" || u.ACR != "mfa" || u.Data["cart"] != "full" {
				t.Errorf("%d at %s; signed in is %+v\n%s", p.Status, p.URL, u, s.Logs)
			}
		})
	}
}

// It does so if the provider is unreachable, too.
func TestTryAgainBeforeAStepUp(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	s.SignIn()
	other := s.Replica(func(*ginauth.Options) {}) // which has not read the provider's metadata
	other.Engine.GET("/keys", other.Auth.RequireAuth(ginauth.ACR("mfa")), other.Protected)
	asAda := sitetest.Plus(sitetest.Navigation, "Cookie", s.CookieHeader())
	s.IDP.Fail(authtest.Discovery, authtest.Down)
	p := other.Ask("GET", other.Ask("GET", "/keys?id=7", asAda...).Header.Get("Location"), asAda...)
	other.WantError(p, ginauth.ErrProviderUnavailable)
	if !strings.Contains(p.Text(), `href="`+s.URL+`/keys?id=7"`) || strings.Contains(p.Text(), "/login/") {
		t.Errorf("the page leads elsewhere: %s", p.Text())
	}
}

// A front end on another origin, which opens the login_url of a fetch with its own address as
// return_to, is returned to from each page with "Try again".
func TestTryAgainAtAnotherOrigin(t *testing.T) {
	t.Parallel()
	const front = "https://front.example"
	change := func(o *ginauth.Options) { o.TrustedOrigins = []string{front} }
	s := levels(t, change)
	s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
	s.SignIn()
	var refused struct {
		LoginURL string `json:"login_url"`
	}
	if err := json.Unmarshal(s.Ask("GET", "/keys", sitetest.Fetch...).Body, &refused); err != nil {
		t.Fatal(err)
	}
	login := refused.LoginURL + "&return_to=" + url.QueryEscape(front+"/keys?id=7")
	s.IDP.Fail(authtest.Token, authtest.Down)
	after := s.Get(login)
	s.IDP.Heal()
	other := s.Replica(change) // which has not read the provider's metadata
	s.IDP.Fail(authtest.Discovery, authtest.Down)
	before := other.Ask("GET", login, sitetest.Plus(sitetest.Navigation, "Cookie", s.CookieHeader())...)
	for _, p := range []*authtest.Page{after, before} {
		if s.WantError(p, ginauth.ErrProviderUnavailable); !strings.Contains(p.Text(), `href="`+front+`/keys?id=7"`) {
			t.Errorf("%s leads elsewhere: %s", p.URL, p.Text())
		}
	}
}

// If another user authenticated at the provider, and may not sign in here, they can choose
// another account at the provider.
func TestAnotherAccountAfterAStepUp(t *testing.T) {
	t.Parallel()
	s := levels(t, func(o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"prompt"}
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			if l.User.Subject == "eve" {
				return errors.New("no")
			}
			return nil
		}
	})
	s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
	s.SignIn()
	s.IDP.SignInAs("eve")
	p := s.Get("/keys")
	s.WantError(p, ginauth.ErrIdentityRejected)
	if u := s.User(); u == nil || u.Subject != "ada" || !strings.Contains(p.Text(), "/login/demo?return_to=%2Fkeys&amp;prompt=select_account") {
		t.Errorf("signed in is %+v: %s", u, p.Text())
	}
}

// The session is read when the browser returns. If that fails, the sign-in fails before OnLogin,
// since continuing would lose the session's Data.
func TestRevocationsThatAreDownWhenAStepUpComesBack(t *testing.T) {
	t.Parallel()
	revocations, asked := &sitetest.BrokenRevocations{}, 0
	s := levels(t, func(o *ginauth.Options) {
		o.Revocations = revocations
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { asked++; return nil }
	})
	s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
	s.SignIn()
	s.IDP.EditIDToken(func(_, claims map[string]any) {
		claims["acr"] = "mfa"
		revocations.Broken.Store(true)
	})
	s.WantError(s.Get("/keys"), ginauth.ErrStoreUnavailable)
	if asked != 1 {
		t.Errorf("OnLogin was called %d times, including once for the first sign-in", asked)
	}
}

// A second round does not count as a failure of the first.
func TestSecondRoundIsNoFailedSignIn(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
	s.SignIn()
	s.IDP.EditIDToken(func(_, claims map[string]any) {
		claims["acr"] = "mfa"
		if !s.IDP.LastRequest(authtest.Authorize).Form.Has("max_age") {
			claims["acr"] = "pwd"
		}
	})
	if n := trips(s, func() { s.Get("/keys") }); n != 2 {
		t.Errorf("%d trips, want 2", n)
	}
	if logs := s.Logs.String(); strings.Contains(logs, "login.failed") {
		t.Errorf("the log has a failure:\n%s", logs)
	}
}

// A MaxAge of centuries does not produce a max_age that a provider cannot parse.
func TestLongestMaxAge(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	s.Engine.GET("/payout", s.Auth.RequireAuth(ginauth.MaxAge(1<<63-1)), s.Protected)
	s.SignIn()
	for i, want := range []int{1, 0} {
		var p *authtest.Page
		if n := trips(s, func() { p = s.Get("/payout") }); n != want || p.Status != http.StatusOK {
			t.Errorf("visit %d: %d after %d trips, want %d\n%s", i, p.Status, n, want, s.Logs)
		}
	}
	if asked := s.IDP.LastRequest(authtest.Authorize).Form.Get("max_age"); asked != "2147483647" {
		t.Errorf("requested %q seconds", asked)
	}
}

// Linking an account with an acr that takes a second round still links.
func TestLinkingBesideADemand(t *testing.T) {
	t.Parallel()
	var previous []string
	s := levels(t, func(o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			if l.Previous != nil {
				previous = append(previous, l.Previous.Subject+" "+l.User.Subject)
			}
			return nil
		}
	})
	s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
	s.SignIn()
	s.IDP.SignInAs("eve")
	s.IDP.EditIDToken(func(_, claims map[string]any) {
		if !s.IDP.LastRequest(authtest.Authorize).Form.Has("max_age") {
			claims["acr"] = "pwd"
		}
	})
	login, query, _ := strings.Cut(s.Open("/keys").Header.Get("Location"), "?")
	fields, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	fields.Set("link", "true")
	if n := trips(s, func() { s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+login, fields)) }); n != 2 {
		t.Errorf("%d trips, want 2", n)
	}
	if fmt.Sprint(previous) != "[ada eve]" {
		t.Errorf("OnLogin got %q\n%s", previous, s.Logs)
	}
}

// The provider is replaced while the code of the first round is exchanged. The second round
// takes place only if the new provider is the same one.
func TestSecondRoundOfAReplacedProvider(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *ginauth.Provider)
		code   ginauth.Code // "" if the second round takes place
	}{
		"the same":                      {func(p *ginauth.Provider) { p.DisplayName = "Demo" }, ""},
		"gone":                          {func(p *ginauth.Provider) { p.Name = "other" }, ginauth.ErrUnknownProvider},
		"at another callback path":      {func(p *ginauth.Provider) { p.CallbackPath = "/cb" }, ginauth.ErrStateInvalid},
		"another client":                {func(p *ginauth.Provider) { p.ClientID = "other" }, ginauth.ErrStateInvalid},
		"another provider of that name": {func(p *ginauth.Provider) { *p = sitetest.Client("demo", sitetest.StartProvider(t, authtest.Config{})) }, ginauth.ErrIssuerMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			s := levels(t, func(o *ginauth.Options) { o.CallbackPaths = []string{"/cb"} })
			s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
			s.SignIn()
			s.IDP.EditIDToken(func(_, claims map[string]any) {
				if !s.IDP.LastRequest(authtest.Authorize).Form.Has("max_age") {
					claims["acr"] = "pwd"
				}
			})
			next := s.IDP.Client("demo")
			tt.change(&next)
			s.IDP.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
				s.IDP.Handle(authtest.Token, nil)
				s.SetProviders(next)
				s.IDP.Default(authtest.Token).ServeHTTP(w, r)
			})
			var p *authtest.Page
			n := trips(s, func() { p = s.Get("/keys") })
			if tt.code == "" {
				if n != 2 || p.URL.Path != "/keys" || p.Status != http.StatusOK {
					t.Errorf("%d trips, %d at %s", n, p.Status, p.URL.Path)
				}
				return
			}
			s.WantError(p, tt.code)
			if n != 1 {
				t.Errorf("%d trips, want 1", n)
			}
		})
	}
}

// A long-running handler checks again, with the current time: an authentication that was recent
// when the request began is old an hour later.
func TestMaxAgeInALongHandler(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	var got []string
	long := func(c *gin.Context) {
		kept, held := ginauth.CurrentUser(c), c.Request.Context()
		ask := func(u *ginauth.User) {
			e, _ := errors.AsType[*ginauth.Error](ginauth.MaxAge(5 * time.Minute)(u))
			if e == nil {
				got = append(got, "ok")
				return
			}
			got = append(got, e.ID)
		}
		ask(kept)
		s.Clock.Advance(7 * time.Minute)
		ask(kept)
		ask(ginauth.CurrentUser(c))
		ask(ginauth.CurrentUser(held))
	}
	s.Engine.GET("/guarded", s.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), long)
	s.Engine.GET("/loaded", s.Auth.LoadUser(), s.Auth.RequireAuth(), long)
	s.Engine.GET("/twice", s.Auth.LoadUser(), func(*gin.Context) { s.Clock.Advance(7 * time.Minute) }, s.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), s.Protected)
	for _, path := range []string{"/guarded", "/loaded"} {
		s.As("ada")
		got = nil
		if s.Ask("GET", path, sitetest.Fetch...); strings.Join(got, " ") != "ok check.max_age check.max_age check.max_age" {
			t.Errorf("%s: %q", path, got)
		}
	}
	s.As("ada")
	s.WantError(s.Ask("GET", "/twice", sitetest.Fetch...), ginauth.ErrStepUpRequired)
}

// A User that a sign-in would not replace is rejected without a redirect, which would loop: one
// that was constructed manually, that of an earlier request, and another Auth's.
func TestStepUpOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	other, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: s.URL, Keys: []string{"another key for tests, of 32 bytes and more"}, Providers: []ginauth.Provider{sitetest.Nowhere}, Logger: s.Logs.Logger(), Now: s.Clock.Now,
		Hooks: ginauth.Hooks{Authenticate: func(*gin.Context) (*ginauth.User, error) {
			return &ginauth.User{Provider: "demo", Subject: "ada"}, nil
		}}})
	if err != nil {
		t.Fatal(err)
	}
	var kept *ginauth.User
	s.Engine.GET("/keep", s.Auth.RequireAuth(), func(c *gin.Context) { kept = ginauth.CurrentUser(c) })
	s.SignIn()
	s.Get("/keep")
	s.Get("/login/demo") // another session of the same user
	s.Clock.Advance(time.Hour)
	for _, check := range []ginauth.Check{ginauth.MaxAge(5 * time.Minute), ginauth.ACR("mfa")} {
		for name, of := range map[string]func() *ginauth.User{
			"made by hand": func() *ginauth.User {
				return &ginauth.User{Provider: "demo", Subject: "ada", ACR: "mfa", AuthTime: time.Now()}
			},
			"of an earlier session": func() *ginauth.User { return kept },
			"of another Auth": func() *ginauth.User {
				c, _ := gin.CreateTestContext(httptest.NewRecorder())
				c.Request = httptest.NewRequest("GET", "/", nil)
				other.LoadUser()(c)
				return ginauth.CurrentUser(c)
			},
		} {
			path := fmt.Sprint("/route/", len(s.Engine.Routes()))
			s.Engine.GET(path, s.Auth.RequireAuth(), func(c *gin.Context) { s.Auth.Fail(c, check(of())) }, s.Protected)
			s.Engine.GET("/of"+path, s.Auth.RequireAuth(func(*ginauth.User) error { return check(of()) }), s.Protected)
			for _, path := range []string{path, "/of" + path} {
				before := strings.Count(s.Logs.String(), "id=check.other_user")
				if n := trips(s, func() { s.WantError(s.Get(path), ginauth.ErrForbidden) }); n != 0 || strings.Count(s.Logs.String(), "id=check.other_user") != before+1 {
					t.Errorf("%s: %d trips\n%s", name, n, s.Logs)
				}
			}
		}
	}
}

// A copy of the request's User is accepted.
func TestStepUpOfACopy(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	s.Engine.GET("/keys", s.Auth.RequireAuth(func(u *ginauth.User) error { u2 := *u; u2.Groups = nil; return ginauth.ACR("mfa")(&u2) }), s.Protected)
	s.SignIn()
	if n := trips(s, func() { s.Get("/keys") }); n != 1 || s.User().ACR != "mfa" {
		t.Errorf("%d trips, %+v\n%s", n, s.User(), s.Logs)
	}
}

// OnLogin cannot keep the session that failed a check: the page would redirect again, endlessly.
func TestStepUpWithNoSession(t *testing.T) {
	t.Parallel()
	for _, person := range []string{"ada", "grace"} {
		s := levels(t, func(o *ginauth.Options) {
			first := true
			o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
				l.NoSession, first = !first, false
				return nil
			}
		})
		s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa")), s.Protected)
		s.SignIn()
		s.IDP.SignInAs(person)
		if n := trips(s, func() { s.WantError(s.Get("/keys"), ginauth.ErrSessionError) }); n != 1 || !strings.Contains(s.Logs.String(), "id=hook.on_login_no_session") {
			t.Errorf("%s: %d trips\n%s", person, n, s.Logs)
		}
		if u := s.User(); u == nil || u.Subject != "ada" || u.ACR != "pwd" {
			t.Errorf("%s: the session is of %+v", person, u)
		}
	}
}

// A check or a handler returns ErrUnauthenticated for a signed-in user: the sign-in would
// redirect back endlessly.
func TestUnauthenticatedThoughSignedIn(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	s.Engine.GET("/check", s.Auth.RequireAuth(func(*ginauth.User) error { return ginauth.ErrUnauthenticated }), s.Protected)
	s.Engine.GET("/nil", s.Auth.RequireAuth(func(*ginauth.User) error { return ginauth.ACR("mfa")(nil) }), s.Protected)
	s.Engine.GET("/fail", s.Auth.LoadUser(), func(c *gin.Context) { s.Auth.Fail(c, ginauth.ErrUnauthenticated) })
	s.Engine.GET("/leave", s.Auth.LoadUser(), func(c *gin.Context) {
		if err := s.Auth.Logout(c); err != nil {
			t.Error(err)
		}
		s.Auth.Fail(c, ginauth.ErrUnauthenticated)
	})
	if p := s.Open("/fail"); p.Status != http.StatusSeeOther {
		t.Errorf("an unauthenticated request gets %d", p.Status)
	}
	s.SignIn()
	for _, path := range []string{"/check", "/nil", "/fail"} {
		if n := trips(s, func() { s.WantError(s.Get(path), ginauth.ErrForbidden) }); n != 0 {
			t.Errorf("%s: %d trips", path, n)
		}
	}
	if p := s.Open("/leave"); p.Status != http.StatusSeeOther {
		t.Errorf("a signed-out user gets %d", p.Status)
	}
}

// The requirements of a guard are compared together, and the other checks run as well, in any
// order.
func TestDemandsBesideOtherChecks(t *testing.T) {
	s := sitetest.New(t, nil)
	admin, fresh, strong, weak := ginauth.HasGroup("admin"), ginauth.MaxAge(time.Minute), ginauth.ACR("mfa"), ginauth.ACR("pwd")
	own := func(u *ginauth.User) error {
		if u.Subject != "ada" {
			return errors.New("not ada")
		}
		return nil
	}
	for path, checks := range map[string][]ginauth.Check{
		"/a": {fresh, admin, strong}, "/b": {own, strong, fresh}, "/c": {ginauth.ACR("pwd", "mfa"), strong, ginauth.MaxAge(time.Hour), fresh},
		"/never": {strong, weak}, "/refused": {fresh, ginauth.HasGroup("board"), strong}, "/other": {strong, own},
	} {
		s.Engine.GET(path, s.Auth.RequireAuth(checks...), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	}
	as := func(subject, acr string, ago time.Duration) {
		s.AsUser(&ginauth.User{Provider: "demo", Subject: subject, Groups: []string{"admin"}, ACR: acr, AuthTime: s.Clock.Now().Add(-ago)})
	}
	expect := func(want map[string]int) {
		t.Helper()
		for path, status := range want {
			if p := s.Ask("GET", path, sitetest.Fetch...); p.Status != status {
				t.Errorf("%s: %d %s, want %d", path, p.Status, p.Text(), status)
			}
		}
	}
	as("ada", "mfa", 0)
	expect(map[string]int{"/a": 204, "/b": 204, "/c": 204, "/never": 403, "/refused": 403, "/other": 204})
	as("ada", "mfa", 10*time.Minute)
	expect(map[string]int{"/a": 401, "/b": 401, "/c": 401, "/never": 403, "/refused": 403, "/other": 204})
	as("ada", "pwd", 0)
	expect(map[string]int{"/a": 401, "/b": 401, "/c": 401, "/never": 403, "/refused": 403, "/other": 401})
	as("grace", "mfa", 0)
	expect(map[string]int{"/a": 204, "/b": 403, "/c": 204, "/never": 403, "/refused": 403, "/other": 403})
}

// Requirements that no session can satisfy result in an error after a few redirects, wherever
// the checks are.
func TestDemandsThatExcludeEachOther(t *testing.T) {
	mfa, pwd := ginauth.ACR("mfa"), ginauth.ACR("pwd")
	for name, guards := range map[string][][]ginauth.Check{
		"of two guards":              {{mfa}, {pwd}},
		"in AnyOf":                   {{ginauth.AnyOf(mfa), pwd}},
		"of an application's check":  {{func(u *ginauth.User) error { return mfa(u) }, pwd}},
		"of a guard and the handler": {{mfa}},
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, nil)
			s.IDP.AuthenticateWith("mfa") // and with the requested acr, without a prompt
			var chain []gin.HandlerFunc
			for _, checks := range guards {
				chain = append(chain, s.Auth.RequireAuth(checks...))
			}
			s.Engine.GET("/x", append(chain, func(c *gin.Context) {
				if err := pwd(ginauth.CurrentUser(c)); err != nil {
					s.Auth.Fail(c, err)
				}
			})...)
			s.SignIn()
			p := s.Get("/x")
			s.WantError(p, ginauth.ErrLoginLoop)
			if trips := s.IDP.Count(authtest.Authorize) - 1; trips != 3 || len(s.Logs.Lines("ERROR", "login.demand_loop")) != 1 {
				t.Errorf("%d trips: %s", trips, s.Logs)
			}
			if s.User() == nil {
				t.Error("the session has ended")
			}
			s.Clock.Advance(11 * time.Second) // a page without these checks can be opened
			s.Engine.GET("/y", s.Auth.RequireAuth(ginauth.ACR("hwk")), func(c *gin.Context) { c.Status(http.StatusNoContent) })
			if p := s.Get("/y"); p.Status != http.StatusNoContent {
				t.Errorf("%d %s", p.Status, p.Text())
			}
		})
	}
}
