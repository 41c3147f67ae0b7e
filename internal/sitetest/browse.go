package sitetest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// BothUsers is a handler that writes the users that CurrentUser finds in Gin's context and in the
// request's.
func (s *Site) BothUsers(c *gin.Context) {
	who := func(u *ginauth.User) string {
		if u == nil {
			return "nobody"
		}
		return u.Subject
	}
	c.String(http.StatusOK, "%s, %s", who(ginauth.CurrentUser(c)), who(ginauth.CurrentUser(c.Request.Context())))
}

// MustURL parses a URL.
func MustURL(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// As signs in the browser as subject, without the redirect to the provider.
func (s *Site) As(subject string, groups ...string) {
	s.T.Helper()
	s.AsUser(&ginauth.User{Subject: subject, Groups: groups})
}

// AsUser is As for a whole User.
func (s *Site) AsUser(u *ginauth.User) {
	s.T.Helper()
	if u.Provider == "" {
		u.Provider = "demo"
	}
	if err := authtest.SignIn(s.Auth, s.Browser, u); err != nil {
		s.T.Fatal(err)
	}
}

// Ask sends a request with the browser's cookies and only these headers, which are pairs of name and
// value.
func (s *Site) Ask(method, path string, header ...string) *authtest.Page {
	s.T.Helper()
	return s.AskAs(s.Browser, method, path, header...)
}

// AskAs is Ask with the cookies of another browser.
func (s *Site) AskAs(b *authtest.Browser, method, path string, header ...string) *authtest.Page {
	s.T.Helper()
	r, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return s.Must(b.Do(r))
}

// Protected is a handler that counts its calls in Ran.
func (s *Site) Protected(c *gin.Context) {
	s.Ran.Add(1)
	c.String(http.StatusOK, "the protected page")
}

// Headers that browsers send, for Ask.
var (
	Navigation = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none", "Accept", "text/html,*/*;q=0.8"}
	Fetch      = []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "same-origin", "Accept", "*/*"}
	Upgrade    = []string{"Connection", "keep-alive, Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	OldPage    = []string{"Accept", "text/html,application/xhtml+xml"}
)

// Plus returns headers with more appended.
func Plus(header []string, more ...string) []string {
	return append(append([]string{}, header...), more...)
}

// HomePage returns the application's home page, for requests of its scripts.
func HomePage(s *Site) *authtest.Page { return authtest.At(s.URL + "/") }

// Get opens a page as if its address were typed, and follows redirects.
func (s *Site) Get(path string) *authtest.Page {
	s.T.Helper()
	return s.Must(s.Browser.Get(s.URL + path))
}

// Open is Get without following redirects.
func (s *Site) Open(path string) *authtest.Page {
	s.T.Helper()
	return s.Must(s.Browser.Open(s.URL + path))
}

// Must returns the page, or ends the test if there is an error.
func (s *Site) Must(p *authtest.Page, err error) *authtest.Page {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
	return p
}

// SignIn signs the browser in and returns the page on which it lands.
func (s *Site) SignIn() *authtest.Page {
	s.T.Helper()
	p := s.Get("/login/demo")
	if p.Status != http.StatusOK || s.User() == nil {
		s.T.Fatalf("signing in ended at %s with status %d: %s\n%s", p.URL, p.Status, p.Text(), s.Logs)
	}
	return p
}

// Begin starts a sign-in at path and stops at the provider's redirect. It returns the URL of the
// callback, which is not opened yet.
func (s *Site) Begin(path string) *url.URL {
	s.T.Helper()
	var callback *url.URL
	b := s.Browser
	b.StopAt = func(next *url.URL) bool {
		answers := next.Query().Has("state") && (next.Query().Has("code") || next.Query().Has("error"))
		if (answers || strings.HasPrefix(next.Path, "/authorize/")) && strings.HasPrefix(next.String(), s.URL) {
			callback = next
			return true
		}
		return false
	}
	defer func() { b.StopAt = nil }()
	p := s.Get(path)
	if callback == nil {
		s.T.Fatalf("the sign-in ended at %s with status %d: %s\n%s", p.URL, p.Status, p.Text(), s.Logs)
	}
	return callback
}

// Finish opens a callback as the provider's redirect does.
func (s *Site) Finish(callback *url.URL) *authtest.Page {
	s.T.Helper()
	return s.Must(s.Browser.Click(authtest.At(s.IDP.Issuer+"/authorize"), callback.String()))
}

// User returns the signed-in user of the browser, or nil.
func (s *Site) User() *ginauth.User { return s.UserOf(s.Browser) }

// UserOf is User for another browser.
func (s *Site) UserOf(b *authtest.Browser) *ginauth.User {
	s.T.Helper()
	p, err := b.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", nil, "")
	if err != nil {
		s.T.Fatal(err)
	}
	if p.Status != http.StatusOK {
		return nil
	}
	u := new(ginauth.User)
	if err := json.Unmarshal(p.Body, u); err != nil {
		s.T.Fatalf("/me: %v: %s", err, p.Text())
	}
	return u
}

// Teapot is a handler of the application that answers with 418.
func Teapot(c *gin.Context) { c.String(http.StatusTeapot, "the application's own") }

// Guard adds a route behind RequireAuth, for every method.
func (s *Site) Guard(path string, h gin.HandlerFunc) {
	s.Engine.Any(path, s.Auth.RequireAuth(), h)
}
