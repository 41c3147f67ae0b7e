package providers_test

import (
	"net/http"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// google is a stand-in at which somebody signs in, with the claims in file.
func google(t *testing.T, preset, file string) *standIn {
	t.Helper()
	s := newStandIn(t, preset)
	s.claims = nil
	decode(t, "google/"+file, &s.claims)
	s.claims["azp"] = testClientID
	return s
}

func TestGoogleAddressThatIsNotVerified(t *testing.T) {
	s := google(t, "google", "unverified.json")
	u := s.app(s.provider()).signIn()
	if email, ok := u.VerifiedEmail(); ok || email != "" || u.Email != "someone@elsewhere.example" {
		t.Errorf("got %q (%v) of %q", email, ok, u.Email)
	}
}

// A personal account with an address at the company's domain, which its owner
// may have lost since, is not an account of the company's Workspace.
func TestGooglePersonalAccountIsNotOfTheWorkspace(t *testing.T) {
	s := google(t, "google", "personal.json")
	a := s.app(s.provider())
	if u := a.signIn(); !u.EmailVerified || u.Email != "petra@kvarnbygd.example" {
		t.Fatalf("the test's person is %+v", u)
	}
	if page := a.get("/workspace"); page.Status != http.StatusForbidden {
		t.Errorf("HasClaim hd: status %d", page.Status)
	}
	s = google(t, "google", "workspace.json")
	a = s.app(s.provider())
	a.signIn()
	if page := a.get("/workspace"); page.Status != http.StatusOK {
		t.Errorf("HasClaim hd: status %d", page.Status)
	}
}

// The parameter hd can be changed by the person; what counts is the token's.
func TestGoogleWorkspaceAdmitsItsDomainAlone(t *testing.T) {
	for _, hd := range []any{nil, "", "other.example", "KVARNBYGD.EXAMPLE", "kvarnbygd.example.evil.example", "x.kvarnbygd.example", "kvarnbygd.example ", []string{"kvarnbygd.example"}, true} {
		s := google(t, "google-workspace", "workspace.json")
		s.claims["hd"] = hd
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.rejected", "Workspace")
	}
}

func TestGooglePassesOnHints(t *testing.T) {
	s := google(t, "google", "workspace.json")
	s.lenient = true // without the parameters that dialect.json expects
	s.app(s.provider()).get("/login/google?hd=kvarnbygd.example&login_hint=petra%40kvarnbygd.example&prompt=select_account&access_type=offline")
	for name, want := range map[string]string{
		"hd": "kvarnbygd.example", "login_hint": "petra@kvarnbygd.example", "prompt": "select_account", "access_type": "",
	} {
		if got := s.params.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	s = google(t, "google-workspace", "workspace.json")
	s.app(s.provider()).get("/login/google-workspace?hd=evil.example")
	if hd := s.params["hd"]; len(hd) != 1 || hd[0] != "kvarnbygd.example" {
		t.Errorf("hd is %q", hd)
	}
}

func TestOIDC(t *testing.T) {
	idp, err := authtest.Start(authtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	idp.SignInAs("ada")
	u := newApp(t, providers.OIDC("corp", idp.Issuer, idp.ClientID, idp.ClientSecret)).signIn()
	if u.Provider != "corp" || u.ID() != idp.Issuer+"#ada" || u.Username != "ada" {
		t.Errorf("signed in as %+v", u)
	}
}

// A preset is a plain value: a second client at one provider is another name.
func TestPresetsCanBeChanged(t *testing.T) {
	g := newGitHub(t)
	p := g.provider()
	p.Name, p.Scopes, p.AuthParams = "github-work", []string{"user:email", "read:org"}, map[string]string{"allow_signup": "false"}
	if u := newApp(t, p).signIn(); u.Provider != "github-work" || u.Subject != "98765432" {
		t.Errorf("signed in as %+v", u)
	}
	if g.params.Get("scope") != "user:email read:org" || g.params.Get("allow_signup") != "false" {
		t.Errorf("GitHub was sent %v", g.params)
	}
}
