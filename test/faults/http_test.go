package faults

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsHTTP(t *testing.T) {
	runFaults(t, []fault{
		{"F22_protected_pages_are_not_stored", f22ProtectedPagesAreNotStored},
		{"M1_headers_of_every_answer", m1HeadersOfEveryAnswer},
		{"M2_error_pages", m2ErrorPages},
		{"M3_typed_error_for_the_hook", m3TypedErrorForTheHook},
		{"M8_header_injection", m8HeaderInjection},
		{"M9_no_password_dialogs", m9NoPasswordDialogs},
		{"M10_session_cookie_in_a_cacheable_answer", m10SessionCookieInACacheableAnswer},
		{"M10_unwritten_and_streamed_answers", m10UnwrittenAndStreamedAnswers},
	})
}

func f22ProtectedPagesAreNotStored(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Guard("/own", func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age=60")
		c.Header("Vary", "Accept")
		c.String(http.StatusOK, "a picture for everybody")
	})
	s.As("ada")
	for path, want := range map[string]string{"/me": "private, no-store Cookie", "/": "private, no-store Cookie", "/own": "public, max-age=60 Accept"} {
		p := s.Open(path)
		if got := fmt.Sprint(p.Header.Get("Cache-Control"), " ", strings.Join(p.Header.Values("Vary"), ",")); got != want || p.Status != http.StatusOK {
			t.Errorf("%s: %d, Cache-Control and Vary are %q, want %q", path, p.Status, got, want)
		}
	}
}

// everyAnswer returns responses of each of ginauth's routes, good and bad, by description.
func everyAnswer(f *sitetest.Flow) map[string]*authtest.Page {
	f.T.Helper()
	from := authtest.At(f.URL + "/")
	answers := map[string]*authtest.Page{}
	open := func(name, path string) { answers[name] = f.Open(path) }
	fetch := func(name, method, path string) {
		answers[name] = f.Must(f.Browser.Fetch(from, method, f.URL+path, nil, ""))
	}
	hop := func(name string, callback *url.URL) { answers[name] = f.Must(f.Browser.Open(callback.String())) }

	open("chooser, straight through", "/login")
	open("begin", "/login/demo?return_to=/page/x")
	open("unknown provider", "/login/nobody")
	fetch("begin by a script", "GET", "/login/demo?by=script")
	fetch("wrong method of begin", "DELETE", "/login/demo")
	fetch("wrong method of the chooser", "POST", "/login")
	answers["prefetch"] = f.Must(f.Browser.Fetch(from, "GET", f.URL+"/login/demo", http.Header{"Sec-Purpose": {"prefetch"}}, ""))
	answers["an image"] = f.Must(f.Browser.Fetch(from, "GET", f.URL+"/login/demo", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, ""))

	open("bad state", "/authorize/demo?state=xyz&code=abc")
	open("callback of nobody", "/authorize/nobody?state=xyz&code=abc")
	fetch("bad state for a script", "GET", "/authorize/demo?state=xyz&code=abc")
	fetch("callback as POST", "POST", "/authorize/demo")
	fetch("callback as PUT", "PUT", "/authorize/demo/")
	hop("denied", sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "access_denied"))
	f.IDP.Fail(authtest.Token, authtest.Down)
	hop("provider down", f.Begin("/login/demo"))
	f.IDP.Heal()
	good := f.Begin("/login/demo?return_to=/page/x")
	hop("good answer", good)
	hop("late answer", good)

	open("sign-out page", "/logout")
	fetch("wrong method of sign-out", "PATCH", "/logout")
	answers["sign-out from elsewhere"] = f.Must(f.Browser.Fetch(authtest.At("https://evil.example/"), "POST", f.URL+"/logout", nil, ""))
	answers["sign-out by HTMX"] = f.Must(f.Browser.Fetch(from, "POST", f.URL+"/logout", http.Header{"HX-Request": {"true"}, "Content-Type": {"application/x-www-form-urlencoded"}}, ""))
	fetch("sign-out by a script", "POST", "/logout")
	f.Browser.StopAt = func(*url.URL) bool { return true }
	answers["sign-out by a form"] = f.Must(f.Browser.Submit(from, f.URL+"/logout", url.Values{}))
	f.Browser.StopAt = nil
	return answers
}

