package ginauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/marks"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestProviderLogout(t *testing.T) {
	post := func(s *sitetest.Site) *authtest.Page {
		return s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
	}
	t.Run("the ID token goes along if the provider wants it", func(t *testing.T) {
		s := sitetest.New(t, nil)
		s.SignIn()
		p := post(s)
		r := s.IDP.LastRequest(authtest.EndSession)
		if hint := r.Form.Get("id_token_hint"); strings.Count(hint, ".") != 2 || r.Form.Get("client_id") != s.IDP.ClientID {
			t.Errorf("end_session got %v", r.Form)
		}
		if p.URL.Path != "/" || s.User() != nil {
			t.Errorf("ended at %s", p.URL)
		}
	})
	t.Run("a provider that is down does not keep anybody signed in", func(t *testing.T) {
		s := sitetest.New(t, nil)
		s.SignIn()
		s.IDP.Fail(authtest.Discovery, authtest.Down)
		s.Clock.Advance(25 * time.Hour / 2)
		if p := post(s); s.User() != nil || p.Status >= 500 {
			t.Errorf("%s responded %d", p.URL, p.Status)
		}
	})
	t.Run("a provider never heard of since the start does not either", func(t *testing.T) {
		s := sitetest.New(t, nil)
		s.IDP.Fail(authtest.Discovery, authtest.Down)
		if err := authtest.SignIn(s.Auth, s.Browser, &ginauth.User{Provider: "demo", Subject: "ada"}); err != nil {
			t.Fatal(err)
		}
		if s.User() == nil {
			t.Fatal("not signed in")
		}
		if p := post(s); s.User() != nil || p.Status != http.StatusOK || p.URL.Path != "/" {
			t.Errorf("%s responded %d", p.URL, p.Status)
		}
	})
	t.Run("a provider without the endpoint", func(t *testing.T) {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			s.IDP.EditMetadata(func(m map[string]any) { delete(m, "end_session_endpoint") })
		})
		s.SignIn()
		if p := post(s); s.User() != nil || p.URL.Path != "/" || s.HasCookie("-l") {
			t.Errorf("%s responded %d", p.URL, p.Status)
		}
	})
	t.Run("one of another form, by template", func(t *testing.T) {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Logout.URL = s.IDP.URL(authtest.EndSession) + "?client={client_id}&returnTo={post_logout_redirect_uri}&state={state}"
		})
		s.SignIn()
		s.Browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.IDP.Issuer) }
		to, _ := url.Parse(post(s).Header.Get("Location"))
		if q := to.Query(); q.Get("client") != s.IDP.ClientID || q.Get("returnTo") != s.URL+"/logout/return" || q.Get("state") == "" {
			t.Errorf("redirected to %s", to)
		}
	})
	t.Run("fetch gets the address instead of a redirect", func(t *testing.T) {
		s := sitetest.New(t, nil)
		s.SignIn()
		p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/logout", nil, ""))
		if p.Status != http.StatusOK || !strings.Contains(p.Text(), `"redirect_to":"`+s.URL+"/logout/redirect?state=") || s.User() != nil {
			t.Errorf("%d %s", p.Status, p.Text())
		}
	})
	t.Run("a browser that was on the page can post the form to the provider", func(t *testing.T) {
		s := sitetest.New(t, nil)
		s.SignIn()
		page := s.Get("/logout")
		if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' "+s.IDP.Issuer) {
			t.Errorf("Content-Security-Policy %q", csp)
		}
		if p := s.Must(s.Browser.SubmitForm(page, "Sign out", nil)); p.URL.Path != "/" || s.IDP.Count(authtest.EndSession) != 1 {
			t.Errorf("ended at %s", p.URL)
		}
	})
}

