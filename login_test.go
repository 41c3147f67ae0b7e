package ginauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestSignIn(t *testing.T) {
	s := sitetest.New(t, nil)
	p := s.Get("/page/one?x=1")
	if got := p.URL.String(); got != s.URL+"/page/one?x=1" || p.Status != http.StatusOK {
		t.Fatalf("landed on %s with %d: %s\n%s", got, p.Status, p.Text(), s.Logs)
	}
	u := s.User()
	if u == nil || u.Subject != "ada" || u.Provider != "demo" || u.Issuer != s.IDP.Issuer || u.Email == "" || !u.EmailVerified || u.Name == "" {
		t.Errorf("signed in as %+v", u)
	}
	if p := s.Get("/"); p.Text() != "home of "+u.Name {
		t.Errorf("the home page is %q", p.Text())
	}
}

func TestLoginURL(t *testing.T) {
	for _, tt := range []struct{ name, base, group, page, provider, returnTo, want string }{
		{"a provider", "https://app.example.com", "", "", "demo", "", "https://app.example.com/login/demo"},
		{"a provider and a page", "https://app.example.com", "", "", "demo", "/x?y=1&z=/#top", "https://app.example.com/login/demo?return_to=%2Fx%3Fy%3D1%26z%3D%2F%23top"},
		{"no provider", "https://app.example.com", "", "", "", "", "https://app.example.com/login"},
		{"no provider and a page", "https://app.example.com", "", "", "", "/x", "https://app.example.com/login?return_to=%2Fx"},
		{"a BaseURL that ends in a slash", "https://app.example.com/", "", "", "demo", "/x", "https://app.example.com/login/demo?return_to=%2Fx"},
		{"a BaseURL in capitals and with its port", "https://APP.example.com:443", "", "", "demo", "", "https://app.example.com/login/demo"},
		{"a prefix and a group", "https://app.example.com/shop/", "/auth", "", "demo", "/x", "https://app.example.com/shop/auth/login/demo?return_to=%2Fx"},
		{"the chooser below them", "https://app.example.com/shop", "/auth", "", "", "/x", "https://app.example.com/shop/auth/login?return_to=%2Fx"},
		{"a login page", "https://app.example.com/shop", "/auth", "/signin", "", "/x", "https://app.example.com/shop/auth/login?return_to=%2Fx"},
		{"a login page with query and fragment", "https://app.example.com", "", "/signin?lang=de#form", "", "/x?y", "https://app.example.com/login?return_to=%2Fx%3Fy"},
		{"a login page and a provider", "https://app.example.com", "/auth", "/signin", "demo", "", "https://app.example.com/auth/login/demo"},
		{"a provider's name that is none", "https://app.example.com", "", "", "../x?y", "", "https://app.example.com/login/..%2Fx%3Fy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			auth, err := ginauth.Mount(gin.New().Group(tt.group), ginauth.Options{
				BaseURL: tt.base, Keys: []string{sitetest.Key}, Logger: new(sitetest.Logs).Logger(), LoginPage: tt.page, Providers: []ginauth.Provider{sitetest.Offline("demo")},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := auth.LoginURL(tt.provider, tt.returnTo); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestLoginURLLeadsThere(t *testing.T) {
	s := sitetest.New(t, nil)
	for to, want := range map[string]string{"/page/x?y=1#z": "/page/x?y=1#z", "": "/", "//evil.example/": "/", "https://evil.example/": "/"} {
		for _, provider := range []string{"", "demo"} {
			p := s.Must(s.Browser.Get(s.Auth.LoginURL(provider, to)))
			if got := p.URL.String(); got != s.URL+want || p.Status != http.StatusOK {
				t.Errorf("LoginURL(%q, %q) led to %s with %d", provider, to, got, p.Status)
			}
			if provider == "" {
				continue
			}
			for field, want := range map[string]string{"": want, "/page/field": "/page/field", "//evil.example/": "/"} {
				form := url.Values{}
				if field != "" {
					form.Set("return_to", field)
				}
				if got := s.Must(s.Browser.Submit(s.Open("/"), s.Auth.LoginURL(provider, to), form)).URL.String(); got != s.URL+want {
					t.Errorf("a form to LoginURL(%q, %q) with the field %q led to %s", provider, to, field, got)
				}
			}
		}
	}
}

// A sign-in that begins at http://127.0.0.1 cannot end at http://localhost: the attempt's cookie
// would be missing. So the browser is redirected first.
func TestVisitOnAnotherLoopbackNameIsMoved(t *testing.T) {
	for _, names := range []struct{ base, visited string }{
		{"localhost", "127.0.0.1"}, {"127.0.0.1", "localhost"}, {"app.localhost", "localhost"}, {"localhost", "app.localhost"},
	} {
		t.Run(names.visited+" to "+names.base, func(t *testing.T) {
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				s.URL = strings.Replace(s.URL, "localhost", names.base, 1)
				o.BaseURL = s.URL
				o.Providers[0].LoginParams = []string{"login_hint"}
			})
			visited := strings.Replace(s.URL, names.base, names.visited, 1)
			for path, want := range map[string]string{
				"/login/demo" + sitetest.ReturnTo("/page/x?y=1") + "&login_hint=a%2Bb": "/page/x?y=1",
				"/login" + sitetest.ReturnTo("/page/x?y=1") + "&login_hint=a%2Bb":      "/page/x?y=1",
				"/page/x%2Fy?z=1": "/page/x%2Fy?z=1",
			} {
				s.Browser = s.NewBrowser()
				p := s.Must(s.Browser.Get(visited + path))
				if got := p.URL.String(); got != s.URL+want || p.Status != http.StatusOK {
					t.Errorf("%s%s led to %s with %d: %s\n%s", visited, path, got, p.Status, p.Text(), s.Logs)
				}
				hint := s.IDP.LastRequest(authtest.Authorize).Form.Get("login_hint")
				if strings.Contains(path, "login_hint") && hint != "a+b" {
					t.Errorf("login_hint was changed to %q", hint)
				}
			}
		})
	}
}

func TestVisitIsMovedOnlyToWhereItBelongs(t *testing.T) {
	s := sitetest.New(t, nil)
	port := sitetest.MustURL(t, s.URL).Port()
	public := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
	for _, tt := range []struct {
		name  string
		s     *sitetest.Site
		host  string
		moved bool
	}{
		{"BaseURL's own host", s, "localhost:" + port, false},
		{"BaseURL's own host in capitals", s, "LOCALHOST:" + port, false},
		{"another loopback name", s, "127.0.0.1:" + port, true},
		{"the other kind of address", s, "[::1]:" + port, true},
		{"any loopback address", s, "127.1.2.3:" + port, true},
		{"a name below localhost", s, "x.localhost:" + port, true},
		{"localhost with a dot", s, "localhost.:" + port, true},
		{"another port, which a proxy may have", s, "127.0.0.1:1", false},
		{"no port", s, "127.0.0.1", false},
		{"another host", s, "evil.example:" + port, false},
		{"a host that looks like loopback", s, "127.0.0.1.evil.example:" + port, false},
		{"a host that ends like loopback", s, "evillocalhost:" + port, false},
		{"a user that looks like loopback", s, "localhost:" + port + "@evil.example", false},
		{"loopback, of a public application", public, "127.0.0.1:" + port, false},
		{"loopback without a port, of a public application", public, "localhost", false},
	} {
		p := tt.s.Raw(t, "GET /login/demo?return_to=/x HTTP/1.1\r\nHost: "+tt.host+"\r\n"+sitetest.AskPage)
		location := p.Header.Get("Location")
		if moved := location == s.URL+"/login/demo?return_to=/x&moved=1"; moved != tt.moved {
			t.Errorf("%s: %d with Location %q", tt.name, p.Status, location)
		}
		if begun := p.Header["Set-Cookie"] != nil; begun && tt.moved {
			t.Errorf("%s: an attempt was begun on a host that it cannot end on", tt.name)
		}
		if again := tt.s.Raw(t, "GET /login/demo?return_to=/x&moved=1 HTTP/1.1\r\nHost: "+tt.host+"\r\n"+sitetest.AskPage); strings.HasPrefix(again.Header.Get("Location"), tt.s.URL) {
			t.Errorf("%s: redirected twice, which would loop if a proxy replaces Host", tt.name)
		}
		if u, err := url.Parse(location); err != nil || strings.Contains(u.Host, "evil") {
			t.Errorf("%s: Location is %q", tt.name, location)
		}
	}
}

// A form from another site begins a sign-in through the GET of the same address: the POST has no
// cookies, and would add one each time.
func TestFormsOfAnotherSiteBeginByGET(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].LoginParams = []string{"prompt"} })
	form := url.Values{"return_to": {"/page/a?b=c&d=\u00e9"}, "prompt": {"login"}, "iss": {f.IDP.Issuer}, "login_hint": {"ada@example.com"}}
	old := f.NewBrowser()
	old.NoFetchMetadata = true
	for name, b := range map[string]*authtest.Browser{"a browser of today": f.Browser, "an old browser": old} {
		for _, from := range []string{"https://evil.example/", strings.Replace(f.URL, "localhost", "other.localhost", 1) + "/", strings.Replace(f.URL, "http://", "https://", 1) + "/"} {
			f.Browser = b
			b.StopAt = func(*url.URL) bool { return true }
			p := f.Must(b.Submit(authtest.At(from), f.URL+"/login/demo", form))
			if p.Status != http.StatusSeeOther || len(p.Header.Values("Set-Cookie")) > 0 {
				t.Fatalf("%s, from %s: %d with cookies %q", name, from, p.Status, p.Header.Values("Set-Cookie"))
			}
			sitetest.WantHeaders(t, p)
			next, err := url.Parse(p.Header.Get("Location"))
			if err != nil || !strings.HasPrefix(next.String(), f.URL+"/login/demo?") || next.Query().Encode() != form.Encode() {
				t.Fatalf("%s, from %s: sent to %s", name, from, next)
			}
			b.StopAt = nil
			f.WantLanded(t, f.Must(b.Follow(p)), "/page/a?b=c&d=%C3%A9")
			if asked := f.IDP.LastRequest(authtest.Authorize).Form; asked.Get("prompt") != "login" || asked.Get("login_hint") != "ada@example.com" {
				t.Errorf("%s, from %s: the authorization request has %v", name, from, asked)
			}
		}
		b.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), f.IDP.Issuer) }
		for range 12 {
			f.Must(b.Submit(authtest.At("https://evil.example/"), f.URL+"/login/demo", form))
		}
		b.StopAt = nil
		if n := len(f.LoginStates()); n > 5 {
			t.Errorf("%s: twelve forms left %d cookies", name, n)
		}
		p := f.Must(b.Submit(authtest.At("https://evil.example/"), f.URL+"/login/demo", url.Values{"return_to": {strings.Repeat("/a", 2500)}})) // 10 KB when percent-encoded
		if p.Status != http.StatusRequestEntityTooLarge || len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: the response to a form of 5 KB is %d", name, p.Status)
		}
	}

	// LoginURL writes return_to into the address; the form's own field takes precedence.
	f.Browser = f.NewBrowser()
	for _, tt := range []struct{ returnTo, field, want string }{{"/page/a?b", "", "/page/a?b"}, {"/page/a", "/page/field", "/page/field"}, {"", "", "/"}} {
		form := url.Values{}
		if tt.field != "" {
			form.Set("return_to", tt.field)
		}
		f.WantLanded(t, f.Must(f.Browser.Submit(authtest.At("https://evil.example/"), f.Auth.LoginURL("demo", tt.returnTo), form)), tt.want)
	}

	// A form on the application's own page begins immediately.
	f.Browser = f.NewBrowser()
	f.Browser.StopAt = func(*url.URL) bool { return true }
	p := f.Must(f.Browser.Submit(authtest.At(f.URL+"/"), f.URL+"/login/demo", url.Values{"return_to": {"/page/a"}}))
	if !strings.HasPrefix(p.Header.Get("Location"), f.IDP.Issuer) || len(f.LoginStates()) != 1 {
		t.Errorf("the response to our own form is %d to %s", p.Status, p.Header.Get("Location"))
	}
}

