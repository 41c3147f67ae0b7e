package storetest

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/cookie"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// staysDead lets a request load the session and wait. Meanwhile the user signs out; then the request
// saves the session.
func staysDead(t *testing.T, h Home) {
	for _, way := range []struct {
		name, path string
		slide      bool
	}{
		{"by Update", "/slow?note=x", false},
		{"by sliding", "/slow", true},
		{"by both", "/slow?note=x", true},
	} {
		t.Run(way.name, func(t *testing.T) {
			a := newApp(t, h)
			a.signIn(a.browser, "ada")
			thief := a.browser.Clone()
			if way.slide {
				a.clock.Advance(idle / 2)
			}
			answered := make(chan *authtest.Page)
			go func() {
				p, err := a.browser.Fetch(authtest.At(a.URL+"/"), "POST", a.URL+way.path, nil, "")
				if err != nil {
					t.Error(err)
				}
				answered <- p
			}()
			<-a.entered
			a.signOut(a.browser)
			a.wants(a.browser, "", "after the sign-out")
			close(a.release)
			if p := <-answered; p != nil && p.Status >= http.StatusInternalServerError {
				t.Errorf("the slow request got %d: %s", p.Status, p.Text())
			}
			a.wants(a.browser, "", "after the slow request")
			if left := a.cookies(a.browser); a.kept.Dump != nil && !way.slide && len(left) > 0 {
				t.Errorf("after the slow request, the browser has %v again", left)
			}
			a.wants(thief, "", "after the slow request, with the cookies from before")
			a.signIn(a.browser, "grace")
		})
	}
}

// slidesInParallel sends a hundred concurrent requests when the session has to be renewed.
func slidesInParallel(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	for range 2 {
		a.clock.Advance(idle / 5)
		var wait sync.WaitGroup
		var failed atomic.Int64
		for range 100 {
			wait.Go(func() {
				p, err := a.browser.Fetch(authtest.At(a.URL+"/"), "GET", a.URL+"/me", nil, "")
				if err != nil || p.Status != http.StatusOK {
					failed.Add(1)
				}
			})
		}
		wait.Wait()
		if n := failed.Load(); n > 0 {
			t.Errorf("%d of 100 requests failed\n%.2000s", n, a.log)
		}
		if p := a.fetch(a.browser, "GET", "/me"); p.Status != http.StatusOK || len(p.Header["Set-Cookie"]) != 0 {
			t.Errorf("afterwards: %d and %d cookies; want an unchanged session", p.Status, len(p.Header["Set-Cookie"]))
		}
	}
}

// broken is a store with a fault.
type broken struct {
	ginsessions.Store
	read, write atomic.Pointer[fault]
}

// fault replaces a call of the store. If both fields are nil, the store returns nil without an error.
type fault struct {
	err   error
	panic any
}

func (b *broken) New(r *http.Request, name string) (*gorilla.Session, error) {
	if f := b.read.Load(); f != nil {
		if f.panic != nil {
			panic(f.panic)
		}
		return nil, f.err
	}
	return b.Store.New(r, name)
}

func (b *broken) Get(r *http.Request, name string) (*gorilla.Session, error) { return b.New(r, name) }

func (b *broken) Save(r *http.Request, w http.ResponseWriter, s *gorilla.Session) error {
	if f := b.write.Load(); f != nil {
		if f.panic != nil {
			panic(f.panic)
		}
		return f.err
	}
	return b.Store.Save(r, w, s)
}

var (
	errRefused = errors.New("dial tcp 192.0.2.1:6379: connect: connection refused")
	faults     = map[string]*fault{"an error": {err: errRefused}, "a panic": {panic: "gob: type not registered"}, "a panic with an error": {panic: errRefused}}
)

