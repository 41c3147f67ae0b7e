package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsStepUp(t *testing.T) {
	runFaults(t, []fault{
		{"P1_demand_that_does_not_open", p1DemandThatDoesNotOpen},
		{"P1_demand_of_another_provider", p1DemandOfAnotherProvider},
		{"P2_demand_of_another_session", p2DemandOfAnotherSession},
		{"P3_provider_that_ignores", p3ProviderThatIgnores},
		{"P3_claims_that_prove_nothing", p3ClaimsThatProveNothing},
		{"P4_requirements_unmet", p4RequirementsUnmet},
		{"P5_refusal_beside_a_demand", p5RefusalBesideADemand},
		{"P6_two_demands", p6TwoDemands},
		{"P7_parameters_of_a_link", p7ParametersOfALink},
		{"P8_plain_oauth", p8PlainOAuth},
		{"P9_checks_that_demand_nothing", p9ChecksThatDemandNothing},
		{"P10_who_is_asking", p10WhoIsAsking},
		{"P11_sign_in_across_origins", p11SignInAcrossOrigins},
	})
}

// newStepUp returns a site whose provider keeps sessions, authenticates with a password unless a
// request requires more, and a signed-in user with Data.
func newStepUp(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *sitetest.Site {
	t.Helper()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			if !l.Renewal {
				l.User.Data["cart"] = "empty"
			}
			return nil
		}
		if change != nil {
			change(s, o)
		}
	})
	s.IDP.SingleSignOn(true)
	s.IDP.AuthenticateWith("pwd", "pwd")
	demand := func(path string, checks ...ginauth.Check) {
		s.Engine.Any(path, s.Auth.RequireAuth(checks...), s.Protected)
	}
	demand("/payout", ginauth.MaxAge(5*time.Minute))
	demand("/keys", ginauth.ACR("mfa"))
	demand("/both", ginauth.MaxAge(time.Hour), ginauth.ACR("hwk", "mfa"), ginauth.MaxAge(5*time.Minute), ginauth.ACR("mfa", "sms"))
	demand("/conflict", ginauth.ACR("mfa"), ginauth.ACR("sms"))
	demand("/staff", ginauth.MaxAge(5*time.Minute), ginauth.HasGroup("auditors"))
	s.Engine.POST("/fill", s.Auth.RequireAuth(), func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { u.Data["cart"] = "full" }); err != nil {
			t.Error(err)
		}
	})
	s.SignIn()
	s.Must(s.Browser.Fetch(s.Open("/"), "POST", s.URL+"/fill", nil, ""))
	s.Ran.Store(0)
	s.Clock.Advance(10 * time.Minute)
	return s
}

// trip returns the authorization request to which a page redirects.
func trip(s *sitetest.Site, page string) (login string, asks url.Values) {
	s.T.Helper()
	login = s.Open(page).Header.Get("Location")
	u, err := url.Parse(s.Open(login).Header.Get("Location"))
	if err != nil || !strings.HasPrefix(u.String(), s.IDP.URL(authtest.Authorize)) {
		s.T.Fatalf("%s leads to %s, and to %v\n%s", page, login, u, s.Logs)
	}
	return login, u.Query()
}

// staysAs asserts that the browser still has the previous session.
func staysAs(t *testing.T, s *sitetest.Site) {
	t.Helper()
	ran := s.Ran.Load()
	if u := s.User(); u == nil || u.Subject != "ada" || u.Data["cart"] != "full" || ran != 0 {
		t.Errorf("signed in is %+v, and %d handlers ran\n%s", u, ran, s.Logs)
	}
	s.Ran.Store(0)
}

