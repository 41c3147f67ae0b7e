package faults

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsLocalAccounts(t *testing.T) {
	runFaults(t, []fault{
		{"S9_what_a_page_is_not_asked", s9WhatAPageIsNotAsked},
		{"S9_pages_that_are_none", s9PagesThatAreNone},
		{"S9_a_guard_in_front_of_the_page", s9AGuardInFrontOfThePage},
		{"S9_to_the_page_and_back", s9ToThePageAndBack},
		{"S10_hostile_return_paths", s10HostileReturnPaths},
		{"S10_what_the_page_is_given", s10WhatThePageIsGiven},
		{"S11_sign_in_that_nobody_asked_for", s11SignInThatNobodyAskedFor},
		{"S12_auth_time_ahead_of_the_clock", s12AuthTimeAheadOfTheClock},
		{"S13_limits_that_are_none", s13LimitsThatAreNone},
		{"S13_limits_hold", s13LimitsHold},
		{"S14_browser_only", s14BrowserOnly},
		{"S14_browser_only_from_on_login", s14BrowserOnlyFromOnLogin},
		{"S14_browser_only_when_asked_again", s14BrowserOnlyWhenAskedAgain},
		{"S15_no_providers", s15NoProviders},
		{"S40_a_page_that_sends_people_back", s40APageThatSendsPeopleBack},
		{"S40_a_page_that_asks_again", s40APageThatAsksAgain},
	})
}

// local is an application whose handler at /in signs users in.
type local struct {
	*sitetest.Flow
	user   ginauth.User
	limits *ginauth.SessionLimits
	err    error
}

