package faults

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsBeginLogin(t *testing.T) {
	runFaults(t, []fault{
		{"S30_refused_starts", s30RefusedStarts},
		{"S30_requests_that_may_start", s30RequestsThatMayStart},
		{"S30_data_that_fits", s30DataThatFits},
		{"S30_many_starts_with_data", s30ManyStartsWithData},
		{"S30_a_browser_without_a_session", s30ABrowserWithoutASession},
		{"S30_demands_that_no_id_token_shows", s30DemandsThatNoIDTokenShows},
		{"S30_start_of_several_providers", s30StartOfSeveralProviders},
		{"S30_hostile_return_paths", s30HostileReturnPaths},
		{"S31_data_by_a_link", s31DataByALink},
		{"S31_data_comes_out_once", s31DataComesOutOnce},
		{"S32_linked_to_another", s32LinkedToAnother},
		{"S32_the_same_subject_of_another_issuer", s32TheSameSubjectOfAnotherIssuer},
		{"S32_where_to_begin_again", s32WhereToBeginAgain},
	})
}

// starter is an application whose handler at /start begins sign-ins.
type starter struct {
	*sitetest.Flow
	start  ginauth.Start
	err    error
	logins []ginauth.Login
}

func newStarter(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *starter {
	a := &starter{start: ginauth.Start{Provider: "demo"}}
	a.Flow = sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			a.Logins.Add(1)
			a.logins = append(a.logins, *l)
			return nil
		}
		if change != nil {
			change(s, o)
		}
	})
	for _, method := range []string{"GET", "POST"} {
		a.Engine.Handle(method, "/start", func(c *gin.Context) {
			location := ""
			if location, a.err = a.Auth.BeginLogin(c, a.start); a.err != nil {
				c.Status(http.StatusTeapot)
				return
			}
			c.Header("Location", location)
			c.Status(http.StatusSeeOther)
		})
	}
	return a
}

// trip follows the redirect to the provider, and returns the callback to which it redirects.
func (a *starter) trip(location string) (callback *url.URL) {
	a.Browser.StopAt = func(next *url.URL) bool {
		if strings.HasPrefix(next.String(), a.URL) {
			callback = next
		}
		return callback != nil
	}
	a.Must(a.Browser.Click(authtest.At(a.URL+"/account"), location))
	a.Browser.StopAt = nil
	return callback
}

// post is a form of the application, sent by its own page.
var post = []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}

