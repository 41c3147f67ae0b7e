package rp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// oddKeys are entries of key sets beside the usable keys.
func oddKeys() []map[string]any {
	private := sitetest.RSAJWK("leaked", &sitetest.StrangerKey().PublicKey)
	private["d"] = sitetest.Base64(sitetest.StrangerKey().D.Bytes())
	encryption := sitetest.RSAJWK("encryption", &sitetest.StrangerKey().PublicKey)
	encryption["use"] = "enc"
	return []map[string]any{
		{"kty": "EC", "crv": "secp256k1", "kid": "koblitz", "alg": "ES256K", "use": "sig", "x": sitetest.Base64(make([]byte, 32)), "y": sitetest.Base64(make([]byte, 32))},
		{"kty": "OKP", "crv": "Ed448", "kid": "ed448", "alg": "EdDSA", "use": "sig", "x": sitetest.Base64(make([]byte, 57))},
		{"kty": "OKP", "crv": "X25519", "kid": "x25519", "x": sitetest.Base64(make([]byte, 32))},
		encryption,
		{"kty": "oct", "kid": "secret", "alg": "HS256", "k": sitetest.Base64([]byte("a secret that was published by mistake"))},
		private,
		sitetest.RSAJWK("weak", &sitetest.WeakKey().PublicKey),
		{"kty": "AKP", "alg": "ML-DSA-44", "kid": "post-quantum", "pub": sitetest.Base64(make([]byte, 1312))},
		{"kty": "RSA", "kid": "no modulus", "e": "AQAB"},
		{"kty": "RSA", "kid": "not base64", "n": "?", "e": "AQAB"},
		{"kty": "EC", "crv": "P-256", "kid": "not on the curve", "x": sitetest.Base64(make([]byte, 32)), "y": sitetest.Base64([]byte(strings.Repeat("y", 32)))},
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
				s := sitetest.New(t, nil)
				s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
					if before {
						return append([]map[string]any{odd}, keys...)
					}
					return append(keys, odd)
				})
				s.AcceptsSignIn(t, "/login/demo")
			}
		})
	}
	t.Run("all of them", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any { return slices.Concat(oddKeys(), keys, oddKeys()) })
		s.AcceptsSignIn(t, "/login/demo")
		s.IDP.EditIDToken(func(header, _ map[string]any) { delete(header, "kid") })
		s.AcceptsSignIn(t, "/login/demo")
	})
}

// TestPublishedSecretsSignNothing: anyone can sign with a private key in a published key set.
func TestPublishedSecretsSignNothing(t *testing.T) {
	for kid, id := range map[string]string{"leaked": sitetest.NoKey, "encryption": sitetest.NoKey, "": sitetest.WrongSig} {
		t.Run("kid "+kid, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any { return append(oddKeys(), keys...) })
			s.IDP.ReplaceIDToken(func(c string) string {
				header := sitetest.Claims{"alg": "RS256"}
				if kid != "" {
					header["kid"] = kid
				}
				return sitetest.SignJWT(sitetest.StrangerKey(), header, sitetest.JWTPart(c, 1))
			})
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, id, 1)
		})
	}
}

