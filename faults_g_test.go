package ginauth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func faultsG() []fault {
	return []fault{
		{"G1_another_site", func(t *testing.T) { goesHome(t, hostilePaths["another site"]) }},
		{"G2_white_space_and_controls", func(t *testing.T) { goesHome(t, hostilePaths["white space and control characters"]) }},
		{"G3_dot_segments", func(t *testing.T) { goesHome(t, hostilePaths["dot segments"]) }},
		{"G4_encoded_many_times", func(t *testing.T) { goesHome(t, hostilePaths["encoded twice and more"]) }},
		{"G5_no_path", func(t *testing.T) { goesHome(t, append(hostilePaths["no path"], "")) }},
		{"G6_protected_page_with_two_slashes", faultG6},
		{"G7_absolute_form", faultG7},
		{"G8_own_routes", func(t *testing.T) { goesHome(t, ownPaths) }},
		{"G9_longer_than_2048_bytes", func(t *testing.T) {
			goesHome(t, []string{"/" + strings.Repeat("a", 2048), "/?" + strings.Repeat("a", 8000), "/" + strings.Repeat("ü", 700)})
		}},
		{"G10_other_hosts", faultG10},
		{"G11_legitimate_paths_are_kept", faultG11},
		{"G12_only_pages_are_returned_to", faultG12},
		{"G13_logout_and_try_again", faultG13},
		{"G14_origin_is_kept", faultG14},
	}
}

// homeSite is a site whose pages begin at /home, so that a return path that is
// dropped shows.
func homeSite(t *testing.T) *site {
	return newSite(t, func(_ *site, o *ginauth.Options) { o.AfterLogin, o.AfterLogout = "/home", "/bye" })
}

func goesHome(t *testing.T, paths []string) {
	t.Parallel()
	s := homeSite(t)
	for _, raw := range paths {
		if got := s.returned(t, returnTo(raw)); got != "/home" {
			t.Errorf("%.60q leads to %.60q", raw, got)
		}
	}
}

// anyPage guards every path that has no route.
func (s *site) anyPage() {
	s.engine.NoRoute(s.auth.RequireAuth(), func(c *gin.Context) {
		s.ran.Add(1)
		c.String(http.StatusOK, "any page")
	})
}

const askPage = "Accept: text/html\r\nConnection: close\r\n\r\n"

func faultG6(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	s.anyPage()
	for _, target := range []string{"//evil.example/x", "///evil.example/x", `/\evil.example/x`, "/%2fevil.example/x", "/x/..//evil.example/x"} {
		p := s.raw(t, "GET "+target+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(s.URL, "http://")+"\r\n"+askPage)
		if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/login" {
			t.Errorf("%s answered %d with Location %q, want 303 to /login", target, p.Status, got)
		}
	}
	if s.ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
}

func faultG7(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	s.anyPage()
	p := s.raw(t, "GET http://evil.example/x?y=1 HTTP/1.1\r\nHost: evil.example\r\n"+askPage)
	if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/login"+returnTo("/x?y=1") {
		t.Fatalf("an absolute-form request answered %d with Location %q", p.Status, got)
	}
	if got := s.returned(t, returnTo("/x?y=1")); got != "/x?y=1" {
		t.Errorf("landed on %s%s", s.URL, got)
	}
}

// G10: no other host is ever returned to, not even one that may send requests.
func faultG10(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.AfterLogin, o.TrustedOrigins = "/home", []string{"https://app2.example"}
	})
	for _, raw := range []string{"https://app2.example", "https://app2.example/x", "//app2.example/x", "https://app2.example.evil", "https://evilapp2.example",
		"https://app2.example:444", "http://app2.example", "https://user@app2.example", "https://аpp2.example", "https://[::1]/", "https://%65vil",
		s.URL + "/x", "//" + strings.TrimPrefix(s.URL, "http://") + "/x"} {
		if got := s.returned(t, returnTo(raw)); got != "/home" {
			t.Errorf("%q leads to %q", raw, got)
		}
	}
	for _, query := range []string{"?return_to=/x&return_to=//evil.example", "?return_to[]=//evil.example", "?RETURN_TO=/x", "?next=/x", "?returnTo=/x", "?redirect_to=/x"} {
		if got := s.returned(t, query); got != "/home" && got != "/x" || got == "/x" && !strings.HasPrefix(query, "?return_to=/x") {
			t.Errorf("%q leads to %q", query, got)
		}
	}
}