// Requests that are invalid or not allowed to begin a sign-in: no cookie, no redirect.
func s30RefusedStarts(t *testing.T) {
	a := newStarter(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].AuthParams = map[string]string{"prompt": "login"}
		o.TrustedOrigins = []string{"https://admin.example.com"}
	})
	navigate := sitetest.Navigation
	with := func(header []string, more ...string) []string { return append(append([]string{}, header...), more...) }
	for name, try := range map[string]struct {
		method string
		header []string
		start  ginauth.Start
		want   ginauth.Code
	}{
		"a form of another site":                {"POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", "https://evil.example"}, ginauth.Start{}, ginauth.ErrCrossOrigin},
		"an image":                              {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, ginauth.Start{}, ginauth.ErrCrossOrigin},
		"an image of this origin":               {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, ginauth.Start{}, ginauth.ErrCrossOrigin},
		"a frame":                               {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, ginauth.Start{}, ginauth.ErrCrossOrigin},
		"a script of another site":              {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", "https://evil.example"}, ginauth.Start{}, ginauth.ErrCrossOrigin},
		"a script that hides its origin":        {"GET", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty"}, ginauth.Start{}, ginauth.ErrCrossOrigin},
		"a prefetch":                            {"GET", with(navigate, "Sec-Purpose", "prefetch"), ginauth.Start{}, ginauth.ErrBadRequest},
		"Link by GET":                           {"GET", with([]string{"Sec-Fetch-Site", "same-origin"}, post[2:]...), ginauth.Start{Link: true}, ginauth.ErrCrossOrigin},
		"Link by GET, typed":                    {"GET", navigate, ginauth.Start{Link: true}, ginauth.ErrCrossOrigin},
		"Link by a sibling":                     {"POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://sibling.localhost"}, ginauth.Start{Link: true}, ginauth.ErrCrossOrigin},
		"Link by a request of no page":          {"POST", []string{"Sec-Fetch-Site", "none", "Origin", a.URL}, ginauth.Start{Link: true}, ginauth.ErrCrossOrigin},
		"Link by a trusted origin":              {"POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "empty", "Origin", "https://admin.example.com"}, ginauth.Start{Link: true}, ginauth.ErrCrossOrigin},
		"Link by a program":                     {"POST", nil, ginauth.Start{Link: true}, ginauth.ErrCrossOrigin},
		"Link with nobody":                      {"POST", post, ginauth.Start{Link: true}, ginauth.ErrUnauthenticated},
		"an unknown provider":                   {"POST", post, ginauth.Start{Provider: "nope"}, ginauth.ErrUnknownProvider},
		"1,025 bytes":                           {"POST", post, ginauth.Start{Data: map[string]string{"d": strings.Repeat("x", 1024)}}, ginauth.ErrBadRequest},
		"1,025 bytes of names":                  {"POST", post, ginauth.Start{Data: map[string]string{strings.Repeat("x", 1025): ""}}, ginauth.ErrBadRequest},
		"1,025 bytes of text that is not ASCII": {"POST", post, ginauth.Start{Data: map[string]string{"": strings.Repeat("é", 512) + "x"}}, ginauth.ErrBadRequest},
		"state":                                 {"POST", post, ginauth.Start{Params: map[string]string{"state": "mine"}}, ginauth.ErrBadRequest},
		"redirect_uri":                          {"POST", post, ginauth.Start{Params: map[string]string{"redirect_uri": "https://evil.example"}}, ginauth.ErrBadRequest},
		"client_id":                             {"POST", post, ginauth.Start{Params: map[string]string{"client_id": "mine"}}, ginauth.ErrBadRequest},
		"a parameter without a name":            {"POST", post, ginauth.Start{Params: map[string]string{"": "x"}}, ginauth.ErrBadRequest},
		"one of AuthParams":                     {"POST", post, ginauth.Start{Params: map[string]string{"prompt": "none"}}, ginauth.ErrBadRequest},
		"a line break":                          {"POST", post, ginauth.Start{Params: map[string]string{"login_hint": "ada\r\nX: y"}}, ginauth.ErrBadRequest},
		"max_age that is no number":             {"POST", post, ginauth.Start{Params: map[string]string{"max_age": "-1"}}, ginauth.ErrBadRequest},
		"an address that is too long":           {"POST", post, ginauth.Start{Params: map[string]string{"login_hint": strings.Repeat("x", 8000)}}, ginauth.ErrBadRequest},
		"a cookie that is too long":             {"POST", post, ginauth.Start{ReturnTo: "/" + strings.Repeat("x", 2000), Data: map[string]string{"d": strings.Repeat("x", 1000)}}, ginauth.ErrSessionError},
	} {
		if try.start.Provider == "" {
			try.start.Provider = "demo"
		}
		a.start, a.err = try.start, nil
		p := a.Ask(try.method, "/start", try.header...)
		if !errors.Is(a.err, try.want) || p.Header.Get("Location") != "" || len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %v, want %s; redirects to %q with the cookies %q", name, a.err, try.want, p.Header.Get("Location"), p.Header.Values("Set-Cookie"))
		}
	}
	a.IDP.Fail(authtest.Discovery, authtest.Down)
	a.Redeploy(func(*ginauth.Options) {})
	a.Engine.POST("/start", func(c *gin.Context) {
		_, a.err = a.Auth.BeginLogin(c, ginauth.Start{})
		c.String(http.StatusOK, "first")
		if _, err := a.Auth.BeginLogin(c, ginauth.Start{}); !errors.Is(err, ginauth.ErrSessionError) {
			t.Errorf("behind the response: %v", err)
		}
	})
	if p := a.Ask("POST", "/start", post...); !errors.Is(a.err, ginauth.ErrProviderUnavailable) || len(p.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("a provider that is down: %v, cookies %q", a.err, p.Header.Values("Set-Cookie"))
	}
	if n := a.Logins.Load(); n != 0 || a.HasCookie("-a-") {
		t.Errorf("OnLogin was called %d times; the browser has the cookies %v", n, a.LoginStates())
	}
}

