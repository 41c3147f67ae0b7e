package faults

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsLocalAccounts(t *testing.T) {
	runFaults(t, []fault{
		{"P11_sign_in_from_another_origin", s11SignInThatNobodyAskedFor},
		{"S11_sign_in_that_nobody_asked_for", s11SignInThatNobodyAskedFor},
		{"S12_auth_time_ahead_of_the_clock", s12AuthTimeAheadOfTheClock},
		{"S13_limits_that_are_none", s13LimitsThatAreNone},
		{"S13_limits_hold", s13LimitsHold},
		{"S14_browser_only", s14BrowserOnly},
		{"S14_browser_only_from_on_login", s14BrowserOnlyFromOnLogin},
	})
}

// local is an application whose handler at /in signs people in.
type local struct {
	*sitetest.Flow
	user   ginauth.User
	limits *ginauth.SessionLimits
	err    error
}

func newLocal(t *testing.T, change func(s *sitetest.Site, o *ginauth.Options)) *local {
	l := &local{user: ginauth.User{Provider: "demo", Subject: "grace"}}
	l.Flow = sitetest.NewFlow(t, change)
	l.routes()
	return l
}

// routes adds those of this test to the engine that answers now.
func (l *local) routes() {
	in := func(c *gin.Context) {
		user := l.user
		l.err = l.Auth.SignIn(c, &user, l.limits)
		c.String(http.StatusOK, "done")
	}
	l.Engine.POST("/in", in)
	l.Engine.GET("/in", in)
	l.Engine.POST("/out", func(c *gin.Context) { l.err = l.Auth.Logout(c) })
	l.Guard("/note", func(c *gin.Context) {
		l.err = l.Auth.Update(c, func(u *ginauth.User) { u.Data["note"] = "1" })
	})
}