func newLocal(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *local {
	l := &local{user: ginauth.User{Provider: "demo", Subject: "grace"}}
	l.Flow = sitetest.NewFlow(t, change)
	l.routes()
	return l
}

// routes adds the routes of this test to the current engine.
func (l *local) routes() {
	in := func(c *gin.Context) {
		user := l.user
		l.err = l.Auth.SignIn(c, &user, l.limits)
		c.String(http.StatusOK, "done")
	}
	l.Engine.POST("/in", in)
	l.Engine.GET("/in", in)
	l.Engine.POST("/out", func(c *gin.Context) { l.err = l.Auth.Logout(c) })
	l.Guard("/note", func(c *gin.Context) {
		l.err = l.Auth.Update(c, func(u *ginauth.User) { u.Data["note"] = "1" })
	})
}

// A form from another site must sign users neither in nor out, and a prefetch, which users do
// not see, must not sign in.
func s11SignInThatNobodyAskedFor(t *testing.T) {
	l := newLocal(t, nil)
	for _, before := range []string{"", "ada"} {
		if l.Browser = l.NewBrowser(); before != "" {
			l.As(before)
		}
		for name, try := range map[string]struct {
			method, path string
			header       []string
			want         ginauth.Code
		}{
			"a form of another site":            {"POST", "/in", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, ginauth.ErrCrossOrigin},
			"of a sibling":                      {"POST", "/in", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://evil.localhost"}, ginauth.ErrCrossOrigin},
			"of an old browser":                 {"POST", "/in", []string{"Origin", "https://evil.example"}, ginauth.ErrCrossOrigin},
			"from nowhere":                      {"POST", "/in", []string{"Origin", "null"}, ginauth.ErrCrossOrigin},
			"a prefetch":                        {"GET", "/in", []string{"Sec-Purpose", "prefetch;prerender"}, ginauth.ErrBadRequest},
			"an old browser's prefetch":         {"GET", "/in", []string{"Purpose", "prefetch"}, ginauth.ErrBadRequest},
			"a sign-out by another site":        {"POST", "/out", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, ginauth.ErrCrossOrigin},
			"a sign-out from an opaque origin":  {"POST", "/out", []string{"Origin", "null"}, ginauth.ErrCrossOrigin},
			"a sign-out by a sibling's request": {"POST", "/out", []string{"Sec-Fetch-Site", "same-site"}, ginauth.ErrCrossOrigin},
		} {
			l.err = nil
			p := l.Ask(try.method, try.path, try.header...)
			if !errors.Is(l.err, try.want) || len(p.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %v, want %s; cookies %q", name, l.err, try.want, p.Header.Values("Set-Cookie"))
			}
			if u := l.User(); (u != nil) != (before != "") || u != nil && u.Subject != before {
				t.Errorf("%s: %+v is signed in, want %q", name, u, before)
			}
		}
	}
	if l.Ask("POST", "/in", "Sec-Fetch-Site", "same-origin"); l.err != nil || l.User().Subject != "grace" {
		t.Errorf("a form of the application: %v", l.err)
	}
}

func s12AuthTimeAheadOfTheClock(t *testing.T) {
	l := newLocal(t, nil)
	for _, ahead := range []time.Duration{2 * time.Minute, time.Hour, 100 * 365 * 24 * time.Hour} {
		l.user.AuthTime = l.Clock.Now().Add(ahead)
		if p := l.Ask("POST", "/in"); !errors.Is(l.err, ginauth.ErrSessionError) || len(p.Header.Values("Set-Cookie")) > 0 || l.User() != nil {
			t.Errorf("%v ahead: %v; cookies %q", ahead, l.err, p.Header.Values("Set-Cookie"))
		}
	}
	l.user.AuthTime = l.Clock.Now().Add(30 * time.Second) // as by another machine's clock
	if l.Ask("POST", "/in"); l.err != nil || !l.User().AuthTime.Equal(l.user.AuthTime.Truncate(time.Second)) {
		t.Errorf("half a minute ahead: %v, %v", l.err, l.User())
	}
}

// SessionLimits must shorten a session: a value that is too large or invalid is an error, and no
// session begins.
func s13LimitsThatAreNone(t *testing.T) {
	l := newLocal(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Lifetime, o.IdleTimeout = 24*time.Hour, 2*time.Hour
	})
	for _, wrong := range []ginauth.SessionLimits{
		{Lifetime: 24*time.Hour + 1}, {Lifetime: -1}, {Lifetime: -24 * time.Hour}, {Lifetime: 30}, {Lifetime: time.Minute - 1},
		{IdleTimeout: 2*time.Hour + 1}, {IdleTimeout: -time.Hour}, {IdleTimeout: 59 * time.Second},
		{Lifetime: time.Hour, IdleTimeout: 3 * time.Hour}, {Lifetime: 1 << 62, BrowserOnly: true},
	} {
		l.Browser, l.limits = l.NewBrowser(), &wrong
		if p := l.Ask("POST", "/in"); !errors.Is(l.err, ginauth.ErrSessionError) || len(p.Header.Values("Set-Cookie")) > 0 || l.User() != nil {
			t.Errorf("%+v: %v; cookies %q", wrong, l.err, p.Header.Values("Set-Cookie"))
		}
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Lifetime, o.IdleTimeout = 24*time.Hour, 2*time.Hour
			o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error { login.Limits = wrong; return nil }
		})
		s.FailsClosed(t, s.Get("/login/demo"), sitetest.Closed{Code: ginauth.ErrSessionError, Tokens: 1})
	}
	for _, right := range []ginauth.SessionLimits{{}, {Lifetime: 24 * time.Hour, IdleTimeout: 2 * time.Hour}, {Lifetime: time.Minute}, {Lifetime: time.Hour, IdleTimeout: 2 * time.Hour}} {
		l.Browser, l.limits = l.NewBrowser(), &right
		if l.Ask("POST", "/in"); l.err != nil || l.User() == nil {
			t.Errorf("%+v: %v", right, l.err)
		}
	}
}

// The limits belong to the session: neither visits nor larger Options extend it.
func s13LimitsHold(t *testing.T) {
	l := newLocal(t, nil)
	l.limits = &ginauth.SessionLimits{Lifetime: 3 * time.Hour, IdleTimeout: time.Hour}
	l.Ask("POST", "/in")
	l.Clock.Advance(59 * time.Minute)
	if l.User() == nil {
		t.Error("signed out after 59 minutes of the hour")
	}
	idle := l.Browser.Clone()
	l.Clock.Advance(61 * time.Minute)
	if u := l.UserOf(idle); u != nil {
		t.Error("the idle timeout does not hold")
	}
	l.Browser = l.NewBrowser()
	l.Ask("POST", "/in")
	l.Redeploy(func(o *ginauth.Options) { o.Lifetime, o.IdleTimeout = 30*24*time.Hour, 20*24*time.Hour })
	for range 5 {
		l.Clock.Advance(35 * time.Minute)
		if l.User() == nil {
			t.Fatal("signed out within the lifetime")
		}
	}
	if l.Clock.Advance(6 * time.Minute); l.User() != nil {
		t.Error("the lifetime does not hold")
	}
}

