package sitetest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/seal"
)

// RecordOf opens a session cookie with the key, and returns its name and its record.
func RecordOf(t testing.TB, box *seal.Box, line string) (name, record string) {
	t.Helper()
	name, value, _ := strings.Cut(line, "=")
	plain, _, err := box.Open(value[1:], name)
	if err != nil {
		t.Fatal(err)
	}
	return name, string(plain)
}

// SessionBox returns the Box that seals the Site's sessions.
func SessionBox(t testing.TB, s *Site) *seal.Box {
	t.Helper()
	box, err := seal.New([]string{Key}, s.URL, "session")
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// LoseCookies returns a function that makes the browser lose or alter the cookies whose names end
// with ending.
func LoseCookies(ending string, spoil bool) func(s *Site) {
	return func(s *Site) {
		s.T.Helper()
		for _, c := range s.Browser.Cookies(s.URL) {
			_, rest, _ := strings.Cut(c.Name, "ginauth-")
			if _, end, _ := strings.Cut(rest, "-"); end != ending {
				continue
			}
			if !spoil {
				s.Browser.RemoveCookie(s.URL, c.Name)
			} else if err := s.Browser.SetCookie(s.URL, &http.Cookie{Name: c.Name, Value: "1AAAA" + c.Value[5:], Path: "/"}); err != nil {
				s.T.Fatal(err)
			}
		}
	}
}

// SessionName matches the names of the one or two cookies of a session.
var SessionName = regexp.MustCompile(`^(__Host-)?ginauth-[A-Za-z0-9_-]{6}(-2)?$`)

// SessionCookies returns the browser's session cookies, in order.
func (s *Site) SessionCookies() (list []*http.Cookie) {
	for _, c := range s.Browser.Cookies(s.URL) {
		if SessionName.MatchString(c.Name) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *http.Cookie) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// SessionCookie returns the first of them.
func (s *Site) SessionCookie() *http.Cookie {
	s.T.Helper()
	list := s.SessionCookies()
	if len(list) == 0 {
		s.T.Fatal("the browser has no session cookie")
	}
	return list[0]
}

// CookieHeader returns the Cookie header that sends the browser's session.
func (s *Site) CookieHeader() string {
	var pairs []string
	for _, c := range s.SessionCookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// Stolen returns the subject of a Cookie header when another client sends it, or "". The Site must be
// from NewSession.
func (s *Site) Stolen(line string) string {
	s.T.Helper()
	r, err := http.NewRequest("GET", s.URL+"/who", nil)
	if err != nil {
		s.T.Fatal(err)
	}
	r.Header.Set("Cookie", line)
	transport := http.DefaultTransport
	if s.tls {
		transport = s.IDP.HTTPClient().Transport
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		s.T.Fatal(err)
	}
	defer response.Body.Close()
	who, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		s.T.Fatal(err)
	case response.StatusCode == http.StatusOK:
		return string(who)
	case response.StatusCode != http.StatusUnauthorized:
		s.T.Errorf("the response to a stolen session is %d %s\n%s", response.StatusCode, who, s.Logs)
	}
	return ""
}

// NewSession is New with two more routes: /who responds with the subject, and /update changes the
// session. The returned function requests /update.
func NewSession(t *testing.T, options func(s *Site, o *ginauth.Options)) (s *Site, update func(change func(*ginauth.User)) (*authtest.Page, error)) {
	t.Helper()
	s = New(t, options)
	s.Guard("/who", WriteSubject)
	var change func(*ginauth.User)
	var err error
	s.Guard("/update", func(c *gin.Context) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		err = s.Auth.Update(c, change)
		c.JSON(http.StatusOK, ginauth.CurrentUser(c.Request.Context()))
	})
	return s, func(f func(*ginauth.User)) (*authtest.Page, error) {
		change = f
		return s.Ask("POST", "/update", Fetch...), err
	}
}

// Groups returns groups with n bytes in total.
func Groups(n int) (groups []string) {
	for i := range n / 20 {
		groups = append(groups, fmt.Sprintf("group number %06d", i))
	}
	return groups
}

// Replica serves the same application in another instance at another address. A session of one can be
// sent to the other.
func (s *Site) Replica(change func(o *ginauth.Options)) *Site {
	s.T.Helper()
	r := &Site{T: s.T, Engine: gin.New(), IDP: s.IDP, Clock: s.Clock, Logs: s.Logs}
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{Key}, Logger: s.Logs.Logger(), Now: s.Clock.Now,
		Providers: []ginauth.Provider{Client("demo", s.IDP)}}
	change(&opts)
	var err error
	if r.Auth, err = ginauth.Mount(r.Engine, opts); err != nil {
		s.T.Fatal(err)
	}
	r.routes()
	r.Guard("/who", WriteSubject)
	server := httptest.NewServer(r.Engine)
	s.T.Cleanup(server.Close)
	r.URL, r.Browser = server.URL, r.NewBrowser()
	return r
}

// WriteSubject is a handler that responds with the subject.
func WriteSubject(c *gin.Context) { c.String(http.StatusOK, ginauth.CurrentUser(c).Subject) }

// Mint creates a session for a user, and returns its Cookie header.
func (s *Site) Mint(u *ginauth.User) string {
	s.T.Helper()
	recorder := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(recorder)
	c.Request = httptest.NewRequest("GET", "/", nil)
	if u.Provider == "" {
		u.Provider = "demo"
	}
	if err := s.Auth.SignIn(c, u, nil); err != nil {
		s.T.Fatal(err)
	}
	var pairs []string
	for _, line := range recorder.Header().Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}
	return strings.Join(pairs, "; ")
}