func TestKeySetIsNone(t *testing.T) {
	for name, body := range map[string]string{
		"no keys": `{}`, "an empty list": `{"keys":[]}`, "keys that are no list": `{"keys":{"a":1}}`, "null": `{"keys":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.Handle(authtest.JWKS, sitetest.AnswerWith(200, "application/jwk-set+json", body))
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.NoKey, 1)
		})
	}
}

func TestSigningAlgorithms(t *testing.T) {
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := sitetest.NewWith(t, authtest.Config{SigningAlg: alg}, nil)
			s.AcceptsSignIn(t, "/login/demo")
			s.Browser = s.NewBrowser()
			s.IDP.EditIDToken(func(_, c map[string]any) { c["at_hash"] = "AAAA" + c["at_hash"].(string)[4:] })
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "id_token.at_hash", 2)
			s.IDP.EditIDToken(nil)
			s.IDP.Fail(authtest.Token, authtest.WrongSignature)
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.WrongSig, 3)
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
			s := sitetest.New(t, nil)
			s.IDP.EditMetadata(func(m map[string]any) { delete(m, "id_token_signing_alg_values_supported") })
			s.IDP.EditJWKS(func([]map[string]any) []map[string]any {
				return []map[string]any{sitetest.ECJWK("curve", &key.PublicKey)}
			})
			s.IDP.EditIDToken(func(_, c map[string]any) { delete(c, "at_hash") })
			s.IDP.ReplaceIDToken(func(c string) string {
				return sitetest.SignJWT(key, sitetest.Claims{"alg": tt.alg, "kid": "curve"}, sitetest.JWTPart(c, 1))
			})
			if tt.good {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.NoKey, 1)
		})
	}
}

func TestFloodOfUnknownKids(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	n := 0
	s.IDP.EditIDToken(func(header, _ map[string]any) { n++; header["kid"] = fmt.Sprint("made-up-", n) })
	flood := func() {
		for range 20 {
			s.Get("/login/demo")
		}
	}
	flood()
	if got := s.IDP.Count(authtest.JWKS); got != 2 {
		t.Errorf("the keys were requested %d times, want 2", got)
	}
	s.Clock.Advance(16 * time.Second)
	flood()
	if got := s.IDP.Count(authtest.JWKS); got != 3 {
		t.Errorf("the keys were requested %d times, want 3", got)
	}
	s.IDP.EditIDToken(nil)
	s.AcceptsSignIn(t, "/login/demo")
	s.IDP.RotateKey() // found after the cool-down
	s.Clock.Advance(16 * time.Second)
	s.AcceptsSignIn(t, "/login/demo")
}

// TestWrongSignaturesFetchKeysOnce: the keys are fetched again once for a known kid, and not
// again before the cool-down has ended.
func TestWrongSignaturesFetchKeysOnce(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.IDP.ReplaceIDToken(func(c string) string {
		return sitetest.SignJWT(sitetest.StrangerKey(), sitetest.Claims{"alg": "RS256", "kid": s.IDP.KeyID()}, sitetest.JWTPart(c, 1))
	})
	for range 5 {
		s.Get("/login/demo")
	}
	if got := s.IDP.Count(authtest.JWKS); got != 2 {
		t.Errorf("the keys were requested %d times, want 2", got)
	}
}

// TestForgedLogoutTokensDoNotDelayARotation: anyone can send a token that causes a useless
// request for keys; the keys for a sign-in are fetched nevertheless.
func TestForgedLogoutTokensDoNotDelayARotation(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]sitetest.Claims{
		"a made-up kid":                  {"alg": "RS256", "kid": "made-up"},
		"a known kid, another signature": {"alg": "RS256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.SignIn()
			header, before := maps.Clone(header), s.IDP.Count(authtest.JWKS)
			if header["kid"] == nil {
				header["kid"] = s.IDP.KeyID()
			}
			for range 20 {
				s.RefusesLogoutToken(t, s.BackChannel(sitetest.SignJWT(sitetest.StrangerKey(), header, sitetest.JSON(s.LogoutClaims(nil)))))
			}
			if got := s.IDP.Count(authtest.JWKS) - before; got != 1 {
				t.Errorf("the keys were requested %d times, want once", got)
			}
			s.IDP.RotateKey()
			s.AcceptsSignIn(t, "/login/demo")
		})
	}
}

// TestRotationWithoutKids: a token without a kid cannot show that the keys were changed, so they
// are fetched again if none matches.
func TestRotationWithoutKids(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.EditIDToken(func(header, _ map[string]any) { delete(header, "kid") })
	s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any { delete(keys[0], "kid"); return keys })
	s.SignIn()
	s.IDP.RotateKey()
	s.Clock.Advance(time.Minute)
	s.AcceptsSignIn(t, "/login/demo")
	s.IDP.Fail(authtest.Token, authtest.WrongSignature)
	before := s.IDP.Count(authtest.JWKS)
	for range 5 {
		s.Get("/login/demo")
	}
	if got := s.IDP.Count(authtest.JWKS) - before; got > 1 {
		t.Errorf("wrong signatures without a kid requested the keys %d times", got)
	}
}

func TestWithdrawnKey(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.IDP.EditJWKS(func([]map[string]any) []map[string]any {
		return []map[string]any{sitetest.RSAJWK("new", &sitetest.StrangerKey().PublicKey)}
	})
	s.Clock.Advance(50 * time.Minute)
	s.AcceptsSignIn(t, "/login/demo")
	s.Clock.Advance(11 * time.Minute)
	s.Browser = s.NewBrowser()
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.NoKey, 3)
}

func TestManyAskForKeysOnce(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	if err := s.Auth.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		b := s.NewBrowser()
		wait.Go(func() {
			if p, err := b.Get(s.URL + "/login/demo"); err != nil || p.Status != http.StatusOK {
				t.Errorf("%v, %v", p, err)
			}
		})
	}
	wait.Wait()
	if got := s.IDP.Count(authtest.JWKS); got > 2 { // the first ones share a request, a late one may find none in flight
		t.Errorf("the keys were requested %d times", got)
	}
}

// TestClockPutBack: a cool-down does not last a day if the clock is set back.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.Clock.Advance(24 * time.Hour)
	s.IDP.Fail(authtest.JWKS, authtest.Down)
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, "http.status", 1)
	sitetest.WantNames(t, s.Logs.String(), `op="signing keys"`)
	s.Clock.Advance(-24 * time.Hour)
	s.IDP.Heal()
	s.Browser = s.NewBrowser()
	s.AcceptsSignIn(t, "/login/demo")

	s = sitetest.New(t, nil)
	s.Clock.Advance(24 * time.Hour)
	s.IDP.Fail(authtest.Discovery, authtest.Down)
	s.Get("/login/demo")
	s.Clock.Advance(-24 * time.Hour)
	s.IDP.Heal()
	s.Browser = s.NewBrowser()
	s.AcceptsSignIn(t, "/login/demo")
}

// A key with an issuer, like Microsoft's, is an ordinary key if the Provider has no TokenIssuer.
func TestKeysThatNameAnIssuer(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any { keys[0]["issuer"] = "https://other.example"; return keys })
	s.AcceptsSignIn(t, "/login/demo")
}

// A token without a kid that is signed with a known key causes no request for keys.
func TestATokenWithoutAKidAsksForKeysOnce(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.EditIDToken(func(header, _ sitetest.Claims) { delete(header, "kid") })
	for range 3 {
		s.AcceptsSignIn(t, "/login/demo")
		s.Clock.Advance(time.Minute)
	}
	if n := s.IDP.Count(authtest.JWKS); n != 1 {
		t.Errorf("the keys were requested %d times", n)
	}
}

// Unavailable keys are not requested at every sign-in.
func TestAnOutageOfKeysIsRemembered(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.Fail(authtest.JWKS, authtest.Down)
	for range 5 {
		s.Get("/login/demo")
	}
	if n := s.IDP.Count(authtest.JWKS); n != 1 {
		t.Errorf("the keys were requested %d times", n)
	}
	s.IDP.Heal()
	s.Clock.Advance(6 * time.Second)
	s.AcceptsSignIn(t, "/login/demo")
}

// A token with a kid is not verified with a key without a kid before the keys have been fetched
// again to look for that kid.
func TestAKeyGetsItsName(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any { delete(keys[0], "kid"); return keys })
	s.AcceptsSignIn(t, "/login/demo")
	s.IDP.EditJWKS(nil)
	s.IDP.RotateKey()
	s.Clock.Advance(time.Minute)
	s.AcceptsSignIn(t, "/login/demo")
}
