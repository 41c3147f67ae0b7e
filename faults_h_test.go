package ginauth_test

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
)

func faultsH() []fault {
	return []fault{
		{"H1_sign_out_by_another_site", faultForcedLogout},
		{"H2_sign_out_is_local_first", faultLocalLogout},
		{"H5_sign_out_of_nobody", faultLogoutOfNobody},
		{"H6_all_cookies_go", faultLogoutCookies},
		{"H7_back_button_after_sign_out", faultBackButton},
		{"H25_request_under_way_during_sign_out", faultLateRenewal},
		{"H26_redirect_from_the_request", faultLogoutRedirect},
	}
}

// localOnly keeps the sign-out from going on to the provider.
func (s *site) localOnly() {
	s.idp.EditMetadata(func(m map[string]any) { delete(m, "end_session_endpoint") })
}

// A page of another site must not sign anybody out, whatever it makes the
// browser do.
func faultForcedLogout(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]bool{"today's browser": false, "a browser without Fetch Metadata": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTLSSite(t, nil)
			s.localOnly()
			s.browser.NoFetchMetadata = old
			s.signIn()
			b, logout := s.browser, s.URL+"/logout"
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
					p := s.must(try())
					if len(p.Header.Values("Set-Cookie")) > 0 || p.Header.Get("Location") != "" || s.user() == nil {
						t.Fatalf("%s of %s: %d %v", what, origin, p.Status, p.Header)
					}
					wantHeaders(t, p)
					if strings.HasPrefix(what, "a form") || what == "fetch" {
						s.wantError(p, ginauth.ErrCrossOrigin)
					}
				}
			}
			p := s.must(b.Click(authtest.At("https://evil.example/"), logout))
			if p.Status != http.StatusOK || !strings.Contains(p.Text(), "Sign out?") {
				t.Fatalf("a link shows %d %s", p.Status, p.Text())
			}
			if p = s.must(b.SubmitForm(p, "Sign out", nil)); p.Status != http.StatusOK || s.user() != nil {
				t.Errorf("the button led to %s with %d", p.URL, p.Status)
			}
		})
	}
}

// The session is over before anybody else is asked, and whoever does not
// answer then.
func faultLocalLogout(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(s *site){
		"a provider that is there": func(s *site) { s.localOnly() },
		"a provider that is down":  func(s *site) { s.idp.Fail(authtest.Discovery, authtest.Down) },
		"a provider that is gone":  func(s *site) { s.idp.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := sessionSite(t, nil)
			s.as("ada") // by the application, so that nothing is known of the provider yet
			fault(s)
			line := s.cookieLine()
			p := s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil))
			if first := p.Hops[0]; first.Status != http.StatusSeeOther || first.Header.Get("Location") != s.URL+"/#" || p.Text() != "home" {
				t.Errorf("went from %d %v to %s: %q", first.Status, first.Header, p.URL, p.Text())
			}
			if s.user() != nil || s.stolen(line) != "" {
				t.Error("the session lives on")
			}
		})
	}
}

func faultLogoutOfNobody(t *testing.T) {
	t.Parallel()
	told := 0
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.Hooks.OnLogout = func(*gin.Context, *ginauth.User) { told++ }
		o.AfterLogout = "/page/bye"
	})
	s.localOnly()
	post := func() {
		t.Helper()
		b := s.browser
		b.StopAt = func(*url.URL) bool { return true }
		defer func() { b.StopAt = nil }()
		p := s.must(b.Submit(pageOf(s), s.URL+"/logout", nil))
		if p.Status != http.StatusSeeOther || p.Header.Get("Location") != s.URL+"/page/bye#" {
			t.Errorf("answered %d to %q: %s", p.Status, p.Header.Get("Location"), p.Text())
		}
		wantHeaders(t, p)
	}
	post()
	if told != 0 {
		t.Error("OnLogout was told of nobody")
	}
	s.as("ada")
	post()
	post()
	if told != 1 {
		t.Errorf("OnLogout was called %d times, want 1", told)
	}
	if p := s.open("/logout"); p.Status != http.StatusOK {
		t.Errorf("GET: %d", p.Status)
	}
	if n := s.idp.Count(authtest.EndSession); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// Both cookies of a session and those of attempts go, with the attributes that
