package ginauth_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// as signs somebody in without the trip to the provider.
func (s *site) as(subject string, groups ...string) {
	s.t.Helper()
	s.asUser(&ginauth.User{Subject: subject, Groups: groups})
}

func (s *site) asUser(u *ginauth.User) {
	s.t.Helper()
	if u.Provider == "" {
		u.Provider = "demo"
	}
	if err := authtest.SignIn(s.auth, s.browser, u); err != nil {
		s.t.Fatal(err)
	}
}

// ask sends a request with the browser's cookies and just these headers, which
// come in pairs of name and value.
func (s *site) ask(method, path string, header ...string) *authtest.Page {
	s.t.Helper()
	return s.askAs(s.browser, method, path, header...)
}

func (s *site) askAs(b *authtest.Browser, method, path string, header ...string) *authtest.Page {
	s.t.Helper()
	r, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return s.must(b.Do(r))
}

// count is a handler that must not run when it should not.
func (s *site) count(c *gin.Context) {
	s.ran.Add(1)
	c.String(http.StatusOK, "the protected page")
}

// What browsers and programs send along.
var (
	navigates = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none", "Accept", "text/html,*/*;q=0.8"}
	fetches   = []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "same-origin", "Accept", "*/*"}
	upgrades  = []string{"Connection", "keep-alive, Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	oldPage   = []string{"Accept", "text/html,application/xhtml+xml"}
)

func plus(header []string, more ...string) []string {
	return append(append([]string{}, header...), more...)
}

// How the guard answers who is not signed in.
const (
	toLogin   = "a redirect to the login"
	asJSON    = "401 as JSON"
	asPage    = "401 as a page with a button"
	asHTMX    = "401 with HX-Redirect"
	asFailure = "an error that the browser throws away"
	noReturn  = "/login"
	andBack   = "/login?return_to=%2Fany%3Fx%3D1"
)

// How the guard answers who is not signed in, by what asks.
var guardAnswers = []struct {
	name, method string
	header       []string
	answer       string
	login        string // where to sign in, with the way back
}{
	{"a page that is opened", "GET", navigates, toLogin, andBack},
	{"a page that an old browser opens", "GET", oldPage, toLogin, andBack},
	{"HEAD of a page", "HEAD", navigates, toLogin, andBack},
	{"HEAD by an old browser", "HEAD", oldPage, toLogin, andBack},
	{"HEAD by a program", "HEAD", nil, asJSON, noReturn},
	{"fetch", "GET", fetches, asJSON, noReturn},
	{"fetch that accepts HTML", "GET", plus(fetches[:6], "Accept", "text/html"), asJSON, noReturn},
	{"XMLHttpRequest of an old library", "GET", plus(oldPage, "X-Requested-With", "XMLHttpRequest"), asJSON, noReturn},
	{"a program that wants JSON", "GET", []string{"Accept", "application/json"}, asJSON, noReturn},
	{"a program that says nothing", "GET", nil, asJSON, noReturn},
	{"a frame", "GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Accept", "text/html"}, asJSON, noReturn},
	{"an image", "GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "text/html"}, asJSON, noReturn},
	{"half the Fetch Metadata", "GET", []string{"Sec-Fetch-Mode", "navigate", "Accept", "text/html"}, asJSON, noReturn},
	{"the other half", "GET", []string{"Sec-Fetch-Dest", "document", "Accept", "text/html"}, asJSON, noReturn},
	{"a WebSocket handshake", "GET", upgrades, asJSON, noReturn},
	{"a WebSocket handshake in a page's clothes", "GET", plus(navigates, upgrades...), asJSON, noReturn},
	{"a preflight", "OPTIONS", []string{"Origin", "https://other.example", "Access-Control-Request-Method", "PUT", "Sec-Fetch-Mode", "cors"}, asJSON, noReturn},
	{"a form", "POST", navigates, asPage, noReturn},
	{"a form of an old browser", "POST", oldPage, asPage, noReturn},
	{"POST by fetch", "POST", fetches, asJSON, noReturn},
	{"PUT by fetch", "PUT", fetches, asJSON, noReturn},
	{"DELETE by a program", "DELETE", nil, asJSON, noReturn},
	{"a prefetch", "GET", plus(navigates, "Sec-Purpose", "prefetch"), asFailure, noReturn},
	{"HTMX", "GET", plus(fetches, "HX-Request", "true"), asHTMX, noReturn},
	{"HTMX that sends a form", "POST", plus(fetches, "HX-Request", "true"), asHTMX, noReturn},
}

// A page is sent to the login; everything else is told that nobody is signed
// in, and sets no cookie doing so.
func faultWhoIsAsking(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.engine.Any("/any", s.auth.RequireAuth(), s.count)
	for _, tt := range guardAnswers {
		t.Run(tt.name, func(t *testing.T) {
			p := s.ask(tt.method, "/any?x=1", tt.header...)
			wantHeaders(t, p)
			wantAnswer(t, p, tt.method, tt.answer, tt.login)
			if got := p.Header.Values("Set-Cookie"); len(got) > 0 {
				t.Errorf("a refusal sets cookies: %q", got)
			}
			if s.ran.Load() != 0 || strings.Contains(p.Text(), "protected") {
				t.Fatal("the protected handler ran")
			}
		})
	}
	if n := s.idp.Count(authtest.Discovery); n != 0 {
		t.Errorf("refusals asked the provider %d times", n)
	}
	if strings.Contains(s.logs.String(), "request failed") {
		t.Errorf("that nobody is signed in is no failure, but was logged: %s", s.logs)
	}
}

func wantAnswer(t *testing.T, p *authtest.Page, method, answer, login string) {
	t.Helper()
	status, location := http.StatusUnauthorized, ""
	if answer == toLogin {
		status, location = http.StatusSeeOther, login
	}
	if answer == asFailure {
		status = http.StatusServiceUnavailable
	}
	if p.Status != status || p.Header.Get("Location") != location {
		t.Fatalf("answered %d to %q, want %d to %q: %s", p.Status, p.Header.Get("Location"), status, location, p.Text())
	}
	if redirect := p.Header.Get("HX-Redirect"); (answer == asHTMX) != (redirect != "") || redirect != "" && redirect != login {
		t.Errorf("HX-Redirect is %q, want %q", redirect, login)
	}
	if method == http.MethodHead {
		return
	}
	switch answer {
	case asJSON, asHTMX:
		var body struct {
			Error     ginauth.Code `json:"error"`
			LoginURL  string       `json:"login_url"`
			RequestID string       `json:"request_id"`
		}
		if err := json.Unmarshal(p.Body, &body); err != nil || body.Error != ginauth.ErrUnauthenticated || body.LoginURL != login || body.RequestID == "" {
			t.Errorf("the answer is not JSON with error, login_url and request_id: %v %s", err, p.Text())
		}
	case asPage:
		if !strings.Contains(p.Header.Get("Content-Type"), "text/html") || !strings.Contains(p.Text(), `href="`+login+`"`) ||
			!strings.Contains(p.Text(), string(ginauth.ErrUnauthenticated)) {
			t.Errorf("the answer is not a page with a link to sign in: %s", p.Text())
		}
	}
}

func TestGuardSendsHTMXBackToItsPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for current, login := range map[string]string{
		s.URL + "/list?page=2":           "/login?return_to=%2Flist%3Fpage%3D2",
		s.URL + "/list#row":              "/login?return_to=%2Flist%23row",
		s.URL:                            "/login",
		s.URL + "/logout":                "/login",
		s.URL + ".evil.example/list":     "/login",
		s.URL + "1/list":                 "/login",
		s.URL + "@evil.example/list":     "/login",
		s.URL + "//evil.example/list":    "/login",
		"https://evil.example/list":      "/login",
		"/list":                          "/login",
		"javascript:alert(1)":            "/login",
		"http://evil.example/" + s.URL:   "/login",
		strings.ToUpper(s.URL) + "/list": "/login",
	} {
		p := s.ask("GET", "/me", plus(fetches, "HX-Request", "true", "HX-Current-URL", current)...)
		if got := p.Header.Get("HX-Redirect"); got != login || p.Status != http.StatusUnauthorized {
			t.Errorf("from %q: %d, HX-Redirect %q; want 401, %q", current, p.Status, got, login)
		}
	}
}