// entries is a store that records the lifetime of its last entry.
type entries struct {
	ginsessions.Store
	maxAge int
}

func (e *entries) Save(r *http.Request, w http.ResponseWriter, s *gorilla.Session) error {
	e.maxAge = s.Options.MaxAge
	return e.Store.Save(r, w, s)
}

// lasting returns the cookies of a response that the browser keeps when it is closed, except
// those that last only seconds.
func lasting(h http.Header) (names []string) {
	for _, line := range h.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		brief := strings.HasSuffix(c.Name, "-n") || strings.Contains(c.Name, "-a-")
		if err != nil || c.Value != "" && !brief && (c.MaxAge != 0 || !c.Expires.IsZero() || strings.Contains(strings.ToLower(line), "max-age")) {
			names = append(names, c.Name)
		}
	}
	return names
}

// backends are the places where sessions can be stored.
func backends(t *testing.T) map[string]func() ginsessions.Store {
	dir := filepath.Clean(t.TempDir())
	return map[string]func() ginsessions.Store{
		"sealed cookies":      func() ginsessions.Store { return nil },
		"gin-contrib cookies": func() ginsessions.Store { return cookie.NewStore(sitetest.StoreHashKey, sitetest.StoreBlockKey) },
		"memory":              func() ginsessions.Store { return memstore.NewStore(sitetest.StoreHashKey) },
		"files": func() ginsessions.Store {
			return sitetest.FileStore{FilesystemStore: gorilla.NewFilesystemStore(dir, sitetest.StoreHashKey)}
		},
	}
}

// A session that ends with the browser stays one whenever it is rewritten; its record in a store
// expires nevertheless.
func s14BrowserOnly(t *testing.T) {
	for where, open := range backends(t) {
		store := &entries{Store: open()}
		l := newLocal(t, func(_ *sitetest.Site, o *ginauth.Options) {
			if store.Store != nil {
				o.Sessions = store
			}
		})
		wrote := 0
		check := func(what string, h http.Header) {
			t.Helper()
			if names := lasting(h); len(names) > 0 || len(h.Values("Set-Cookie")) == 0 {
				t.Errorf("%s, %s: lasting cookies %q of %q", where, what, names, h.Values("Set-Cookie"))
			}
			if store.Store != nil && store.maxAge <= 0 {
				t.Errorf("%s, %s: the store keeps the entry for %d seconds", where, what, store.maxAge)
			}
			wrote, store.maxAge = wrote+1, 0
		}
		l.limits = &ginauth.SessionLimits{BrowserOnly: true}
		check("sign-in", l.Ask("POST", "/in").Header)
		l.Clock.Advance(3 * time.Hour)
		check("renewal", l.Ask("GET", "/me").Header)
		check("Update", l.Ask("POST", "/note").Header)
		l.Redeploy(func(o *ginauth.Options) {
			o.Keys = []string{"a newer key for tests, of 32 bytes and more", sitetest.Key}
		})
		l.routes()
		check("an old key", l.Ask("GET", "/me").Header)
		if where == "sealed cookies" {
			l.user.Groups = sitetest.Groups(4000)
			p := l.Ask("POST", "/in")
			check("two cookies", p.Header)
			if n := len(l.SessionCookies()); n != 2 {
				t.Errorf("the session has %d cookies, want 2", n)
			}
			l.Clock.Advance(3 * time.Hour)
			check("a renewal of two cookies", l.Ask("GET", "/me").Header)
		}
		if u := l.User(); u == nil || u.Subject != "grace" || l.err != nil {
			t.Errorf("%s: %+v is signed in, %v", where, u, l.err)
		}
		l.limits = nil
		if p := l.Ask("POST", "/in"); len(lasting(p.Header)) == 0 {
			t.Errorf("%s: a session that is to last has the cookies %q", where, p.Header.Values("Set-Cookie"))
		}
	}
}

// The same with a provider, including the cookies beside the session's: the ID token for the
// sign-out, and the last provider.
func s14BrowserOnlyFromOnLogin(t *testing.T) {
	for where, open := range backends(t) {
		only := true
		f, _ := sitetest.NewFlowWithTwo(t, func(o *ginauth.Options) {
			o.Sessions = open()
			o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
				l.Limits.BrowserOnly = only
				return nil
			}
		})
		answer := func() http.Header { return f.Must(f.Browser.Open(f.Begin("/login/demo").String())).Header }
		h := answer()
		if len(lasting(h)) > 0 {
			t.Errorf("%s: lasting cookies %q", where, lasting(h))
		}
		if sent := sessionOf(h); f.User() == nil || !strings.Contains(sent, "-h=") || !strings.Contains(sent, "-p=") {
			t.Errorf("%s: the response has the cookies %s", where, sent)
		}
		only, f.Browser = false, f.NewBrowser()
		if h := answer(); len(lasting(h)) < 3 {
			t.Errorf("%s: of a session that is to last, %q last", where, lasting(h))
		}
	}
}