func p1DemandThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	s := newStepUp(t, nil)
	login, _ := trip(s, "/payout")
	path, query, _ := strings.Cut(login, "?")
	params, _ := url.ParseQuery(query)
	demand := params.Get("demand")
	with := func(list ...string) string {
		q := url.Values{"return_to": {"/payout"}, "demand": list}
		return path + "?" + q.Encode()
	}
	swapped := "A"
	if demand[20] == 'A' {
		swapped = "B"
	}
	for name, list := range map[string][]string{
		"altered": {demand[:20] + swapped + demand[21:]}, "cut": {demand[:len(demand)-4]}, "empty": {""}, "another text": {"max_age=0"},
		"twice": {demand, demand}, "longer": {demand + "AAAA"},
	} {
		before := s.IDP.Count(authtest.Authorize)
		p := s.Open(with(list...))
		if s.WantError(p, ginauth.ErrBadRequest); s.IDP.Count(authtest.Authorize) != before || len(p.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: a sign-in began", name)
		}
	}
	other := s.Replica(func(o *ginauth.Options) { o.Keys = []string{"another key for tests, of 32 bytes and more"} })
	p, err := other.Browser.Open(other.URL + with(demand))
	if err != nil {
		t.Fatal(err)
	}
	other.WantError(p, ginauth.ErrBadRequest)
	if params.Get("return_to") != "/payout" {
		t.Errorf("returns to %q", params.Get("return_to"))
	}
	staysAs(t, s)
	// An open tab still redirects to its page, where the check runs again.
	s.Clock.Advance(2 * time.Hour)
	if p := s.Open(with(demand)); p.Status != http.StatusSeeOther || p.Header.Get("Location") != s.URL+"/payout#" {
		t.Errorf("an old demand gets %d and %q", p.Status, p.Header.Get("Location"))
	}
	s.Clock.Advance(-4 * time.Hour)
	if p := s.Open(with(demand)); p.Header.Get("Location") != s.URL+"/payout#" {
		t.Errorf("a demand of the future gets %d and %q", p.Status, p.Header.Get("Location"))
	}
}

// A link with another user's requirement demands more than a sign-in, and grants nothing.
func p2DemandOfAnotherSession(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(s *sitetest.Site) *authtest.Browser{
		"of another session of the same person": func(s *sitetest.Site) *authtest.Browser {
			b := s.NewBrowser()
			s.Must(b.Get(s.URL + "/login/demo"))
			return b
		},
		"of another person": func(s *sitetest.Site) *authtest.Browser {
			s.IDP.SignInAs("grace")
			b := s.NewBrowser()
			s.Must(b.Get(s.URL + "/login/demo"))
			return b
		},
		"without a session": func(s *sitetest.Site) *authtest.Browser { return s.NewBrowser() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStepUp(t, nil)
			login, _ := trip(s, "/keys")
			b := again(s)
			p := s.Must(b.Get(s.URL + login))
			if asked := s.IDP.LastRequest(authtest.Authorize).Form; asked.Get("acr_values") != "mfa" || asked.Has("login_hint") {
				t.Errorf("requested %v", asked)
			}
			if u := s.UserOf(b); p.Status != http.StatusOK || u == nil || u.ACR != "mfa" || u.Data["cart"] != "empty" {
				t.Errorf("%d: signed in is %+v", p.Status, u)
			}
		})
	}
	t.Run("another person in the same browser", func(t *testing.T) {
		t.Parallel()
		s := newStepUp(t, nil)
		s.IDP.SignInAs("grace")
		s.Get("/keys")
		if u := s.User(); u == nil || u.Subject != "grace" || u.Data["cart"] != "empty" {
			t.Errorf("signed in is %+v", u)
		}
	})
}

func p3ProviderThatIgnores(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		page    string
		ignores []authtest.Ignorable
		trips   int
	}{
		{"/payout", []authtest.Ignorable{authtest.MaxAge}, 1},
		{"/payout", []authtest.Ignorable{authtest.AuthTime}, 1},
		{"/keys", []authtest.Ignorable{authtest.ACRValues}, 2},
		{"/keys", []authtest.Ignorable{authtest.ACR}, 2},
		{"/keys", []authtest.Ignorable{authtest.ACRValues, authtest.MaxAge}, 2},
		{"/both", []authtest.Ignorable{authtest.ACRValues}, 2},
		{"/both", []authtest.Ignorable{authtest.MaxAge}, 1},
	} {
		names := ""
		for _, what := range tt.ignores {
			names += " " + string(what)
		}
		t.Run(tt.page+names, func(t *testing.T) {
			t.Parallel()
			s := newStepUp(t, nil)
			s.IDP.Ignore(tt.ignores...)
			before := s.IDP.Count(authtest.Authorize)
			s.WantError(s.Get(tt.page), ginauth.ErrIDTokenInvalid)
			if n := s.IDP.Count(authtest.Authorize) - before; n != tt.trips {
				t.Errorf("%d redirects to the provider, want %d", n, tt.trips)
			}
			staysAs(t, s)
		})
	}
}

