package ginauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// losing returns what a browser does that loses, or spoils, the cookies whose
// name ends like that.
func losing(ending string, spoil bool) func(s *site) {
	return func(s *site) {
		s.t.Helper()
		for _, c := range s.browser.Cookies(s.URL) {
			_, rest, _ := strings.Cut(c.Name, "ginauth-")
			if _, end, _ := strings.Cut(rest, "-"); end != ending {
				continue
			}
			if !spoil {
				s.browser.RemoveCookie(s.URL, c.Name)
			} else if err := s.browser.SetCookie(s.URL, &http.Cookie{Name: c.Name, Value: "1AAAA" + c.Value[5:], Path: "/"}); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func TestALoopOfSignInsIsBroken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		store  bool
		lose   func(s *site)
		reason string
		fix    string
	}{
		{"the session cookie is dropped", false, losing("", false), "never the one of the session", "developer tools"},
		{"the session cookie does not open", false, losing("", true), "its session cookie does not open", "the same Options.Keys"},
		{"the store has forgotten it", true, losing("", false), "the session is not there or over", "the same session store"},
		{"the binding cookie is dropped", true, losing("b", false), "came without the other one", "developer tools"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, func(_ *site, o *ginauth.Options) {
				if tt.store {
					o.Sessions = memstore.NewStore([]byte(testKey))
				}
			})
			for i := range 2 {
				if p := s.get("/login/demo?return_to=/"); p.Text() != "home of Ada Lovelace" {
					t.Fatalf("sign-in %d ended at %s with %d: %s", i+1, p.URL, p.Status, p.Text())
				}
				tt.lose(s)
			}
			asked := s.idp.Count("authorize")
			p := s.get("/page/there?x=1")
			s.wantError(p, ginauth.ErrLoginLoop)
			for _, want := range []string{"signed in 2 times within 10 seconds", tt.reason, tt.fix, "Allow cookies for this site"} {
				if !strings.Contains(p.Text(), want) {
					t.Errorf("the page lacks %q: %s", want, p.Text())
				}
			}
			if s.idp.Count("authorize") != asked {
				t.Error("the browser was sent to the provider once more")
			}
			s.clock.Advance(10 * time.Second)
			if p = s.must(s.browser.ClickLink(p, "Try again")); p.URL.RequestURI() != "/page/there?x=1" {
				t.Errorf("some time later the button leads to %s with %d: %s", p.URL, p.Status, p.Text())
			}
		})
	}
}

// keeping is a proxy that keeps the session's cookie to itself.
type keeping struct{ gin.ResponseWriter }

func (k keeping) WriteHeaderNow() {
	lines := k.Header()["Set-Cookie"]
	k.Header().Del("Set-Cookie")
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		if strings.Count(name, "-") > 1 {
			k.Header().Add("Set-Cookie", line)
		}
	}
	k.ResponseWriter.WriteHeaderNow()
}

// All the redirects of the loop follow from opening one page, and browsers stop
// after so many: ours has to come before that, with room for those of a
// provider that redirects inside itself.
func TestTheLoopIsShorterThanABrowsersPatience(t *testing.T) {
	s := newSite(t, func(s *site, _ *ginauth.Options) { s.engine.Use(func(c *gin.Context) { c.Writer = keeping{c.Writer} }) })
	p := s.get("/page/there")
	s.wantError(p, ginauth.ErrLoginLoop)
	if n := len(p.Hops) - 1; n > 12 {
		t.Errorf("it took %d redirects", n)
	}
}

// Those who sign in often, and keep their session, are left alone.
func TestManySignInsAreNoLoop(t *testing.T) {
	for name, between := range map[string]func(s *site){
		"tabs":      func(*site) {},
		"sign-outs": func(s *site) { s.must(s.browser.SubmitForm(s.get("/logout"), "Sign out", nil)) },
		"revocations": func(s *site) {
			if err := s.auth.LogoutEverywhere(t.Context(), s.idp.Issuer+"#ada"); err != nil {
				t.Fatal(err)
			}
			s.clock.Advance(time.Microsecond)
		},
		"sessions that end": func(s *site) { s.clock.Advance(25 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			for i := range 8 {
				if p := s.get("/login/demo?return_to=/"); p.Text() != "home of Ada Lovelace" {
					t.Fatalf("sign-in %d ended at %s with %d: %s", i+1, p.URL, p.Status, p.Text())
				}
				between(s)
			}
		})
	}
}

func TestForgedCountsOfSignIns(t *testing.T) {
	s := newSite(t, nil)
	s.get("/login/demo")
	name := ""
	for _, c := range s.browser.Cookies(s.URL) {
		if strings.HasSuffix(c.Name, "-n") {
			name = c.Name
		}
	}
	losing("", false)(s)
	for _, value := range []string{"", "9", "9.", ".9", "x.y", "-9.0", "9.99999999999999", "9.9223372036854775807", "999999999999999999999.0", "9.0", "9.-1"} {
		if err := s.browser.SetCookie(s.URL, &http.Cookie{Name: name, Value: value, Path: "/"}); err != nil {
			t.Fatal(err)
		}
		if p := s.get("/login/demo?return_to=/"); p.Text() != "home of Ada Lovelace" {
			t.Errorf("with a count of %q: %d %s", value, p.Status, p.Text())
		}
		losing("", false)(s)
	}
}
