package ginauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestBackChannelLogoutReachesSessionsWithoutSID(t *testing.T) {
	s := sitetest.NewLogout(t, nil)
	s.IDP.EditIDToken(func(_, claims map[string]any) { delete(claims, "sid") })
	s.SignIn()
	if s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sid": "other"}))); s.User() == nil {
		t.Error("a sid alone ended a session that has none")
	}
	if s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "grace", "sid": "other"}))); s.User() == nil {
		t.Error("the logout of another user ended the session")
	}
	s.Clock.Advance(2 * time.Second)
	if s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada", "sid": "other"}))); s.User() != nil {
		t.Error("a token with sub and sid did not reach a session without sid")
	}
}

// Anyone can post a logout token. Its header is read before its signature is verified, so the
// log truncates what the error quotes from it.
func TestStrangersTokenDoesNotFillTheLog(t *testing.T) {
	s := sitetest.New(t, nil)
	s.SignIn()
	before := len(s.Logs.String())
	header := `{"alg":"RS256","kid":"` + s.IDP.KeyID() + `","x5c":["` + strings.Repeat("A", 30<<10) + `"]}`
	s.RefusesLogoutToken(t, s.BackChannel(sitetest.Base64([]byte(header))+".e30.AAAA"))
	if logged := len(s.Logs.String()) - before; logged == 0 || logged > 2<<10 {
		t.Errorf("%d bytes were logged", logged)
	}
}

// The provider learns that its logout token was accepted, even if middleware in front set
// another status before.
func TestBackChannelAnswersOK(t *testing.T) {
	t.Parallel()
	s := sitetest.NewLogout(t, func(s *sitetest.Site, _ *ginauth.Options) {
		s.Engine.Use(func(c *gin.Context) { c.Status(http.StatusNotFound) })
	})
	if p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(sitetest.Claims{"sub": "ada"}))); p.Status != http.StatusOK {
		t.Errorf("the response is %d: %s", p.Status, p.Text())
	}
}

// A plain OAuth 2.0 provider has no keys, and so cannot sign users out.
func TestBackChannelOfAPlainProvider(t *testing.T) {
	t.Parallel()
	s := sitetest.NewPlain(t, `{"id":7}`, nil)
	s.SignIn()
	p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "7"})))
	s.RefusesLogoutToken(t, p)
}

// If a logout token cannot be verified now, the provider should send it again.
func TestBackChannelDuringAnOutage(t *testing.T) {
	t.Parallel()
	for _, e := range []authtest.Endpoint{authtest.Discovery, authtest.JWKS} {
		s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.Fail(e, authtest.Down) })
		s.As("ada")
		p := s.BackChannel(s.IDP.Sign(sitetest.LogoutHeader, s.LogoutClaims(map[string]any{"sub": "ada"})))
		if p.Status != http.StatusBadGateway || !strings.Contains(p.Text(), string(ginauth.ErrProviderUnavailable)) || s.User() == nil {
			t.Errorf("without %v: %d %s", e, p.Status, p.Text())
		}
	}
}
