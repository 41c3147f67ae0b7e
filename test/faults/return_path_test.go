package faults

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsReturnPath(t *testing.T) {
	runFaults(t, []fault{
		{"G1_another_site", func(t *testing.T) { goesHome(t, sitetest.HostilePaths["another site"]) }},
		{"G2_white_space_and_controls", func(t *testing.T) { goesHome(t, sitetest.HostilePaths["white space and control characters"]) }},
		{"G3_dot_segments", func(t *testing.T) { goesHome(t, sitetest.HostilePaths["dot segments"]) }},
		{"G4_encoded_many_times", func(t *testing.T) { goesHome(t, sitetest.HostilePaths["encoded twice and more"]) }},
		{"G5_no_path", func(t *testing.T) { goesHome(t, append(sitetest.HostilePaths["no path"], "")) }},
		{"G6_protected_page_with_two_slashes", g6ProtectedPageWithTwoSlashes},
		{"G7_absolute_form", g7AbsoluteForm},
		{"G8_own_routes", func(t *testing.T) { goesHome(t, sitetest.OwnPaths) }},
		{"G9_longer_than_2048_bytes", func(t *testing.T) {
			goesHome(t, []string{"/" + strings.Repeat("a", 2048), "/?" + strings.Repeat("a", 8000), "/" + strings.Repeat("ü", 700)})
		}},
		{"G10_other_hosts", g10OtherHosts},
		{"G11_legitimate_paths_are_kept", g11LegitimatePathsAreKept},
		{"G12_only_pages_are_returned_to", g12OnlyPagesAreReturnedTo},
		{"G13_logout_and_try_again", g13LogoutAndTryAgain},
		{"G14_origin_is_kept", g14OriginIsKept},
		{"S39_trusted_origin", s39TrustedOrigin},
		{"S39_trusted_origin_after_a_failure", s39TrustedOriginAfterAFailure},
	})
}

// homeSite is a site with the home page /home, so that a dropped return path is visible.
func homeSite(t *testing.T) *sitetest.Site {
	return sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.AfterLogin, o.AfterLogout = "/home", "/bye" })
}

func goesHome(t *testing.T, paths []string) {
	t.Parallel()
	s := homeSite(t)
	for _, raw := range paths {
		if got := s.Returned(t, sitetest.ReturnTo(raw)); got != "/home" {
			t.Errorf("%.60q leads to %.60q", raw, got)
		}
	}
}

// anyPage guards every path that has no route.
func anyPage(s *sitetest.Site) {
	s.Engine.NoRoute(s.Auth.RequireAuth(), func(c *gin.Context) {
		s.Ran.Add(1)
		c.String(http.StatusOK, "any page")
	})
}

func g6ProtectedPageWithTwoSlashes(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	anyPage(s)
	for _, target := range []string{"//evil.example/x", "///evil.example/x", `/\evil.example/x`, "/%2fevil.example/x", "/x/..//evil.example/x"} {
		p := s.Raw(t, "GET "+target+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(s.URL, "http://")+"\r\n"+sitetest.AskPage)
		if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/login" {
			t.Errorf("%s responded %d with Location %q, want 303 to /login", target, p.Status, got)
		}
	}
	if s.Ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
}

func g7AbsoluteForm(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	anyPage(s)
	p := s.Raw(t, "GET http://evil.example/x?y=1 HTTP/1.1\r\nHost: evil.example\r\n"+sitetest.AskPage)
	if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != "/login"+sitetest.ReturnTo("/x?y=1") {
		t.Fatalf("an absolute-form request responded %d with Location %q", p.Status, got)
	}
	if got := s.Returned(t, sitetest.ReturnTo("/x?y=1")); got != "/x?y=1" {
		t.Errorf("landed on %s%s", s.URL, got)
	}
}

