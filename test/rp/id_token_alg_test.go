package rp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// signingSite is a site whose provider publishes an RSA key, for every RSA algorithm, and a
// P-256 key, and whose IDTokenAlg is alg.
func signingSite(t *testing.T, registered string) (*sitetest.Site, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) { o.Providers[0].IDTokenAlg = registered })
	s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
		delete(keys[0], "alg")
		return append(keys, sitetest.ECJWK("curve", &key.PublicKey))
	})
	s.IDP.EditMetadata(func(m map[string]any) {
		m["id_token_signing_alg_values_supported"] = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256"}
	})
	return s, key
}

// A client that is registered for one algorithm accepts only ID tokens and logout tokens that
// are signed with it, although the provider has keys for others.
func TestIDTokenAlg(t *testing.T) {
	algs := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256"}
	for _, registered := range append([]string{""}, algs...) {
		t.Run("registered for "+registered, func(t *testing.T) {
			t.Parallel()
			s, key := signingSite(t, registered)
			sign := func(alg, typ string, claims map[string]any) string {
				if alg == "ES256" {
					return sitetest.SignJWT(key, map[string]any{"alg": alg, "kid": "curve", "typ": typ}, sitetest.JSON(claims))
				}
				return s.IDP.Sign(map[string]any{"alg": alg, "typ": typ}, claims)
			}
			tokens := 0
			for _, alg := range algs {
				s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "at_hash") })
				s.IDP.ReplaceIDToken(func(compact string) string {
					c, err := claimsIn(sitetest.JWTPart(compact, 1))
					if err != nil {
						t.Error(err)
					}
					return sign(alg, "JWT", c)
				})
				s.Browser = s.NewBrowser()
				tokens++
				if registered != "" && registered != alg {
					s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.algorithm", tokens)
					sitetest.WantNames(t, s.Logs.String(), fmt.Sprintf(`\"%s\"`, alg), fmt.Sprintf(`[\"%s\"]`, registered))
					continue
				}
				s.AcceptsSignIn(t, "/login/demo")
			}
			s.IDP.ReplaceIDToken(func(compact string) string {
				c, _ := claimsIn(sitetest.JWTPart(compact, 1))
				return sign(registeredOr(registered, "RS256"), "JWT", c)
			})
			for _, alg := range algs {
				s.Clock.Advance(2 * time.Second) // a sign-out revokes the ID tokens of the same second
				s.Browser = s.NewBrowser()
				s.AcceptsSignIn(t, "/login/demo")
				p := s.BackChannel(sign(alg, "logout+jwt", s.LogoutClaims(map[string]any{"sub": "ada"})))
				want := http.StatusOK
				if registered != "" && registered != alg {
					want = http.StatusBadRequest
				}
				if gone := s.User() == nil; p.Status != want || gone != (want == http.StatusOK) {
					t.Errorf("a logout token signed with %s: status %d, signed out: %v; want %d", alg, p.Status, gone, want)
				}
			}
		})
	}
}

func registeredOr(alg, or string) string {
	if alg == "" {
		return or
	}
	return alg
}

// IDTokenAlg does not add algorithms to those of the metadata, and does not apply to signed
// userinfo, which has a separate registration.
func TestIDTokenAlgAndMetadata(t *testing.T) {
	t.Parallel()
	s, _ := signingSite(t, "ES256")
	s.IDP.EditMetadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"RS256"} })
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderMisconfigured, "discovery.id_token_alg", 0)
	sitetest.WantNames(t, s.Logs.String(), "Provider.IDTokenAlg", `\"ES256\"`)

	s, key := signingSite(t, "RS256")
	s.IDP.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = w.Write([]byte(sitetest.SignJWT(key, map[string]any{"alg": "ES256", "kid": "curve"},
			sitetest.JSON(map[string]any{"iss": s.IDP.Issuer, "aud": s.IDP.ClientID, "sub": "ada", "name": "Ada of userinfo"}))))
	})
	s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "name") })
	if u := s.AcceptsSignIn(t, "/login/demo"); u.Name != "Ada of userinfo" {
		t.Errorf("the name is %q", u.Name)
	}
}

// IDTokenAlg also applies to configured endpoints without metadata.
func TestIDTokenAlgWithoutMetadata(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, func(s *sitetest.Site, o *ginauth.Options) {
		p := &o.Providers[0]
		p.AuthorizeURL, p.TokenURL, p.JWKSURL, p.UserinfoURL = s.IDP.URL(authtest.Authorize), s.IDP.URL(authtest.Token), s.IDP.URL(authtest.JWKS), s.IDP.URL(authtest.Userinfo)
		p.IDTokenAlg = "PS256"
	})
	s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any { delete(keys[0], "alg"); return keys })
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.algorithm", 1)
	sitetest.WantNames(t, s.Logs.String(), "Provider.IDTokenAlg")
	s.IDP.EditIDToken(func(header, c map[string]any) { header["alg"] = "PS256"; delete(c, "at_hash") })
	s.AcceptsSignIn(t, "/login/demo")
}

// Diagnose reports the algorithms that are accepted.
func TestDiagnoseIDTokenAlg(t *testing.T) {
	t.Parallel()
	s, _ := signingSite(t, "ES256")
	p := s.Auth.Diagnose(t.Context()).Providers[0]
	if !slices.Equal(p.Algorithms, []string{"ES256"}) || p.Keys["ES256"] != 1 || len(p.Keys) != 1 {
		t.Errorf("the algorithms are %v, and the keys %v", p.Algorithms, p.Keys)
	}
}

// claimsIn decodes a payload, with unchanged numbers.
func claimsIn(payload string) (claims map[string]any, err error) {
	dec := json.NewDecoder(strings.NewReader(payload))
	dec.UseNumber()
	err = dec.Decode(&claims)
	return claims, err
}
