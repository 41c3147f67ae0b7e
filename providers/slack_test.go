package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestSlackWorkspaceRefusesOthers(t *testing.T) {
	const claim = "https://slack.com/team_id"
	for _, team := range []any{"T0OTHER", "t01kvarnby", "T01KVARNBY2", "", nil, []any{"T01KVARNBY"}} {
		s := newStandIn(t, "slack-workspace")
		s.claims[claim] = team
		s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.rejected", "T01KVARNBY")
	}
}

// A link to /login/slack-workspace cannot choose the workspace; one to
// /login/slack can.
func TestSlackTeamParameter(t *testing.T) {
	s := newStandIn(t, "slack-workspace")
	s.app(s.provider()).get("/login/slack-workspace?team=T0OTHER")
	if got := s.params["team"]; len(got) != 1 || got[0] != "T01KVARNBY" {
		t.Errorf("asked for the workspaces %q", got)
	}
	s = newStandIn(t, "slack")
	s.app(s.provider()).get("/login/slack?team=T0OTHER")
	if got := s.params.Get("team"); got != "T0OTHER" {
		t.Errorf("asked for the workspace %q", got)
	}
}

func TestSlackAddressThatIsNotVerified(t *testing.T) {
	s := newStandIn(t, "slack")
	s.claims["email_verified"] = false
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
}

func TestSlackErrorsUnderStatus200(t *testing.T) {
	s := newStandIn(t, "slack")
	s.answers["token.json"] = []byte(`{"ok":false,"error":"invalid_code"}`)
	s.app(s.provider()).refuses(ginauth.ErrProviderError, "token.error", `\"invalid_code\"`)
}

func TestSlackNonce(t *testing.T) {
	s := newStandIn(t, "slack")
	s.claims["nonce"] = "another"
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "id_token.nonce")
}
