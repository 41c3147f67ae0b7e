package faults

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsLogout(t *testing.T) {
	runFaults(t, []fault{
		{"H1_sign_out_by_another_site", h1SignOutByAnotherSite},
		{"H2_sign_out_is_local_first", h2SignOutIsLocalFirst},
		{"H3_parameters_of_the_redirect_to_the_provider", h3ParametersOfTheRedirectToTheProvider},
		{"H4_return_from_the_provider_with_a_wrong_state", h4ReturnFromTheProviderWithAWrongState},
		{"H5_sign_out_of_nobody", h5SignOutOfNobody},
		{"H6_all_cookies_go", h6AllCookiesGo},
		{"H7_back_button_after_sign_out", h7BackButtonAfterSignOut},
		{"H25_request_under_way_during_sign_out", h25RequestUnderWayDuringSignOut},
		{"H26_post_logout_redirect_uri_of_the_request", h26PostLogoutRedirectUriOfTheRequest},
		{"H26_redirect_from_the_request", h26RedirectFromTheRequest},
	})
}

func h3ParametersOfTheRedirectToTheProvider(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	page := s.Get("/logout")
	s.Browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.IDP.Issuer) }
	p := s.Must(s.Browser.SubmitForm(page, "Sign out", url.Values{"state": {"EVIL"}, "post_logout_redirect_uri": {"https://evil.example"}, "client_id": {"evil"}}))
	s.Browser.StopAt = nil
	if s.User() != nil {
		t.Error("still signed in while on the way to the provider")
	}
	to, err := url.Parse(p.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := to.Query()
	if p.Status != http.StatusSeeOther || !strings.HasPrefix(to.String(), s.IDP.URL(authtest.EndSession)) || len(q) != 4 || strings.Count(q.Get("id_token_hint"), ".") != 2 ||
		q.Get("client_id") != s.IDP.ClientID || q.Get("post_logout_redirect_uri") != s.URL+"/logout/return" || len(q.Get("state")) < 22 || q.Get("state") == "EVIL" {
		t.Errorf("%d to %s", p.Status, to)
	}
	back := s.Must(s.Browser.Follow(p))
	if got := back.URL.String(); got != s.URL+"/#" && got != s.URL+"/" {
		t.Errorf("returned to %s: %s", got, back.Text())
	}
	if s.HasCookie("-l") {
		t.Error("the logout's cookie is still there")
	}
}

func h4ReturnFromTheProviderWithAWrongState(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"wrong": "?state=WRONG", "missing": "", "twice": "?state=a&state=b", "with a target": "?state=x&return_to=https://evil.example&post_logout_redirect_uri=https://evil.example",
	} {
		s := sitetest.NewLogout(t, nil)
		s.SignIn()
		s.Browser.StopAt = func(next *url.URL) bool { return next.Path == "/logout/return" }
		s.Must(s.Browser.SubmitForm(s.Get("/logout?return_to=/page/after"), "Sign out", nil))
		s.Browser.StopAt = nil
		p := s.Open("/logout/return" + query)
		if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != s.URL+"/#" {
			t.Errorf("%s: %d to %q, want the default page", name, p.Status, got)
		}
		if s.User() != nil {
			t.Errorf("%s: signed in again", name)
		}
	}
	s := sitetest.NewLogout(t, nil)
	s.SignIn()
	if p := s.Must(s.Browser.SubmitForm(s.Get("/logout?return_to=/?after"), "Sign out", nil)); p.URL.RawQuery != "after" {
		t.Errorf("a good state led to %s", p.URL)
	}
}

func h26PostLogoutRedirectUriOfTheRequest(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, func(s *sitetest.Site, o *ginauth.Options) { o.Providers[0].Logout.Local = true })
	s.SignIn()
	p := s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", url.Values{
		"return_to": {"https://evil.example/"}, "post_logout_redirect_uri": {"https://evil.example/"}}))
	if p.URL.Host == "evil.example" || p.Status != http.StatusOK || s.User() != nil {
		t.Errorf("ended at %s", p.URL)
	}
	if s.IDP.Count(authtest.EndSession) != 0 {
		t.Error("a local sign-out redirected to the provider")
	}
}

