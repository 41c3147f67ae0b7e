package rp

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// With Quirks.HS256, a provider may sign with the client secret, and with its key.
func TestSignedWithTheClientSecret(t *testing.T) {
	t.Parallel()
	const issuer = "https://access.line.me"
	shared := strings.Repeat("0123456789abcdef", 2)
	for _, alg := range []string{"HS256", "RS256"} {
		s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
			s.IDP = sitetest.StartProvider(t, authtest.Config{Now: s.Clock.Now, ClientSecret: shared})
			p := sitetest.Client("demo", s.IDP)
			p.AuthorizeURL, p.TokenURL, p.JWKSURL = s.IDP.URL(authtest.Authorize), s.IDP.URL(authtest.Token), s.IDP.URL(authtest.JWKS)
			p.Issuer, p.Quirks.HS256 = issuer, true
			o.Providers[0] = p
		})
		s.IDP.EditAnswer(func(answer url.Values) { answer.Del("iss") })
		s.IDP.EditIDToken(func(_, c sitetest.Claims) { c["iss"] = issuer })
		s.IDP.ReplaceIDToken(func(compact string) string {
			if alg == "RS256" {
				return compact
			}
			return sitetest.SignHS256([]byte(shared), `{"alg":"HS256","typ":"JWT"}`, sitetest.JWTPart(compact, 1))
		})
		s.AcceptsSignIn(t, "/login/demo")
	}
}

// A TokenIssuer that returns no issuer admits none, regardless of the token.
func TestTokenIssuerThatNamesNone(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(_ *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].TokenIssuer = func(map[string]any) (string, error) { return "", nil }
	})
	s.IDP.EditIDToken(func(_, claims map[string]any) { claims["iss"] = "" })
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.issuer_not_admitted", 1)
	if !strings.Contains(s.Logs.String(), "TokenIssuer") {
		t.Error(s.Logs)
	}
}

// Nor does one that returns an error, regardless of the returned issuer.
func TestTokenIssuerThatFails(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		o.Providers[0].TokenIssuer = func(map[string]any) (string, error) { return s.IDP.Issuer, errors.New("the tenant is closed") }
	})
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.issuer_not_admitted", 1)
	sitetest.WantNames(t, s.Logs.String(), "the tenant is closed")
}