// A user that is redirected to authenticate again gets a new session, which still ends with the
// browser, also if OnLogin does not set the limits again.
func s14BrowserOnlyWhenAskedAgain(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			if !l.Renewal {
				l.Limits = ginauth.SessionLimits{BrowserOnly: true, IdleTimeout: 2 * time.Hour}
			}
			return nil
		}
	})
	var info ginauth.SessionInfo
	s.Engine.GET("/sensitive", s.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), func(c *gin.Context) { info, _ = s.Auth.Session(c) })
	s.SignIn()
	began := s.Clock.Now()
	s.Clock.Advance(time.Hour)
	p := s.Must(s.Browser.Open(s.Begin("/sensitive").String()))
	if names := lasting(p.Header); p.Status != http.StatusSeeOther || len(names) > 0 || len(s.SessionCookies()) != 1 {
		t.Errorf("the response is %d, with the lasting cookies %q: %s", p.Status, names, p.Text())
	}
	s.Get("/sensitive")
	if !info.Created.After(began) || info.IdleExpiry.Sub(info.LastSeen) != 2*time.Hour {
		t.Errorf("the session is %+v", info)
	}
}

// page is a sign-in page of the application.
var page = ginauth.Provider{Name: "password", DisplayName: "your password", Namespace: "https://app.example.com/accounts", LoginPage: "/password?tab=1"}

// newPaged is an application with a sign-in page beside a provider.
func newPaged(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *local {
	l := newLocal(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers, o.AfterLogin = append(o.Providers, page), "/home"
		if change != nil {
			change(s, o)
		}
	})
	l.user.Provider = "password"
	l.Engine.GET("/password", func(c *gin.Context) { c.String(http.StatusOK, "the page") })
	l.Engine.POST("/password", func(c *gin.Context) {
		if l.err = l.Auth.SignIn(c, &ginauth.User{Provider: "password", Subject: "grace"}, nil); l.err == nil {
			c.Redirect(http.StatusSeeOther, l.Auth.ReturnTo(c))
		}
	})
	return l
}

// A page has none of the OAuth routes, no state, no requests to a provider and no redirect URI.
func s9WhatAPageIsNotAsked(t *testing.T) {
	l := newPaged(t, nil)
	for _, path := range []string{"/authorize/password", "/authorize/password/", "/authorize/password?code=x&state=" + sitetest.MadeUpState, "/logout/password/frontchannel?iss=x&sid=y"} {
		p := l.Ask("GET", path, sitetest.Navigation...)
		l.WantError(p, ginauth.ErrUnknownProvider)
	}
	if p := l.BackChannelTo("password", "logout_token=x", "application/x-www-form-urlencoded"); p.Status != http.StatusNotFound {
		t.Errorf("the back channel responded %d", p.Status)
	}
	callback := l.Begin("/login/demo")
	elsewhere := *callback
	elsewhere.Path = "/authorize/password"
	l.WantError(l.Finish(&elsewhere), ginauth.ErrUnknownProvider)
	if err := l.Auth.Warm(t.Context()); err != nil {
		t.Errorf("Warm: %v", err)
	}
	d := l.Auth.Diagnose(t.Context())
	if len(d.Problems) > 0 || len(d.Providers) != 2 || d.Providers[1].Name != "password" || d.Providers[1].RedirectURI != "" || d.Providers[1].LoginPage != l.URL+"/password?tab=1" {
		t.Errorf("Diagnose: %+v", d)
	}
	sitetest.WantNames(t, d.String(), "provider password: ", l.URL+"/password?tab=1\n")
	if list := l.Auth.Providers(); len(list) != 2 || list[1].LoginPage != page.LoginPage || list[0].LoginPage != "" {
		t.Errorf("Providers: %v", list)
	}
	form := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, post...)
	r := l.Must(l.Browser.Submit(l.Get("/password"), l.URL+"/login/password", map[string][]string{"link": {"true"}}))
	if r.Status != http.StatusBadRequest {
		t.Errorf("link=true: %d", r.Status)
	}
	l.Engine.POST("/start", func(c *gin.Context) {
		for _, start := range []ginauth.Start{{Data: map[string]string{"a": "b"}}, {Params: map[string]string{"prompt": "login"}}, {Link: true}} {
			start.Provider = "password"
			if _, err := l.Auth.BeginLogin(c, start); !errors.Is(err, ginauth.ErrBadRequest) {
				t.Errorf("%+v: %v", start, err)
			}
		}
		for to, want := range map[string]string{"/x?y=1": "/password?tab=1&return_to=%2Fx%3Fy%3D1", "//evil.example": "/password?tab=1", "": "/password?tab=1"} {
			if at, err := l.Auth.BeginLogin(c, ginauth.Start{Provider: "password", ReturnTo: to}); err != nil || at != l.URL+want {
				t.Errorf("%q leads to %q, %v", to, at, err)
			}
		}
	})
	if p := l.Ask("POST", "/start", form...); len(p.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("cookies %q", p.Header.Values("Set-Cookie"))
	}
}

