package ginauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// A hook may always return the same User, and change it. A request must see neither the changes
// of another request nor later changes of the hook.
func TestTheUserOfAuthenticateIsCopied(t *testing.T) {
	t.Parallel()
	robot := &ginauth.User{Provider: "demo", Subject: "robot", Groups: []string{"machines"}, Data: map[string]string{"shift": "night"}}
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(*gin.Context) (*ginauth.User, error) { return robot, nil }
	})
	s.Engine.GET("/change", s.Auth.LoadUser(), func(c *gin.Context) {
		u := ginauth.CurrentUser(c)
		u.Groups[0], u.Data["shift"], u.Subject = "admin", "day", "root"
		robot.Groups[0], robot.Subject = "admin", "root" // like a hook that refills a cache
		defer func() { robot.Groups[0], robot.Subject = "machines", "robot" }()
		s.Auth.RequireAuth(ginauth.HasGroup("machines"))(c)
		if !c.IsAborted() {
			c.String(http.StatusOK, "still a machine")
		}
	})
	s.Guard("/who", func(c *gin.Context) { c.String(http.StatusOK, "%v", ginauth.CurrentUser(c)) })
	if p := s.Ask("GET", "/change"); p.Text() != "still a machine" {
		t.Errorf("a check looked at what the handler changed: %d %s", p.Status, p.Text())
	}
	if p := s.Ask("GET", "/who"); strings.Contains(p.Text(), "admin") || strings.Contains(p.Text(), "root") || strings.Contains(p.Text(), "day") {
		t.Errorf("the next request sees %s", p.Text())
	}
	if robot.Issuer != "" || robot.Data["shift"] != "night" {
		t.Errorf("the hook's own user is %+v now", robot)
	}
}

// The session of an older system is converted into a ginauth session: SignIn works behind
// Authenticate, and from the next request on the cookie counts.
func TestSignInAfterAuthenticate(t *testing.T) {
	t.Parallel()
	old := true
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
			if !old {
				return nil, nil
			}
			return &ginauth.User{Provider: "demo", Subject: "ada"}, nil
		}
	})
	signIn := func(c *gin.Context) {
		if err := s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada", Name: "Ada"}, nil); err != nil {
			e, _ := errors.AsType[*ginauth.Error](err)
			c.String(e.Status(), e.ID)
			return
		}
		_, ok := s.Auth.Session(c)
		c.String(http.StatusOK, "%s %t", ginauth.CurrentUser(c).Name, ok)
	}
	s.Engine.GET("/carry", s.Auth.LoadUser(), signIn)
	s.Engine.GET("/bare", signIn)
	for _, path := range []string{"/carry", "/bare"} { // a session is ignored beside a bearer token
		if p := s.Ask("GET", path, "Authorization", "Bearer x"); p.Text() != "session.bearer" || len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %s", path, p.Status, p.Text())
		}
	}
	if p := s.Open("/carry"); p.Text() != "Ada true" {
		t.Errorf("got %d %s", p.Status, p.Text())
	}
	old = false
	if u := s.User(); u == nil || u.Name != "Ada" {
		t.Errorf("the session is of %+v", u)
	}
}

// A hook, a check and a profile may return a bare or wrapped code.
func TestHooksReturnBareCodes(t *testing.T) {
	for name, refuse := range map[string]func(code ginauth.Code) error{
		"bare":    func(code ginauth.Code) error { return code },
		"wrapped": func(code ginauth.Code) error { return fmt.Errorf("account 7: %w", code) },
		"joined":  func(code ginauth.Code) error { return errors.Join(errors.New("account 7"), code) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := ginauth.ErrForbidden
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error { return refuse(code) }
			})
			s.WantError(s.Get("/login/demo"), ginauth.ErrForbidden)
			code = ginauth.ErrStoreUnavailable
			s.WantError(s.Get("/login/demo"), ginauth.ErrStoreUnavailable)
			code = ginauth.ErrUnauthenticated // would begin a new sign-in, endlessly
			s.WantError(s.Get("/login/demo"), ginauth.ErrIdentityRejected)
			if s.User() != nil {
				t.Error("a user is signed in")
			}
			s.Engine.GET("/checked", s.Auth.RequireAuth(func(*ginauth.User) error { return refuse(ginauth.ErrUnknownProvider) }), sitetest.Teapot)
			s.As("ada")
			s.WantError(s.Open("/checked"), ginauth.ErrUnknownProvider)

			plain := sitetest.NewPlain(t, "", func(_ *sitetest.Site, p *ginauth.Provider) {
				p.UserinfoURL, p.ClaimPaths = "", nil
				p.Profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) {
					return nil, refuse(ginauth.ErrIdentityRejected)
				}
			})
			plain.WantError(plain.Get("/login/demo"), ginauth.ErrIdentityRejected)
		})
	}
}

