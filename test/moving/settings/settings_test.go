package main_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/test/moving/apptest"
	"github.com/ginauth/ginauth/test/moving/settings/after"
	"github.com/ginauth/ginauth/test/moving/settings/before"
	"github.com/ginauth/ginauth/test/moving/settings/product"
)

func TestMain(m *testing.M) { apptest.Main(m) }

const right = "correct horse battery"

type installed struct {
	*apptest.Site
	install product.Install
	db      *product.DB
	corp    *authtest.Provider
}

// setUp installs the product at http://product.lan, with a provider on https in its settings.
func setUp(t *testing.T) *installed {
	t.Helper()
	s := &installed{Site: apptest.New(t, "product.lan"), db: product.NewDB("admin", right)}
	s.db.Add(product.Account{Name: "zoe"}, right)
	s.corp = s.Provider(authtest.Config{TLS: true}, "/api/oauth/callback")
	s.install = product.Install{BaseURL: s.URL, SessionKeys: "a-key-of-32-bytes-or-more-for-the-sessions-of-after", Client: s.corp.HTTPClient()}
	s.db.SetProviders([]product.Provider{row("corp", s.corp)})
	return s
}

func row(name string, idp *authtest.Provider) product.Provider {
	return product.Provider{Name: name, Title: "the " + name, AuthorizeURL: idp.URL(authtest.Authorize), TokenURL: idp.URL(authtest.Token),
		UserinfoURL: idp.URL(authtest.Userinfo), ClientID: idp.ClientID, ClientSecret: idp.ClientSecret}
}

func (s *installed) before() { s.Run(before.New(s.install, s.db)) }
func (s *installed) after()  { s.Run(after.New(s.install, s.db)) }

// versions runs a test with the old and the new version of the application.
func versions(t *testing.T, test func(t *testing.T, s *installed)) {
	for _, version := range []struct {
		name string
		run  func(*installed)
	}{{"before", (*installed).before}, {"after", (*installed).after}} {
		t.Run(version.name, func(t *testing.T) {
			s := setUp(t)
			version.run(s)
			test(t, s)
		})
	}
}

// signIn acts like the page /signin. Its two versions send the return path differently.
func signIn(v *apptest.Visitor, name, password string, remember bool, next string) string {
	body, _ := json.Marshal(map[string]any{"name": name, "password": password, "remember": remember, "next": next})
	return v.Fetches("", "POST", "/api/session?return_to="+next, string(body))
}

func me(v *apptest.Visitor) string { return v.Fetches("", "GET", "/api/me", "") }

// corp signs in at the configured provider.
func corp(v *apptest.Visitor, name string) string {
	v.Opens("/api/oauth/corp/start?next=/orders")
	return v.Presses(name)
}

func settings(v *apptest.Visitor, list ...product.Provider) string {
	body, _ := json.Marshal(list)
	return v.Fetches("", "PUT", "/api/settings/providers", string(body))
}

func TestPasswords(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		apptest.Has(t, v.Opens("/orders"), "200 ", "<main>")
		apptest.Has(t, me(v), "401 ", `"error":"unauthenticated"`)
		for _, wrong := range [][2]string{{"zoe", "wrong"}, {"eve", right}, {"zoe", ""}} {
			apptest.Has(t, signIn(v, wrong[0], wrong[1], true, "/"), "401 ", `"error":"wrong_password"`)
		}
		apptest.Has(t, signIn(v, "zoe", right, false, "/orders"), "200 ", "/orders")
		apptest.Has(t, me(v), `"name":"zoe"`)
		if n := v.Lasting(); n != 0 {
			t.Errorf("%d cookies outlive the browser", n)
		}
		apptest.Has(t, v.Fetches("", "DELETE", "/api/session", ""), "204 ")
		apptest.Has(t, me(v), "401 ")
		apptest.Has(t, signIn(v, "zoe", right, true, "//evil.example"), "200 ")
		apptest.Hasnt(t, v.Page.Text(), "evil")
		apptest.Has(t, me(v), `"name":"zoe"`)
		if v.Lasting() == 0 {
			t.Error("no cookie outlives the browser, although the person asked to be remembered")
		}
	})
}

func TestFormsOfOtherSites(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		body := `{"name":"zoe","password":"` + right + `"}`
		apptest.Has(t, v.Fetches("http://evil.example", "POST", "/api/session", body), "403 ")
		apptest.Has(t, me(v), "401 ")
		signIn(v, "zoe", right, true, "/")
		// Another origin of the same site has the cookie.
		apptest.Has(t, v.Fetches("http://product.lan:1", "DELETE", "/api/session", ""), "403 ")
		apptest.Has(t, v.Fetches("http://product.lan:1", "POST", "/api/oauth/corp/link", ""), "403 ")
		apptest.Has(t, me(v), `"name":"zoe"`)
	})
}