// Without an Issuer no ID token is read, so it would be unknown whether the provider complied.
func s30DemandsThatNoIDTokenShows(t *testing.T) {
	a := newStarter(t, func(s *sitetest.Site, o *ginauth.Options) {
		sitetest.Plain(s, o)
		o.Providers[0].ClaimPaths = nil
		o.Providers[0].Scopes = []string{"openid", "profile"}
	})
	for name, value := range map[string]string{"max_age": "60", "acr_values": "mfa"} {
		a.start.Params = map[string]string{name: value}
		p := a.Ask("POST", "/start", post...)
		if e, _ := errors.AsType[*ginauth.Error](a.err); e == nil || e.ID != "login.start_params" || p.Header.Get("Location") != "" || len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %v; redirects to %q", name, a.err, p.Header.Get("Location"))
		}
	}
	a.start.Params = map[string]string{"prompt": "login", "login_hint": "ada"}
	a.Lands(t, a.Begin("/start"), "/")
}

// In contrast to the rejections: requests that begin a sign-in.
func s30RequestsThatMayStart(t *testing.T) {
	a := newStarter(t, func(_ *sitetest.Site, o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example.com"} })
	for name, try := range map[string]struct {
		method string
		header []string
	}{
		"a link of another site":         {"GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}},
		"a form":                         {"POST", post},
		"a script":                       {"POST", sitetest.Fetch},
		"a script that asks by GET":      {"GET", sitetest.Fetch},
		"a script of a trusted origin":   {"POST", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Dest", "empty", "Origin", "https://admin.example.com"}},
		"a page behind a service worker": {"GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "empty"}},
		"an old browser":                 {"POST", []string{"Origin", a.URL}},
		"a program":                      {"POST", nil},
	} {
		for _, a.start.Provider = range []string{"demo", ""} { // there is only one
			p := a.Ask(try.method, "/start", try.header...)
			if a.err != nil || !strings.HasPrefix(p.Header.Get("Location"), a.IDP.Issuer) || !strings.Contains(p.Header.Get("Cache-Control"), "no-store") {
				t.Errorf("%s: %v; redirects to %q, %v", name, a.err, p.Header.Get("Location"), p.Header)
			}
		}
	}
	a.start.Params = map[string]string{"login_hint": "a&b=c ü", "acr_values": "mfa", "max_age": "60"}
	q := a.Ask("POST", "/start", post...).Header.Get("Location")
	at, err := url.Parse(q)
	if err != nil || at.Query().Get("login_hint") != "a&b=c ü" || at.Query().Get("acr_values") != "mfa" || at.Query().Get("max_age") != "60" {
		t.Errorf("redirects to %s", q)
	}
	callback := a.Begin("/start") // by a link
	a.IDP.EditIDToken(func(_, claims map[string]any) { claims["auth_time"] = a.Clock.Now().Add(-1e12).Unix() })
	a.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrIDTokenInvalid, Tokens: 1})
}

// An empty name needs exactly one provider; a quirk's name for client_id is a protocol
// parameter; a request over another scheme or port causes a warning, as at /login.
func s30StartOfSeveralProviders(t *testing.T) {
	page := ginauth.Provider{Name: "password", Namespace: "https://app.example", LoginPage: "/password"}
	a := newStarter(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, page)
		o.Providers[0].Quirks.ClientIDParam = "appid"
	})
	ask := func(start ginauth.Start, header ...string) (string, error) {
		a.start, a.err = start, nil
		p := a.Ask("POST", "/start", header...)
		return p.Header.Get("Location"), a.err
	}
	if location, err := ask(ginauth.Start{}, post...); !errors.Is(err, ginauth.ErrUnknownProvider) || location != "" {
		t.Errorf("without a name: %v, %q", err, location)
	}
	for _, name := range []string{"appid", "client_id"} {
		if _, err := ask(ginauth.Start{Provider: "demo", Params: map[string]string{name: "mine"}}, post...); !errors.Is(err, ginauth.ErrBadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.As("grace")
	if location, err := ask(ginauth.Start{Provider: "demo", Link: true}, "Origin", a.URL); err != nil || !strings.HasPrefix(location, a.IDP.Issuer) {
		t.Errorf("Link by an old browser: %v, %q", err, location)
	}
	for _, header := range [][]string{{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "localhost:1"}} {
		a.Logs.Reset()
		if _, err := ask(ginauth.Start{Provider: "demo"}, header...); err != nil || strings.Count(a.Logs.String(), "level=WARN") != 1 || !strings.Contains(a.Logs.String(), "base_url="+a.URL) {
			t.Errorf("%q: %v; the log: %s", header, err, a.Logs)
		}
	}
}

// A handler may pass on a value from a request: Start.ReturnTo is checked like return_to.
func s30HostileReturnPaths(t *testing.T) {
	a := newStarter(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.AfterLogin = "/page/home"
		o.Providers = append(o.Providers, ginauth.Provider{Name: "password", Namespace: "https://app.example", LoginPage: "/password"})
	})
	hostile := append([]string{"https://evil.example", "javascript:alert(1)"}, sitetest.OwnPaths...)
	for _, list := range sitetest.HostilePaths {
		hostile = append(hostile, list...)
	}
	for _, raw := range hostile {
		a.start = ginauth.Start{Provider: "demo", ReturnTo: raw}
		a.Clock.Advance(11 * time.Second)
		p := a.Must(a.Browser.Open(a.Begin("/start").String()))
		if got := p.Header.Get("Location"); got != a.URL+"/page/home#" {
			t.Errorf("%q: the callback leads to %s", raw, got)
		}
		a.start.Provider = "password"
		if got := a.Ask("POST", "/start", post...).Header.Get("Location"); got != a.URL+"/password" {
			t.Errorf("%q: the page is called as %s", raw, got)
		}
	}
	a.start = ginauth.Start{Provider: "password", ReturnTo: "/page/x?y"}
	if got := a.Ask("POST", "/start", post...).Header.Get("Location"); got != a.URL+"/password?return_to=%2Fpage%2Fx%3Fy" {
		t.Errorf("the page is called as %s", got)
	}
}

// Data with any bytes is returned unchanged, up to the limit.
func s30DataThatFits(t *testing.T) {
	many := map[string]string{}
	for i := range 340 {
		many[fmt.Sprintf("%03d", i)] = ""
	}
	a := newStarter(t, nil)
	for name, data := range map[string]map[string]string{
		"one":               {"invitation": "7"},
		"1,024 bytes":       {"d": strings.Repeat("x", 1023)},
		"names":             many,
		"no name, no value": {"": ""},
		"bytes":             {"\x00\xff\r\n;,=\"": "\x00\x80\xfe" + strings.Repeat("\x00", 64)},
		"other scripts":     {"名前": "エイダ 👩‍💻", "é": "e\u0301", "\u202e": "\ufeff"},
		"markup":            {"<script>": "</script>&amp;%00%2e%2e"},
		"nothing":           {},
		"nil":               nil,
	} {
		a.start.Data, a.start.ReturnTo, a.Browser = data, "/page/data", a.NewBrowser()
		n := len(a.logins)
		a.Lands(t, a.Begin("/start"), "/page/data")
		if len(a.logins) != n+1 {
			t.Fatalf("%s: OnLogin was called %d times", name, len(a.logins)-n)
		}
		if got := a.logins[n].Data; !maps.Equal(got, data) || len(data) == 0 && got != nil {
			t.Errorf("%s: %q came out of %q", name, got, data)
		}
	}
}

// Sign-ins with much data displace older ones, and do not overflow the Cookie header.
func s30ManyStartsWithData(t *testing.T) {
	a := newStarter(t, nil)
	a.start.Data = map[string]string{"d": strings.Repeat("x", 1023)}
	var last *url.URL
	for range 8 {
		last = a.Begin("/start")
		line := ""
		for _, c := range a.Browser.Cookies(a.URL) {
			line += "; " + c.Name + "=" + c.Value
		}
		if states := a.LoginStates(); len(line) > 7<<10 || len(states) > 5 {
			t.Fatalf("%d bytes of cookies, %d of them login states", len(line), len(states))
		}
	}
	small := a.Begin("/login/demo")
	if n := len(a.LoginStates()); n < 3 {
		t.Errorf("the browser has room for %d login states, want 3 or more", n)
	}
	a.Lands(t, last, "/")
	a.Lands(t, small, "/")
	if len(a.logins) != 2 || len(a.logins[0].Data["d"]) != 1023 || a.logins[1].Data != nil {
		t.Errorf("OnLogin got %+v", a.logins)
	}
}

// A handler that begins a sign-in for each request without a session would loop with a browser
// that keeps no cookies.
func s30ABrowserWithoutASession(t *testing.T) {
	a := newStarter(t, nil)
	for range 2 {
		a.Lands(t, a.Begin("/start"), "/")
		a.Browser.RemoveCookie(a.URL, a.SessionCookie().Name)
	}
	if p := a.Ask("GET", "/start", sitetest.Navigation...); !errors.Is(a.err, ginauth.ErrLoginLoop) || p.Header.Get("Location") != "" {
		t.Errorf("the third start: %v, to %q", a.err, p.Header.Get("Location"))
	}
	a.Clock.Advance(11 * time.Second)
	a.Lands(t, a.Begin("/start"), "/")
}

// Only a handler of the application can set the data.
func s31DataByALink(t *testing.T) {
	a := newStarter(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].LoginParams = []string{"data", "Data"}
	})
	a.Lands(t, a.Begin("/login/demo?data=admin&Data=admin&Data[plan]=admin&data%5Bplan%5D=admin"), "/")
	if len(a.logins) != 1 || a.logins[0].Data != nil {
		t.Errorf("OnLogin got %+v", a.logins)
	}
}