// A form of another site must neither sign people in nor out, and a prefetch, which
// people do not see, not in.
func s11SignInThatNobodyAskedFor(t *testing.T) {
	l := newLocal(t, nil)
	for _, before := range []string{"", "ada"} {
		if l.Browser = l.NewBrowser(); before != "" {
			l.As(before)
		}
		for name, try := range map[string]struct {
			method, path string
			header       []string
			want         ginauth.Code
		}{
			"a form of another site":            {"POST", "/in", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, ginauth.ErrCrossOrigin},
			"of a sibling":                      {"POST", "/in", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://evil.localhost"}, ginauth.ErrCrossOrigin},
			"of an old browser":                 {"POST", "/in", []string{"Origin", "https://evil.example"}, ginauth.ErrCrossOrigin},
			"from nowhere":                      {"POST", "/in", []string{"Origin", "null"}, ginauth.ErrCrossOrigin},
			"a prefetch":                        {"GET", "/in", []string{"Sec-Purpose", "prefetch;prerender"}, ginauth.ErrBadRequest},
			"an old browser's prefetch":         {"GET", "/in", []string{"Purpose", "prefetch"}, ginauth.ErrBadRequest},
			"a sign-out by another site":        {"POST", "/out", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, ginauth.ErrCrossOrigin},
			"a sign-out from an opaque origin":  {"POST", "/out", []string{"Origin", "null"}, ginauth.ErrCrossOrigin},
			"a sign-out by a sibling's request": {"POST", "/out", []string{"Sec-Fetch-Site", "same-site"}, ginauth.ErrCrossOrigin},
		} {
			l.err = nil
			p := l.Ask(try.method, try.path, try.header...)
			if !errors.Is(l.err, try.want) || len(p.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %v, want %s; cookies %q", name, l.err, try.want, p.Header.Values("Set-Cookie"))
			}
			if u := l.User(); (u != nil) != (before != "") || u != nil && u.Subject != before {
				t.Errorf("%s: %+v is signed in, want %q", name, u, before)
			}
		}
	}
	if l.Ask("POST", "/in", "Sec-Fetch-Site", "same-origin"); l.err != nil || l.User().Subject != "grace" {
		t.Errorf("a form of the application: %v", l.err)
	}
}

func s12AuthTimeAheadOfTheClock(t *testing.T) {
	l := newLocal(t, nil)
	for _, ahead := range []time.Duration{2 * time.Minute, time.Hour, 100 * 365 * 24 * time.Hour} {
		l.user.AuthTime = l.Clock.Now().Add(ahead)
		if p := l.Ask("POST", "/in"); !errors.Is(l.err, ginauth.ErrSessionError) || len(p.Header.Values("Set-Cookie")) > 0 || l.User() != nil {
			t.Errorf("%v ahead: %v; cookies %q", ahead, l.err, p.Header.Values("Set-Cookie"))
		}
	}
	l.user.AuthTime = l.Clock.Now().Add(30 * time.Second) // another machine's clock
	if l.Ask("POST", "/in"); l.err != nil || !l.User().AuthTime.Equal(l.user.AuthTime.Truncate(time.Second)) {
		t.Errorf("half a minute ahead: %v, %v", l.err, l.User())
	}
}

// What limits a session must make it shorter: a number that is too large, or not one
// at all, is a mistake, and no session begins.
func s13LimitsThatAreNone(t *testing.T) {
	l := newLocal(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Lifetime, o.IdleTimeout = 24*time.Hour, 2*time.Hour
	})
	for _, wrong := range []ginauth.SessionLimits{
		{Lifetime: 24*time.Hour + 1}, {Lifetime: -1}, {Lifetime: -24 * time.Hour}, {Lifetime: 30}, {Lifetime: time.Minute - 1},
		{IdleTimeout: 2*time.Hour + 1}, {IdleTimeout: -time.Hour}, {IdleTimeout: 59 * time.Second},
		{Lifetime: time.Hour, IdleTimeout: 3 * time.Hour}, {Lifetime: 1 << 62, BrowserOnly: true},
	} {
		l.Browser, l.limits = l.NewBrowser(), &wrong
		if p := l.Ask("POST", "/in"); !errors.Is(l.err, ginauth.ErrSessionError) || len(p.Header.Values("Set-Cookie")) > 0 || l.User() != nil {
			t.Errorf("%+v: %v; cookies %q", wrong, l.err, p.Header.Values("Set-Cookie"))
		}
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
			o.Lifetime, o.IdleTimeout = 24*time.Hour, 2*time.Hour
			o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error { login.Limits = wrong; return nil }
		})
		s.FailsClosed(t, s.Get("/login/demo"), sitetest.Closed{Code: ginauth.ErrSessionError, Tokens: 1})
	}
	for _, right := range []ginauth.SessionLimits{{}, {Lifetime: 24 * time.Hour, IdleTimeout: 2 * time.Hour}, {Lifetime: time.Minute}, {Lifetime: time.Hour, IdleTimeout: 2 * time.Hour}} {
		l.Browser, l.limits = l.NewBrowser(), &right
		if l.Ask("POST", "/in"); l.err != nil || l.User() == nil {
			t.Errorf("%+v: %v", right, l.err)
		}
	}
}

// The limits are the session's own: visits do not make it longer, and neither do
// larger Options.
func s13LimitsHold(t *testing.T) {
	l := newLocal(t, nil)
	l.limits = &ginauth.SessionLimits{Lifetime: 3 * time.Hour, IdleTimeout: time.Hour}
	l.Ask("POST", "/in")
	l.Clock.Advance(59 * time.Minute)
	if l.User() == nil {
		t.Error("signed out after 59 minutes of the hour")
	}
	idle := l.Browser.Clone()
	l.Clock.Advance(61 * time.Minute)
	if u := l.UserOf(idle); u != nil {
		t.Error("the idle timeout does not hold")
	}
	l.Browser = l.NewBrowser()
	l.Ask("POST", "/in")
	l.Redeploy(func(o *ginauth.Options) { o.Lifetime, o.IdleTimeout = 30*24*time.Hour, 20*24*time.Hour })
	for range 5 {
		l.Clock.Advance(35 * time.Minute)
		if l.User() == nil {
			t.Fatal("signed out within the lifetime")
		}
	}
	if l.Clock.Advance(6 * time.Minute); l.User() != nil {
		t.Error("the lifetime does not hold")
	}
}

// entries is a store that says how long it was told to keep its last entry.
type entries struct {
	ginsessions.Store
	maxAge int
}

func (e *entries) Save(r *http.Request, w http.ResponseWriter, s *gorilla.Session) error {
	e.maxAge = s.Options.MaxAge
	return e.Store.Save(r, w, s)
}

