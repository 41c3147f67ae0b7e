package ginauth_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
	"github.com/ginauth/ginauth/providers"
)

// If sign-out redirects to the provider, the log at the start has the post-logout redirect URI
// to register: once, since it is the same at all providers.
func TestPostLogoutURIIsAnnounced(t *testing.T) {
	t.Parallel()
	discovered := ginauth.Provider{Name: "discovered", Issuer: "https://id.example.com", ClientID: "c", ClientSecret: "s"}
	local := discovered
	local.Name, local.ClientID, local.Logout.Local = "local", "l", true
	written := discovered
	written.Name, written.ClientID = "written", "w"
	written.AuthorizeURL, written.TokenURL, written.JWKSURL = "https://id.example.com/a", "https://id.example.com/t", "https://id.example.com/k"
	ended := written
	ended.Name, ended.ClientID, ended.Logout.EndSessionURL = "ended", "e", "https://id.example.com/end"
	away := written
	away.Name, away.ClientID, away.Logout.URL = "away", "a", "https://id.example.com/logout?to={post_logout_redirect_uri}"
	noReturn := written
	noReturn.Name, noReturn.ClientID, noReturn.Logout.URL = "no-return", "n", "https://id.example.com/logout"
	for _, tt := range []struct {
		providers []ginauth.Provider
		want      []string // the named providers
	}{
		{[]ginauth.Provider{discovered}, []string{"discovered"}},
		{[]ginauth.Provider{ended}, []string{"ended"}},
		{[]ginauth.Provider{away}, []string{"away"}},
		{[]ginauth.Provider{local, discovered, written, ended, away, noReturn, providers.GitHub("c", "s")}, []string{"discovered", "ended", "away"}},
		{[]ginauth.Provider{local}, nil},
		{[]ginauth.Provider{written}, nil},
		{[]ginauth.Provider{noReturn}, nil},
		{[]ginauth.Provider{providers.GitHub("c", "s")}, nil},
	} {
		l := &sitetest.Logs{}
		_, err := ginauth.Mount(gin.New().Group("/auth"), ginauth.Options{BaseURL: "https://app.example.com/x", Keys: []string{sitetest.Key}, Providers: tt.providers, Logger: l.Logger()})
		if err != nil {
			t.Fatal(err)
		}
		lines := l.Lines("INFO", "provider.post_logout_redirect_uri")
		if len(lines) != min(1, len(tt.want)) {
			t.Errorf("%v: %d lines: %q", tt.want, len(lines), lines)
			continue
		}
		if len(lines) == 1 && !strings.Contains(lines[0], `providers="[`+strings.Join(tt.want, " ")+`]" post_logout_redirect_uri=https://app.example.com/x/auth/logout/return`) &&
			!strings.Contains(lines[0], `providers=[`+strings.Join(tt.want, " ")+`] post_logout_redirect_uri=https://app.example.com/x/auth/logout/return`) {
			t.Errorf("%v: %s", tt.want, lines[0])
		}
	}
}

// Replacing providers writes a log line, and new ones log what to register.
func TestSetProvidersSaysWhatToRegister(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Logs.Reset()
	if err := s.Auth.SetProviders([]ginauth.Provider{s.IDP.Client("demo"), sitetest.Offline("other")}); err != nil {
		t.Fatal(err)
	}
	replaced, uris := s.Logs.Lines("INFO", "options.providers.replaced"), s.Logs.Lines("INFO", "provider.redirect_uri")
	if len(replaced) != 1 || !strings.HasSuffix(replaced[0], " providers=\"[demo other]\"\n") || len(uris) != 1 || !strings.Contains(uris[0], " provider=other ") {
		t.Errorf("the log has %q and %q", replaced, uris)
	}
}