func TestLogoutURL(t *testing.T) {
	for _, tt := range []struct{ name, base, group, returnTo, want string }{
		{"no page", "https://app.example.com", "", "", "https://app.example.com/logout"},
		{"a page", "https://app.example.com", "", "/x?y=1&z=/#top", "https://app.example.com/logout?return_to=%2Fx%3Fy%3D1%26z%3D%2F%23top"},
		{"a BaseURL that ends in a slash", "https://app.example.com/", "", "/x", "https://app.example.com/logout?return_to=%2Fx"},
		{"a prefix and a group", "https://app.example.com/shop", "/auth", "/x", "https://app.example.com/shop/auth/logout?return_to=%2Fx"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			auth, err := ginauth.Mount(gin.New().Group(tt.group), ginauth.Options{
				BaseURL: tt.base, Keys: []string{sitetest.Key}, Logger: new(sitetest.Logs).Logger(), Providers: []ginauth.Provider{sitetest.Offline("demo")},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := auth.LogoutURL(tt.returnTo); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A form may have a field for the page to return to, instead of an argument of LogoutURL.
func TestLogoutURLLeadsThere(t *testing.T) {
	for name, there := range map[string]bool{"at the provider too": true, "here only": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
				o.Providers[0].Logout.Local, o.AfterLogout = !there, "/open/bye"
			})
			s.Engine.GET("/open/*any", sitetest.Teapot)
			for _, tt := range []struct{ returnTo, field, want string }{
				{"/open/x?y=1#z", "", "/open/x?y=1#z"}, {"", "", "/open/bye"}, {"", "/open/field", "/open/field"}, {"/open/x", "/open/field", "/open/field"},
				{"//evil.example/", "", "/open/bye"}, {"https://evil.example/", "", "/open/bye"}, {"/logout", "", "/open/bye"}, {"/open/x", "//evil.example/", "/open/bye"},
			} {
				form := url.Values{}
				if tt.field != "" {
					form.Set("return_to", tt.field)
				}
				s.SignIn()
				before := s.IDP.Count(authtest.EndSession)
				p := s.Must(s.Browser.Submit(s.Open("/"), s.Auth.LogoutURL(tt.returnTo), form))
				if got := p.URL.String(); got != s.URL+tt.want || s.User() != nil || s.IDP.Count(authtest.EndSession) > before != there {
					t.Errorf("a form to LogoutURL(%q) with the field %q led to %s", tt.returnTo, tt.field, got)
				}
				if tt.field == "" {
					s.SignIn()
					p = s.Must(s.Browser.SubmitForm(s.Must(s.Browser.Get(s.Auth.LogoutURL(tt.returnTo))), "Sign out", nil))
					if got := p.URL.String(); got != s.URL+tt.want || s.User() != nil {
						t.Errorf("the page at LogoutURL(%q) led to %s", tt.returnTo, got)
					}
				}
			}
		})
	}
}

// Only this session ends: the user stays signed in elsewhere.
func TestLogoutEndsOneSession(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	elsewhere := s.Mint(&ginauth.User{Subject: "ada"})
	s.As("ada")
	s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	if s.User() != nil || s.Stolen(elsewhere) != "ada" {
		t.Error("signing out ended another session, or not this one")
	}
}

// Scripts receive the address; they cannot follow a redirect themselves.
func TestLogoutByScripts(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.LocalOnly()
	to := s.URL + "/page/bye"
	s.As("ada")
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	p := s.Must(s.Browser.Fetch(sitetest.HomePage(s), "POST", s.URL+"/logout", form, "return_to=%2Fpage%2Fbye"))
	if p.Status != http.StatusOK || p.Text() != `{"redirect_to":"`+to+`"}` || s.User() != nil {
		t.Errorf("fetch: %d %s", p.Status, p.Text())
	}
	sitetest.WantHeaders(t, p)
	s.As("ada")
	form.Set("HX-Request", "true")
	p = s.Must(s.Browser.Fetch(sitetest.HomePage(s), "POST", s.URL+"/logout", form, "return_to=%2Fpage%2Fbye"))
	if p.Status != http.StatusNoContent || p.Header.Get("HX-Redirect") != to || s.User() != nil {
		t.Errorf("HTMX: %d %v", p.Status, p.Header)
	}
}

func TestLogoutPage(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { o.BaseURL = s.URL + "/app"; o.AfterLogin = "/page/home" })
	s.As("ada")
	for _, method := range []string{"GET", "HEAD"} {
		p := s.Ask(method, "/logout?return_to=/page/bye", sitetest.Navigation...)
		sitetest.WantHeaders(t, p)
		if csp := p.Header.Get("Content-Security-Policy"); p.Status != http.StatusOK || !strings.Contains(csp, "form-action 'self'") || p.Header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %d %v", method, p.Status, p.Header)
		}
	}
	p := s.Open("/logout?return_to=/page/bye")
	forms := p.Forms()
	if len(forms) != 1 || forms[0].Action != "/app/logout" || forms[0].Method != "POST" || forms[0].Fields.Get("return_to") != "/page/bye" ||
		!strings.Contains(p.Text(), `href="`+s.URL+`/app/page/home"`) {
		t.Errorf("the page is %s", p.Text())
	}
	if s.User() == nil {
		t.Error("looking at the page signed out")
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
		p := s.Ask(method, "/logout", sitetest.Fetch...)
		s.WantError(p, ginauth.ErrMethodNotAllowed)
		if got := p.Header.Get("Allow"); got != "GET, HEAD, POST" {
			t.Errorf("%s: Allow is %q", method, got)
		}
	}
}