// Functions that Authenticate cannot call: each returns an error, and none calls Authenticate
// again.
func TestAuthenticateThatAsksForItsOwnUser(t *testing.T) {
	t.Parallel()
	const reentered = "hook.authenticate_reentered"
	start := ginauth.Start{Provider: "demo"}
	link := ginauth.Start{Provider: "demo", Link: true}
	for name, tt := range map[string]struct {
		call   func(s *sitetest.Site, c *gin.Context) string
		want   string // the error that the hook gets
		answer string // response of the guard; "" if the hook continues
	}{
		"Update": {func(s *sitetest.Site, c *gin.Context) string { return idOf(s.Auth.Update(c, func(*ginauth.User) {})) }, reentered, ""},
		"Logout": {func(s *sitetest.Site, c *gin.Context) string { return idOf(s.Auth.Logout(c)) }, reentered, ""},
		"SignIn": {func(s *sitetest.Site, c *gin.Context) string {
			return idOf(s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "eve"}, nil))
		}, reentered, ""},
		"BeginLogin":              {func(s *sitetest.Site, c *gin.Context) string { _, err := s.Auth.BeginLogin(c, start); return idOf(err) }, reentered, ""},
		"BeginLogin, with a link": {func(s *sitetest.Site, c *gin.Context) string { _, err := s.Auth.BeginLogin(c, link); return idOf(err) }, reentered, ""},
		"Session":                 {func(s *sitetest.Site, c *gin.Context) string { _, ok := s.Auth.Session(c); return fmt.Sprint(ok) }, "false", ""},
		"CurrentUser":             {func(_ *sitetest.Site, c *gin.Context) string { return fmt.Sprint(ginauth.CurrentUser(c)) }, "<nil>", ""},
		"CurrentUser of the request": {func(_ *sitetest.Site, c *gin.Context) string {
			return fmt.Sprint(ginauth.CurrentUser(c.Request.Context()))
		}, "<nil>", ""},
		"RequireAuth": {func(s *sitetest.Site, c *gin.Context) string { s.Auth.RequireAuth()(c); return "" }, "", reentered},
		"RequireAuth with a check": {func(s *sitetest.Site, c *gin.Context) string {
			s.Auth.RequireAuth(ginauth.MaxAge(time.Hour))(c)
			return ""
		}, "", reentered},
		"LoadUser": {func(s *sitetest.Site, c *gin.Context) string { s.Auth.LoadUser()(c); return "" }, "", ""},
		"Fail":     {func(s *sitetest.Site, c *gin.Context) string { s.Auth.Fail(c, ginauth.ErrForbidden); return "" }, "", "request.failed"},
		"a copy of the context": {func(s *sitetest.Site, c *gin.Context) string {
			return idOf(s.Auth.Update(c.Copy(), func(*ginauth.User) {}))
		}, reentered, ""},
		"another request in it": {func(s *sitetest.Site, c *gin.Context) string {
			w := httptest.NewRecorder()
			s.Engine.ServeHTTP(w, c.Request)
			return fmt.Sprint(w.Code, strings.Contains(w.Body.String(), reentered))
		}, "500 true", ""},
		"a request of its own": {func(s *sitetest.Site, c *gin.Context) string {
			c.Request = c.Request.WithContext(context.WithoutCancel(c.Request.Context()))
			return idOf(s.Auth.Update(c, func(*ginauth.User) {}))
		}, reentered, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *sitetest.Site
			asked, told := 0, ""
			s = sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
					asked++
					told = tt.call(s, c)
					return nil, nil
				}
			})
			s.Engine.Any("/guarded", s.Auth.RequireAuth(), s.Protected)
			s.As("ada")
			for _, method := range []string{"GET", "POST"} {
				asked, told = 0, ""
				s.Ran.Store(0)
				p := s.Ask(method, "/guarded", sitetest.Plus(sitetest.Fetch, "Origin", s.URL)...)
				if asked != 1 || told != tt.want {
					t.Errorf("%s: the hook was called %d times and got %q, want once and %q", method, asked, told, tt.want)
				}
				switch {
				case tt.answer == "" && (p.Status != http.StatusOK || s.Ran.Load() != 1):
					t.Errorf("%s: %d %s, and %d handlers ran", method, p.Status, p.Text(), s.Ran.Load())
				case tt.answer != "" && (!strings.Contains(s.Logs.String(), "id="+tt.answer) || p.Status < 400 || s.Ran.Load() != 0):
					t.Errorf("%s: %d %s, and %d handlers ran\n%s", method, p.Status, p.Text(), s.Ran.Load(), s.Logs)
				}
				if len(p.Header["Set-Cookie"]) > 0 {
					t.Errorf("%s: sets %q", method, p.Header["Set-Cookie"])
				}
			}
			if u := s.User(); tt.answer == "" && (u == nil || u.Subject != "ada") {
				t.Errorf("the session is of %+v", u)
			}
		})
	}
}