// A page with fields of a client, with another provider's namespace, or at a path where it would
// loop.
func s9PagesThatAreNone(t *testing.T) {
	t.Parallel()
	opts := func(change func(p *ginauth.Provider)) error {
		p := page
		change(&p)
		o := sitetest.GoodOptions()
		o.Providers = append(o.Providers, p)
		return sitetest.MountError(o)
	}
	if err := opts(func(*ginauth.Provider) {}); err != nil {
		t.Fatal(err)
	}
	all := func(p *ginauth.Provider) {
		p.Issuer, p.ClientID, p.ClientSecret, p.AuthMethod, p.IDTokenAlg = "https://id.example.com", "id", "secret", "none", "RS256"
		p.Scopes, p.AuthParams, p.LoginParams = []string{"openid"}, map[string]string{"a": "b"}, []string{"prompt"}
		p.TokenURL, p.Logout.Local, p.Quirks.HS256, p.EmailVerified = "https://id.example.com/token", true, true, func(map[string]any) bool { return true }
	}
	var want []string
	for _, field := range []string{"issuer", "client_id", "client_secret", "auth_method", "id_token_alg", "scopes", "token_url", "auth_params", "login_params", "email_verified", "logout", "quirks"} {
		want = append(want, "provider."+field+".login_page")
	}
	sitetest.WantInvalid(t, opts(all), want...)
	sitetest.WantInvalid(t, opts(func(p *ginauth.Provider) { p.Namespace = "" }), "provider.namespace.empty")
	sitetest.WantInvalid(t, opts(func(p *ginauth.Provider) { p.Namespace = "a b" }), "provider.namespace.malformed")
	sitetest.WantInvalid(t, opts(func(p *ginauth.Provider) { p.Name = "" }), "provider.name.malformed")
	for _, path := range []string{"password", "//evil.example", "https://evil.example/x", "/a b", "/x\\y"} {
		sitetest.WantInvalid(t, opts(func(p *ginauth.Provider) { p.LoginPage = path }), "provider.login_page.not_a_path")
	}
	for _, path := range []string{"/login", "/login/password", "/LOGIN/x", "/authorize/x", "/logout"} {
		sitetest.WantInvalid(t, opts(func(p *ginauth.Provider) { p.LoginPage = path }), "provider.login_page.own_route")
	}
	issuer := sitetest.GoodOptions().Providers[0].Issuer
	sitetest.WantInvalid(t, opts(func(p *ginauth.Provider) { p.Namespace = issuer }), "provider.namespace.client_namespace")
	for _, first := range []bool{true, false} { // in both orders
		for name, other := range map[string]func(p *ginauth.Provider){
			"an issuer":   func(p *ginauth.Provider) { p.Issuer = page.Namespace },
			"a namespace": func(p *ginauth.Provider) { *p = sitetest.PlainProvider(); p.Namespace = page.Namespace },
			"one of many": func(p *ginauth.Provider) {
				p.TokenIssuer = func(map[string]any) (string, error) { return "", nil }
				p.Admits = []string{"https://x.example", page.Namespace}
			},
		} {
			o := sitetest.GoodOptions()
			other(&o.Providers[0])
			if o.Providers = append(o.Providers, page); first {
				o.Providers[0], o.Providers[1] = o.Providers[1], o.Providers[0]
			}
			if err := sitetest.MountError(o); !sitetest.HasID(err, "provider.namespace.client_namespace") {
				t.Errorf("%s, the page first: %v: %v", name, first, err)
			}
		}
	}
	second := page
	second.Name = "passkey"
	if err := opts(func(p *ginauth.Provider) {}); err != nil {
		t.Error(err)
	}
	o := sitetest.GoodOptions()
	o.Providers = []ginauth.Provider{page, second} // both have the same users
	if err := sitetest.MountError(o); err != nil {
		t.Errorf("two pages with one Namespace: %v", err)
	}
}