func m1HeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sitetest.Site, *ginauth.Options){
		"one provider": nil,
		"two providers": func(s *sitetest.Site, o *ginauth.Options) {
			o.Providers = append(o.Providers, sitetest.Client("other", sitetest.StartProvider(t, authtest.Config{})))
		},
		"a login page of its own": func(_ *sitetest.Site, o *ginauth.Options) { o.LoginPage = "/login" },
	} {
		t.Run(name, func(t *testing.T) {
			f := sitetest.NewFlow(t, func(s *sitetest.Site, o *ginauth.Options) {
				if change != nil {
					change(s, o)
				}
				if o.LoginPage != "" {
					s.Engine.GET("/login", func(c *gin.Context) { c.Header("X-Own", "yes") })
				}
			})
			for what, p := range everyAnswer(f) {
				if p.Header.Get("X-Own") != "" || p.Status == http.StatusNotFound && len(p.Header["X-Content-Type-Options"]) == 0 && strings.Contains(what, "chooser") {
					continue // the application's
				}
				t.Run(what, func(t *testing.T) {
					sitetest.WantHeaders(t, p)
					referrer := "no-referrer"
					if p.Status == http.StatusOK && len(p.Forms()) > 0 {
						referrer = "same-origin" // otherwise browsers send Origin: null with the form
					}
					if got := p.Header.Get("Referrer-Policy"); got != referrer {
						t.Errorf("Referrer-Policy is %q, want %q", got, referrer)
					}
					if kind := p.Header.Get("Content-Type"); len(p.Body) > 0 && kind != "text/html; charset=utf-8" && kind != "application/json; charset=utf-8" {
						t.Errorf("Content-Type is %q", kind)
					}
					if p.Header.Get("Set-Cookie") != "" && p.Header.Get("Cache-Control") != "no-store" {
						t.Error("a cookie is set by a response that is cacheable")
					}
				})
			}
		})
	}
}

func m2ErrorPages(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	const hostile = `"><script>alert(1)</script><img src=https://evil.example/x>`
	const name = `"><script>alert(1)<img src=x>` // a / would be another route
	q := url.QueryEscape(hostile)
	for _, path := range []string{
		"/authorize/demo?state=" + q + "&code=" + q, "/authorize/demo?error=" + q + "&error_description=" + q, "/authorize/demo?state=x&" + q + "=" + q,
		"/login/" + url.PathEscape(name), "/authorize/" + url.PathEscape(name) + "?code=" + q, "/logout?return_to=" + q, "/login/demo?login_hint=" + q + "&return_to=" + q,
	} {
		for _, accept := range []string{
			"text/html,application/xhtml+xml", "application/json", "application/json, text/plain, */*", "*/*", "", "text/html, application/json",
		} {
			r, _ := http.NewRequest("GET", f.URL+path, nil)
			r.Header.Set("Accept", accept)
			r.Header.Set("X-Request-ID", hostile)
			r.Header.Set("User-Agent", hostile)
			r.Header.Set("Referer", "https://evil.example/"+q)
			r.Header.Set("X-Forwarded-Host", "evil.example")
			p := f.Must(f.Browser.Do(r))
			if p.Status == http.StatusSeeOther && strings.HasPrefix(path, "/login/demo") {
				continue
			}
			wantPage := strings.Contains(accept, "text/html") || strings.HasPrefix(path, "/logout")
			if kind := p.Header.Get("Content-Type"); wantPage && kind != "text/html; charset=utf-8" || !wantPage && kind != "application/json; charset=utf-8" {
				t.Errorf("%s for %q: Content-Type %q", path, accept, kind)
			}
			for _, raw := range []string{"<script>", "<img"} {
				if strings.Contains(p.Text(), raw) {
					t.Errorf("%s for %q: the response has %q: %s", path, accept, raw, p.Text())
				}
			}
			if text := strings.ReplaceAll(html.UnescapeString(p.Text()), f.URL, ""); wantPage && !strings.Contains(text, "alert(1)") && foreignAddress.MatchString(text) {
				t.Errorf("%s: the page leads elsewhere: %s", path, p.Text())
			}
			sitetest.WantHeaders(t, p)
		}
	}
}

