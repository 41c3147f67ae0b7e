package providers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// The claim says that the account is active, whether or not anybody confirmed
// the address.
func TestGiteaEmailIsNotVerified(t *testing.T) {
	for _, name := range []string{"gitea", "forgejo", "codeberg"} {
		s := newStandIn(t, name)
		if u := s.app(s.provider()).signIn(); u.Email == "" || u.EmailVerified {
			t.Errorf("%s: signed in as %+v", name, u)
		}
		p := s.provider()
		p.EmailVerified = nil // as the documentation says, for a server that asks
		if u := s.app(p).signIn(); !u.EmailVerified {
			t.Errorf("%s: signed in as %+v", name, u)
		}
	}
}

func TestGiteaGroups(t *testing.T) {
	s := newStandIn(t, "gitea")
	s.Authorize.Params["scope"] = "openid profile email groups"
	s.claims["groups"] = []string{"mill", "mill:owners"}
	p := s.provider()
	p.Scopes = append(p.Scopes, "groups")
	if u := s.app(p).signIn(); !slices.Equal(u.Groups, []string{"mill", "mill:owners"}) {
		t.Errorf("the groups are %q", u.Groups)
	}
}

// A server with the other spelling of its issuer is one whose people have other
// ids: nobody gets in, and the log says what to write.
func TestGiteaWithASlash(t *testing.T) {
	for _, name := range []string{"gitea", "forgejo"} {
		s := newStandIn(t, name)
		s.discovery["issuer"] = "https://git.kvarnbygd.example/"
		s.app(s.provider()).refuses(ginauth.ErrProviderMisconfigured, "discovery.issuer_mismatch", `set Issuer to \"https://git.kvarnbygd.example/\"`)
	}
}

func TestNextcloudProfile(t *testing.T) {
	s := newStandIn(t, "nextcloud")
	s.answers["user.json"] = []byte(`{"ocs":{"meta":{"status":"ok"},"data":{"id":"petra l@kvarnbygd/1","email":null,"display-name":"Petra","groups":[]}}}`)
	u := s.app(s.provider()).signIn()
	if u.Subject != "petra l@kvarnbygd/1" || u.Name != "Petra" || u.Email != "" || len(u.Groups) != 0 ||
		u.Picture != "https://cloud.kvarnbygd.example/index.php/avatar/petra%20l@kvarnbygd%2F1/512" {
		t.Errorf("signed in as %+v", u)
	}
	s = newStandIn(t, "nextcloud")
	s.answers["user.json"] = []byte(`{"ocs":{"meta":{"status":"failure","statuscode":997},"data":[]}}`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
}

func TestZitadelRoles(t *testing.T) {
	s := newStandIn(t, "zitadel")
	s.claims["roles"] = []string{"baker"} // an action of theirs; what is signed wins
	if u := s.app(s.provider()).signIn(); !slices.Equal(u.Groups, []string{"baker"}) {
		t.Errorf("the groups are %q", u.Groups)
	}
	s = newStandIn(t, "zitadel")
	s.answers["userinfo.json"] = []byte(`{"sub":"278412906358210047","roles":["clerk"],"urn:zitadel:iam:org:project:roles":{"miller":{}}}`)
	if u := s.app(s.provider()).signIn(); !slices.Equal(u.Groups, []string{"clerk"}) {
		t.Errorf("the groups are %q", u.Groups)
	}
	s = newStandIn(t, "zitadel")
	s.answers["userinfo.json"] = []byte(`{"sub":"278412906358210047","urn:zitadel:iam:org:project:roles":"admin"}`)
	if u := s.app(s.provider()).signIn(); len(u.Groups) != 0 {
		t.Errorf("the groups are %q", u.Groups)
	}
	s = newStandIn(t, "zitadel")
	s.answers["userinfo.json"] = []byte(`{"sub":"another","urn:zitadel:iam:org:project:roles":{"admin":{}}}`)
	s.app(s.provider()).refuses(ginauth.ErrUserinfoInvalid, "userinfo.sub")
}

func TestFusionAuthTenant(t *testing.T) {
	for _, tid := range []any{"aaaaaaaa-93c5-4be8-8e17-a1b2c3d4e5f6", nil} {
		s := newStandIn(t, "fusionauth")
		s.claims["tid"] = tid
		s.answers["userinfo.json"] = []byte(`{"sub":"29ac0c18-0b4a-42cf-82fc-03d570318a1d"}`)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.rejected", "of the tenant")
	}
	s := newStandIn(t, "fusionauth")
	s.discovery["issuer"] = "acme.com" // what it is until somebody sets it
	s.Authorize.Answer["iss"] = "acme.com"
	s.app(s.provider()).refuses(ginauth.ErrIssuerMismatch, "response.issuer", "acme.com")
}

// All policies of a tenant have one issuer and may share their keys.
func TestAzureADB2CPolicy(t *testing.T) {
	for _, claim := range []string{"tfp", "acr"} {
		s := newStandIn(t, "azure-ad-b2c")
		s.claims["tfp"] = nil
		s.claims[claim] = "B2C_1_without_second_factor"
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.rejected", "B2C_1_signin")
		s = newStandIn(t, "azure-ad-b2c")
		s.claims["tfp"] = nil
		s.claims[claim] = "b2c_1_signin"
		s.app(s.provider()).signIn()
	}
	s := newStandIn(t, "azure-ad-b2c")
	s.claims["iss"] = "https://kvarnbygd.b2clogin.com/aaaaaaaa-8f40-4a37-b6d5-0e1f2a3b4c5d/v2.0/"
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "jwt.issuer")
}

