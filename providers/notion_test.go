package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

// The bot's own id is everybody's who uses the integration in a workspace.
func TestNotionBotsOfAWorkspace(t *testing.T) {
	s := newStandIn(t, "notion")
	s.answers["me.json"] = []byte(`{"object":"user","id":"16d84278-ab0e-484c-9bdd-b35da3bd8905","type":"bot","bot":{"owner":{"type":"workspace","workspace":true}}}`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
}

func TestNotionAddresses(t *testing.T) {
	s := newStandIn(t, "notion")
	s.answers["me.json"] = []byte(`{"id":"bot","email_verified":true,"bot":{"owner":{"user":{"id":"6794760a","name":"Petra","person":{"email":"petra@kvarnbygd.example"}}}}}`)
	if u := s.app(s.provider()).signIn(); u.Email != "petra@kvarnbygd.example" || u.EmailVerified || u.Subject != "6794760a" {
		t.Errorf("signed in as %+v", u)
	}
}
