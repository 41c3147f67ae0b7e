package interop

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// everyServer has what is tried at every server.
func everyServer(t *testing.T, with server) {
	for _, tt := range []struct {
		name string
		try  func(*testing.T, server)
	}{
		{"signing in", trySigningIn},
		{"a wrong password", tryAWrongPassword},
		{"the person refuses", tryRefusing},
		{"groups", tryGroups},
		{"how the client authenticates", tryClientAuthentication},
		{"a wrong client secret", tryAWrongClientSecret},
		{"an answer that is opened again", tryAnAnswerAgain},
		{"many at once", tryManyAtOnce},
		{"signing out", trySigningOut},
		{"signing out here alone", trySigningOutHere},
		{"a new signing key", tryANewSigningKey},
		{"a restart", tryARestart},
		{"Diagnose", tryDiagnose},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.try(t, with) })
	}
}

func trySigningIn(t *testing.T, with server) {
	s := newSite(t, with, config{})
	form := s.loginForm("/private?tab=2")
	p := s.logIn(form, ada, password)
	if got := strings.TrimSuffix(p.URL.String(), "#"); got != s.URL+"/private?tab=2" {
		t.Fatalf("the sign-in ended at %s", got)
	}
	wantAda(t, s.profileOn(p))
	s.wantHome(s.browser, "home of Ada Lovelace")
}

// wantAda checks what the application learns about Ada.
func wantAda(t *testing.T, who *profile) {
	t.Helper()
	u := who.User
	if u.Provider != "corp" || u.Issuer == "" || u.Subject == "" || who.ID != u.Issuer+"#"+u.Subject {
		t.Errorf("signed in as %s: %+v", who.ID, u)
	}
	if u.Name != "Ada Lovelace" || u.Username != ada {
		t.Errorf("the profile is %+v", u)
	}
	if email, ok := u.VerifiedEmail(); !ok || email != "ada@example.com" {
		t.Errorf("the verified e-mail address is %q, %v", email, ok)
	}
	if age := time.Since(u.AuthTime); age < -time.Second || age > time.Minute {
		t.Errorf("the person authenticated at %s, %s ago", u.AuthTime, age)
	}
}

func tryAWrongPassword(t *testing.T, with server) {
	s := newSite(t, with, config{})
	again := s.logIn(s.loginForm("/private"), ada, "a wrong password")
	if !with.asks(again) {
		t.Fatalf("a wrong password led to %s: %s", again.URL, again.Text())
	}
	s.wantHome(s.browser, "home")
	wantAda(t, s.profileOn(s.logIn(again, ada, password)))
}

func tryRefusing(t *testing.T, with server) {
	s := newSite(t, with, config{consent: true})
	p := s.must(with.refuse(s.browser, s.loginForm("/private?tab=3")))
	s.wantRefused(p, ginauth.ErrProviderDenied)

	again := s.must(s.browser.ClickLink(p, "Try again"))
	landed := s.logIn(again, ada, password)
	if wantAda(t, s.profileOn(landed)); landed.URL.RawQuery != "tab=3" {
		t.Errorf("trying again ended at %s: %s", landed.URL, landed.Text())
	}
}

func tryGroups(t *testing.T, with server) {
	for username, status := range map[string]int{ada: http.StatusOK, ben: http.StatusForbidden} {
		t.Run(username, func(t *testing.T) {
			s := newSite(t, with, config{})
			p := s.logIn(s.loginForm("/admins"), username, password)
			if p.Status != status || p.URL.Path != "/admins" {
				t.Errorf("ended at %s with status %d, want %d: %s", p.URL, p.Status, status, p.Text())
			}
			if groups := s.profileOn(s.get("/private")).User.Groups; len(groups) == 0 {
				t.Errorf("the groups are %q", groups)
			}
		})
	}
}

func tryClientAuthentication(t *testing.T, with server) {
	for _, method := range []string{"client_secret_basic", "client_secret_post", "none"} {
		t.Run(method, func(t *testing.T) {
			s := newSite(t, with, config{authMethod: method})
			wantAda(t, s.signIn("/private", ada))
		})
	}
}

func tryAWrongClientSecret(t *testing.T, with server) {
	s := newSite(t, with, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.ClientSecret = "not the secret" }})
	s.wantRefused(s.logIn(s.loginForm("/private"), ada, password), ginauth.ErrProviderMisconfigured)
}

