package ginauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// crossOriginRequests have the session's cookie; SELF is replaced by the application's origin,
// HOST by its host, OTHER by the other scheme.
var crossOriginRequests = []struct {
	name, method string
	header       []string
	refused      bool
}{
	{"a form of our own", "POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "SELF"}, false},
	{"a reload of a form's answer", "POST", []string{"Sec-Fetch-Site", "none"}, false},
	{"a form of our own under no-referrer", "POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "null"}, false},
	{"a form of another site", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, true},
	{"a form of a sandboxed frame", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, true},
	{"a form of a sibling subdomain", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://sibling.localhost"}, true},
	{"a form that says our origin, from another site", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://localhost"}, true},
	{"a form of another site with our own origin", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "SELF"}, true},
	{"a form of a sibling subdomain with our own origin", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "SELF"}, true},
	{"a form of a site that is unknown with our own origin", "POST", []string{"Sec-Fetch-Site", "other", "Origin", "SELF"}, true},
	{"a form of a trusted origin", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://admin.example"}, false},
	{"a form of a trusted host's other port", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://admin.example:444"}, true},
	{"PUT", "PUT", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, true},
	{"PATCH", "PATCH", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://sibling.localhost"}, true},
	{"DELETE", "DELETE", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, true},
	{"an old browser's form of our own", "POST", []string{"Origin", "SELF"}, false},
	{"an old browser's form of another site", "POST", []string{"Origin", "https://evil.example"}, true},
	{"an old browser's form of another port", "POST", []string{"Origin", "http://localhost:1"}, true},
	{"an old browser's form of a sandboxed frame", "POST", []string{"Origin", "null"}, true},
	{"an old browser's form of our host over the other scheme", "POST", []string{"Origin", "OTHER://HOST"}, true},
	{"an old browser's form of our host over ftp", "POST", []string{"Origin", "ftp://HOST"}, true},
	{"an old browser's form of our host with a user", "POST", []string{"Origin", "https://evil@HOST"}, true},
	{"an old browser's form of our host without a scheme", "POST", []string{"Origin", "//HOST"}, true},
	{"an old browser's form of our origin and a path", "POST", []string{"Origin", "SELF/"}, true},
	{"an old browser's form of a trusted host over http", "POST", []string{"Origin", "http://admin.example"}, true},
	{"an old browser's form of a trusted origin", "POST", []string{"Origin", "https://admin.example"}, false},
	{"a program, which is no browser", "POST", nil, false},
	{"a link of another site", "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, false},
	{"HEAD from another site", "HEAD", []string{"Sec-Fetch-Site", "cross-site"}, false},
	{"a preflight of another site", "OPTIONS", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
	{"a WebSocket of our own page", "GET", sitetest.Plus(sitetest.Upgrade, "Origin", "SELF"), false},
	{"a WebSocket of our own page, with Fetch Metadata", "GET", sitetest.Plus(sitetest.Upgrade, "Origin", "SELF", "Sec-Fetch-Site", "same-origin"), false},
	{"a WebSocket of another site", "GET", sitetest.Plus(sitetest.Upgrade, "Origin", "https://evil.example"), true},
	{"a WebSocket of another site, with Fetch Metadata", "GET", sitetest.Plus(sitetest.Upgrade, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), true},
	{"a WebSocket of a sibling subdomain", "GET", sitetest.Plus(sitetest.Upgrade, "Origin", "http://sibling.localhost", "Sec-Fetch-Site", "same-site"), true},
	{"a WebSocket of a sandboxed frame", "GET", sitetest.Plus(sitetest.Upgrade, "Origin", "null"), true},
	{"a WebSocket of our host over the other scheme", "GET", sitetest.Plus(sitetest.Upgrade, "Origin", "OTHER://HOST"), true},
	{"a WebSocket of a trusted origin", "GET", sitetest.Plus(sitetest.Upgrade, "Origin", "https://admin.example"), false},
	{"a WebSocket of a program", "GET", sitetest.Upgrade, false},
}

func TestRequestsFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	for other, start := range map[string]func(testing.TB, func(*sitetest.Site, *ginauth.Options)) *sitetest.Site{"https": sitetest.New, "http": sitetest.NewTLS} {
		requestsFromAnotherOrigin(t, start(t, func(_ *sitetest.Site, o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example"} }), other)
	}
}

func requestsFromAnotherOrigin(t *testing.T, s *sitetest.Site, otherScheme string) {
	_, host, _ := strings.Cut(s.URL, "://")
	replace := strings.NewReplacer("SELF", s.URL, "HOST", host, "OTHER", otherScheme)
	s.Engine.Any("/guarded", s.Auth.RequireAuth(), s.Protected)
	s.Engine.Any("/loaded", s.Auth.LoadUser(), s.BothUsers)
	s.Engine.Any("/updated", s.Auth.LoadUser(), func(c *gin.Context) {
		if err := s.Auth.Update(c, func(u *ginauth.User) { s.Ran.Add(1) }); err != nil {
			c.String(http.StatusOK, err.Error())
		}
	})
	for path, act := range map[string]func(c *gin.Context) error{
		"/out": s.Auth.Logout,
		"/in": func(c *gin.Context) error {
			return s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}, nil)
		},
	} {
		s.Engine.Any(path, func(c *gin.Context) {
			if err := act(c); errors.Is(err, ginauth.ErrCrossOrigin) {
				c.String(http.StatusOK, "refused")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	s.As("ada")
	for _, tt := range crossOriginRequests {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			for _, text := range tt.header {
				header = append(header, replace.Replace(text))
			}
			ran := s.Ran.Load()
			p := s.Ask(tt.method, "/guarded", header...)
			loaded := s.Ask(tt.method, "/loaded", header...)
			for _, path := range []string{"/in", "/out"} {
				b := s.Browser.Clone()
				defer b.Close()
				p := s.AskAs(b, tt.method, path, header...)
				if changed := len(p.Header.Values("Set-Cookie")) > 0; changed == tt.refused || (p.Text() == "refused") != tt.refused {
					t.Errorf("%s: cookies %q, and the response is %q", path, p.Header.Values("Set-Cookie"), p.Text())
				}
			}
			if !tt.refused {
				s.Browser = s.NewBrowser()
				s.As("ada") // Logout and SignIn ended the session
				if p.Status != http.StatusOK || s.Ran.Load() != ran+1 {
					t.Errorf("was refused: %d %s", p.Status, p.Text())
				}
				if tt.method != "HEAD" && loaded.Text() != "ada, ada" {
					t.Errorf("is anonymous to LoadUser: %q", loaded.Text())
				}
				return
			}
			s.WantError(p, ginauth.ErrCrossOrigin)
			if loaded.Text() != "nobody, nobody" {
				t.Errorf("LoadUser returns %q", loaded.Text())
			}
			updated := s.Ask(tt.method, "/updated", header...)
			if !strings.Contains(updated.Text(), "cross-origin") || len(updated.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("Update: %q", updated.Text())
			}
			if s.Ran.Load() != ran {
				t.Error("a handler ran")
			}
		})
	}
	if !strings.Contains(s.Logs.String(), "Options.TrustedOrigins") {
		t.Errorf("the log does not say what to do: %s", s.Logs)
	}
	if s.User() == nil {
		t.Error("a refusal ended the session")
	}
}

// Without the session's cookie there is nothing to protect: the request is unauthenticated.
func TestAnotherOriginWithoutSession(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	p := s.Ask("POST", "/me", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	s.WantError(p, ginauth.ErrUnauthenticated)
}

// Requests that SameSite=Lax does not stop, since a sibling subdomain is the same site; and
// requests that it does stop.
func TestFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]bool{"today's browser": false, "a browser without Fetch Metadata": true} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.NewTLS(t, nil)
			s.As("ada")
			s.Browser.NoFetchMetadata = old
			for _, tt := range []struct {
				from string
				code ginauth.Code
			}{
				{"https://evil.app.localhost/", ginauth.ErrCrossOrigin},
				{strings.Replace(s.URL, "app.localhost", "other.app.localhost", 1), ginauth.ErrCrossOrigin},
				{"https://app.localhost:1/", ginauth.ErrCrossOrigin},
				{"https://evil.example/", ginauth.ErrUnauthenticated},
			} {
				p := s.Must(s.Browser.Submit(authtest.At(tt.from), s.URL+"/me", url.Values{"x": {"1"}}))
				s.WantError(p, tt.code)
			}
			if s.Ran.Load() != 0 {
				t.Error("a handler ran")
			}
			p := s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/me", url.Values{"x": {"1"}}))
			if p.Status != http.StatusOK || s.Ran.Load() != 1 {
				t.Errorf("a form of our own: %d %s", p.Status, p.Text())
			}
		})
	}
}

func TestGuardWithoutMount(t *testing.T) {
	t.Parallel()
	for name, guard := range map[string]func(a *ginauth.Auth) gin.HandlerFunc{
		"RequireAuth": func(a *ginauth.Auth) gin.HandlerFunc { return a.RequireAuth() },
		"LoadUser":    func(a *ginauth.Auth) gin.HandlerFunc { return a.LoadUser() },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "Mount") {
					t.Errorf("%s of a nil *Auth: %v, want a panic at once that speaks of Mount", name, r)
				}
			}()
			guard(nil)
		}()
	}
}

// upload sends a form with a file that exceeds the memory for forms: ten megabytes more than
// Gin's setting.
func upload(t *testing.T, address, cookies string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "file.bin")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write(make([]byte, 11<<20))
	_ = form.Close()
	r, err := http.NewRequest("POST", address, &body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Cookie", cookies)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the response to the upload is %d", answer.StatusCode)
	}
}