func TestThirdPartyInitiatedLogin(t *testing.T) {
	iss := func(s *sitetest.Site) string { return "iss=" + url.QueryEscape(s.IDP.Issuer) }
	t.Run("from the provider's own page, to where it says", func(t *testing.T) {
		s := sitetest.New(t, nil)
		p := s.Must(s.Browser.Click(authtest.At(s.IDP.Issuer), s.URL+"/login/demo?"+iss(s)+"&login_hint=ada&target_link_uri="+url.QueryEscape(s.URL+"/page/target?x=1")))
		if p.URL.Path != "/page/target" || p.URL.RawQuery != "x=1" {
			t.Errorf("landed on %s: %s", p.URL, p.Text())
		}
		if got := s.IDP.LastRequest(authtest.Authorize).Form.Get("login_hint"); got != "ada" {
			t.Errorf("login_hint is %q", got)
		}
	})
	t.Run("by POST", func(t *testing.T) {
		s := sitetest.New(t, nil)
		p := s.Must(s.Browser.Submit(authtest.At(s.IDP.Issuer), s.URL+"/login/demo", url.Values{"iss": {s.IDP.Issuer}, "target_link_uri": {s.URL + "/page/target"}}))
		if p.URL.Path != "/page/target" || s.User() == nil {
			t.Errorf("landed on %s: %s", p.URL, p.Text())
		}
	})
	t.Run("to another site it goes to the default page", func(t *testing.T) {
		s := sitetest.New(t, nil)
		for _, target := range []string{"https://evil.example/", s.URL + ".evil.example/", s.URL + "//evil.example", s.URL + "@evil.example/", "//evil.example", "/page/x"} {
			p := s.Get("/login/demo?" + iss(s) + "&target_link_uri=" + url.QueryEscape(target))
			if p.URL.Path != "/" || !strings.HasPrefix(p.URL.String(), s.URL+"/") {
				t.Errorf("%q led to %s", target, p.URL)
			}
		}
	})
}

