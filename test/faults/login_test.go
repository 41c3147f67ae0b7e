package faults

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsLogin(t *testing.T) {
	runFaults(t, []fault{
		{"A9_unknown_provider", a9UnknownProvider},
		{"A10_only_a_visit_begins", a10OnlyAVisitBegins},
		{"A11_linking_needs_the_own_page", a11LinkingNeedsTheOwnPage},
		{"A12_abandoned_sign_in", a12AbandonedSignIn},
		{"A15_third_party_initiated", a15ThirdPartyInitiated},
		{"A16_one_provider_down", a16OneProviderDown},
	})
}

// A11: an attacker who sends a signed-in user to /login/demo must not get their own account
// linked to that user's.
func a11LinkingNeedsTheOwnPage(t *testing.T) {
	t.Parallel()
	var logins []ginauth.Login
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			logins = append(logins, *l)
			return nil
		}
	})
	link := url.Values{"link": {"true"}}
	evil, home := authtest.At("https://evil.example/"), authtest.At(s.URL+"/")
	for _, tt := range []struct {
		name     string
		start    func() (*authtest.Page, error)
		refused  bool
		previous string
	}{
		{"a link of another site's", func() (*authtest.Page, error) { return s.Browser.Click(evil, s.URL+"/login/demo") }, false, ""},
		{"a link of another site's that asks to link", func() (*authtest.Page, error) { return s.Browser.Click(evil, s.URL+"/login/demo?link=true") }, false, ""},
		{"a link of our own that asks to link", func() (*authtest.Page, error) { return s.Browser.Click(home, s.URL+"/login/demo?link=true") }, false, ""},
		{"a form of another site's", func() (*authtest.Page, error) { return s.Browser.Submit(evil, s.URL+"/login/demo", nil) }, false, ""},
		{"a form of another site's that asks to link", func() (*authtest.Page, error) { return s.Browser.Submit(evil, s.URL+"/login/demo", link) }, true, ""},
		{"a form of a sibling's that asks to link", func() (*authtest.Page, error) {
			return s.Browser.Submit(authtest.At("http://other.localhost/"), s.URL+"/login/demo", link)
		}, true, ""},
		{"a form of our own", func() (*authtest.Page, error) { return s.Browser.Submit(home, s.URL+"/login/demo", nil) }, false, ""},
		{"a form of our own that asks to link", func() (*authtest.Page, error) { return s.Browser.Submit(home, s.URL+"/login/demo", link) }, false, "ada"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.Browser = s.NewBrowser()
			s.IDP.SignInAs("ada")
			s.SignIn()
			tokens := s.IDP.Count(authtest.Token)
			logins = nil
			s.IDP.SignInAs("eve")
			p := s.Must(tt.start())
			if tt.refused {
				s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrCrossOrigin, Was: "ada", Tokens: tokens})
				return
			}
			if len(logins) != 1 || logins[0].User.Subject != "eve" {
				t.Fatalf("OnLogin saw %+v; the page is %d at %s", logins, p.Status, p.URL)
			}
			previous := ""
			if logins[0].Previous != nil {
				previous = logins[0].Previous.Subject
			}
			if previous != tt.previous {
				t.Errorf("Login.Previous is %q, want %q", previous, tt.previous)
			}
			if u := s.User(); u == nil || u.Subject != "eve" {
				t.Errorf("%v is signed in, want the new user", u)
			}
		})
	}
	s.Browser = s.NewBrowser()
	tokens := s.IDP.Count(authtest.Token)
	s.FailsClosed(t, s.Must(s.Browser.Submit(home, s.URL+"/login/demo", link)), sitetest.Closed{Code: ginauth.ErrUnauthenticated, Tokens: tokens})
}

func a12AbandonedSignIn(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.IDP.SignInAs("eve")
	s.Open("/login/demo")
	callback := s.Begin("/login/demo")
	if u := s.User(); u == nil || u.Subject != "ada" {
		t.Fatalf("after sign-ins that were begun and left, %v is signed in", u)
	}
	answer := callback.Query()
	answer.Del("code")
	answer.Set("error", "access_denied")
	callback.RawQuery = answer.Encode()
	s.FailsClosed(t, s.Finish(callback), sitetest.Closed{Code: ginauth.ErrProviderDenied, Was: "ada", Tokens: 1})
}

