package ginauth_test

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// front is a proxy that ends TLS for hosts of example.com, and hands what is
// below a prefix on to a server behind it: without the prefix, and under the
// server's own host, as proxies do that nobody told otherwise.
type front struct {
	addr   string
	routes map[string]*url.URL // prefix -> server
}

func newFront(t testing.TB, hosts ...string) *front {
	t.Helper()
	f := &front{routes: map[string]*url.URL{}}
	server := httptest.NewUnstartedServer(f)
	cert, err := authtest.Certificate(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	f.addr = server.Listener.Addr().String()
	return f
}

// ServeHTTP strips the prefix and passes the request on.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for prefix, server := range f.routes {
		if r.URL.Path == prefix || strings.HasPrefix(r.URL.Path, prefix+"/") {
			proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(server)
				p.SetXForwarded()
			}}
			http.StripPrefix(prefix, proxy).ServeHTTP(w, r)
			return
		}
	}
	http.Error(w, "no application is here", http.StatusNotFound)
}

// behind serves an application behind the front at https://app.example.com and
// the prefix, with ginauth mounted on a group.
func (f *front) behind(t testing.TB, prefix, group string, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{}, logs: &logs{}, engine: gin.New(), URL: "https://app.example.com" + prefix}
	callback := s.URL + group + "/authorize/demo"
	s.idp = startIDP(t, authtest.Config{Now: s.clock.Now, TLS: true, Addr: "idp.localhost:0", RedirectURIs: []string{callback}})
	server := httptest.NewServer(s.engine)
	t.Cleanup(server.Close)
	f.routes[prefix], _ = url.Parse(server.URL)
	s.browser = f.newBrowser(s)
	opts := ginauth.Options{BaseURL: s.URL, Keys: []string{testKey}, Logger: s.logs.Logger(), Now: s.clock.Now,
		HTTPClient: s.idp.HTTPClient(), Providers: []ginauth.Provider{client("demo", s.idp)}}
	if change != nil {
		change(s, &opts)
	}
	var err error
	if s.auth, err = ginauth.Mount(s.engine.Group(group), opts); err != nil {
		t.Fatal(err)
	}
	s.routes()
	return s
}

func (f *front) newBrowser(s *site) *authtest.Browser {
	b := s.newBrowser()
	for _, host := range []string{"app.example.com", "other.example.com"} {
		b.Resolve(host, f.addr)
	}
	return b
}

// places are how an application can be put behind a proxy, on a group, or both.
var places = []struct{ name, prefix, group string }{
	{"neither", "", ""}, {"a prefix", "/shop", ""}, {"a group", "", "/auth"}, {"a prefix and a group", "/shop", "/auth"},
	{"the same word twice", "/auth", "/auth"}, {"deep ones", "/a/b.c", "/d/e"},
}

// everywhere runs a test for each of the places.
func everywhere(t *testing.T, test func(t *testing.T, s *site, group string)) {
	inModes(t, []string{"query"}, test)
}

// inModes is everywhere, for each of the response modes.
func inModes(t *testing.T, modes []string, test func(t *testing.T, s *site, group string)) {
	for _, place := range places {
		for _, mode := range modes {
			t.Run(place.name+" with "+mode, func(t *testing.T) {
				t.Parallel()
				s := newFront(t, "app.example.com").behind(t, place.prefix, place.group, func(_ *site, o *ginauth.Options) {
					o.Providers[0].ResponseMode = mode
				})
				test(t, s, place.group)
			})
		}
	}
}

// paths are those of a page's hops that are on app.example.com.
func paths(p *authtest.Page) (list []string) {
	for _, hop := range p.Hops {
		if hop.URL.Host == "app.example.com" {
			list = append(list, hop.URL.Path)
		}
	}
	return slices.Compact(list)
}

