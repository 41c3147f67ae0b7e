package ginauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func TestSignIn(t *testing.T) {
	s := newSite(t, nil)
	p := s.get("/page/one?x=1")
	if got := p.URL.String(); got != s.URL+"/page/one?x=1" || p.Status != http.StatusOK {
		t.Fatalf("landed on %s with %d: %s\n%s", got, p.Status, p.Text(), s.logs)
	}
	u := s.user()
	if u == nil || u.Subject != "ada" || u.Provider != "demo" || u.Issuer != s.idp.Issuer || u.Email == "" || !u.EmailVerified || u.Name == "" {
		t.Errorf("signed in as %+v", u)
	}
	if p := s.get("/"); p.Text() != "home of "+u.Name {
		t.Errorf("the home page says %q", p.Text())
	}
}

func TestLoginURL(t *testing.T) {
	for _, tt := range []struct{ name, base, group, page, provider, returnTo, want string }{
		{"a provider", "https://app.example.com", "", "", "demo", "", "https://app.example.com/login/demo"},
		{"a provider and a page", "https://app.example.com", "", "", "demo", "/x?y=1&z=/#top", "https://app.example.com/login/demo?return_to=%2Fx%3Fy%3D1%26z%3D%2F%23top"},
		{"no provider", "https://app.example.com", "", "", "", "", "https://app.example.com/login"},
		{"no provider and a page", "https://app.example.com", "", "", "", "/x", "https://app.example.com/login?return_to=%2Fx"},
		{"a BaseURL that ends in a slash", "https://app.example.com/", "", "", "demo", "/x", "https://app.example.com/login/demo?return_to=%2Fx"},
		{"a BaseURL in capitals and with its port", "https://APP.example.com:443", "", "", "demo", "", "https://app.example.com/login/demo"},
		{"a prefix and a group", "https://app.example.com/shop/", "/auth", "", "demo", "/x", "https://app.example.com/shop/auth/login/demo?return_to=%2Fx"},
		{"the chooser below them", "https://app.example.com/shop", "/auth", "", "", "/x", "https://app.example.com/shop/auth/login?return_to=%2Fx"},
		{"a login page", "https://app.example.com/shop", "/auth", "/signin", "", "/x", "https://app.example.com/shop/signin?return_to=%2Fx"},
		{"a login page with query and fragment", "https://app.example.com", "", "/signin?lang=de#form", "", "/x?y", "https://app.example.com/signin?lang=de&return_to=%2Fx%3Fy#form"},
		{"a login page and a provider", "https://app.example.com", "/auth", "/signin", "demo", "", "https://app.example.com/auth/login/demo"},
		{"a provider's name that is none", "https://app.example.com", "", "", "../x?y", "", "https://app.example.com/login/..%2Fx%3Fy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			auth, err := ginauth.Mount(gin.New().Group(tt.group), ginauth.Options{
				BaseURL: tt.base, Keys: []string{testKey}, Logger: new(logs).Logger(), LoginPage: tt.page, Providers: []ginauth.Provider{offline("demo")},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := auth.LoginURL(tt.provider, tt.returnTo); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestLoginURLLeadsThere(t *testing.T) {
	s := newSite(t, nil)
	for to, want := range map[string]string{"/page/x?y=1#z": "/page/x?y=1#z", "": "/", "//evil.example/": "/", "https://evil.example/": "/"} {
		for _, provider := range []string{"", "demo"} {
			p := s.must(s.browser.Get(s.auth.LoginURL(provider, to)))
			if got := p.URL.String(); got != s.URL+want || p.Status != http.StatusOK {
				t.Errorf("LoginURL(%q, %q) led to %s with %d", provider, to, got, p.Status)
			}
			if provider == "" {
				continue
			}
			for field, want := range map[string]string{"": want, "/page/field": "/page/field", "//evil.example/": "/"} {
				form := url.Values{}
				if field != "" {
					form.Set("return_to", field)
				}
				if got := s.must(s.browser.Submit(s.open("/"), s.auth.LoginURL(provider, to), form)).URL.String(); got != s.URL+want {
					t.Errorf("a form to LoginURL(%q, %q) with the field %q led to %s", provider, to, field, got)
				}
			}
		}
	}
}

// A sign-in that begins at http://127.0.0.1 cannot end at http://localhost:
// the attempt's cookie would not be there. So the visit is moved first.
func TestVisitOnAnotherLoopbackNameIsMoved(t *testing.T) {
	for _, names := range []struct{ base, visited string }{
		{"localhost", "127.0.0.1"}, {"127.0.0.1", "localhost"}, {"app.localhost", "localhost"}, {"localhost", "app.localhost"},
	} {
		t.Run(names.visited+" to "+names.base, func(t *testing.T) {
			s := newSite(t, func(s *site, o *ginauth.Options) {
				s.URL = strings.Replace(s.URL, "localhost", names.base, 1)
				o.BaseURL = s.URL
				o.Providers[0].LoginParams = []string{"login_hint"}
			})
			visited := strings.Replace(s.URL, names.base, names.visited, 1)
			for path, want := range map[string]string{
				"/login/demo" + returnTo("/page/x?y=1") + "&login_hint=a%2Bb": "/page/x?y=1",
				"/login" + returnTo("/page/x?y=1") + "&login_hint=a%2Bb":      "/page/x?y=1",
				"/page/x%2Fy?z=1": "/page/x%2Fy?z=1",
			} {
				s.browser = s.newBrowser()
				p := s.must(s.browser.Get(visited + path))
				if got := p.URL.String(); got != s.URL+want || p.Status != http.StatusOK {
					t.Errorf("%s%s led to %s with %d: %s\n%s", visited, path, got, p.Status, p.Text(), s.logs)
				}
				hint := s.idp.LastRequest(authtest.Authorize).Form.Get("login_hint")
				if strings.Contains(path, "login_hint") && hint != "a+b" {
					t.Errorf("login_hint became %q on the way", hint)
				}
			}
		})
	}
}

func TestVisitIsMovedOnlyToWhereItBelongs(t *testing.T) {
	s := newSite(t, nil)
	port := mustURL(t, s.URL).Port()
	public := newSite(t, func(_ *site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
	for _, tt := range []struct {
		name  string
		s     *site
		host  string
		moved bool
	}{
		{"BaseURL's own host", s, "localhost:" + port, false},
		{"BaseURL's own host in capitals", s, "LOCALHOST:" + port, false},
		{"another loopback name", s, "127.0.0.1:" + port, true},
		{"the other kind of address", s, "[::1]:" + port, true},
		{"any loopback address", s, "127.1.2.3:" + port, true},
		{"a name below localhost", s, "x.localhost:" + port, true},
		{"localhost with a dot", s, "localhost.:" + port, true},
		{"another port, which a proxy may have", s, "127.0.0.1:1", false},
		{"no port", s, "127.0.0.1", false},
		{"another host", s, "evil.example:" + port, false},
		{"a host that looks like loopback", s, "127.0.0.1.evil.example:" + port, false},
		{"a host that ends like loopback", s, "evillocalhost:" + port, false},
		{"a user that looks like loopback", s, "localhost:" + port + "@evil.example", false},
		{"loopback, of a public application", public, "127.0.0.1:" + port, false},
		{"loopback without a port, of a public application", public, "localhost", false},
	} {
		p := tt.s.raw(t, "GET /login/demo?return_to=/x HTTP/1.1\r\nHost: "+tt.host+"\r\n"+askPage)
		location := p.Header.Get("Location")
		if moved := location == s.URL+"/login/demo?return_to=/x&moved=1"; moved != tt.moved {
			t.Errorf("%s: %d with Location %q", tt.name, p.Status, location)
		}
		if begun := p.Header["Set-Cookie"] != nil; begun && tt.moved {
			t.Errorf("%s: an attempt was begun on a host that it cannot end on", tt.name)
		}
		if again := tt.s.raw(t, "GET /login/demo?return_to=/x&moved=1 HTTP/1.1\r\nHost: "+tt.host+"\r\n"+askPage); strings.HasPrefix(again.Header.Get("Location"), tt.s.URL) {
			t.Errorf("%s: moved twice, for ever if a proxy writes the host", tt.name)
		}
		if u, err := url.Parse(location); err != nil || strings.Contains(u.Host, "evil") {
			t.Errorf("%s: Location is %q", tt.name, location)
		}
	}
}

// A form of another site begins a sign-in by the GET of the same address: the POST
// brings no cookies, and would add one each time.
func TestFormsOfAnotherSiteBeginByGET(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(_ *site, o *ginauth.Options) { o.Providers[0].LoginParams = []string{"prompt"} })
	form := url.Values{"return_to": {"/page/a?b=c&d=\u00e9"}, "prompt": {"login"}, "iss": {f.idp.Issuer}, "login_hint": {"ada@example.com"}}
	old := f.newBrowser()
	old.NoFetchMetadata = true
	for name, b := range map[string]*authtest.Browser{"a browser of today": f.browser, "an old browser": old} {
		for _, from := range []string{"https://evil.example/", strings.Replace(f.URL, "localhost", "other.localhost", 1) + "/", strings.Replace(f.URL, "http://", "https://", 1) + "/"} {
			f.browser = b
			b.StopAt = func(*url.URL) bool { return true }
			p := f.must(b.Submit(authtest.At(from), f.URL+"/login/demo", form))
			if p.Status != http.StatusSeeOther || len(p.Header.Values("Set-Cookie")) > 0 {
				t.Fatalf("%s, from %s: %d with cookies %q", name, from, p.Status, p.Header.Values("Set-Cookie"))
			}
			wantHeaders(t, p)
			next, err := url.Parse(p.Header.Get("Location"))
			if err != nil || !strings.HasPrefix(next.String(), f.URL+"/login/demo?") || next.Query().Encode() != form.Encode() {
				t.Fatalf("%s, from %s: sent to %s", name, from, next)
			}
			b.StopAt = nil
			f.landed(t, f.must(b.Follow(p)), "/page/a?b=c&d=%C3%A9")
			if asked := f.idp.LastRequest(authtest.Authorize).Form; asked.Get("prompt") != "login" || asked.Get("login_hint") != "ada@example.com" {
				t.Errorf("%s, from %s: the provider was asked with %v", name, from, asked)
			}
		}
		b.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), f.idp.Issuer) }
		for range 12 {
			f.must(b.Submit(authtest.At("https://evil.example/"), f.URL+"/login/demo", form))
		}
		b.StopAt = nil
		if n := len(f.attempts()); n > 5 {
			t.Errorf("%s: twelve forms left %d cookies", name, n)
		}
		p := f.must(b.Submit(authtest.At("https://evil.example/"), f.URL+"/login/demo", url.Values{"return_to": {strings.Repeat("/a", 5000)}}))
		if p.Status != http.StatusRequestEntityTooLarge || len(p.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: a form of 10 KB is answered %d", name, p.Status)
		}
	}

	// A form of our own page begins at once.
	f.browser = f.newBrowser()
	f.browser.StopAt = func(*url.URL) bool { return true }
	p := f.must(f.browser.Submit(authtest.At(f.URL+"/"), f.URL+"/login/demo", url.Values{"return_to": {"/page/a"}}))
	if !strings.HasPrefix(p.Header.Get("Location"), f.idp.Issuer) || len(f.attempts()) != 1 {
		t.Errorf("a form of our own is answered %d to %s", p.Status, p.Header.Get("Location"))
	}
}
