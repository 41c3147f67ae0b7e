package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

// choose signs Ada in at the provider, which has just come up.
func (s *site) choose(x *tab) {
	x.t.Helper()
	x.at(s.idp.Issuer+"/authorize", "Ada Lovelace")
	x.click("Ada Lovelace")
}

// signIn opens a page that needs a user, and chooses Ada at the provider.
func (s *site) signIn(x *tab, path string) {
	x.t.Helper()
	x.get(s.URL + path)
	s.choose(x)
	x.at(s.URL+path, "of Ada Lovelace")
}

func TestSigningInAndOut(t *testing.T) {
	everywhere(t, func(t *testing.T, b *browser, where place) {
		s := newSite(t, where, nil)
		x := b.open(t)
		s.signIn(x, "/page/one")
		for _, c := range s.got("GET", "/page/one")[1].Cookies() {
			if strings.HasPrefix(c.Name, "__Host-") != where.tls {
				t.Errorf("the browser sends a cookie %q", c.Name)
			}
		}
		x.click("Next")
		x.at(s.URL+"/page/next", "Page next of Ada Lovelace")
		x.click("Send")
		x.at(s.URL+"/page/form", "Sent by Ada Lovelace")
		x.click("Sign out")
		x.at(s.URL+"/", "Home of nobody")
		if n := s.idp.Count("end_session"); n != 1 {
			t.Errorf("the provider was asked %d times to end its session, want once", n)
		}
		if hint := s.idp.LastRequest("end_session").Form.Get("id_token_hint"); strings.Count(hint, ".") != 2 {
			t.Errorf("the provider was sent the hint %q", hint)
		}
		for _, r := range append(s.got("GET", "/page/one"), s.got("GET", "/")...) {
			for _, c := range r.Cookies() {
				if strings.HasSuffix(c.Name, "-h") {
					t.Errorf("%s brings the ID token", r.URL)
				}
			}
		}
		x.get(s.URL + "/page/two")
		x.at(s.idp.Issuer+"/authorize", "Grace Hopper")
		x.click("Grace Hopper")
		x.at(s.URL+"/page/two", "Page two of Grace Hopper")

		// From our own page, whose policy has to let the form go on to the provider.
		x.get(s.URL + "/logout")
		x.at(s.URL+"/logout", words("sign_out.title"))
		x.click("Sign out")
		x.at(s.URL+"/", "Home of nobody")
		if n := s.idp.Count("end_session"); n != 2 {
			t.Errorf("the provider was asked %d times to end its session, want twice", n)
		}
	})
}

// A user who cancels at the provider can sign in there afterwards.
func TestCancelling(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		s := newSite(t, places["https"], nil)
		x := b.open(t)
		x.get(s.URL + "/page/one")
		x.at(s.idp.Issuer+"/authorize", "Cancel")
		x.click("Cancel")
		x.at(s.URL+"/authorize/demo", "canceled", "provider_denied")
		x.click("Try again")
		s.choose(x)
		x.at(s.URL+"/page/one", "Page one of Ada Lovelace")
	})
}

func TestTheKeyboardAlone(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		s := newSite(t, places["https"], many)
		x := b.open(t)
		enter := func(nth int) {
			for range nth {
				x.press(tabKey)
			}
			x.press(enterKey)
			x.load()
		}
		x.get(s.URL + "/page/one")
		x.at(s.URL+"/login", "Sign in with Acme")
		enter(1)
		x.at(s.idp.Issuer+"/authorize", "Grace Hopper")
		enter(2)
		x.at(s.URL+"/page/one", "Page one of Grace Hopper")
		x.get(s.URL + "/logout")
		x.at(s.URL+"/logout", words("sign_out.title"))
		enter(1)
		x.at(s.URL+"/", "Home of nobody")
	})
}