func TestALoopOfSignInsIsBroken(t *testing.T) {
	for _, tt := range []struct {
		name  string
		store bool
		lose  func(s *sitetest.Site)
		id    string
		fix   string // a part of it
	}{
		{"the session cookie is dropped", false, sitetest.LoseCookies("", false), "login.loop_cookie_missing", "developer tools"},
		{"the session cookie does not open", false, sitetest.LoseCookies("", true), "login.loop_cookie_unreadable", "Options.Keys"},
		{"the store has forgotten it", true, sitetest.LoseCookies("", false), "login.loop_session_gone", "session store"},
		{"the binding cookie is dropped", true, sitetest.LoseCookies("b", false), "login.loop_cookie_unreadable", "developer tools"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				if tt.store {
					o.Sessions = memstore.NewStore([]byte(sitetest.Key))
				}
			})
			for i := range 2 {
				if p := s.Get("/login/demo?return_to=/"); p.Text() != "home of Ada Lovelace" {
					t.Fatalf("sign-in %d ended at %s with %d: %s", i+1, p.URL, p.Status, p.Text())
				}
				tt.lose(s)
			}
			asked := s.IDP.Count("authorize")
			p := s.Get("/page/there?x=1")
			s.WantError(p, ginauth.ErrLoginLoop)
			for _, want := range []string{"2 times within 10 seconds", "docs/errors-requests.md#" + tt.id, tt.fix, "Allow cookies for this site"} {
				if !strings.Contains(p.Text(), want) {
					t.Errorf("the page lacks %q: %s", want, p.Text())
				}
			}
			if s.IDP.Count("authorize") != asked {
				t.Error("the browser was sent to the provider once more")
			}
			s.Clock.Advance(10 * time.Second)
			if p = s.Must(s.Browser.ClickLink(p, "Try again")); p.URL.RequestURI() != "/page/there?x=1" {
				t.Errorf("some time later the button leads to %s with %d: %s", p.URL, p.Status, p.Text())
			}
		})
	}
}

