package sitetest

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// NewPublicFlow is NewTLSFlow with a BaseURL that is not on loopback.
func NewPublicFlow(t testing.TB, change func(s *Site, o *ginauth.Options)) *Flow {
	t.Helper()
	return NewTLSFlow(t, func(s *Site, o *ginauth.Options) {
		server := httptest.NewUnstartedServer(s.Engine)
		cert, err := authtest.Certificate("app.example.com")
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		server.StartTLS()
		t.Cleanup(server.Close)
		_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
		s.Browser.Resolve("app.example.com", "127.0.0.1")
		s.URL = "https://app.example.com:" + port
		o.BaseURL = s.URL
		if change != nil {
			change(s, o)
		}
	})
}

// MadeUpState is a state of valid form that was never issued.
var MadeUpState = "AAAAAAAA." + strings.Repeat("B", 43) + "." + strings.Repeat("C", 16)

// NewFlowWithTwo is NewFlow with a second provider, "other", at another address.
func NewFlowWithTwo(t testing.TB, change func(o *ginauth.Options)) (f *Flow, other *authtest.Provider) {
	other = StartProvider(t, authtest.Config{ClientID: "other-client"})
	other.SignInAs("grace")
	f = NewFlow(t, func(s *Site, o *ginauth.Options) {
		o.Providers = append(o.Providers, Client("other", other))
		if change != nil {
			change(o)
		}
	})
	return f, other
}

// Flow is a Site for tests of the callback. It counts the calls of OnLogin, and can be redeployed
// while a sign-in is in progress.
type Flow struct {
	*Site
	Logins atomic.Int64 // calls of OnLogin
	opts   ginauth.Options
	next   atomic.Pointer[gin.Engine] // serves requests since Redeploy
}

// NewFlow is New for a Flow.
func NewFlow(t testing.TB, change func(s *Site, o *ginauth.Options)) *Flow {
	t.Helper()
	return StartFlow(t, New, change)
}

// NewTLSFlow is NewFlow over https.
func NewTLSFlow(t testing.TB, change func(s *Site, o *ginauth.Options)) *Flow {
	t.Helper()
	return StartFlow(t, NewTLS, change)
}

// StartFlow is NewFlow for a Site that start creates.
func StartFlow(t testing.TB, start func(testing.TB, func(*Site, *ginauth.Options)) *Site, change func(s *Site, o *ginauth.Options)) *Flow {
	t.Helper()
	f := &Flow{}
	f.Site = start(t, func(s *Site, o *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) {
			if next := f.next.Load(); next != nil {
				c.Abort()
				next.ServeHTTP(c.Writer, c.Request)
			}
		})
		o.Hooks.OnLogin = func(*gin.Context, *ginauth.Login) error {
			f.Logins.Add(1)
			return nil
		}
		if change != nil {
			change(s, o)
		}
		f.opts = *o
	})
	return f
}

// Redeploy serves the application at the same address with other Options, as after a restart.
func (f *Flow) Redeploy(change func(o *ginauth.Options)) {
	f.T.Helper()
	opts := f.opts
	change(&opts)
	f.events.watch(&opts)
	engine := gin.New()
	auth, err := ginauth.Mount(engine, opts)
	if err != nil {
		f.T.Fatal(err)
	}
	f.Engine, f.Auth = engine, auth
	f.routes()
	f.next.Store(engine)
}

// With returns a callback with a parameter set to another value.
func With(callback *url.URL, name, value string) *url.URL {
	q := callback.Query()
	q.Set(name, value)
	return WithQuery(callback, q.Encode())
}

// Without returns a callback without a parameter.
func Without(callback *url.URL, name string) *url.URL {
	q := callback.Query()
	q.Del(name)
	return WithQuery(callback, q.Encode())
}

// WithQuery returns a callback with another query, which is not re-encoded.
func WithQuery(callback *url.URL, query string) *url.URL {
	u := *callback
	u.RawQuery = query
	return &u
}

// AtPath returns a callback with another path.
func AtPath(callback *url.URL, path string) *url.URL {
	u := *callback
	u.Path = path
	return &u
}

// Refuses opens a callback as the provider's redirect does, and asserts that it
// fails closed and that OnLogin is not called.
func (f *Flow) Refuses(t testing.TB, callback *url.URL, want Closed) *authtest.Page {
	t.Helper()
	before := f.Logins.Load()
	p := f.Finish(callback)
	f.WantRefused(t, p, callback, want)
	if f.Logins.Load() != before {
		t.Error("OnLogin was called")
	}
	return p
}

// WantRefused asserts that a callback failed closed.
func (f *Flow) WantRefused(t testing.TB, p *authtest.Page, callback *url.URL, want Closed) {
	t.Helper()
	for _, name := range []string{"code", "state"} {
		want.Hide = append(want.Hide, callback.Query()[name]...)
	}
	if text := callback.Query().Get("error_description"); text != "" && strings.Contains(p.Text(), text) {
		t.Error("the page has the provider's description") // which may be in the log, quoted
	}
	f.FailsClosed(t, p, want)
}

// Lands opens a callback as the provider's redirect does, and asserts that the sign-in succeeds and
// ends at path.
func (f *Flow) Lands(t testing.TB, callback *url.URL, path string) *authtest.Page {
	t.Helper()
	p := f.Finish(callback)
	f.WantLanded(t, p, path)
	return p
}

// WantLanded asserts that a sign-in has ended at path.
func (f *Flow) WantLanded(t testing.TB, p *authtest.Page, path string) {
	t.Helper()
	if p.Status != http.StatusOK || p.URL.RequestURI() != path || f.User() == nil {
		t.Fatalf("landed on %s with %d, signed in: %v; want %s\n%s\n%s", p.URL, p.Status, f.User(), path, p.Text(), f.Logs)
	}
}

// LoginStates returns the browser's login state cookies, one for each sign-in in
// progress.
func (f *Flow) LoginStates() []*http.Cookie { return f.OwnCookies("-a-") }

// OwnCookies returns the browser's ginauth cookies whose names have part after the hash that all of
// them have. An empty part means the session.
func (f *Flow) OwnCookies(part string) (found []*http.Cookie) {
	for _, c := range f.Browser.Cookies(f.URL) {
		name, ours := strings.CutPrefix(strings.TrimPrefix(c.Name, "__Host-"), "ginauth-")
		if rest := name[min(6, len(name)):]; ours && strings.HasPrefix(rest, part) && (part != "" || rest == "") {
			found = append(found, c)
		}
	}
	return found
}

// LoginState returns the browser's only login state cookie.
func (f *Flow) LoginState() *http.Cookie {
	f.T.Helper()
	all := f.LoginStates()
	if len(all) != 1 {
		f.T.Fatalf("the browser has %d login states, want 1", len(all))
	}
	return all[0]
}

// OnlySession returns the browser's only session cookie.
func (f *Flow) OnlySession() *http.Cookie {
	f.T.Helper()
	all := f.OwnCookies("")
	if len(all) != 1 {
		f.T.Fatalf("the browser has %d session cookies, want 1", len(all))
	}
	return all[0]
}

// KeepCookie puts a cookie back into the browser.
func (f *Flow) KeepCookie(c *http.Cookie) {
	f.T.Helper()
	if err := f.Browser.SetCookie(f.URL, c); err != nil {
		f.T.Fatal(err)
	}
}