// net/http removes the uploaded files of its own request, but a guard passes on a copy of the
// request.
func TestUploadsBehindAGuardAreRemoved(t *testing.T) {
	files := t.TempDir()
	t.Setenv("TMPDIR", files)
	s := remembering(t, nil)
	s.Engine.MaxMultipartMemory = 1
	read := func(c *gin.Context) {
		_, err := c.FormFile("file")
		found, _ := filepath.Glob(filepath.Join(files, "multipart-*"))
		if err != nil || len(found) == 0 {
			c.String(http.StatusInternalServerError, "%v %q", err, found)
			return
		}
	}
	s.Engine.POST("/guarded", s.Auth.RequireAuth(), read)
	s.Engine.POST("/loaded", s.Auth.LoadUser(), read)
	s.Engine.POST("/both", s.Auth.LoadUser(), s.Auth.RequireAuth(), read)
	// Files that were read before the guard are removed, even if a handler replaces the request.
	s.Engine.POST("/replaced", read, s.Auth.RequireAuth(), func(c *gin.Context) { c.Request = httptest.NewRequest("GET", "/", nil) })
	server := httptest.NewServer(s.Engine)
	cookies := s.Mint(grace())
	for _, path := range []string{"/guarded", "/loaded", "/both", "/replaced"} {
		upload(t, server.URL+path, cookies)
	}
	server.Close() // and wait until it has finished the requests
	if left, _ := filepath.Glob(filepath.Join(files, "*")); len(left) > 0 {
		t.Errorf("remaining files: %q", left)
	}
}

