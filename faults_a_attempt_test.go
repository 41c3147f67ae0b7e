package ginauth_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// A11: an attacker who sends a signed-in person to /login/demo must not get
// their own account tied to that person's.
func faultA11(t *testing.T) {
	t.Parallel()
	var logins []ginauth.Login
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
			logins = append(logins, *l)
			return nil
		}
	})
	link := url.Values{"link": {"true"}}
	evil, home := authtest.At("https://evil.example/"), authtest.At(s.URL+"/")
	for _, tt := range []struct {
		name     string
		start    func() (*authtest.Page, error)
		refused  bool
		previous string
	}{
		{"a link of another site's", func() (*authtest.Page, error) { return s.browser.Click(evil, s.URL+"/login/demo") }, false, ""},
		{"a link of another site's that asks to link", func() (*authtest.Page, error) { return s.browser.Click(evil, s.URL+"/login/demo?link=true") }, false, ""},
		{"a link of our own that asks to link", func() (*authtest.Page, error) { return s.browser.Click(home, s.URL+"/login/demo?link=true") }, false, ""},
		{"a form of another site's", func() (*authtest.Page, error) { return s.browser.Submit(evil, s.URL+"/login/demo", nil) }, false, ""},
		{"a form of another site's that asks to link", func() (*authtest.Page, error) { return s.browser.Submit(evil, s.URL+"/login/demo", link) }, true, ""},
		{"a form of a sibling's that asks to link", func() (*authtest.Page, error) {
			return s.browser.Submit(authtest.At("http://other.localhost/"), s.URL+"/login/demo", link)
		}, true, ""},
		{"a form of our own", func() (*authtest.Page, error) { return s.browser.Submit(home, s.URL+"/login/demo", nil) }, false, ""},
		{"a form of our own that asks to link", func() (*authtest.Page, error) { return s.browser.Submit(home, s.URL+"/login/demo", link) }, false, "ada"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.browser = s.newBrowser()
			s.idp.SignInAs("ada")
			s.signIn()
			tokens := s.idp.Count(authtest.Token)
			logins = nil
			s.idp.SignInAs("eve")
			p := s.must(tt.start())
			if tt.refused {
				s.failsClosed(t, p, closed{code: ginauth.ErrCrossOrigin, was: "ada", tokens: tokens})
				return
			}
			if len(logins) != 1 || logins[0].User.Subject != "eve" {
				t.Fatalf("OnLogin saw %+v; the page is %d at %s", logins, p.Status, p.URL)
			}
			previous := ""
			if logins[0].Previous != nil {
				previous = logins[0].Previous.Subject
			}
			if previous != tt.previous {
				t.Errorf("Login.Previous is %q, want %q", previous, tt.previous)
			}
			if u := s.user(); u == nil || u.Subject != "eve" {
				t.Errorf("%v is signed in, want the new person", u)
			}
		})
	}
	s.browser = s.newBrowser()
	tokens := s.idp.Count(authtest.Token)
	s.failsClosed(t, s.must(s.browser.Submit(home, s.URL+"/login/demo", link)), closed{code: ginauth.ErrUnauthenticated, tokens: tokens, quiet: map[string]string{"Referrer-Policy": "no-referrer"}})
}

func faultA12(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	s.idp.SignInAs("eve")
	s.open("/login/demo")
	callback := s.begin("/login/demo")
	if u := s.user(); u == nil || u.Subject != "ada" {
		t.Fatalf("after sign-ins that were begun and left, %v is signed in", u)
	}
	answer := callback.Query()
	answer.Del("code")
	answer.Set("error", "access_denied")
	callback.RawQuery = answer.Encode()
	s.failsClosed(t, s.finish(callback), closed{code: ginauth.ErrProviderDenied, was: "ada", tokens: 1})
}

func faultA13(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		s.idp.EditMetadata(func(m map[string]any) {
			m["authorization_endpoint"] = s.idp.URL(authtest.Authorize) + "?tenant=1&state=EVIL&redirect_uri=EVIL&nonce=EVIL&scope=EVIL&client_id=EVIL" +
				"&response_type=EVIL&code_challenge=EVIL&code_challenge_method=EVIL&request=EVIL&request_uri=EVIL&response_mode=EVIL&state=EVIL2&prompt=none&p=q"
		})
		o.Providers[0].AuthParams = map[string]string{"prompt": "login"}
	})
	location, params := s.request(t, "")
	if strings.Contains(location, "EVIL") || params.Get("tenant") != "1" || params.Get("p") != "q" || params.Get("prompt") != "login" {
		t.Errorf("the endpoint's own parameters became %s", location)
	}
	s.signIn()
	for _, endpoint := range []string{"#frag", "?tenant=1#state=x", "#"} {
		s := newSite(t, func(s *site, _ *ginauth.Options) {
			s.idp.EditMetadata(func(m map[string]any) { m["authorization_endpoint"] = s.idp.URL(authtest.Authorize) + endpoint })
		})
		s.failsClosed(t, s.open("/login/demo"), closed{code: ginauth.ErrProviderMisconfigured})
		if err := s.auth.Warm(t.Context()); err == nil || !strings.Contains(err.Error(), "authorization_endpoint has a fragment") {
			t.Errorf("Warm returned %v", err)
		}
		p := offline("demo")
		p.AuthorizeURL += endpoint
		says(t, mountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{testKey}, Providers: []ginauth.Provider{p}}), "AuthorizeURL", "fragment")
	}
}

