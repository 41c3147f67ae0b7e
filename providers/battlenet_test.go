package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestBattleNetNonce(t *testing.T) {
	for _, nonce := range []any{"another", nil, ""} {
		s := newStandIn(t, "battlenet")
		s.claims["nonce"] = nonce
		s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "id_token.nonce")
	}
}
