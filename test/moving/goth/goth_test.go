package goth_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/test/moving/apptest"
	"github.com/ginauth/ginauth/test/moving/goth/after"
	"github.com/ginauth/ginauth/test/moving/goth/before"
	"github.com/ginauth/ginauth/test/moving/goth/notebook"
)

func TestMain(m *testing.M) { apptest.Main(m) }

type installed struct {
	*apptest.Site
	settings notebook.Settings
	db       *notebook.DB
	corp     *authtest.Provider
}

// install prepares the notebook with two providers, whose redirect URIs are registered.
func install(t *testing.T) *installed {
	t.Helper()
	s := &installed{Site: apptest.New(t, "localhost"), db: &notebook.DB{}}
	s.settings = notebook.Settings{BaseURL: s.URL, SessionSecret: "a secret of the sessions of before", SessionKeys: "a-key-of-32-bytes-or-more-for-the-sessions-of-after"}
	for _, name := range []string{"corp", "forum"} {
		idp := s.Provider(authtest.Config{ClientID: name, PostLogoutRedirectURIs: []string{s.URL + "/logout/return"}}, "/auth/"+name+"/callback")
		s.settings.Clients = append(s.settings.Clients, notebook.Client{Name: name, Title: "the " + name, Issuer: idp.Issuer, ID: idp.ClientID, Secret: idp.ClientSecret})
		if name == "corp" {
			s.corp = idp
		}
	}
	return s
}

func (s *installed) before() { s.Run(before.New(s.settings, s.db)) }
func (s *installed) after()  { s.Run(after.New(s.settings, s.db)) }

// versions runs a test with the old and the new version of the application.
func versions(t *testing.T, test func(t *testing.T, s *installed)) {
	for _, version := range []struct {
		name string
		run  func(*installed)
	}{{"before", (*installed).before}, {"after", (*installed).after}} {
		t.Run(version.name, func(t *testing.T) {
			s := install(t)
			version.run(s)
			test(t, s)
		})
	}
}

func TestPeopleSignInAndOut(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		apptest.Has(t, v.Opens("/"), "Sign in")
		apptest.Has(t, v.Opens("/notes?sort=new"), "the corp", "the forum")
		v.Clicks("the corp")
		apptest.Has(t, v.Presses("Ada Lovelace"), "200 /notes?sort=new", "<h1>Notes</h1>")
		apptest.Has(t, v.Opens("/"), "Signed in as Ada Lovelace.")
		apptest.Has(t, v.Presses("Sign out"), "200 / ", "Sign in")
		apptest.Hasnt(t, v.Opens("/notes"), "<h1>Notes</h1>")
	})
}

// A link in a document, or in a user's bookmarks.
func TestOldLinksLeadToTheProvider(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		v.Opens("/auth/corp")
		v.Presses("Grace Hopper")
		apptest.Has(t, v.Opens("/"), "Signed in as Grace Hopper.")
		apptest.Has(t, s.Visitor().Opens("/login"), "the corp", "the forum")
	})
}

func TestHTMX(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		htmx := []string{"HX-Request", "true", "HX-Current-URL", s.URL + "/notes?sort=new"}
		apptest.Has(t, v.Fetches("", "GET", "/notes", "", htmx...), "401")
		v.Goes(v.Page.Header.Get("HX-Redirect"))
		v.Clicks("the corp")
		apptest.Has(t, v.Presses("Ada Lovelace"), "200 /notes?sort=new")
		if csrf := regexp.MustCompile(`"X-CSRF-Token": "([^"]*)"`).FindStringSubmatch(v.Page.Text()); csrf != nil { // of the old version
			htmx = append(htmx, "X-CSRF-Token", csrf[1])
		}
		form := append(htmx, "Content-Type", "application/x-www-form-urlencoded")
		apptest.Has(t, v.Fetches("", "POST", "/notes", "text=milk", form...), "200 /notes <li>milk")
		apptest.Has(t, v.Fetches("", "POST", "/notes", "text=bread", form...), "200 /notes <li>bread")
		apptest.Has(t, v.Fetches("", "DELETE", "/notes/1", "", htmx...), "200")
		apptest.Has(t, v.Opens("/notes"), "bread")
		apptest.Hasnt(t, v.Page.Text(), "milk")
	})
}

func TestFormsOfOtherSites(t *testing.T) {
	versions(t, func(t *testing.T, s *installed) {
		v := s.Visitor()
		v.Opens("/auth/corp")
		v.Presses("Ada Lovelace")
		for _, origin := range []string{"https://evil.example", "http://localhost:1"} {
			apptest.Hasnt(t, v.Posts(origin, "/notes", "text", "spam"), "200 ")
			v.Posts(origin, "/logout")
			apptest.Has(t, v.Opens("/notes"), "<h1>Notes</h1>")
			apptest.Hasnt(t, v.Page.Text(), "spam")
		}
	})
}

// beforehand is a user who signed in before the change.
func (s *installed) beforehand(t *testing.T, name string) *apptest.Visitor {
	t.Helper()
	v := s.Visitor()
	v.Opens("/auth/corp")
	v.Presses(name)
	apptest.Has(t, v.Opens("/"), "Signed in as "+name)
	return v
}

