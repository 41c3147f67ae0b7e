package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestBitbucketAddresses(t *testing.T) {
	for _, tt := range []struct {
		name, emails, email string
		status              int
		verified            bool
	}{
		{"not confirmed", `{"values":[{"email":"petra@new.example","is_primary":true,"is_confirmed":false},{"email":"petra@public.example","is_primary":false,"is_confirmed":true}]}`, "petra@new.example", 200, false},
		{"no primary", `{"values":[{"email":"petra@public.example","is_primary":false,"is_confirmed":true}]}`, "", 200, false},
		{"none", `{"values":[]}`, "", 200, false},
		{"words for flags", `{"values":[{"email":"petra@new.example","is_primary":true,"is_confirmed":"true"}]}`, "petra@new.example", 200, false},
		{"no scope", `{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes."}}`, "", 403, false},
	} {
		s := newStandIn(t, "bitbucket")
		s.answers["emails.json"], s.status["emails.json"] = []byte(tt.emails), tt.status
		// An address in the profile itself is not used.
		s.answers["user.json"] = []byte(`{"account_id":"557058:made-up","display_name":"Petra","email":"victim@kvarnbygd.example","email_verified":true}`)
		if u := s.app(s.provider()).signIn(); u.Email != tt.email || u.EmailVerified != tt.verified {
			t.Errorf("%s: signed in as %+v", tt.name, u)
		}
	}
}

func TestBitbucketThatDoesNotAnswer(t *testing.T) {
	s := newStandIn(t, "bitbucket")
	s.status["emails.json"] = 500
	s.app(s.provider()).refuses(ginauth.ErrProviderUnavailable, "http.status", "500")
}

// A nickname or a uuid is not the subject.
func TestBitbucketWithoutAnAccount(t *testing.T) {
	s := newStandIn(t, "bitbucket")
	s.answers["user.json"] = []byte(`{"display_name":"Petra","nickname":"hollow-oak","uuid":"{3f0c1d9a-52b7-4c11-9a80-1f2e3d4c5b6a}"}`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
}
