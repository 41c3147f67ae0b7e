package faults

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsCallback(t *testing.T) {
	runFaults(t, []fault{
		{"B30_injected_code", b30InjectedCode},
		{"B31_other_host_at_the_callback", b31OtherHostAtTheCallback},
		{"B32_trailing_slash", b32TrailingSlash},
		{"B33_success_answer", b33SuccessAnswer},
		{"B34_inherited_fragment", b34InheritedFragment},
		{"B37_second_user", b37SecondUser},
		{"B38_browser_hangs_up", b38BrowserHangsUp},
		{"B38_browser_hangs_up_late", b38BrowserHangsUpLate},
		{"B41_session_survives_cross_site_arrival", b41SessionSurvivesCrossSiteArrival},
	})
}

// The attacker puts a victim's code into a response to the attacker's sign-in (RFC 9700, 4.5).
// PKCE stops it at the provider, the nonce here.
func b30InjectedCode(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		ignore bool
		code   ginauth.Code
	}{
		{"the provider checks PKCE", false, ginauth.ErrCodeRejected},
		{"the provider ignores PKCE", true, ginauth.ErrIDTokenInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := sitetest.NewFlow(t, nil)
			f.IDP.IgnorePKCE(tc.ignore)
			stolen := f.Begin("/login/demo").Query()
			f.Browser = f.NewBrowser()
			own := f.Begin("/login/demo")
			f.Refuses(t, sitetest.With(own, "code", stolen.Get("code")), sitetest.Closed{Code: tc.code, Tokens: 1, Hide: []string{own.Query().Get("code")}})
			if n := f.IDP.Count(authtest.Userinfo); n != 0 {
				t.Error("the token was used")
			}
		})
	}
}

// b38BrowserHangsUp is not parallel: it inspects goroutines.
func b38BrowserHangsUp(t *testing.T) {
	ended := make(chan struct{}, 10)
	f := sitetest.NewFlow(t, func(s *sitetest.Site, _ *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) {
			c.Next()
			if strings.HasPrefix(c.Request.URL.Path, "/authorize/") {
				ended <- struct{}{}
			}
		})
	})
	callback := f.Begin("/login/demo")
	saved := f.LoginState()
	asked, let := make(chan struct{}), make(chan struct{})
	f.IDP.Handle(authtest.Token, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done() // our request ends with the browser's
		close(let)
	})
	ctx, hangUp := context.WithCancel(context.Background())
	go func() {
		<-asked
		if relyingParties() == "" {
			t.Error("no goroutine talks to the provider: the check below looks for the wrong name")
		}
		hangUp()
	}()
	r, _ := http.NewRequestWithContext(ctx, "GET", callback.String(), nil)
	if _, err := f.Browser.Do(r); !errors.Is(err, context.Canceled) {
		t.Fatalf("the request ended with %v", err)
	}
	<-ended
	<-let
	f.IDP.Handle(authtest.Token, nil)
	if f.User() != nil || f.Logins.Load() != 0 {
		t.Error("who hung up is signed in")
	}
	f.KeepCookie(saved)
	f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid, Tokens: 1}) // used up anyway
	if stacks := relyingParties(); stacks != "" {
		t.Errorf("a goroutine remains:\n%s", stacks)
	}
}

// relyingParties returns the stacks of the goroutines that talk to a provider, or "".
func relyingParties() string {
	stacks := make([]byte, 1<<20)
	n := runtime.Stack(stacks, true)
	if !strings.Contains(string(stacks[:n]), "/internal/rp.(*Client)") {
		return ""
	}
	return string(stacks[:n])
}

// The browser has disconnected before verification is complete.
func b38BrowserHangsUpLate(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(context.Background())
	answers := make(chan http.Header, 10)
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) {
			c.Next()
			if strings.HasPrefix(c.Request.URL.Path, "/authorize/") {
				answers <- c.Writer.Header()
			}
		})
		o.Hooks.OnLogin = func(c *gin.Context, _ *ginauth.Login) error {
			hangUp()
			<-c.Request.Context().Done()
			return nil
		}
	})
	callback := f.Begin("/login/demo")
	r, _ := http.NewRequestWithContext(ctx, "GET", callback.String(), nil)
	if _, err := f.Browser.Do(r); !errors.Is(err, context.Canceled) {
		t.Fatalf("the request ended with %v", err)
	}
	for _, line := range (<-answers)["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, "="); !strings.Contains(name, "-a-") && !strings.HasSuffix(name, "-u") {
			t.Errorf("a session was created without a user: %s", line)
		}
	}
	if !strings.Contains(f.Logs.String(), "id=request.cancelled ") {
		t.Errorf("the log does not say so:\n%s", f.Logs)
	}
}