// A page for an anonymous visitor, made because of the request's origin, must not reach
// a signed-in user from a cache.
func TestAnonymousForItsOriginVariesWithCookies(t *testing.T) {
	s := remembering(t, nil)
	s.Engine.GET("/open", s.Auth.LoadUser(), func(c *gin.Context) { c.Header("Cache-Control", "public, max-age=60") })
	r := httptest.NewRequest("GET", "/open", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Upgrade", "x")
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, r)
	if got := w.Header()["Vary"]; !slices.Equal(got, []string{"Cookie"}) {
		t.Errorf("Vary is %q", got)
	}
}

// Middleware may share one slice of header values between requests.
func TestSharedVaryLines(t *testing.T) {
	lines := append(make([]string, 0, 4), "Origin", "Accept")
	s := remembering(t, nil)
	s.Engine.GET("/open", func(c *gin.Context) { c.Writer.Header()["Vary"] = lines }, s.Auth.LoadUser())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { visitWith(s, "GET", "/open", "") })
	}
	all.Wait()
	if after := lines[:3]; after[2] != "" {
		t.Errorf("the header values that requests share were changed to %q", after)
	}
}

func TestUpgradeWithSeveralConnectionLines(t *testing.T) {
	s := sitetest.New(t, nil)
	s.SignIn()
	req, _ := http.NewRequest("GET", s.URL+"/me", nil)
	req.Header = http.Header{"Connection": {"keep-alive", "Upgrade"}, "Upgrade": {"websocket"}, "Origin": {"https://evil.example"},
		"Sec-Fetch-Site": {"cross-site"}, "Cookie": {s.CookieHeader()}}
	if p := s.Must(s.NewBrowser().Do(req)); p.Status != http.StatusForbidden {
		t.Errorf("the status is %d", p.Status)
	}
}

func TestGuardSendsHTMXBackToItsPage(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
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
		p := s.Ask("GET", "/me", sitetest.Plus(sitetest.Fetch, "HX-Request", "true", "HX-Current-URL", current)...)
		if got := p.Header.Get("HX-Redirect"); got != login || p.Status != http.StatusUnauthorized {
			t.Errorf("from %q: %d, HX-Redirect %q; want 401, %q", current, p.Status, got, login)
		}
	}
}

// Background polling and prefetches must not accumulate attempts.
func TestOnlyVisitsBeginSignIns(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Browser.Header = http.Header{"Sec-Purpose": {"prefetch;prerender"}}
	if p := s.Get("/me"); p.Status != http.StatusServiceUnavailable || len(p.Body) > 0 {
		t.Errorf("a prefetch ended at %s with %d %s, want 503", p.URL, p.Status, p.Text())
	}
	s.Browser.Header = nil
	from := authtest.At(s.URL + "/")
	p := s.Must(s.Browser.Fetch(from, "GET", s.URL+"/login/demo", nil, ""))
	s.WantError(p, ginauth.ErrCrossOrigin)
	if got := s.Browser.Cookies(s.URL); len(got) > 0 {
		t.Errorf("cookies were set: %v", got)
	}
	if n := s.IDP.Count(authtest.Authorize); n != 0 {
		t.Errorf("the provider got %d authorization requests", n)
	}
	if p := s.Get("/me"); p.Status != http.StatusOK {
		t.Errorf("the visit itself ended at %s with %d", p.URL, p.Status)
	}
}

