package ginauth_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// claimsFor are those of a good logout token.
func (s *site) claimsFor(who map[string]any) map[string]any {
	now := s.clock.Now()
	claims := map[string]any{
		"iss": s.idp.Issuer, "aud": s.idp.ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": fmt.Sprint(now.UnixNano()),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.Copy(claims, who)
	return claims
}

var logoutTyp = map[string]any{"typ": "logout+jwt"}

// backChannel posts a logout token as a provider does: from nowhere, with no
// cookie.
func (s *site) backChannel(token string) *authtest.Page {
	s.t.Helper()
	return s.backChannelTo("demo", url.Values{"logout_token": {token}}.Encode(), "application/x-www-form-urlencoded")
}

func (s *site) backChannelTo(provider, body, contentType string) *authtest.Page {
	s.t.Helper()
	req, err := http.NewRequest("POST", s.URL+"/logout/"+provider+"/backchannel", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	return s.must(s.newBrowser().Do(req))
}

// sid is the provider's session id of the browser's sign-in.
func (s *site) sid() string {
	s.t.Helper()
	p := s.must(s.browser.Fetch(authtest.At(s.URL+"/"), "GET", s.URL+"/claims", nil, ""))
	var claims struct{ SID string }
	if err := json.Unmarshal(p.Body, &claims); err != nil || claims.SID == "" {
		s.t.Fatalf("no sid: %s", p.Text())
	}
	return claims.SID
}

// newLogoutSite is a site whose sessions know their sid.
func newLogoutSite(t *testing.T, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		o.KeepClaims = []string{"sid"}
		if change != nil {
			change(s, o)
		}
	})
	s.engine.GET("/claims", s.auth.RequireAuth(), s.serveClaims)
	return s
}

// refused asserts the one answer to a bad logout token, and that it did
// nothing.
func (s *site) refused(t *testing.T, p *authtest.Page) {
	t.Helper()
	if p.Status != http.StatusBadRequest || !strings.Contains(p.Text(), `"error":"invalid_request"`) {
		t.Errorf("answered %d %s; want 400 invalid_request", p.Status, p.Text())
	}
	wantHeaders(t, p)
	if s.user() == nil {
		t.Errorf("somebody was signed out\n%s", s.logs)
	}
}