// A15: another site may begin a sign-in, as in OpenID Connect Core 4; it can choose neither
// another provider nor another site to return to.
func a15ThirdPartyInitiated(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	iss := "?iss=" + url.QueryEscape(s.IDP.Issuer)
	for _, query := range []string{
		"?iss=https://evil.example", "?iss=", iss + "&iss=https://evil.example", iss + "%2F", iss + "&login_hint=" + strings.Repeat("a", 5<<10),
		iss + "&login_hint=a%00", iss + "&login_hint=a&login_hint=b",
	} {
		p := s.Must(s.Browser.Click(authtest.At("https://evil.example/"), s.URL+"/login/demo"+query))
		s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrBadRequest})
	}
	if s.HasCookie("-a-") || s.IDP.Count(authtest.Authorize) != 0 {
		t.Error("a rejected start left an attempt, or reached the provider")
	}
	for target, want := range map[string]string{
		s.URL + "/page/x?y=1": "/page/x?y=1", "https://evil.example": "/home", "https://evil.example/" + s.URL + "/x": "/home", "//evil.example/x": "/home",
		s.URL + "//evil.example": "/home", s.URL + "@evil.example/x": "/home", s.URL + "0/x": "/home", s.URL + ".evil.example/x": "/home", s.URL + `/\evil.example`: "/home",
		s.URL + "/logout": "/home", s.URL: "/home", "/page/x": "/home", "": "/home", strings.ToUpper(s.URL) + "/x": "/home",
	} {
		if got := s.Returned(t, iss+"&login_hint=ada&target_link_uri="+url.QueryEscape(target)); got != want {
			t.Errorf("target_link_uri %q leads to %q, want %q", target, got, want)
		}
		asked := s.IDP.LastRequest(authtest.Authorize)
		if strings.Contains(asked.URL.String(), "evil") || asked.Form.Get("login_hint") != "ada" || asked.Form.Has("iss") || asked.Form.Has("target_link_uri") {
			t.Errorf("the request to the provider is %s", asked.URL)
		}
	}
	if got := s.Returned(t, "?target_link_uri="+url.QueryEscape(s.URL+"/page/x")); got != "/home" {
		t.Errorf("target_link_uri without iss leads to %q", got)
	}
	behind := sitetest.NewProxy(t, "app.example.com").Behind(t, "/shop", "/auth", nil)
	p := behind.Get("/auth/login/demo?iss=" + url.QueryEscape(behind.IDP.Issuer) + "&target_link_uri=" + url.QueryEscape(behind.URL+"/page/x"))
	if p.URL.String() != behind.URL+"/page/x" || p.Status != http.StatusOK {
		t.Errorf("behind a proxy, it led to %s with %d", p.URL, p.Status)
	}
}

func a16OneProviderDown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault authtest.Fault
		code  ginauth.Code
	}{
		{authtest.Down, ginauth.ErrProviderUnavailable}, {authtest.HTML, ginauth.ErrProviderUnavailable}, {authtest.Resetting, ginauth.ErrProviderUnavailable},
		{authtest.Redirecting, ginauth.ErrProviderUnavailable}, {authtest.Hanging, ginauth.ErrProviderTimeout}, {authtest.Dripping, ginauth.ErrProviderTimeout},
	} {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				healthy := sitetest.StartProvider(t, authtest.Config{Now: s.Clock.Now})
				o.Providers = append(o.Providers, sitetest.Client("healthy", healthy))
				o.HTTPClient = &http.Client{Timeout: 2 * time.Second} // enough for a busy machine
			})
			s.IDP.Fail(authtest.Discovery, tt.fault)
			var sick *authtest.Page
			var err error
			var took time.Duration
			var wait sync.WaitGroup
			wait.Go(func() {
				begun := time.Now()
				sick, err = s.Browser.Open(s.URL + "/login/demo")
				took = time.Since(begun)
			})
			other := s.NewBrowser()
			p := s.Must(other.Get(s.URL + "/login/healthy"))
			wait.Wait()
			if p.Status != http.StatusOK || s.UserOf(other) == nil {
				t.Errorf("with the healthy provider: %d at %s", p.Status, p.URL)
			}
			s.FailsClosed(t, s.Must(sick, err), sitetest.Closed{Code: tt.code})
			if n, err := strconv.Atoi(sick.Header.Get("Retry-After")); err != nil || n < 1 || n > 60 || took > 8*time.Second {
				t.Errorf("Retry-After is %q, after %v", sick.Header.Get("Retry-After"), took)
			}
			if s.HasCookie("-a-") || s.IDP.EvilRequests() != 0 {
				t.Error("an attempt was begun, or a redirect followed")
			}
			s.IDP.Heal()
			s.Clock.Advance(6 * time.Second)
			s.SignIn()
		})
	}
}