// keeping is a proxy that removes the session's cookie.
type keeping struct{ gin.ResponseWriter }

func (k keeping) WriteHeaderNow() {
	lines := k.Header()["Set-Cookie"]
	k.Header().Del("Set-Cookie")
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		if strings.Count(name, "-") > 1 {
			k.Header().Add("Set-Cookie", line)
		}
	}
	k.ResponseWriter.WriteHeaderNow()
}

// All redirects of the loop result from one page load, and browsers stop after a number of them:
// our error must come earlier, with room for the redirects of a provider within its own pages.
func TestTheLoopIsShorterThanABrowsersPatience(t *testing.T) {
	s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) { c.Writer = keeping{c.Writer} })
	})
	p := s.Get("/page/there")
	s.WantError(p, ginauth.ErrLoginLoop)
	if n := len(p.Hops) - 1; n > 12 {
		t.Errorf("it took %d redirects", n)
	}
}

// Users that sign in often, and keep their session, are not affected.
func TestManySignInsAreNoLoop(t *testing.T) {
	for name, between := range map[string]func(s *sitetest.Site){
		"tabs":      func(*sitetest.Site) {},
		"sign-outs": func(s *sitetest.Site) { s.Must(s.Browser.SubmitForm(s.Get("/logout"), "Sign out", nil)) },
		"revocations": func(s *sitetest.Site) {
			if err := s.Auth.LogoutEverywhere(t.Context(), s.IDP.Issuer+"#ada"); err != nil {
				t.Fatal(err)
			}
			s.Clock.Advance(time.Microsecond)
		},
		"sessions that end": func(s *sitetest.Site) { s.Clock.Advance(25 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, nil)
			for i := range 8 {
				if p := s.Get("/login/demo?return_to=/"); p.Text() != "home of Ada Lovelace" {
					t.Fatalf("sign-in %d ended at %s with %d: %s", i+1, p.URL, p.Status, p.Text())
				}
				between(s)
			}
		})
	}
}

