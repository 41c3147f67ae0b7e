package ginauth_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// passwordPage is a sign-in page of the application.
var passwordPage = ginauth.Provider{Name: "password", Namespace: "https://app.example.com/accounts", LoginPage: "/password"}

// If the page redirects users without signing them in, they and the log get an error before the
// browser stops redirecting.
func TestPagesThatSendPeopleRoundAndRound(t *testing.T) {
	t.Parallel()
	own := func(_ *sitetest.Site, o *ginauth.Options) { o.LoginPage = "/password" }
	only := func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = []ginauth.Provider{passwordPage} }
	beside := func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = append(o.Providers, passwordPage) }
	for name, w := range map[string]struct {
		change func(*sitetest.Site, *ginauth.Options)
		to     func(*ginauth.Auth, *gin.Context) string
		start  string
	}{
		"LoginPage to the choice of providers":        {own, func(a *ginauth.Auth, c *gin.Context) string { return a.LoginURL("", c.Query("return_to")) }, "/me"},
		"LoginPage to a guarded page":                 {own, func(*ginauth.Auth, *gin.Context) string { return "/page/home" }, "/me"},
		"LoginPage back to where the browser was":     {own, func(a *ginauth.Auth, c *gin.Context) string { return a.ReturnTo(c) }, "/me?x=1"},
		"a provider's page to where the browser was":  {only, func(a *ginauth.Auth, c *gin.Context) string { return a.ReturnTo(c) }, "/page/x?y=1"},
		"a provider's page to itself":                 {only, func(a *ginauth.Auth, c *gin.Context) string { return a.LoginURL("password", c.Query("return_to")) }, "/me"},
		"a provider's page to itself, among several":  {beside, func(a *ginauth.Auth, c *gin.Context) string { return a.LoginURL("password", "") }, "/login/password"},
		"a provider's page to the choice, of one":     {only, func(a *ginauth.Auth, c *gin.Context) string { return a.LoginURL("", c.Query("return_to")) }, "/login"},
		"a provider's page to a guarded page, always": {only, func(*ginauth.Auth, *gin.Context) string { return "/me" }, "/login?return_to=/page/x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, w.change)
			mended := false
			s.Engine.GET("/password", func(c *gin.Context) {
				if mended {
					c.String(http.StatusOK, "the page")
					return
				}
				c.Redirect(http.StatusFound, w.to(s.Auth, c))
			})
			p := s.Get(w.start)
			s.WantError(p, ginauth.ErrLoginLoop)
			if n := len(p.Hops); n >= 20 {
				t.Errorf("the error came after %d responses: browsers stop before that", n)
			}
			if lines := s.Logs.Lines("ERROR", "login.page_redirects"); len(lines) != 1 {
				t.Errorf("the log has %q", lines)
			}
			mended = true
			s.Clock.Advance(time.Second)
			if p := s.Get(w.start); p.Text() != "the page" {
				t.Errorf("once it is mended: %d at %s", p.Status, p.URL)
			}
		})
	}
}

// Users reload pages, and open many tabs at once.
func TestManyTabsAreNoLoop(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sitetest.Site, *ginauth.Options){
		"LoginPage":         func(_ *sitetest.Site, o *ginauth.Options) { o.LoginPage = "/password" },
		"a provider's page": func(_ *sitetest.Site, o *ginauth.Options) { o.Providers = []ginauth.Provider{passwordPage} },
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, change)
			s.Engine.GET("/password", func(c *gin.Context) { c.String(http.StatusOK, "the page") })
			shown := func(path string) {
				t.Helper()
				if p := s.Get(path); p.Status != http.StatusOK || p.Text() != "the page" {
					t.Fatalf("%s: %d at %s", path, p.Status, p.URL)
				}
			}
			for i := range 30 { // a browser that restores its tabs
				shown(fmt.Sprintf("/page/%d", i))
			}
			for range 3 {
				shown("/me")
			}
			for range 30 {
				s.Clock.Advance(time.Second)
				shown("/me")
			}
			for range 30 { // requests that are not page loads are not redirected, and do not count
				if p := s.Ask("GET", "/me", sitetest.Fetch...); p.Status != http.StatusUnauthorized || len(p.Header["Set-Cookie"]) > 0 {
					t.Fatalf("a fetch: %d, %q", p.Status, p.Header["Set-Cookie"])
				}
			}
			shown("/me")
		})
	}
}
