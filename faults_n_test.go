package ginauth_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func faultsN() []fault {
	return []fault{
		{"N1_host_headers", faultN1},
		{"N4_trusted_proxies_of_gin", faultN4},
		{"N5_headers_that_name_another_path", faultN5},
		{"N6_prefix_that_a_proxy_strips", faultN6},
		{"N7_identity_headers", faultN7},
		{"N8_base_url", faultN8},
		{"N9_two_host_names", faultN9},
	}
}

// lies are headers by which proxies say how a request reached them, and
// anybody else can say it too.
var lies = http.Header{
	"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Port": {"444"}, "X-Forwarded-Server": {"evil.example"},
	"X-Forwarded-Scheme": {"http"}, "X-Forwarded-Ssl": {"off"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"},
	"X-Original-Host": {"evil.example"}, "X-Host": {"evil.example"}, "X-Http-Host-Override": {"evil.example"}, "Front-End-Https": {"off"},
	"Forwarded": {"for=127.0.0.1;host=evil.example;proto=http"}, "X-Forwarded-Prefix": {"/evil"},
	"X-Appengine-Remote-Addr": {"127.0.0.1"}, "Cf-Connecting-Ip": {"127.0.0.1"},
}

func headerLines(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b)
	return b.String()
}

// unmoved asserts that no request can change what s says its address is.
func unmoved(t *testing.T, s *site) {
	t.Helper()
	base := "https://app.example.com/base"
	for _, target := range []string{"/login/demo", "http://evil.example/login/demo", "https://app.example.com/login/demo"} {
		for _, host := range []string{"evil.example", "evil.example:443", "app.example.com", "localhost", "127.0.0.1", "", "APP.EXAMPLE.COM."} {
			p := s.raw(t, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n"+headerLines(lies)+askPage)
			location, params := authorization(t, p)
			if got := params.Get("redirect_uri"); got != base+"/authorize/demo" || strings.Contains(location, "evil") {
				t.Errorf("%s with Host %q: %s", target, host, location)
			}
			for _, line := range p.Header["Set-Cookie"] {
				if !strings.HasPrefix(line, "__Host-") || !strings.Contains(line, "; Secure") || strings.Contains(line, "Domain") {
					t.Errorf("%s with Host %q sets %q", target, host, line)
				}
			}
		}
	}
	for target, want := range map[string]string{
		"/login/nope": base + "/", "/authorize/demo?state=x": base + "/", "/logout": base + "/",
	} {
		p := s.raw(t, "GET "+target+" HTTP/1.1\r\nHost: evil.example\r\n"+headerLines(lies)+askPage)
		if !strings.Contains(p.Text(), `href="`+want+`"`) || strings.Contains(p.Text(), "evil") {
			t.Errorf("%s: the page leads elsewhere than %s: %s", target, want, p.Text())
		}
	}
	p := s.raw(t, "GET /me HTTP/1.1\r\nHost: evil.example\r\n"+headerLines(lies)+askPage)
	if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/base/login"+returnTo("/me") {
		t.Errorf("a guarded page answered %d with Location %q", p.Status, got)
	}
}

func atBase(_ *site, o *ginauth.Options) { o.BaseURL = "https://app.example.com/base" }

func faultN1(t *testing.T) {
	t.Parallel()
	unmoved(t, newSite(t, atBase))
	for _, s := range []*site{newSite(t, nil), newTLSSite(t, nil), newFront(t, "app.example.com").behind(t, "/shop", "/auth", nil)} {
		s.browser.Header = lies
		if p := s.get("/page/x"); p.Status != http.StatusOK || p.URL.String() != s.URL+"/page/x" {
			t.Errorf("with headers that lie, the sign-in ended at %s with %d: %s", p.URL, p.Status, p.Text())
		}
		for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.Token} {
			if got := s.idp.LastRequest(e).Form.Get("redirect_uri"); !strings.HasPrefix(got, s.URL+"/") {
				t.Errorf("the redirect URI sent to %s is %q", e, got)
			}
		}
	}
}

