package providers_test

import (
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// The organization's own authorization server has the organization's address.
func TestOktaWithoutACustomServer(t *testing.T) {
	s := newStandIn(t, "okta")
	for name, value := range s.discovery {
		if address, ok := value.(string); ok {
			s.discovery[name] = strings.Replace(address, "/oauth2/default/v1", "/oauth2/v1", 1)
		}
	}
	s.discovery["issuer"] = "https://login.kvarnbygd.example"
	s.Discovery = "https://login.kvarnbygd.example/.well-known/openid-configuration"
	s.Authorize.URL, s.Token.URL = s.discovery["authorization_endpoint"].(string), s.discovery["token_endpoint"].(string)
	s.Requests[0].URL = s.discovery["userinfo_endpoint"].(string)
	u := s.app(providers.Okta("login.kvarnbygd.example", "", testClientID, testClientSecret)).signIn()
	if u.ID() != "https://login.kvarnbygd.example#00u1kvarnbygdPETRA5d7" || u.Name != "Petra Lindqvist" {
		t.Errorf("signed in as %+v", u)
	}
}

func TestOktaTokenOfAnotherServer(t *testing.T) {
	s := newStandIn(t, "okta")
	s.claims["iss"] = "https://login.kvarnbygd.example"
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "jwt.issuer")
}

func TestOktaAddressThatIsNotVerified(t *testing.T) {
	s := newStandIn(t, "okta")
	s.answers["userinfo.json"] = []byte(strings.Replace(string(read(t, "okta/userinfo.json")), `"email_verified": true`, `"email_verified": false`, 1))
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
}
