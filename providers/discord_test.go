package providers_test

import (
	"fmt"
	"testing"

	"github.com/ginauth/ginauth"
)

func TestDiscordAvatars(t *testing.T) {
	const cdn = "https://cdn.discordapp.com/"
	for _, tt := range []struct{ avatar, discriminator, want string }{
		{`"8342729096ea3675442027381ff50dfe"`, `"0"`, cdn + "avatars/175928847299117063/8342729096ea3675442027381ff50dfe.png"},
		{`"a_8342729096ea3675442027381ff50dfe"`, `"0"`, cdn + "avatars/175928847299117063/a_8342729096ea3675442027381ff50dfe.gif"},
		{`null`, `"0"`, cdn + fmt.Sprintf("embed/avatars/%d.png", (175928847299117063>>22)%6)},
		{`null`, `"1337"`, cdn + "embed/avatars/2.png"},
		{`"../../evil"`, `"0"`, ""},
		{`"x?y"`, `"0"`, ""},
	} {
		s := newStandIn(t, "discord")
		s.answers["user.json"] = []byte(`{"id":"175928847299117063","username":"petra.l","global_name":null,"avatar":` + tt.avatar + `,"discriminator":` + tt.discriminator + `}`)
		if u := s.app(s.provider()).signIn(); u.Picture != tt.want || u.Name != "petra.l" || u.EmailVerified {
			t.Errorf("%s: signed in as %+v, want %s", tt.avatar, u, tt.want)
		}
	}
}

func TestDiscordAddressThatIsNotVerified(t *testing.T) {
	s := newStandIn(t, "discord")
	s.answers["user.json"] = []byte(`{"id":"1","username":"petra.l","email":"petra@kvarnbygd.example","verified":false,"email_verified":true}`)
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
}

func TestDiscordAnswersOfAnotherServer(t *testing.T) {
	s := newStandIn(t, "discord")
	s.Authorize.Answer["iss"] = "https://evil.example"
	s.app(s.provider()).refuses(ginauth.ErrIssuerMismatch, "response.issuer", "evil.example")
}