// N4: Gin trusts every proxy unless told otherwise. That changes nothing here.
func faultN4(t *testing.T) {
	t.Parallel()
	for _, trusted := range [][]string{nil, {}, {"0.0.0.0/0", "::/0"}, {"127.0.0.1"}} {
		s := newSite(t, atBase)
		if trusted != nil {
			if err := s.engine.SetTrustedProxies(trusted); err != nil {
				t.Fatal(err)
			}
		}
		s.engine.ForwardedByClientIP, s.engine.AppEngine, s.engine.TrustedPlatform = true, true, "CF-Connecting-IP" //nolint:staticcheck // old, and still read
		unmoved(t, s)
	}
}

func faultN5(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	for _, name := range []string{"X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Auth-Request-Redirect", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url",
		"X-Forwarded-Method", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "Referer"} {
		for _, value := range []string{"/", "/public", "/login", "/evil", "https://evil.example/evil", "OPTIONS", "HEAD"} {
			header := http.Header{name: {value}}
			p := s.raw(t, "GET /page/x?y=1 HTTP/1.1\r\nHost: "+s.addr()+"\r\n"+headerLines(header)+askPage)
			if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/login"+returnTo("/page/x?y=1") {
				t.Errorf("%s: %s: a guarded page answered %d with Location %q", name, value, p.Status, got)
			}
			p = s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/me", header, ""))
			if p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), `"login_url":"/login"`) {
				t.Errorf("%s: %s: a guarded route answered %d %s", name, value, p.Status, p.Text())
			}
		}
		s.browser.Header = http.Header{name: {"/evil"}}
		if got := s.returned(t, ""); got != "/home" {
			t.Errorf("%s: the sign-in led to %q", name, got)
		}
		s.browser = s.newBrowser()
	}
	if s.ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
}

// N6: BaseURL's path is what a proxy strips; TestSignInBehindAProxy and its
// neighbours go the whole way in all combinations.
func faultN6(t *testing.T) {
	t.Parallel()
	s := newFront(t, "app.example.com").behind(t, "/shop", "/auth", nil)
	p := s.get("/me")
	if got := s.idp.LastRequest(authtest.Token).Form.Get("redirect_uri"); got != "https://app.example.com/shop/auth/authorize/demo" || p.URL.String() != s.URL+"/me" {
		t.Errorf("with redirect URI %q, the sign-in ended at %s with %d", got, p.URL, p.Status)
	}
	if !strings.Contains(s.logs.String(), "redirect_uri=https://app.example.com/shop/auth/authorize/demo") || strings.Contains(s.logs.String(), "twice") {
		t.Errorf("the log does not tell what to register, or warns of what is right:\n%s", s.logs)
	}
	s = newFront(t, "app.example.com").behind(t, "/auth", "/auth", nil)
	if !strings.Contains(s.logs.String(), "which then stands there twice") {
		t.Errorf("the log does not warn of a path that stands there twice:\n%s", s.logs)
	}
}

func faultN7(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	forged := http.Header{"Authorization": {"Basic ZXZlOmV2ZQ=="}}
	for _, name := range []string{"X-User", "X_User", "x-user", "X-Forwarded-User", "X_Forwarded_User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Groups",
		"Remote-User", "Remote_User", "X-Remote-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Authenticated-User", "X-Webauth-User",
		"X-Email", "X-Groups", "X-Amzn-Oidc-Identity", "X-Goog-Authenticated-User-Email", "Cf-Access-Authenticated-User-Email", "X-Ms-Client-Principal-Name", "Sec-User"} {
		forged[name] = []string{"eve"}
	}
	s.browser.Header = forged
	if s.user() != nil || s.get("/").Text() != "home" {
		t.Error("a header signed somebody in")
	}
	if p := s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/admin", forged, "")); p.Status != http.StatusUnauthorized {
		t.Errorf("a header opened /admin: %d", p.Status)
	}
	if s.ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
	s.browser.Header = nil
	s.signIn()
	s.browser.Header = forged
	if u := s.user(); u == nil || u.Subject != "ada" || slices.Contains(u.Groups, "eve") || strings.Contains(s.get("/").Text(), "eve") {
		t.Errorf("headers made ada %v", u)
	}
}

