package faults

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsGuard(t *testing.T) {
	runFaults(t, []fault{
		{"O1_nothing_runs_behind_the_guard", o1NothingRunsBehindTheGuard},
		{"O2_nothing_runs_for_the_wrong_user", o2NothingRunsForTheWrongUser},
		{"O3_who_is_asking", o3WhoIsAsking},
		{"O3_fail_behind_load_user", o3FailBehindLoadUser},
		{"O4_preflight", o4Preflight},
	})
}

// The guard aborts: neither the middleware behind it nor the handler runs, and the response
// contains none of their output.
func o1NothingRunsBehindTheGuard(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	behind := func(c *gin.Context) {
		s.Ran.Add(1)
		c.Header("X-Behind", "1")
		_, _ = c.Writer.WriteString("something protected")
	}
	group := s.Engine.Group("/group", s.Auth.RequireAuth(), behind)
	group.Any("/page", behind, behind)
	s.Engine.Any("/single", behind2(s.Auth.RequireAuth()), behind)
	s.Engine.Any("/calls-next", s.Auth.RequireAuth(), func(c *gin.Context) { c.Next(); behind(c) }, behind)
	s.Engine.NoRoute(s.Auth.RequireAuth(), behind)
	late := s.Engine.Group("/late")
	late.Use(s.Auth.LoadUser(), s.Auth.RequireAuth(), behind)
	late.Any("/page", behind)
	for _, path := range []string{"/group/page", "/single", "/calls-next", "/late/page", "/nowhere"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"} {
			for _, header := range [][]string{sitetest.Navigation, sitetest.Fetch, sitetest.Upgrade, nil} {
				p := s.Ask(method, path, header...)
				if p.Status != http.StatusUnauthorized && p.Status != http.StatusSeeOther || p.Header.Get("X-Behind") != "" || strings.Contains(p.Text(), "protected") {
					t.Errorf("%s %s: %d %q", method, path, p.Status, p.Text())
				}
			}
		}
	}
	if n := s.Ran.Load(); n != 0 {
		t.Errorf("%d handlers ran", n)
	}
	s.As("ada")
	if p := s.Ask("GET", "/group/page"); p.Status != http.StatusOK || s.Ran.Load() != 3 {
		t.Errorf("signed in: %d, %d handlers ran", p.Status, s.Ran.Load())
	}
}

// behind2 calls the guard from a middleware, as applications do that wrap it; it aborts, too.
func behind2(guard gin.HandlerFunc) gin.HandlerFunc { return func(c *gin.Context) { guard(c) } }

func o2NothingRunsForTheWrongUser(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		code ginauth.Code
		make func(s *sitetest.Site, f *sitetest.FaultyRevocations)
	}{
		{"the wrong group", ginauth.ErrForbidden, func(s *sitetest.Site, _ *sitetest.FaultyRevocations) { s.As("ada", "staff") }},
		{"a check that panics", ginauth.ErrForbidden, func(s *sitetest.Site, _ *sitetest.FaultyRevocations) { s.As("panic", "admin") }},
		{"a session that is over", ginauth.ErrUnauthenticated, func(s *sitetest.Site, _ *sitetest.FaultyRevocations) {
			s.As("ada", "admin")
			s.Browser.Now = time.Now // a browser that keeps expired cookies
			s.Clock.Advance(25 * time.Hour)
		}},
		{"a session that was revoked", ginauth.ErrUnauthenticated, func(s *sitetest.Site, f *sitetest.FaultyRevocations) {
			s.As("ada", "admin")
			s.User()
			if err := f.Revoke(s.T.Context(), f.Asked[0], s.Clock.Now(), time.Hour); err != nil {
				s.T.Fatal(err)
			}
		}},
		{"a person who was revoked", ginauth.ErrUnauthenticated, func(s *sitetest.Site, f *sitetest.FaultyRevocations) {
			s.As("ada", "admin")
			s.User()
			if err := f.Revoke(s.T.Context(), f.Asked[1], s.Clock.Now(), time.Hour); err != nil {
				s.T.Fatal(err)
			}
		}},
		{"revocations that cannot be read", ginauth.ErrStoreUnavailable, func(s *sitetest.Site, f *sitetest.FaultyRevocations) {
			s.As("ada", "admin")
			f.ReadErr = errors.New("down")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &sitetest.FaultyRevocations{}
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
				f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
				o.Revocations = f
			})
			ran := 0
			s.Engine.Any("/admins", s.Auth.RequireAuth(ginauth.HasGroup("admin"), func(u *ginauth.User) error {
				if u.Subject == "panic" {
					panic("in a check")
				}
				return nil
			}), func(c *gin.Context) { ran++ })
			tt.make(s, f)
			for _, method := range []string{"GET", "POST"} {
				s.WantError(s.Ask(method, "/admins", sitetest.Fetch...), tt.code)
			}
			if p := s.Ask("GET", "/admins", sitetest.Navigation...); tt.code == ginauth.ErrUnauthenticated && p.Status != http.StatusSeeOther || tt.code != ginauth.ErrUnauthenticated && p.Status < 400 {
				t.Errorf("a visit gets %d", p.Status)
			}
			if ran != 0 {
				t.Error("the handler ran")
			}
		})
	}
}