// Background polling and prefetches must not pile up attempts.
func TestOnlyVisitsBeginSignIns(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.browser.Header = http.Header{"Sec-Purpose": {"prefetch;prerender"}}
	if p := s.get("/me"); p.Status != http.StatusServiceUnavailable || len(p.Body) > 0 {
		t.Errorf("a prefetch ended at %s with %d %s, want 503", p.URL, p.Status, p.Text())
	}
	s.browser.Header = nil
	from := authtest.At(s.URL + "/")
	p := s.must(s.browser.Fetch(from, "GET", s.URL+"/login/demo", nil, ""))
	s.wantError(p, ginauth.ErrCrossOrigin)
	if got := s.browser.Cookies(s.URL); len(got) > 0 {
		t.Errorf("cookies were set: %v", got)
	}
	if n := s.idp.Count(authtest.Authorize); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	if p := s.get("/me"); p.Status != http.StatusOK {
		t.Errorf("the visit itself ended at %s with %d", p.URL, p.Status)
	}
}

func TestGuardWithAPrefixAndALoginPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) { o.BaseURL = s.URL + "/app"; o.LoginPage = "/welcome" })
	s.engine.GET("/welcome", func(c *gin.Context) { c.String(http.StatusOK, "welcome") })
	p := s.ask("GET", "/me?x=1", navigates...)
	if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/app/welcome?return_to=%2Fme%3Fx%3D1" {
		t.Errorf("answered %d to %q", p.Status, got)
	}
	p = s.ask("GET", "/me", plus(fetches, "HX-Request", "true", "HX-Current-URL", s.URL+"/app/list")...)
	if got := p.Header.Get("HX-Redirect"); got != "/app/welcome?return_to=%2Flist" {
		t.Errorf("HX-Redirect is %q", got)
	}
}