// The logged redirect URI is the one sent to the provider.
func TestAnnouncedPostLogoutURIIsUsed(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
	sent := s.IDP.LastRequest(authtest.EndSession).Form.Get("post_logout_redirect_uri")
	if sent == "" || !strings.Contains(s.Logs.String(), "post_logout_redirect_uri="+sent+"\n") {
		t.Errorf("the provider was sent %q; the log has:\n%s", sent, s.Logs)
	}
}

// A second Mount on the same path fails without affecting the first one; on another path both
// work.
func TestMountTwice(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{sitetest.Key}, Providers: []ginauth.Provider{sitetest.Client("demo", s.IDP)}, Logger: s.Logs.Logger(), Now: s.Clock.Now}
	_, err := ginauth.Mount(s.Engine, opts)
	sitetest.WantInvalid(t, err, "mount.route_exists")
	sitetest.WantNames(t, err.Error(), "router.Group")
	s.SignIn()
	second, err := ginauth.Mount(s.Engine.Group("/staff"), opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Engine.GET("/staff/room", second.RequireAuth(), s.BothUsers)
	s.Engine.GET("/staff/both", s.Auth.RequireAuth(), second.RequireAuth(), s.BothUsers)
	if p := s.Ask("GET", "/staff/room", sitetest.Navigation...); p.Header.Get("Location") != "/staff/login?return_to=%2Fstaff%2Froom" {
		t.Errorf("a session of the first one counts for the second: %d %v", p.Status, p.Header)
	}
	if p := s.Ask("GET", "/staff/both", sitetest.Fetch...); p.Status != http.StatusUnauthorized {
		t.Errorf("a session of the first one counts for both: %d", p.Status)
	}
	s.IDP.SignInAs("grace")
	if p := s.Get("/staff/room"); p.Text() != "grace, grace" {
		t.Errorf("signing in at the second ended at %s with %d %s", p.URL, p.Status, p.Text())
	}
	if u := s.User(); u == nil || u.Subject != "ada" {
		t.Errorf("and made the first one's user %+v", u)
	}
	if p := s.Ask("GET", "/staff/both", sitetest.Fetch...); p.Text() != "grace, grace" {
		t.Errorf("behind both guards: %d %q, want the inner one's user", p.Status, p.Text())
	}
}

func asked(engine *gin.Engine, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", "text/html")
	engine.ServeHTTP(w, r)
	return w
}

// quietOptions are goodOptions that log nothing and make no requests.
func quietOptions() ginauth.Options {
	return sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.Logger = slog.New(slog.DiscardHandler)
		o.HTTPClient = &http.Client{Transport: sitetest.Failing{}}
	})
}

func TestMountNeedsARouter(t *testing.T) {
	var noEngine *gin.Engine
	var noGroup *gin.RouterGroup
	for name, router := range map[string]gin.IRouter{"nil": nil, "a nil engine": noEngine, "a nil group": noGroup} {
		auth, err := ginauth.Mount(router, quietOptions())
		if auth != nil {
			t.Errorf("%s: Mount returned an Auth beside its error", name)
		}
		sitetest.WantInvalid(t, err, "mount.router_nil")
		sitetest.WantNames(t, err.Error(), "*gin.Engine")
	}
}

