package ginauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// hintCookies returns the cookies with an ID token that the browser sends to a path.
func hintCookies(s *sitetest.Site, path string) (list []*http.Cookie) {
	for _, c := range s.Browser.Cookies(s.URL + path) {
		if strings.HasSuffix(c.Name, "-h") {
			list = append(list, c)
		}
	}
	return list
}

// hintSent signs out with the button, and returns the id_token_hint that the provider received,
// or the reason why there is none.
func hintSent(t testing.TB, s *sitetest.Site) string {
	t.Helper()
	before := s.IDP.Count(authtest.EndSession)
	p := s.Must(s.Browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", nil))
	if s.User() != nil || p.URL.Path != "/" {
		t.Errorf("signing out ended at %s with %d", p.URL, p.Status)
	}
	if len(hintCookies(s, "/logout")) > 0 {
		t.Error("the ID token remains in the browser")
	}
	if s.IDP.Count(authtest.EndSession) == before {
		return "not asked"
	}
	return s.IDP.LastRequest(authtest.EndSession).Form.Get("id_token_hint")
}

// The ID token is kept for the sign-out at the provider, in a cookie that is sent only to the
// logout routes: the session does not grow, in cookies or in a store.
func TestIDTokenHint(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, func(*sitetest.Site, *ginauth.Options)) *sitetest.Site{"http": sitetest.New, "https": sitetest.NewTLS} {
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in a store: %v", name, stored), func(t *testing.T) {
				with := func(no bool) *sitetest.Site {
					return start(t, func(_ *sitetest.Site, o *ginauth.Options) {
						o.Providers[0].Logout.NoIDTokenHint = no
						if stored {
							o.Sessions = memstore.NewStore([]byte(strings.Repeat("k", 32)))
						}
					})
				}
				s, without := with(false), with(true)
				s.SignIn()
				without.SignIn()
				if got, want := len(s.CookieHeader()), len(without.CookieHeader()); got != want {
					t.Errorf("with the ID token kept, the session's cookie has %d bytes, and without %d", got, want)
				}
				for _, path := range []string{"/", "/me", "/login/demo", "/authorize/demo", "/logoutx"} {
					if got := hintCookies(s, path); len(got) > 0 {
						t.Errorf("%s gets %v", path, got)
					}
				}
				kept := hintCookies(s, "/logout")
				if len(kept) != 1 || len(kept[0].Value) > 3800 || kept[0].Path != "/logout" || !kept[0].HttpOnly || kept[0].Secure != (name == "https") || strings.HasPrefix(kept[0].Name, "__Secure-ginauth-") != (name == "https") {
					t.Fatalf("/logout gets %v", kept)
				}
				if refused := s.Browser.RefusedCookies(); len(refused) > 0 {
					t.Errorf("the browser refused %q", refused)
				}
				if hint := hintSent(t, s); strings.Count(hint, ".") != 2 {
					t.Errorf("the provider got the hint %q", hint)
				}
				if hint := hintSent(t, without); hint != "" {
					t.Errorf("without, the provider got the hint %q", hint)
				}
			})
		}
	}
}