// A hook that runs the handlers behind the guard: the next guard treats it as a recursive call.
func TestAuthenticateThatCallsNext(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) { c.Next(); return nil, nil }
	})
	s.Engine.GET("/guarded", s.Auth.LoadUser(), s.Auth.RequireAuth(), s.Protected)
	s.As("ada")
	s.WantError(s.Ask("GET", "/guarded", sitetest.Fetch...), ginauth.ErrSessionError)
	if s.Ran.Load() != 0 || !strings.Contains(s.Logs.String(), "id=hook.authenticate_reentered") {
		t.Errorf("%d handlers ran\n%s", s.Ran.Load(), s.Logs)
	}
}

// idOf returns the id of an error.
func idOf(err error) string {
	e, _ := errors.AsType[*ginauth.Error](err)
	if e == nil {
		return fmt.Sprint(err)
	}
	if e.ID == "hook.authenticate_reentered" && (e.Code != ginauth.ErrSessionError || e.Status() != http.StatusInternalServerError || e.Op == "") {
		return fmt.Sprintf("%+v", e)
	}
	return e.ID
}

// The user of one Auth may be the credential of another one, however that Auth reads it, and no
// handler runs before the guard has decided.
func TestAuthenticateThatAsksAnotherAuth(t *testing.T) {
	t.Parallel()
	first := sitetest.New(t, nil)
	deputy := func(u *ginauth.User) (*ginauth.User, error) {
		if u == nil || u.Subject == "eve" {
			return nil, ginauth.ErrForbidden
		}
		return &ginauth.User{Provider: "demo", Subject: "deputy of " + u.Subject}, nil
	}
	asks := map[string]func(c *gin.Context) (*ginauth.User, error){
		"the guard in front": func(c *gin.Context) (*ginauth.User, error) { return deputy(ginauth.CurrentUser(c)) },
		"LoadUser in the hook": func(c *gin.Context) (*ginauth.User, error) {
			first.Auth.LoadUser()(c)
			return deputy(ginauth.CurrentUser(c))
		},
		"RequireAuth in the hook": func(c *gin.Context) (*ginauth.User, error) {
			if first.Auth.RequireAuth()(c); c.IsAborted() {
				return nil, nil
			}
			return deputy(ginauth.CurrentUser(c))
		},
		"Update in the hook": func(c *gin.Context) (*ginauth.User, error) {
			if err := first.Auth.Update(c, func(*ginauth.User) {}); err != nil {
				return nil, ginauth.ErrForbidden
			}
			return deputy(ginauth.CurrentUser(c))
		},
	}
	for name, hook := range asks {
		second, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: first.URL, Providers: []ginauth.Provider{sitetest.Nowhere}, Logger: first.Logs.Logger(), Now: first.Clock.Now,
			Hooks: ginauth.Hooks{Authenticate: hook}})
		if err != nil {
			t.Fatal(err)
		}
		path := "/" + strings.ReplaceAll(name, " ", "-")
		first.Engine.GET(path, first.Auth.LoadUser(), second.RequireAuth(), first.Protected, sitetest.WriteSubject)
		first.Engine.GET("/alone"+path, second.RequireAuth(), first.Protected, sitetest.WriteSubject)
	}
	for name := range asks {
		for _, prefix := range []string{"/", "/alone/"} {
			if name == "the guard in front" && prefix != "/" {
				continue
			}
			path := prefix + strings.ReplaceAll(name, " ", "-")
			first.As("ada")
			first.Ran.Store(0)
			if p := first.Ask("GET", path, sitetest.Fetch...); !strings.HasSuffix(p.Text(), "deputy of ada") || first.Ran.Load() != 1 {
				t.Errorf("%s: %d %s, and %d handlers ran\n%s", path, p.Status, p.Text(), first.Ran.Load(), first.Logs)
			}
			first.As("eve")
			if p := first.Ask("GET", path, sitetest.Fetch...); p.Status != http.StatusForbidden || first.Ran.Load() != 1 {
				t.Errorf("%s, for eve: %d %s, and %d handlers ran", path, p.Status, p.Text(), first.Ran.Load()-1)
			}
			first.Browser = first.NewBrowser()
			if p := first.Ask("GET", path, sitetest.Fetch...); p.Status < 400 || first.Ran.Load() != 1 {
				t.Errorf("%s, without a user: %d %s, and %d handlers ran", path, p.Status, p.Text(), first.Ran.Load()-1)
			}
		}
	}
}

