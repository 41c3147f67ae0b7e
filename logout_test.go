package ginauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func TestLogoutURL(t *testing.T) {
	for _, tt := range []struct{ name, base, group, returnTo, want string }{
		{"no page", "https://app.example.com", "", "", "https://app.example.com/logout"},
		{"a page", "https://app.example.com", "", "/x?y=1&z=/#top", "https://app.example.com/logout?return_to=%2Fx%3Fy%3D1%26z%3D%2F%23top"},
		{"a BaseURL that ends in a slash", "https://app.example.com/", "", "/x", "https://app.example.com/logout?return_to=%2Fx"},
		{"a prefix and a group", "https://app.example.com/shop", "/auth", "/x", "https://app.example.com/shop/auth/logout?return_to=%2Fx"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			auth, err := ginauth.Mount(gin.New().Group(tt.group), ginauth.Options{
				BaseURL: tt.base, Keys: []string{testKey}, Logger: new(logs).Logger(), Providers: []ginauth.Provider{offline("demo")},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := auth.LogoutURL(tt.returnTo); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A form may have a field that says where to go, and then needs no LogoutURL
// that does.
func TestLogoutURLLeadsThere(t *testing.T) {
	for name, there := range map[string]bool{"at the provider too": true, "here only": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].Logout.Local, o.AfterLogout = !there, "/open/bye" })
			s.engine.GET("/open/*any", teapot)
			for _, tt := range []struct{ returnTo, field, want string }{
				{"/open/x?y=1#z", "", "/open/x?y=1#z"}, {"", "", "/open/bye"}, {"", "/open/field", "/open/field"}, {"/open/x", "/open/field", "/open/field"},
				{"//evil.example/", "", "/open/bye"}, {"https://evil.example/", "", "/open/bye"}, {"/logout", "", "/open/bye"}, {"/open/x", "//evil.example/", "/open/bye"},
			} {
				form := url.Values{}
				if tt.field != "" {
					form.Set("return_to", tt.field)
				}
				s.signIn()
				before := s.idp.Count(authtest.EndSession)
				p := s.must(s.browser.Submit(s.open("/"), s.auth.LogoutURL(tt.returnTo), form))
				if got := p.URL.String(); got != s.URL+tt.want || s.user() != nil || s.idp.Count(authtest.EndSession) > before != there {
					t.Errorf("a form to LogoutURL(%q) with the field %q led to %s", tt.returnTo, tt.field, got)
				}
				if tt.field == "" {
					s.signIn()
					p = s.must(s.browser.SubmitForm(s.must(s.browser.Get(s.auth.LogoutURL(tt.returnTo))), "Sign out", nil))
					if got := p.URL.String(); got != s.URL+tt.want || s.user() != nil {
						t.Errorf("the page at LogoutURL(%q) led to %s", tt.returnTo, got)
					}
				}
			}
		})
	}
}

// Logout from a handler of the application: gone for the rest of the request,
// and for good.
func TestLogoutFromAHandler(t *testing.T) {
	t.Parallel()
	var told []string
	var err error
	s, _ := sessionSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(c *gin.Context, u *ginauth.User) {
			told = append(told, u.Subject)
			if ginauth.CurrentUser(c) != nil {
				told = append(told, "still here")
			}
		}
	})
	s.engine.POST("/bye", s.auth.LoadUser(), func(c *gin.Context) {
		err = s.auth.Logout(c)
		s.both(c)
	})
	s.as("ada")
	line := s.cookieLine()
	p := s.ask("POST", "/bye", fetches...)
	if err != nil || p.Text() != "nobody, nobody" || strings.Join(told, " ") != "ada" {
		t.Errorf("in the request: %v, %q; OnLogout was told %q", err, p.Text(), told)
	}
	if len(s.sessionCookies()) > 0 || s.stolen(line) != "" {
		t.Error("the session lives on")
	}
	if p := s.ask("POST", "/bye", fetches...); err != nil || p.Text() != "nobody, nobody" || len(told) != 1 {
		t.Errorf("with nobody signed in: %v, %q, %q", err, p.Text(), told)
	}
}