func TestGuardWithAPrefixAndALoginPage(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { o.BaseURL = s.URL + "/app"; o.LoginPage = "/welcome" })
	s.Engine.GET("/welcome", func(c *gin.Context) { c.String(http.StatusOK, "welcome") })
	p := s.Ask("GET", "/me?x=1", sitetest.Navigation...)
	if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/app/welcome?return_to=%2Fme%3Fx%3D1" {
		t.Errorf("the response is %d to %q", p.Status, got)
	}
	p = s.Ask("GET", "/me", sitetest.Plus(sitetest.Fetch, "HX-Request", "true", "HX-Current-URL", s.URL+"/app/list")...)
	if got := p.Header.Get("HX-Redirect"); got != "/app/welcome?return_to=%2Flist" {
		t.Errorf("HX-Redirect is %q", got)
	}
}

func TestGuardAdmits(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.Any("/any", s.Auth.RequireAuth(), s.Protected)
	s.As("ada")
	for i, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		p := s.Ask(method, "/any", sitetest.Fetch...)
		if p.Status != http.StatusOK || s.Ran.Load() != int64(i+1) {
			t.Errorf("%s: %d, %d handlers ran, want %d", method, p.Status, s.Ran.Load(), i+1)
		}
		if got := p.Header.Get("Cache-Control"); got != "private, no-store" {
			t.Errorf("%s: Cache-Control is %q", method, got)
		}
		if got := p.Header.Values("Vary"); len(got) != 1 || got[0] != "Cookie" {
			t.Errorf("%s: Vary is %q", method, got)
		}
	}
}

// One guard behind another, and LoadUser before both, read one session and set the headers once;
// the handler runs once.
func TestGuardsAddUp(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	var users []*ginauth.User
	note := func(c *gin.Context) { users = append(users, ginauth.CurrentUser(c)) }
	g := s.Engine.Group("/twice", s.Auth.LoadUser(), note, s.Auth.RequireAuth(), note)
	g.GET("", s.Auth.RequireAuth(ginauth.HasGroup("admin")), note, s.Protected)
	s.As("ada", "admin")
	p := s.Ask("GET", "/twice", sitetest.Navigation...)
	if p.Status != http.StatusOK || s.Ran.Load() != 1 {
		t.Fatalf("the status is %d, the handler ran %d times", p.Status, s.Ran.Load())
	}
	if len(users) != 3 || users[0] == nil || users[0] != users[1] || users[1] != users[2] {
		t.Errorf("one request has several users: %v", users)
	}
	if got := p.Header.Values("Vary"); len(got) != 1 {
		t.Errorf("Vary is %q", got)
	}
	s.Browser.RemoveCookie(s.URL, s.SessionCookie().Name)
	users = nil
	if p := s.Ask("GET", "/twice", sitetest.Navigation...); p.Status != http.StatusSeeOther || s.Ran.Load() != 1 {
		t.Errorf("without a session: %d, the handler ran %d times", p.Status, s.Ran.Load())
	}
	if len(users) != 1 || users[0] != nil {
		t.Errorf("without a session the handlers saw %v", users)
	}
}

// A page that shows more to signed-in users varies by cookie for all users.
func TestLoadUserVaries(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	p := s.Open("/")
	if p.Text() != "home" || p.Header.Get("Vary") != "Cookie" || p.Header.Get("Cache-Control") != "" {
		t.Errorf("without a user: %q, %v", p.Text(), p.Header)
	}
	s.AsUser(&ginauth.User{Subject: "ada", Name: "Ada"})
	p = s.Open("/")
	if p.Text() != "home of Ada" || p.Header.Get("Vary") != "Cookie" || p.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("to Ada: %q, %v", p.Text(), p.Header)
	}
}

// boosted are the headers with which HTMX loads a link in place of the browser.
func boosted(s *sitetest.Site, page string) http.Header {
	return http.Header{"Hx-Request": {"true"}, "Hx-Boosted": {"true"}, "Hx-Current-Url": {s.URL + page}}
}