// The hook gets the code and our own texts; the provider's text is only in Err, quoted.
func m3TypedErrorForTheHook(t *testing.T) {
	t.Parallel()
	var got *ginauth.Error
	f := sitetest.NewFlow(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnError = func(_ *gin.Context, e *ginauth.Error) {
			if e.Code != ginauth.ErrUnauthenticated { // the harness requests the signed-in user
				got = e
			}
		}
	})
	const text = "<b>your account is\u202e locked</b>\r\nX: y"
	denied := sitetest.With(sitetest.Without(f.Begin("/login/demo"), "code"), "error", "access_denied")
	f.Refuses(t, sitetest.With(denied, "error_description", text), sitetest.Closed{Code: ginauth.ErrProviderDenied})
	if got == nil || !errors.Is(got, ginauth.ErrProviderDenied) || got.Provider != "demo" || got.Op == "" || got.Status() != http.StatusForbidden {
		t.Fatalf("the hook was given %#v", got)
	}
	if words := got.Reason + got.Fix + got.Op; strings.Contains(words, "account") {
		t.Errorf("our own words have the provider's: %s", words)
	}
	if got.Err == nil || !strings.Contains(got.Err.Error(), "your account is") || strings.ContainsAny(got.Error(), "\r\n\u202e") {
		t.Errorf("the cause is %q", got.Err)
	}
}

func m8HeaderInjection(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	const evil = "%0d%0aSet-Cookie:%20stolen=1%0d%0aX-Evil:%20yes"
	f.SignIn()
	for _, path := range []string{
		"/login?return_to=/" + evil, "/login/demo?return_to=/" + evil, "/login/demo?return_to=/x%23" + evil, "/login/x" + evil, "/authorize/x" + evil + "?code=x",
		"/authorize/demo?state=" + evil, "/authorize/demo?carried=" + evil, "/logout?return_to=/" + evil, "/page/" + evil,
	} {
		for _, signedIn := range []bool{true, false} {
			b := f.NewBrowser()
			if signedIn {
				b = f.Browser
			}
			r, _ := http.NewRequest("GET", f.URL+path, nil)
			r.Header.Set("Accept", "text/html")
			p := f.Must(b.Do(r))
			if p.Header.Get("X-Evil") != "" || strings.Contains(strings.Join(p.Header["Set-Cookie"], "\n"), "stolen") {
				t.Errorf("%s: headers %v", path, p.Header)
			}
			for name, values := range p.Header {
				if strings.ContainsAny(strings.Join(values, ""), "\r\n") {
					t.Errorf("%s: %s has a line break", path, name)
				}
			}
		}
	}
	p := f.Must(f.NewBrowser().Fetch(authtest.At(f.URL), "GET", f.URL+"/me", http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {f.URL + "/x%0d%0aX-Evil:%20yes"}}, ""))
	if p.Header.Get("X-Evil") != "" || strings.ContainsAny(p.Header.Get("HX-Redirect"), "\r\n") {
		t.Errorf("HTMX: headers %v", p.Header)
	}
}

// WWW-Authenticate makes browsers ask for a password.
func m9NoPasswordDialogs(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	pages := everyAnswer(f)
	from := authtest.At(f.URL + "/")
	pages["guarded page"] = f.Open("/me")
	pages["guarded fetch"] = f.Must(f.Browser.Fetch(from, "GET", f.URL+"/me", nil, ""))
	pages["guarded form"] = f.Must(f.Browser.Submit(from, f.URL+"/me", url.Values{}))
	if pages["guarded fetch"].Status != http.StatusUnauthorized || pages["guarded form"].Status != http.StatusUnauthorized {
		t.Error("the guard did not respond with 401")
	}
	for name, p := range pages {
		if got := p.Header.Get("WWW-Authenticate"); got != "" {
			t.Errorf("%s: WWW-Authenticate: %s", name, got)
		}
	}
}

