package ginauth_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// diagnosis is a cause of state_invalid: how to produce it, the ID in the log and, on loopback,
// on the page, and what both must name.
type diagnosis struct {
	name   string
	answer func(f *sitetest.Flow) (callback *url.URL)
	id     string
	names  []string
}

func diagnoses() []diagnosis {
	return []diagnosis{
		{"no cookie at all", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			f.Browser = f.NewBrowser()
			return callback
		}, "state.no_cookies", []string{"Set-Cookie"}},
		{"cookies but none of ours", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			f.Browser = f.NewBrowser()
			f.KeepCookie(&http.Cookie{Name: "theme", Value: "dark", Path: "/"})
			f.KeepCookie(&http.Cookie{Name: "ginauth-AAAAAA-a-BBBBBBBB", Value: "another application's", Path: "/"})
			return callback
		}, "state.cookie_missing", []string{"Set-Cookie"}},
		{"other attempts under way", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			f.Browser = f.NewBrowser()
			f.Begin("/login/demo")
			return callback
		}, "state.cookie_missing_others", nil},
		{"other key", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			f.Redeploy(func(o *ginauth.Options) { o.Keys = []string{sitetest.OtherKey} })
			return callback
		}, "state.other_key", []string{"Options.Keys", "BaseURL"}},
		{"other key, and no cookie", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			f.Redeploy(func(o *ginauth.Options) { o.Keys = []string{sitetest.OtherKey} })
			f.Browser = f.NewBrowser()
			return callback
		}, "state.not_authentic", []string{"Options.Keys", "BaseURL"}},
		{"altered", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			c := f.LoginState()
			c.Value = c.Value[:len(c.Value)-4] + "AAAA"
			f.KeepCookie(c)
			return callback
		}, "state.cookie_altered", []string{"proxy"}},
		{"expired", func(f *sitetest.Flow) *url.URL {
			f.Browser.Now = time.Now // a browser that keeps the cookie
			callback := f.Begin("/login/demo")
			f.Clock.Advance(11 * time.Minute)
			return callback
		}, "state.expired", []string{"10 minutes"}},
		{"expired, and the browser dropped the cookie", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			f.Clock.Advance(25 * time.Hour)
			if f.LoginStates() != nil {
				f.T.Error("the cookie is there: the test is about its absence")
			}
			return callback
		}, "state.expired", []string{"10 minutes"}},
		{"begun by a clock that is ahead", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			f.Redeploy(func(o *ginauth.Options) { o.Now = func() time.Time { return f.Clock.Now().Add(-5 * time.Minute) } })
			return callback
		}, "state.clock", []string{"(NTP)"}},
		{"used", func(f *sitetest.Flow) *url.URL {
			f.IDP.DenyConsent(true)
			callback := f.Begin("/login/demo")
			c := f.LoginState()
			f.Finish(callback)
			f.KeepCookie(c)
			return callback
		}, "state.used", nil},
		{"used, and opened again", func(f *sitetest.Flow) *url.URL {
			f.IDP.DenyConsent(true)
			callback := f.Begin("/login/demo")
			f.Finish(callback)
			return callback
		}, "state.used", nil},
		{"other provider", func(f *sitetest.Flow) *url.URL {
			return sitetest.AtPath(f.Begin("/login/demo"), "/authorize/other")
		}, "state.other_provider", []string{"redirect URIs"}},
		{"another secret", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			return sitetest.With(callback, "state", callback.Query().Get("state")[:9]+sitetest.MadeUpState[9:])
		}, "state.mismatch", nil},
		{"no state of ours", func(f *sitetest.Flow) *url.URL {
			return sitetest.With(f.Begin("/login/demo"), "state", "xyz")
		}, "state.malformed", []string{"/login"}},
		{"no state", func(f *sitetest.Flow) *url.URL {
			return sitetest.Without(f.Begin("/login/demo"), "state")
		}, "state.missing", []string{"/login"}},
		{"the other loopback name", func(f *sitetest.Flow) *url.URL {
			callback := f.Begin("/login/demo")
			callback.Host = "127.0.0.1:" + callback.Port()
			return callback
		}, "state.answered_at_other_host", []string{"http://127.0.0.1:", "redirect URI", "http://localhost:"}},
	}
}