// G10: the only other hosts to return to are TrustedOrigins, in exactly that form.
func g10OtherHosts(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.AfterLogin, o.TrustedOrigins = "/home", []string{"https://app2.example"}
	})
	callback := s.Begin("/login/demo" + sitetest.ReturnTo("https://app2.example/x"))
	if got := s.Must(s.Browser.Open(callback.String())).Header.Get("Location"); got != "https://app2.example/x#" {
		t.Errorf("the trusted origin leads to %q", got)
	}
	for _, raw := range []string{"//app2.example/x", "https://app2.example.evil", "https://evilapp2.example",
		"https://app2.example:444", "http://app2.example", "https://user@app2.example", "https://аpp2.example", "https://[::1]/", "https://%65vil",
		s.URL + "/x", "//" + strings.TrimPrefix(s.URL, "http://") + "/x"} {
		if got := s.Returned(t, sitetest.ReturnTo(raw)); got != "/home" {
			t.Errorf("%q leads to %q", raw, got)
		}
	}
	for _, query := range []string{"?return_to=/x&return_to=//evil.example", "?return_to[]=//evil.example", "?RETURN_TO=/x", "?next=/x", "?returnTo=/x", "?redirect_to=/x"} {
		if got := s.Returned(t, query); got != "/home" && got != "/x" || got == "/x" && !strings.HasPrefix(query, "?return_to=/x") {
			t.Errorf("%q leads to %q", query, got)
		}
	}
}

func g11LegitimatePathsAreKept(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	for raw, want := range sitetest.GoodPaths {
		if got := s.Returned(t, sitetest.ReturnTo(raw)); got != want {
			t.Errorf("%q leads to %q, want %q", raw, got, want)
		}
	}
	anyPage(s)
	for _, page := range []string{"/files/a%2Fb?x=%2F&y=a+b", "/page/%C3%BCn%C3%AF", "/a//b", "/100%25"} {
		s.Browser = s.NewBrowser()
		if p := s.Get(page); p.Status != http.StatusOK || strings.TrimSuffix(p.URL.String(), "#") != s.URL+page {
			t.Errorf("%s led to %s with %d", page, p.URL, p.Status)
		}
	}
	const odd = "/files/a%2Fb|c^{d}?x=|" // as browsers send it
	p := s.Raw(t, "GET "+odd+" HTTP/1.1\r\nHost: "+strings.TrimPrefix(s.URL, "http://")+"\r\n"+sitetest.AskPage)
	if got := p.Header.Get("Location"); got != "/login"+sitetest.ReturnTo("/files/a%2Fb%7Cc%5E%7Bd%7D?x=|") {
		t.Errorf("%s is to be returned to by %s", odd, got)
	}
}

// G12: requests that are not page loads are never replayed or returned to.
func g12OnlyPagesAreReturnedTo(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	s.Engine.Any("/thing", s.Auth.RequireAuth(), func(*gin.Context) { s.Ran.Add(1) })
	home := authtest.At(s.URL + "/")
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET"} {
		for _, header := range []http.Header{nil, {"X-Requested-With": {"XMLHttpRequest"}}, {"Accept": {"application/json"}}} {
			p := s.Must(s.Browser.Fetch(home, method, s.URL+"/thing?x=1", header, ""))
			if p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), `"login_url":"/login"`) {
				t.Errorf("%s by a script, %v: %d %s", method, header, p.Status, p.Text())
			}
		}
	}
	p := s.Must(s.Browser.Submit(home, s.URL+"/thing?x=1", url.Values{"a": {"b"}}))
	if p.Status != http.StatusUnauthorized || !strings.Contains(p.Text(), `href="/login"`) || strings.Contains(p.Text(), "return_to") {
		t.Errorf("a form: %d %s", p.Status, p.Text())
	}
	for current, want := range map[string]string{
		s.URL + "/list?x=1":                     "/login" + sitetest.ReturnTo("/list?x=1"),
		s.URL + "//evil.example":                "/login",
		s.URL + "0/x":                           "/login",
		s.URL + "@evil.example/x":               "/login",
		s.URL + "/logout":                       "/login",
		"http://evil.example/x":                 "/login",
		"":                                      "/login",
		"/x":                                    "/login",
		s.URL + "/" + strings.Repeat("x", 3000): "/login",
	} {
		p := s.Must(s.Browser.Fetch(home, "POST", s.URL+"/thing", http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {current}}, ""))
		if got := p.Header.Get("HX-Redirect"); p.Status != http.StatusUnauthorized || got != want {
			t.Errorf("HTMX on %.60q: %d with HX-Redirect %q, want %q", current, p.Status, got, want)
		}
		if !strings.Contains(p.Text(), `"message":"You must sign in to continue."`) {
			t.Errorf("the response to HTMX on %.60q lacks the error: %s", current, p.Text())
		}
	}
	if s.Ran.Load() != 0 {
		t.Error("a protected handler ran")
	}
	if s.HasCookie("-a-") {
		t.Error("a request that is no page began an attempt")
	}
}