// Two Auths whose hooks call each other.
func TestAuthenticateOfTwoThatAskEachOther(t *testing.T) {
	t.Parallel()
	var second *ginauth.Auth
	var told []string
	ask := func(other **ginauth.Auth) func(c *gin.Context) (*ginauth.User, error) {
		return func(c *gin.Context) (*ginauth.User, error) {
			told = append(told, idOf((*other).Update(c, func(*ginauth.User) {})))
			return nil, nil
		}
	}
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { o.Hooks.Authenticate = ask(&second) })
	second, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: s.URL, Providers: []ginauth.Provider{sitetest.Nowhere}, Logger: s.Logs.Logger(),
		Hooks: ginauth.Hooks{Authenticate: ask(&s.Auth)}})
	if err != nil {
		t.Fatal(err)
	}
	s.Engine.GET("/guarded", s.Auth.RequireAuth(), s.Protected)
	s.As("ada")
	if p := s.Ask("GET", "/guarded", sitetest.Fetch...); p.Status != http.StatusOK {
		t.Errorf("%d %s", p.Status, p.Text())
	}
	if got := strings.Join(told, ", "); got != "hook.authenticate_reentered, session.unauthenticated" {
		t.Errorf("the hooks got %s", got)
	}
}

// A form that Authenticate has read is available to the handler too, and its files are removed.
func TestAuthenticateThatReadsTheForm(t *testing.T) {
	t.Parallel()
	for _, session := range []bool{true, false} {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
				if _, err := c.MultipartForm(); err != nil && !errors.Is(err, http.ErrNotMultipart) {
					return nil, err
				}
				return nil, nil
			}
		})
		var original *http.Request
		s.Engine.POST("/upload", func(c *gin.Context) { original = c.Request }, func(c *gin.Context) {
			_ = s.Auth.Update(c, func(*ginauth.User) {})
			if original.MultipartForm == nil || original.MultipartForm != c.Request.MultipartForm {
				t.Error("the server does not have the form")
			}
			c.String(http.StatusOK, c.PostForm("amount"))
		})
		if session {
			s.As("ada")
		}
		r, err := http.NewRequest("POST", s.URL+"/upload", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n70\r\n--b--\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		if p := s.Must(s.Browser.Do(r)); p.Text() != "70" {
			t.Errorf("session %v: the handler reads %q", session, p.Text())
		}
	}
}