// TestStateInvalidDiagnosis: all causes have one code; the log distinguishes them, and so does
// the page where only developers see it.
func TestStateInvalidDiagnosis(t *testing.T) {
	t.Parallel()
	for _, d := range diagnoses() {
		t.Run(d.name, func(t *testing.T) {
			f, _ := sitetest.NewFlowWithTwo(t, nil)
			callback := d.answer(f)
			before := len(f.Logs.String())
			p := f.Refuses(t, callback, sitetest.Closed{Code: ginauth.ErrStateInvalid})
			wantDiagnosis(t, d, f.Logs.String()[before:], html.UnescapeString(p.Text()))
		})
	}
}

func wantDiagnosis(t *testing.T, d diagnosis, log, page string) {
	t.Helper()
	if ids := regexp.MustCompile(` id=(\S+) `).FindAllStringSubmatch(log, -1); len(ids) != 1 || ids[0][1] != d.id {
		t.Errorf("the errors are %q, want %s:\n%s", ids, d.id, log)
	}
	if !strings.Contains(page, "docs/errors.md#"+d.id+"<") {
		t.Errorf("the page has no link to its row in errors.md:\n%s", page)
	}
	// The page has the same reason and fix as the log.
	told := regexp.MustCompile(` reason="(.+)" fix="(.+)" docs=`).FindStringSubmatch(log)
	if told == nil || !strings.Contains(page, told[1]) || !strings.Contains(page, told[2]) {
		t.Errorf("the page does not say %q:\n%s", told, page)
	}
	for _, text := range []string{log, page} {
		sitetest.WantNames(t, text, d.names...)
	}
}

// Off loopback only the log has the reason. Host and scheme of a request have no other effect
// there, but the log distinguishes them.
func TestStateInvalidWhereTheBrowserStrayed(t *testing.T) {
	t.Parallel()
	const host, proxied, direct, none = "state.other_host", "state.began_over_http", "state.began_without_tls", "state.no_cookies"
	const onHTTP = "Secure cookies" // the browser may use http throughout
	for _, tt := range []struct {
		name, host  string // of the first request; "" for BaseURL's
		proto, back string // X-Forwarded-Proto of the first request and the callback; "" for none
		id          string
		part        string // of the fix
	}{
		{"www in front", "www.app.example.com", "https", "https", host, "https://app.example.com"},
		{"the host in capitals", "APP.EXAMPLE.COM", "https", "https", none, "Set-Cookie"},
		{"a proxy on http", "", "http", "https", proxied, "https"},
		{"a proxy on http, and www", "www.app.example.com", "http", "https", proxied, "https"},
		{"past the proxy", "", "", "https", direct, "https://app.example.com"},
		{"no proxy that says anything", "", "", "", none, onHTTP},
		{"nothing wrong at all", "", "https", "https", none, "Set-Cookie"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
			begin := func(proto, host, path string) *authtest.Page {
				header := "Host: " + host + "\r\n"
				if proto != "" {
					header += "X-Forwarded-Proto: " + proto + "\r\n"
				}
				return s.Raw(t, "GET "+path+" HTTP/1.1\r\n"+header+sitetest.AskPage)
			}
			if tt.host == "" {
				tt.host = "app.example.com"
			}
			u := sitetest.MustURL(t, begin(tt.proto, tt.host, "/login/demo").Header.Get("Location"))
			s.Logs.Reset()
			p := begin(tt.back, "app.example.com", "/authorize/demo?code=abc&state="+u.Query().Get("state"))
			log := s.Logs.String()
			if p.Status != http.StatusBadRequest {
				t.Errorf("got %d:\n%s", p.Status, log)
			}
			sitetest.WantID(t, log, tt.id)
			sitetest.WantNames(t, log, tt.part)
			for _, other := range []string{host, proxied, direct, none} {
				if other != tt.id && strings.Contains(log, "id="+other+" ") {
					t.Errorf("the log has %s as well:\n%s", other, log)
				}
			}
			if strings.Contains(log, onHTTP) != (tt.part == onHTTP || tt.id == proxied || tt.id == direct) {
				t.Errorf("the log speaks of http:\n%s", log)
			}
			if strings.Contains(p.Text(), "host name") || strings.Contains(p.Text(), "Secure") {
				t.Errorf("users see: %s", p.Text())
			}
		})
	}
}

