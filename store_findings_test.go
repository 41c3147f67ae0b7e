package ginauth_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	ginsessions "github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/sessions"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// deafStore is a store whose reads can go wrong: with an error, or like those
// that take a failed query for "no such session".
type deafStore struct {
	ginsessions.Store
	deaf  atomic.Bool
	fails error // nil is a session that is not there
}

func (d *deafStore) New(r *http.Request, name string) (*gorilla.Session, error) {
	if !d.deaf.Load() {
		return d.Store.New(r, name)
	}
	s := gorilla.NewSession(d, name)
	s.IsNew = true
	return s, d.fails
}

// storeSite keeps its sessions in a store, and has a route that says who is
// signed in.
func storeSite(t *testing.T, store ginsessions.Store) *flow {
	t.Helper()
	f := newFlow(t, func(_ *site, o *ginauth.Options) { o.Sessions = store })
	f.guarded("/who", who)
	return f
}

// storeLine are the browser's cookies of its session, as a thief would send
// them.
func (f *flow) storeLine() string {
	f.t.Helper()
	var pairs []string
	for _, c := range append(f.ours(""), f.ours("-b")...) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if len(pairs) != 2 {
		f.t.Fatalf("the browser has %d cookies of its session, want 2", len(pairs))
	}
	return strings.Join(pairs, "; ")
}

func TestSignOutNeedsNoStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fails  error
		status int // of /me meanwhile
		out    int // of the sign-out
	}{
		{"a store that takes its failure for no such session", nil, 401, 204},
		{"a connection that ends within an answer", io.ErrUnexpectedEOF, 503, 503},
		{"a store that is gone", errors.New("connection refused"), 503, 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &deafStore{Store: memstore.NewStore([]byte("the store's secret")), fails: test.fails}
			f := storeSite(t, store)
			f.signIn()
			before := f.storeLine()
			if got := f.stolen(before); got != "ada" {
				t.Fatalf("before the sign-out, the cookies are those of %q", got)
			}
			store.deaf.Store(true)
			if p := f.ask("GET", "/who", fetches...); p.Status != test.status {
				t.Errorf("while the store is deaf, a request gets %d, want %d", p.Status, test.status)
			}
			p := f.ask("POST", "/logout", fetches...)
			if ok := p.Status < 400; ok != (test.out < 400) || !ok && p.Status != test.out {
				t.Errorf("the sign-out gets %d, want %d: %s", p.Status, test.out, p.Text())
			}
			if left := append(f.ours(""), f.ours("-b")...); len(left) > 0 {
				t.Errorf("after the sign-out, the browser has %v", left)
			}
			store.deaf.Store(false)
			if got := f.stolen(before); got != "" {
				t.Errorf("after the sign-out, the cookies from before are those of %q", got)
			}
		})
	}
}

// A sign-in ends the session that it replaces, also one that the store does
// not find at that moment.
func TestSignInReplacesWhatTheStoreDoesNotFind(t *testing.T) {
	t.Parallel()
	store := &deafStore{Store: memstore.NewStore([]byte("the store's secret"))}
	f := storeSite(t, store)
	f.signIn()
	before := f.storeLine()
	store.deaf.Store(true)
	f.idp.SignInAs("grace")
	f.must(f.browser.Get(f.URL + "/login/demo"))
	store.deaf.Store(false)
	if got := f.stolen(before); got != "" {
		t.Errorf("after the next sign-in, the cookies from before are those of %q", got)
	}
	if got := f.stolen(f.storeLine()); got != "grace" {
		t.Errorf("the cookies of the sign-in are those of %q", got)
	}
}

// A sign-out takes back what bears our names, though it does not open.
func TestSignOutDropsWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]ginsessions.Store{"a store": memstore.NewStore([]byte("the store's secret")), "sealed cookies": nil} {
		t.Run(name, func(t *testing.T) {
			f := storeSite(t, store)
			f.signIn()
			all := append(f.ours(""), f.ours("-b")...)
			for _, c := range all {
				c.Value, c.Path = "forged", "/"
				f.keep(c)
			}
			if p := f.ask("POST", "/logout", fetches...); p.Status >= 400 {
				t.Errorf("the sign-out gets %d: %s", p.Status, p.Text())
			}
			if left := append(f.ours(""), f.ours("-b")...); len(left) > 0 {
				t.Errorf("after the sign-out, the browser has %v", left)
			}
		})
	}
}

// What a handler does after SignIn is about the session that it began, though
// the request does not have its cookies yet.
func TestAfterSignInInTheSameRequest(t *testing.T) {
	t.Parallel()
	ada := &ginauth.User{Provider: "demo", Subject: "ada"}
	note := func(u *ginauth.User) { u.Data = map[string]string{"note": "kept"} }
	for name, store := range map[string]ginsessions.Store{"a store": memstore.NewStore([]byte("the store's secret")), "sealed cookies": nil} {
		t.Run(name, func(t *testing.T) {
			f := storeSite(t, store)
			var err error
			f.engine.POST("/begin", func(c *gin.Context) {
				err = errors.Join(f.auth.SignIn(c, ada), f.auth.Update(c, note))
			})
			f.engine.POST("/twice", func(c *gin.Context) {
				grace := &ginauth.User{Provider: "demo", Subject: "grace"}
				err = errors.Join(f.auth.SignIn(c, grace), f.auth.SignIn(c, ada), f.auth.Update(c, note))
			})
			f.engine.POST("/brief", func(c *gin.Context) {
				err = errors.Join(f.auth.SignIn(c, ada), f.auth.Logout(c))
			})
			for _, path := range []string{"/begin", "/begin", "/twice"} { // the second with a session already
				f.must(f.browser.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+path, nil, ""))
				if u := f.user(); err != nil || u == nil || u.Subject != "ada" || u.Data["note"] != "kept" {
					t.Errorf("after SignIn and Update at %s, the user is %+v: %v", path, u, err)
				}
			}
			f.must(f.browser.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+"/brief", nil, ""))
			if u := f.user(); err != nil || u != nil {
				t.Errorf("after SignIn and Logout, the user is %+v: %v", u, err)
			}
		})
	}
}