// A page of another site must not sign users out, with any request that it makes the browser
// send.
func h1SignOutByAnotherSite(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]bool{"today's browser": false, "a browser without Fetch Metadata": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.NewTLS(t, nil)
			s.LocalOnly()
			s.Browser.NoFetchMetadata = old
			s.SignIn()
			b, logout := s.Browser, s.URL+"/logout"
			image := http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}
			for _, origin := range []string{"https://evil.example/", "https://evil.app.localhost/", "https://app.localhost:1/"} {
				from := authtest.At(origin)
				for what, try := range map[string]func() (*authtest.Page, error){
					"an image": func() (*authtest.Page, error) { return b.Fetch(from, "GET", logout, image, "") },
					"a link":   func() (*authtest.Page, error) { return b.Click(from, logout) },
					"a frame":  func() (*authtest.Page, error) { return b.Frame(from, logout) },
					"HEAD":     func() (*authtest.Page, error) { return b.Fetch(from, "HEAD", logout, nil, "") },
					"a form":   func() (*authtest.Page, error) { return b.Submit(from, logout, url.Values{"x": {"1"}}) },
					"fetch":    func() (*authtest.Page, error) { return b.Fetch(from, "POST", logout, nil, "") },
					"a form of no origin": func() (*authtest.Page, error) {
						return b.Fetch(from, "POST", logout, http.Header{"Origin": {"null"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, "")
					},
				} {
					p := s.Must(try())
					if len(p.Header.Values("Set-Cookie")) > 0 || p.Header.Get("Location") != "" || s.User() == nil {
						t.Fatalf("%s of %s: %d %v", what, origin, p.Status, p.Header)
					}
					sitetest.WantHeaders(t, p)
					if strings.HasPrefix(what, "a form") || what == "fetch" {
						s.WantError(p, ginauth.ErrCrossOrigin)
					}
				}
			}
			p := s.Must(b.Click(authtest.At("https://evil.example/"), logout))
			if p.Status != http.StatusOK || !strings.Contains(p.Text(), "Sign out?") {
				t.Fatalf("a link shows %d %s", p.Status, p.Text())
			}
			if p = s.Must(b.SubmitForm(p, "Sign out", nil)); p.Status != http.StatusOK || s.User() != nil {
				t.Errorf("the button led to %s with %d", p.URL, p.Status)
			}
		})
	}
}

// The session ends before any request to the provider, and also if the provider does not
// respond.
func h2SignOutIsLocalFirst(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(s *sitetest.Site){
		"a provider that is there": func(s *sitetest.Site) { s.LocalOnly() },
		"a provider that is down":  func(s *sitetest.Site) { s.IDP.Fail(authtest.Discovery, authtest.Down) },
		"a provider that is gone":  func(s *sitetest.Site) { s.IDP.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := sitetest.NewSession(t, nil)
			s.As("ada") // by the application, so that the provider's metadata is not cached yet
			fault(s)
			line := s.CookieHeader()
			p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
			if first := p.Hops[0]; first.Status != http.StatusSeeOther || first.Header.Get("Location") != s.URL+"/#" || p.Text() != "home" {
				t.Errorf("redirected from %d %v to %s: %q", first.Status, first.Header, p.URL, p.Text())
			}
			if s.User() != nil || s.Stolen(line) != "" {
				t.Error("the session is still valid")
			}
		})
	}
}

func h5SignOutOfNobody(t *testing.T) {
	t.Parallel()
	told := 0
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { told++ }
		o.AfterLogout = "/page/bye"
	})
	s.LocalOnly()
	post := func() {
		t.Helper()
		b := s.Browser
		b.StopAt = func(*url.URL) bool { return true }
		defer func() { b.StopAt = nil }()
		p := s.Must(b.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
		if p.Status != http.StatusSeeOther || p.Header.Get("Location") != s.URL+"/page/bye#" {
			t.Errorf("the response is %d to %q: %s", p.Status, p.Header.Get("Location"), p.Text())
		}
		sitetest.WantHeaders(t, p)
	}
	post()
	if told != 0 {
		t.Error("OnLogout was called without a user")
	}
	s.As("ada")
	post()
	post()
	if told != 1 {
		t.Errorf("OnLogout was called %d times, want 1", told)
	}
	if p := s.Open("/logout"); p.Status != http.StatusOK {
		t.Errorf("GET: %d", p.Status)
	}
	if n := s.IDP.Count(authtest.EndSession); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
}

