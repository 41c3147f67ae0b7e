package providers_test

import (
	"net/url"
	"testing"

	"github.com/ginauth/ginauth"
)

func TestHubSpotTokensThatAreNotActive(t *testing.T) {
	for _, active := range []string{`"active": false`, `"active": "true"`, `"actives": true`} {
		s := newStandIn(t, "hubspot")
		s.replace("introspect.json", `"active": true`, active)
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "login.failed", "access token")
	}
}

// Only the application itself may ask who a token is for.
func TestHubSpotIntrospection(t *testing.T) {
	s := newStandIn(t, "hubspot")
	want := url.Values{"client_id": {testClientID}, "client_secret": {testClientSecret}, "token": {testToken}, "token_type_hint": {"access_token"}}
	s.Requests[0].Body = want.Encode()
	s.app(s.provider()).signIn()
}
