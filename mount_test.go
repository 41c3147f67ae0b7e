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
)

func asked(engine *gin.Engine, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", "text/html")
	engine.ServeHTTP(w, r)
	return w
}

func teapot(c *gin.Context) { c.String(http.StatusTeapot, "the application's own") }

// quietOptions are goodOptions that log nothing and reach nobody.
func quietOptions() ginauth.Options {
	return goodOptionsWith(func(o *ginauth.Options) {
		o.Logger = slog.New(slog.DiscardHandler)
		o.HTTPClient = &http.Client{Transport: failing{}}
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
		says(t, err, "Mount", "router is nil", "*gin.Engine")
	}
}

// Gin panics where two routes are in each other's way. Mount says instead what
// to change, and leaves the application as it was.
func TestRoutesInTheWay(t *testing.T) {
	for _, c := range []struct {
		name   string
		routes func(engine *gin.Engine)
		method string
		path   string
		says   string
	}{
		{"a login page", func(e *gin.Engine) { e.GET("/login", teapot) }, "GET", "/login", "'/login'"},
		{"a login form", func(e *gin.Engine) { e.POST("/login", teapot) }, "POST", "/login", "'/login'"},
		{"a logout", func(e *gin.Engine) { e.POST("/logout", teapot) }, "POST", "/logout", "'/logout'"},
		{"a parameter of another name", func(e *gin.Engine) { e.GET("/login/:id", teapot) }, "GET", "/login/7", "':id'"},
		{"a parameter for everything", func(e *gin.Engine) { e.GET("/authorize/:id/more", teapot) }, "GET", "/authorize/7/more", "':id'"},
		{"a catch-all", func(e *gin.Engine) { e.GET("/*any", teapot) }, "GET", "/some/page", "'/login'"},
		{"a catch-all below", func(e *gin.Engine) { e.Any("/authorize/*any", teapot) }, "GET", "/authorize/x", "'/*any'"},
		{"files of a single-page application", func(e *gin.Engine) { e.StaticFS("/", http.Dir(t.TempDir())) }, "", "", "'/*filepath'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			engine := gin.New()
			c.routes(engine)
			auth, err := ginauth.Mount(engine, quietOptions())
			if auth != nil {
				t.Error("Mount returned an Auth beside its error")
			}
			says(t, err, "a route in the way", c.says, `ginauth.Mount(router.Group("/auth"), …)`, "Options.LoginPage", "NoRoute")
			if c.method != "" {
				if w := asked(engine, c.method, c.path); w.Code != http.StatusTeapot {
					t.Errorf("the application's own route answers %d: %s", w.Code, w.Body)
				}
			}
			for _, r := range engine.Routes() {
				path := strings.Replace(r.Path, ":provider", "corp", 1)
				if strings.HasSuffix(r.Handler, "teapot") || strings.Contains(path, "*") {
					continue
				}
				w := asked(engine, r.Method, path)
				if w.Code != http.StatusNotFound && w.Code != http.StatusTeapot || len(w.Result().Cookies()) != 0 {
					t.Errorf("%s %s answers %d though Mount failed: %s", r.Method, path, w.Code, w.Body)
				}
			}
		})
	}
}

// The advice that the error gives has to work.
func TestWhatTheConflictErrorAdvises(t *testing.T) {
	t.Run("a group", func(t *testing.T) {
		engine := gin.New()
		engine.GET("/login", teapot)
		if _, err := ginauth.Mount(engine.Group("/auth"), quietOptions()); err != nil {
			t.Fatal(err)
		}
		if w := asked(engine, "GET", "/auth/login"); w.Code != http.StatusSeeOther {
			t.Errorf("/auth/login answers %d", w.Code)
		}
	})
	t.Run("LoginPage", func(t *testing.T) {
		engine := gin.New()
		engine.GET("/login", teapot)
		opts := quietOptions()
		opts.LoginPage = "/login"
		if _, err := ginauth.Mount(engine, opts); err != nil {
			t.Fatal(err)
		}
		if w := asked(engine, "GET", "/login"); w.Code != http.StatusTeapot {
			t.Errorf("/login answers %d", w.Code)
		}
		if w := asked(engine, "PUT", "/login/corp"); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("PUT /login/corp answers %d", w.Code)
		}
	})
	t.Run("NoRoute", func(t *testing.T) {
		engine := gin.New()
		engine.NoRoute(teapot)
		if _, err := ginauth.Mount(engine, quietOptions()); err != nil {
			t.Fatal(err)
		}
		if w := asked(engine, "GET", "/some/page"); w.Code != http.StatusTeapot {
			t.Errorf("/some/page answers %d", w.Code)
		}
	})
}