// No ID token is kept where it could not be used.
func TestIDTokensThatAreNotKept(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(s *sitetest.Site, p *ginauth.Provider){
		"not wanted":            func(_ *sitetest.Site, p *ginauth.Provider) { p.Logout.NoIDTokenHint = true },
		"a sign-out here alone": func(_ *sitetest.Site, p *ginauth.Provider) { p.Logout.Local = true },
		"another kind of logout": func(s *sitetest.Site, p *ginauth.Provider) {
			p.Logout.URL = s.IDP.URL(authtest.EndSession) + "?{state}"
		},
		"no endpoint": func(s *sitetest.Site, _ *ginauth.Provider) {
			s.IDP.EditMetadata(func(m map[string]any) { delete(m, "end_session_endpoint") })
		},
		"no ID token": func(s *sitetest.Site, p *ginauth.Provider) {
			o := &ginauth.Options{Providers: []ginauth.Provider{*p}}
			sitetest.Plain(s, o)
			*p = o.Providers[0]
			p.ClaimPaths = map[string]string{"sub": "id"}
			s.IDP.Handle(authtest.Userinfo, sitetest.AnswerWith(200, "application/json", `{"id":"1"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { change(s, &o.Providers[0]) })
			p := s.SignIn()
			for _, hop := range p.Hops {
				for _, line := range hop.Header.Values("Set-Cookie") {
					if name, _, _ := strings.Cut(line, "="); strings.HasSuffix(name, "-h") {
						t.Errorf("signing in sets %q", line)
					}
				}
			}
		})
	}
}

// The ID token of one session is not sent along with the sign-out of another.
func TestIDTokenHintOfAnotherSession(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	first := hintCookies(s, "/logout")[0]
	s.IDP.SignInAs("grace")
	s.Browser = s.NewBrowser()
	s.SignIn()
	second := hintCookies(s, "/logout")[0]
	altered := []byte(second.Value)
	if last := len(altered) - 1; altered[last] == 'A' {
		altered[last] = 'Q'
	} else {
		altered[last] = 'A'
	}
	for name, c := range map[string]*http.Cookie{"of another session": first, "altered": {Name: first.Name, Value: string(altered), Path: "/logout"}} {
		if err := s.Browser.SetCookie(s.URL+"/logout", c); err != nil {
			t.Fatal(err)
		}
		if hint := hintSent(t, s); hint != "" {
			t.Errorf("%s: the provider got the hint %q", name, hint)
		}
		s.SignIn()
	}
	if hint := hintSent(t, s); hint == "" {
		t.Error("the provider got no hint with its own")
	}
}

// An ID token that does not fit is omitted, with one warning, and does not fail the sign-in.
func TestIDTokensThatDoNotFit(t *testing.T) {
	t.Parallel()
	warnings := func(s *sitetest.Site) int {
		return len(s.Logs.Lines("WARN", "logout.hint_too_large"))
	}
	t.Run("a large ID token", func(t *testing.T) {
		s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) {
			s.IDP.EditIDToken(func(_, claims map[string]any) { claims["permissions"] = strings.Repeat("p", 5000) })
		})
		for range 2 {
			s.SignIn()
			if got := hintCookies(s, "/logout"); len(got) > 0 {
				t.Errorf("it is kept in %d bytes", len(got[0].Value))
			}
			if hint := hintSent(t, s); hint != "" {
				t.Errorf("the provider got a hint of %d bytes", len(hint))
			}
		}
		if n := warnings(s); n != 1 {
			t.Errorf("the log warns %d times:\n%s", n, s.Logs)
		}
	})
	t.Run("what a proxy takes", func(t *testing.T) {
		kept := 0
		for size := range 10 {
			s := sitetest.NewTLS(t, func(s *sitetest.Site, _ *ginauth.Options) {
				s.IDP.EditIDToken(func(_, claims map[string]any) { claims["permissions"] = strings.Repeat("p", 200*size) })
			})
			p := s.Finish(s.Begin("/login/demo"))
			var header strings.Builder
			if err := p.Hops[0].Header.Write(&header); err != nil {
				t.Fatal(err)
			}
			if n := len("HTTP/1.1 303 See Other\r\n\r\n") + header.Len(); n > 4096 {
				t.Errorf("with %d bytes more in the ID token, the response has %d bytes of headers", 200*size, n)
			}
			if len(hintCookies(s, "/logout")) == 1 {
				kept++
			}
		}
		if kept < 5 || kept == 10 {
			t.Errorf("of ten ID tokens %d were kept", kept)
		}
	})
	t.Run("a session of two cookies", func(t *testing.T) {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Hooks.OnLogin = func(_ *gin.Context, l *ginauth.Login) error {
				l.User.Groups = sitetest.Groups(5000)
				return nil
			}
			s.IDP.EditIDToken(func(_, claims map[string]any) { claims["permissions"] = strings.Repeat("p", 1000) })
		})
		s.SignIn()
		if len(hintCookies(s, "/logout")) > 0 || len(s.SessionCookies()) != 2 {
			t.Errorf("the request to sign out has %d cookies", len(s.Browser.Cookies(s.URL+"/logout")))
		}
		if hint := hintSent(t, s); hint != "" || warnings(s) != 1 {
			t.Errorf("the provider got a hint of %d bytes:\n%s", len(hint), s.Logs)
		}
	})
	t.Run("an address of more than 8 KB", func(t *testing.T) {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			o.Providers[0].Logout.EndSessionURL = s.IDP.URL(authtest.EndSession) + "?x=" + strings.Repeat("yz", 3500)
		})
		s.SignIn()
		if len(hintCookies(s, "/logout")) == 0 {
			t.Fatal("nothing is kept: this tests nothing")
		}
		if hint := hintSent(t, s); hint != "" || warnings(s) != 1 {
			t.Errorf("the provider got a hint of %d bytes:\n%s", len(hint), s.Logs)
		}
	})
}

// Whenever a session ends in its own browser, the ID token is removed, too.
func TestIDTokensGoWithTheirSession(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		s.IDP = sitetest.StartProvider(t, authtest.Config{Addr: "localhost:0", Now: s.Clock.Now})
		o.Providers = []ginauth.Provider{sitetest.Client("demo", s.IDP), sitetest.Client("plain", sitetest.StartProvider(t, authtest.Config{Now: s.Clock.Now}))}
		o.Providers[1].Logout.Local = true
	})
	s.Engine.POST("/leave", func(c *gin.Context) {
		if err := s.Auth.Logout(c); err != nil {
			t.Error(err)
		}
	})
	var claims map[string]any
	s.IDP.EditIDToken(func(_, all map[string]any) { claims = all })
	for name, end := range map[string]func(){
		"Auth.Logout": func() { s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/leave", nil, "")) },
		"front-channel logout": func() {
			s.Frame(s.Browser, s.IDP.Issuer, "?"+url.Values{"iss": {s.IDP.Issuer}, "sid": {fmt.Sprint(claims["sid"])}}.Encode())
		},
	} {
		s.SignIn()
		if len(hintCookies(s, "/logout")) != 1 {
			t.Fatal("nothing is kept: this tests nothing")
		}
		end()
		if s.User() != nil || len(hintCookies(s, "/logout")) > 0 {
			t.Errorf("%s: %v, %v", name, s.User(), hintCookies(s, "/logout"))
		}
	}
	s.SignIn()
	s.Get("/login/plain") // replaces that session, and keeps no ID token
	if s.User() == nil || s.User().Provider != "plain" || len(hintCookies(s, "/logout")) > 0 {
		t.Errorf("another sign-in: %v, %v", s.User(), hintCookies(s, "/logout"))
	}
}

// A script that signs out gets an address of the application, without the ID token, which
// redirects a browser to the provider, once.
func TestScriptsGetNoIDToken(t *testing.T) {
	t.Parallel()
	script := func(t *testing.T, htmx bool) (s *sitetest.Site, address string) {
		s = sitetest.New(t, nil)
		s.SignIn()
		form := strings.NewReader(url.Values{"return_to": {"/?bye"}}.Encode())
		r, err := http.NewRequest("POST", s.URL+"/logout", form)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(sitetest.Fetch); i += 2 {
			r.Header.Set(sitetest.Fetch[i], sitetest.Fetch[i+1])
		}
		if htmx {
			r.Header.Set("HX-Request", "true")
		}
		p := s.Must(s.Browser.Do(r))
		var told struct {
			RedirectTo string `json:"redirect_to"`
		}
		_ = json.Unmarshal(p.Body, &told)
		if address = told.RedirectTo; htmx {
			address = p.Header.Get("HX-Redirect")
		}
		if s.User() != nil || !strings.HasPrefix(address, s.URL+"/logout/redirect?state=") || len(address) > 8000 || s.IDP.Count(authtest.EndSession) != 0 {
			t.Fatalf("%d %s leads to %s", p.Status, p.Body, address)
		}
		return s, address
	}
	for _, htmx := range []bool{false, true} {
		t.Run(fmt.Sprint("HTMX: ", htmx), func(t *testing.T) {
			s, address := script(t, htmx)
			if p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "GET", address, nil, "")); p.Status != http.StatusForbidden {
				t.Errorf("the response to a fetch of the address is %d", p.Status)
			}
			if p := s.Must(s.Browser.Frame(authtest.At(s.URL+"/"), address)); p.Status != http.StatusForbidden {
				t.Errorf("the response to a frame of the address is %d", p.Status)
			}
			p := s.Must(s.Browser.Click(authtest.At(s.URL+"/"), address))
			if hint := s.IDP.LastRequest(authtest.EndSession).Form.Get("id_token_hint"); strings.Count(hint, ".") != 2 || p.URL.Path != "/" || p.URL.RawQuery != "bye" {
				t.Errorf("ended at %s, and the provider got the hint %q", p.URL, hint)
			}
			if len(hintCookies(s, "/logout")) > 0 || s.HasCookie("-l") {
				t.Error("cookies remain")
			}
			p = s.Must(s.Browser.Click(authtest.At(s.URL+"/"), address))
			if s.IDP.Count(authtest.EndSession) != 1 || p.URL.Path != "/" {
				t.Errorf("the second time it ended at %s, with %d requests to the provider", p.URL, s.IDP.Count(authtest.EndSession))
			}
		})
	}
	t.Run("once, even if the way back is not taken", func(t *testing.T) {
		s, address := script(t, false)
		s.Browser.StopAt = func(next *url.URL) bool { return strings.HasPrefix(next.String(), s.IDP.Issuer) }
		s.Must(s.Browser.Click(authtest.At(s.URL+"/"), address))
		p := s.Must(s.Browser.Click(authtest.At(s.URL+"/"), address))
		if p.URL.Path != "/" || strings.HasPrefix(p.Header.Get("Location"), s.IDP.Issuer) {
			t.Errorf("the second time it leads to %s %s", p.URL, p.Header.Get("Location"))
		}
	})
	for name, spoil := range map[string]func(s *sitetest.Site, address *string){
		"in another browser": func(s *sitetest.Site, _ *string) { s.Browser = s.NewBrowser() },
		"of another state":   func(_ *sitetest.Site, address *string) { *address += "A" },
		"after ten minutes":  func(s *sitetest.Site, _ *string) { s.Browser.Now = time.Now; s.Clock.Advance(11 * time.Minute) },
		"from the future":    func(s *sitetest.Site, _ *string) { s.Browser.Now = time.Now; s.Clock.Advance(-2 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			s, address := script(t, false)
			spoil(s, &address)
			if p := s.Must(s.Browser.Click(authtest.At(s.URL+"/"), address)); p.URL.Path != "/" || s.IDP.Count(authtest.EndSession) != 0 {
				t.Errorf("ended at %s, with %d requests to the provider", p.URL, s.IDP.Count(authtest.EndSession))
			}
		})
	}
	t.Run("without an ID token it is the provider's address", func(t *testing.T) {
		s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) { o.Providers[0].Logout.NoIDTokenHint = true })
		s.SignIn()
		p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "POST", s.URL+"/logout", nil, ""))
		if !strings.Contains(p.Text(), `"redirect_to":"`+s.IDP.URL(authtest.EndSession)) {
			t.Errorf("%d %s", p.Status, p.Text())
		}
	})
}
