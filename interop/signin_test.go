package interop

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func TestSigningInAndOut(t *testing.T) {
	for name, conf := range map[string]config{
		"provider":               {},
		"issuer with a slash":    {slash: true},
		"the other HTTP server":  {legacy: true},
		"the other, and a slash": {legacy: true, slash: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, conf)
			form := s.loginForm("/private?tab=2")

			again := s.logIn(form, testUser, "a wrong password")
			if again.URL.Path != "/login/username" || !strings.Contains(again.Text(), "username or password wrong") {
				t.Fatalf("a wrong password led to %s: %s", again.URL, again.Text())
			}
			if home := s.get("/"); home.Text() != "home" || s.idp.requests("/oauth/token") != 0 {
				t.Fatalf("after a wrong password: %s, %d token requests", home.Text(), s.idp.requests("/oauth/token"))
			}

			p := s.logIn(again, testUser, password)
			if got := strings.TrimSuffix(p.URL.String(), "#"); got != s.URL+"/private?tab=2" {
				t.Fatalf("the sign-in ended at %s", got)
			}
			wantTestUser(t, s, s.profileOn(p))
			if home := s.get("/"); home.Text() != "home of Test User" {
				t.Errorf("home says %q", home.Text())
			}

			s.signOut()
			if n := s.idp.requests("/end_session"); n != 1 {
				t.Errorf("the provider was asked %d times to end its session, want once", n)
			}
			second := s.signIn("/private", otherUser)
			if second.User.Name != "Test User2" || second.ID != s.idp.issuer+"#id2" {
				t.Errorf("the second sign-in made %s %+v", second.ID, second.User)
			}
		})
	}
}

// wantTestUser checks what the application learns of the example's first
// person. The ID token says who it is; the rest is in the userinfo answer.
func wantTestUser(t *testing.T, s *site, who *profile) {
	t.Helper()
	u := who.User
	if who.ID != s.idp.issuer+"#id1" || u.Provider != "zitadel" || u.Issuer != s.idp.issuer || u.Subject != "id1" {
		t.Errorf("signed in as %s: %+v", who.ID, u)
	}
	if u.Name != "Test User" || u.Username != testUser || u.Locale != "de" {
		t.Errorf("the profile is %+v", u)
	}
	if email, ok := u.VerifiedEmail(); !ok || email != "test-user@zitadel.ch" {
		t.Errorf("the verified e-mail address is %q, %v", email, ok)
	}
	if age := time.Since(u.AuthTime); age < 0 || age > time.Minute {
		t.Errorf("the person proved who they are at %s, %s ago", u.AuthTime, age)
	}
	if token, userinfo := s.idp.requests("/oauth/token"), s.idp.requests("/userinfo"); token != 1 || userinfo != 1 {
		t.Errorf("a sign-in made %d token and %d userinfo requests, want one each", token, userinfo)
	}
}

// signOut presses the button, and checks that it leads home, maybe by way of the
// provider, and that the old cookies are worth nothing afterwards.
func (s *site) signOut() {
	s.t.Helper()
	stolen := s.browser.Clone()
	s.t.Cleanup(stolen.Close)
	p := s.must(s.browser.SubmitForm(s.get("/auth/logout"), "Sign out", nil))
	if p.Status != http.StatusOK || p.Text() != "home" {
		s.t.Fatalf("signing out ended at %s with status %d: %s", p.URL, p.Status, p.Text())
	}
	s.loginForm("/private")
	if home := s.must(stolen.Get(s.URL + "/")); home.Text() != "home" {
		s.t.Errorf("a copy of the cookies still opens the %s", home.Text())
	}
}

func TestSigningOut(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*ginauth.Provider, *ginauth.Options)
		asked  int // how often the provider is
	}{
		"here only":                 {func(p *ginauth.Provider, _ *ginauth.Options) { p.Logout.Local = true }, 0},
		"at the provider too":       {func(p *ginauth.Provider, _ *ginauth.Options) { p.Logout = ginauth.ProviderLogout{} }, 1},
		"with the ID token as hint": {func(p *ginauth.Provider, _ *ginauth.Options) { p.Logout.IDTokenHint = true }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, config{change: tt.change})
			s.signIn("/private", testUser)
			s.signOut()
			if n := s.idp.requests("/end_session"); n != tt.asked {
				t.Errorf("the provider was asked %d times to end its session, want %d", n, tt.asked)
			}
		})
	}
}

func TestThePersonRefuses(t *testing.T) {
	for name, legacy := range map[string]bool{"provider": false, "the other HTTP server": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, config{legacy: legacy})
			form := s.loginForm("/private?tab=3")
			refuse := "/refuse?id=" + url.QueryEscape(form.URL.Query().Get("authRequestID"))
			p := s.must(s.browser.Click(form, refuse))
			s.wantRefused(p, ginauth.ErrProviderDenied)
			if n := s.idp.requests("/oauth/token"); n != 0 {
				t.Errorf("a refusal led to %d token requests", n)
			}

			again := s.must(s.browser.ClickLink(p, "Try again"))
			s.wantLoginForm(again)
			landed := s.logIn(again, testUser, password)
			if s.profileOn(landed).ID != s.idp.issuer+"#id1" || landed.URL.RawQuery != "tab=3" {
				t.Errorf("trying again ended at %s: %s", landed.URL, landed.Text())
			}
		})
	}
}