// boost sends the request of HTMX for a link, or with a form, on a page of the application.
func boost(s *sitetest.Site, method, path string, form url.Values) *authtest.Page {
	s.T.Helper()
	header := boosted(s, "/list")
	if form != nil {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return s.Must(s.Browser.Fetch(authtest.At(s.URL+"/list"), method, s.URL+path, header, form.Encode()))
}

// wantOpened fails the test unless the response makes HTMX open an address.
func wantOpened(s *sitetest.Site, p *authtest.Page, address string) {
	s.T.Helper()
	if got := p.Header.Get("HX-Redirect"); p.Status != http.StatusNoContent || got != address || len(p.Header["Set-Cookie"]) > 0 {
		s.T.Errorf("%s: %d with HX-Redirect %q and cookies %v; want %q: %s", p.URL, p.Status, got, p.Header["Set-Cookie"], address, p.Text())
	}
	sitetest.WantHeaders(s.T, p)
}

// HTMX cannot show built-in pages or open a provider's page: it opens the address that it
// requested.
func TestBoostedLinksAreOpened(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, sitetest.Client("other", sitetest.StartProvider(t, authtest.Config{})))
	})
	for _, path := range []string{"/login", "/login?return_to=%2Fx", "/login/demo", "/login/demo?return_to=%2Fpage%2Fx%3Fy%3D1&login_hint=ada", "/login/nobody", "/logout", "/logout?return_to=%2Fx"} {
		wantOpened(s, boost(s, "GET", path, nil), path)
	}
	if n := s.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("the provider got %d authorization requests", n)
	}
	if p := s.Get(boost(s, "GET", "/login/demo?return_to=%2Fpage%2Fx", nil).Header.Get("HX-Redirect")); p.URL.Path != "/page/x" || p.Status != http.StatusOK {
		t.Errorf("the sign-in ended at %s with %d", p.URL, p.Status)
	}
	if boost(s, "GET", "/logout", nil); s.User() == nil {
		t.Error("a link to the sign-out signed out")
	}
}

func TestBoostedFormsAreOpened(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	wantOpened(s, boost(s, "POST", "/login/demo", url.Values{}), "/login/demo")
	wantOpened(s, boost(s, "POST", "/login/demo?return_to=%2Fx", url.Values{}), "/login/demo?return_to=%2Fx")
	wantOpened(s, boost(s, "POST", "/login/demo?return_to=%2Fx", url.Values{"return_to": {"/y z"}, "prompt": {"login"}}), "/login/demo?prompt=login&return_to=%2Fy+z")
	if p := boost(s, "POST", "/login/demo", url.Values{"notes": {strings.Repeat("x", 8000)}}); p.Status != http.StatusRequestEntityTooLarge || p.Header.Get("HX-Redirect") != "" {
		t.Errorf("the response to a form of 8 KB is %d with an address of %d bytes", p.Status, len(p.Header.Get("HX-Redirect")))
	}
	s.SignIn()
	s.WantError(boost(s, "POST", "/login/demo", url.Values{"link": {"true"}}), ginauth.ErrCrossOrigin)
	if p := boost(s, "POST", "/logout", url.Values{}); p.Status != http.StatusNoContent || p.Header.Get("HX-Redirect") == "" || s.User() != nil {
		t.Errorf("the sign-out responded %d with HX-Redirect %q", p.Status, p.Header.Get("HX-Redirect"))
	}
}

// A boosted link to a guarded page returns to that page, not to the page that contains the link.
// A form, and a fragment that HTMX loads, return to the open page.
func TestBoostedLinkToAGuardedPage(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	for _, tt := range []struct {
		name, method, path string
		change             func(http.Header)
		want               string
	}{
		{"a link", "GET", "/page/x?y=1", func(http.Header) {}, "/login?return_to=%2Fpage%2Fx%3Fy%3D1"},
		{"a link on another site's page", "GET", "/page/x", func(h http.Header) { h.Set("HX-Current-URL", "https://evil.example/") }, "/login?return_to=%2Fpage%2Fx"},
		{"a form", "POST", "/me", func(http.Header) {}, "/login?return_to=%2Flist"},
		{"a part of a page", "GET", "/page/x?y=1", func(h http.Header) { h.Del("HX-Boosted") }, "/login?return_to=%2Flist"},
		{"another value", "GET", "/page/x?y=1", func(h http.Header) { h.Set("HX-Boosted", "false") }, "/login?return_to=%2Flist"},
	} {
		header := boosted(s, "/list")
		tt.change(header)
		p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/list"), tt.method, s.URL+tt.path, header, ""))
		if got := p.Header.Get("HX-Redirect"); p.Status != http.StatusUnauthorized || got != tt.want {
			t.Errorf("%s: %d with HX-Redirect %q, want %q", tt.name, p.Status, got, tt.want)
		}
	}
}

// Requests that are not boosted links are rejected as before.
func TestHTMXWithoutBoostBeginsNoSignIn(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.WantError(s.Ask("GET", "/login/demo", sitetest.Plus(sitetest.Fetch, "HX-Request", "true")...), ginauth.ErrCrossOrigin)
	s.WantError(s.Ask("GET", "/login/demo", sitetest.Plus(sitetest.Fetch, "HX-Boosted", "true")...), ginauth.ErrCrossOrigin)
}