func TestForgedCountsOfSignIns(t *testing.T) {
	s := sitetest.New(t, nil)
	s.Get("/login/demo")
	name := ""
	for _, c := range s.Browser.Cookies(s.URL) {
		if strings.HasSuffix(c.Name, "-n") {
			name = c.Name
		}
	}
	sitetest.LoseCookies("", false)(s)
	for _, value := range []string{"", "9", "9.", ".9", "x.y", "-9.0", "9.99999999999999", "9.9223372036854775807", "999999999999999999999.0", "9.0", "9.-1"} {
		if err := s.Browser.SetCookie(s.URL, &http.Cookie{Name: name, Value: value, Path: "/"}); err != nil {
			t.Fatal(err)
		}
		if p := s.Get("/login/demo?return_to=/"); p.Text() != "home of Ada Lovelace" {
			t.Errorf("with a count of %q: %d %s", value, p.Status, p.Text())
		}
		sitetest.LoseCookies("", false)(s)
	}
}

// Only page loads are redirected to BaseURL's host, not forms, and the redirect keeps the query.
func TestVisitsOnAnotherLoopbackName(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	for _, tt := range []struct{ method, path, location string }{
		{"GET", "/login/demo", "/login/demo?moved=1"},
		{"GET", "/login/demo?return_to=/x", "/login/demo?return_to=/x&moved=1"},
		{"POST", "/login/demo", ""},
	} {
		r, err := http.NewRequest(tt.method, s.URL+tt.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = strings.Replace(r.Host, "localhost", "127.0.0.1", 1)
		if tt.method == "POST" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		location := answer.Header.Get("Location")
		if tt.location != "" && location != s.URL+tt.location || tt.location == "" && strings.Contains(location, "moved") {
			t.Errorf("%s %s: %d to %s", tt.method, tt.path, answer.StatusCode, location)
		}
	}
}

// linkingSite is a site whose Revocations fail on demand, and whose OnLogin counts.
func linkingSite(t *testing.T) (*sitetest.Site, *sitetest.FaultyRevocations, *int) {
	t.Helper()
	f, logins := &sitetest.FaultyRevocations{}, new(int)
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
		o.Revocations = f
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
			*logins++
			return nil
		}
	})
	s.As("ada")
	return s, f, logins
}