func TestLogoutAfterTheAnswer(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	var err error
	s.guarded("/late", func(c *gin.Context) {
		c.String(http.StatusOK, "written")
		err = s.auth.Logout(c)
	})
	s.as("ada")
	if s.ask("GET", "/late"); !errors.Is(err, ginauth.ErrSessionError) || s.user() == nil {
		t.Errorf("after the answer was written: %v", err)
	}
}

// A session that grew and ended in one request leaves no cookie behind, and
// Update cannot bring it back.
func TestLogoutBehindUpdate(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	var errs []error
	s.guarded("/grow-and-go", func(c *gin.Context) {
		errs = []error{
			s.auth.Update(c, func(u *ginauth.User) { u.Groups = groupsOf(4000) }),
			s.auth.Logout(c),
			s.auth.Update(c, func(u *ginauth.User) { u.Name = "back" }),
		}
	})
	s.as("ada")
	s.ask("POST", "/grow-and-go", fetches...)
	if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], ginauth.ErrUnauthenticated) {
		t.Errorf("got %v", errs)
	}
	if left := s.sessionCookies(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// Only this session ends: the person stays signed in elsewhere.
func TestLogoutEndsOneSession(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	elsewhere := s.mint(&ginauth.User{Subject: "ada"})
	s.as("ada")
	s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil))
	if s.user() != nil || s.stolen(elsewhere) != "ada" {
		t.Error("signing out ended another session, or not this one")
	}
}

// Scripts are told where to go; they cannot follow a redirect themselves.
func TestLogoutByScripts(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.localOnly()
	to := s.URL + "/page/bye"
	s.as("ada")
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	p := s.must(s.browser.Fetch(pageOf(s), "POST", s.URL+"/logout", form, "return_to=%2Fpage%2Fbye"))
	if p.Status != http.StatusOK || p.Text() != `{"redirect_to":"`+to+`"}` || s.user() != nil {
		t.Errorf("fetch: %d %s", p.Status, p.Text())
	}
	wantHeaders(t, p)
	s.as("ada")
	form.Set("HX-Request", "true")
	p = s.must(s.browser.Fetch(pageOf(s), "POST", s.URL+"/logout", form, "return_to=%2Fpage%2Fbye"))
	if p.Status != http.StatusNoContent || p.Header.Get("HX-Redirect") != to || s.user() != nil {
		t.Errorf("HTMX: %d %v", p.Status, p.Header)
	}
}

func TestLogoutPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) { o.BaseURL = s.URL + "/app"; o.AfterLogin = "/page/home" })
	s.as("ada")
	for _, method := range []string{"GET", "HEAD"} {
		p := s.ask(method, "/logout?return_to=/page/bye", navigates...)
		wantHeaders(t, p)
		if csp := p.Header.Get("Content-Security-Policy"); p.Status != http.StatusOK || !strings.Contains(csp, "form-action 'self'") || p.Header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %d %v", method, p.Status, p.Header)
		}
	}
	p := s.open("/logout?return_to=/page/bye")
	forms := p.Forms()
	if len(forms) != 1 || forms[0].Action != "/app/logout" || forms[0].Method != "POST" || forms[0].Fields.Get("return_to") != "/page/bye" ||
		!strings.Contains(p.Text(), `href="`+s.URL+`/app/page/home"`) {
		t.Errorf("the page is %s", p.Text())
	}
	if s.user() == nil {
		t.Error("looking at the page signed out")
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
		p := s.ask(method, "/logout", fetches...)
		s.wantError(p, ginauth.ErrMethodNotAllowed)
		if got := p.Header.Get("Allow"); got != "GET, HEAD, POST" {
			t.Errorf("%s: Allow is %q", method, got)
		}
	}
}

// A hook that panics is told of; who signed out stays so.
func TestOnLogoutPanics(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { panic("in the application") }
	})
	s.as("ada")
	line := s.cookieLine()
	p := s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", url.Values{}))
	s.wantError(p, ginauth.ErrSessionError)
	if s.user() != nil || s.stolen(line) != "" {
		t.Error("the session lives on")
	}
}