// A14: an attempt that does not fit into a cookie would be an error, and no
// redirect. Nothing that a request can bring makes one: the largest fits.
func faultA14(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("n", 32)
	s := newTLSSite(t, func(s *site, o *ginauth.Options) {
		o.CookieName = strings.Repeat("c", 32)
		o.Providers[0].Name, o.Providers[0].LoginParams = name, []string{"acr_values", "max_age"}
		s.idp.EditIDToken(func(_, claims map[string]any) { claims["acr"] = "urn:a" })
	})
	returnTo := "/page/" + strings.Repeat("a", 2042)
	acr := "urn:a " + strings.Repeat("b", 250)
	if p := s.get("/login/" + name); s.user() == nil { // linking adds the session's id
		t.Fatalf("the sign-in ended at %s with %d: %s", p.URL, p.Status, p.Text())
	}
	p := s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/login/"+name,
		url.Values{"return_to": {returnTo}, "acr_values": {acr}, "max_age": {"2147483647"}, "link": {"true"}}))
	if p.URL.Path != returnTo || p.Status != http.StatusOK {
		t.Errorf("the sign-in ended at %.60s with %d: %s\n%q", p.URL, p.Status, p.Text(), s.browser.RefusedCookies())
	}
	for _, hop := range p.Hops {
		for _, line := range hop.Header["Set-Cookie"] {
			if len(line) > 4096 {
				t.Errorf("a cookie has %d bytes", len(line))
			}
		}
	}
}

// A15: another site may begin a sign-in, as OpenID Connect Core 4 has it; it
// chooses neither the provider nor another site to land on.
func faultA15(t *testing.T) {
	t.Parallel()
	s := homeSite(t)
	iss := "?iss=" + url.QueryEscape(s.idp.Issuer)
	for _, query := range []string{
		"?iss=https://evil.example", "?iss=", iss + "&iss=https://evil.example", iss + "%2F", iss + "&login_hint=" + strings.Repeat("a", 5<<10),
		iss + "&login_hint=a%00", iss + "&login_hint=a&login_hint=b",
	} {
		p := s.must(s.browser.Click(authtest.At("https://evil.example/"), s.URL+"/login/demo"+query))
		s.failsClosed(t, p, closed{code: ginauth.ErrBadRequest})
	}
	if s.hasCookie("-a-") || s.idp.Count(authtest.Authorize) != 0 {
		t.Error("a refused start left an attempt, or reached the provider")
	}
	for target, want := range map[string]string{
		s.URL + "/page/x?y=1": "/page/x?y=1", "https://evil.example": "/home", "https://evil.example/" + s.URL + "/x": "/home", "//evil.example/x": "/home",
		s.URL + "//evil.example": "/home", s.URL + "@evil.example/x": "/home", s.URL + "0/x": "/home", s.URL + ".evil.example/x": "/home", s.URL + `/\evil.example`: "/home",
		s.URL + "/logout": "/home", s.URL: "/home", "/page/x": "/home", "": "/home", strings.ToUpper(s.URL) + "/x": "/home",
	} {
		if got := s.returned(t, iss+"&login_hint=ada&target_link_uri="+url.QueryEscape(target)); got != want {
			t.Errorf("target_link_uri %q leads to %q, want %q", target, got, want)
		}
		asked := s.idp.LastRequest(authtest.Authorize)
		if strings.Contains(asked.URL.String(), "evil") || asked.Form.Get("login_hint") != "ada" || asked.Form.Has("iss") || asked.Form.Has("target_link_uri") {
			t.Errorf("the provider was asked with %s", asked.URL)
		}
	}
	if got := s.returned(t, "?target_link_uri="+url.QueryEscape(s.URL+"/page/x")); got != "/home" {
		t.Errorf("target_link_uri without iss leads to %q", got)
	}
	behind := newFront(t, "app.example.com").behind(t, "/shop", "/auth", nil)
	p := behind.get("/auth/login/demo?iss=" + url.QueryEscape(behind.idp.Issuer) + "&target_link_uri=" + url.QueryEscape(behind.URL+"/page/x"))
	if p.URL.String() != behind.URL+"/page/x" || p.Status != http.StatusOK {
		t.Errorf("behind a proxy, it led to %s with %d", p.URL, p.Status)
	}
}