var linkForm = url.Values{"link": {"true"}}

// beginLinking requests to link an account, and stops before the response.
func beginLinking(s *sitetest.Site) (callback *url.URL) {
	s.T.Helper()
	s.Browser.StopAt = func(next *url.URL) bool {
		callback = next
		return strings.HasPrefix(next.String(), s.URL+"/authorize/")
	}
	defer func() { s.Browser.StopAt = nil }()
	s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/login/demo", linkForm))
	return callback
}

// The user that requested to link an account must still be signed in when the response arrives:
// OnLogin must not receive a user that has left.
func TestLinkingNeedsTheSessionThatAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		meanwhile func(s *sitetest.Site, f *sitetest.FaultyRevocations)
		code      ginauth.Code
	}{
		"it was ended elsewhere": {func(s *sitetest.Site, _ *sitetest.FaultyRevocations) {
			if err := s.Auth.LogoutEverywhere(context.Background(), s.User().ID()); err != nil {
				s.T.Fatal(err)
			}
		}, ginauth.ErrStateInvalid},
		"somebody else signed in":        {func(s *sitetest.Site, _ *sitetest.FaultyRevocations) { s.As("grace") }, ginauth.ErrStateInvalid},
		"it cannot be known if it ended": {func(_ *sitetest.Site, f *sitetest.FaultyRevocations) { f.ReadErr = sitetest.ErrBroken }, ginauth.ErrStoreUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f, logins := linkingSite(t)
			s.IDP.SignInAs("eve")
			callback := beginLinking(s)
			tt.meanwhile(s, f)
			s.WantError(s.Finish(callback), tt.code)
			f.ReadErr = nil
			if u := s.User(); *logins != 0 || u != nil && u.Subject == "eve" {
				t.Errorf("OnLogin was called %d times, and %v is signed in", *logins, u)
			}
		})
	}
}

func TestLinkingBeginsWithASessionThatIsKnownToLive(t *testing.T) {
	t.Parallel()
	s, f, _ := linkingSite(t)
	f.ReadErr = sitetest.ErrBroken
	s.WantError(s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/login/demo", linkForm)), ginauth.ErrStoreUnavailable)
}

// Old browsers send no Sec-Fetch-Site: then Origin must show that the page is ours, and its
// absence proves nothing.
func TestLinkingFromAnOldBrowser(t *testing.T) {
	t.Parallel()
	s, _, _ := linkingSite(t)
	for origin, status := range map[string]int{s.URL: http.StatusSeeOther, "": http.StatusForbidden, "https://evil.example": http.StatusForbidden} {
		r, err := http.NewRequest("POST", s.URL+"/login/demo", strings.NewReader(linkForm.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", s.CookieHeader())
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("from origin %q: %d, want %d", origin, answer.StatusCode, status)
		}
	}
}

// A session of a removed provider does not count, for linking too.
func TestLinkingToASessionOfAProviderThatIsGone(t *testing.T) {
	t.Parallel()
	s, _, _ := linkingSite(t)
	other := s.Replica(func(o *ginauth.Options) { o.Providers = []ginauth.Provider{sitetest.Client("other", s.IDP)} })
	r, err := http.NewRequest("POST", other.URL+"/login/other", strings.NewReader(linkForm.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", s.CookieHeader())
	r.Header.Set("Origin", s.URL)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("the response is %d %s", answer.StatusCode, answer.Header.Get("Location"))
	}
}

// A plain OAuth 2.0 provider has no issuer, and an empty one does not name it.
func TestAnEmptyIssBeginsNoSignIn(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":7}`, nil)
	s.WantError(s.Open("/login/demo?iss="), ginauth.ErrBadRequest)
}

// A failing store is not a loop: the sign-in continues, and reports the failure itself.
func TestAStoreThatFailsIsNoLoop(t *testing.T) {
	t.Parallel()
	store := &sitetest.DeafStore{Store: memstore.NewStore([]byte("the store's secret")), Fails: errors.New("connection refused")}
	f := sitetest.NewStore(t, store)
	for range 3 {
		f.SignIn()
	}
	store.Deaf.Store(true)
	if p := f.Open("/login/demo"); p.Status != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), f.IDP.Issuer) {
		t.Errorf("the response is %d: %s", p.Status, p.Text())
	}
}

// Either header can prove that a request to link an account comes from our own page.
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
		p := post(s, "/login/demo", linkForm.Encode(), append(form, tt.header...)...)
		if tt.admits != (p.Status == http.StatusSeeOther) || !tt.admits && p.Status != http.StatusForbidden {
			t.Errorf("%q: %d", tt.header, p.Status)
		}
	}
}

