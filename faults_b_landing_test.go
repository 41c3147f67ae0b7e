package ginauth_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// faultsBMessages: what the provider says in words is not repeated.
func faultsBMessages() []fault {
	return []fault{
		{"B13_access_denied", func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, nil)
			f.idp.DenyConsent(true)
			denied := f.begin("/login/demo")
			f.refuses(t, denied, closed{code: ginauth.ErrProviderDenied})
			if f.attempts() != nil {
				t.Error("the attempt was not used up")
			}
			f.refuses(t, denied, closed{code: ginauth.ErrStateInvalid})
		}},
		{"B14_error_without_state", func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, nil)
			callback := without(f.begin("/login/demo?return_to=/page/b14"), "code")
			denied := with(with(callback, "error", "access_denied"), "error_description", "call 555-0100 to unlock your account")
			for _, bad := range []string{"", "wrong", strings.Repeat("A", 69), madeUp, callback.Query().Get("state") + "="} {
				f.refuses(t, with(denied, "state", bad), closed{code: ginauth.ErrStateInvalid})
			}
			f.refuses(t, without(denied, "state"), closed{code: ginauth.ErrStateInvalid})
			f.refuses(t, denied, closed{code: ginauth.ErrProviderDenied, hide: []string{"555-0100"}})
			f.signIn()
			f.refuses(t, denied, closed{code: ginauth.ErrStateInvalid, was: "ada", tokens: 1})
		}},
		{"B15_hostile_error_texts", testHostileTexts},
		{"B16_error_uri", func(t *testing.T) {
			t.Parallel()
			f := newFlow(t, nil)
			for _, address := range []string{"javascript:alert(document.domain)", f.idp.EvilURL(), "https://evil.example/help"} {
				denied := with(without(f.begin("/login/demo"), "code"), "error", "server_error")
				p := f.refuses(t, with(denied, "error_uri", address), closed{code: ginauth.ErrProviderError})
				if strings.Contains(p.Text(), "javascript:") || strings.Contains(p.Text(), "evil") {
					t.Errorf("the page has the error_uri: %s", p.Text())
				}
			}
			if f.idp.EvilRequests() != 0 {
				t.Error("error_uri was followed")
			}
		}},
	}
}