// Hooks that call the function that called them: each hook is called once.
func TestHooksThatCallBack(t *testing.T) {
	t.Parallel()
	calls := 0
	count := func(t *testing.T) {
		if calls++; calls > 5 {
			t.Fatal("the hook calls itself endlessly") // otherwise the process would crash
		}
	}
	for name, tt := range map[string]struct {
		hooks func(t *testing.T, s **sitetest.Site) ginauth.Hooks
		do    func(t *testing.T, s *sitetest.Site)
		want  int
	}{
		"OnError calls Fail": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnError: func(c *gin.Context, err *ginauth.Error) { count(t); (*s).Auth.Fail(c, err) }}
		}, func(t *testing.T, s *sitetest.Site) {
			s.WantError(s.Ask("GET", "/admin", sitetest.Fetch...), ginauth.ErrForbidden)
		}, 1},
		"OnError calls a guard": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnError: func(c *gin.Context, err *ginauth.Error) {
				count(t)
				(*s).Auth.RequireAuth(ginauth.HasGroup("admin"))(c)
			}}
		}, func(t *testing.T, s *sitetest.Site) {
			s.WantError(s.Ask("GET", "/admin", sitetest.Fetch...), ginauth.ErrForbidden)
		}, 1},
		"OnError goes to a guarded page": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnError: func(c *gin.Context, err *ginauth.Error) { count(t); (*s).Engine.HandleContext(c) }}
		}, func(t *testing.T, s *sitetest.Site) {
			s.WantError(s.Ask("GET", "/admin", sitetest.Fetch...), ginauth.ErrForbidden)
		}, 1},
		"OnError of the next request": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnError: func(c *gin.Context, err *ginauth.Error) { count(t) }}
		}, func(t *testing.T, s *sitetest.Site) {
			for range 2 {
				s.WantError(s.Ask("GET", "/admin", sitetest.Fetch...), ginauth.ErrForbidden)
			}
		}, 2},
		"OnLogout calls Logout": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnLogout: func(c *gin.Context, _ *ginauth.User) {
				count(t)
				if err := (*s).Auth.Logout(c); err != nil {
					t.Error(err)
				}
			}}
		}, func(t *testing.T, s *sitetest.Site) {
			s.Ask("POST", "/leave")
			if s.User() != nil {
				t.Error("still signed in")
			}
		}, 1},
		"OnLogout calls SignIn and Logout": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnLogout: func(c *gin.Context, u *ginauth.User) {
				count(t)
				if err := errors.Join((*s).Auth.SignIn(c, u, nil), (*s).Auth.Logout(c)); err != nil {
					t.Error(err)
				}
			}}
		}, func(t *testing.T, s *sitetest.Site) {
			s.Ask("POST", "/leave")
			if s.User() != nil {
				t.Error("still signed in")
			}
		}, 1},
		"OnLogout of two sign-outs in a request": {func(t *testing.T, _ **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnLogout: func(*gin.Context, *ginauth.User) { count(t) }}
		}, func(t *testing.T, s *sitetest.Site) {
			s.Engine.POST("/twice", func(c *gin.Context) {
				if err := errors.Join(s.Auth.Logout(c), s.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "ada"}, nil), s.Auth.Logout(c)); err != nil {
					t.Error(err)
				}
			})
			s.Ask("POST", "/twice")
		}, 2},
		"OnLogout calls Update and a guard": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnLogout: func(c *gin.Context, _ *ginauth.User) {
				count(t)
				if got := idOf((*s).Auth.Update(c, func(*ginauth.User) {})); got != "session.unauthenticated" {
					t.Errorf("Update: %s", got)
				}
				(*s).Auth.LoadUser()(c)
			}}
		}, func(t *testing.T, s *sitetest.Site) { s.Ask("POST", "/leave") }, 1},
		"OnEvent calls LogoutEverywhere": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnEvent: func(ctx context.Context, e ginauth.Event) {
				count(t)
				if err := (*s).Auth.LogoutEverywhere(ctx, (*s).IDP.Issuer+"#ada"); err != nil {
					t.Error(err)
				}
			}}
		}, func(t *testing.T, s *sitetest.Site) { s.Ask("POST", "/leave") }, 2}, // of the sign-out, and of the call in the hook
		"OnLogin calls a guard, Update and Logout": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnLogin: func(c *gin.Context, _ *ginauth.Login) error {
				count(t)
				(*s).Auth.RequireAuth()(c)
				(*s).Auth.LoadUser()(c)
				return errors.Join((*s).Auth.Update(c, func(u *ginauth.User) { u.Data["a"] = "b" }), (*s).Auth.Logout(c))
			}}
		}, func(t *testing.T, s *sitetest.Site) {
			s.SignIn()
			if u := s.User(); u == nil || u.Data["a"] != "" {
				t.Errorf("signed in is %+v", u)
			}
		}, 1},
		"OnLogin calls Fail": {func(t *testing.T, s **sitetest.Site) ginauth.Hooks {
			return ginauth.Hooks{OnLogin: func(c *gin.Context, _ *ginauth.Login) error {
				count(t)
				(*s).Auth.Fail(c, ginauth.ErrForbidden)
				return nil
			}}
		}, func(t *testing.T, s *sitetest.Site) { s.WantError(s.Get("/login/demo"), ginauth.ErrSessionError) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls = 0
			var s *sitetest.Site
			s = sitetest.New(t, func(s2 *sitetest.Site, o *ginauth.Options) {
				o.Hooks = tt.hooks(t, &s)
				s2.Unheard = o.Hooks.OnEvent != nil
			})
			s.Engine.POST("/leave", func(c *gin.Context) {
				if err := s.Auth.Logout(c); err != nil {
					t.Error(err)
				}
			})
			s.As("ada")
			calls = 0
			if tt.do(t, s); calls != tt.want {
				t.Errorf("the hook was called %d times, want %d\n%s", calls, tt.want, s.Logs)
			}
		})
	}
}