func failsClosed(t *testing.T, h Home) {
	a := newApp(t, h)
	store := &broken{Store: a.kept.Store}
	a.opts.Sessions = store
	a.mount(nil)
	reads := map[string]*fault{"nothing": {}}
	for name, f := range faults {
		reads[name] = f
	}
	for name, f := range reads {
		t.Run("read: "+name, func(t *testing.T) { a.within(t).survives(&store.read, f, true) })
	}
	for name, f := range faults {
		t.Run("write: "+name, func(t *testing.T) { a.within(t).survives(&store.write, f, false) })
	}
}

// within returns the application for a subtest.
func (a *app) within(t testing.TB) *app {
	inner := &app{t: t, URL: a.URL, idp: a.idp, clock: a.clock, log: a.log, issued: a.issued, kept: a.kept, opts: a.opts, auth: a.auth}
	inner.browser = inner.newBrowser()
	return inner
}

// survives breaks the store while users are signed in, and repairs it.
func (a *app) survives(broken *atomic.Pointer[fault], f *fault, reading bool) {
	t := a.t
	t.Helper()
	a.signIn(a.browser, "ada")
	leaver := a.newBrowser()
	a.signIn(leaver, "grace")
	stolen := leaver.Clone()
	busy := a.newBrowser()
	a.signIn(busy, "zoe")
	a.clock.Advance(idle / 2) // so that every request renews the session
	broken.Store(f)
	a.wantUnavailable(a.fetch(a.browser, "GET", "/me"))
	a.wantUnavailable(a.fetch(a.browser, "POST", "/note?note=x"))
	if p := a.fetch(a.browser, "GET", "/"); p.Status != http.StatusOK || p.Text() != "nobody" {
		t.Errorf("LoadUser let %q through with %d", p.Text(), p.Status)
	}
	if p := a.tryToSignIn(a.newBrowser(), "eve"); !reading || p.Status != http.StatusOK { // without a cookie there is nothing to read
		a.wantUnavailable(p)
	}
	a.wantUnavailable(a.tryToSignIn(busy, "eve"))
	p := a.signOut(leaver)
	if p.Status < 300 || p.Status >= 400 {
		a.wantUnavailable(p)
	}
	broken.Store(nil)
	a.wants(a.browser, "ada", "with the store back")
	if u := a.user(busy); u != nil && u.Subject != "zoe" {
		t.Errorf("with the store back, after a sign-in that failed, the user is %s", u.Subject)
	}
	a.wants(leaver, "", "with the store back, after a sign-out")
	a.wants(stolen, "", "with the store back, after a sign-out, with the cookies from before")
	a.signIn(a.browser, "eve")
}

func (a *app) wantUnavailable(p *authtest.Page) {
	a.t.Helper()
	if p.Status != http.StatusServiceUnavailable || !strings.Contains(p.Text(), string(ginauth.ErrStoreUnavailable)) || p.Header.Get("Retry-After") == "" {
		a.t.Errorf("%s answered %d, Retry-After %q: %.300s; want 503 store_unavailable", p.URL.Path, p.Status, p.Header.Get("Retry-After"), p.Text())
	}
	if strings.Contains(p.Text(), "192.0.2.1") || strings.Contains(p.Text(), "gob:") {
		a.t.Errorf("%s contains the cause: %.300s", p.URL.Path, p.Text())
	}
}

// outlastsDatabase stops the real database, and starts it again.
func outlastsDatabase(t *testing.T, h Home) {
	a := newApp(t, h)
	a.signIn(a.browser, "ada")
	if a.kept.Break == nil {
		return
	}
	leaver := a.newBrowser()
	a.signIn(leaver, "eve")
	stolen := leaver.Clone()
	mend := a.kept.Break()
	if a.kept.Silent {
		a.wants(a.browser, "", "without the database")
	} else {
		a.wantUnavailable(a.fetch(a.browser, "GET", "/me"))
	}
	late := a.newBrowser()
	a.wantUnavailable(a.tryToSignIn(late, "grace"))
	a.signOut(leaver)
	if left := a.cookies(leaver); len(left) > 0 {
		a.t.Errorf("after a sign-out without the database, the browser still has %v", left)
	}
	mend()
	a.wants(stolen, "", "with the database back, after a sign-out, with the cookies from before")
	a.wants(late, "", "with the database back, after a sign-in that failed")
	a.wants(a.browser, "ada", "with the database back")
	a.signIn(late, "grace")
}

