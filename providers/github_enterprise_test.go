package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

// Newer servers send iss, as github.com does; it must be the server's.
func TestGitHubEnterpriseAnswersOfAnotherServer(t *testing.T) {
	s := newStandIn(t, "github-enterprise")
	s.Authorize.Answer = map[string]string{"iss": "https://github.kvarnbygd.example/login/oauth"}
	if u := s.app(s.provider()).signIn(); u.ID() != "https://github.kvarnbygd.example/login/oauth#42" {
		t.Errorf("signed in as %+v", u)
	}
	s = newStandIn(t, "github-enterprise")
	s.Authorize.Answer = map[string]string{"iss": "https://github.com/login/oauth"}
	s.app(s.provider()).refuses(ginauth.ErrIssuerMismatch, "response.issuer", "github.com")
}
