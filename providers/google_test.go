package providers_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// startGoogle starts a provider whose metadata and ID tokens look like Google's:
// testdata/google/metadata.json, and the claims in file. It returns the preset
// with the provider's issuer in it.
func startGoogle(t *testing.T, file string) (*authtest.Provider, ginauth.Provider) {
	t.Helper()
	idp, err := authtest.Start(authtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	idp.SignInAs("ada") // whose claims are replaced below
	var metadata, person map[string]any
	for name, into := range map[string]*map[string]any{"metadata.json": &metadata, file: &person} {
		if err := json.Unmarshal(read(t, "google/"+name), into); err != nil {
			t.Fatal(err)
		}
	}
	idp.EditMetadata(func(m map[string]any) {
		delete(m, "authorization_response_iss_parameter_supported")
		maps.Copy(m, metadata)
	})
	idp.EditIDToken(func(_, claims map[string]any) {
		for _, name := range []string{"preferred_username", "locale", "groups", "sid", "picture"} {
			delete(claims, name)
		}
		claims["azp"] = claims["aud"]
		maps.Copy(claims, person)
	})
	p := providers.Google(idp.ClientID, idp.ClientSecret)
	p.Issuer = idp.Issuer
	return idp, p
}

func TestGoogle(t *testing.T) {
	idp, p := startGoogle(t, "workspace.json")
	a := newApp(t, p)
	want(t, a.signIn(), ginauth.User{
		Provider: "google", Issuer: idp.Issuer, Subject: "104729104729104729104",
		Name: "Petra Lindqvist", Email: "petra@kvarnbygd.example", EmailVerified: true,
		Picture: "https://lh3.googleusercontent.com/a/ACg8ocMadeUpForTestsOnly=s96-c",
	})
	if page := a.get("/workspace"); page.Status != http.StatusOK {
		t.Errorf("HasClaim hd: status %d", page.Status)
	}
	if n := idp.Count(authtest.Userinfo); n != 0 {
		t.Errorf("userinfo was asked %d times", n)
	}
	token := idp.LastRequest(authtest.Token)
	if token.Header.Get("Authorization") != "" || token.Form.Get("client_secret") != idp.ClientSecret || token.Form.Get("code_verifier") == "" {
		t.Errorf("the token request is %v with Authorization %q", token.Form, token.Header.Get("Authorization"))
	}
	if scope := idp.LastRequest(authtest.Authorize).Form.Get("scope"); scope != "openid email profile" {
		t.Errorf("scope is %q", scope)
	}
}

func TestGoogleAddressThatIsNotVerified(t *testing.T) {
	_, p := startGoogle(t, "unverified.json")
	u := newApp(t, p).signIn()
	if email, ok := u.VerifiedEmail(); ok || email != "" || u.Email != "someone@elsewhere.example" {
		t.Errorf("got %q (%v) of %q", email, ok, u.Email)
	}
}

// A personal account with an address at the company's domain, which its owner
// may have lost since, is not an account of the company's Workspace.
func TestGooglePersonalAccountIsNotOfTheWorkspace(t *testing.T) {
	_, p := startGoogle(t, "personal.json")
	a := newApp(t, p)
	if u := a.signIn(); !u.EmailVerified || u.Email != "petra@kvarnbygd.example" {
		t.Fatalf("the test's person is %+v", u)
	}
	if page := a.get("/workspace"); page.Status != http.StatusForbidden {
		t.Errorf("HasClaim hd: status %d", page.Status)
	}
	p.VerifyClaims = func(claims map[string]any) error {
		if claims["hd"] != "kvarnbygd.example" {
			return errors.New("not an account of kvarnbygd.example")
		}
		return nil
	}
	newApp(t, p).refuses(ginauth.IdentityRejected, "not an account of kvarnbygd.example")
}

func TestGooglePassesOnHints(t *testing.T) {
	idp, p := startGoogle(t, "workspace.json")
	newApp(t, p).get("/login/google?hd=kvarnbygd.example&login_hint=petra%40kvarnbygd.example&prompt=select_account&access_type=offline")
	form := idp.LastRequest(authtest.Authorize).Form
	for name, want := range map[string]string{
		"hd": "kvarnbygd.example", "login_hint": "petra@kvarnbygd.example", "prompt": "select_account", "access_type": "",
	} {
		if got := form.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
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