func b31OtherHostAtTheCallback(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	for name, change := range map[string]func(r *http.Request){
		"Host": func(r *http.Request) { r.Host = "evil.example" },
		"X-Forwarded headers": func(r *http.Request) {
			r.Header.Set("X-Forwarded-Host", "evil.example")
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Header.Set("X-Forwarded-Prefix", "/evil")
		},
		"Forwarded": func(r *http.Request) { r.Header.Set("Forwarded", "host=evil.example;proto=https") },
	} {
		callback := f.Begin("/login/demo?return_to=/page/b31")
		r, _ := http.NewRequest("GET", callback.String(), nil)
		change(r)
		p := f.Must(f.Browser.Do(r))
		if p.Status != http.StatusSeeOther || p.Header.Get("Location") != f.URL+"/page/b31#" {
			t.Fatalf("%s: got %d to %q: %s", name, p.Status, p.Header.Get("Location"), p.Text())
		}
		sent, used := f.IDP.LastRequest(authtest.Authorize).Form.Get("redirect_uri"), f.IDP.LastRequest(authtest.Token).Form.Get("redirect_uri")
		if sent != f.URL+"/authorize/demo" || used != sent {
			t.Errorf("%s: redirect_uri was %q, and %q with the code", name, sent, used)
		}
	}
}

// By default, Gin responds with a 301, which a browser may cache, with the code in its URL.
func b32TrailingSlash(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	callback := f.Begin("/login/demo?return_to=/page/b32")
	for _, path := range []string{"/authorize//demo", "//authorize/demo", "/authorize/demo/x", "/authorize/", "/authorize"} {
		for _, prefix := range []string{"", "/evil", "//evil.example"} {
			r, _ := http.NewRequest("GET", f.URL+path+"?"+callback.RawQuery, nil)
			if prefix != "" {
				r.Header.Set("X-Forwarded-Prefix", prefix)
			}
			p := f.Must(f.Browser.Do(r))
			if location := p.Header.Get("Location"); location != "" || p.Status != http.StatusNotFound && p.Status != http.StatusBadRequest {
				t.Errorf("%s got %d to %q", path, p.Status, location)
			}
		}
	}
	f.Lands(t, sitetest.AtPath(callback, "/authorize/demo/"), "/page/b32")
	hop := f.Finish(sitetest.AtPath(callback, "/authorize/demo/")).Hops[0]
	if hop.Status != http.StatusSeeOther || hop.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the slash form got %d %v", hop.Status, hop.Header)
	}
}

func b33SuccessAnswer(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	for _, tc := range []struct{ asked, want string }{
		{"", "/"}, {"/page/b33?x=1%262", "/page/b33?x=1&2"}, {"//evil.example", "/"}, {"https://evil.example", "/"}, {"/logout", "/"}, {"/page/a?code=mine", "/page/a?code=mine"},
	} {
		callback := f.Begin("/login/demo?return_to=" + tc.asked)
		r, _ := http.NewRequest("GET", callback.String(), nil)
		p := f.Must(f.Browser.Do(r))
		location := p.Header.Get("Location")
		if p.Status != http.StatusSeeOther || location != f.URL+tc.want+"#" {
			t.Errorf("%q got %d to %q, want %q", tc.asked, p.Status, location, tc.want)
		}
		for _, secret := range []string{callback.Query().Get("code"), callback.Query().Get("state")} {
			if strings.Contains(location, secret) {
				t.Errorf("Location has a secret: %q", location)
			}
		}
		sitetest.WantHeaders(t, p)
		if p.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("Referrer-Policy is %q", p.Header.Get("Referrer-Policy"))
		}
		f.KeepsSecrets(t, p)
	}
}

