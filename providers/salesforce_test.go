package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

// The person of another org has a token of another issuer.
func TestSalesforceRefusesOtherOrgs(t *testing.T) {
	for _, issuer := range []string{"https://login.salesforce.com", "https://other.my.salesforce.com", "https://kvarnbygd.my.salesforce.com/"} {
		s := newStandIn(t, "salesforce")
		s.claims["iss"] = issuer
		s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "")
	}
}

func TestSalesforceUserinfoOfAnother(t *testing.T) {
	s := newStandIn(t, "salesforce")
	s.replace("userinfo.json", "005xx000001SwiUAAS", "005xx000001SwiVAAS")
	s.app(s.provider()).refuses(ginauth.ErrUserinfoInvalid, "userinfo.sub")
}
