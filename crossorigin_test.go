package ginauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// crossOriginRequests come with the session's cookie; SELF stands for the
// application's origin, HOST for its host, OTHER for the scheme it has not.
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
	{"a WebSocket of our own page", "GET", plus(upgrades, "Origin", "SELF"), false},
	{"a WebSocket of our own page, with Fetch Metadata", "GET", plus(upgrades, "Origin", "SELF", "Sec-Fetch-Site", "same-origin"), false},
	{"a WebSocket of another site", "GET", plus(upgrades, "Origin", "https://evil.example"), true},
	{"a WebSocket of another site, with Fetch Metadata", "GET", plus(upgrades, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), true},
	{"a WebSocket of another site with our own origin", "GET", plus(upgrades, "Origin", "SELF", "Sec-Fetch-Site", "cross-site"), true},
	{"a WebSocket of a sibling subdomain", "GET", plus(upgrades, "Origin", "http://sibling.localhost", "Sec-Fetch-Site", "same-site"), true},
	{"a WebSocket of a sandboxed frame", "GET", plus(upgrades, "Origin", "null"), true},
	{"a WebSocket of our host over the other scheme", "GET", plus(upgrades, "Origin", "OTHER://HOST"), true},
	{"a WebSocket of a trusted origin", "GET", plus(upgrades, "Origin", "https://admin.example"), false},
	{"a WebSocket of a program", "GET", upgrades, false},
}

func TestRequestsFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	for other, start := range map[string]func(testing.TB, func(*site, *ginauth.Options)) *site{"https": newSite, "http": newTLSSite} {
		requestsFromAnotherOrigin(t, start(t, func(_ *site, o *ginauth.Options) { o.TrustedOrigins = []string{"https://admin.example"} }), other)
	}
}

func requestsFromAnotherOrigin(t *testing.T, s *site, otherScheme string) {
	_, host, _ := strings.Cut(s.URL, "://")
	replace := strings.NewReplacer("SELF", s.URL, "HOST", host, "OTHER", otherScheme)
	s.engine.Any("/guarded", s.auth.RequireAuth(), s.count)
	s.engine.Any("/loaded", s.auth.LoadUser(), s.both)
	s.engine.Any("/updated", s.auth.LoadUser(), func(c *gin.Context) {
		if err := s.auth.Update(c, func(u *ginauth.User) { s.ran.Add(1) }); err != nil {
			c.String(http.StatusOK, err.Error())
		}
	})
	for path, act := range map[string]func(c *gin.Context) error{
		"/out": s.auth.Logout,
		"/in": func(c *gin.Context) error {
			return s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"})
		},
	} {
		s.engine.Any(path, func(c *gin.Context) {
			if err := act(c); errors.Is(err, ginauth.ErrCrossOrigin) {
				c.String(http.StatusOK, "refused")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	s.as("ada")
	for _, tt := range crossOriginRequests {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			for _, text := range tt.header {
				header = append(header, replace.Replace(text))
			}
			ran := s.ran.Load()
			p := s.ask(tt.method, "/guarded", header...)
			loaded := s.ask(tt.method, "/loaded", header...)
			for _, path := range []string{"/in", "/out"} {
				b := s.browser.Clone()
				defer b.Close()
				p := s.askAs(b, tt.method, path, header...)
				if changed := len(p.Header.Values("Set-Cookie")) > 0; changed == tt.refused || (p.Text() == "refused") != tt.refused {
					t.Errorf("%s: cookies %q, and it says %q", path, p.Header.Values("Set-Cookie"), p.Text())
				}
			}
			if !tt.refused {
				s.browser = s.newBrowser()
				s.as("ada") // Logout and SignIn have ended the session
				if p.Status != http.StatusOK || s.ran.Load() != ran+1 {
					t.Errorf("was refused: %d %s", p.Status, p.Text())
				}
				if tt.method != "HEAD" && loaded.Text() != "ada, ada" {
					t.Errorf("is anonymous to LoadUser: %q", loaded.Text())
				}
				return
			}
			s.wantError(p, ginauth.ErrCrossOrigin)
			if loaded.Text() != "nobody, nobody" {
				t.Errorf("LoadUser says it is %q", loaded.Text())
			}
			updated := s.ask(tt.method, "/updated", header...)
			if !strings.Contains(updated.Text(), "another origin") || len(updated.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("Update: %q", updated.Text())
			}
			if s.ran.Load() != ran {
				t.Error("a handler ran")
			}
		})
	}
	if !strings.Contains(s.logs.String(), "Options.TrustedOrigins") {
		t.Errorf("the log does not say what to do: %s", s.logs)
	}
	if s.user() == nil {
		t.Error("a refusal ended the session")
	}
}

// Linking an account has to be asked for by a page of this origin, and Sec-Fetch-Site
// counts more than Origin.
func TestLinkingFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.as("ada")
	for _, tt := range []struct {
		site, origin string
		refused      bool
	}{
		{"same-origin", s.URL, false}, {"", s.URL, false}, {"cross-site", s.URL, true}, {"same-site", s.URL, true}, {"", "", true},
	} {
		r := httptest.NewRequest("POST", s.URL+"/login/demo", strings.NewReader("link=true"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, value := range map[string]string{"Sec-Fetch-Site": tt.site, "Origin": tt.origin} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		r.AddCookie(s.sessionCookie())
		w := httptest.NewRecorder()
		s.engine.ServeHTTP(w, r)
		if refused := w.Code == http.StatusForbidden; refused != tt.refused {
			t.Errorf("Sec-Fetch-Site %q, Origin %q: status %d", tt.site, tt.origin, w.Code)
		}
	}
}

// both says who CurrentUser finds in Gin's context, and in the request's.
func (s *site) both(c *gin.Context) {
	who := func(u *ginauth.User) string {
		if u == nil {
			return "nobody"
		}
		return u.Subject
	}
	c.String(http.StatusOK, "%s, %s", who(ginauth.CurrentUser(c)), who(ginauth.CurrentUser(c.Request.Context())))
}

// Without the session's cookie there is nothing to protect: it is a visitor
// who is not signed in.
func TestAnotherOriginWithoutSession(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := s.ask("POST", "/me", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	s.wantError(p, ginauth.ErrUnauthenticated)
}

// What SameSite=Lax does not stop, since a sibling subdomain is the same site;
// and what it stops already.
func TestFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]bool{"today's browser": false, "a browser without Fetch Metadata": true} {
		t.Run(name, func(t *testing.T) {
			s := newTLSSite(t, nil)
			s.as("ada")
			s.browser.NoFetchMetadata = old
			for _, tt := range []struct {
				from string
				code ginauth.Code
			}{
				{"https://evil.app.localhost/", ginauth.ErrCrossOrigin},
				{strings.Replace(s.URL, "app.localhost", "other.app.localhost", 1), ginauth.ErrCrossOrigin},
				{"https://app.localhost:1/", ginauth.ErrCrossOrigin},
				{"https://evil.example/", ginauth.ErrUnauthenticated},
			} {
				p := s.must(s.browser.Submit(authtest.At(tt.from), s.URL+"/me", url.Values{"x": {"1"}}))
				s.wantError(p, tt.code)
			}
			if s.ran.Load() != 0 {
				t.Error("a handler ran")
			}
			p := s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/me", url.Values{"x": {"1"}}))
			if p.Status != http.StatusOK || s.ran.Load() != 1 {
				t.Errorf("a form of our own: %d %s", p.Status, p.Text())
			}
		})
	}
}