// An answer that is opened a second time, in this browser or in another one,
// signs no user in.
func tryAnAnswerAgain(t *testing.T, with server) {
	s := newSite(t, with, config{})
	s.signIn("/private", ada)
	var answer string
	for _, hop := range s.browser.History() {
		if hop.URL.Path == "/auth/authorize/corp" {
			answer = hop.URL.String()
		}
	}
	s.must(s.browser.Get(answer))
	s.wantHome(s.browser, "home of Ada Lovelace")
	s.browser = s.newBrowser()
	s.wantRefused(s.must(s.browser.Get(answer)), ginauth.ErrStateInvalid)
}

func tryManyAtOnce(t *testing.T, with server) {
	s := newSite(t, with, config{})
	var group sync.WaitGroup
	for i := range 6 {
		browser, username := s.newBrowser(), []string{ada, ben}[i%2]
		group.Go(func() {
			who, err := signInAs(s, browser, username)
			if err != nil || who.User.Username != username {
				t.Errorf("browser %d: %v, %+v", i, err, who)
			}
		})
	}
	group.Wait()
}

// signInAs is signIn for goroutines, which must not end the test.
func signInAs(s *site, browser *authtest.Browser, username string) (*profile, error) {
	form, err := browser.Get(s.URL + "/private")
	if err != nil {
		return nil, err
	}
	if !s.server.asks(form) {
		return nil, errors.New("no login form: " + form.URL.String())
	}
	p, err := s.server.logIn(browser, form, username, password)
	if err != nil {
		return nil, err
	}
	return readProfile(s.URL, p)
}

// Signing out reaches the server: the next sign-in asks for a password.
func trySigningOut(t *testing.T, with server) {
	s := newSite(t, with, config{})
	first := s.signIn("/private", ada)
	stolen := s.browser.Clone()
	t.Cleanup(stolen.Close)
	s.wantSignedOut(s.confirm(s.signOut()))
	s.wantHome(stolen, "home")
	second := s.signIn("/private", ben)
	if second.User.Name != "Ben Jonson" || second.ID == first.ID {
		t.Errorf("the second sign-in made %s %+v", second.ID, second.User)
	}
}

// withoutHint leaves out the ID token, which is sent by default.
func withoutHint(p *ginauth.Provider, _ *ginauth.Options) { p.Logout.NoIDTokenHint = true }

// confirm presses the first button of the server's page, if it asks for a
// confirmation before it signs the user out.
func (s *site) confirm(p *authtest.Page) *authtest.Page {
	s.t.Helper()
	if strings.HasPrefix(p.URL.String(), s.URL) {
		return p
	}
	for _, form := range p.Forms() {
		for _, button := range form.Buttons {
			return s.must(s.browser.SubmitForm(p, cmp.Or(button.Text, button.Value), nil))
		}
	}
	return p
}

func (s *site) wantSignedOut(p *authtest.Page) {
	s.t.Helper()
	if p.Status != http.StatusOK || p.Text() != "home" || !strings.HasPrefix(p.URL.String(), s.URL) {
		s.t.Fatalf("signing out ended at %s with status %d: %s", p.URL, p.Status, p.Text())
	}
}

// Signing out here alone does not reach the server. If it keeps sessions, the
// next sign-in does not ask for a password.
func trySigningOutHere(t *testing.T, with server) {
	s := newSite(t, with, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.Logout.Local = true }})
	s.signIn("/private", ada)
	s.wantSignedOut(s.signOut())
	p := s.get("/private")
	if _, forgets := with.(*zitadel); forgets {
		s.wantLoginForm(p)
		return
	}
	wantAda(t, s.profileOn(p))
}

// ID tokens with a new kid make the application fetch the keys again. Sessions
// that began before stay valid.
func tryANewSigningKey(t *testing.T, with server) {
	s := newSite(t, with, config{})
	s.signIn("/private", ada)
	with.rotate(t)
	s.wantHome(s.browser, "home of Ada Lovelace")
	s.browser = s.newBrowser()
	wantAda(t, s.signIn("/private", ada))
}

func tryDiagnose(t *testing.T, with server) {
	s := newSite(t, with, config{})
	d := s.auth.Diagnose(t.Context())
	if len(d.Problems) != 0 {
		t.Errorf("%s", d)
	}
}

// The rest is tried at the servers that support it.