// If a sign-in cannot begin because the provider is down, the error page has a link that begins
// the same sign-in later.
func TestRetryWhileTheProviderIsDown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]authtest.Fault{"down": authtest.Down, "broken": authtest.HTML} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].LoginParams = []string{"login_hint", "ui_locales"}
			})
			s.IDP.Fail(authtest.Discovery, fault)
			from := authtest.At(s.URL + "/")
			p := s.Must(s.Browser.Submit(from, s.URL+"/login/demo", url.Values{"return_to": {"/page/x?y=1"}, "login_hint": {"ada@example.com&x"}}))
			if p.Status < 500 {
				t.Fatalf("the status is %d", p.Status)
			}
			s.IDP.Heal()
			s.Clock.Advance(sitetest.OutageTimeout * 60)
			p, err := s.Browser.ClickLink(p, "Try again")
			if err != nil || p.Status != http.StatusOK || p.URL.RequestURI() != "/page/x?y=1" {
				t.Fatalf("the sign-in ended with %v: %+v", err, p)
			}
			if got := s.IDP.LastRequest(authtest.Authorize).Form.Get("login_hint"); got != "ada@example.com&x" {
				t.Errorf("the login hint is %q", got)
			}
		})
	}
}

// Linking an account requires a form: a link would sign in with the account instead.
func TestNoRetryOfALinking(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.As("ada")
	s.IDP.Fail(authtest.Discovery, authtest.Down)
	p := s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/login/demo", url.Values{"link": {"true"}}))
	s.WantError(p, ginauth.ErrProviderUnavailable)
	if strings.Contains(p.Text(), "/login/demo") {
		t.Errorf("the page leads to a sign-in: %s", p.Text())
	}
}

// The application listens on another port than BaseURL's, or a container's port is mapped to
// another: the first sign-in logs it, once, with both ports.
func TestASignInAtAnotherPortIsWarnedAbout(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	ask := func(headers string) string {
		s.Logs.Reset()
		s.Raw(t, "GET /login/demo HTTP/1.1\r\n"+headers+sitetest.AskPage)
		return s.Logs.String()
	}
	own := "Host: " + sitetest.MustURL(t, s.URL).Host + "\r\n"
	for _, fine := range []string{own, "Host: 127.0.0.1:" + sitetest.MustURL(t, s.URL).Port() + "\r\n", "Host: app.example.com:3000\r\n", "Host: localhost:3000\r\nX-Forwarded-" + own} {
		if log := ask(fine); strings.Contains(log, "id=login.other_port") {
			t.Errorf("%q: the log is %s", fine, log)
		}
	}
	log := ask("Host: localhost:3000\r\n")
	if lines := s.Logs.Lines("WARN", "login.other_port"); len(lines) != 1 || !strings.Contains(lines[0], "opened=localhost:3000") || !strings.Contains(lines[0], "base_url="+s.URL) {
		t.Errorf("the log is %s", log)
	}
	for _, again := range []string{"Host: localhost:3000\r\n", "Host: localhost\r\n"} {
		if log := ask(again); strings.Contains(log, "id=login.other_port") {
			t.Errorf("a second warning: %s", log)
		}
	}
}