// An address that begins with two slashes would open another host.
func TestBoostedLinkStaysHere(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Engine.RemoveExtraSlash = true
		o.BaseURL = s.URL + "/app"
	})
	wantOpened(s, boost(s, "GET", "/login", nil), "/app/login")
	wantOpened(s, boost(s, "GET", "//login/demo?x=1", nil), "/app/login/demo?x=1")
	p := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.Engine.RemoveExtraSlash = true })
	wantOpened(p, boost(p, "GET", "//login/demo", nil), "/login/demo")
}

// A guard lets ginauth's own routes pass, but not the application's handlers at these paths.
func TestAGuardDoesNotOpenTheApplicationsRouteAtOurPath(t *testing.T) {
	engine := gin.New()
	var auth *ginauth.Auth
	engine.Use(func(c *gin.Context) { auth.RequireAuth()(c) })
	engine.OPTIONS("/login", sitetest.Teapot)
	auth, err := ginauth.Mount(engine, quietOptions())
	if err != nil {
		t.Fatal(err)
	}
	if w := asked(engine, "OPTIONS", "/login"); w.Code != http.StatusUnauthorized {
		t.Errorf("the application's own OPTIONS /login responds %d", w.Code)
	}
	if w := asked(engine, "GET", "/login"); w.Code != http.StatusSeeOther || !strings.Contains(w.Header().Get("Location"), "/login/corp") {
		t.Errorf("ginauth's /login responds %d", w.Code)
	}
}

// handedOn are the headers, by browser, of a navigation that a service worker forwards with
// e.respondWith(fetch(e.request)).
var handedOn = map[string]http.Header{
	"Chromium": {"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"empty"}},
	"Firefox": {"Sec-Fetch-Mode": {"same-origin"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"},
		"Accept": {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}},
}

// Behind a service worker everything works as without one.
func TestNavigationsBehindAServiceWorker(t *testing.T) {
	t.Parallel()
	for browser, header := range handedOn {
		for name, path := range map[string]string{"a guarded page": "/page/x?y=1", "a link to the sign-in": "/login/demo?return_to=%2Fpage%2Fx%3Fy%3D1", "a link to the choice": "/login?return_to=%2Fpage%2Fx%3Fy%3D1"} {
			t.Run(browser+", "+name, func(t *testing.T) {
				s := sitetest.New(t, nil)
				s.Browser.Header = header
				if p := s.Get(path); p.Status != http.StatusOK || p.URL.RequestURI() != "/page/x?y=1" {
					t.Fatalf("ended at %s with %d: %s", p.URL, p.Status, p.Text())
				}
				p := s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", url.Values{}))
				if p.Status != http.StatusOK || s.IDP.Count(authtest.EndSession) != 1 {
					t.Errorf("the sign-out ended at %s with %d, and called the provider %d times: %s", p.URL, p.Status, s.IDP.Count(authtest.EndSession), p.Text())
				}
				p = s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/me", url.Values{}))
				if p.Status != http.StatusUnauthorized || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
					t.Errorf("a form after it got %d: %s", p.Status, p.Text())
				}
			})
		}
	}
}

// In Firefox, a form from another site then looks like the application's own, but has no
// SameSite=Lax cookies: it begins a sign-in by GET, links no account and signs no user out.
func TestFormsOfAnotherSiteBehindAServiceWorkerInFirefox(t *testing.T) {
	t.Parallel()
	s := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			if l.Previous != nil {
				l.User.Data["linked"] = l.Previous.Subject
			}
			return nil
		}
	})
	s.Browser.Header = handedOn["Firefox"]
	evil, own := authtest.At("https://evil.example/"), authtest.At(s.URL+"/")
	s.Browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.IDP.Issuer) }
	for range 12 {
		p := s.Must(s.Browser.Submit(evil, s.URL+"/login/demo", url.Values{"return_to": {"/page/x"}}))
		if first := p.Hops[0]; first.Request.Get("Cookie") != "" || first.Header["Set-Cookie"] != nil || first.Header.Get("Location") != s.URL+"/login/demo?return_to=%2Fpage%2Fx" {
			t.Fatalf("the response to the form, sent with %v, is %d with %v", first.Request, first.Status, first.Header)
		}
		if !strings.HasPrefix(p.Header.Get("Location"), s.IDP.Issuer) {
			t.Fatalf("the sign-in does not begin: %d at %s", p.Status, p.URL)
		}
	}
	if n := len(s.LoginStates()); n != 5 {
		t.Errorf("twelve forms left %d cookies, want 5", n)
	}
	s.Browser.StopAt = nil
	s.SignIn()
	s.WantError(s.Must(s.Browser.Submit(evil, s.URL+"/login/demo", linkForm)), ginauth.ErrUnauthenticated)
	s.Must(s.Browser.Submit(evil, s.URL+"/logout", nil))
	if u := s.User(); u == nil || u.Subject != "ada" || s.IDP.Count(authtest.EndSession) != 0 {
		t.Errorf("after forms of another site, %v is signed in", u)
	}
	s.IDP.SignInAs("grace")
	s.Must(s.Browser.Submit(own, s.URL+"/login/demo", linkForm))
	if u := s.User(); u == nil || u.Subject != "grace" || u.Data["linked"] != "ada" {
		t.Errorf("after the own form to link an account, %+v is signed in", u)
	}
}