// A panic in the hook is reported; the user stays signed out.
func TestOnLogoutPanics(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { panic("in the application") }
	})
	s.As("ada")
	line := s.CookieHeader()
	p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", url.Values{}))
	s.WantError(p, ginauth.ErrSessionError)
	if s.User() != nil || s.Stolen(line) != "" {
		t.Error("the session is still valid")
	}
}

func TestSignOutThatCannotBeWrittenDown(t *testing.T) {
	t.Parallel()
	f := &sitetest.FaultyRevocations{}
	s := sitetest.NewLogout(t, func(s *sitetest.Site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
		o.Revocations = f
	})
	s.SignIn()
	f.WriteErr = sitetest.ErrBroken
	if err := s.Auth.LogoutEverywhere(t.Context(), s.User().ID()); !errors.Is(err, ginauth.ErrStoreUnavailable) {
		t.Errorf("everywhere: %v", err)
	}
	p := s.Frame(s.Browser, s.URL, "?iss="+url.QueryEscape(s.IDP.Issuer)+"&sid="+url.QueryEscape(s.SID()))
	s.WantError(p, ginauth.ErrStoreUnavailable)
}

// The page after a sign-out is kept for ten minutes, also in a browser that keeps cookies
// longer.
func TestReturnFromTheProviderAfterTenMinutes(t *testing.T) {
	t.Parallel()
	for after, path := range map[time.Duration]string{9 * time.Minute: "/page/bye", 11 * time.Minute: "/"} {
		s := sitetest.New(t, nil)
		s.SignIn()
		s.Browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.IDP.Issuer) }
		p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", url.Values{"return_to": {"/page/bye"}}))
		to, err := url.Parse(p.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		var pairs []string
		for _, line := range p.Header.Values("Set-Cookie") {
			pair, _, _ := strings.Cut(line, ";")
			pairs = append(pairs, pair)
		}
		s.Clock.Advance(after)
		s.Browser = s.NewBrowser()
		back := s.Ask("GET", "/logout/return?state="+url.QueryEscape(to.Query().Get("state")), "Cookie", strings.Join(pairs, "; "))
		if got := back.Header.Get("Location"); got != s.URL+path+"#" {
			t.Errorf("after %v the browser is redirected to %q", after, got)
		}
	}
}

// A cookie with the name of the sign-out cookie that cannot be opened is not removed.
func TestForeignCookieAtTheReturnFromTheProvider(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.Browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.IDP.Issuer) }
	p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	state, name := "", ""
	if to, err := url.Parse(p.Header.Get("Location")); err == nil {
		state = to.Query().Get("state")
	}
	for _, line := range p.Header.Values("Set-Cookie") {
		if cookie, value, _ := strings.Cut(line, "="); strings.HasSuffix(cookie, "-l") && !strings.HasPrefix(value, ";") {
			name = cookie
		}
	}
	if name == "" || state == "" {
		t.Fatalf("the sign-out has no state or cookie: %v", p.Header)
	}
	answer := withCookies(s, "GET", s.URL+"/logout/return?state="+url.QueryEscape(state), name+"=somebody-elses")
	if got := answer.Header.Values("Set-Cookie"); len(got) > 0 || answer.StatusCode != http.StatusSeeOther {
		t.Errorf("the response is %d and %q", answer.StatusCode, got)
	}
}

// If Revocations fails during a sign-out, the user gets an error.
func TestSignOutThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	f := &sitetest.FaultyRevocations{}
	s, _ := sitetest.NewSession(t, func(s *sitetest.Site, o *ginauth.Options) {
		f.Revocations = marks.NewRevocations[ginauth.RevocationKey](s.Clock.Now, 1<<20)
		o.Revocations = f
	})
	s.As("ada")
	line := s.CookieHeader()
	f.WriteErr = errors.New("down")
	p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	s.WantError(p, ginauth.ErrStoreUnavailable)
	if p.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	if !strings.Contains(p.Text(), "<h1>"+sitetest.Sentence(t, ginauth.Code("title.request"))) { // not the title of a failed sign-in
		t.Errorf("the page is %s", p.Text())
	}
	if s.Stolen(line) != "ada" {
		t.Fatal("the copy of the session is not valid, so this tests nothing")
	}
	if s.User() != nil {
		t.Error("this browser, at least, should be signed out")
	}
}
