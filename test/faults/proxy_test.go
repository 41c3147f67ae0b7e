package faults

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsProxy(t *testing.T) {
	runFaults(t, []fault{
		{"N1_host_headers", n1HostHeaders},
		{"N4_trusted_proxies_of_gin", n4TrustedProxiesOfGin},
		{"N5_headers_that_name_another_path", n5HeadersThatNameAnotherPath},
		{"N6_prefix_that_a_proxy_strips", n6PrefixThatAProxyStrips},
		{"N7_identity_headers", n7IdentityHeaders},
		{"N9_two_host_names", n9TwoHostNames},
	})
}

// lies are headers of proxies about the original request, which any client can send.
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

// unmoved asserts that no request can change the application's address.
func unmoved(t *testing.T, s *sitetest.Site) {
	t.Helper()
	base := "https://app.example.com/base"
	for _, target := range []string{"/login/demo", "http://evil.example/login/demo", "https://app.example.com/login/demo"} {
		for _, host := range []string{"evil.example", "evil.example:443", "app.example.com", "localhost", "127.0.0.1", "", "APP.EXAMPLE.COM."} {
			p := s.Raw(t, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n"+headerLines(lies)+sitetest.AskPage)
			location, params := sitetest.Authorization(t, p)
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
		p := s.Raw(t, "GET "+target+" HTTP/1.1\r\nHost: evil.example\r\n"+headerLines(lies)+sitetest.AskPage)
		if !strings.Contains(p.Text(), `href="`+want+`"`) || strings.Contains(p.Text(), "evil") {
			t.Errorf("%s: the page leads elsewhere than %s: %s", target, want, p.Text())
		}
	}
	p := s.Raw(t, "GET /me HTTP/1.1\r\nHost: evil.example\r\n"+headerLines(lies)+sitetest.AskPage)
	if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/base/login"+sitetest.ReturnTo("/me") {
		t.Errorf("a guarded page responded %d with Location %q", p.Status, got)
	}
}

func atBase(_ *sitetest.Site, o *ginauth.Options) { o.BaseURL = "https://app.example.com/base" }

func n1HostHeaders(t *testing.T) {
	t.Parallel()
	unmoved(t, sitetest.New(t, atBase))
	for _, s := range []*sitetest.Site{sitetest.New(t, nil), sitetest.NewTLS(t, nil), sitetest.NewProxy(t, "app.example.com").Behind(t, "/shop", "/auth", nil)} {
		s.Browser.Header = lies
		if p := s.Get("/page/x"); p.Status != http.StatusOK || p.URL.String() != s.URL+"/page/x" {
			t.Errorf("with headers that lie, the sign-in ended at %s with %d: %s", p.URL, p.Status, p.Text())
		}
		for _, e := range []authtest.Endpoint{authtest.Authorize, authtest.Token} {
			if got := s.IDP.LastRequest(e).Form.Get("redirect_uri"); !strings.HasPrefix(got, s.URL+"/") {
				t.Errorf("the redirect URI sent to %s is %q", e, got)
			}
		}
	}
}

// N4: Gin trusts every proxy by default. This has no effect here.
func n4TrustedProxiesOfGin(t *testing.T) {
	t.Parallel()
	for _, trusted := range [][]string{nil, {}, {"0.0.0.0/0", "::/0"}, {"127.0.0.1"}} {
		s := sitetest.New(t, atBase)
		if trusted != nil {
			if err := s.Engine.SetTrustedProxies(trusted); err != nil {
				t.Fatal(err)
			}
		}
		s.Engine.ForwardedByClientIP, s.Engine.AppEngine, s.Engine.TrustedPlatform = true, true, "CF-Connecting-IP" //nolint:staticcheck // deprecated, but still read
		unmoved(t, s)
	}
}

func n5HeadersThatNameAnotherPath(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	for _, name := range []string{"X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Auth-Request-Redirect", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url",
		"X-Forwarded-Method", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "Referer"} {
		for _, value := range []string{"/", "/public", "/login", "/evil", "https://evil.example/evil", "OPTIONS", "HEAD"} {
			header := http.Header{name: {value}}
			p := s.Raw(t, "GET /page/x?y=1 HTTP/1.1\r\nHost: "+s.Addr()+"\r\n"+headerLines(header)+sitetest.AskPage)
			if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/login"+sitetest.ReturnTo("/page/x?y=1") {
				t.Errorf("%s: %s: a guarded page responded %d with Location %q", name, value, p.Status, got)
			}
			p = s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/me", header, ""))
			if p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), `"login_url":"/login"`) {
				t.Errorf("%s: %s: a guarded route responded %d %s", name, value, p.Status, p.Text())
			}
		}
		s.Browser.Header = http.Header{name: {"/evil"}}
		if got := s.Returned(t, ""); got != "/home" {
			t.Errorf("%s: the sign-in led to %q", name, got)
		}
		s.Browser = s.NewBrowser()
	}
	if s.Ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
}