// RequireAuth in front of the page would cause a redirect loop.
func s9AGuardInFrontOfThePage(t *testing.T) {
	for _, only := range []bool{false, true} {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			if o.Providers = append(o.Providers, page); only {
				o.Providers = o.Providers[1:]
			}
		})
		s.Engine.GET("/password", s.Auth.RequireAuth(), s.Protected)
		p := s.Get("/login/password")
		if p.Status != http.StatusInternalServerError || !strings.Contains(p.Text(), "guard.login_page") {
			t.Errorf("the response is %d %s", p.Status, p.Text())
		}
		if n := len(s.Browser.History()); n > 4 {
			t.Errorf("after %d redirects", n)
		}
	}
}

func s9ToThePageAndBack(t *testing.T) {
	l := newPaged(t, nil)
	for to, want := range map[string]string{"?return_to=/page/x%3Fy%3D1": "/page/x?y=1", "": "/home", "?return_to=//evil.example": "/home", "?return_to=https://evil.example": "/home", "?return_to=/login/password": "/home"} {
		l.Browser = l.NewBrowser()
		p := l.Get("/login/password" + to)
		if p.Text() != "the page" || p.URL.Path != "/password" || p.URL.Query().Get("tab") != "1" || len(l.Browser.Cookies(l.URL)) > len(l.OwnCookies("-n")) { // -n counts redirects
			t.Fatalf("%s leads to %s with the cookies %v: %s", to, p.URL, l.Browser.Cookies(l.URL), p.Text())
		}
		p = l.Must(l.Browser.Submit(p, p.URL.String(), nil)) // a form without an action keeps the query
		if got := p.URL.RequestURI(); got != want || l.err != nil || l.User() == nil {
			t.Errorf("%s leads back to %s, want %s; %v", to, got, want, l.err)
		}
		if id := l.User().ID(); id != page.Namespace+"#grace" {
			t.Errorf("the user is %s", id)
		}
	}
	if p := l.Get("/login"); !strings.Contains(p.Text(), "your password") || !strings.Contains(p.Text(), "Last used") {
		t.Errorf("the page to choose on: %s", p.Text())
	}
	p := l.Must(l.Browser.Submit(l.Get("/logout"), l.URL+"/logout", nil))
	if l.User() != nil || p.Status != http.StatusOK && p.Status != http.StatusNotFound {
		t.Errorf("signing out responds %d %s", p.Status, p.Text())
	}
	for name, header := range map[string][]string{"an image": {"Sec-Fetch-Dest", "image", "Sec-Fetch-Mode", "no-cors"}, "a frame": {"Sec-Fetch-Dest", "iframe", "Sec-Fetch-Mode", "navigate"}} {
		if p := l.Ask("GET", "/login/password", header...); p.Status != http.StatusForbidden {
			t.Errorf("%s: %d", name, p.Status)
		}
	}
	alone := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = []ginauth.Provider{page} })
	alone.Engine.GET("/password", func(c *gin.Context) { c.String(http.StatusOK, c.Query("return_to")) })
	alone.Engine.GET("/guarded", alone.Auth.RequireAuth(), alone.Protected)
	if p := alone.Get("/guarded?a=b"); p.Text() != "/guarded?a=b" || alone.IDP.Count(authtest.Discovery) != 0 {
		t.Errorf("from a guarded page to %s: %s", p.URL, p.Text())
	}
}