// Localhost counts as another loopback name only if BaseURL is on loopback, too.
func TestLocalhostIsNoOtherNameOfAPublicHost(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
	at := func(host, path string) *authtest.Page {
		return s.Raw(t, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nX-Forwarded-Proto: https\r\n"+sitetest.AskPage)
	}
	u := sitetest.MustURL(t, at("app.example.com", "/login/demo").Header.Get("Location"))
	s.Logs.Reset()
	at("localhost", "/authorize/demo?code=abc&state="+u.Query().Get("state"))
	if log := s.Logs.String(); strings.Contains(log, "id=state.answered_at_other_host ") || !strings.Contains(log, "id=state.no_cookies ") {
		t.Errorf("the log is:\n%s", log)
	}
}

// With an http BaseURL cookies are not Secure, so the scheme is never the reason.
func TestASchemeIsNoReasonOnAnHTTPBaseURL(t *testing.T) {
	t.Parallel()
	for _, proto := range [][2]string{{"http", ""}, {"http", "http"}, {"", "https"}, {"https", "https"}} {
		s := sitetest.New(t, nil)
		header := func(proto string) string {
			if proto == "" {
				return "Host: " + sitetest.MustURL(t, s.URL).Host + "\r\n"
			}
			return "Host: " + sitetest.MustURL(t, s.URL).Host + "\r\nX-Forwarded-Proto: " + proto + "\r\n"
		}
		u := sitetest.MustURL(t, s.Raw(t, "GET /login/demo HTTP/1.1\r\n"+header(proto[0])+sitetest.AskPage).Header.Get("Location"))
		s.Logs.Reset()
		s.Raw(t, "GET /authorize/demo?code=abc&state="+u.Query().Get("state")+" HTTP/1.1\r\n"+header(proto[1])+sitetest.AskPage)
		if log := s.Logs.String(); strings.Contains(log, "Secure") || !strings.Contains(log, "id=state.no_cookies ") {
			t.Errorf("%q: the log is:\n%s", proto, log)
		}
	}
}

// With an https BaseURL, too, the other loopback name is a reason.
func TestTheOtherLoopbackNameOnHTTPS(t *testing.T) {
	t.Parallel()
	s := sitetest.NewTLS(t, nil)
	callback := s.Begin("/login/demo")
	callback.Host = "localhost:" + callback.Port()
	r := httptest.NewRequest("GET", callback.String(), nil)
	r.Header.Set("Accept", "text/html")
	s.Engine.ServeHTTP(httptest.NewRecorder(), r)
	if log := s.Logs.String(); !strings.Contains(log, "id=state.answered_at_other_host ") || !strings.Contains(log, "https://localhost:"+callback.Port()+",") || !strings.Contains(log, "BaseURL is "+s.URL+":") {
		t.Errorf("the log is:\n%s", log)
	}
}

// A proxy that replaces Host replaces it both times: this is no reason, and hides the real host.
// A proxy that sends X-Forwarded-Host reveals it.
func TestAProxyThatWritesTheHostIsNoReason(t *testing.T) {
	t.Parallel()
	for _, hosts := range [][2]string{{"backend:8080", "backend:8080"}, {"10.0.0.5:8080", "10.0.0.6:8080"}} {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { o.BaseURL = "https://app.example.com" })
		u := sitetest.MustURL(t, s.Raw(t, "GET /login/demo HTTP/1.1\r\nHost: "+hosts[0]+"\r\n"+sitetest.AskPage).Header.Get("Location"))
		s.Raw(t, "GET /authorize/demo?code=abc&state="+u.Query().Get("state")+" HTTP/1.1\r\nHost: "+hosts[1]+"\r\n"+sitetest.AskPage)
		if log := s.Logs.String(); strings.Contains(log, "id=state.other_host ") || !strings.Contains(log, "id=state.no_cookies ") || !strings.Contains(log, "host name") {
			t.Errorf("%q: the log is:\n%s", hosts, log)
		}
	}
}