// A login state with data is used once, and under its own name.
func s31DataComesOutOnce(t *testing.T) {
	a := newStarter(t, nil)
	a.start.Data = map[string]string{"invitation": "7"}
	callback := a.Begin("/start")
	state := a.LoginState()
	copied := *state
	copied.Name = state.Name[:len(state.Name)-8] + "AAAAAAAA"
	a.KeepCookie(&copied)
	elsewhere := *callback
	elsewhere.RawQuery = strings.Replace(callback.RawQuery, url.QueryEscape(state.Name[len(state.Name)-8:]), "AAAAAAAA", 1)
	a.Refuses(t, &elsewhere, sitetest.Closed{Code: ginauth.ErrStateInvalid})
	if !a.Browser.RemoveCookie(a.URL, copied.Name) {
		t.Error("the copy is gone")
	}
	a.Lands(t, callback, "/")
	a.Browser.RemoveCookie(a.URL, a.SessionCookie().Name)
	a.KeepCookie(state)
	p := a.Finish(callback)
	a.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
	if len(a.logins) != 1 || a.logins[0].Data["invitation"] != "7" {
		t.Errorf("OnLogin got %+v", a.logins)
	}
	if strings.Contains(p.Text(), "/login/demo") {
		t.Errorf("the page leads to a sign-in without the data: %s", p.Text())
	}
	a.Lands(t, a.Begin("/login/demo"), "/")
	if len(a.logins) != 2 || a.logins[1].Data != nil {
		t.Errorf("the next sign-in got %v", a.logins)
	}
}

