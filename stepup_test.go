package ginauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// levels is a site whose provider remembers who signed in there with a password.
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

// trips counts the authorization requests of what do does.
func trips(s *sitetest.Site, do func()) int {
	before := s.IDP.Count(authtest.Authorize)
	do()
	return s.IDP.Count(authtest.Authorize) - before
}

// A page behind MaxAge is shown while the authentication is recent enough, and leads
// through the provider as soon as it is not. There and here the same minute is allowed
// for clocks that differ.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	s.Engine.GET("/payout", s.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), s.Protected)
	s.SignIn()
	for _, step := range []struct {
		after time.Duration
		trips int
	}{
		{0, 1}, // the sign-in did not ask for auth_time
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

// A provider that goes on with what it has is asked once more; one that asks for what
// is missing is not.
func TestACRInTwoRounds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ignores []authtest.Ignorable
		trips   int
	}{
		"asks for what is missing": {nil, 1}, "goes on with what it has": {[]authtest.Ignorable{authtest.ACRValuesSignOn}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := levels(t, nil)
			s.IDP.Ignore(tt.ignores...)
			s.Engine.GET("/keys", s.Auth.RequireAuth(ginauth.ACR("mfa", "hwk")), s.Protected)
			s.SignIn()
			var page *authtest.Page
			if n := trips(s, func() { page = s.Get("/keys?id=7") }); n != tt.trips || page.Status != http.StatusOK || page.URL.RequestURI() != "/keys?id=7" {
				t.Errorf("%d at %s after %d trips\n%s", page.Status, page.URL, n, s.Logs)
			}
			asked := s.IDP.LastRequest(authtest.Authorize).Form
			if asked.Get("acr_values") != "mfa hwk" || asked.Get("login_hint") != "ada@example.com" || asked.Has("max_age") != (tt.trips == 2) {
				t.Errorf("asked for %v", asked)
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

// What the provider said of the authentication stays as it said it.
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

// Demands work inside AnyOf and checks of the application's, wrapped or not; a bare code
// says too little.
func TestDemandsInOtherChecks(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
	refuse := func(*ginauth.User) error { return errors.New("no") }
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
		"AnyOf beside a refusal":        {[]ginauth.Check{ginauth.AnyOf(ginauth.ACR("mfa"), refuse), refuse}, 403, ""},
		"a check of the application's":  {[]ginauth.Check{wrapped}, 401, "mfa"},
		"two":                           {[]ginauth.Check{wrapped, ginauth.ACR("hwk", "mfa")}, 401, "mfa"},
		"two without a common value":    {[]ginauth.Check{wrapped, ginauth.ACR("hwk")}, 403, ""},
		"a demand, then a panic":        {[]ginauth.Check{wrapped, func(*ginauth.User) error { panic("x") }}, 403, ""},
		"a demand, then an outage":      {[]ginauth.Check{wrapped, func(*ginauth.User) error { return &ginauth.Error{Code: ginauth.ErrStoreUnavailable} }}, 503, ""},
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

// Fail answers a handler's error as a guard does, once.
func TestFail(t *testing.T) {
	t.Parallel()
	s := levels(t, nil)
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
		}, func(c *gin.Context) {
			if !strings.HasPrefix(c.FullPath(), "/keys") {
				t.Error("the next handler runs")
			}
		})
	}
	fail("/keys", ginauth.ACR("mfa"))
	fail("/group", ginauth.HasGroup("nobody"))
	fail("/other", func(*ginauth.User) error { return errors.New("the disk is full") })
	s.Engine.GET("/written", s.Auth.RequireAuth(), func(c *gin.Context) {
		c.String(http.StatusTeapot, "already")
		s.Auth.Fail(c, ginauth.ACR("mfa")(ginauth.CurrentUser(c)))
	})
	if p := s.Open("/keys"); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), "/login?return_to=%2Fkeys") {
		t.Errorf("without a user: %d %q", p.Status, p.Header.Get("Location"))
	}
	s.SignIn()
	s.WantError(s.Open("/group"), ginauth.ErrForbidden)
	s.WantError(s.Open("/other"), ginauth.ErrSessionError)
	if p := s.Open("/written"); p.Status != http.StatusTeapot || p.Text() != "already" {
		t.Errorf("%d %s", p.Status, p.Text())
	}
	if p := s.Get("/keys"); p.Status != http.StatusOK || s.User().ACR != "mfa" {
		t.Errorf("%d %s", p.Status, p.Text())
	}
}

// OnLogin learns that a check sent the person, and whose data come along.
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
