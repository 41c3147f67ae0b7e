package providers_test

import (
	"net/url"
	"strings"
	"testing"
)

// signOut signs in and out, wanting to come back to /bye, and returns where the
// provider's own sign-out is.
func (a *app) signOut() *url.URL {
	a.t.Helper()
	a.signIn()
	here := strings.TrimPrefix(a.URL, "http://")
	a.browser.StopAt = func(next *url.URL) bool { return next.Host != here }
	p, err := a.browser.Submit(a.get("/me"), a.URL+"/logout", url.Values{"return_to": {"/bye"}})
	a.browser.StopAt = nil
	if err != nil {
		a.t.Fatal(err)
	}
	to, err := url.Parse(p.Header.Get("Location"))
	if err != nil || to.Host == "" {
		a.t.Fatalf("signing out ended at %s: %v", p.URL, p.Header)
	}
	return to
}

func TestAuth0SignOut(t *testing.T) {
	s := newStandIn(t, "auth0")
	a := s.app(s.provider())
	to := a.signOut()
	back, err := url.Parse(to.Query().Get("returnTo"))
	if err != nil || to.Host+to.Path != "login.kvarnbygd.example/v2/logout" || len(to.Query()) != 2 || to.Query().Get("client_id") != testClientID {
		t.Fatalf("went to %s: %v", to, err)
	}
	if back.Scheme+"://"+back.Host+back.Path != a.URL+"/logout/return" {
		t.Errorf("to come back to %s", back)
	}
	if p := a.get(back.RequestURI()); p.URL.Path != "/bye" {
		t.Errorf("came back to %s", p.URL)
	}
}

func TestCognitoSignOut(t *testing.T) {
	s := newStandIn(t, "cognito")
	a := s.app(s.provider())
	to := a.signOut()
	if to.Host+to.Path != "login.kvarnbygd.example/logout" || len(to.Query()) != 2 || to.Query().Get("client_id") != testClientID ||
		to.Query().Get("logout_uri") != a.URL+"/logout/return" {
		t.Errorf("went to %s", to)
	}
	if p := a.get("/logout/return"); p.URL.Path != "/" {
		t.Errorf("came back to %s", p.URL)
	}
}

// Both ask people to confirm, or refuse, without the hint.
func TestSignOutWithAHint(t *testing.T) {
	for name, path := range map[string]string{
		"okta": "/oauth2/default/v1/logout", "keycloak": "/realms/staff/protocol/openid-connect/logout",
	} {
		s := newStandIn(t, name)
		a := s.app(s.provider())
		q := a.signOut()
		if hint := q.Query().Get("id_token_hint"); q.Host != "login.kvarnbygd.example" || q.Path != path || strings.Count(hint, ".") != 2 {
			t.Errorf("%s: went to %s", name, q)
		}
		if q.Query().Get("post_logout_redirect_uri") != a.URL+"/logout/return" {
			t.Errorf("%s: to come back to %s", name, q)
		}
	}
}