// leftBy signs out without a session, and so without a redirect to the provider, with each way
// to name the next page.
func leftBy(s *sitetest.Site, t *testing.T, raw, want string) {
	t.Helper()
	form := url.Values{"return_to": {raw}}
	home := authtest.At(s.URL + "/")
	p := s.Must(s.Browser.Submit(home, s.URL+"/logout", form))
	asked := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	api := s.Must(s.Browser.Fetch(home, "POST", s.URL+"/logout", asked, form.Encode()))
	asked.Set("HX-Request", "true")
	htmx := s.Must(s.Browser.Fetch(home, "POST", s.URL+"/logout", asked, form.Encode()))
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

func g13LogoutAndTryAgain(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	home := authtest.At(s.URL + "/")
	for raw, want := range map[string]string{"/x?y=1": "/x?y=1", "//evil.example": "/bye", `/\evil.example`: "/bye", "/logout": "/bye", "/login/demo": "/bye", "": "/bye"} {
		s.Get("/login/demo")
		page := s.Open("/logout" + sitetest.ReturnTo(raw))
		if kept := strings.Contains(page.Text(), "evil"); kept {
			t.Errorf("the page to sign out on has %q: %s", raw, page.Text())
		}
		s.Browser.StopAt = func(next *url.URL) bool {
			return strings.HasPrefix(next.String(), s.URL) && next.Path != "/logout/return"
		}
		p := s.Must(s.Browser.SubmitForm(page, "Sign out", nil)) // with the redirect through the provider
		if got := p.Header.Get("Location"); got != s.URL+want+"#" {
			t.Errorf("signing out with %q leads to %q, want %q", raw, got, want)
		}
		s.Browser.StopAt = nil
		if s.User() != nil {
			t.Error("still signed in")
		}
		if s.Get("/login/demo"); s.User() == nil {
			t.Fatal("no user is signed in")
		}
		p = s.Must(s.Browser.Submit(home, s.URL+"/logout", url.Values{"return_to": {raw}}))
		if got := p.URL.String(); got != s.URL+want {
			t.Errorf("signing out by a form of the application with %q leads to %q, want %q", raw, got, want)
		}
		leftBy(s, t, raw, s.URL+want)
	}
	s.IDP.DenyConsent(true)
	for raw, want := range map[string]string{"/x?y=1": "/x?y=1", "//evil.example/": "/home", "/logout": "/home"} {
		p := s.Get("/login/demo" + sitetest.ReturnTo(raw))
		if p.Status != http.StatusForbidden || !strings.Contains(p.Text(), "/login/demo"+strings.ReplaceAll(sitetest.ReturnTo(want), "+", "&#43;")+`"`) || strings.Contains(p.Text(), "evil") {
			t.Errorf("the page to try again on after %q: %d %s", raw, p.Status, p.Text())
		}
		s.IDP.DenyConsent(false)
		if p = s.Must(s.Browser.ClickLink(p, "Try again")); p.URL.Path != strings.Split(want, "?")[0] {
			t.Errorf("trying again after %q led to %s", raw, p.URL)
		}
		s.IDP.DenyConsent(true)
	}
}

// G14 applies to all cases above; FuzzReturnTo tests more.
func g14OriginIsKept(t *testing.T) {
	t.Parallel()
	admit := sitetest.ReturnPaths(t, "")
	admitted := 0
	check := func(raw string) {
		if out := admit(raw); out != "" {
			admitted++
			sitetest.StaysHome(t, raw, out, admit)
		}
	}
	for _, list := range sitetest.HostilePaths {
		for _, raw := range list {
			for _, form := range []string{raw, "/x" + raw, raw + "?" + raw, raw + "#" + raw, "/" + raw, "/x/" + raw, url.PathEscape(raw), "/" + url.PathEscape(raw)} {
				check(form)
			}
		}
	}
	for raw := range sitetest.GoodPaths {
		check(raw)
	}
	if admitted < len(sitetest.GoodPaths) {
		t.Errorf("only %d paths were admitted: the property holds for nothing", admitted)
	}
}

// A return path may be on an origin of Options.TrustedOrigins, in the form of browsers, and on
// no other.
func s39TrustedOrigin(t *testing.T) {
	t.Parallel()
	const trusted = "https://spa.example"
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.AfterLogin, o.AfterLogout = "/home", "/bye"
		o.TrustedOrigins = []string{trusted, "https://spa.example:8443", s.URL}
		o.Providers[0].Logout.Local = true
	})
	leads := func(query string) string {
		t.Helper()
		return strings.TrimSuffix(s.Must(s.Browser.Open(s.Begin("/login/demo"+query).String())).Header.Get("Location"), "#")
	}
	for raw, want := range map[string]string{
		"/x": trusted + "/x", "/": trusted + "/", "/x?a=1&b=//evil.example": trusted + "/x?a=1&b=//evil.example", "/#/route": trusted + "/#/route",
		"": trusted + "/", "/login": trusted + "/login", // the trusted origin's own paths
		":8443/x": trusted + ":8443/x",
	} {
		if got := leads(sitetest.ReturnTo(trusted + raw)); got != want {
			t.Errorf("%s%s leads to %q", trusted, raw, got)
		}
	}
	hostile := []string{
		trusted + "?x", trusted + "#x", trusted + "@evil.example/x", trusted + ".evil.example/x", trusted + ":444/x", trusted + ":8443@evil.example/", trusted + ":84430/x",
		trusted + "%2eevil.example/x", trusted + `\\@evil.example/x`, trusted + "//evil.example", trusted + "/\t/evil.example", trusted + "/../x", trusted + "/%2e%2e/x",
		"http://spa.example/x", "HTTPS://spa.example/x", "https://SPA.example/x", `https:\\spa.example/x`, `https:/\spa.example/x`, "https:spa.example/x", "https:///spa.example/x",
		"//spa.example/x", `/\spa.example/x`, " " + trusted + "/x", "\t" + trusted + "/x", "https://user@spa.example/x", "https://evil.example/?" + trusted + "/x", "https://evil.example/#" + trusted + "/x",
		"https://spa.examplé/x", "https://sub.spa.example/x", "javascript:" + trusted + "/x", trusted + "/" + strings.Repeat("a", 2048),
	}
	hostile = append(hostile, s.URL+"/logout", s.URL+"/login/demo", s.URL+"/LOGOUT/", s.URL+"/authorize/demo") // ginauth's own routes, with our own origin
	for _, raw := range hostile {
		if got := leads(sitetest.ReturnTo(raw)); got != s.URL+"/home" {
			t.Errorf("%q leads to %q", raw, got)
		}
	}
	// Signing out behaves like signing in, and its page allows the redirect.
	s.As("ada")
	page := s.Open("/logout" + sitetest.ReturnTo(trusted+"/bye"))
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, " "+trusted) {
		t.Errorf("the policy of the page is %q", csp)
	}
	for _, raw := range append([]string{trusted + "/bye"}, hostile...) {
		s.As("ada")
		p := s.Must(s.Browser.Fetch(sitetest.HomePage(s), "POST", s.URL+"/logout", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "return_to="+url.QueryEscape(raw)))
		var body struct {
			RedirectTo string `json:"redirect_to"`
		}
		_ = json.Unmarshal(p.Body, &body)
		if strings.HasPrefix(raw, trusted+"/bye") != (body.RedirectTo == trusted+"/bye") {
			t.Errorf("signing out with %q leads to %q", raw, body.RedirectTo)
		}
		if strings.Contains(body.RedirectTo, "evil") {
			t.Errorf("signing out with %q leads to %q", raw, body.RedirectTo)
		}
	}
}

// A step-up can be started again for a page of a trusted origin, also if it fails before it has
// reached the provider.
func s39TrustedOriginAfterAFailure(t *testing.T) {
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) { o.TrustedOrigins = []string{"https://spa.example.com"} })
	f.Engine.GET("/fresh", f.Auth.RequireAuth(ginauth.ACR("mfa")), f.Protected)
	f.SignIn()
	demand := sitetest.MustURL(t, f.Ask("GET", "/fresh", sitetest.Navigation...).Header.Get("Location")).Query().Get("demand")
	f.IDP.Fail(authtest.Discovery, authtest.Down)
	f.Redeploy(func(*ginauth.Options) {})
	for returnTo, want := range map[string]string{
		"https://spa.example.com/x": "https://spa.example.com/x", "/page/x": f.URL + "/page/x", "https://evil.example/x": f.URL + "/",
	} {
		p := f.Open("/login/demo?" + url.Values{"demand": {demand}, "return_to": {returnTo}}.Encode())
		f.WantError(p, ginauth.ErrProviderUnavailable)
		if !strings.Contains(p.Text(), `<a class="action first" href="`+want+`">`) {
			t.Errorf("%s: the page does not lead to %s: %s", returnTo, want, p.Text())
		}
	}
}