// A script's fetch in mode same-origin begins no sign-in either, unless all headers are those of
// a navigation in Firefox.
func TestFetchesOfModeSameOriginAreNoNavigations(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	for name, change := range map[string]http.Header{
		"Accept */*":              {"Accept": {"*/*"}},
		"Accept JSON":             {"Accept": {"application/json"}},
		"no Accept":               {"Accept": nil},
		"mode cors":               {"Sec-Fetch-Mode": {"cors"}},
		"mode no-cors":            {"Sec-Fetch-Mode": {"no-cors"}},
		"mode websocket":          {"Sec-Fetch-Mode": {"websocket"}},
		"another letter case":     {"Sec-Fetch-Mode": {"Same-Origin"}},
		"no mode":                 {"Sec-Fetch-Mode": nil},
		"site cross-site":         {"Sec-Fetch-Site": {"cross-site"}},
		"site same-site":          {"Sec-Fetch-Site": {"same-site"}},
		"site none":               {"Sec-Fetch-Site": {"none"}},
		"no site":                 {"Sec-Fetch-Site": nil},
		"dest document":           {"Sec-Fetch-Dest": {"document"}},
		"dest iframe":             {"Sec-Fetch-Dest": {"iframe"}},
		"dest frame":              {"Sec-Fetch-Dest": {"frame"}},
		"dest object":             {"Sec-Fetch-Dest": {"object"}},
		"dest worker":             {"Sec-Fetch-Dest": {"worker"}},
		"dest serviceworker":      {"Sec-Fetch-Dest": {"serviceworker"}},
		"dest image":              {"Sec-Fetch-Dest": {"image"}},
		"no dest":                 {"Sec-Fetch-Dest": nil},
		"a library":               {"X-Requested-With": {"XMLHttpRequest"}},
		"a library without name":  {"X-Requested-With": {"x"}},
		"a WebSocket's handshake": {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
	} {
		var header []string
		for key, values := range handedOn["Firefox"] {
			if _, other := change[key]; !other {
				header = append(header, key, values[0])
			}
		}
		for key, values := range change {
			for _, value := range values {
				header = append(header, key, value)
			}
		}
		if p := s.Ask("GET", "/me", header...); p.Status != http.StatusUnauthorized || p.Header.Get("Location") != "" {
			t.Errorf("%s: a guarded page responded %d to %q", name, p.Status, p.Header.Get("Location"))
		}
		switch name {
		case "dest document", "no dest", "a WebSocket's handshake": // begin a sign-in in any mode
			continue
		}
		s.WantError(s.Ask("GET", "/login/demo", header...), ginauth.ErrCrossOrigin)
		s.WantError(s.Ask("POST", "/login/demo", header...), ginauth.ErrCrossOrigin)
	}
	if n := s.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("the provider got %d authorization requests", n)
	}
}

// An empty destination alone means a fetch, which begins no sign-in, and a frame is a frame in
// any mode.
func TestEmptyDestinationAloneIsNoNavigation(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	for _, tt := range []struct{ mode, dest string }{
		{"cors", "empty"}, {"no-cors", "empty"}, {"same-origin", "empty"}, {"", "empty"}, {"Navigate", "empty"},
		{"navigate", "iframe"}, {"navigate", "frame"}, {"navigate", "object"}, {"navigate", "embed"}, {"navigate", "fencedframe"}, {"navigate", "Empty"}, {"websocket", "empty"},
	} {
		header := []string{"Sec-Fetch-Dest", tt.dest, "Accept", "text/html"}
		if tt.mode != "" {
			header = append(header, "Sec-Fetch-Mode", tt.mode)
		}
		s.WantError(s.Ask("GET", "/login/demo", header...), ginauth.ErrCrossOrigin)
		if p := s.Ask("GET", "/me", header...); p.Status != http.StatusUnauthorized || p.Header.Get("Location") != "" {
			t.Errorf("%v: a guarded page responded %d to %q", tt, p.Status, p.Header.Get("Location"))
		}
	}
	if n := s.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("the provider got %d authorization requests", n)
	}
}

// Output that a handler behind the guard flushes is sent while the handler continues, also if
// the response renews the session.
func TestFlushBehindTheGuard(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.Clock.Advance(3 * time.Hour)
	arrived := make(chan struct{})
	s.Engine.GET("/stream", s.Auth.RequireAuth(), func(c *gin.Context) {
		c.Writer.Flush()
		select {
		case <-arrived:
		case <-time.After(10 * time.Second):
			t.Error("nothing has arrived")
		}
	})
	request, err := http.NewRequest("GET", s.URL+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Browser.Cookies(s.URL) {
		request.AddCookie(c)
	}
	answer, err := http.DefaultClient.Do(request)
	close(arrived)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Set-Cookie") == "" {
		t.Errorf("the status is %d, without renewing the session", answer.StatusCode)
	}
}

