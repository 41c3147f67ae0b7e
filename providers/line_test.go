package providers_test

import (
	"crypto/x509"
	"encoding/base64"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth"
)

// HS256 is verified with the channel secret, and with nothing else.
func TestLINESignatures(t *testing.T) {
	public, err := x509.MarshalPKIXPublicKey(signingKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(claims map[string]any) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(mustJSON(claims)) + "."
	}
	hs := func(secret []byte) func(map[string]any) string {
		return func(claims map[string]any) string {
			return sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: secret}, claims)
		}
	}
	for _, tt := range []struct {
		name, id string
		sign     func(claims map[string]any) string
	}{
		{"another secret", "jwt.signature", hs([]byte("another secret of 32 bytes and more"))},
		{"the public key as the secret", "jwt.signature", hs(public)},
		{"no signature", "jwt.malformed", unsigned},
		{"HS512", "jwt.algorithm", func(claims map[string]any) string {
			return sign(t, jose.SigningKey{Algorithm: jose.HS512, Key: []byte(testClientSecret + testClientSecret)}, claims)
		}},
		{"RS256, which LINE does not use", "jwt.algorithm", func(claims map[string]any) string {
			return sign(t, jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: signingKey(), KeyID: "test"}}, claims)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t, "line")
			s.sign = tt.sign
			s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, tt.id)
		})
	}
}

// No other provider's tokens are taken that way.
func TestHS256IsForLINEAlone(t *testing.T) {
	s := newStandIn(t, "google")
	s.IDToken.Alg = "HS256"
	s.app(s.provider()).refuses(ginauth.ErrIDTokenInvalid, "jwt.algorithm")
	p := s.provider()
	p.Quirks.HS256 = true
	if err := mount(p); err == nil {
		t.Error("HS256 was accepted for Google")
	}
}

func TestLINEAddressesAreNotVerified(t *testing.T) {
	s := newStandIn(t, "line")
	if u := s.app(s.provider()).signIn(); u.EmailVerified || u.Email == "" {
		t.Errorf("signed in as %+v", u)
	}
}