// N6: a proxy strips BaseURL's path; TestSignInBehindAProxy and its neighbours test complete
// sign-ins in all combinations.
func n6PrefixThatAProxyStrips(t *testing.T) {
	t.Parallel()
	s := sitetest.NewProxy(t, "app.example.com").Behind(t, "/shop", "/auth", nil)
	p := s.Get("/me")
	if got := s.IDP.LastRequest(authtest.Token).Form.Get("redirect_uri"); got != "https://app.example.com/shop/auth/authorize/demo" || p.URL.String() != s.URL+"/me" {
		t.Errorf("with redirect URI %q, the sign-in ended at %s with %d", got, p.URL, p.Status)
	}
	if !strings.Contains(s.Logs.String(), "redirect_uri=https://app.example.com/shop/auth/authorize/demo") || strings.Contains(s.Logs.String(), "group=") || strings.Contains(s.Logs.String(), "group_path") {
		t.Errorf("the log does not tell what to register, or warns of what is right:\n%s", s.Logs)
	}
	s = sitetest.NewProxy(t, "app.example.com").Behind(t, "/auth", "/auth", nil)
	if lines := s.Logs.Lines("WARN", "options.base_url.group_path"); len(lines) != 1 || !strings.Contains(lines[0], " group=/auth ") {
		t.Errorf("the log does not warn of a path that stands there twice:\n%s", s.Logs)
	}
}

func n7IdentityHeaders(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	forged := http.Header{"Authorization": {"Basic ZXZlOmV2ZQ=="}}
	for _, name := range []string{"X-User", "X_User", "x-user", "X-Forwarded-User", "X_Forwarded_User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Groups",
		"Remote-User", "Remote_User", "X-Remote-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Authenticated-User", "X-Webauth-User",
		"X-Email", "X-Groups", "X-Amzn-Oidc-Identity", "X-Goog-Authenticated-User-Email", "Cf-Access-Authenticated-User-Email", "X-Ms-Client-Principal-Name", "Sec-User"} {
		forged[name] = []string{"eve"}
	}
	s.Browser.Header = forged
	if s.User() != nil || s.Get("/").Text() != "home" {
		t.Error("a header signed a user in")
	}
	if p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/admin", forged, "")); p.Status != http.StatusUnauthorized {
		t.Errorf("a header opened /admin: %d", p.Status)
	}
	if s.Ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
	s.Browser.Header = nil
	s.SignIn()
	s.Browser.Header = forged
	if u := s.User(); u == nil || u.Subject != "ada" || slices.Contains(u.Groups, "eve") || strings.Contains(s.Get("/").Text(), "eve") {
		t.Errorf("headers made ada %v", u)
	}
}

// N9: a sign-in that begins at one host name and returns to another has no cookie there.
func n9TwoHostNames(t *testing.T) {
	t.Parallel()
	s := sitetest.NewProxy(t, "app.example.com", "other.example.com").Behind(t, "", "", nil)
	for _, from := range []string{"https://other.example.com", "https://app.example.com"} {
		p := s.Must(s.Browser.Get(from + "/login/demo" + sitetest.ReturnTo("/page/x")))
		if from == s.URL {
			if p.Status != http.StatusOK || p.URL.String() != s.URL+"/page/x" {
				t.Errorf("beginning at BaseURL's host ended at %s with %d", p.URL, p.Status)
			}
			continue
		}
		s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrStateInvalid})
		if p.URL.Host != "app.example.com" {
			t.Errorf("the response arrived at %s", p.URL)
		}
		if log := s.Logs.String(); !strings.Contains(log, "id=state.other_host ") || !strings.Contains(log, "https://app.example.com,") {
			t.Errorf("the log does not say what to do:\n%s", log)
		}
		for _, text := range []string{"other.example.com", "cookie", "host"} {
			if strings.Contains(p.Text(), text) {
				t.Errorf("the public page has the reason %q: %s", text, p.Text())
			}
		}
	}
	callback := beginAt(s, "https://app.example.com", "/login/demo")
	callback.Host = "other.example.com"
	s.FailsClosed(t, s.Finish(callback), sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1, Was: "ada"})
}

// beginAt is begin for another host.
func beginAt(s *sitetest.Site, base, path string) (callback *url.URL) {
	s.T.Helper()
	s.Browser.StopAt = func(next *url.URL) bool {
		callback = next
		return strings.HasPrefix(next.String(), base+"/authorize/")
	}
	defer func() { s.Browser.StopAt = nil }()
	s.Must(s.Browser.Get(base + path))
	return callback
}
