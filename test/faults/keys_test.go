package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsKeys(t *testing.T) {
	runFaults(t, []fault{
		{"D11_key_not_for_verifying", d11KeyNotForVerifying},
		{"D12_rsa_1024", d12Rsa1024},
		{"D13_no_kid", d13NoKid},
		{"D13_at_most_ten_keys_are_tried", d13AtMostTenKeysAreTried},
		{"D41_key_rotated", d41KeyRotated},
		{"D42_keys_unreachable", d42KeysUnreachable},
		{"K9_hostile_key_sets", k9HostileKeySets},
	})
}

func d41KeyRotated(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.SignIn()
	s.IDP.RotateKey()
	s.SignIn()
	if n := s.IDP.Count(authtest.JWKS); n != 2 {
		t.Errorf("the keys were requested %d times, want 2", n)
	}
	s.SignIn()
	if n := s.IDP.Count(authtest.JWKS); n != 2 {
		t.Errorf("the keys were requested %d times after a third sign-in, want 2", n)
	}
}

func d42KeysUnreachable(t *testing.T) {
	for f, id := range map[authtest.Fault]string{
		authtest.Down: "http.status", authtest.HTML: "http.media_type", authtest.Resetting: "http.network", authtest.Redirecting: "http.redirect", authtest.Endless: "http.too_large",
	} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.SignIn()
			s.IDP.Fail(authtest.JWKS, f)
			s.SignIn()
			s.Clock.Advance(3 * time.Hour) // the keys are stale now, but the only ones
			s.SignIn()
			s.Browser = s.NewBrowser()
			s.IDP.RotateKey()
			for range 2 { // the second time without another request for keys
				p := s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, id, s.IDP.Count(authtest.Token)+1)
				sitetest.WantNames(t, s.Logs.String(), `op="signing keys"`)
				if p.Header.Get("Retry-After") == "" {
					t.Error("there is no Retry-After")
				}
			}
			s.IDP.Heal()
			s.Clock.Advance(6 * time.Second)
			s.AcceptsSignIn(t, "/login/demo")
			if n := s.IDP.EvilRequests(); n != 0 {
				t.Errorf("a redirect was followed %d times", n)
			}
		})
	}
	t.Run("from the beginning", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.Handle(authtest.JWKS, http.NotFound)
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrProviderUnavailable, "http.not_found", 1)
		sitetest.WantNames(t, s.Logs.String(), `op="signing keys"`)
	})
}

func d11KeyNotForVerifying(t *testing.T) {
	keyCase(t, "use is enc", "jwt.no_key", sitetest.Claims{"use": "enc"})
	keyCase(t, "use is a list", "jwt.no_key", sitetest.Claims{"use": []string{"sig"}})
	keyCase(t, "alg is another", "jwt.no_key", sitetest.Claims{"alg": "RS512"})
	keyCase(t, "alg is one for encryption", "jwt.no_key", sitetest.Claims{"alg": "RSA-OAEP"})
	keyCase(t, "key_ops without verify", "jwt.no_key", sitetest.Claims{"key_ops": []string{"sign"}})
	keyCase(t, "key_ops is a text", "jwt.no_key", sitetest.Claims{"key_ops": "verify"})
	keyCase(t, "key_ops with verify", "", sitetest.Claims{"key_ops": []string{"verify"}})
	keyCase(t, "neither use nor alg", "", sitetest.Claims{"use": nil, "alg": nil})
}

func d12Rsa1024(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
		return append(keys, sitetest.RSAJWK("weak", &sitetest.WeakKey().PublicKey))
	})
	s.IDP.ReplaceIDToken(func(c string) string {
		return sitetest.SignJWT(sitetest.WeakKey(), sitetest.Claims{"alg": "RS256", "kid": "weak"}, sitetest.JWTPart(c, 1))
	})
	s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.NoKey, 1)
	s.IDP.ReplaceIDToken(nil)
	s.AcceptsSignIn(t, "/login/demo")
}

func d13NoKid(t *testing.T) {
	kid := func(name string, value any) tokenCase {
		return tokenCase{name, "jwt.kid", func(_ *sitetest.Site, header, _ sitetest.Claims) { header["kid"] = value }}
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{kid("a number", 1), kid("null", nil), kid("a list", []string{"a"})})
	for name, jwks := range map[string]func(keys []map[string]any) []map[string]any{
		"one key": func(keys []map[string]any) []map[string]any { return keys },
		"several keys": func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{sitetest.RSAJWK("other", &sitetest.StrangerKey().PublicKey)}, keys...)
		},
		"keys that have none either": func(keys []map[string]any) []map[string]any { delete(keys[0], "kid"); return keys },
		"a key of an unknown kind": func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{{"kty": "QQ", "kid": "q"}}, keys...)
		},
		"things that are no keys at all": func(keys []map[string]any) []map[string]any { return append([]map[string]any{nil, {}}, keys...) },
	} {
		t.Run("none in the token and "+name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.EditJWKS(jwks)
			s.IDP.EditIDToken(func(header, _ map[string]any) { delete(header, "kid") })
			s.AcceptsSignIn(t, "/login/demo")
		})
	}
	t.Run("one in the token and none in the keys", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any { delete(keys[0], "kid"); return keys })
		s.AcceptsSignIn(t, "/login/demo")
	})
	t.Run("two keys of one kid", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{sitetest.RSAJWK(keys[0]["kid"].(string), &sitetest.StrangerKey().PublicKey)}, keys...)
		})
		s.AcceptsSignIn(t, "/login/demo")
	})
	t.Run("an EC key of the same kid", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{sitetest.ECJWK(keys[0]["kid"].(string), &ecKey().PublicKey)}, keys...)
		})
		s.AcceptsSignIn(t, "/login/demo")
	})
}