func faultA16(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault authtest.Fault
		code  ginauth.Code
	}{
		{authtest.Down, ginauth.ErrProviderUnavailable}, {authtest.HTML, ginauth.ErrProviderUnavailable}, {authtest.Resetting, ginauth.ErrProviderUnavailable},
		{authtest.Redirecting, ginauth.ErrProviderUnavailable}, {authtest.Hanging, ginauth.ErrProviderTimeout}, {authtest.Dripping, ginauth.ErrProviderTimeout},
	} {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site, o *ginauth.Options) {
				healthy := startIDP(t, authtest.Config{Now: s.clock.Now})
				o.Providers = append(o.Providers, client("healthy", healthy))
				o.HTTPClient = &http.Client{Timeout: 2 * time.Second} // enough for a busy machine
			})
			s.idp.Fail(authtest.Discovery, tt.fault)
			var sick *authtest.Page
			var err error
			var took time.Duration
			var wait sync.WaitGroup
			wait.Go(func() {
				begun := time.Now()
				sick, err = s.browser.Open(s.URL + "/login/demo")
				took = time.Since(begun)
			})
			other := s.newBrowser()
			p := s.must(other.Get(s.URL + "/login/healthy"))
			wait.Wait()
			if p.Status != http.StatusOK || s.userOf(other) == nil {
				t.Errorf("with the healthy provider: %d at %s", p.Status, p.URL)
			}
			s.failsClosed(t, s.must(sick, err), closed{code: tt.code})
			if n, err := strconv.Atoi(sick.Header.Get("Retry-After")); err != nil || n < 1 || n > 60 || took > 8*time.Second {
				t.Errorf("Retry-After is %q, after %v", sick.Header.Get("Retry-After"), took)
			}
			if s.hasCookie("-a-") || s.idp.EvilRequests() != 0 {
				t.Error("an attempt was begun, or a redirect followed")
			}
			s.idp.Heal()
			s.clock.Advance(6 * time.Second)
			s.signIn()
		})
	}
}

func faultA17(t *testing.T) {
	t.Parallel()
	demands := func(t *testing.T, change func(*ginauth.Provider)) *site {
		return newSite(t, func(_ *site, o *ginauth.Options) { change(&o.Providers[0]) })
	}
	may := func(p *ginauth.Provider) { p.LoginParams = []string{"max_age", "acr_values"} }
	always := func(p *ginauth.Provider) {
		p.AuthParams = map[string]string{"max_age": "300", "acr_values": "urn:gold urn:silver"}
	}
	both := func(p *ginauth.Provider) { may(p); always(p) }
	claim := func(name string, value any) func(_, claims map[string]any) {
		return func(_, claims map[string]any) {
			claims["acr"], claims["auth_time"] = "urn:silver", claims["iat"]
			switch v := value.(type) {
			case nil:
				delete(claims, name)
			case func() int64: // when the token is made, not when the test begins
				claims[name] = v()
			default:
				claims[name] = v
			}
		}
	}
	ago := func(d time.Duration) func() int64 {
		return func() int64 { return time.Now().Add(-d).Unix() }
	}
	const asked = "?max_age=300&acr_values=urn:gold+urn:silver"
	for _, tt := range []struct {
		name   string
		change func(*ginauth.Provider)
		query  string
		edit   func(header, claims map[string]any)
		ok     bool
	}{
		{"answered", may, asked, claim("acr", "urn:gold"), true},
		{"half a minute too old, which clocks may differ by", may, asked, claim("auth_time", ago(330*time.Second)), true},
		{"too old", may, asked, claim("auth_time", ago(370*time.Second)), false},
		{"without auth_time", may, asked, claim("auth_time", nil), false},
		{"auth_time in the future", may, asked, claim("auth_time", ago(-2*time.Minute)), false},
		{"auth_time as a text", may, asked, claim("auth_time", strconv.FormatInt(ago(0)(), 10)), false},
		{"max_age of zero", may, "?max_age=0", claim("auth_time", ago(70*time.Second)), false},
		{"without acr", may, asked, claim("acr", nil), false},
		{"another acr", may, asked, claim("acr", "urn:bronze"), false},
		{"both acr in one text", may, asked, claim("acr", "urn:gold urn:silver"), false},
		{"not asked for", may, "", claim("auth_time", ago(24*time.Hour)), true},
		{"asked for, but not to be passed on", func(*ginauth.Provider) {}, asked, claim("auth_time", ago(24*time.Hour)), true},
		{"always asked for and answered", always, "", claim("acr", "urn:gold"), true},
		{"always asked for, too old", always, "", claim("auth_time", ago(370*time.Second)), false},
		{"always asked for, without auth_time", always, "", claim("auth_time", nil), false},
		{"always asked for, another acr", always, "", claim("acr", "urn:bronze"), false},
		{"always asked for, and less by the request", both, "?max_age=9999", claim("auth_time", ago(370*time.Second)), false},
		{"always asked for, and another acr by the request", both, "?acr_values=urn:bronze", claim("acr", "urn:bronze"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := demands(t, tt.change)
			s.idp.EditIDToken(tt.edit)
			p := s.get("/login/demo" + tt.query)
			if tt.ok {
				if s.user() == nil {
					t.Errorf("refused: %d %s\n%s", p.Status, p.Text(), s.logs)
				}
				return
			}
			s.failsClosed(t, p, closed{code: ginauth.ErrIDTokenInvalid, tokens: 1})
		})
	}
	for _, v := range []string{"", "-1", "1h", "1.5", "+5", "99999999999"} {
		p := offline("demo")
		p.AuthParams = map[string]string{"max_age": v}
		says(t, mountError(ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{testKey}, Providers: []ginauth.Provider{p}}), "AuthParams", "max_age")
	}
	s := demands(t, may)
	for _, query := range []string{"?max_age=", "?max_age=-1", "?max_age=1.5", "?max_age=x", "?max_age=99999999999", "?max_age=1&max_age=2", "?max_age=%2B5", "?max_age=0x10"} {
		s.failsClosed(t, s.open("/login/demo"+query), closed{code: ginauth.ErrBadRequest})
	}
}

