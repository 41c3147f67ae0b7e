package ginauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func TestLogoutEndsWhatSignInBegan(t *testing.T) {
	s := newSite(t, nil)
	s.engine.GET("/auto", func(c *gin.Context) {
		if err := s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "somebody"}); err != nil {
			t.Error(err)
		}
		if err := s.auth.Logout(c); err != nil {
			t.Error(err)
		}
		if ginauth.CurrentUser(c) != nil {
			t.Error("there is a user after Logout")
		}
		c.String(http.StatusForbidden, "no")
	})
	s.get("/auto")
	if u := s.user(); u != nil {
		t.Errorf("%s is signed in", u.Subject)
	}
}

func TestOnLoginThatSignsInAndRefuses(t *testing.T) {
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			if err := s.auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "somebody"}); err != nil {
				t.Error(err)
			}
			return errors.New("not welcome")
		}
	})
	s.failsClosed(t, s.get("/login/demo"), closed{code: ginauth.ErrIdentityRejected, tokens: 1})
}

// What a handler does to its User stays with it: a request body decoded into
// it, say, must reach neither the session nor the next guard.
func TestAUserThatAHandlerChanges(t *testing.T) {
	s := newSite(t, nil)
	change := func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		u.Subject, u.Issuer, u.Groups = "root", "https://evil.example", append(u.Groups, "owner")
	}
	s.engine.POST("/profile", s.auth.RequireAuth(), change, func(c *gin.Context) {
		if err := s.auth.Update(c, func(u *ginauth.User) { u.Name = "New Name" }); err != nil {
			t.Error(err)
		}
		if u := ginauth.CurrentUser(c); u.Name != "New Name" || u.Subject != "ada" || len(u.Groups) != 2 {
			t.Errorf("after Update the user is %+v", u)
		}
	})
	s.engine.GET("/owner", s.auth.RequireAuth(), change, s.auth.RequireAuth(ginauth.HasGroup("owner")), func(c *gin.Context) { c.String(200, "in") })
	s.signIn()
	s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/profile", nil, ""))
	if u := s.user(); u == nil || u.Name != "New Name" || u.Subject != "ada" || u.Issuer != s.idp.Issuer || len(u.Groups) != 2 {
		t.Errorf("the session is of %+v", u)
	}
	if p := s.get("/owner"); p.Status != http.StatusForbidden {
		t.Errorf("the guard took the handler's word: %d", p.Status)
	}
}

// Run with -race: Gin's documented way to go on after the answer.
func TestUpdateBesideACopiedContext(t *testing.T) {
	s := newSite(t, nil)
	done := make(chan string, 1)
	s.engine.GET("/copy", s.auth.RequireAuth(), func(c *gin.Context) {
		copied := c.Copy()
		go func() {
			name := ""
			for range 100 {
				name = ginauth.CurrentUser(copied).Name
			}
			done <- name
		}()
		if err := s.auth.Update(c, func(u *ginauth.User) { u.Name = "New Name" }); err != nil {
			t.Error(err)
		}
	})
	s.signIn()
	s.get("/copy")
	if name := <-done; name != "Ada Lovelace" {
		t.Errorf("the copy saw %q", name)
	}
}

func TestARefusedUpdateTellsNobodyWhoItIs(t *testing.T) {
	s := newSite(t, nil)
	s.engine.POST("/comment", s.auth.LoadUser(), func(c *gin.Context) {
		if err := s.auth.Update(c, func(*ginauth.User) {}); !errors.Is(err, ginauth.ErrCrossOrigin) {
			t.Errorf("Update: %v", err)
		}
		if u := ginauth.CurrentUser(c); u != nil {
			t.Errorf("the request is %s's", u.Subject)
		}
	})
	s.signIn()
	header := http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://sibling.localhost"}}
	s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/comment", header, ""))
}

func TestBackChannelLogoutReachesSessionsWithoutSID(t *testing.T) {
	s := newLogoutSite(t, nil)
	s.idp.EditIDToken(func(_, claims map[string]any) { delete(claims, "sid") })
	s.signIn()
	if s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sid": "other"}))); s.user() == nil {
		t.Error("a sid alone ended a session that has none")
	}
	if s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "grace", "sid": "other"}))); s.user() == nil {
		t.Error("another person's logout ended the session")
	}
	s.clock.Advance(2 * time.Second)
	if s.backChannel(s.idp.Sign(logoutTyp, s.claimsFor(map[string]any{"sub": "ada", "sid": "other"}))); s.user() != nil {
		t.Error("a token with sub and sid did not reach a session without sid")
	}
}