func d13AtMostTenKeysAreTried(t *testing.T) {
	for _, others := range []int{9, 10} {
		t.Run(fmt.Sprint(others, " keys before the right one"), func(t *testing.T) {
			t.Parallel()
			s := sitetest.NewWith(t, authtest.Config{SigningAlg: "ES256"}, nil)
			s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
				var all []map[string]any
				for i := range others {
					all = append(all, sitetest.ECJWK(fmt.Sprint("other", i), &ecKey().PublicKey))
				}
				return append(all, keys...)
			})
			s.IDP.EditIDToken(func(header, _ map[string]any) { delete(header, "kid") })
			if others < 10 {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.WrongSig, 1)
		})
	}
}

func k9HostileKeySets(t *testing.T) {
	many := func(n int) (keys []map[string]any) {
		key := spareKey("")
		for i := range n {
			keys = append(keys, map[string]any{"kty": "EC", "crv": "P-256", "kid": fmt.Sprint("k", i), "x": key["x"], "y": key["y"]})
		}
		return keys
	}
	for name, c := range map[string]struct {
		edit func(keys []map[string]any) []map[string]any
		code ginauth.Code // "" if it is accepted
	}{
		"99 keys before the one":  {func(keys []map[string]any) []map[string]any { return append(many(99), keys...) }, ""},
		"100 keys before the one": {func(keys []map[string]any) []map[string]any { return append(many(100), keys...) }, ginauth.ErrIDTokenInvalid},
		"10,000 keys":             {func(keys []map[string]any) []map[string]any { return append(keys, many(10_000)...) }, ginauth.ErrProviderUnavailable},
		"10,000 small keys":       {func(keys []map[string]any) []map[string]any { return append(keys, make([]map[string]any, 10_000)...) }, ""},
		"10 MB": {func(keys []map[string]any) []map[string]any {
			return append(keys, map[string]any{"kty": "EC", "padding": strings.Repeat("x", 10<<20)})
		}, ginauth.ErrProviderUnavailable},
		"just above 512 KB": {func(keys []map[string]any) []map[string]any {
			return append(keys, map[string]any{"kty": "EC", "padding": strings.Repeat("x", 512<<10)})
		}, ginauth.ErrProviderUnavailable},
		"just below 512 KB": {func(keys []map[string]any) []map[string]any {
			return append(keys, map[string]any{"kty": "EC", "padding": strings.Repeat("x", 510<<10)})
		}, ""},
		"the private half too": {func(keys []map[string]any) []map[string]any {
			keys[0]["d"] = "c2VjcmV0"
			return keys
		}, ginauth.ErrIDTokenInvalid},
		"a symmetric key of the same name before it": {func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{{"kty": "oct", "kid": keys[0]["kid"], "k": "c2VjcmV0"}}, keys...)
		}, ""},
		"a symmetric key alone": {func(keys []map[string]any) []map[string]any {
			return []map[string]any{{"kty": "oct", "kid": keys[0]["kid"], "k": "c2VjcmV0"}}
		}, ginauth.ErrIDTokenInvalid},
		"keys that nobody can use around it": {func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, {"kty": "RSA"}, {"kty": 7}, nil}, keys...)
		}, ""},
		"none":    {func([]map[string]any) []map[string]any { return nil }, ginauth.ErrIDTokenInvalid},
		"garbage": {func([]map[string]any) []map[string]any { return []map[string]any{{"keys": "x"}} }, ginauth.ErrIDTokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, func(s *sitetest.Site, _ *ginauth.Options) { s.IDP.EditJWKS(c.edit) })
			callback := s.Begin("/login/demo")
			p := s.Finish(callback)
			if c.code == "" {
				if s.User() == nil {
					t.Errorf("no user is signed in: %d %s\n%s", p.Status, p.Text(), s.Logs)
				}
				return
			}
			s.FailsClosed(t, p, sitetest.Closed{Code: c.code, Tokens: 1, Hide: callback.Query()["code"]})
		})
	}
}