// Insufficient claims, in each redirect that requests them.
func p3ClaimsThatProveNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		page, claim string
		value       func(now time.Time) any
		trips       int
	}{
		"acr null":                  {"/keys", "acr", func(time.Time) any { return nil }, 2},
		"acr a number":              {"/keys", "acr", func(time.Time) any { return 2 }, 2},
		"acr a list":                {"/keys", "acr", func(time.Time) any { return []string{"mfa"} }, 2},
		"acr true":                  {"/keys", "acr", func(time.Time) any { return true }, 2},
		"acr empty":                 {"/keys", "acr", func(time.Time) any { return "" }, 2},
		"acr several":               {"/keys", "acr", func(time.Time) any { return "pwd mfa" }, 2},
		"acr in another case":       {"/keys", "acr", func(time.Time) any { return "MFA" }, 2},
		"acr with a space":          {"/keys", "acr", func(time.Time) any { return "mfa " }, 2},
		"acr long":                  {"/keys", "acr", func(time.Time) any { return strings.Repeat("mfa", 100) }, 2},
		"auth_time null":            {"/payout", "auth_time", func(time.Time) any { return nil }, 1},
		"auth_time 0":               {"/payout", "auth_time", func(time.Time) any { return 0 }, 1},
		"auth_time negative":        {"/payout", "auth_time", func(time.Time) any { return -1 }, 1},
		"auth_time text":            {"/payout", "auth_time", func(now time.Time) any { return fmt.Sprint(now.Unix()) }, 1},
		"auth_time of tomorrow":     {"/payout", "auth_time", func(now time.Time) any { return now.Add(24 * time.Hour).Unix() }, 1},
		"auth_time in milliseconds": {"/payout", "auth_time", func(now time.Time) any { return now.UnixMilli() }, 1},
		"auth_time too old":         {"/payout", "auth_time", func(now time.Time) any { return now.Add(-6*time.Minute - time.Second).Unix() }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStepUp(t, nil)
			s.IDP.EditIDToken(func(_, claims map[string]any) { claims[tt.claim] = tt.value(s.Clock.Now()) })
			before := s.IDP.Count(authtest.Authorize)
			s.WantError(s.Get(tt.page), ginauth.ErrIDTokenInvalid)
			if n := s.IDP.Count(authtest.Authorize) - before; n != tt.trips {
				t.Errorf("%d redirects to the provider, want %d", n, tt.trips)
			}
			staysAs(t, s)
		})
	}
}

// A requirement applies only to its provider.
func p1DemandOfAnotherProvider(t *testing.T) {
	t.Parallel()
	s := newStepUp(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, sitetest.Client("second", sitetest.StartProvider(t, authtest.Config{Now: s.Clock.Now})))
	})
	login, _ := trip(s, "/keys")
	p := s.Open(strings.Replace(login, "/login/demo?", "/login/second?", 1))
	if s.WantError(p, ginauth.ErrBadRequest); len(p.Header["Set-Cookie"]) > 0 {
		t.Error("a sign-in began")
	}
	staysAs(t, s)
}

func p4RequirementsUnmet(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"unmet_authentication_requirements", "access_denied"} {
		s := newStepUp(t, nil)
		s.IDP.EditAnswer(func(answer url.Values) {
			answer.Del("code")
			answer.Set("error", code)
		})
		s.WantError(s.Get("/keys"), ginauth.ErrProviderDenied)
		staysAs(t, s)
	}
}

func p5RefusalBesideADemand(t *testing.T) {
	t.Parallel()
	s := newStepUp(t, nil)
	before := s.IDP.Count(authtest.Authorize)
	s.WantError(s.Get("/staff"), ginauth.ErrForbidden)
	if s.IDP.Count(authtest.Authorize) != before {
		t.Error("the provider is called without a benefit")
	}
	staysAs(t, s)
}