// A hook that replaces the request by one with another context is not called again.
func TestAuthenticateThatReplacesTheRequest(t *testing.T) {
	t.Parallel()
	asked := 0
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(c *gin.Context) (*ginauth.User, error) {
			asked++
			c.Request = c.Request.WithContext(context.Background())
			return nil, nil
		}
	})
	s.Engine.GET("/guarded", s.Auth.LoadUser(), s.Auth.RequireAuth(), s.Protected)
	for _, session := range []bool{false, true} {
		if asked = 0; session {
			s.As("ada")
		}
		p := s.Ask("GET", "/guarded", sitetest.Fetch...)
		if asked != 1 || (s.Ran.Load() == 1) != session {
			t.Errorf("session %v: the hook was called %d times, and %d handlers ran", session, asked, s.Ran.Load())
		}
		if !session {
			s.WantError(p, ginauth.ErrUnauthenticated)
		}
	}
}

// A rejection by one Auth does not affect another Auth on the same request.
func TestCredentialThatOneOfTwoAuthsRefuses(t *testing.T) {
	t.Parallel()
	asked := 0
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(*gin.Context) (*ginauth.User, error) { asked++; return nil, ginauth.ErrInvalidToken }
	})
	second, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: s.URL, Providers: []ginauth.Provider{sitetest.Nowhere}, Logger: s.Logs.Logger(),
		Hooks: ginauth.Hooks{Authenticate: func(*gin.Context) (*ginauth.User, error) {
			return &ginauth.User{Provider: "demo", Subject: "robot"}, nil
		}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Engine.GET("/guarded", func(c *gin.Context) {
		if _, ok := s.Auth.Session(c); ok {
			t.Error("the first has a session")
		}
		for range 2 { // and its rejection remains
			if got := idOf(s.Auth.Update(c, func(*ginauth.User) {})); got != "hook.authenticate_invalid" {
				t.Errorf("the first Auth responded %s", got)
			}
		}
	}, second.RequireAuth(), sitetest.WriteSubject)
	if p := s.Ask("GET", "/guarded", sitetest.Fetch...); p.Status != http.StatusOK || !strings.HasSuffix(p.Text(), "robot") {
		t.Errorf("%d %s\n%s", p.Status, p.Text(), s.Logs)
	}
	if asked != 1 {
		t.Errorf("the rejecting hook was called %d times", asked)
	}
}

// An error that the hook returns keeps its ID; without one, it gets an ID for its code.
func TestIDsOfTheErrorsOfAuthenticate(t *testing.T) {
	t.Parallel()
	var refusal error
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.Authenticate = func(*gin.Context) (*ginauth.User, error) { return nil, refusal }
	})
	var got string
	s.Engine.GET("/ask", func(c *gin.Context) { got = idOf(s.Auth.Update(c, func(*ginauth.User) {})) })
	for _, tt := range []struct {
		err  error
		want string
	}{
		{ginauth.ErrInvalidToken, "hook.authenticate_invalid"},
		{&ginauth.Error{Code: ginauth.ErrInvalidToken, ID: "app.key_expired"}, "app.key_expired"},
		{ginauth.ErrForbidden, "hook.authenticate_forbidden"},
		{&ginauth.Error{Code: ginauth.ErrForbidden, ID: "app.suspended"}, "app.suspended"},
		{errors.New("the database is down"), "hook.authenticate_failed"},
		{&ginauth.Error{Code: ginauth.ErrUnauthenticated, ID: "app.sign_in"}, "hook.authenticate_failed"},
	} {
		refusal = tt.err
		if s.Ask("GET", "/ask"); got != tt.want {
			t.Errorf("%v: the ID is %s, want %s", tt.err, got, tt.want)
		}
	}
}