// The user that requested linking is looked up again after the provider's response.
func s32LinkedToAnother(t *testing.T) {
	a := newStarter(t, nil)
	a.start.Link = true
	begin := func() *url.URL {
		t.Helper()
		a.As("grace")
		a.err = nil
		location := a.Ask("POST", "/start", post...).Header.Get("Location")
		if a.err != nil {
			t.Fatal(a.err)
		}
		return a.trip(location)
	}
	callback := begin()
	a.As("eve")
	a.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1, Was: "eve"})

	callback = begin()
	a.As("grace") // the same user, after another sign-in
	a.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 2, Was: "grace"})

	callback = begin()
	for _, c := range a.SessionCookies() {
		a.Browser.RemoveCookie(a.URL, c.Name)
	}
	a.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 3})

	callback = begin()
	if err := a.Auth.LogoutEverywhere(t.Context(), a.User().ID()); err != nil {
		t.Fatal(err)
	}
	a.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 4})

	a.Lands(t, begin(), "/")
	if len(a.logins) != 1 || a.logins[0].Previous == nil || a.logins[0].Previous.Subject != "grace" || a.logins[0].User.Subject != "ada" {
		t.Errorf("OnLogin got %+v", a.logins)
	}
}

// Authenticate may identify users of several providers, which may assign the same ids.
func s32TheSameSubjectOfAnotherIssuer(t *testing.T) {
	for _, by := range []string{"demo", "password"} {
		who := "password"
		a := newStarter(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Providers = append(o.Providers, ginauth.Provider{Name: "password", Namespace: "https://app.example", LoginPage: "/password"})
			o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
				if c.FullPath() == "/me" {
					return nil, nil
				}
				return &ginauth.User{Provider: who, Subject: "7"}, nil
			}
		})
		a.start.Link = true
		location := a.Ask("POST", "/start", post...).Header.Get("Location")
		callback := a.trip(location)
		if who = by; by == "demo" {
			a.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1})
			continue
		}
		a.Lands(t, callback, "/")
		if len(a.logins) != 1 || a.logins[0].Previous == nil || a.logins[0].Previous.Provider != "password" {
			t.Errorf("OnLogin got %+v", a.logins)
		}
	}
}