func p6TwoDemands(t *testing.T) {
	t.Parallel()
	s := newStepUp(t, nil)
	_, asks := trip(s, "/both")
	if asks.Get("max_age") != "300" || asks.Get("acr_values") != "mfa" || asks.Get("login_hint") != "ada@example.com" {
		t.Errorf("asks for %v", asks)
	}
	before := s.IDP.Count(authtest.Authorize)
	s.WantError(s.Get("/conflict"), ginauth.ErrForbidden)
	if s.IDP.Count(authtest.Authorize) != before {
		t.Error("the provider gets an impossible request")
	}
	staysAs(t, s)
	if p := s.Get("/both"); p.Status != http.StatusOK || s.IDP.Count(authtest.Authorize) != before+1 {
		t.Errorf("%d after %d redirects\n%s", p.Status, s.IDP.Count(authtest.Authorize)-before, s.Logs)
	}
}

// Neither parameters of a link nor those of the Provider weaken a requirement.
func p7ParametersOfALink(t *testing.T) {
	t.Parallel()
	weak := map[string]string{"max_age": "86400", "acr_values": "pwd"}
	for name, change := range map[string]func(p *ginauth.Provider){
		"not passed on": func(*ginauth.Provider) {},
		"LoginParams":   func(p *ginauth.Provider) { p.LoginParams = []string{"max_age", "acr_values"} },
		"AuthParams":    func(p *ginauth.Provider) { p.AuthParams = weak },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStepUp(t, func(_ *sitetest.Site, o *ginauth.Options) { change(&o.Providers[0]) })
			login, _ := trip(s, "/both")
			u, _ := url.Parse(s.Open(login + "&max_age=86400&acr_values=pwd").Header.Get("Location"))
			if asks := u.Query(); asks.Get("max_age") != "300" || asks.Get("acr_values") != "mfa" || len(asks["max_age"]) > 1 || len(asks["acr_values"]) > 1 {
				t.Errorf("asks for %v", asks)
			}
			if name != "not passed on" {
				return
			}
			u, _ = url.Parse(s.Open("/login/demo?max_age=0&acr_values=x").Header.Get("Location"))
			if asks := u.Query(); asks.Has("max_age") || asks.Has("acr_values") {
				t.Errorf("a link asks for %v", asks)
			}
		})
	}
}

func p8PlainOAuth(t *testing.T) {
	t.Parallel()
	s := newStepUp(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, ginauth.Provider{
			Name: "plain", ClientID: s.IDP.ClientID, ClientSecret: s.IDP.ClientSecret, Namespace: "https://plain.example",
			AuthorizeURL: s.IDP.URL(authtest.Authorize), TokenURL: s.IDP.URL(authtest.Token), UserinfoURL: s.IDP.URL(authtest.Userinfo),
		})
	})
	s.Browser = s.NewBrowser()
	s.Get("/login/plain")
	for page, id := range map[string]string{"/payout": "check.step_up_impossible", "/keys": "check.step_up_impossible"} {
		before := s.IDP.Count(authtest.Authorize)
		s.WantError(s.Get(page), ginauth.ErrForbidden)
		if s.IDP.Count(authtest.Authorize) != before || !strings.Contains(s.Logs.String(), id) {
			t.Errorf("%s: the provider is called, or the log has no reason\n%s", page, s.Logs)
		}
	}
}

func p9ChecksThatDemandNothing(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() ginauth.Check{
		"0":             func() ginauth.Check { return ginauth.MaxAge(0) },
		"negative":      func() ginauth.Check { return ginauth.MaxAge(-time.Hour) },
		"59 seconds":    func() ginauth.Check { return ginauth.MaxAge(time.Minute - 1) },
		"no acr":        func() ginauth.Check { return ginauth.ACR() },
		"empty acr":     func() ginauth.Check { return ginauth.ACR("mfa", "") },
		"space":         func() ginauth.Check { return ginauth.ACR("mfa pwd") },
		"line feed":     func() ginauth.Check { return ginauth.ACR("mfa\npwd") },
		"other space":   func() ginauth.Check { return ginauth.ACR("mfa\u00a0pwd") },
		"not ASCII":     func() ginauth.Check { return ginauth.ACR("mfä") },
		"not UTF-8":     func() ginauth.Check { return ginauth.ACR("mf\xe4") },
		"257 bytes":     func() ginauth.Check { return ginauth.ACR(strings.Repeat("a", 257)) },
		"513 bytes":     func() ginauth.Check { return ginauth.ACR(strings.Repeat("a", 513)) },
		"long together": func() ginauth.Check { return ginauth.ACR(strings.Repeat("a", 256), strings.Repeat("b", 256)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic at start", name)
				}
			}()
			make()
		}()
	}
	ginauth.MaxAge(time.Minute)
	ginauth.ACR(strings.Repeat("a", 256), strings.Repeat("b", 255))
}

