package ginauth_test

import (
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