func TestClearedCookiesAreNotCached(t *testing.T) {
	s := newTLSSite(t, nil)
	s.engine.GET("/public", s.auth.LoadUser(), func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age=600")
		c.String(http.StatusOK, "news")
	})
	s.signIn()
	one := s.cookieLine()
	s.browser = s.newBrowser()
	s.signIn()
	req, _ := http.NewRequest("GET", s.URL+"/public", nil)
	req.Header.Set("Cookie", one+"; "+s.cookieLine())
	p := s.must(s.newBrowser().Do(req))
	if len(p.Header["Set-Cookie"]) == 0 || strings.Contains(p.Header.Get("Cache-Control"), "public") {
		t.Errorf("Cache-Control %q with cookies %q", p.Header.Get("Cache-Control"), p.Header["Set-Cookie"])
	}
}

func TestSignInsBegunByAnotherSiteDoNotFillTheHeader(t *testing.T) {
	s := newSite(t, nil)
	s.browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.idp.Issuer) }
	for range 6 {
		s.must(s.browser.Click(authtest.At("https://evil.example/"), s.URL+"/login/demo?return_to=/"+strings.Repeat("a", 2000)))
	}
	size := 0
	for _, c := range s.browser.Cookies(s.URL) {
		size += len(c.Name) + len(c.Value) + 3
	}
	if size > 6<<10 || size < 1000 {
		t.Errorf("the cookies have %d bytes", size)
	}
	s.browser.StopAt = nil
	s.signIn()
}

func TestUpgradeWithSeveralConnectionLines(t *testing.T) {
	s := newSite(t, nil)
	s.signIn()
	req, _ := http.NewRequest("GET", s.URL+"/me", nil)
	req.Header = http.Header{"Connection": {"keep-alive", "Upgrade"}, "Upgrade": {"websocket"}, "Origin": {"https://evil.example"},
		"Sec-Fetch-Site": {"cross-site"}, "Cookie": {s.cookieLine()}}
	if p := s.must(s.newBrowser().Do(req)); p.Status != http.StatusForbidden {
		t.Errorf("answered %d", p.Status)
	}
}

// Marks of sign-outs are kept for the Lifetime of their day; a longer one that
// is configured later must not outlive them.
func TestALongerLifetimeLaterOn(t *testing.T) {
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Lifetime, o.IdleTimeout = time.Hour, time.Hour })
	later := gin.New()
	auth, err := ginauth.Mount(later, ginauth.Options{BaseURL: s.URL, Keys: []string{testKey}, Logger: s.logs.Logger(), Now: s.clock.Now,
		Providers: []ginauth.Provider{client("demo", s.idp)}})
	if err != nil {
		t.Fatal(err)
	}
	later.GET("/me", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, "in") })
	s.signIn()
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		r := httptest.NewRequest("GET", s.URL+"/me", nil)
		r.Header.Set("Cookie", s.cookieLine())
		w := httptest.NewRecorder()
		if later.ServeHTTP(w, r); w.Code != want {
			t.Errorf("answered %d, want %d", w.Code, want)
		}
		s.clock.Advance(61 * time.Minute)
	}
}

func TestDataCanBeWrittenToAtOnce(t *testing.T) {
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			l.User.Data["account"] = "7"
			return nil
		}
	})
	s.engine.POST("/project", s.auth.RequireAuth(), func(c *gin.Context) {
		if err := s.auth.Update(c, func(u *ginauth.User) { u.Data["project"] = "x" }); err != nil {
			t.Error(err)
		}
	})
	s.signIn()
	s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/project", nil, ""))
	if u := s.user(); u.Data["account"] != "7" || u.Data["project"] != "x" {
		t.Errorf("Data is %v", u.Data)
	}
	if err := authtest.SignIn(s.auth, s.browser, &ginauth.User{Provider: "demo", Subject: "1"}); err != nil {
		t.Fatal(err)
	}
	s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/project", nil, ""))
	if u := s.user(); u.Data["project"] != "x" || len(u.Data) != 1 {
		t.Errorf("Data is %v", u.Data)
	}
}

// Anybody can post a logout token. Its header is read before its signature, and
// what the error of that quotes is not for the log in full.
func TestStrangersTokenDoesNotFillTheLog(t *testing.T) {
	s := newSite(t, nil)
	s.signIn()
	before := len(s.logs.String())
	header := `{"alg":"RS256","kid":"` + s.idp.KeyID() + `","x5c":["` + strings.Repeat("A", 30<<10) + `"]}`
	s.refused(t, s.backChannel(b64([]byte(header))+".e30.AAAA"))
	if logged := len(s.logs.String()) - before; logged == 0 || logged > 2<<10 {
		t.Errorf("%d bytes were logged", logged)
	}
}