func faultG11(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	for raw, want := range goodPaths {
		if got := s.returned(t, returnTo(raw)); got != want {
			t.Errorf("%q leads to %q, want %q", raw, got, want)
		}
	}
	s.anyPage()
	for _, page := range []string{"/files/a%2Fb?x=%2F&y=a+b", "/page/%C3%BCn%C3%AF", "/a//b", "/100%25"} {
		s.browser = s.newBrowser()
		if p := s.get(page); p.Status != http.StatusOK || strings.TrimSuffix(p.URL.String(), "#") != s.URL+page {
			t.Errorf("%s led to %s with %d", page, p.URL, p.Status)
		}
	}
	const odd = "/files/a%2Fb|c^{d}?x=|" // as browsers send it
	p := s.raw(t, "GET "+odd+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(s.URL, "http://")+"\r\n"+askPage)
	if got := p.Header.Get("Location"); got != "/login"+returnTo("/files/a%2Fb%7Cc%5E%7Bd%7D?x=|") {
		t.Errorf("%s is to be returned to by %s", odd, got)
	}
}

// G12: what is no page is never replayed, and never returned to.
func faultG12(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	s.engine.Any("/thing", s.auth.RequireAuth(), func(*gin.Context) { s.ran.Add(1) })
	home := authtest.At(s.URL + "/")
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET"} {
		for _, header := range []http.Header{nil, {"X-Requested-With": {"XMLHttpRequest"}}, {"Accept": {"application/json"}}} {
			p := s.must(s.browser.Fetch(home, method, s.URL+"/thing?x=1", header, ""))
			if p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), `"login_url":"/login"`) {
				t.Errorf("%s by a script, %v: %d %s", method, header, p.Status, p.Text())
			}
		}
	}
	p := s.must(s.browser.Submit(home, s.URL+"/thing?x=1", url.Values{"a": {"b"}}))
	if p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), `href="/login"`) || strings.Contains(p.Text(), "return_to") {
		t.Errorf("a form: %d %s", p.Status, p.Text())
	}
	for current, want := range map[string]string{
		s.URL + "/list?x=1":                     "/login" + returnTo("/list?x=1"),
		s.URL + "//evil.example":                "/login",
		s.URL + "0/x":                           "/login",
		s.URL + "@evil.example/x":               "/login",
		s.URL + "/logout":                       "/login",
		"http://evil.example/x":                 "/login",
		"":                                      "/login",
		"/x":                                    "/login",
		s.URL + "/" + strings.Repeat("x", 3000): "/login",
	} {
		p := s.must(s.browser.Fetch(home, "POST", s.URL+"/thing", http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {current}}, ""))
		if got := p.Header.Get("HX-Redirect"); p.Status != http.StatusUnauthorized || got != want {
			t.Errorf("HTMX on %.60q: %d with HX-Redirect %q, want %q", current, p.Status, got, want)
		}
		if !strings.Contains(p.Text(), `"message":"You need to sign in to see this."`) {
			t.Errorf("HTMX on %.60q is not told what happened: %s", current, p.Text())
		}
	}
	if s.ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
	if s.hasCookie("-a-") {
		t.Error("a request that is no page began an attempt")
	}
}