// ReturnTo is a redirect target: it is never another site, nor one of ginauth's routes,
// regardless of the URL or the form.
func s10HostileReturnPaths(t *testing.T) {
	l := newPaged(t, func(_ *sitetest.Site, o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example.com"} })
	back := ""
	at := func(c *gin.Context) { back = l.Auth.ReturnTo(c) }
	l.Engine.GET("/back", at)
	l.Engine.POST("/back", at)
	ask := func(raw string) (got []string) {
		field := url.Values{"return_to": {raw}}.Encode()
		for _, r := range []*http.Request{
			httptest.NewRequest("GET", "/back?"+field, nil), httptest.NewRequest("POST", "/back?"+field, nil),
			httptest.NewRequest("POST", "/back", strings.NewReader(field)), httptest.NewRequest("POST", "/back?return_to=/query", strings.NewReader(field)),
		} {
			if r.Method == "POST" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			l.Engine.ServeHTTP(httptest.NewRecorder(), r)
			got = append(got, back)
		}
		return got
	}
	tried := 0
	hostile := append([]string{"https://evil.example", "javascript:alert(1)", "data:text/html,x"}, sitetest.OwnPaths...)
	for _, list := range sitetest.HostilePaths {
		hostile = append(hostile, list...)
	}
	for _, raw := range hostile {
		tried++
		for i, got := range ask(raw) {
			if got != l.URL+"/home" {
				t.Errorf("%q leads to %s in case %d", raw, got, i)
			}
		}
	}
	if tried < 50 {
		t.Errorf("%d paths were tried: the test checks the wrong thing", tried)
	}
	for raw, want := range sitetest.GoodPaths {
		for i, got := range ask(raw) {
			if got != l.URL+want {
				t.Errorf("%q leads to %s in case %d, want %s", raw, got, i, want)
			}
		}
	}
	for raw, want := range map[string]string{"https://admin.example.com/x?y": "https://admin.example.com/x?y", "https://admin.example.com": "https://admin.example.com/",
		"https://admin.example.com.evil.example/x": l.URL + "/home", "https://admin.example.com@evil.example/x": l.URL + "/home", "http://admin.example.com/x": l.URL + "/home"} {
		if got := ask(raw); got[0] != want {
			t.Errorf("%q leads to %s, want %s", raw, got[0], want)
		}
	}
	if got := ask(""); got[0] != l.URL+"/home" || got[3] != l.URL+"/query" {
		t.Errorf("without a path it leads to %q", got)
	}
}

// The return path that /login passes to the page is checked there too: a page may redirect to it
// unchanged. Its path is percent-encoded for a header.
func s10WhatThePageIsGiven(t *testing.T) {
	page := ginauth.Provider{Name: "password", Namespace: "https://app.example", LoginPage: "/pässword?tenant=1"}
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = append(o.Providers, page) })
	hostile := append([]string{"https://evil.example", "javascript:alert(1)"}, sitetest.OwnPaths...)
	for _, list := range sitetest.HostilePaths {
		hostile = append(hostile, list...)
	}
	for _, raw := range hostile {
		if got := s.Open("/login/password" + sitetest.ReturnTo(raw)).Header.Get("Location"); got != s.URL+"/p%C3%A4ssword?tenant=1" {
			t.Errorf("%q: the page is opened as %s", raw, got)
		}
	}
	if got := s.Open("/login/password" + sitetest.ReturnTo("/x?y")).Header.Get("Location"); got != s.URL+"/p%C3%A4ssword?tenant=1&return_to=%2Fx%3Fy" {
		t.Errorf("the page is opened as %s", got)
	}
	page.Err = errors.New("made of a wrong argument")
	sitetest.WantInvalid(t, sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers = []ginauth.Provider{page} })), "provider.err.invalid")
}

// An application without providers starts with a warning, and causes no redirect loop.
func s15NoProviders(t *testing.T) {
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = nil })
	if lines := s.Logs.Lines("WARN", "options.providers.empty"); len(lines) != 1 || !strings.Contains(lines[0], "Options.Providers") {
		t.Errorf("the log does not warn: %s", s.Logs)
	}
	s.Guard("/guarded", s.Protected)
	if p := s.Open("/guarded"); p.Status != http.StatusSeeOther || p.Header.Get("Location") != "/login?return_to=%2Fguarded" {
		t.Errorf("a guarded page responds %d, %s", p.Status, p.Header.Get("Location"))
	}
	p := s.Get("/guarded")
	s.WantError(p, ginauth.ErrUnknownProvider)
	if !strings.Contains(p.Text(), sitetest.Sentence(t, "choose.none")) || s.Ran.Load() != 0 {
		t.Errorf("the page is %s", p.Text())
	}
	if p := s.Ask("GET", "/login", sitetest.Fetch...); p.Status != http.StatusNotFound || !strings.Contains(string(p.Body), `"message":"`+sitetest.Sentence(t, "choose.none")+`"`) {
		t.Errorf("a script gets %d %s", p.Status, p.Body)
	}
	s.WantError(s.Get("/login/demo"), ginauth.ErrUnknownProvider)
	d := s.Auth.Diagnose(t.Context())
	if err := s.Auth.Warm(t.Context()); err != nil || len(d.Problems) > 0 || !slices.ContainsFunc(d.Warnings, func(e *ginauth.Error) bool { return e.ID == "options.providers.empty" }) {
		t.Errorf("Warm: %v; Diagnose: %v", err, d)
	}
}