func tryFormPost(t *testing.T, with server) {
	s := newSite(t, with, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.ResponseMode = "form_post" }})
	form := s.logIn(s.loginForm("/private"), ada, password)
	if !strings.HasPrefix(form.URL.String(), s.URL) {
		// A script submits it in a browser that runs scripts.
		form = s.must(s.browser.SubmitFormAt(form, 0, nil))
	}
	wantAda(t, s.profileOn(form))
	for _, hop := range s.browser.History() {
		if hop.URL.Path == "/auth/authorize/corp" {
			if hop.Method != http.MethodPost {
				t.Errorf("the answer came as %s %s, not as a form", hop.Method, hop.URL)
			}
			return
		}
	}
}

// With prompt=none the server shows no form: it answers login_required without a
// session, and signs the user in with one.
func tryPromptNone(t *testing.T, with server) {
	s := newSite(t, with, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.LoginParams = []string{"prompt"} }})
	s.wantRefused(s.get("/auth/login/corp?prompt=none"), ginauth.ErrProviderDenied)
	s.signIn("/private", ada)
	wantAda(t, s.profileOn(s.get("/auth/login/corp?prompt=none&return_to=/private")))
}

// With prompt=login the server asks for the password in spite of its session.
func tryPromptLogin(t *testing.T, with server) {
	s := newSite(t, with, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.LoginParams = []string{"prompt"} }})
	s.signIn("/private", ada)
	s.loginForm("/auth/login/corp?prompt=login")
}

// Without the ID token as a hint the server asks for a confirmation.
func trySigningOutWithoutAHint(t *testing.T, with server) {
	s := newSite(t, with, config{change: withoutHint})
	s.signIn("/private", ada)
	p := s.signOut()
	if strings.HasPrefix(p.URL.String(), s.URL) {
		t.Errorf("the server did not ask: %s", p.URL)
	}
	s.wantSignedOut(s.confirm(p))
	s.loginForm("/private")
}

// A user signs out at the server itself, which calls the application. The session
// ends although its browser still has the cookie; those of other users do not.
func tryBackChannelLogout(t *testing.T, with server, signOutThere func(s *site)) {
	s := newSite(t, with, config{})
	other := s.newBrowser()
	if _, err := signInAs(s, other, ben); err != nil {
		t.Fatal(err)
	}
	s.signIn("/private", ada)
	signOutThere(s)
	s.wantHome(s.browser, "home")
	s.wantHome(other, "home of Ben Jonson")
	wantAda(t, s.signIn("/private", ada))
}

// signOutAtTheServer opens the server's own page for signing out, in the browser
// of the person.
func signOutAtTheServer(path string) func(*site) {
	return func(s *site) {
		s.t.Helper()
		issuer := s.auth.Providers()[0].Issuer
		s.confirm(s.must(s.browser.Get(issuer + path)))
	}
}

// The server goes away and comes back: under an application that knows its
// metadata, under one that has not asked for it yet, and in the middle of a
// sign-in.
func tryARestart(t *testing.T, with server) {
	var later atomic.Int64
	conf := config{change: func(_ *ginauth.Provider, o *ginauth.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	}}
	known, unknown, halfway := newSite(t, with, conf), newSite(t, with, conf), newSite(t, with, conf)
	known.signIn("/private", ada)
	halfway.browser.StopAt = func(next *url.URL) bool { return next.Path == "/auth/authorize/corp" }
	answer := halfway.logIn(halfway.loginForm("/private"), ada, password)

	outage(t, with, func() {
		known.wantHome(known.browser, "home of Ada Lovelace")
		unknown.wantRefused(unknown.get("/private"), ginauth.ErrProviderUnavailable)
		halfway.browser.StopAt = nil
		halfway.wantRefused(halfway.must(halfway.browser.Follow(answer)), ginauth.ErrProviderUnavailable)
	})

	with.rotate(t)
	later.Store(int64(6 * time.Second)) // a failure is remembered for five
	for _, s := range []*site{known, unknown, halfway} {
		s.browser = s.newBrowser()
		if u := s.signIn("/private", ada).User; u.Username != ada {
			t.Errorf("signed in as %+v", u)
		}
	}
}

// A restarted server signs with a new key under the kid of the one before.
func tryANewKeyUnderAnOldKid(t *testing.T, with server) {
	s := newSite(t, with, config{})
	outage(t, with, func() {}) // back to its first kid
	s.signIn("/private", ada)
	outage(t, with, func() {})
	s.wantHome(s.browser, "home of Ada Lovelace")
	s.browser = s.newBrowser()
	wantAda(t, s.signIn("/private", ada))
}

// outage stops the server, lets the test do something, and starts it again.
func outage(t *testing.T, with server, meanwhile func()) {
	t.Helper()
	with.down(t)
	defer with.up(t)
	meanwhile()
}