// HTMX gets no page, which it would insert into the current one.
func TestHTMXIsToldInJSON(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.As("ada")
	p := s.Ask("GET", "/admin", "HX-Request", "true", "Accept", "text/html, */*")
	if p.Status != http.StatusForbidden || !strings.HasPrefix(p.Header.Get("Content-Type"), "application/json") {
		t.Errorf("%d %s", p.Status, p.Header.Get("Content-Type"))
	}
}

// A guard lets only the login routes pass, not another handler with the same path on another
// engine.
func TestGuardOnAnotherEngine(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	other := gin.New()
	other.Use(s.Auth.RequireAuth())
	ran := false
	other.GET("/logout", func(c *gin.Context) { ran = true })
	w := httptest.NewRecorder()
	other.ServeHTTP(w, httptest.NewRequest("GET", "/logout", nil))
	if ran || w.Code != http.StatusUnauthorized {
		t.Errorf("the status is %d; the handler behind the guard ran: %v", w.Code, ran)
	}
}

// The result of one Auth is not used by another.
func TestSessionOfAnotherAuth(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	second, err := ginauth.Mount(s.Engine.Group("/second"), ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, Logger: s.Logs.Logger(),
		Now: s.Clock.Now, Providers: []ginauth.Provider{sitetest.Client("demo", s.IDP)}})
	if err != nil {
		t.Fatal(err)
	}
	var first, other bool
	s.Guard("/sessions", func(c *gin.Context) {
		_, first = s.Auth.Session(c)
		_, other = second.Session(c)
	})
	s.As("ada")
	if s.Ask("GET", "/sessions"); !first || other {
		t.Errorf("session of the guard's Auth: %v, of the other one: %v", first, other)
	}
}

// A request with an empty path does not match an unset LoginPage.
func TestRefusedWithoutAPath(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.NoRoute(s.Auth.RequireAuth(), s.Protected)
	r, w := httptest.NewRequest("CONNECT", s.URL, nil), httptest.NewRecorder()
	r.URL.Path = ""
	s.Engine.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized || s.Ran.Load() != 0 {
		t.Errorf("the response is %d: %s", w.Code, w.Body)
	}
}

// A response with another Vary header must also vary by the cookie, or a cache would send it to
// other users.
func TestVaryIsAddedToTheApplicationsOwn(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.GET("/varied", func(c *gin.Context) { c.Header("Vary", "Origin") }, s.Auth.RequireAuth(), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	s.As("ada")
	if got := strings.Join(s.Ask("GET", "/varied").Header.Values("Vary"), ", "); !strings.Contains(got, "Origin") || !strings.Contains(got, "Cookie") {
		t.Errorf("Vary is %q", got)
	}
}

// A request from another origin is anonymous behind LoadUser, even if an earlier handler set a
// user.
func TestAForeignRequestHasNoUser(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	put := func(c *gin.Context) { c.Set(ginauth.UserKey, &ginauth.User{Name: "Ada"}) }
	s.Engine.POST("/foreign", put, s.Auth.LoadUser(), func(c *gin.Context) {
		if u := ginauth.CurrentUser(c); u != nil {
			c.String(http.StatusOK, u.Name)
		}
	})
	if p := s.Ask("POST", "/foreign", "Sec-Fetch-Site", "cross-site"); p.Text() != "" {
		t.Errorf("it is %s's", p.Text())
	}
}

// LoadUser admits every request, and logs why there is no user.
func TestLoadUserLogsWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	f := &sitetest.FaultyRevocations{}
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
		o.Revocations = f
	})
	s.As("ada")
	f.ReadErr = sitetest.ErrBroken
	s.Logs.Reset()
	if p := s.Get("/"); p.Text() != "home" || !strings.Contains(s.Logs.String(), string(ginauth.ErrStoreUnavailable)) {
		t.Errorf("%s\n%s", p.Text(), s.Logs)
	}
}

// Two guards in a row set Vary once.
func TestVaryIsSaidOnce(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.GET("/twice", s.Auth.LoadUser(), s.Auth.LoadUser(), func(c *gin.Context) { c.Status(http.StatusNoContent) })
	if got := s.Ask("GET", "/twice").Header.Values("Vary"); !slices.Equal(got, []string{"Cookie"}) {
		t.Errorf("Vary is %q", got)
	}
}

// post sends a body with the browser's cookies and only these headers.
func post(s *sitetest.Site, path, body string, header ...string) *authtest.Page {
	s.T.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return s.Must(s.Browser.Do(r))
}