// they were set with: a browser keeps what is expired in another way.
func faultLogoutCookies(t *testing.T) {
	t.Parallel()
	s := newTLSSite(t, nil)
	s.localOnly()
	s.begin("/login/demo")
	s.begin("/login/demo")
	s.asUser(&ginauth.User{Subject: "ada", Groups: groupsOf(4000)})
	if err := s.browser.SetCookie(s.URL, &http.Cookie{Name: "theme", Value: "dark", Path: "/"}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range s.browser.Cookies(s.URL) {
		if c.Name != "theme" {
			want = append(want, c.Name+"=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax")
		}
	}
	p := s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil))
	got := p.Hops[0].Header.Values("Set-Cookie")
	slices.Sort(got)
	slices.Sort(want)
	if len(want) != 4 || !slices.Equal(got, want) {
		t.Errorf("sign-out sets\n%q, want\n%q", got, want)
	}
	if left := s.browser.Cookies(s.URL); len(left) != 1 || left[0].Name != "theme" {
		t.Errorf("left are %v", left)
	}
	// A session that is over leaves nothing behind either, nor does what has its
	// name and does not open.
	line := s.mint(&ginauth.User{Subject: "ada"})
	name, _, _ := strings.Cut(line, "=")
	s.clock.Advance(25 * time.Hour)
	for cookie, expired := range map[string]bool{line: true, name + "=1AAAA": true, name + "=": true, "theme=dark": false} {
		p := s.askAs(s.newBrowser(), "POST", "/logout", "Cookie", cookie)
		if got := p.Header.Get("Set-Cookie"); p.Status >= 400 || strings.Contains(got, name+"=; Path=/; Max-Age=0") != expired {
			t.Errorf("%.40s: %d %q", cookie, p.Status, got)
		}
	}
}

// What was protected is not stored, so that going back shows it to nobody.
func faultBackButton(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.localOnly()
	s.signIn()
	before := s.open("/page/secret")
	if before.Status != http.StatusOK || !strings.Contains(before.Header.Get("Cache-Control"), "no-store") || before.Header.Get("Vary") != "Cookie" {
		t.Errorf("the page may be stored: %d %v", before.Status, before.Header)
	}
	s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil))
	ran := s.ran.Load()
	after := s.open("/page/secret")
	if after.Status != http.StatusSeeOther || after.Header.Get("Cache-Control") != "no-store" || s.ran.Load() != ran {
		t.Errorf("after the sign-out: %d %v", after.Status, after.Header)
	}
}

// The guard has renewed the session already when its owner signs out: the
// answer that is still on its way must not bring it back.
func faultLateRenewal(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	s.localOnly()
	reached, goOn := make(chan bool), make(chan bool)
	s.guarded("/slow", func(c *gin.Context) {
		close(reached)
		<-goOn
		who(c)
	})
	s.as("ada")
	s.clock.Advance(3 * time.Hour)
	slow := s.browser.Clone()
	done := make(chan *authtest.Page)
	go func() {
		p, _ := slow.Fetch(pageOf(s), "GET", s.URL+"/slow", nil, "")
		done <- p
	}()
	<-reached
	s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", nil))
	close(goOn)
	p := <-done
	saved, _, _ := strings.Cut(p.Header.Get("Set-Cookie"), ";")
	if p.Text() != "ada" || saved == "" {
		t.Fatalf("the slow request was answered %d %q with cookie %q", p.Status, p.Text(), saved)
	}
	if got := s.stolen(saved); got != "" || s.userOf(slow) != nil {
		t.Errorf("the session is back: %q", got)
	}
}

// Where to go afterwards is a path of ours, or nowhere.
func faultLogoutRedirect(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.AfterLogout = "/page/bye" })
	s.localOnly()
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
		s.as("ada")
		s.browser.StopAt = func(*url.URL) bool { return true }
		query := tt.field + "=" + url.QueryEscape(tt.value)
		p := s.must(s.browser.Submit(pageOf(s), s.URL+"/logout", url.Values{tt.field: {tt.value}}))
		if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != s.URL+tt.want {
			t.Errorf("%s=%q: %d to %q, want %q", tt.field, tt.value, p.Status, got, tt.want)
		}
		p = s.must(s.browser.Submit(pageOf(s), s.URL+"/logout?"+query, nil)) // LogoutURL writes it there
		if got := p.Header.Get("Location"); p.Status != http.StatusSeeOther || got != s.URL+tt.want {
			t.Errorf("%s in the address: %d to %q", query, p.Status, got)
		}
		s.browser.StopAt = nil
		p = s.open("/logout?" + query)
		if strings.Contains(p.Text(), "evil.example") || p.Header.Get("Location") != "" {
			t.Errorf("%s=%q: the page says %s", tt.field, tt.value, p.Text())
		}
	}
}