// A browser keeps the fragment of a URL across redirects, with the tokens that an attacker made
// the provider put there.
func b34InheritedFragment(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	for asked, want := range map[string]string{"/page/b34": "", "/page/b34%23top": "top"} {
		callback := f.Begin("/login/demo?return_to=" + asked)
		callback.Fragment = "access_token=stolen-by-the-next-page"
		if p := f.Lands(t, callback, "/page/b34"); p.URL.Fragment != want {
			t.Errorf("the fragment is %q, want %q", p.URL.Fragment, want)
		}
	}
	spent := f.Begin("/login/demo")
	f.Lands(t, spent, "/")
	spent.Fragment = "access_token=stolen"
	if p := f.Finish(spent); p.URL.Fragment != "" {
		t.Errorf("the late response's fragment is %q", p.URL.Fragment)
	}
	// A built-in page with the fragment in its URL loads nothing.
	denied := sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "server_error")
	denied.Fragment = "access_token=stolen"
	p := f.Finish(denied)
	if p.Status != http.StatusBadGateway || foreignAddress.MatchString(strings.ReplaceAll(p.Text(), f.URL, "")) {
		t.Errorf("the page leads elsewhere: %d %s", p.Status, p.Text())
	}
}

// foreignAddress finds links and resources of a page on other sites.
var foreignAddress = regexp.MustCompile(`(?i)https?://|="?//|<script|<img|<link|<iframe|url\(|@import|srcset|<object|<embed`)

func b37SecondUser(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			if login.Previous != nil {
				t.Error("Login.Previous is set without linking")
			}
			return nil
		}
	})
	f.Engine.POST("/note", f.Auth.RequireAuth(), func(c *gin.Context) {
		_ = f.Auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"note": "private to " + u.Subject} })
	})
	f.SignIn()
	if p, err := f.Browser.Fetch(authtest.At(f.URL+"/"), "POST", f.URL+"/note", nil, ""); err != nil || p.Status != http.StatusOK || f.User().Data["note"] == "" {
		t.Fatalf("no note was left: %v %v", p, err)
	}
	first := f.OnlySession()

	f.IDP.SignInAs("grace")
	f.Lands(t, f.Begin("/login/demo?return_to=/page/b37"), "/page/b37")
	if u := f.User(); u.Subject != "grace" || len(u.Data) != 0 {
		t.Errorf("signed in: %+v", u)
	}
	if second := f.OnlySession(); second.Value == first.Value {
		t.Error("the session is the old one")
	}
	if p := carrying(f, f.URL+"/me", first); p.Status != http.StatusSeeOther {
		t.Errorf("the first session still opens: %d %s", p.Status, p.Text())
	}
	if u := f.User(); u == nil || u.Subject != "grace" {
		t.Error("the second session ended with the first")
	}
}

// With SameSite=Strict, a user that comes from the provider would have no session, and would be
// redirected there again.
func b41SessionSurvivesCrossSiteArrival(t *testing.T) {
	t.Parallel()
	f := sitetest.NewTLSFlow(t, nil)
	p := f.Must(f.Browser.Click(authtest.At("https://elsewhere.example/"), f.URL+"/page/b41"))
	f.WantLanded(t, p, "/page/b41")
	if n := f.IDP.Count(authtest.Authorize); n != 1 {
		t.Errorf("it took %d redirects to the provider", n)
	}
	again := f.Must(f.Browser.Click(authtest.At("https://elsewhere.example/"), f.URL+"/page/b41"))
	if len(again.Hops) != 1 || again.Status != http.StatusOK {
		t.Errorf("a link from elsewhere took %d hops to %s", len(again.Hops), again.URL)
	}
	for _, hop := range p.Hops {
		for _, line := range hop.Header["Set-Cookie"] {
			c, err := http.ParseSetCookie(line)
			if err != nil || hop.URL.Host != p.URL.Host {
				continue
			}
			if strings.HasPrefix(c.Name, "__Secure-") && c.Path == "/logout" { // the ID token, which no other request has
				c.Name, c.Path = strings.Replace(c.Name, "__Secure-", "__Host-", 1), "/"
			}
			if c.SameSite != http.SameSiteLaxMode || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") || c.MaxAge == 0 {
				t.Errorf("a cookie has other attributes: %s", line)
			}
		}
	}
}
