package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

// Accounts of the sandbox are other people.
func TestPayPalSandboxIsAnotherPlace(t *testing.T) {
	var ids []string
	for _, name := range []string{"paypal", "paypal-sandbox"} {
		s := newStandIn(t, name)
		s.answers["userinfo.json"] = []byte(`{"user_id":"same","name":"Petra"}`)
		ids = append(ids, s.app(s.provider()).signIn().ID())
	}
	if ids[0] == ids[1] {
		t.Errorf("both are %s", ids[0])
	}
}

// What scopes an application asks for, openid is among them.
func TestPayPalScopes(t *testing.T) {
	s := newStandIn(t, "paypal")
	s.Authorize.Params["scope"] = "openid profile address"
	p := s.provider()
	p.Scopes = []string{"profile", "address"}
	s.app(p).signIn()
	s = newStandIn(t, "paypal")
	s.replace("userinfo.json", `"user_id"`, `"payer_id"`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
}