// lasting returns the cookies of an answer that the browser keeps when it is closed,
// without those that are for seconds.
func lasting(h http.Header) (names []string) {
	for _, line := range h.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		brief := strings.HasSuffix(c.Name, "-n") || strings.Contains(c.Name, "-a-")
		if err != nil || c.Value != "" && !brief && (c.MaxAge != 0 || !c.Expires.IsZero() || strings.Contains(strings.ToLower(line), "max-age")) {
			names = append(names, c.Name)
		}
	}
	return names
}

// backends are where sessions can be.
func backends(t *testing.T) map[string]func() ginsessions.Store {
	dir := filepath.Clean(t.TempDir())
	return map[string]func() ginsessions.Store{
		"sealed cookies":      func() ginsessions.Store { return nil },
		"gin-contrib cookies": func() ginsessions.Store { return cookie.NewStore(sitetest.StoreHashKey, sitetest.StoreBlockKey) },
		"memory":              func() ginsessions.Store { return memstore.NewStore(sitetest.StoreHashKey) },
		"files": func() ginsessions.Store {
			return sitetest.FileStore{FilesystemStore: gorilla.NewFilesystemStore(dir, sitetest.StoreHashKey)}
		},
	}
}

// A session that ends with the browser stays one, whatever writes it again; what a
// store keeps of it expires all the same.
func s14BrowserOnly(t *testing.T) {
	for where, open := range backends(t) {
		store := &entries{Store: open()}
		l := newLocal(t, func(_ *sitetest.Site, o *ginauth.Options) {
			if store.Store != nil {
				o.Sessions = store
			}
		})
		wrote := 0
		check := func(what string, h http.Header) {
			t.Helper()
			if names := lasting(h); len(names) > 0 || len(h.Values("Set-Cookie")) == 0 {
				t.Errorf("%s, %s: lasting cookies %q of %q", where, what, names, h.Values("Set-Cookie"))
			}
			if store.Store != nil && store.maxAge <= 0 {
				t.Errorf("%s, %s: the store keeps the entry for %d seconds", where, what, store.maxAge)
			}
			wrote, store.maxAge = wrote+1, 0
		}
		l.limits = &ginauth.SessionLimits{BrowserOnly: true}
		check("sign-in", l.Ask("POST", "/in").Header)
		l.Clock.Advance(3 * time.Hour)
		check("renewal", l.Ask("GET", "/me").Header)
		check("Update", l.Ask("POST", "/note").Header)
		l.Redeploy(func(o *ginauth.Options) {
			o.Keys = []string{"a newer key for tests, of 32 bytes and more", sitetest.Key}
		})
		l.routes()
		check("an old key", l.Ask("GET", "/me").Header)
		if where == "sealed cookies" {
			l.user.Groups = sitetest.Groups(4000)
			p := l.Ask("POST", "/in")
			check("two cookies", p.Header)
			if n := len(l.SessionCookies()); n != 2 {
				t.Errorf("the session has %d cookies, want 2", n)
			}
			l.Clock.Advance(3 * time.Hour)
			check("a renewal of two cookies", l.Ask("GET", "/me").Header)
		}
		if u := l.User(); u == nil || u.Subject != "grace" || l.err != nil {
			t.Errorf("%s: %+v is signed in, %v", where, u, l.err)
		}
		l.limits = nil
		if p := l.Ask("POST", "/in"); len(lasting(p.Header)) == 0 {
			t.Errorf("%s: a session that is to last has the cookies %q", where, p.Header.Values("Set-Cookie"))
		}
	}
}

// The same by way of a provider, with the cookies beside the session's: the ID token
// for the sign-out, and which provider it was.
func s14BrowserOnlyFromOnLogin(t *testing.T) {
	for where, open := range backends(t) {
		only := true
		f, _ := sitetest.NewFlowWithTwo(t, func(o *ginauth.Options) {
			o.Sessions = open()
			o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
				l.Limits.BrowserOnly = only
				return nil
			}
		})
		answer := func() http.Header { return f.Must(f.Browser.Open(f.Begin("/login/demo").String())).Header }
		h := answer()
		if len(lasting(h)) > 0 {
			t.Errorf("%s: lasting cookies %q", where, lasting(h))
		}
		if sent := sessionOf(h); f.User() == nil || !strings.Contains(sent, "-h=") || !strings.Contains(sent, "-p=") {
			t.Errorf("%s: the answer has the cookies %s", where, sent)
		}
		only, f.Browser = false, f.NewBrowser()
		if h := answer(); len(lasting(h)) < 3 {
			t.Errorf("%s: of a session that is to last, %q last", where, lasting(h))
		}
	}
}