func testHostileTexts(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	for _, text := range []string{
		"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "one\r\nSet-Cookie: stolen=1", "\u202egnp.exe", "\x1b[31mred\x1b[0m",
		"line one\u2028line two", strings.Repeat("A", 15<<10), "half a rune \xe2\x82", "\x00\x07\u0085\u200b",
	} {
		t.Run(fmt.Sprintf("%.12q", text), func(t *testing.T) {
			denied := without(f.begin("/login/demo"), "code")
			p := f.finish(with(with(denied, "error", "access_denied"), "error_description", text))
			f.failsClosed(t, p, closed{code: ginauth.ErrProviderDenied})
			if strings.Contains(p.Text(), text) || strings.Contains(p.Text(), "AAAA") {
				t.Error("the page has the description")
			}
			p = f.finish(with(without(f.begin("/login/demo"), "code"), "error", text))
			f.failsClosed(t, p, closed{code: ginauth.ErrProviderError})
			if strings.Contains(p.Text(), text) || strings.ContainsFunc(p.Text(), func(r rune) bool { return r == '\u202e' || r == 0x1b || r == 0 }) {
				t.Errorf("the page has the error as it was sent: %s", p.Text())
			}
		})
	}
	log := f.logs.String()
	if !strings.Contains(log, `\\u202egnp.exe`) || !strings.Contains(log, "<script>") {
		t.Errorf("the log lacks the descriptions, quoted:\n%.4000s", log)
	}
	if strings.ContainsFunc(log, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Error("the log has characters that do not print")
	}
	if strings.Contains(log, strings.Repeat("A", 201)) || !strings.Contains(log, strings.Repeat("A", 200)) {
		t.Error("the log does not cut at 200 bytes")
	}
	// The form above 16 KB is refused as a whole.
	long := with(with(without(f.begin("/login/demo"), "code"), "error", "access_denied"), "error_description", strings.Repeat("B", 64<<10))
	p := f.finish(long)
	f.failsClosed(t, p, closed{code: ginauth.ErrBadRequest, status: http.StatusRequestEntityTooLarge})
	if strings.Contains(p.Text()+f.logs.String(), "BBBB") {
		t.Error("what is too long was repeated")
	}
}

// faultsBLanding: where a good answer leads, and what it does not depend on.
func faultsBLanding() []fault {
	return []fault{
		{"B31_other_host_at_the_callback", testOtherHost},
		{"B32_trailing_slash", testTrailingSlash},
		{"B33_success_answer", testSuccessAnswer},
		{"B34_inherited_fragment", testFragment},
		{"B37_second_user", testSecondUser},
		{"B41_session_survives_cross_site_arrival", testCrossSiteArrival},
	}
}

func testOtherHost(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	for name, change := range map[string]func(r *http.Request){
		"Host": func(r *http.Request) { r.Host = "evil.example" },
		"X-Forwarded headers": func(r *http.Request) {
			r.Header.Set("X-Forwarded-Host", "evil.example")
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Header.Set("X-Forwarded-Prefix", "/evil")
		},
		"Forwarded": func(r *http.Request) { r.Header.Set("Forwarded", "host=evil.example;proto=https") },
	} {
		callback := f.begin("/login/demo?return_to=/page/b31")
		r, _ := http.NewRequest("GET", callback.String(), nil)
		change(r)
		p := f.must(f.browser.Do(r))
		if p.Status != http.StatusSeeOther || p.Header.Get("Location") != f.URL+"/page/b31#" {
			t.Fatalf("%s: got %d to %q: %s", name, p.Status, p.Header.Get("Location"), p.Text())
		}
		sent, used := f.idp.LastRequest(authtest.Authorize).Form.Get("redirect_uri"), f.idp.LastRequest(authtest.Token).Form.Get("redirect_uri")
		if sent != f.URL+"/authorize/demo" || used != sent {
			t.Errorf("%s: redirect_uri was %q, and %q with the code", name, sent, used)
		}
	}
}

// testTrailingSlash: Gin by itself answers with a 301, which a browser may
// keep, with the code in its address.
func testTrailingSlash(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	callback := f.begin("/login/demo?return_to=/page/b32")
	for _, path := range []string{"/authorize//demo", "//authorize/demo", "/authorize/demo/x", "/authorize/", "/authorize"} {
		for _, prefix := range []string{"", "/evil", "//evil.example"} {
			r, _ := http.NewRequest("GET", f.URL+path+"?"+callback.RawQuery, nil)
			if prefix != "" {
				r.Header.Set("X-Forwarded-Prefix", prefix)
			}
			p := f.must(f.browser.Do(r))
			if location := p.Header.Get("Location"); location != "" || p.Status != http.StatusNotFound && p.Status != http.StatusBadRequest {
				t.Errorf("%s got %d to %q", path, p.Status, location)
			}
		}
	}
	f.lands(t, at(callback, "/authorize/demo/"), "/page/b32")
	hop := f.finish(at(callback, "/authorize/demo/")).Hops[0]
	if hop.Status != http.StatusSeeOther || hop.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the slash form got %d %v", hop.Status, hop.Header)
	}
}

func testSuccessAnswer(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	for _, tc := range []struct{ asked, want string }{
		{"", "/"}, {"/page/b33?x=1%262", "/page/b33?x=1&2"}, {"//evil.example", "/"}, {"https://evil.example", "/"}, {"/logout", "/"}, {"/page/a?code=mine", "/page/a?code=mine"},
	} {
		callback := f.begin("/login/demo?return_to=" + tc.asked)
		r, _ := http.NewRequest("GET", callback.String(), nil)
		p := f.must(f.browser.Do(r))
		location := p.Header.Get("Location")
		if p.Status != http.StatusSeeOther || location != f.URL+tc.want+"#" {
			t.Errorf("%q got %d to %q, want %q", tc.asked, p.Status, location, tc.want)
		}
		for _, secret := range []string{callback.Query().Get("code"), callback.Query().Get("state")} {
			if strings.Contains(location, secret) {
				t.Errorf("Location has a secret: %q", location)
			}
		}
		wantHeaders(t, p)
		if p.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("Referrer-Policy is %q", p.Header.Get("Referrer-Policy"))
		}
		f.keepsSecrets(t, p)
	}
}