// A preflight is a request like any other: only the application's own CORS middleware in front
// of the guard can allow it.
func o4Preflight(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	preflight := []string{"Origin", "https://front.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "authorization",
		"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "cross-site"}
	s.Engine.Any("/api", s.Auth.RequireAuth(), s.Protected)
	p := s.Ask("OPTIONS", "/api", preflight...)
	s.WantError(p, ginauth.ErrUnauthenticated)
	for name := range p.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("the guard responds with %s", name)
		}
	}
	cors := func(c *gin.Context) {
		c.Header("Access-Control-Allow-Origin", "https://front.example")
		if c.Request.Method == http.MethodOptions {
			c.AbortWithStatus(http.StatusNoContent)
		}
	}
	s.Engine.Group("/cors", cors, s.Auth.RequireAuth()).Any("/api", s.Protected)
	if p := s.Ask("OPTIONS", "/cors/api", preflight...); p.Status != http.StatusNoContent {
		t.Errorf("the application's CORS responded %d", p.Status)
	}
	p = s.Ask("GET", "/cors/api", sitetest.Fetch...)
	if s.WantError(p, ginauth.ErrUnauthenticated); p.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("the error response lost the application's CORS header, so its script cannot read it")
	}
	if s.Ran.Load() != 0 {
		t.Error("a handler ran")
	}
}