func p10WhoIsAsking(t *testing.T) {
	t.Parallel()
	s := newStepUp(t, nil)
	type body struct {
		Error, ACRValues string
		LoginURL         string `json:"login_url"`
		MaxAge           int    `json:"max_age"`
		ACR              string `json:"acr_values"`
	}
	read := func(p *authtest.Page) (b body) {
		t.Helper()
		if err := json.Unmarshal(p.Body, &b); err != nil || p.Status != http.StatusUnauthorized || b.Error != "step_up_required" ||
			b.MaxAge != 300 || b.ACR != "mfa" || !strings.HasPrefix(b.LoginURL, "/login/demo?") || !strings.Contains(b.LoginURL, "demand=") {
			t.Errorf("%d %s", p.Status, p.Text())
		}
		if len(p.Header["Set-Cookie"]) > 0 {
			t.Errorf("sets %q", p.Header["Set-Cookie"])
		}
		return b
	}
	fetched := read(s.Ask("GET", "/both", sitetest.Fetch...))
	read(s.Ask("POST", "/both", sitetest.Fetch...))
	read(s.Ask("GET", "/both", slices.Concat(sitetest.Upgrade, []string{"Origin", s.URL})...))
	if b := read(s.Ask("GET", "/both", sitetest.Plus(sitetest.Fetch, "HX-Request", "true", "HX-Current-URL", s.URL+"/page")...)); !strings.Contains(b.LoginURL, "return_to=%2Fpage") {
		t.Errorf("HTMX is sent to %q", b.LoginURL)
	}
	if p := s.Ask("GET", "/both", sitetest.Plus(sitetest.Fetch, "HX-Request", "true")...); !strings.Contains(p.Header.Get("HX-Redirect"), "demand=") {
		t.Errorf("HX-Redirect is %q", p.Header.Get("HX-Redirect"))
	}
	form := s.Ask("POST", "/both", sitetest.Plus(sitetest.Navigation, "Origin", s.URL)...)
	if form.Status != http.StatusUnauthorized || !strings.Contains(form.Text(), "step_up_required") || !strings.Contains(form.Text(), "demand=") || len(form.Header["Set-Cookie"]) > 0 {
		t.Errorf("a form: %d %s", form.Status, form.Text())
	}
	for _, purpose := range []string{"prefetch", "prefetch;prerender"} {
		if p := s.Ask("GET", s.Open("/both").Header.Get("Location"), sitetest.Plus(sitetest.Navigation, "Sec-Purpose", purpose)...); p.Status != http.StatusServiceUnavailable || len(p.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %d", purpose, p.Status)
		}
	}
	staysAs(t, s)
	s.Get(fetched.LoginURL)
	if u := s.User(); u.ACR != "mfa" || u.Data["cart"] != "full" {
		t.Errorf("after the redirect %+v is signed in", u)
	}
}

func p11SignInAcrossOrigins(t *testing.T) {
	t.Parallel()
	s := newStepUp(t, nil)
	s.Engine.POST("/sign-in", func(c *gin.Context) {
		if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "mallory"}, nil); err != nil {
			s.Auth.Fail(c, err)
		}
	})
	p := s.Ask("POST", "/sign-in", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Content-Type", "application/x-www-form-urlencoded")
	if s.WantError(p, ginauth.ErrCrossOrigin); len(p.Header["Set-Cookie"]) > 0 {
		t.Errorf("sets %q", p.Header["Set-Cookie"])
	}
	staysAs(t, s)
}