// Gin panics if two routes conflict. Mount instead returns an error with the fix, and leaves the
// application unchanged.
func TestRoutesInTheWay(t *testing.T) {
	for _, c := range []struct {
		name   string
		routes func(engine *gin.Engine)
		method string
		path   string
		route  string // in Gin's message
	}{
		{"a login page", func(e *gin.Engine) { e.GET("/login", sitetest.Teapot) }, "GET", "/login", "'/login'"},
		{"a login form", func(e *gin.Engine) { e.POST("/login", sitetest.Teapot) }, "POST", "/login", "'/login'"},
		{"a logout", func(e *gin.Engine) { e.POST("/logout", sitetest.Teapot) }, "POST", "/logout", "'/logout'"},
		{"a parameter of another name", func(e *gin.Engine) { e.GET("/login/:id", sitetest.Teapot) }, "GET", "/login/7", "':id'"},
		{"a parameter for everything", func(e *gin.Engine) { e.GET("/authorize/:id/more", sitetest.Teapot) }, "GET", "/authorize/7/more", "':id'"},
		{"a catch-all", func(e *gin.Engine) { e.GET("/*any", sitetest.Teapot) }, "GET", "/some/page", "'/login'"},
		{"a catch-all below", func(e *gin.Engine) { e.Any("/authorize/*any", sitetest.Teapot) }, "GET", "/authorize/x", "'/*any'"},
		{"files of a single-page application", func(e *gin.Engine) { e.StaticFS("/", http.Dir(t.TempDir())) }, "", "", "'/*filepath'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			engine := gin.New()
			c.routes(engine)
			auth, err := ginauth.Mount(engine, quietOptions())
			if auth != nil {
				t.Error("Mount returned an Auth beside its error")
			}
			sitetest.WantInvalid(t, err, "mount.route_exists")
			sitetest.WantNames(t, err.Error(), c.route, `ginauth.Mount(router.Group("/auth"), …)`, "Options.LoginPage", "NoRoute")
			if c.method != "" {
				if w := asked(engine, c.method, c.path); w.Code != http.StatusTeapot {
					t.Errorf("the application's own route responds %d: %s", w.Code, w.Body)
				}
			}
			for _, r := range engine.Routes() {
				path := strings.Replace(r.Path, ":provider", "corp", 1)
				if strings.HasSuffix(r.Handler, "teapot") || strings.Contains(path, "*") {
					continue
				}
				w := asked(engine, r.Method, path)
				if w.Code != http.StatusNotFound && w.Code != http.StatusTeapot || len(w.Result().Cookies()) != 0 {
					t.Errorf("%s %s responds %d although Mount failed: %s", r.Method, path, w.Code, w.Body)
				}
			}
		})
	}
}

// The fix of the error must work.
func TestWhatTheConflictErrorAdvises(t *testing.T) {
	t.Run("a group", func(t *testing.T) {
		engine := gin.New()
		engine.GET("/login", sitetest.Teapot)
		if _, err := ginauth.Mount(engine.Group("/auth"), quietOptions()); err != nil {
			t.Fatal(err)
		}
		if w := asked(engine, "GET", "/auth/login"); w.Code != http.StatusSeeOther {
			t.Errorf("/auth/login responds %d", w.Code)
		}
	})
	t.Run("LoginPage", func(t *testing.T) {
		engine := gin.New()
		engine.GET("/login", sitetest.Teapot)
		opts := quietOptions()
		opts.LoginPage = "/login"
		if _, err := ginauth.Mount(engine, opts); err != nil {
			t.Fatal(err)
		}
		if w := asked(engine, "GET", "/login"); w.Code != http.StatusTeapot {
			t.Errorf("/login responds %d", w.Code)
		}
		if w := asked(engine, "PUT", "/login/corp"); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("PUT /login/corp responds %d", w.Code)
		}
	})
	t.Run("NoRoute", func(t *testing.T) {
		engine := gin.New()
		engine.NoRoute(sitetest.Teapot)
		if _, err := ginauth.Mount(engine, quietOptions()); err != nil {
			t.Fatal(err)
		}
		if w := asked(engine, "GET", "/some/page"); w.Code != http.StatusTeapot {
			t.Errorf("/some/page responds %d", w.Code)
		}
	})
}