// A cross-site POST carries no Lax cookie. The sign-in has to work without a
// cookie that is SameSite=None.
func TestFormPostFromAnotherSite(t *testing.T) {
	everywhere(t, func(t *testing.T, b *browser, where place) {
		s := newSite(t, where, func(_ *site, o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" })
		s.signIn(b.open(t), "/page/form")
		posts := s.got("POST", "/authorize/demo")
		if len(posts) != 1 || posts[0].Header.Get("Sec-Fetch-Site") != "cross-site" {
			t.Fatalf("the answer did not come as one form from another site: %d", len(posts))
		}
		if sent := posts[0].Cookies(); len(sent) != 0 {
			t.Errorf("the form came with %d cookies: this tests nothing", len(sent))
		}
		follow := s.got("GET", "/authorize/demo")
		if len(follow) != 1 || len(follow[0].Cookies()) == 0 {
			t.Errorf("the request that follows has no cookie")
		}
	})
}

// A page of another site that sends its form over and over: the POST brings no
// cookies, and would add one each time. It leads to a GET, which brings them, so
// that there are five at most.
func TestFormsOfAnotherSiteDoNotPileUp(t *testing.T) {
	everywhere(t, func(t *testing.T, b *browser, where place) {
		s := newSite(t, where, nil)
		evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!doctype html><form method="post" action="%s/login/demo"><button>Win</button></form>`, s.URL)
		}))
		defer evil.Close()
		x := b.open(t)
		const times = 8
		for range times {
			x.get(evil.URL + "/")
			x.click("Win")
			x.at(s.idp.Issuer+"/authorize", "Ada Lovelace")
		}
		posts, gets := s.got("POST", "/login/demo"), s.got("GET", "/login/demo")
		if len(posts) != times || len(gets) != times {
			t.Fatalf("%d forms and %d addresses were asked for", len(posts), len(gets))
		}
		if n := len(posts[times-1].Cookies()); n != 0 {
			t.Errorf("the form came with %d cookies: this tests nothing", n)
		}
		if n := len(gets[times-1].Cookies()); n == 0 || n > 5 {
			t.Errorf("after %d forms the browser has %d cookies", times-1, n)
		}
		s.choose(x)
		x.at(s.URL+"/", "Home of Ada Lovelace")
	})
}

// Five pages open at once, and each asks to sign in.
func TestFiveTabs(t *testing.T) {
	everywhere(t, func(t *testing.T, b *browser, where place) {
		s := newSite(t, where, nil)
		first := b.open(t)
		tabs := []*tab{first, first.another(), first.another(), first.another(), first.another()}
		for i, x := range tabs {
			x.get(fmt.Sprint(s.URL, "/page/", i))
		}
		for i, x := range tabs {
			s.choose(x)
			x.at(fmt.Sprint(s.URL, "/page/", i), fmt.Sprintf("Page %d of Ada Lovelace", i))
		}
	})
}

func TestTheBackButton(t *testing.T) {
	everywhere(t, func(t *testing.T, b *browser, where place) {
		s := newSite(t, where, nil)
		x := b.open(t)
		x.get(s.URL + "/")
		x.at(s.URL+"/", "Home of nobody")
		s.signIn(x, "/page/one")

		// Back at the provider, whose page is as it was: choosing again must
		// not end in an error.
		x.back()
		s.choose(x)
		x.at(s.URL+"/", "Home of Ada Lovelace")
		if n := s.idp.Count("token"); n != 1 {
			t.Errorf("%d codes were redeemed, want 1", n)
		}

		// After the sign-out, nothing comes back from memory.
		x.get(s.URL + "/page/secret")
		x.at(s.URL+"/page/secret", "Page secret of Ada")
		x.click("Sign out")
		x.at(s.URL+"/", "Home of nobody")
		x.back()
		x.at(s.idp.Issuer+"/authorize", "Ada Lovelace")
	})
}

// The provider's page has a frame for the application to sign out in. It works
// where both are on one site; on two, browsers send no cookie with it.
func TestFrontChannel(t *testing.T) {
	each(t, func(t *testing.T, b *browser) {
		for name, tt := range map[string]struct {
			place
			ends bool
		}{
			"one site":  {place{app: "localhost", idp: "localhost"}, true},
			"two sites": {places["http"], false},
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, tt.place, nil)
				x := b.open(t)
				s.signIn(x, "/page/one")
				s.idp.Handle("end_session", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/html")
					_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Out</title><h1>Signing out everywhere</h1><iframe src="%s/logout/demo/frontchannel?iss=%s&amp;sid=%s"></iframe>`,
						s.URL, s.idp.Issuer, s.sid())
				})
				x.get(s.idp.URL("end_session"))
				x.at(s.idp.URL("end_session"), "Signing out everywhere")
				if n := len(s.got("GET", "/logout/demo/frontchannel")); n != 1 {
					t.Fatalf("the frame was loaded %d times", n)
				}
				who := "Ada Lovelace"
				if tt.ends {
					who = "nobody"
				}
				x.get(s.URL + "/")
				x.at(s.URL+"/", "Home of "+who)
			})
		}
	})
}
