package ginauth_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// What a sign-in leaves behind is the person. Pages that show all the claims
// that are kept show nothing of the sign-in itself.
func TestAllClaimsAreKeptButTheNonce(t *testing.T) {
	t.Parallel()
	nonces := 0
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.KeepClaims = []string{"*"}
		o.Hooks.OnLogin = func(_ *gin.Context, login *ginauth.Login) error {
			claims := map[string]any{}
			if err := login.User.Claims(&claims); err != nil || claims["nonce"] == nil {
				t.Errorf("OnLogin gets %v, %v", claims, err)
			}
			nonces++
			return nil
		}
	})
	s.engine.GET("/claims", s.auth.RequireAuth(), func(c *gin.Context) {
		claims, err := ginauth.Claims[map[string]any](c)
		if err != nil || claims["nonce"] != nil || claims["sub"] != "ada" || claims["email"] != "ada@example.com" || claims["at_hash"] == nil {
			t.Errorf("a handler gets %v, %v", claims, err)
		}
		c.JSON(http.StatusOK, claims)
	})
	s.signIn()
	if p := s.get("/claims"); p.Status != http.StatusOK || nonces != 1 {
		t.Errorf("status %d, and %d sign-ins", p.Status, nonces)
	}
}