// Applications handle the preflights of all their routes in one place.
func TestAPreflightRouteForEverythingIsNotInTheWay(t *testing.T) {
	for name, add := range map[string]func(e *gin.Engine){
		"a catch-all": func(e *gin.Engine) { e.OPTIONS("/*any", sitetest.Teapot) },
		"each route": func(e *gin.Engine) {
			e.OPTIONS("/login", sitetest.Teapot)
			e.OPTIONS("/login/:provider", sitetest.Teapot)
		},
	} {
		engine := gin.New()
		add(engine)
		auth, err := ginauth.Mount(engine, quietOptions())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		engine.GET("/me", auth.RequireAuth(), sitetest.Teapot)
		for _, c := range []struct {
			method, path string
			status       int
		}{
			{"OPTIONS", "/login", http.StatusTeapot}, {"OPTIONS", "/login/corp", http.StatusTeapot},
			{"GET", "/login", http.StatusSeeOther}, {"DELETE", "/login", http.StatusMethodNotAllowed}, {"GET", "/me", http.StatusSeeOther},
		} {
			if w := asked(engine, c.method, c.path); w.Code != c.status {
				t.Errorf("%s: %s %s responds %d, want %d", name, c.method, c.path, w.Code, c.status)
			}
		}
	}
}

func TestAnEngineTakesOneMountAtAPath(t *testing.T) {
	engine := gin.New()
	if _, err := ginauth.Mount(engine, quietOptions()); err != nil {
		t.Fatal(err)
	}
	_, err := ginauth.Mount(engine, quietOptions())
	sitetest.WantInvalid(t, err, "mount.route_exists")
	sitetest.WantNames(t, err.Error(), "'/login'", `router.Group("/auth")`)
	if w := asked(engine, "GET", "/login"); w.Code != http.StatusSeeOther {
		t.Errorf("after a second Mount, /login responds %d", w.Code)
	}
	other := quietOptions()
	other.Providers[0].Name = "staff"
	if _, err := ginauth.Mount(engine.Group("/staff"), other); err != nil {
		t.Fatalf("on a group of its own: %v", err)
	}
	for path, status := range map[string]int{"/staff/login/staff": http.StatusBadGateway, "/staff/login/corp": http.StatusNotFound, "/login/staff": http.StatusNotFound} {
		if w := asked(engine, "GET", path); w.Code != status {
			t.Errorf("%s responds %d, want %d", path, w.Code, status)
		}
	}
}

func TestAGroupWithParametersIsRefused(t *testing.T) {
	for _, group := range []string{"/t/:tenant", "/:tenant", "/files/*any"} {
		engine := gin.New()
		err := ginauthMount(engine.Group(group), quietOptions())
		sitetest.WantInvalid(t, err, "mount.path_parameters")
		sitetest.WantNames(t, err.Error(), group)
		if n := len(engine.Routes()); n != 0 {
			t.Errorf("%s: %d routes were registered", group, n)
		}
	}
	for _, group := range []string{"/mein bereich", "/bücher", "/a%2fb", "/a?b"} {
		sitetest.WantInvalid(t, ginauthMount(gin.New().Group(group), quietOptions()), "mount.path_escaped")
	}
	for group, login := range map[string]string{"/auth": "/auth/login", "/auth/": "/auth/login", "/a/b-c_d.e~f": "/a/b-c_d.e~f/login", "": "/login", "/": "/login"} {
		engine := gin.New()
		auth, err := ginauth.Mount(engine.Group(group), quietOptions())
		if err != nil {
			t.Errorf("%q: %v", group, err)
			continue
		}
		if got := auth.LoginURL("", ""); got != "https://app.example.com"+login {
			t.Errorf("%q: LoginURL is %s", group, got)
		}
		if w := asked(engine, "GET", login); w.Code != http.StatusSeeOther {
			t.Errorf("%q: %s responds %d", group, login, w.Code)
		}
	}
}

// A mistake in Options is found before anything is registered, so that Mount
// can be tried again.
func TestAFailedMountLeavesTheRouterAlone(t *testing.T) {
	engine := gin.New()
	opts := quietOptions()
	opts.BaseURL = ""
	auth, err := ginauth.Mount(engine, opts)
	if auth != nil || !errors.Is(err, ginauth.ErrInvalidOptions) || len(engine.Routes()) != 0 {
		t.Errorf("auth %v, error %v, %d routes", auth, err, len(engine.Routes()))
	}
	if _, err := ginauth.Mount(engine, quietOptions()); err != nil {
		t.Errorf("the second try: %v", err)
	}
}