func TestTheProviderOfTheSettings(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		apptest.Has(t, v.Fetches("", "GET", "/api/providers", ""), "the corp")
		apptest.Has(t, corp(v, "Ada Lovelace"), "200 /orders")
		apptest.Has(t, me(v), `"name":"Ada Lovelace"`, `"id":"3"`)
		other := s.Visitor()
		corp(other, "Ada Lovelace")
		apptest.Has(t, me(other), `"id":"3"`)
	})
}

func TestAnAdministratorAddsAProvider(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		forum := s.Provider(authtest.Config{TLS: true, ClientID: "forum"}, "/api/oauth/callback", "/api/oauth/forum/callback")
		added := row("forum", forum)
		added.OwnPath = true
		zoe, admin, ada := s.Visitor(), s.Visitor(), s.Visitor()
		signIn(zoe, "zoe", right, true, "/")
		signIn(admin, "admin", right, true, "/")
		corp(ada, "Ada Lovelace")
		apptest.Has(t, settings(zoe, added), "403 ")
		apptest.Has(t, settings(s.Visitor(), added), "401 ")

		broken := added
		broken.TokenURL = "http://forum.example/token"
		apptest.Has(t, settings(admin, row("corp", s.corp), broken), "422 ")
		apptest.Hasnt(t, zoe.Fetches("", "GET", "/api/providers", ""), "the forum")

		apptest.Has(t, settings(admin, row("corp", s.corp), added), "200 ")
		apptest.Has(t, zoe.Fetches("", "GET", "/api/providers", ""), "the corp", "the forum")
		grace := s.Visitor()
		grace.Opens("/api/oauth/forum/start?next=/orders")
		apptest.Has(t, grace.Presses("Grace Hopper"), "200 /orders")
		apptest.Has(t, me(grace), `"name":"Grace Hopper"`)
		for _, v := range []*apptest.Visitor{zoe, admin, ada} { // go on
			apptest.Has(t, me(v), "200 ")
		}
		if n := len(s.db.Providers()); n != 2 {
			t.Errorf("the table has %d providers", n)
		}
	})
}

func TestLinking(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		apptest.Has(t, v.Fetches("", "POST", "/api/oauth/corp/link", ""), "401 ")
		signIn(v, "zoe", right, true, "/")
		link := func(v *apptest.Visitor, name string) string {
			apptest.Has(t, v.Fetches("", "POST", "/api/oauth/corp/link", ""), "200 ")
			var answer struct{ URL string }
			if err := json.Unmarshal(v.Page.Body, &answer); err != nil {
				t.Fatal(err)
			}
			v.Goes(answer.URL)
			return v.Presses(name)
		}
		apptest.Has(t, link(v, "Zoë Ångström"), "200 /account")
		apptest.Has(t, me(v), `"name":"zoe"`)
		other := s.Visitor()
		corp(other, "Zoë Ångström")
		apptest.Has(t, me(other), `"name":"zoe"`)
		admin := s.Visitor() // another user's account cannot be taken over
		signIn(admin, "admin", right, true, "/")
		apptest.Has(t, link(admin, "Zoë Ångström"), "403 ")
		apptest.Has(t, me(admin), `"name":"admin"`)
	})
}

func TestPeopleNoticeNothing(t *testing.T) {
	s := setUp(t)
	s.before()
	remembered, forgotten, ada := s.Visitor(), s.Visitor(), s.Visitor()
	signIn(remembered, "zoe", right, true, "/")
	signIn(forgotten, "admin", right, false, "/")
	corp(ada, "Ada Lovelace")
	tab, copied := remembered.Clone(), remembered.Clone() // of the cookies
	s.corp.Reset()
	s.after()
	apptest.Has(t, me(remembered), `"name":"zoe"`)
	apptest.Has(t, me(forgotten), `"name":"admin"`)
	apptest.Has(t, me(ada), `"name":"Ada Lovelace"`)
	if p, err := tab.Fetch(authtest.At(s.URL), "GET", s.URL+"/api/me", nil, ""); err != nil || p.Status != http.StatusOK {
		t.Errorf("a request that was sent at the same time: %v %v", p, err)
	}
	if n := s.corp.Count(authtest.Authorize); n != 0 {
		t.Errorf("%d trips to the provider", n)
	}
	if remembered.Lasting() == 0 || forgotten.Lasting() != 0 {
		t.Errorf("%d and %d cookies outlive the browsers", remembered.Lasting(), forgotten.Lasting())
	}
	apptest.Has(t, settings(forgotten, row("corp", s.corp)), "200 ") // still an administrator
	apptest.Has(t, remembered.Fetches("", "DELETE", "/api/session", ""), "204 ")
	apptest.Has(t, me(remembered), "401 ")
	if p, err := copied.Fetch(authtest.At(s.URL), "GET", s.URL+"/api/me", nil, ""); err != nil || p.Status != http.StatusUnauthorized {
		t.Errorf("a copy of the session of before outlives the sign-out: %v %v", p, err)
	}
	apptest.Has(t, corp(ada, "Ada Lovelace"), "200 /orders")
	apptest.Has(t, me(ada), `"id":"3"`)
}

