package ginauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// oddKeys are what key sets have beside the keys that we can use.
func oddKeys() []map[string]any {
	private := rsaJWK("leaked", &strangerKey().PublicKey)
	private["d"] = b64(strangerKey().D.Bytes())
	encryption := rsaJWK("encryption", &strangerKey().PublicKey)
	encryption["use"] = "enc"
	return []map[string]any{
		{"kty": "EC", "crv": "secp256k1", "kid": "koblitz", "alg": "ES256K", "use": "sig", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))},
		{"kty": "OKP", "crv": "Ed448", "kid": "ed448", "alg": "EdDSA", "use": "sig", "x": b64(make([]byte, 57))},
		{"kty": "OKP", "crv": "X25519", "kid": "x25519", "x": b64(make([]byte, 32))},
		encryption,
		{"kty": "oct", "kid": "secret", "alg": "HS256", "k": b64([]byte("a secret that was published by mistake"))},
		private,
		rsaJWK("weak", &weakKey().PublicKey),
		{"kty": "AKP", "alg": "ML-DSA-44", "kid": "post-quantum", "pub": b64(make([]byte, 1312))},
		{"kty": "RSA", "kid": "no modulus", "e": "AQAB"},
		{"kty": "RSA", "kid": "not base64", "n": "?", "e": "AQAB"},
		{"kty": "EC", "crv": "P-256", "kid": "not on the curve", "x": b64(make([]byte, 32)), "y": b64([]byte(strings.Repeat("y", 32)))},
		{"kty": 7, "kid": 8},
		{},
		nil,
	}
}

func TestOddKeysBesideAGoodOne(t *testing.T) {
	for i, odd := range append(oddKeys(), nil) {
		t.Run(fmt.Sprintf("%d %v", i, odd["kid"]), func(t *testing.T) {
			t.Parallel()
			for _, before := range []bool{true, false} {
				s := newSite(t, nil)
				s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
					if before {
						return append([]map[string]any{odd}, keys...)
					}
					return append(keys, odd)
				})
				s.accepts(t, "/login/demo")
			}
		})
	}
	t.Run("all of them", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditJWKS(func(keys []map[string]any) []map[string]any { return slices.Concat(oddKeys(), keys, oddKeys()) })
		s.accepts(t, "/login/demo")
		s.idp.EditIDToken(func(header, _ map[string]any) { delete(header, "kid") })
		s.accepts(t, "/login/demo")
	})
}

// TestPublishedSecretsSignNothing: whoever reads the key set can sign with a
// private key that is in it.
func TestPublishedSecretsSignNothing(t *testing.T) {
	for _, kid := range []string{"leaked", "encryption", ""} {
		t.Run("kid "+kid, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.idp.EditJWKS(func(keys []map[string]any) []map[string]any { return append(oddKeys(), keys...) })
			s.idp.ReplaceIDToken(func(c string) string {
				header := claims{"alg": "RS256"}
				if kid != "" {
					header["kid"] = kid
				}
				return signed(strangerKey(), header, decoded(c, 1))
			})
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "the signature", 1)
		})
	}
}