func TestSignInBehindAProxy(t *testing.T) {
	inModes(t, []string{"query", "form_post"}, func(t *testing.T, s *site, group string) {
		p := s.get("/page/a%2Fb?x=1&y=%2F")
		if p.Status != http.StatusOK || p.URL.String() != s.URL+"/page/a%2Fb?x=1&y=%2F" {
			t.Fatalf("the sign-in ended at %s with %d: %s\n%s", p.URL, p.Status, p.Text(), s.logs)
		}
		at := strings.TrimPrefix(s.URL, "https://app.example.com")
		want := []string{at + "/page/a/b", at + group + "/login", at + group + "/login/demo", at + group + "/authorize/demo", at + "/page/a/b"}
		if got := paths(p); !slices.Equal(got, want) {
			t.Errorf("the way was %q, want %q", got, want)
		}
		for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.Token} {
			if got := s.idp.LastRequest(e).Form.Get("redirect_uri"); got != s.URL+group+"/authorize/demo" {
				t.Errorf("the redirect URI sent to %s is %q", e, got)
			}
		}
		if refused := s.browser.RefusedCookies(); len(refused) > 0 {
			t.Errorf("the browser refused cookies: %q", refused)
		}
		if u := s.user(); u == nil || u.Subject != "ada" {
			t.Errorf("%v is signed in", u)
		}
	})
}

func TestCookiesBehindAProxy(t *testing.T) {
	inModes(t, []string{"query", "form_post"}, func(t *testing.T, s *site, group string) {
		set := 0
		base, _ := url.Parse(s.URL)
		for _, hop := range s.get("/me").Hops {
			for _, line := range hop.Header["Set-Cookie"] {
				if hop.URL.Host != "app.example.com" {
					continue
				}
				set++
				prefix, path := "__Host-ginauth-", "; Path=/;"
				if strings.HasPrefix(line, "__Secure-") { // the ID token, which no other request brings
					prefix, path = "__Secure-ginauth-", "; Path="+base.Path+group+"/logout;"
				}
				for _, want := range []string{prefix, path, "; HttpOnly", "; Secure", "; SameSite=Lax"} {
					if !strings.Contains(line, want) {
						t.Errorf("%.40s… lacks %q", line, want)
					}
				}
				if strings.Contains(line, "Domain") {
					t.Errorf("%.40s… has a domain", line)
				}
			}
		}
		if set == 0 || s.user() == nil {
			t.Errorf("%d cookies were set, and %v is signed in", set, s.user())
		}
		s.clock.Advance(10 * time.Second) // for which sign-ins are counted
		if left := s.browser.Cookies(s.URL); len(left) != 1 {
			t.Errorf("%d cookies are left, want the session's alone: %v", len(left), left)
		}
	})
}

func TestLoginURLBehindAProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site, group string) {
		for provider, want := range map[string]string{"": s.URL + group + "/login", "demo": s.URL + group + "/login/demo"} {
			if got := s.auth.LoginURL(provider, ""); got != want {
				t.Errorf("LoginURL(%q) is %s, want %s", provider, got, want)
			}
			address := s.auth.LoginURL(provider, "/page/x?y=1#z")
			if p := s.must(s.browser.Get(address)); p.URL.String() != s.URL+"/page/x?y=1#z" || p.Status != http.StatusOK {
				t.Errorf("%s led to %s with %d: %s", address, p.URL, p.Status, p.Text())
			}
		}
	})
}

func TestSignOutBehindAProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site, group string) {
		for _, old := range []bool{false, true} {
			s.browser = s.browser.Clone()
			s.browser.NoFetchMetadata = old // then Origin alone says who asks
			s.get("/me")
			if s.user() == nil {
				t.Fatal("nobody is signed in")
			}
			kept := s.browser.Clone()
			page := s.get(group + "/logout" + returnTo("/?from=logout"))
			if p := s.must(s.browser.ClickLink(page, "Stay signed in")); p.URL.String() != s.URL+"/" || p.Text() != "home of Ada Lovelace" {
				t.Errorf("staying led to %s: %s", p.URL, p.Text())
			}
			if p := s.must(s.browser.SubmitForm(page, "Sign out", nil)); p.URL.String() != s.URL+"/?from=logout" || p.Text() != "home" {
				t.Errorf("signing out led to %s with %d: %s", p.URL, p.Status, p.Text())
			}
			if s.user() != nil || s.userOf(kept) != nil {
				t.Error("still signed in")
			}
		}
		s.get("/me")
		p := s.must(s.browser.Submit(authtest.At("https://other.example.com/"), s.URL+group+"/logout", nil))
		s.wantError(p, ginauth.ErrCrossOrigin)
		if s.user() == nil {
			t.Error("another origin could sign somebody out")
		}
	})
}

func TestReturnPathsBehindAProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site, group string) {
		for raw, want := range map[string]string{
			"/page/x?y=1": "/page/x?y=1", group + "/logout": "/", group + "/login/demo": "/", group + "/authorize/demo?code=x": "/",
			"/../page": "/", "/%2e%2e/page": "/", "//evil.example": "/", s.URL + "/page/x": "/", `/\evil.example`: "/",
		} {
			p := s.get(group + "/login/demo" + returnTo(raw))
			if got := p.URL.String(); got != s.URL+want || p.Status != http.StatusOK {
				t.Errorf("%q led to %s with %d, want %s", raw, got, p.Status, want)
			}
		}
		header := http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {s.URL + "/page/list?x=1"}}
		s.browser = s.browser.Clone()
		for _, c := range s.browser.Cookies(s.URL) {
			s.browser.RemoveCookie(s.URL, c.Name)
		}
		at := strings.TrimPrefix(s.URL, "https://app.example.com")
		p := s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/me", header, ""))
		if got, want := p.Header.Get("HX-Redirect"), at+group+"/login"+returnTo("/page/list?x=1"); got != want {
			t.Errorf("HTMX is sent to %q, want %q", got, want)
		}
		p = s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/me", nil, ""))
		if want := `"login_url":"` + at + group + `/login"`; p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), want) {
			t.Errorf("a script is told %d %s, want %s", p.Status, p.Text(), want)
		}
	})
}

func TestPagesBehindAProxy(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site, group string) {
		s.idp.DenyConsent(true)
		p := s.get(group + "/login/demo" + returnTo("/page/x"))
		s.wantError(p, ginauth.ErrProviderDenied)
		if home := s.must(s.browser.ClickLink(p, "Home")); home.Text() != "home" || home.URL.String() != s.URL+"/" {
			t.Errorf("Home led to %s with %d", home.URL, home.Status)
		}
		s.idp.DenyConsent(false)
		if again := s.must(s.browser.ClickLink(p, "Try again")); again.URL.String() != s.URL+"/page/x" || again.Status != http.StatusOK {
			t.Errorf("trying again led to %s with %d: %s", again.URL, again.Status, again.Text())
		}
	})
}

func TestChooserBehindAProxy(t *testing.T) {
	for _, place := range places {
		s := newFront(t, "app.example.com").behind(t, place.prefix, place.group, func(_ *site, o *ginauth.Options) {
			o.Providers = append(o.Providers, offline("other"))
			o.Providers[0].DisplayName = "Demo & Sons"
		})
		p := s.get("/page/x?y=1&z")
		wantHeaders(t, p)
		if p = s.must(s.browser.ClickLink(p, "Demo & Sons")); p.URL.String() != s.URL+"/page/x?y=1&z" || p.Status != http.StatusOK {
			t.Errorf("%s: choosing led to %s with %d: %s", place.name, p.URL, p.Status, p.Text())
		}
	}
}

// Two applications behind one host share their cookies' jar, here even their
// keys, and nothing else.
func TestApplicationsOnOneHostDoNotMeet(t *testing.T) {
	f := newFront(t, "app.example.com")
	shop, blog := f.behind(t, "/shop", "", nil), f.behind(t, "/blog", "", nil)
	shop.signInAt("/login/demo")
	blog.browser = shop.browser
	if blog.user() != nil {
		t.Fatal("the shop's user is the blog's as well")
	}
	blog.idp.SignInAs("eve")
	blog.signInAt("/login/demo")
	if a, b := shop.user(), blog.user(); a == nil || b == nil || a.Subject != "ada" || b.Subject != "eve" {
		t.Errorf("the shop has %v, the blog %v", a, b)
	}
	shop.must(shop.browser.Submit(authtest.At(shop.URL+"/"), shop.URL+"/logout", nil))
	if shop.user() != nil || blog.user() == nil {
		t.Error("signing out of the shop did not sign out there alone")
	}
}

func (s *site) signInAt(path string) {
	s.t.Helper()
	if p := s.get(path); p.Status != http.StatusOK || s.user() == nil {
		s.t.Fatalf("signing in ended at %s with %d: %s\n%s", p.URL, p.Status, p.Text(), s.logs)
	}
}
