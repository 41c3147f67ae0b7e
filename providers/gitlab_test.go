package providers_test

import (
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

func TestGitLabAddressThatIsNotVerified(t *testing.T) {
	s := newStandIn(t, "gitlab")
	s.claims["email_verified"] = false // and userinfo says otherwise
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
}

func TestGitLabProfileOfAnotherPerson(t *testing.T) {
	s := newStandIn(t, "gitlab")
	s.answers["userinfo.json"] = []byte(strings.ReplaceAll(string(read(t, "gitlab/userinfo.json")), "4711042", "4711043"))
	s.app(s.provider()).refuses(ginauth.ErrUserinfoInvalid, "userinfo.sub")
}

// The same number on two servers is two people.
func TestGitLabServersDoNotShareTheirPeople(t *testing.T) {
	var ids []string
	for _, name := range []string{"gitlab", "gitlab-self-managed"} {
		s := newStandIn(t, name)
		s.claims["sub"] = "17"
		s.answers["userinfo.json"] = []byte(`{"sub":"17","name":"Petra Lindqvist"}`)
		ids = append(ids, s.app(s.provider()).signIn().ID())
	}
	if ids[0] == ids[1] {
		t.Errorf("the ids are %q", ids)
	}
}