// A sign-in that a form of the application or a handler began, to link an account or with data,
// cannot be repeated by a link: that would be another sign-in, which ends the session of the
// user.
func s32WhereToBeginAgain(t *testing.T) {
	denied := func(a *starter, location string) *authtest.Page {
		t.Helper()
		state := sitetest.MustURL(t, location).Query().Get("state")
		return a.Finish(sitetest.MustURL(t, a.URL+"/authorize/demo?error=access_denied&iss="+url.QueryEscape(a.IDP.Issuer)+"&state="+url.QueryEscape(state)))
	}
	for name, try := range map[string]struct {
		start ginauth.Start
		form  string // form of /login/demo, instead of the handler
		again bool
	}{
		"a link":             {form: "return_to=/page/accounts", again: true},
		"a handler":          {start: ginauth.Start{ReturnTo: "/page/accounts"}, again: true},
		"data":               {start: ginauth.Start{Data: map[string]string{"plan": "pro"}}},
		"Link":               {start: ginauth.Start{Link: true}},
		"Link with data":     {start: ginauth.Start{Link: true, Data: map[string]string{"plan": "pro"}}},
		"a form with link":   {form: "link=true"},
		"one with a path":    {form: "link=true&return_to=/page/accounts"},
		"not quite the form": {form: "link=yes", again: true},
	} {
		a := newStarter(t, nil)
		a.As("grace")
		var p *authtest.Page
		if try.form != "" {
			a.Browser.StopAt = func(*url.URL) bool { return true }
			p = a.Must(a.Browser.Submit(authtest.At(a.URL+"/account"), a.URL+"/login/demo", sitetest.MustURL(t, "/?"+try.form).Query()))
			a.Browser.StopAt = nil
		} else {
			a.start = try.start
			a.start.Provider = "demo"
			p = a.Ask("POST", "/start", post...)
		}
		p = denied(a, p.Header.Get("Location"))
		a.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrProviderDenied, Was: "grace"})
		if strings.Contains(p.Text(), "/login") != try.again {
			t.Errorf("%s: the page leads to a sign-in: %t, want %t", name, !try.again, try.again)
		}
	}
	a := newStarter(t, nil) // a browser that keeps no session
	a.Engine.POST("/again", func(c *gin.Context) {
		_, err := a.Auth.BeginLogin(c, ginauth.Start{Data: a.start.Data})
		a.Auth.Fail(c, err)
	})
	for range 2 {
		a.Lands(t, a.Begin("/login/demo"), "/")
		a.Browser.RemoveCookie(a.URL, a.SessionCookie().Name)
	}
	for _, a.start.Data = range []map[string]string{nil, {"plan": "pro"}} {
		p := a.Ask("POST", "/again", sitetest.Plus(post, "Accept", "text/html")...)
		a.WantError(p, ginauth.ErrLoginLoop)
		if strings.Contains(p.Text(), "/login") != (a.start.Data == nil) {
			t.Errorf("with the data %v: %s", a.start.Data, p.Text())
		}
	}
}