// prompt=none asks the provider not to show anything. The example's storage
// keeps no sign-ins of its own, so it always answers login_required.
func TestPromptNone(t *testing.T) {
	s := newSite(t, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.LoginParams = []string{"prompt", "max_age"} }})
	s.wantRefused(s.get("/auth/login/zitadel?prompt=none"), ginauth.ErrProviderDenied)
	s.loginForm("/auth/login/zitadel?prompt=login")
	p := s.logIn(s.loginForm("/auth/login/zitadel?return_to=/private&max_age=60"), testUser, password)
	wantTestUser(t, s, s.profileOn(p))
}

func TestUserinfo(t *testing.T) {
	for mode, want := range map[string]struct {
		name     string
		requests int
	}{
		"missing": {"Test User", 1},
		"always":  {"Test User", 1},
		"never":   {"", 0}, // the provider's ID tokens bear no profile
	} {
		t.Run(mode, func(t *testing.T) {
			s := newSite(t, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.Userinfo = mode }})
			who := s.signIn("/private", testUser)
			if who.User.Name != want.name || who.User.Subject != "id1" || s.idp.requests("/userinfo") != want.requests {
				t.Errorf("got %+v with %d userinfo requests, want %+v", who.User, s.idp.requests("/userinfo"), want)
			}
		})
	}
}

func TestAClaimOfACustomScope(t *testing.T) {
	s := newSite(t, config{change: func(p *ginauth.Provider, o *ginauth.Options) {
		p.Scopes = []string{"openid", "profile", "email", storage.CustomScope}
		p.Userinfo = "always"
		o.KeepClaims = []string{storage.CustomClaim}
	}})
	claim, _ := s.signIn("/private", testUser).Claims[storage.CustomClaim].(map[string]any)
	if claim["client"] != "web" || claim["other"] != "stuff" {
		t.Errorf("the claim is %v", claim)
	}
}

func TestClientAuthentication(t *testing.T) {
	public := func(id, _ string, redirectURIs ...string) *storage.Client {
		return storage.NativeClient(id, redirectURIs...)
	}
	for name, conf := range map[string]config{
		"chosen from the metadata": {},
		"client_secret_basic":      {change: authMethod("client_secret_basic", "secret")},
		"client_secret_post":       {change: authMethod("client_secret_post", "secret")},
		"none":                     {change: authMethod("none", ""), client: public},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, conf)
			wantTestUser(t, s, s.signIn("/private", testUser))
		})
	}
}

func authMethod(method, secret string) func(*ginauth.Provider, *ginauth.Options) {
	return func(p *ginauth.Provider, _ *ginauth.Options) { p.AuthMethod, p.ClientSecret = method, secret }
}

func TestAWrongClientSecret(t *testing.T) {
	s := newSite(t, config{change: authMethod("", "not the secret")})
	p := s.logIn(s.loginForm("/private"), testUser, password)
	s.wantRefused(p, ginauth.ErrProviderMisconfigured)
	if n := s.idp.requests("/oauth/token"); n != 1 {
		t.Errorf("a wrong secret was tried %d times, want once", n)
	}
}

func TestFormPost(t *testing.T) {
	s := newSite(t, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.ResponseMode = "form_post" }})
	form := s.logIn(s.loginForm("/private"), testUser, password)
	// A script submits it in a browser that runs scripts.
	p := s.must(s.browser.SubmitFormAt(form, 0, nil))
	if first := p.Hops[0]; first.Method != http.MethodPost || first.URL.Path != "/auth/authorize/zitadel" {
		t.Errorf("the answer came as %s %s, not as a form", first.Method, first.URL)
	}
	wantTestUser(t, s, s.profileOn(p))
}

// An answer that is opened a second time, in this browser or in another one,
// signs nobody in and does not reach the provider.
func TestAnAnswerIsGoodForOneTime(t *testing.T) {
	s := newSite(t, config{})
	var answer string
	for _, hop := range s.logIn(s.loginForm("/private"), testUser, password).Hops {
		if hop.URL.Path == "/auth/authorize/zitadel" {
			answer = hop.URL.String()
		}
	}
	asked := s.idp.requests("/oauth/token")
	if home := s.must(s.browser.Get(answer)); home.Text() != "home of Test User" {
		t.Errorf("opening the answer again led to %s: %s", home.URL, home.Text())
	}
	s.browser = authtest.NewBrowser()
	t.Cleanup(s.browser.Close)
	s.wantRefused(s.must(s.browser.Get(answer)), ginauth.ErrStateInvalid)
	if n := s.idp.requests("/oauth/token") - asked; n != 0 {
		t.Errorf("an answer opened again led to %d token requests", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := newSite(t, config{})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			browser := authtest.NewBrowser()
			defer browser.Close()
			username, id := testUser, "id1"
			if i%2 == 1 {
				username, id = otherUser, "id2"
			}
			if err := signInAs(browser, s.URL, username, s.idp.issuer+"#"+id); err != nil {
				t.Errorf("browser %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if n := s.idp.requests("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("the provider was discovered %d times, want once", n)
	}
}

// signInAs is signIn for goroutines, which must not end the test.
func signInAs(browser *authtest.Browser, app, username, want string) error {
	form, err := browser.Get(app + "/private")
	if err != nil {
		return err
	}
	p, err := browser.SubmitForm(form, "Login", url.Values{"username": {username}, "password": {password}})
	if err != nil {
		return err
	}
	who, err := readProfile(app, p)
	if err == nil && who.ID != want {
		err = fmt.Errorf("signed in as %s, want %s", who.ID, want)
	}
	return err
}