// stale is an application whose /sensitive requires a recent password, with a user that entered
// it an hour ago. Its page redirects signed-in users back immediately, unless it prompts again.
func stale(t *testing.T, asks bool) *local {
	l := newLocal(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = append(o.Providers, page) })
	l.user.Provider = "password"
	l.Engine.GET("/sensitive", l.Auth.RequireAuth(ginauth.MaxAge(5*time.Minute)), l.Protected)
	l.Engine.GET("/mfa", l.Auth.RequireAuth(ginauth.ACR("mfa")), l.Protected)
	l.Engine.GET("/password", l.Auth.LoadUser(), func(c *gin.Context) {
		if ginauth.CurrentUser(c) != nil && (!asks || c.Query("prompt") != "login") {
			c.Redirect(http.StatusSeeOther, l.Auth.ReturnTo(c))
			return
		}
		c.String(http.StatusOK, "the password, please")
	})
	l.Engine.POST("/password", func(c *gin.Context) {
		user := l.user
		if l.err = l.Auth.SignIn(c, &user, nil); l.err == nil {
			c.Redirect(http.StatusSeeOther, l.Auth.ReturnTo(c))
		}
	})
	l.Ask("POST", "/in")
	l.Clock.Advance(time.Hour)
	return l
}

func s40APageThatSendsPeopleBack(t *testing.T) {
	l := stale(t, false)
	p := l.Get("/sensitive")
	l.WantError(p, ginauth.ErrLoginLoop)
	trips := 0
	for _, hop := range l.Browser.History() {
		if hop.URL.Path == "/login/password" {
			trips++
		}
	}
	if trips != 3 || l.Ran.Load() != 0 {
		t.Errorf("the loop ends at redirect %d, and %d handlers ran", trips, l.Ran.Load())
	}
	if u := l.User(); u == nil || u.Subject != "grace" {
		t.Errorf("%v is signed in", u)
	}
	l.Clock.Advance(11 * time.Second)
	l.WantError(l.Get("/sensitive"), ginauth.ErrLoginLoop) // not permanently: the count starts again
}

// A page that prompts again signs the user in with a recent authentication. A page cannot assert
// an acr.
func s40APageThatAsksAgain(t *testing.T) {
	l := stale(t, true)
	p := l.Get("/sensitive?x=y")
	if p.URL.Path != "/password" || p.URL.Query().Get("prompt") != "login" || p.Text() != "the password, please" {
		t.Fatalf("ended at %s: %d %s", p.URL, p.Status, p.Text())
	}
	p = l.Must(l.Browser.Submit(p, p.URL.String(), nil))
	if p.URL.RequestURI() != "/sensitive?x=y" || p.Status != http.StatusOK || l.Ran.Load() != 1 {
		t.Errorf("returned to %s: %d, %v", p.URL, p.Status, l.err)
	}
	l.WantError(l.Get("/mfa"), ginauth.ErrForbidden)
	link := l.Ask("GET", "/mfa", sitetest.Fetch...)
	if link.Status != http.StatusForbidden {
		t.Errorf("a script gets %d", link.Status)
	}
	l.WantError(l.Get("/login/password?demand=made-up"), ginauth.ErrBadRequest)
	l.Clock.Advance(10 * time.Minute)
	var to struct {
		LoginURL string `json:"login_url"`
	}
	answer := l.Ask("GET", "/sensitive", sitetest.Fetch...)
	if err := json.Unmarshal(answer.Body, &to); err != nil || answer.Status != http.StatusUnauthorized {
		t.Fatalf("a script gets %d %s: %v", answer.Status, answer.Body, err)
	}
	l.Clock.Advance(2 * time.Hour)
	if p := l.Get(to.LoginURL + "&return_to=/home"); p.URL.Path != "/home" && p.URL.Path != "/" {
		t.Errorf("a demand of two hours ago leads to %s", p.URL)
	}
}