func TestPeopleNoticeNothing(t *testing.T) {
	s := install(t)
	s.before()
	v := s.beforehand(t, "Ada Lovelace")
	v.Presses("Change", "language", "sv")
	s.db.Add(1, "milk")
	s.corp.Reset()
	s.after()
	apptest.Has(t, v.Opens("/notes"), "200 /notes ", "milk") // without a prompt
	if n := s.corp.Count(authtest.Authorize); n != 0 {
		t.Errorf("%d trips to the provider", n)
	}
	apptest.Has(t, v.Opens("/"), "Signed in as Ada Lovelace.", "Language: sv")
	apptest.Has(t, v.Presses("Sign out"), "200 / ", "Language: sv")
	apptest.Hasnt(t, v.Opens("/"), "Signed in") // the old session has ended, too
	v.Opens("/auth/corp")
	v.Presses("Ada Lovelace")
	apptest.Has(t, v.Opens("/notes"), "milk")
	if n := s.db.People(); n != 1 {
		t.Errorf("%d people", n)
	}
	if p, _ := s.db.Person(1); p.Login != s.corp.Issuer+"#ada" {
		t.Errorf("the new key is %q", p.Login)
	}
}

// The sign-out in a tab that was opened before the change ends the session permanently.
func TestOldTabsSignOut(t *testing.T) {
	s := install(t)
	s.before()
	v := s.beforehand(t, "Ada Lovelace")
	s.after()
	v.Presses("Sign out")
	apptest.Hasnt(t, v.Opens("/"), "Signed in")
}

// Without /logout/return at the provider, users are stranded there.
func TestTheSignOutNeedsAnAddressAtTheProvider(t *testing.T) {
	s := install(t)
	idp := s.Provider(authtest.Config{PostLogoutRedirectURIs: []string{s.URL + "/"}}, "/auth/corp/callback")
	c := &s.settings.Clients[0]
	c.Issuer, c.ID, c.Secret = idp.Issuer, idp.ClientID, idp.ClientSecret
	s.after()
	v := s.Visitor()
	v.Opens("/auth/corp")
	v.Presses("Ada Lovelace")
	v.Opens("/")
	apptest.Has(t, v.Presses("Sign out"), "400 ")
	if !strings.HasPrefix(v.Page.URL.String(), idp.Issuer) {
		t.Errorf("signing out ended at %s", v.Page.URL)
	}
	apptest.Hasnt(t, v.Opens("/"), "Signed in")
}

// HTMX in a tab that was opened before the change still works, although its token is unused.
func TestOldTabsGoOn(t *testing.T) {
	s := install(t)
	s.before()
	v := s.beforehand(t, "Ada Lovelace")
	s.after()
	apptest.Has(t, v.Fetches("", "POST", "/notes", "text=milk", "HX-Request", "true", "X-CSRF-Token", "old", "Content-Type", "application/x-www-form-urlencoded"), "<li>milk")
}

// A form from another origin of the same site has the cookies, old and new.
func TestOtherOriginsCarryNothingOver(t *testing.T) {
	s := install(t)
	s.before()
	v := s.beforehand(t, "Ada Lovelace")
	s.after()
	apptest.Has(t, v.Posts("http://localhost:1", "/notes", "text", "spam"), "401 ")
	apptest.Has(t, v.Opens("/notes"), "<h1>Notes</h1>")
	apptest.Hasnt(t, v.Page.Text(), "spam")
}

// The old program can be restored. Users sign in again, with the same accounts.
func TestTheWayBack(t *testing.T) {
	s := install(t)
	s.before()
	s.beforehand(t, "Ada Lovelace")
	s.after()
	s.beforehand(t, "Ada Lovelace")
	s.before()
	s.beforehand(t, "Ada Lovelace")
	s.after()
	s.beforehand(t, "Ada Lovelace")
	if p, _ := s.db.Person(1); s.db.People() != 1 || p.Login != s.corp.Issuer+"#ada" {
		t.Errorf("%d people, the first is %+v", s.db.People(), p)
	}
}

// A sign-in as another person replaces a session that was carried over.
func TestTheNewSessionWins(t *testing.T) {
	s := install(t)
	s.before()
	v := s.beforehand(t, "Ada Lovelace")
	old := v.Cookies(s.URL)
	s.after()
	v.Opens("/login/corp")
	v.Presses("Grace Hopper")
	for _, c := range old {
		if err := v.SetCookie(s.URL, c); err != nil {
			t.Fatal(err)
		}
	}
	apptest.Has(t, v.Opens("/"), "Signed in as Grace Hopper.")
}

// A sign-in that was in progress at the change starts again.
func TestSignInsUnderWay(t *testing.T) {
	s := install(t)
	s.before()
	v := s.Visitor()
	v.Opens("/auth/corp")
	s.after()
	apptest.Has(t, v.Presses("Ada Lovelace"), "400 ", "state_invalid")
	v.Clicks("Try again")
	v.Presses("Ada Lovelace")
	apptest.Has(t, v.Opens("/"), "Signed in as Ada Lovelace.")
}
