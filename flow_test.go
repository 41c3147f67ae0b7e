package ginauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// flow is a site for tests of the callback: it counts the calls of OnLogin,
// and can be deployed anew while a sign-in is under way.
type flow struct {
	*site
	logins atomic.Int64 // calls of OnLogin
	opts   ginauth.Options
	next   atomic.Pointer[gin.Engine] // what answers since redeploy
}

func newFlow(t testing.TB, change func(s *site, o *ginauth.Options)) *flow {
	t.Helper()
	return startFlow(t, newSite, change)
}

// newTLSFlow is newFlow over https.
func newTLSFlow(t testing.TB, change func(s *site, o *ginauth.Options)) *flow {
	t.Helper()
	return startFlow(t, newTLSSite, change)
}

func startFlow(t testing.TB, start func(testing.TB, func(*site, *ginauth.Options)) *site, change func(s *site, o *ginauth.Options)) *flow {
	t.Helper()
	f := &flow{}
	f.site = start(t, func(s *site, o *ginauth.Options) {
		s.engine.Use(func(c *gin.Context) {
			if next := f.next.Load(); next != nil {
				c.Abort()
				next.ServeHTTP(c.Writer, c.Request)
			}
		})
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
			f.logins.Add(1)
			return nil
		}
		if change != nil {
			change(s, o)
		}
		f.opts = *o
	})
	return f
}

// redeploy serves the application anew at the same address, as after a restart
// with other Options.
func (f *flow) redeploy(change func(o *ginauth.Options)) {
	f.t.Helper()
	opts := f.opts
	change(&opts)
	f.events.watch(&opts)
	engine := gin.New()
	auth, err := ginauth.Mount(engine, opts)
	if err != nil {
		f.t.Fatal(err)
	}
	f.engine, f.auth = engine, auth
	f.routes()
	f.next.Store(engine)
}

// with is a callback with one parameter set to another value.
func with(callback *url.URL, name, value string) *url.URL {
	q := callback.Query()
	q.Set(name, value)
	return withRaw(callback, q.Encode())
}

// without is a callback that lacks a parameter.
func without(callback *url.URL, name string) *url.URL {
	q := callback.Query()
	q.Del(name)
	return withRaw(callback, q.Encode())
}

// withRaw is a callback with another query, as it is written.
func withRaw(callback *url.URL, query string) *url.URL {
	u := *callback
	u.RawQuery = query
	return &u
}

// at is a callback's answer, delivered to another path.
func at(callback *url.URL, path string) *url.URL {
	u := *callback
	u.Path = path
	return &u
}

// refuses delivers an answer as the provider's redirect does, and asserts that
// it fails closed.
func (f *flow) refuses(t testing.TB, callback *url.URL, want closed) *authtest.Page {
	t.Helper()
	before := f.logins.Load()
	p := f.finish(callback)
	f.refused(t, p, callback, want)
	if f.logins.Load() != before {
		t.Error("OnLogin was called")
	}
	return p
}

// refused asserts that the answer to a callback fails closed.
func (f *flow) refused(t testing.TB, p *authtest.Page, callback *url.URL, want closed) {
	t.Helper()
	for _, name := range []string{"code", "state"} {
		want.hide = append(want.hide, callback.Query()[name]...)
	}
	if text := callback.Query().Get("error_description"); text != "" && strings.Contains(p.Text(), text) {
		t.Error("the page has the provider's description") // which the log may have, quoted
	}
	f.failsClosed(t, p, want)
}

// lands asserts that an answer signs in and leads to path.
func (f *flow) lands(t testing.TB, callback *url.URL, path string) *authtest.Page {
	t.Helper()
	p := f.finish(callback)
	f.landed(t, p, path)
	return p
}

func (f *flow) landed(t testing.TB, p *authtest.Page, path string) {
	t.Helper()
	if p.Status != http.StatusOK || p.URL.RequestURI() != path || f.user() == nil {
		t.Fatalf("landed on %s with %d, signed in: %v; want %s\n%s\n%s", p.URL, p.Status, f.user(), path, p.Text(), f.logs)
	}
}

// attempts are the browser's cookies of attempts under way.
func (f *flow) attempts() []*http.Cookie { return f.ours("-a-") }

// ours are the browser's cookies of ours whose names go on with part after the
// hash that stands in all of them.
func (f *flow) ours(part string) (found []*http.Cookie) {
	for _, c := range f.browser.Cookies(f.URL) {
		name, ours := strings.CutPrefix(strings.TrimPrefix(c.Name, "__Host-"), "ginauth-")
		if rest := name[min(6, len(name)):]; ours && strings.HasPrefix(rest, part) && (part != "" || rest == "") {
			found = append(found, c)
		}
	}
	return found
}

// attempt is the one cookie of an attempt that the browser has.
func (f *flow) attempt() *http.Cookie {
	f.t.Helper()
	all := f.attempts()
	if len(all) != 1 {
		f.t.Fatalf("the browser has %d attempts, want 1", len(all))
	}
	return all[0]
}

// sessionCookie is the browser's session cookie.
func (f *flow) sessionCookie() *http.Cookie {
	f.t.Helper()
	all := f.ours("")
	if len(all) != 1 {
		f.t.Fatalf("the browser has %d session cookies, want 1", len(all))
	}
	return all[0]
}

// keep puts a cookie into the browser again.
func (f *flow) keep(c *http.Cookie) {
	f.t.Helper()
	if err := f.browser.SetCookie(f.URL, c); err != nil {
		f.t.Fatal(err)
	}
}