func faultA19(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"as begun", "the other way round"} {
		s := newSite(t, nil)
		first := s.begin("/login/demo" + returnTo("/page/1?x=1"))
		s.idp.SignInAs("eve")
		second := s.begin("/login/demo" + returnTo("/page/2?x=2"))
		want := []string{"/page/1?x=1", "/page/2?x=2"}
		if order != "as begun" {
			first, second = second, first
			want[0], want[1] = want[1], want[0]
		}
		for i, callback := range []*url.URL{first, second} {
			if p := s.finish(callback); p.Status != http.StatusOK || p.URL.String() != s.URL+want[i] {
				t.Errorf("%s: tab %d ended at %s with %d", order, i+1, p.URL, p.Status)
			}
		}
		last := map[string]string{"as begun": "eve", "the other way round": "ada"}[order]
		if u := s.user(); u == nil || u.Subject != last {
			t.Errorf("%s: %v is signed in, want %s", order, u, last)
		}
	}
}

func faultA20(t *testing.T) {
	t.Parallel()
	s := newTLSSite(t, nil)
	var callbacks []*url.URL
	for range 7 {
		callbacks = append(callbacks, s.begin("/login/demo"+returnTo("/page/"+strings.Repeat("x", 200))))
		s.clock.Advance(time.Second)
	}
	for i, callback := range callbacks { // the oldest made room
		b := s.browser.Clone()
		p := s.must(b.Click(authtest.At(s.idp.Issuer), callback.String()))
		if live := s.userOf(b) != nil; live != (i >= 2) {
			t.Errorf("of 7 sign-ins, number %d ended at %s with %d", i+1, p.URL.Path, p.Status)
		}
	}
	tokens := s.idp.Count(authtest.Token)
	for range 200 {
		s.open("/login/demo")
		s.clock.Advance(time.Second)
		line, attempts := 0, 0
		for _, c := range s.browser.Cookies(s.URL) {
			line += len(c.Name) + len(c.Value) + 3
			if strings.Contains(c.Name, "-a-") {
				attempts++
			}
		}
		if attempts > 5 || line > 8<<10 {
			t.Fatalf("there are %d attempts, and %d bytes of cookies", attempts, line)
		}
	}
	newest := s.begin("/login/demo" + returnTo("/page/newest"))
	s.failsClosed(t, s.finish(callbacks[6]), closed{code: ginauth.ErrStateInvalid, tokens: tokens})
	if p := s.finish(newest); p.Status != http.StatusOK || p.URL.Path != "/page/newest" {
		t.Errorf("the newest sign-in ended at %s with %d: %s", p.URL, p.Status, p.Text())
	}
	if !strings.Contains(s.logs.String(), "pushed out by five newer ones") {
		t.Error("the log does not say why an old sign-in is over")
	}
}
