package sitetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// LogoutClaims returns the claims of a valid logout token with more claims: sub, sid or both.
func (s *Site) LogoutClaims(who map[string]any) map[string]any {
	now := s.Clock.Now()
	claims := map[string]any{
		"iss": s.IDP.Issuer, "aud": s.IDP.ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": fmt.Sprint(now.UnixNano()),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.Copy(claims, who)
	return claims
}

// LogoutHeader is the header of a logout token.
var LogoutHeader = map[string]any{"typ": "logout+jwt"}

// BackChannel posts a logout token as a provider does, without cookies.
func (s *Site) BackChannel(token string) *authtest.Page {
	s.T.Helper()
	return s.BackChannelTo("demo", url.Values{"logout_token": {token}}.Encode(), "application/x-www-form-urlencoded")
}

// BackChannelTo posts a body to the back-channel endpoint of a provider.
func (s *Site) BackChannelTo(provider, body, contentType string) *authtest.Page {
	s.T.Helper()
	req, err := http.NewRequest("POST", s.URL+"/logout/"+provider+"/backchannel", strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	return s.Must(s.NewBrowser().Do(req))
}

// SID returns the provider's session id of the browser's sign-in. The Site must be from NewLogout.
func (s *Site) SID() string {
	s.T.Helper()
	p := s.Must(s.Browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/claims", nil, ""))
	var claims struct{ SID string }
	if err := json.Unmarshal(p.Body, &claims); err != nil || claims.SID == "" {
		s.T.Fatalf("no sid: %s", p.Text())
	}
	return claims.SID
}

// NewLogout is New with sessions that keep their sid.
func NewLogout(t *testing.T, change func(s *Site, o *ginauth.Options)) *Site {
	t.Helper()
	s := New(t, func(s *Site, o *ginauth.Options) {
		o.KeepClaims = []string{"sid"}
		if change != nil {
			change(s, o)
		}
	})
	s.Engine.GET("/claims", s.Auth.RequireAuth(), s.serveClaims)
	return s
}

// RefusesLogoutToken asserts that a page is the response to an invalid logout token, and that the
// browser is still signed in.
func (s *Site) RefusesLogoutToken(t *testing.T, p *authtest.Page) {
	t.Helper()
	if p.Status != http.StatusBadRequest || !strings.Contains(p.Text(), `"error":"invalid_request"`) {
		t.Errorf("answered %d %s; want 400 invalid_request", p.Status, p.Text())
	}
	WantHeaders(t, p)
	if s.User() == nil {
		t.Errorf("the user was signed out\n%s", s.Logs)
	}
}

// LocalOnly removes the provider's end-session endpoint.
func (s *Site) LocalOnly() {
	s.IDP.EditMetadata(func(m map[string]any) { delete(m, "end_session_endpoint") })
}

// Frame opens the front-channel logout of "demo" in a frame of a page at from.
func (s *Site) Frame(b *authtest.Browser, from, query string) *authtest.Page {
	s.T.Helper()
	return s.Must(b.Frame(authtest.At(from), s.URL+"/logout/demo/frontchannel"+query))
}

// serveClaims is a handler that responds with the claims in the session.
func (s *Site) serveClaims(c *gin.Context) {
	claims, err := ginauth.Claims[map[string]any](c)
	if err != nil {
		c.String(http.StatusInternalServerError, err.Error())
		return
	}
	c.JSON(http.StatusOK, claims)
}