// Applications answer the preflights of all their routes in one place.
func TestAPreflightRouteForEverythingIsNotInTheWay(t *testing.T) {
	for name, add := range map[string]func(e *gin.Engine){
		"a catch-all": func(e *gin.Engine) { e.OPTIONS("/*any", teapot) },
		"each route":  func(e *gin.Engine) { e.OPTIONS("/login", teapot); e.OPTIONS("/login/:provider", teapot) },
	} {
		engine := gin.New()
		add(engine)
		auth, err := ginauth.Mount(engine, quietOptions())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		engine.GET("/me", auth.RequireAuth(), teapot)
		for _, c := range []struct {
			method, path string
			status       int
		}{
			{"OPTIONS", "/login", http.StatusTeapot}, {"OPTIONS", "/login/corp", http.StatusTeapot},
			{"GET", "/login", http.StatusSeeOther}, {"DELETE", "/login", http.StatusMethodNotAllowed}, {"GET", "/me", http.StatusSeeOther},
		} {
			if w := asked(engine, c.method, c.path); w.Code != c.status {
				t.Errorf("%s: %s %s answers %d, want %d", name, c.method, c.path, w.Code, c.status)
			}
		}
	}
}

// A guard lets our own routes pass, but not what the application has there.
func TestAGuardDoesNotOpenTheApplicationsRouteAtOurPath(t *testing.T) {
	engine := gin.New()
	var auth *ginauth.Auth
	engine.Use(func(c *gin.Context) { auth.RequireAuth()(c) })
	engine.OPTIONS("/login", teapot)
	auth, err := ginauth.Mount(engine, quietOptions())
	if err != nil {
		t.Fatal(err)
	}
	if w := asked(engine, "OPTIONS", "/login"); w.Code != http.StatusUnauthorized {
		t.Errorf("the application's own OPTIONS /login answers %d", w.Code)
	}
	if w := asked(engine, "GET", "/login"); w.Code != http.StatusSeeOther || !strings.Contains(w.Header().Get("Location"), "/login/corp") {
		t.Errorf("our own /login answers %d", w.Code)
	}
}

func TestAnEngineTakesOneMountAtAPath(t *testing.T) {
	engine := gin.New()
	if _, err := ginauth.Mount(engine, quietOptions()); err != nil {
		t.Fatal(err)
	}
	_, err := ginauth.Mount(engine, quietOptions())
	says(t, err, "'/login'", `router.Group("/auth")`)
	if w := asked(engine, "GET", "/login"); w.Code != http.StatusSeeOther {
		t.Errorf("after a second Mount, /login answers %d", w.Code)
	}
	other := quietOptions()
	other.Providers[0].Name = "staff"
	if _, err := ginauth.Mount(engine.Group("/staff"), other); err != nil {
		t.Fatalf("on a group of its own: %v", err)
	}
	for path, status := range map[string]int{"/staff/login/staff": http.StatusBadGateway, "/staff/login/corp": http.StatusNotFound, "/login/staff": http.StatusNotFound} {
		if w := asked(engine, "GET", path); w.Code != status {
			t.Errorf("%s answers %d, want %d", path, w.Code, status)
		}
	}
}

func TestAGroupWithParametersIsRefused(t *testing.T) {
	for _, group := range []string{"/t/:tenant", "/:tenant", "/files/*any"} {
		engine := gin.New()
		err := ginauthMount(engine.Group(group), quietOptions())
		says(t, err, "Mount: ", group, "one fixed address", "a group with a fixed path")
		if n := len(engine.Routes()); n != 0 {
			t.Errorf("%s: %d routes were registered", group, n)
		}
	}
	for _, group := range []string{"/mein bereich", "/bücher", "/a%2fb", "/a?b"} {
		says(t, ginauthMount(gin.New().Group(group), quietOptions()), "Mount: ", "cannot stand in an address as it is")
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
			t.Errorf("%q: %s answers %d", group, login, w.Code)
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