// An old session ends at its original time, also if it was not used before the change.
func TestSessionsOfBeforeExpire(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		for i, c := range []struct {
			remember bool
			age      time.Duration
			want     string
		}{{false, time.Hour, "200 "}, {false, 13 * time.Hour, "401 "}, {true, 13 * time.Hour, "200 "}, {true, 31 * 24 * time.Hour, "401 "}} {
			id := fmt.Sprintf("session-%d", i)
			s.db.SetSession(fmt.Sprintf("%x", sha256.Sum256([]byte(id))), product.Session{Account: "2", Remember: c.remember, Created: time.Now().Add(-c.age)})
			v := s.Visitor()
			if err := v.SetCookie(s.URL, &http.Cookie{Name: "session", Value: id, Path: "/"}); err != nil {
				t.Fatal(err)
			}
			if got := me(v); !strings.HasPrefix(got, c.want) {
				t.Errorf("%+v: %s", c, got)
			}
		}
	})
}

// A sign-in as another person takes precedence over the old cookie.
func TestTheNewSessionWins(t *testing.T) {
	s := setUp(t)
	s.before()
	v := s.Visitor()
	signIn(v, "zoe", right, true, "/")
	old := v.Cookies(s.URL)
	s.after()
	signIn(v, "admin", right, true, "/")
	for _, c := range old {
		if err := v.SetCookie(s.URL, c); err != nil {
			t.Fatal(err)
		}
	}
	apptest.Has(t, me(v), `"name":"admin"`)
}

// Two old providers share the path, and send iss (RFC 9207), but the settings have no issuers: a
// response of one could be accepted for the other. An administrator enters the issuers.
func TestIssuersOnTheSharedPath(t *testing.T) {
	s := setUp(t)
	forum := s.Provider(authtest.Config{TLS: true, ClientID: "forum"}, "/api/oauth/callback")
	rows := []product.Provider{row("corp", s.corp), row("forum", forum)}
	s.db.SetProviders(rows)
	s.before()
	ada, admin := s.Visitor(), s.Visitor()
	apptest.Has(t, corp(ada, "Ada Lovelace"), "200 /orders")
	s.after()
	apptest.Has(t, me(ada), `"id":"3"`)
	apptest.Has(t, corp(ada, "Ada Lovelace"), "400 ", "issuer_mismatch")
	signIn(admin, "admin", right, true, "/")
	rows[0].Issuer, rows[1].Issuer = s.corp.Issuer, forum.Issuer
	apptest.Has(t, settings(admin, rows...), "200 ")
	apptest.Has(t, corp(ada, "Ada Lovelace"), "200 /orders")
	apptest.Has(t, me(ada), `"id":"3"`)
}

// A tab that was opened before the change signs out with the same request.
func TestOldTabsSignOut(t *testing.T) {
	s := setUp(t)
	s.before()
	v := s.Visitor()
	signIn(v, "zoe", right, true, "/")
	s.after()
	apptest.Has(t, v.Fetches("", "DELETE", "/api/session", ""), "204 ")
	apptest.Has(t, me(v), "401 ")
}

// Other pages of the product redirect to the sign-in page, and back.
func TestLoginURLs(t *testing.T) {
	s := setUp(t)
	s.after()
	v := s.Visitor()
	apptest.Has(t, me(v), `"login_url":"/signin"`)
	for _, path := range []string{"/login?return_to=/orders", "/login/password?return_to=/orders"} {
		apptest.Has(t, v.Opens(path), "200 /signin?return_to=%2Forders")
	}
	apptest.Has(t, v.Fetches("", "GET", "/api/providers?return_to=%2Forders", ""), "/login/corp?return_to=%2Forders")
}

// The same program runs on https, and on http in a private network, and nowhere else.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{"https://product.example": true, "http://192.168.1.5:8080": true, "http://nas": true, "http://product.example": false} {
		s := setUp(t)
		s.install.BaseURL = address
		if _, err := after.New(s.install, s.db); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		} else if err != nil && !strings.Contains(err.Error(), "Options.InsecureHTTP") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