// hasNeighbours tests an application that also uses the middleware of gin-contrib/sessions.
func hasNeighbours(t *testing.T, h Home) {
	for _, way := range []struct {
		name       string
		many, late bool
		same       bool // the same store
	}{
		{name: "the same store, before", same: true},
		{name: "the same store, after", same: true, late: true},
		{name: "the same store, many", same: true, many: true},
		{name: "another store, before"},
		{name: "another store, many, after", many: true, late: true},
	} {
		t.Run(way.name, func(t *testing.T) {
			a := newApp(t, h)
			theirs := a.kept.Store
			if !way.same {
				theirs = cookie.NewStore([]byte("the application's own secret"))
			}
			// These are the application's own sessions.
			theirs.Options(ginsessions.Options{Path: "/", MaxAge: 3600, HttpOnly: true})
			middleware := ginsessions.Sessions("cart", theirs)
			if way.many {
				middleware = ginsessions.SessionsMany([]string{"cart", "wish"}, theirs)
			}
			if way.late {
				a.mount(nil, func(e *gin.Engine) { cart(e, a.auth, way.many, middleware) })
			} else {
				a.mount(middleware, func(e *gin.Engine) { cart(e, a.auth, way.many) })
			}
			a.shops()
		})
	}
}

// cart adds routes that count in the application's own session.
func cart(e *gin.Engine, auth *ginauth.Auth, many bool, middleware ...gin.HandlerFunc) {
	of := func(c *gin.Context) ginsessions.Session {
		if many {
			return ginsessions.DefaultMany(c, "cart")
		}
		return ginsessions.Default(c)
	}
	group := e.Group("/", middleware...)
	group.GET("/cart", func(c *gin.Context) {
		s := of(c)
		n, _ := s.Get("n").(int)
		s.Set("n", n+1)
		if err := s.Save(); err != nil {
			c.String(http.StatusInternalServerError, err.Error())
			return
		}
		c.String(http.StatusOK, "%d", n+1)
	})
	inside := group.Group("/", auth.RequireAuth())
	inside.GET("/mine", func(c *gin.Context) {
		n, _ := of(c).Get("n").(int)
		c.String(http.StatusOK, "%d of %s", n, ginauth.CurrentUser(c.Request.Context()).Subject)
	})
	inside.GET("/empty", func(c *gin.Context) {
		s := of(c)
		s.Clear()
		if err := errors.Join(s.Save(), auth.Update(c, func(u *ginauth.User) { u.Locale = "la" })); err != nil {
			c.String(http.StatusInternalServerError, err.Error())
		}
	})
}

// shops uses the application's own session before and after sign-ins and a sign-out.
func (a *app) shops() {
	t, b := a.t, a.browser
	t.Helper()
	says := func(path, want string) {
		t.Helper()
		if p := a.fetch(b, "GET", path); p.Text() != want {
			t.Errorf("%s said %d %q, want %q\n%.2000s", path, p.Status, p.Text(), want, a.log)
		}
	}
	says("/cart", "1")
	a.signIn(b, "ada")
	says("/cart", "2")
	says("/mine", "2 of ada")
	a.clock.Advance(idle / 2)
	says("/mine", "2 of ada") // both sessions are written
	says("/cart", "3")
	says("/empty", "")
	a.wants(b, "ada", "after the application emptied its session")
	says("/mine", "0 of ada")
	says("/cart", "1")
	a.signOut(b)
	a.wants(b, "", "after the sign-out")
	says("/cart", "2")
	a.signIn(b, "grace")
	says("/mine", "2 of grace")
}