// Both cookies of a session and those of attempts are deleted, with the attributes with which
// they were set: otherwise a browser keeps them.
func h6AllCookiesGo(t *testing.T) {
	t.Parallel()
	s := sitetest.NewTLS(t, nil)
	s.LocalOnly()
	s.Begin("/login/demo")
	s.Begin("/login/demo")
	s.AsUser(&ginauth.User{Subject: "ada", Groups: sitetest.Groups(4000)})
	if err := s.Browser.SetCookie(s.URL, &http.Cookie{Name: "theme", Value: "dark", Path: "/"}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range s.Browser.Cookies(s.URL) {
		if c.Name != "theme" {
			want = append(want, c.Name+"=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
		}
	}
	p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	got := p.Hops[0].Header.Values("Set-Cookie")
	slices.Sort(got)
	slices.Sort(want)
	if len(want) != 4 || !slices.Equal(got, want) {
		t.Errorf("sign-out sets\n%q, want\n%q", got, want)
	}
	if left := s.Browser.Cookies(s.URL); len(left) != 1 || left[0].Name != "theme" {
		t.Errorf("remaining: %v", left)
	}
	// The cookies of an ended session are deleted as well, and so are cookies of its name that
	// cannot be opened.
	line := s.Mint(&ginauth.User{Subject: "ada"})
	name, _, _ := strings.Cut(line, "=")
	s.Clock.Advance(25 * time.Hour)
	for cookie, expired := range map[string]bool{line: true, name + "=1AAAA": true, name + "=": true, "theme=dark": false} {
		p := s.AskAs(s.NewBrowser(), "POST", "/logout", "Cookie", cookie)
		if got := p.Header.Get("Set-Cookie"); p.Status >= 400 || strings.Contains(got, name+"=; Path=/; Max-Age=0") != expired {
			t.Errorf("%.40s: %d %q", cookie, p.Status, got)
		}
	}
}

// Protected pages are not stored, so that the back button does not show them.
func h7BackButtonAfterSignOut(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.LocalOnly()
	s.SignIn()
	before := s.Open("/page/secret")
	if before.Status != http.StatusOK || !strings.Contains(before.Header.Get("Cache-Control"), "no-store") || before.Header.Get("Vary") != "Cookie" {
		t.Errorf("the page may be stored: %d %v", before.Status, before.Header)
	}
	s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	ran := s.Ran.Load()
	after := s.Open("/page/secret")
	if after.Status != http.StatusSeeOther || after.Header.Get("Cache-Control") != "no-store" || s.Ran.Load() != ran {
		t.Errorf("after the sign-out: %d %v", after.Status, after.Header)
	}
}

// The guard has already renewed the session when its user signs out: the pending response must
// not restore it.
func h25RequestUnderWayDuringSignOut(t *testing.T) {
	t.Parallel()
	s, _ := sitetest.NewSession(t, nil)
	s.LocalOnly()
	reached, goOn := make(chan bool), make(chan bool)
	s.Guard("/slow", func(c *gin.Context) {
		close(reached)
		<-goOn
		sitetest.WriteSubject(c)
	})
	s.As("ada")
	s.Clock.Advance(3 * time.Hour)
	slow := s.Browser.Clone()
	done := make(chan *authtest.Page)
	go func() {
		p, _ := slow.Fetch(sitetest.HomePage(s), "GET", s.URL+"/slow", nil, "")
		done <- p
	}()
	<-reached
	s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", nil))
	close(goOn)
	p := <-done
	saved, _, _ := strings.Cut(p.Header.Get("Set-Cookie"), ";")
	if p.Text() != "ada" || saved == "" {
		t.Fatalf("the slow request got %d %q with cookie %q", p.Status, p.Text(), saved)
	}
	if got := s.Stolen(saved); got != "" || s.UserOf(slow) != nil {
		t.Errorf("the session is back: %q", got)
	}
}

// The page after the sign-out is a path of the application, or the default.
func h26RedirectFromTheRequest(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.AfterLogout = "/page/bye" })
	s.LocalOnly()
	for _, tt := range []struct{ field, value, want string }{
		{"post_logout_redirect_uri", "https://evil.example/", "/page/bye#"},
		{"post_logout_redirect_uri", "/page/x", "/page/bye#"},
		{"redirect_uri", "https://evil.example/", "/page/bye#"},
		{"returnTo", "https://evil.example/", "/page/bye#"},
		{"return_to", "https://evil.example/", "/page/bye#"},
		{"return_to", "//evil.example/", "/page/bye#"},
		{"return_to", `/\evil.example/`, "/page/bye#"},
		{"return_to", "/%09/evil.example/", "/page/bye#"},
		{"return_to", "javascript:alert(1)", "/page/bye#"},
		{"return_to", "/logout", "/page/bye#"},
		{"return_to", "/login/demo", "/page/bye#"},
		{"return_to", "", "/page/bye#"},
		{"return_to", "/page/one?x=1#top", "/page/one?x=1#top"},
	} {
		s.As("ada")
		s.Browser.StopAt = func(*url.URL) bool { return true }
		query := tt.field + "=" + url.QueryEscape(tt.value)
		p := s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout", url.Values{tt.field: {tt.value}}))
		if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != s.URL+tt.want {
			t.Errorf("%s=%q: %d to %q, want %q", tt.field, tt.value, p.Status, got, tt.want)
		}
		p = s.Must(s.Browser.Submit(sitetest.HomePage(s), s.URL+"/logout?"+query, nil)) // LogoutURL writes it there
		if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != s.URL+tt.want {
			t.Errorf("%s in the address: %d to %q", query, p.Status, got)
		}
		s.Browser.StopAt = nil
		p = s.Open("/logout?" + query)
		if strings.Contains(p.Text(), "evil.example") || p.Header.Get("Location") != "" {
			t.Errorf("%s=%q: the page is %s", tt.field, tt.value, p.Text())
		}
	}
}
