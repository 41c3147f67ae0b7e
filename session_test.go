package ginauth_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// sessionName is the name of a session's cookie, or of its second one.
var sessionName = regexp.MustCompile(`^(__Host-)?ginauth-[A-Za-z0-9_-]{6}(-2)?$`)

// sessionCookies are the browser's cookies that hold its session, the first
// one first.
func (s *site) sessionCookies() (list []*http.Cookie) {
	for _, c := range s.browser.Cookies(s.URL) {
		if sessionName.MatchString(c.Name) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *http.Cookie) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (s *site) sessionCookie() *http.Cookie {
	s.t.Helper()
	list := s.sessionCookies()
	if len(list) == 0 {
		s.t.Fatal("the browser has no session cookie")
	}
	return list[0]
}
