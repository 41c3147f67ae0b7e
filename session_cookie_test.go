package ginauth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestClearedCookiesAreNotCached(t *testing.T) {
	s := sitetest.NewTLS(t, nil)
	s.Engine.GET("/public", s.Auth.LoadUser(), func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age=600")
		c.String(http.StatusOK, "news")
	})
	s.SignIn()
	one := s.CookieHeader()
	s.Browser = s.NewBrowser()
	s.SignIn()
	req, _ := http.NewRequest("GET", s.URL+"/public", nil)
	req.Header.Set("Cookie", one+"; "+s.CookieHeader())
	p := s.Must(s.NewBrowser().Do(req))
	if len(p.Header["Set-Cookie"]) == 0 || strings.Contains(p.Header.Get("Cache-Control"), "public") {
		t.Errorf("Cache-Control %q with cookies %q", p.Header.Get("Cache-Control"), p.Header["Set-Cookie"])
	}
}

// The error for a session that is too large names its large parts, or else the largest.
func TestWhatMakesASessionTooLarge(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	many := map[string]string{}
	for i := range 400 {
		many[fmt.Sprintf("k%03d", i)] = strings.Repeat("x", 80)
	}
	for want, data := range map[string]map[string]string{"data big (20.0 KB)": {"big": strings.Repeat("x", 20_000)}, "(0.1 KB)": many} {
		s.Logs.Reset()
		err := authtest.SignIn(s.Auth, s.NewBrowser(), &ginauth.User{Provider: "demo", Subject: "ada", Data: data})
		if got := fmt.Sprint(err); !strings.Contains(got, want) || strings.Count(got, " KB)") != 1 {
			t.Errorf("got %s, want %s alone", got, want)
		}
	}
}

// Two different sessions in one request are rejected, even if one of them occurs more often: the
// right one is unknown. The same session twice is accepted.
func TestTwoSessionsInOneRequest(t *testing.T) {
	t.Parallel()
	inStore := sitetest.NewStore(t, memstore.NewStore([]byte("the store's secret")))
	inCookie := sitetest.NewFlow(t, nil)
	inCookie.Guard("/who", sitetest.WriteSubject)
	for home, f := range map[string]*sitetest.Flow{"a cookie": inCookie, "a store": inStore} {
		line := func() string {
			f.Browser = f.NewBrowser()
			f.SignIn()
			var pairs []string
			for _, c := range append(f.OwnCookies(""), f.OwnCookies("-b")...) {
				pairs = append(pairs, c.Name+"="+c.Value)
			}
			return strings.Join(pairs, "; ")
		}
		first, second := line(), line()
		if got := f.Stolen(first + "; " + first); got != "ada" {
			t.Errorf("in %s: one session that is there twice is %q", home, got)
		}
		// This clears them if they are in a store.
		if got := f.Stolen(first + "; " + second + "; " + second); got != "" {
			t.Errorf("in %s: two sessions, one of them twice, are %q", home, got)
		}
	}
}

// One cookie, then two, then one again: the second must be removed, or it would be read as part
// of another session.
func TestSessionSize(t *testing.T) {
	t.Parallel()
	s, update := sitetest.NewSession(t, nil)
	s.AsUser(&ginauth.User{Subject: "ada", Name: "Ada"})
	for i, tt := range []struct{ bytes, cookies int }{{0, 1}, {4000, 2}, {5000, 2}, {100, 1}, {3000, 2}, {0, 1}} {
		if _, err := update(func(u *ginauth.User) { u.Groups = sitetest.Groups(tt.bytes) }); err != nil {
			t.Fatalf("step %d, %d bytes of groups: %v", i, tt.bytes, err)
		}
		list := s.SessionCookies()
		if len(list) != tt.cookies {
			t.Errorf("step %d, %d bytes of groups: %d cookies, want %d", i, tt.bytes, len(list), tt.cookies)
		}
		for _, c := range list {
			if size := len(c.Name) + len(c.Value); size > 3800 {
				t.Errorf("step %d: a cookie of %d bytes", i, size)
			}
		}
		if u := s.User(); u == nil || !slices.Equal(u.Groups, sitetest.Groups(tt.bytes)) {
			t.Fatalf("step %d: the session is lost or cut: %+v", i, u)
		}
	}
	if refused := s.Browser.RefusedCookies(); len(refused) > 0 {
		t.Errorf("the browser refused %q", refused)
	}
	// In one response, too.
	s.Guard("/both", func(c *gin.Context) {
		for _, n := range []int{5000, 0} {
			if err := s.Auth.Update(c, func(u *ginauth.User) { u.Groups = sitetest.Groups(n) }); err != nil {
				t.Error(err)
			}
		}
	})
	if s.Ask("GET", "/both"); len(s.SessionCookies()) != 1 || s.User() == nil {
		t.Errorf("after growing and shrinking in one request: %v", s.SessionCookies())
	}
}