func trickyPaths(paths ...string) (list []string) {
	for _, p := range paths {
		last := p[len(p)-1:]
		list = append(list, p, p+"/", p+"//", "/"+p, "//"+p, p+"/.", p+"/..;/", p+"/../"+last, "/ping/.."+p, "/ping/..;"+p, "/ping;"+p, "/./"+p, p+"?/ping", p+";/ping",
			p+".", p+"%20", p+"%00", p+"%09", p+"%2f", p+"%2F..%2Fping", "/ping%2f.."+p, "/ping/%2e%2e"+p, "/%2e"+p, strings.Replace(p, last, "%"+hexOf(last), 1),
			strings.ToUpper(p), p+".css", p+"/favicon.ico", p+"/healthz", p+"/ping", "/login"+p, "/login/.."+p, "/authorize/.."+p, "/logout/.."+p, `\`+p, p+`\`, p+"%5c", p+"#/ping")
	}
	return list
}

// The guard's response to a request without a session.
const (
	toLogin   = "a redirect to the login"
	asJSON    = "401 as JSON"
	asPage    = "401 as a page with a button"
	asHTMX    = "401 with HX-Redirect"
	asFailure = "an error that the browser throws away"
	noReturn  = "/login"
	andBack   = "/login?return_to=%2Fany%3Fx%3D1"
)

// guardAnswers are the guard's responses to requests without a session, by client.
var guardAnswers = []struct {
	name, method string
	header       []string
	answer       string
	login        string // the login URL, with the return path
}{
	{"a page that is opened", "GET", sitetest.Navigation, toLogin, andBack},
	{"a page that an old browser opens", "GET", sitetest.OldPage, toLogin, andBack},
	{"HEAD of a page", "HEAD", sitetest.Navigation, toLogin, andBack},
	{"HEAD by an old browser", "HEAD", sitetest.OldPage, toLogin, andBack},
	{"HEAD by a program", "HEAD", nil, asJSON, noReturn},
	{"fetch", "GET", sitetest.Fetch, asJSON, noReturn},
	{"fetch that accepts HTML", "GET", sitetest.Plus(sitetest.Fetch[:6], "Accept", "text/html"), asJSON, noReturn},
	{"XMLHttpRequest of an old library", "GET", sitetest.Plus(sitetest.OldPage, "X-Requested-With", "XMLHttpRequest"), asJSON, noReturn},
	{"a program that wants JSON", "GET", []string{"Accept", "application/json"}, asJSON, noReturn},
	{"a program that says nothing", "GET", nil, asJSON, noReturn},
	{"a frame", "GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Accept", "text/html"}, asJSON, noReturn},
	{"an image", "GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "text/html"}, asJSON, noReturn},
	{"half the Fetch Metadata", "GET", []string{"Sec-Fetch-Mode", "navigate", "Accept", "text/html"}, asJSON, noReturn},
	{"the other half", "GET", []string{"Sec-Fetch-Dest", "document", "Accept", "text/html"}, asJSON, noReturn},
	{"a WebSocket handshake", "GET", sitetest.Upgrade, asJSON, noReturn},
	{"a WebSocket handshake in a page's clothes", "GET", sitetest.Plus(sitetest.Navigation, sitetest.Upgrade...), asJSON, noReturn},
	{"a preflight", "OPTIONS", []string{"Origin", "https://other.example", "Access-Control-Request-Method", "PUT", "Sec-Fetch-Mode", "cors"}, asJSON, noReturn},
	{"a form", "POST", sitetest.Navigation, asPage, noReturn},
	{"a form of an old browser", "POST", sitetest.OldPage, asPage, noReturn},
	{"POST by fetch", "POST", sitetest.Fetch, asJSON, noReturn},
	{"PUT by fetch", "PUT", sitetest.Fetch, asJSON, noReturn},
	{"DELETE by a program", "DELETE", nil, asJSON, noReturn},
	{"a prefetch", "GET", sitetest.Plus(sitetest.Navigation, "Sec-Purpose", "prefetch"), asFailure, noReturn},
	{"HTMX", "GET", sitetest.Plus(sitetest.Fetch, "HX-Request", "true"), asHTMX, noReturn},
	{"HTMX that sends a form", "POST", sitetest.Plus(sitetest.Fetch, "HX-Request", "true"), asHTMX, noReturn},
}

// A page load is redirected to the login; other requests get 401, without a cookie.
func o3WhoIsAsking(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Engine.Any("/any", s.Auth.RequireAuth(), s.Protected)
	for _, tt := range guardAnswers {
		t.Run(tt.name, func(t *testing.T) {
			p := s.Ask(tt.method, "/any?x=1", tt.header...)
			sitetest.WantHeaders(t, p)
			wantAnswer(t, p, tt.method, tt.answer, tt.login)
			if got := p.Header.Values("Set-Cookie"); len(got) > 0 {
				t.Errorf("a refusal sets cookies: %q", got)
			}
			if s.Ran.Load() != 0 || strings.Contains(p.Text(), "protected") {
				t.Fatal("the protected handler ran")
			}
		})
	}
	if n := s.IDP.Count(authtest.Discovery); n != 0 {
		t.Errorf("rejected requests caused %d requests to the provider", n)
	}
	if strings.Contains(s.Logs.String(), " code=") {
		t.Errorf("that no user is signed in is no failure, but was logged: %s", s.Logs)
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
		t.Fatalf("the response is %d to %q, want %d to %q: %s", p.Status, p.Header.Get("Location"), status, location, p.Text())
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
			t.Errorf("the response is not JSON with error, login_url and request_id: %v %s", err, p.Text())
		}
	case asPage:
		if !strings.Contains(p.Header.Get("Content-Type"), "text/html") || !strings.Contains(p.Text(), `href="`+login+`"`) ||
			!strings.Contains(p.Text(), string(ginauth.ErrUnauthenticated)) {
			t.Errorf("the response is not a page with a link to sign in: %s", p.Text())
		}
	}
}

// If the origin or a credential excludes the session, LoadUser finds no user, and Fail responds
// as to any such request: the guard is present, and the cookie does not count.
func o3FailBehindLoadUser(t *testing.T) {
	t.Parallel()
	k := newKeyed(t, func(c *gin.Context, key string) (*ginauth.User, error) {
		if key == "revoked" {
			return nil, ginauth.ErrInvalidToken
		}
		return byKey(c, key)
	})
	handler := func(s *sitetest.Site) gin.HandlerFunc {
		return func(c *gin.Context) {
			if err := ginauth.MaxAge(time.Hour)(ginauth.CurrentUser(c)); err != nil {
				s.Auth.Fail(c, err)
				return
			}
			c.String(http.StatusOK, "the session counts")
		}
	}
	plain := sitetest.New(t, nil)
	for _, s := range []*sitetest.Site{k.Site, plain} {
		s.Engine.Any("/behind", s.Auth.LoadUser(), handler(s))
		s.Engine.Any("/bare", handler(s))
		s.As("ada")
	}
	evil := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	for _, tt := range []struct {
		site   *sitetest.Site
		method string
		header []string
		bare   ginauth.Code // code of the handler without a guard
	}{
		{plain, "POST", evil, ginauth.ErrUnauthenticated},
		{k.Site, "POST", evil, ginauth.ErrUnauthenticated},
		{k.Site, "GET", []string{"Authorization", "Bearer stale"}, ginauth.ErrUnauthenticated},
		{k.Site, "POST", sitetest.Plus(evil, "Authorization", "Bearer stale"), ginauth.ErrUnauthenticated},
		{k.Site, "GET", []string{"X-Key", "revoked"}, ginauth.ErrSessionError}, // the key has not been checked
		{plain, "GET", []string{"Authorization", "Bearer stale"}, ginauth.ErrSessionError},
		{k.Site, "GET", nil, ginauth.ErrSessionError},
		{plain, "POST", sitetest.Fetch, ginauth.ErrSessionError},
	} {
		tt.site.WantError(tt.site.Ask(tt.method, "/bare", tt.header...), tt.bare)
		p := tt.site.Ask(tt.method, "/behind", tt.header...)
		if tt.bare == ginauth.ErrSessionError && (tt.header == nil || tt.site == plain) {
			if p.Text() != "the session counts" {
				t.Errorf("%s %q behind LoadUser: %d %s", tt.method, tt.header, p.Status, p.Text())
			}
			continue
		}
		tt.site.WantError(p, ginauth.ErrUnauthenticated)
		if len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%q: the response sets %q", tt.header, p.Header.Values("Set-Cookie"))
		}
	}
}