// A flag that came with another address does not count for the one of the list.
func TestAzureADB2CEmailIsNotVerified(t *testing.T) {
	s := newStandIn(t, "azure-ad-b2c")
	s.claims["email"], s.claims["email_verified"] = "hollow-oak@kvarnbygd.example", true
	if u := s.app(s.provider()).signIn(); u.Email != "petra@kvarnbygd.example" || u.EmailVerified {
		t.Errorf("signed in as %+v", u)
	}
}

// Nothing of these two is discovered: what is at the issuer's address, if
// anything, speaks of another tenant or policy.
func TestPresetsThatAreNotDiscovered(t *testing.T) {
	for _, name := range []string{"fusionauth", "azure-ad-b2c"} {
		s := newStandIn(t, name)
		s.app(s.provider()).signIn()
		if n := s.requests("GET " + s.Discovery); n != 0 {
			t.Errorf("%s: discovered %d times", name, n)
		}
	}
}

func TestADFSEmailIsNotVerified(t *testing.T) {
	s := newStandIn(t, "adfs")
	u := s.app(s.provider()).signIn()
	if u.Email == "" || u.EmailVerified || !strings.HasSuffix(u.Subject, "=") {
		t.Errorf("signed in as %+v", u)
	}
}

// Without a web API's rules there is nothing to ask for in that way.
func TestADFSWithoutAResource(t *testing.T) {
	s := newStandIn(t, "adfs")
	s.Authorize.Params = map[string]string{"scope": "openid profile email"}
	s.Authorize.Absent = []string{"resource", "response_mode"}
	delete(s.claims, "email")
	delete(s.claims, "group")
	u := s.app(providers.ADFS("sts.kvarnbygd.example", "", testClientID, testClientSecret)).signIn()
	if u.Username != "petra@kvarnbygd.example" || u.Email != "" || len(u.Groups) != 0 {
		t.Errorf("signed in as %+v", u)
	}
}

func TestSelfHostedSignOut(t *testing.T) {
	for name, at := range map[string]string{
		"authentik":    "login.kvarnbygd.example/application/o/mill-app/end-session/",
		"zitadel":      "login.kvarnbygd.example/oidc/v1/end_session",
		"ory-hydra":    "login.kvarnbygd.example/oauth2/sessions/logout",
		"logto":        "login.kvarnbygd.example/oidc/session/end",
		"onelogin":     "kvarnbygd.onelogin.com/oidc/2/logout",
		"pingone":      "login.kvarnbygd.example/4b7c1e02-5f3a-4d68-9a1b-2c3d4e5f6a7b/as/signoff",
		"fusionauth":   "login.kvarnbygd.example/oauth2/logout",
		"duende":       "login.kvarnbygd.example/connect/endsession",
		"adfs":         "sts.kvarnbygd.example/adfs/oauth2/logout",
		"azure-ad-b2c": "kvarnbygd.b2clogin.com/kvarnbygd.onmicrosoft.com/B2C_1_signin/oauth2/v2.0/logout",
	} {
		s := newStandIn(t, name)
		a := s.app(s.provider())
		to := a.signOut()
		q := to.Query()
		if to.Host+to.Path != at || strings.Count(q.Get("id_token_hint"), ".") != 2 || q.Get("client_id") != testClientID || q.Get("post_logout_redirect_uri") != a.URL+"/logout/return" {
			t.Errorf("%s: went to %s", name, to)
		}
	}
}
