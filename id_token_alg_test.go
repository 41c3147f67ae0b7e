package ginauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// signingSite is a site whose provider publishes an RSA key, for every algorithm of
// RSA, and a P-256 key, and is held to one algorithm, or to none if that is "".
func signingSite(t *testing.T, registered string) (*site, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(s *site, o *ginauth.Options) { o.Providers[0].IDTokenAlg = registered })
	s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
		delete(keys[0], "alg")
		return append(keys, ecJWK("curve", &key.PublicKey))
	})
	s.idp.EditMetadata(func(m map[string]any) {
		m["id_token_signing_alg_values_supported"] = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256"}
	})
	return s, key
}

// A client that is registered for one algorithm takes ID tokens and logout tokens
// that are signed with it, and no others, although the provider has keys for them.
func TestIDTokenAlg(t *testing.T) {
	algs := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256"}
	for _, registered := range append([]string{""}, algs...) {
		t.Run("registered for "+registered, func(t *testing.T) {
			t.Parallel()
			s, key := signingSite(t, registered)
			sign := func(alg, typ string, claims map[string]any) string {
				if alg == "ES256" {
					return signed(key, map[string]any{"alg": alg, "kid": "curve", "typ": typ}, jsonOf(claims))
				}
				return s.idp.Sign(map[string]any{"alg": alg, "typ": typ}, claims)
			}
			tokens := 0
			for _, alg := range algs {
				s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "at_hash") })
				s.idp.ReplaceIDToken(func(compact string) string {
					c, err := readClaims(decoded(compact, 1))
					if err != nil {
						t.Error(err)
					}
					return sign(alg, "JWT", c)
				})
				s.browser = s.newBrowser()
				tokens++
				if registered != "" && registered != alg {
					s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, fmt.Sprintf(`signed with algorithm \"%s\"; expected one of [\"%s\"]`, alg, registered), tokens)
					continue
				}
				s.accepts(t, "/login/demo")
			}
			s.idp.ReplaceIDToken(func(compact string) string {
				c, _ := readClaims(decoded(compact, 1))
				return sign(registeredOr(registered, "RS256"), "JWT", c)
			})
			for _, alg := range algs {
				s.clock.Advance(2 * time.Second) // a sign-out counts for the ID tokens of its second
				s.browser = s.newBrowser()
				s.accepts(t, "/login/demo")
				p := s.backChannel(sign(alg, "logout+jwt", s.claimsFor(map[string]any{"sub": "ada"})))
				want := http.StatusOK
				if registered != "" && registered != alg {
					want = http.StatusBadRequest
				}
				if gone := s.user() == nil; p.Status != want || gone != (want == http.StatusOK) {
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

// What the metadata does not offer is not widened by the registration, and the
// algorithm of signed userinfo is another registration.
func TestIDTokenAlgAndMetadata(t *testing.T) {
	t.Parallel()
	s, _ := signingSite(t, "ES256")
	s.idp.EditMetadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"RS256"} })
	s.refuses(t, "/login/demo", ginauth.ErrProviderMisconfigured, `Provider.IDTokenAlg is \"ES256\"`, 0)

	s, key := signingSite(t, "RS256")
	s.idp.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = w.Write([]byte(signed(key, map[string]any{"alg": "ES256", "kid": "curve"},
			jsonOf(map[string]any{"iss": s.idp.Issuer, "aud": s.idp.ClientID, "sub": "ada", "name": "Ada of userinfo"}))))
	})
	s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "name") })
	if u := s.accepts(t, "/login/demo"); u.Name != "Ada of userinfo" {
		t.Errorf("the name is %q", u.Name)
	}
}

// Endpoints that are configured need no metadata to be held to one algorithm.
func TestIDTokenAlgWithoutMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		p := &o.Providers[0]
		p.AuthorizeURL, p.TokenURL, p.JWKSURL, p.UserinfoURL = s.idp.URL(authtest.Authorize), s.idp.URL(authtest.Token), s.idp.URL(authtest.JWKS), s.idp.URL(authtest.Userinfo)
		p.IDTokenAlg = "PS256"
	})
	s.idp.EditJWKS(func(keys []map[string]any) []map[string]any { delete(keys[0], "alg"); return keys })
	s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "compare Provider.IDTokenAlg", 1)
	s.idp.EditIDToken(func(header, c map[string]any) { header["alg"] = "PS256"; delete(c, "at_hash") })
	s.accepts(t, "/login/demo")
}

func TestMistakesInIDTokenAlg(t *testing.T) {
	var all []mistake
	for _, name := range []string{"none", "HS256", "HS512", "rs256", "RS256 ", "RS1", "RSA-OAEP", "ES256K", "Ed25519", "*", "RS256,ES256"} {
		all = append(all, onProvider("registered for "+name, func(p *ginauth.Provider) { p.IDTokenAlg = name }, "IDTokenAlg: ", fmt.Sprintf("%q is not a signature algorithm", name), "RS256, "))
	}
	reports(t, append(all,
		onProvider("an algorithm and a shared secret", func(p *ginauth.Provider) {
			p.Issuer, p.ClientSecret, p.Quirks.HS256, p.IDTokenAlg = "https://access.line.me", strings.Repeat("s", 32), true, "ES256"
		}, "IDTokenAlg: ", "Quirks.HS256", "drop one"),
		onPlain("an algorithm", func(p *ginauth.Provider) { p.IDTokenAlg = "RS256" }, "IDTokenAlg: ", "has no Issuer", "drop it, or set Issuer"),
	))
}

// Diagnose reports what is accepted in the end.
func TestDiagnoseIDTokenAlg(t *testing.T) {
	t.Parallel()
	s, _ := signingSite(t, "ES256")
	p := s.auth.Diagnose(t.Context()).Providers[0]
	if !slices.Equal(p.Algorithms, []string{"ES256"}) || p.Keys["ES256"] != 1 || len(p.Keys) != 1 {
		t.Errorf("the algorithms are %v, and the keys %v", p.Algorithms, p.Keys)
	}
}