func a9UnknownProvider(t *testing.T) {
	t.Parallel()
	public := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
	local := sitetest.New(t, nil)
	for _, name := range []string{"nope", "DEMO", "Demo", "demo%00", "%00", "%0d%0aSet-Cookie:x", "%2e%2e", "%2e", "..", "%20demo", "%3cscript%3ealert(1)", "d%e9mo", "%ff", strings.Repeat("a", 5000)} {
		for _, route := range []string{"/login/", "/authorize/"} {
			for _, s := range []*sitetest.Site{public, local} {
				for _, method := range []string{"GET", "POST"} {
					p := s.Raw(t, method+" "+route+name+"?state=s HTTP/1.1\r\nHost: "+s.Addr()+"\r\nContent-Length: 0\r\n"+sitetest.AskPage)
					s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrUnknownProvider})
					plain, _ := url.PathUnescape(name)
					if s == public && (strings.Contains(p.Text(), plain) && len(plain) > 2 || strings.Contains(p.Text(), "demo")) || strings.Contains(p.Text(), "<script") {
						t.Errorf("%s%s: the page has the name, or the providers': %s", route, name, p.Text())
					}
					if p.Header["Set-Cookie"] != nil {
						t.Errorf("%s%s sets %q", route, name, p.Header["Set-Cookie"])
					}
				}
			}
		}
	}
	for _, s := range []*sitetest.Site{public, local} {
		if text := s.Logs.String(); strings.Contains(text, "\nSet-Cookie") || strings.Contains(text, "\x00") || strings.Contains(text, "\r") {
			t.Error("a provider's name breaks the log's lines")
		}
		if n := s.IDP.Count(authtest.Discovery); n != 0 {
			t.Errorf("the provider was called %d times", n)
		}
	}
}

func a10OnlyAVisitBegins(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	evil := authtest.At("https://evil.example/")
	for _, from := range []*authtest.Page{evil, authtest.At(s.URL + "/")} {
		for _, dest := range []string{"image", "iframe", "frame", "script", "empty", "style", "object", "embed", "audio", "worker", "manifest"} {
			for _, method := range []string{"GET", "POST"} {
				header := http.Header{"Sec-Fetch-Dest": {dest}, "Sec-Fetch-Mode": {"no-cors"}, "Content-Type": {"application/x-www-form-urlencoded"}}
				s.FailsClosed(t, s.Must(s.Browser.Fetch(from, method, s.URL+"/login/demo", header, "")), sitetest.Closed{Code: ginauth.ErrCrossOrigin})
			}
		}
		for _, accept := range []string{"*/*", "application/json"} {
			header := http.Header{"Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"same-origin"}, "Sec-Fetch-Site": {"same-origin"}, "Accept": {accept}}
			s.FailsClosed(t, s.Must(s.Browser.Fetch(from, "GET", s.URL+"/login/demo", header, "")), sitetest.Closed{Code: ginauth.ErrCrossOrigin})
		}
		s.FailsClosed(t, s.Must(s.Browser.Frame(from, s.URL+"/login/demo")), sitetest.Closed{Code: ginauth.ErrCrossOrigin})
		s.FailsClosed(t, s.Must(s.Browser.Frame(from, s.URL+"/login")), sitetest.Closed{Code: ginauth.ErrCrossOrigin})
	}
	for _, prefetch := range []http.Header{{"Sec-Purpose": {"prefetch"}}, {"Sec-Purpose": {"prefetch;prerender"}}, {"Purpose": {"Prefetch"}}, {"X-Moz": {"prefetch"}}} {
		p := s.Must(s.Browser.Do(&http.Request{Method: "GET", URL: sitetest.MustURL(t, s.URL+"/login/demo"), Header: prefetch}))
		if p.Status != http.StatusServiceUnavailable || len(p.Body) != 0 || len(p.Header["Set-Cookie"]) != 0 {
			t.Errorf("%v: %d %s", prefetch, p.Status, p.Text())
		}
		sitetest.WantHeaders(t, p)
	}
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
		p := s.Must(s.Browser.Do(&http.Request{Method: method, URL: sitetest.MustURL(t, s.URL+"/login/demo"), Header: http.Header{}}))
		s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrMethodNotAllowed})
		if got := p.Header.Get("Allow"); got != "GET, POST" {
			t.Errorf("%s: Allow is %q", method, got)
		}
	}
	if s.HasCookie("-a-") || len(s.Browser.RefusedCookies()) > 0 || s.IDP.Count(authtest.Discovery) != 0 || s.IDP.Count(authtest.Authorize) != 0 {
		t.Error("a request that is not a page load began an attempt, or called the provider")
	}
}