func TestGuardAdmits(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.engine.Any("/any", s.auth.RequireAuth(), s.count)
	s.as("ada")
	for i, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		p := s.ask(method, "/any", fetches...)
		if p.Status != http.StatusOK || s.ran.Load() != int64(i+1) {
			t.Errorf("%s: %d, %d handlers ran, want %d", method, p.Status, s.ran.Load(), i+1)
		}
		if got := p.Header.Get("Cache-Control"); got != "private, no-store" {
			t.Errorf("%s: Cache-Control is %q", method, got)
		}
		if got := p.Header.Values("Vary"); len(got) != 1 || got[0] != "Cookie" {
			t.Errorf("%s: Vary is %q", method, got)
		}
	}
}

// One guard behind another, and LoadUser before both, are one session and one
// set of headers; the handler runs once.
func TestGuardsAddUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	var users []*ginauth.User
	note := func(c *gin.Context) { users = append(users, ginauth.CurrentUser(c)) }
	g := s.engine.Group("/twice", s.auth.LoadUser(), note, s.auth.RequireAuth(), note)
	g.GET("", s.auth.RequireAuth(ginauth.HasGroup("admin")), note, s.count)
	s.as("ada", "admin")
	p := s.ask("GET", "/twice", navigates...)
	if p.Status != http.StatusOK || s.ran.Load() != 1 {
		t.Fatalf("answered %d, the handler ran %d times", p.Status, s.ran.Load())
	}
	if len(users) != 3 || users[0] == nil || users[0] != users[1] || users[1] != users[2] {
		t.Errorf("one request has several users: %v", users)
	}
	if got := p.Header.Values("Vary"); len(got) != 1 {
		t.Errorf("Vary is %q", got)
	}
	s.browser.RemoveCookie(s.URL, s.sessionCookie().Name)
	users = nil
	if p := s.ask("GET", "/twice", navigates...); p.Status != http.StatusSeeOther || s.ran.Load() != 1 {
		t.Errorf("without a session: %d, the handler ran %d times", p.Status, s.ran.Load())
	}
	if len(users) != 1 || users[0] != nil {
		t.Errorf("without a session the handlers saw %v", users)
	}
}

// A page that shows more to who is signed in differs by cookie for everybody.
func TestLoadUserVaries(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := s.open("/")
	if p.Text() != "home" || p.Header.Get("Vary") != "Cookie" || p.Header.Get("Cache-Control") != "" {
		t.Errorf("to nobody: %q, %v", p.Text(), p.Header)
	}
	s.asUser(&ginauth.User{Subject: "ada", Name: "Ada"})
	p = s.open("/")
	if p.Text() != "home of Ada" || p.Header.Get("Vary") != "Cookie" || p.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("to Ada: %q, %v", p.Text(), p.Header)
	}
}

// pageOf is the application's home page, as where a script runs.
func pageOf(s *site) *authtest.Page { return authtest.At(s.URL + "/") }