// testFragment: a browser takes the fragment of an address over to where it is
// redirected, with the tokens that an attacker had the provider put there.
func testFragment(t *testing.T) {
	t.Parallel()
	f := newFlow(t, nil)
	for asked, want := range map[string]string{"/page/b34": "", "/page/b34%23top": "top"} {
		callback := f.begin("/login/demo?return_to=" + asked)
		callback.Fragment = "access_token=stolen-by-the-next-page"
		if p := f.lands(t, callback, "/page/b34"); p.URL.Fragment != want {
			t.Errorf("the fragment is %q, want %q", p.URL.Fragment, want)
		}
	}
	spent := f.begin("/login/demo")
	f.lands(t, spent, "/")
	spent.Fragment = "access_token=stolen"
	if p := f.finish(spent); p.URL.Fragment != "" {
		t.Errorf("the late answer's fragment is %q", p.URL.Fragment)
	}
	// A page of ours that ends with the fragment in the bar loads nothing.
	denied := with(without(f.begin("/login/demo"), "code"), "error", "server_error")
	denied.Fragment = "access_token=stolen"
	p := f.finish(denied)
	if p.Status != http.StatusBadGateway || foreignAddress.MatchString(strings.ReplaceAll(p.Text(), f.URL, "")) {
		t.Errorf("the page leads elsewhere: %d %s", p.Status, p.Text())
	}
}

// foreignAddress finds what a page would load or lead to elsewhere.
var foreignAddress = regexp.MustCompile(`(?i)https?://|="?//|<script|<img|<link|<iframe|url\(|@import|srcset|<object|<embed`)

func testSecondUser(t *testing.T) {
	t.Parallel()
	f := newFlow(t, func(s *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			if login.Previous != nil {
				t.Error("who was signed in before is told without asking to link")
			}
			return nil
		}
	})
	f.engine.POST("/note", f.auth.RequireAuth(), func(c *gin.Context) {
		_ = f.auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"note": "private to " + u.Subject} })
	})
	f.signIn()
	if p, err := f.browser.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+"/note", nil, ""); err != nil || p.Status != http.StatusOK || f.user().Data["note"] == "" {
		t.Fatalf("no note was left: %v %v", p, err)
	}
	first := f.sessionCookie()

	f.idp.SignInAs("grace")
	f.lands(t, f.begin("/login/demo?return_to=/page/b37"), "/page/b37")
	if u := f.user(); u.Subject != "grace" || len(u.Data) != 0 {
		t.Errorf("signed in: %+v", u)
	}
	if second := f.sessionCookie(); second.Value == first.Value {
		t.Error("the session is the old one")
	}
	if p := f.carrying(f.URL+"/me", first); p.Status != http.StatusSeeOther {
		t.Errorf("the first session still opens: %d %s", p.Status, p.Text())
	}
	if u := f.user(); u == nil || u.Subject != "grace" {
		t.Error("the second session ended with the first")
	}
}

// testCrossSiteArrival: under SameSite=Strict, whoever comes from the provider
// would be unknown, and be sent round again.
func testCrossSiteArrival(t *testing.T) {
	t.Parallel()
	f := newTLSFlow(t, nil)
	p := f.must(f.browser.Click(authtest.At("https://elsewhere.example/"), f.URL+"/page/b41"))
	f.landed(t, p, "/page/b41")
	if n := f.idp.Count(authtest.Authorize); n != 1 {
		t.Errorf("it took %d trips to the provider", n)
	}
	again := f.must(f.browser.Click(authtest.At("https://elsewhere.example/"), f.URL+"/page/b41"))
	if len(again.Hops) != 1 || again.Status != http.StatusOK {
		t.Errorf("a link from elsewhere took %d hops to %s", len(again.Hops), again.URL)
	}
	for _, hop := range p.Hops {
		for _, line := range hop.Header["Set-Cookie"] {
			c, err := http.ParseSetCookie(line)
			if err != nil || hop.URL.Host != p.URL.Host {
				continue
			}
			if strings.HasPrefix(c.Name, "__Secure-") && c.Path == "/logout" { // the ID token, which no other request brings
				c.Name, c.Path = strings.Replace(c.Name, "__Secure-", "__Host-", 1), "/"
			}
			if c.SameSite != http.SameSiteLaxMode || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") || c.MaxAge == 0 {
				t.Errorf("a cookie has other attributes: %s", line)
			}
		}
	}
}