// The hint about a failed attempt is only about the last attempt: a successful sign-in leaves
// none, nothing depends on it, and forging it signs no user in or out.
func TestTheHintOfAFailedAttempt(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.SignIn()
	if f.OwnCookies("-u") != nil {
		t.Error("a successful sign-in left the hint of a failed one")
	}
	f.Browser = f.NewBrowser()
	f.IDP.DenyConsent(true)
	f.Finish(f.Begin("/login/demo"))
	if hints := f.OwnCookies("-u"); len(hints) != 1 || len(hints[0].Value) != 8 {
		t.Fatalf("the hints are %v", hints)
	}
	f.IDP.DenyConsent(false)
	callback := f.Begin("/login/demo?return_to=/page/x")
	hint := f.OwnCookies("-u")[0]
	hint.Value = callback.Query().Get("state")[:8]
	f.KeepCookie(hint)
	f.Lands(t, callback, "/page/x")
	f.Clock.Advance(10 * time.Minute)
	if f.OwnCookies("-u") != nil {
		t.Error("the hint stays longer than an attempt could")
	}
}

// wantStateError opens the callback with that state and looks for the error in the log.
func wantStateError(s *sitetest.Site, callback *url.URL, state, id string) {
	s.T.Helper()
	s.Logs.Reset()
	s.WantError(s.Must(s.Browser.Open(sitetest.With(callback, "state", state).String())), ginauth.ErrStateInvalid)
	if got := s.Logs.String(); !strings.Contains(got, "id="+id+" ") {
		s.T.Errorf("%s: the log has no error %s:\n%s", state, id, got)
	}
}

// No part of a state that only looks authentic is used.
func TestStateOfAnotherForm(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	callback := s.Begin("/login/demo")
	state := callback.Query().Get("state")
	for i, other := range map[int]string{0: "!", 8: "-", 9: "!", 51: ".", 52: "-", 53: "!", 68: "."} {
		wantStateError(s, callback, state[:i]+other+state[i+1:], "state.malformed")
	}
}

// A failed attempt implies nothing about another attempt.
func TestAnotherAttemptHasFailed(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	callback := s.Begin("/login/demo")
	_, name, _ := openAttempt(s, callback)
	app, handle, _ := strings.Cut(name, "-a-")
	for failed, id := range map[string]string{handle: "state.used", "AAAAAAAA": "state.cookie_missing"} {
		s.Logs.Reset()
		withCookies(s, "GET", callback.String(), app+"-u="+failed)
		sitetest.WantID(t, s.Logs.String(), id)
	}
}

// TestRestartWithAKeyThatWasMade: the reason does not blame the replicas.
func TestRestartWithAKeyThatWasMade(t *testing.T) {
	t.Parallel()
	logs := &sitetest.Logs{}
	serve := func() *gin.Engine {
		engine := gin.New()
		o := sitetest.GoodOptions()
		o.BaseURL, o.Keys, o.Logger = "http://localhost:8080", nil, logs.Logger()
		o.Providers = []ginauth.Provider{{Name: "demo", Issuer: "https://idp.example", ClientID: "id", ClientSecret: "secret",
			AuthorizeURL: "https://idp.example/a", TokenURL: "https://idp.example/t", JWKSURL: "https://idp.example/k"}}
		if _, err := ginauth.Mount(engine, o); err != nil {
			t.Fatal(err)
		}
		return engine
	}
	w := httptest.NewRecorder()
	serve().ServeHTTP(w, httptest.NewRequest("GET", "http://localhost:8080/login/demo", nil))
	to, err := url.Parse(w.Header().Get("Location"))
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	if err != nil || to.Query().Get("state") == "" || cookie == "" {
		t.Fatalf("no sign-in began: %d %v", w.Code, w.Header())
	}
	restarted := serve()
	logs.Reset()
	for _, cookies := range []string{cookie, ""} {
		r := httptest.NewRequest("GET", "http://localhost:8080/authorize/demo?code=c&state="+to.Query().Get("state"), nil)
		r.Header.Set("Cookie", cookies)
		restarted.ServeHTTP(httptest.NewRecorder(), r)
	}
	log := logs.String()
	sitetest.WantID(t, log, "state.other_key")
	sitetest.WantID(t, log, "state.not_authentic")
	if n := strings.Count(log, "openssl rand -hex 32"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, log)
	}
}