func faultN8(t *testing.T) {
	t.Parallel()
	for _, base := range []string{
		"", " ", "app.example.com", "app.example.com:443", "//app.example.com", "/app", "https://", "https:///app", "https:app.example.com", "ftp://app.example.com",
		"http://app.example.com", "http://192.168.1.5:8080", "http://10.0.0.1", "http://0.0.0.0:8080", "https://0.0.0.0", "http://[::]:8080", "http://localhost.example.com",
		"http://127.0.0.1.example.com", "http://2130706433", "http://notlocalhost",
		"https://app.example.com/..", "https://app.example.com/a/../b", "https://app.example.com/%2e%2e/b", "https://app.example.com//a", "https://app.example.com/a//b",
		"https://app.example.com?x=1", "https://app.example.com/?", "https://app.example.com#x", "https://app.example.com/#", "https://user@app.example.com",
		"https://user:pass@app.example.com", "https://app.example.com\n", " https://app.example.com", "https://app.example.com /x", `https://app.example.com\x`, "https://app.example.com/a b",
		"https://app.example.com:", "https://app.example.com:0", "https://app.example.com:65536", "https://app.example.com:x", "https://äpp.example.com", "https://*.example.com",
		"https://app..example.com", "https://app.example.com/ü", "https://app.example.com/:id", "https://app.example.com/*any", "https://app.example.com/./a",
	} {
		err := mountError(ginauth.Options{BaseURL: base, Keys: []string{testKey}, Providers: []ginauth.Provider{offline("demo")}})
		if err == nil {
			t.Errorf("BaseURL %q was taken", base)
			continue
		}
		says(t, err, "Options.BaseURL")
		if strings.Contains(err.Error(), "pass@") {
			t.Errorf("the error has the password: %v", err)
		}
	}
	for _, base := range []string{"https://app.example.com", "https://app.example.com/", "https://app.example.com:8443/a/b-c_d.e~f/", "https://203.0.113.5", "https://[2001:db8::1]:8443",
		"http://localhost:8080", "http://app.localhost", "http://127.0.0.1:1/app", "http://127.9.9.9", "http://[::1]:8080", "https://localhost", "https://intranet"} {
		if err := mountError(ginauth.Options{BaseURL: base, Keys: []string{testKey}, Providers: []ginauth.Provider{offline("demo")}}); err != nil {
			t.Errorf("BaseURL %q was refused: %v", base, err)
		}
	}
}

// N9: who begins at one name of the application and is sent back to another
// has no cookie there.
func faultN9(t *testing.T) {
	t.Parallel()
	s := newFront(t, "app.example.com", "other.example.com").behind(t, "", "", nil)
	for _, from := range []string{"https://other.example.com", "https://app.example.com"} {
		p := s.must(s.browser.Get(from + "/login/demo" + returnTo("/page/x")))
		if from == s.URL {
			if p.Status != http.StatusOK || p.URL.String() != s.URL+"/page/x" {
				t.Errorf("beginning at BaseURL's host ended at %s with %d", p.URL, p.Status)
			}
			continue
		}
		s.failsClosed(t, p, closed{code: ginauth.ErrStateInvalid})
		if p.URL.Host != "app.example.com" {
			t.Errorf("the answer came to %s", p.URL)
		}
		if log := s.logs.String(); !strings.Contains(log, "the sign-in was begun at another host name than BaseURL's, where its cookie stayed") || !strings.Contains(log, "open the application at https://app.example.com, and send visits to other names there") {
			t.Errorf("the log does not say what to do:\n%s", log)
		}
		for _, text := range []string{"other.example.com", "cookie", "host"} {
			if strings.Contains(p.Text(), text) {
				t.Errorf("the page, which tells nobody why, says %q: %s", text, p.Text())
			}
		}
	}
	callback := s.beginAt("https://app.example.com", "/login/demo")
	callback.Host = "other.example.com"
	s.failsClosed(t, s.finish(callback), closed{code: ginauth.ErrStateInvalid, tokens: 1, was: "ada"})
}

// beginAt is begin for a host of its own.
func (s *site) beginAt(base, path string) (callback *url.URL) {
	s.t.Helper()
	s.browser.StopAt = func(next *url.URL) bool {
		callback = next
		return strings.HasPrefix(next.String(), base+"/authorize/")
	}
	defer func() { s.browser.StopAt = nil }()
	s.must(s.browser.Get(base + path))
	return callback
}