// leftBy signs out nobody, for whom there is no way through the provider, in
// each way that there is to ask.
func (s *site) leftBy(t *testing.T, raw, want string) {
	t.Helper()
	form := url.Values{"return_to": {raw}}
	home := authtest.At(s.URL + "/")
	p := s.must(s.browser.Submit(home, s.URL+"/logout", form))
	asked := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	api := s.must(s.browser.Fetch(home, "POST", s.URL+"/logout", asked, form.Encode()))
	asked.Set("HX-Request", "true")
	htmx := s.must(s.browser.Fetch(home, "POST", s.URL+"/logout", asked, form.Encode()))
	told := map[string]string{}
	if err := json.Unmarshal(api.Body, &told); err != nil {
		t.Errorf("%v: %s", err, api.Text())
	}
	for who, got := range map[string]string{"a page": p.URL.String(), "a script": told["redirect_to"], "HTMX": htmx.Header.Get("HX-Redirect")} {
		if got != want {
			t.Errorf("%s that signs out with %q is sent to %q, want %q", who, raw, got, want)
		}
	}
}

func faultG13(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	home := authtest.At(s.URL + "/")
	for raw, want := range map[string]string{"/x?y=1": "/x?y=1", "//evil.example": "/bye", `/\evil.example`: "/bye", "/logout": "/bye", "/login/demo": "/bye", "": "/bye"} {
		s.get("/login/demo")
		page := s.open("/logout" + returnTo(raw))
		if kept := strings.Contains(page.Text(), "evil"); kept {
			t.Errorf("the page to sign out on has %q: %s", raw, page.Text())
		}
		s.browser.StopAt = func(next *url.URL) bool {
			return strings.HasPrefix(next.String(), s.URL) && next.Path != "/logout/return"
		}
		p := s.must(s.browser.SubmitForm(page, "Sign out", nil)) // through the provider's own sign-out
		if got := p.Header.Get("Location"); got != s.URL+want+"#" {
			t.Errorf("signing out with %q leads to %q, want %q", raw, got, want)
		}
		s.browser.StopAt = nil
		if s.user() != nil {
			t.Error("still signed in")
		}
		if s.get("/login/demo"); s.user() == nil {
			t.Fatal("nobody is signed in")
		}
		p = s.must(s.browser.Submit(home, s.URL+"/logout", url.Values{"return_to": {raw}}))
		if got := p.URL.String(); got != s.URL+want {
			t.Errorf("signing out by a form of the application with %q leads to %q, want %q", raw, got, want)
		}
		s.leftBy(t, raw, s.URL+want)
	}
	s.idp.DenyConsent(true)
	for raw, want := range map[string]string{"/x?y=1": "/x?y=1", "//evil.example/": "/home", "/logout": "/home"} {
		p := s.get("/login/demo" + returnTo(raw))
		if p.Status != http.StatusForbidden || !strings.Contains(p.Text(), "/login/demo"+strings.ReplaceAll(returnTo(want), "+", "&#43;")+`"`) || strings.Contains(p.Text(), "evil") {
			t.Errorf("the page to try again on after %q: %d %s", raw, p.Status, p.Text())
		}
		s.idp.DenyConsent(false)
		if p = s.must(s.browser.ClickLink(p, "Try again")); p.URL.Path != strings.Split(want, "?")[0] {
			t.Errorf("trying again after %q led to %s", raw, p.URL)
		}
		s.idp.DenyConsent(true)
	}
}

// G14 holds over everything above; FuzzReturnTo looks further.
func faultG14(t *testing.T) {
	t.Parallel()
	admit := chooser(t, "")
	admitted := 0
	check := func(raw string) {
		if out := admit(raw); out != "" {
			admitted++
			staysHome(t, raw, out, admit)
		}
	}
	for _, list := range hostilePaths {
		for _, raw := range list {
			for _, form := range []string{raw, "/x" + raw, raw + "?" + raw, raw + "#" + raw, "/" + raw, "/x/" + raw, url.PathEscape(raw), "/" + url.PathEscape(raw)} {
				check(form)
			}
		}
	}
	for raw := range goodPaths {
		check(raw)
	}
	if admitted < len(goodPaths) {
		t.Errorf("only %d paths were admitted: the property holds for nothing", admitted)
	}
}