// cacheable is an application whose handlers allow caching.
func cacheable(t testing.TB) *sitetest.Flow {
	f := sitetest.NewFlow(t, nil)
	keep := func(c *gin.Context) { c.Header("Cache-Control", "public, max-age=31536000") }
	write := func(c *gin.Context) { keep(c); c.String(http.StatusOK, "an asset") }
	f.Engine.GET("/asset/guarded", f.Auth.RequireAuth(), write)
	f.Engine.GET("/asset/open", f.Auth.LoadUser(), write)
	f.Engine.GET("/asset/bytes", f.Auth.LoadUser(), func(c *gin.Context) { keep(c); _, _ = c.Writer.Write([]byte("an asset")) })
	f.Engine.GET("/asset/text", f.Auth.LoadUser(), func(c *gin.Context) { keep(c); _, _ = c.Writer.WriteString("an asset") })
	f.Engine.GET("/asset/file", f.Auth.LoadUser(), func(c *gin.Context) {
		keep(c)
		http.ServeContent(c.Writer, c.Request, "a.txt", time.Time{}, strings.NewReader("an asset"))
	})
	f.Engine.GET("/asset/empty", f.Auth.LoadUser(), func(c *gin.Context) { keep(c); c.Status(http.StatusNoContent) })
	f.Engine.GET("/asset/stream", f.Auth.RequireAuth(), func(c *gin.Context) {
		keep(c)
		c.Writer.Flush()
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(c.Writer, "an asset")
	})
	f.Engine.GET("/asset/update", f.Auth.RequireAuth(), func(c *gin.Context) {
		_ = f.Auth.Update(c, func(u *ginauth.User) { u.Data = map[string]string{"seen": "yes"} })
		write(c)
	})
	f.Engine.POST("/asset/logout", f.Auth.RequireAuth(), func(c *gin.Context) { _ = f.Auth.Logout(c); write(c) })
	f.Engine.POST("/asset/login", func(c *gin.Context) {
		if err := f.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}, nil); err != nil {
			t.Error(err)
		}
		write(c)
	})
	return f
}

// A renewed session is in the next response of any kind; a cache must not send it to other
// users.
func m10SessionCookieInACacheableAnswer(t *testing.T) {
	t.Parallel()
	f := cacheable(t)
	from := authtest.At(f.URL + "/")
	f.SignIn()
	for _, tc := range []struct{ method, path string }{
		{"GET", "guarded"}, {"GET", "open"}, {"GET", "bytes"}, {"GET", "text"}, {"GET", "file"}, {"GET", "empty"}, {"GET", "stream"},
		{"GET", "update"}, {"POST", "logout"}, {"POST", "login"},
	} {
		for _, due := range []bool{false, true} {
			if due {
				f.Clock.Advance(3 * time.Hour) // more than a tenth of IdleTimeout
			}
			p := f.Must(f.Browser.Fetch(from, tc.method, f.URL+"/asset/"+tc.path, nil, ""))
			cookie, control := p.Header.Get("Set-Cookie") != "", p.Header.Get("Cache-Control")
			if cookie && !strings.Contains(control, "no-store") {
				t.Errorf("%s, due: %v: Set-Cookie with Cache-Control %q", tc.path, due, control)
			}
			if due && !cookie && tc.path != "logout" {
				t.Errorf("%s set no cookie: the test proves nothing", tc.path)
			}
			if !cookie && p.Status < 300 && control != "public, max-age=31536000" {
				t.Errorf("%s: the handler's own Cache-Control was changed to %q", tc.path, control)
			}
			if p.Status == http.StatusOK && p.Text() != "an asset" {
				t.Errorf("%s: the response is %q", tc.path, p.Text())
			}
		}
	}
}

// Wrapped response writers remain usable.
func m10UnwrittenAndStreamedAnswers(t *testing.T) {
	t.Parallel()
	f := sitetest.NewFlow(t, nil)
	f.Engine.GET("/asset/stored", f.Auth.RequireAuth(), func(c *gin.Context) {
		c.Header("Cache-Control", "no-cache, no-store, max-age=0") // stricter than ours: it stays
		c.String(http.StatusOK, "private anyway")
	})
	f.SignIn()
	f.Clock.Advance(3 * time.Hour)
	p := f.Get("/asset/stored")
	if p.Header.Get("Set-Cookie") == "" || p.Header.Get("Cache-Control") != "no-cache, no-store, max-age=0" {
		t.Errorf("headers %v", p.Header)
	}
	recorder := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(recorder)
	c.Request = httptest.NewRequest("GET", f.URL+"/", nil)
	if err := f.Auth.SignIn(c, &ginauth.User{Provider: "demo", Subject: "grace"}, nil); err != nil {
		t.Fatal(err)
	}
	c.Header("Cache-Control", "public")
	c.Writer.WriteHeaderNow()
	if got := recorder.Header().Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
}
