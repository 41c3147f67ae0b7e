package providers_test

import "testing"

func TestSpotifyAddressesAreNotVerified(t *testing.T) {
	s := newStandIn(t, "spotify")
	s.answers["me.json"] = []byte(`{"id":"31hollowoakmadeup","display_name":null,"email":"petra@kvarnbygd.example","email_verified":true,"images":[]}`)
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" || u.Picture != "" || u.Name != "" {
		t.Errorf("signed in as %+v", u)
	}
}