func TestKeySetIsNone(t *testing.T) {
	for name, body := range map[string]string{
		"no keys": `{}`, "an empty list": `{"keys":[]}`, "keys that are no list": `{"keys":{"a":1}}`, "null": `{"keys":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.idp.Handle(authtest.JWKS, answers(200, "application/jwk-set+json", body))
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, noKey, 1)
		})
	}
}

func TestSigningAlgorithms(t *testing.T) {
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := siteOf(t, authtest.Config{SigningAlg: alg}, nil)
			s.accepts(t, "/login/demo")
			s.browser = s.newBrowser()
			s.idp.EditIDToken(func(_, c map[string]any) { c["at_hash"] = "AAAA" + c["at_hash"].(string)[4:] })
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "at_hash does not fit", 2)
			s.idp.EditIDToken(nil)
			s.idp.Fail(authtest.Token, authtest.WrongSignature)
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, wrongSig, 3)
		})
	}
}

// TestCurves: an algorithm belongs to one curve (RFC 7518, section 3.4).
func TestCurves(t *testing.T) {
	for _, tt := range []struct {
		alg   string
		curve elliptic.Curve
		good  bool
	}{
		{"ES256", elliptic.P256(), true}, {"ES384", elliptic.P384(), true}, {"ES512", elliptic.P521(), true},
		{"ES256", elliptic.P384(), false}, {"ES384", elliptic.P256(), false}, {"ES512", elliptic.P384(), false},
		{"RS256", elliptic.P256(), false}, {"EdDSA", elliptic.P256(), false},
	} {
		t.Run(tt.alg+" on "+tt.curve.Params().Name, func(t *testing.T) {
			t.Parallel()
			key, err := ecdsa.GenerateKey(tt.curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t, nil)
			s.idp.EditMetadata(func(m map[string]any) { delete(m, "id_token_signing_alg_values_supported") })
			s.idp.EditJWKS(func([]map[string]any) []map[string]any { return []map[string]any{ecJWK("curve", &key.PublicKey)} })
			s.idp.EditIDToken(func(_, c map[string]any) { delete(c, "at_hash") })
			s.idp.ReplaceIDToken(func(c string) string { return signed(key, claims{"alg": tt.alg, "kid": "curve"}, decoded(c, 1)) })
			if tt.good {
				s.accepts(t, "/login/demo")
				return
			}
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, noKey, 1)
		})
	}
}

func TestFloodOfUnknownKids(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	n := 0
	s.idp.EditIDToken(func(header, _ map[string]any) { n++; header["kid"] = fmt.Sprint("made-up-", n) })
	flood := func() {
		for range 20 {
			s.get("/login/demo")
		}
	}
	flood()
	if got := s.idp.Count(authtest.JWKS); got != 2 {
		t.Errorf("the keys were asked for %d times, want 2", got)
	}
	s.clock.Advance(16 * time.Second)
	flood()
	if got := s.idp.Count(authtest.JWKS); got != 3 {
		t.Errorf("the keys were asked for %d times, want 3", got)
	}
	s.idp.EditIDToken(nil)
	s.accepts(t, "/login/demo")
	s.idp.RotateKey() // found when the cool-down is over
	s.clock.Advance(16 * time.Second)
	s.accepts(t, "/login/demo")
}

// TestWrongSignaturesFetchKeysOnce: a kid that is known is asked for again once,
// and not before the cool-down is over, whoever signed.
func TestWrongSignaturesFetchKeysOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	s.idp.ReplaceIDToken(func(c string) string {
		return signed(strangerKey(), claims{"alg": "RS256", "kid": s.idp.KeyID()}, decoded(c, 1))
	})
	for range 5 {
		s.get("/login/demo")
	}
	if got := s.idp.Count(authtest.JWKS); got != 2 {
		t.Errorf("the keys were asked for %d times, want 2", got)
	}
}

// TestRotationWithoutKids: a token that does not name its key cannot say that
// the keys were changed, so they are asked for again when none fits.
func TestRotationWithoutKids(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.EditIDToken(func(header, _ map[string]any) { delete(header, "kid") })
	s.idp.EditJWKS(func(keys []map[string]any) []map[string]any { delete(keys[0], "kid"); return keys })
	s.signIn()
	s.idp.RotateKey()
	s.clock.Advance(time.Minute)
	s.accepts(t, "/login/demo")
	s.idp.Fail(authtest.Token, authtest.WrongSignature)
	before := s.idp.Count(authtest.JWKS)
	for range 5 {
		s.get("/login/demo")
	}
	if got := s.idp.Count(authtest.JWKS) - before; got > 1 {
		t.Errorf("wrong signatures without a kid asked for the keys %d times", got)
	}
}

func TestWithdrawnKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	s.idp.EditJWKS(func([]map[string]any) []map[string]any {
		return []map[string]any{rsaJWK("new", &strangerKey().PublicKey)}
	})
	s.clock.Advance(50 * time.Minute)
	s.accepts(t, "/login/demo")
	s.clock.Advance(11 * time.Minute)
	s.browser = s.newBrowser()
	s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, noKey, 3)
}

func TestManyAskForKeysOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	if err := s.auth.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		b := s.newBrowser()
		wait.Go(func() {
			if p, err := b.Get(s.URL + "/login/demo"); err != nil || p.Status != http.StatusOK {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
	wait.Wait()
	if got := s.idp.Count(authtest.JWKS); got > 2 { // the first ones ask together, a late one may find nothing in flight
		t.Errorf("the keys were asked for %d times", got)
	}
}

// TestClockPutBack: what was to last a moment does not last a day.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.clock.Advance(24 * time.Hour)
	s.idp.Fail(authtest.JWKS, authtest.Down)
	s.refuses(t, "/login/demo", ginauth.ErrProviderUnavailable, "signing keys", 1)
	s.clock.Advance(-24 * time.Hour)
	s.idp.Heal()
	s.browser = s.newBrowser()
	s.accepts(t, "/login/demo")

	s = newSite(t, nil)
	s.clock.Advance(24 * time.Hour)
	s.idp.Fail(authtest.Discovery, authtest.Down)
	s.get("/login/demo")
	s.clock.Advance(-24 * time.Hour)
	s.idp.Heal()
	s.browser = s.newBrowser()
	s.accepts(t, "/login/demo")
}
