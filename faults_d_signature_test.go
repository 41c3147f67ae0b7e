package ginauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

const (
	wrongAlg    = "the token is signed with algorithm"
	wrongForm   = "the token is not in JWS compact serialization"
	wrongSig    = "the signature is wrong"
	noKey       = "the provider publishes no key for it"
	oddHeader   = "the token's header"
	oddClaims   = "the claims are not strict JSON"
	doubtClaims = "the claims are ambiguous"
)

func d1AlgNone(t *testing.T) {
	alg := func(name, reason string, value any) tokenCase {
		return tokenCase{name, reason, func(_ *site, header, _ claims) { put(header, "alg", value) }}
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{
		alg("None, with a signature", wrongAlg, "None"),
		alg("NONE", wrongAlg, "NONE"),
		alg("empty", wrongAlg, ""),
		alg("absent", wrongAlg, nil),
		alg("a list", wrongAlg, []string{"RS256"}),
		alg("rs256", wrongAlg, "rs256"),
		alg("none, without a signature", wrongForm, "none"),
	})
	rawCases(t, []rawCase{{"none, with a signature", wrongAlg, func(_ *site, compact, _, payload string) string {
		return b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(payload)) + "." + strings.Split(compact, ".")[2]
	}}})
}

func d1AlgsOffered(t *testing.T) {
	for name, offered := range map[string][]string{
		"none": {"none"}, "HS256": {"HS256"}, "none and HS256": {"none", "HS256", "HS512"}, "a made-up one": {"RS999"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.idp.EditMetadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = offered })
			p := s.get("/login/demo")
			s.failsClosed(t, p, closed{code: ginauth.ErrProviderMisconfigured})
			if err := s.auth.Warm(t.Context()); err == nil || !strings.Contains(err.Error(), "signs ID tokens with") {
				t.Errorf("Warm says %v", err)
			}
		})
	}
}

func d2HS256(t *testing.T) {
	der := func(s *site) []byte {
		b, err := x509.MarshalPKIXPublicKey(s.idp.PublicKey())
		if err != nil {
			panic(err)
		}
		return b
	}
	secrets := map[string]func(s *site) []byte{
		"the public key in PEM":     func(s *site) []byte { return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der(s)}) },
		"the public key in DER":     der,
		"the public key in PKCS #1": func(s *site) []byte { return x509.MarshalPKCS1PublicKey(s.idp.PublicKey().(*rsa.PublicKey)) },
		"the modulus":               func(s *site) []byte { return s.idp.PublicKey().(*rsa.PublicKey).N.Bytes() },
		"the client secret":         func(s *site) []byte { return []byte(s.idp.ClientSecret) },
		"nothing":                   func(*site) []byte { return nil },
	}
	for name, secret := range secrets {
		for _, offered := range [][]string{{"RS256"}, {"RS256", "HS256"}} {
			t.Run(fmt.Sprint(name, " where the metadata offers ", offered), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, nil)
				s.idp.EditMetadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = offered })
				s.idp.ReplaceIDToken(func(compact string) string {
					return hs256(secret(s), `{"alg":"HS256","typ":"JWT","kid":"`+s.idp.KeyID()+`"}`, decoded(compact, 1))
				})
				s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, wrongAlg, 1)
			})
		}
	}
}

func d3OtherAlg(t *testing.T) {
	for _, tt := range []struct {
		offered []string
		alg     string
		good    bool
	}{
		{[]string{"RS256"}, "RS512", false},
		{[]string{"RS256"}, "PS256", false},
		{[]string{"RS256", "none", "HS256"}, "RS384", false},
		{[]string{"RS256", "RS512"}, "RS512", true},
		{[]string{"RS256", "PS256"}, "PS256", true},
		{nil, "PS384", true}, // nothing is said: ours all
	} {
		t.Run(fmt.Sprint(tt.alg, " where the metadata offers ", tt.offered), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.idp.EditMetadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = tt.offered })
			s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
				delete(keys[0], "alg") // any RSA algorithm, as far as the key goes
				return keys
			})
			s.idp.EditIDToken(func(header, c map[string]any) {
				header["alg"] = tt.alg
				delete(c, "at_hash")
			})
			if tt.good {
				s.accepts(t, "/login/demo")
				return
			}
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, wrongAlg, 1)
		})
	}
}

func d4KeyInHeader(t *testing.T) {
	members := map[string]func(s *site) any{
		"jwk": func(*site) any { return rsaJWK("evil", &strangerKey().PublicKey) },
		"jku": func(s *site) any { return s.idp.EvilURL() },
		"x5u": func(s *site) any { return s.idp.EvilURL() },
		"x5c": func(*site) any { return []string{base64.StdEncoding.EncodeToString(selfSigned(t))} },
	}
	for name, value := range members {
		for _, kid := range []string{"published", "unknown"} {
			t.Run(name+" with a kid that is "+kid, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, nil)
				s.idp.ReplaceIDToken(func(compact string) string {
					header := map[string]any{"alg": "RS256", "kid": kid, name: value(s)}
					if kid == "published" {
						header["kid"] = s.idp.KeyID()
					}
					return signed(strangerKey(), header, decoded(compact, 1))
				})
				s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, "the signature", 1)
				if n := s.idp.EvilRequests(); n != 0 {
					t.Errorf("the key's address was asked %d times", n)
				}
			})
		}
	}
}

func selfSigned(t *testing.T) []byte {
	t.Helper()
	key := strangerKey()
	cert := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func d5Crit(t *testing.T) {
	header := func(name string, members claims) tokenCase {
		return tokenCase{name, oddHeader, func(_ *site, header, _ claims) {
			for k, v := range members {
				header[k] = v
			}
		}}
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{
		header("unknown", claims{"crit": []string{"bork"}, "bork": true}),
		header("empty", claims{"crit": []string{}}),
		header("null", claims{"crit": nil}),
		header("b64 that must be understood", claims{"crit": []string{"b64"}, "b64": false}),
		header("b64 that need not be", claims{"b64": false}),
		header("zip", claims{"zip": "DEF"}),
	})
}

func d6TwoAlgs(t *testing.T) {
	var cases []rawCase
	for name, members := range map[string]string{
		"the same one twice": `"alg":"RS256"`, "another": `"alg":"RS512"`, "escaped": `"\u0061lg":"RS512"`, "in upper case": `"ALG":"RS512"`,
		"with another kid": `"Kid":"x"`, "with a Typ": `"Typ":"JWT"`, "with a JWK": `"JWK":{}`, "with a CRIT": `"CRIT":[]`,
	} {
		cases = append(cases, rawCase{name, oddHeader, func(s *site, _, header, payload string) string {
			return s.idp.SignRaw([]byte(adding(members)(header)), []byte(payload))
		}})
	}
	rawCases(t, cases)
}

func d7JSONSerialization(t *testing.T) {
	part := func(compact string, n int) string { return strings.Split(compact, ".")[n] }
	rawCases(t, []rawCase{
		{"flattened", wrongForm, func(_ *site, c, _, _ string) string {
			return jsonOf(claims{"protected": part(c, 0), "payload": part(c, 1), "signature": part(c, 2)})
		}},
		{"general", wrongForm, func(_ *site, c, _, _ string) string {
			return jsonOf(claims{"payload": part(c, 1), "signatures": []claims{{"protected": part(c, 0), "signature": part(c, 2)}}})
		}},
	})
}

func d8WhiteSpace(t *testing.T) {
	around := func(name, before, after string) rawCase {
		return rawCase{name, wrongForm, func(_ *site, c, _, _ string) string { return before + c + after }}
	}
	rawCases(t, []rawCase{
		around("a space before", " ", ""), around("a line break behind", "", "\n"), around("a tab behind", "", "\t"),
		{"a line break within", wrongForm, func(_ *site, c, _, _ string) string { return c[:40] + "\n" + c[40:] }},
		around("nothing", "", ""),
	}[:4])
}

func d9Segments(t *testing.T) {
	rawCases(t, []rawCase{
		{"padded", wrongForm, func(_ *site, c, _, _ string) string { return strings.Replace(c, ".", "==.", 1) }},
		{"in the other alphabet", wrongForm, func(_ *site, c, _, _ string) string { return c[:len(c)-1] + "+" }},
		{"two", wrongForm, func(_ *site, c, _, _ string) string { return c[:strings.LastIndex(c, ".")] }},
		{"two and a dot", wrongForm, func(_ *site, c, _, _ string) string { return c[:strings.LastIndex(c, ".")+1] }},
		{"four", wrongForm, func(_ *site, c, _, _ string) string { return c + ".AAAA" }},
		{"five, as encrypted tokens have", wrongForm, func(*site, string, string, string) string { return "AAAA.AAAA.AAAA.AAAA.AAAA" }},
		{"an empty one", wrongForm, func(*site, string, string, string) string { return ".." }},
		{"a header that is no object", oddHeader, func(s *site, _, _, payload string) string { return s.idp.SignRaw([]byte(`"RS256"`), []byte(payload)) }},
		{"a header with spare bits", wrongForm, func(_ *site, c, _, _ string) string {
			return b64([]byte(`{"a":1}`))[:9] + "R" + c[strings.Index(c, "."):]
		}},
		{"a signature with spare bits", wrongForm, func(_ *site, c, _, _ string) string {
			return c[:len(c)-1] + string(c[len(c)-1]+1) // A, Q, g and w leave none
		}},
		{"a hundred thousand dots", "longer than 64 KB", func(*site, string, string, string) string { return strings.Repeat(".", 100_000) }},
		{"a token of 70 KB", "longer than 64 KB", func(s *site, _, header, payload string) string {
			return s.idp.SignRaw([]byte(header), []byte(adding(`"x":"`+strings.Repeat("x", 70<<10)+`"`)(payload)))
		}},
	})
}

func d10WrongSignature(t *testing.T) {
	signature := func(change func(sig []byte) []byte) func(*site, string, string, string) string {
		return func(_ *site, c, _, _ string) string {
			dot := strings.LastIndex(c, ".")
			sig, _ := base64.RawURLEncoding.DecodeString(c[dot+1:])
			return c[:dot+1] + b64(change(sig))
		}
	}
	rawCases(t, []rawCase{
		{"another key", wrongSig, func(s *site, _, _, payload string) string {
			return signed(strangerKey(), claims{"alg": "RS256", "kid": s.idp.KeyID()}, payload)
		}},
		{"one bit differs", wrongSig, signature(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })},
		{"cut short", wrongSig, signature(func(b []byte) []byte { return b[:len(b)-1] })},
		{"a byte more", wrongSig, signature(func(b []byte) []byte { return append(b, 0) })},
		{"a zero byte before", wrongSig, signature(func(b []byte) []byte { return slices.Insert(b, 0, 0) })},
		{"all zero", wrongSig, signature(func(b []byte) []byte { return make([]byte, len(b)) })},
		{"one byte", wrongSig, signature(func([]byte) []byte { return []byte{1} })},
		{"a claim changed", wrongSig, func(_ *site, c, _, payload string) string {
			parts := strings.Split(c, ".")
			return parts[0] + "." + b64([]byte(strings.Replace(payload, `"ada"`, `"eve"`, 1))) + "." + parts[2]
		}},
		{"a header changed", wrongSig, func(_ *site, c, header, _ string) string {
			_, rest, _ := strings.Cut(c, ".")
			return b64([]byte(adding(`"x":1`)(header))) + "." + rest
		}},
	})
	t.Run("the fault of a provider", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.Fail(authtest.Token, authtest.WrongSignature)
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, wrongSig, 1)
	})
}

// d10WrongSignatureOtherKeys has what libraries for elliptic curves got wrong:
// zeros that verify for every key (CVE-2022-21449), ASN.1 in the place of two
// numbers, a second form of the same signature.
func d10WrongSignatureOtherKeys(t *testing.T) {
	order := elliptic.P256().Params().N
	l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	for _, tt := range []struct {
		name, alg string
		change    func(sig []byte) []byte
	}{
		{"two zeros", "ES256", func([]byte) []byte { return make([]byte, 64) }},
		{"nothing but r", "ES256", func(b []byte) []byte { return b[:32] }},
		{"r and s exchanged", "ES256", func(b []byte) []byte { return append(slices.Clone(b[32:]), b[:32]...) }},
		{"the order for both", "ES256", func([]byte) []byte { n := order.Bytes(); return append(n, n...) }},
		{"a byte more", "ES256", func(b []byte) []byte { return append(b, 0) }},
		{"halves of 33 bytes", "ES256", func(b []byte) []byte {
			return slices.Concat([]byte{0}, b[:32], []byte{0}, b[32:])
		}},
		{"in ASN.1", "ES256", func(b []byte) []byte {
			der := append([]byte{2, 33, 0}, b[:32]...)
			der = append(append(der, 2, 33, 0), b[32:]...)
			return append([]byte{0x30, byte(len(der))}, der...)
		}},
		{"zeros", "EdDSA", func([]byte) []byte { return make([]byte, 64) }},
		{"cut short", "EdDSA", func(b []byte) []byte { return b[:63] }},
		{"s plus the order", "EdDSA", func(b []byte) []byte {
			s := slices.Clone(b[32:])
			slices.Reverse(s)
			sum := new(big.Int).Add(new(big.Int).SetBytes(s), l).FillBytes(make([]byte, 32))
			slices.Reverse(sum)
			return append(b[:32], sum...)
		}},
	} {
		t.Run(tt.alg+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			s := siteOf(t, authtest.Config{SigningAlg: tt.alg}, nil)
			s.idp.ReplaceIDToken(func(c string) string {
				dot := strings.LastIndex(c, ".")
				sig, _ := base64.RawURLEncoding.DecodeString(c[dot+1:])
				return c[:dot+1] + b64(tt.change(sig))
			})
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, wrongSig, 1)
			s.idp.ReplaceIDToken(nil)
			s.accepts(t, "/login/demo")
		})
	}
}

// keyCase publishes the signing key with members changed.
func keyCase(t *testing.T, name, reason string, members claims) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
			for member, value := range members {
				put(keys[0], member, value)
			}
			return keys
		})
		if reason == "" {
			s.accepts(t, "/login/demo")
			return
		}
		s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, reason, 1)
	})
}

func d11KeyUse(t *testing.T) {
	keyCase(t, "use is enc", "jwt.no_key", claims{"use": "enc"})
	keyCase(t, "use is a list", "jwt.no_key", claims{"use": []string{"sig"}})
	keyCase(t, "alg is another", "jwt.no_key", claims{"alg": "RS512"})
	keyCase(t, "alg is one for encryption", "jwt.no_key", claims{"alg": "RSA-OAEP"})
	keyCase(t, "key_ops without verify", "jwt.no_key", claims{"key_ops": []string{"sign"}})
	keyCase(t, "key_ops is a text", "jwt.no_key", claims{"key_ops": "verify"})
	keyCase(t, "key_ops with verify", "", claims{"key_ops": []string{"verify"}})
	keyCase(t, "neither use nor alg", "", claims{"use": nil, "alg": nil})
}

func d12WeakRSA(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
		return append(keys, rsaJWK("weak", &weakKey().PublicKey))
	})
	s.idp.ReplaceIDToken(func(c string) string {
		return signed(weakKey(), claims{"alg": "RS256", "kid": "weak"}, decoded(c, 1))
	})
	s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, noKey, 1)
	s.idp.ReplaceIDToken(nil)
	s.accepts(t, "/login/demo")
}

func d13NoKid(t *testing.T) {
	kid := func(name string, value any) tokenCase {
		return tokenCase{name, "jwt.kid", func(_ *site, header, _ claims) { header["kid"] = value }}
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{kid("a number", 1), kid("null", nil), kid("a list", []string{"a"})})
	for name, jwks := range map[string]func(keys []map[string]any) []map[string]any{
		"one key": func(keys []map[string]any) []map[string]any { return keys },
		"several keys": func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{rsaJWK("other", &strangerKey().PublicKey)}, keys...)
		},
		"keys that have none either": func(keys []map[string]any) []map[string]any { delete(keys[0], "kid"); return keys },
		"a key of an unknown kind": func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{{"kty": "QQ", "kid": "q"}}, keys...)
		},
		"things that are no keys at all": func(keys []map[string]any) []map[string]any { return append([]map[string]any{nil, {}}, keys...) },
	} {
		t.Run("none in the token and "+name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.idp.EditJWKS(jwks)
			s.idp.EditIDToken(func(header, _ map[string]any) { delete(header, "kid") })
			s.accepts(t, "/login/demo")
		})
	}
	t.Run("one in the token and none in the keys", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditJWKS(func(keys []map[string]any) []map[string]any { delete(keys[0], "kid"); return keys })
		s.accepts(t, "/login/demo")
	})
	t.Run("two keys of one kid", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{rsaJWK(keys[0]["kid"].(string), &strangerKey().PublicKey)}, keys...)
		})
		s.accepts(t, "/login/demo")
	})
	t.Run("an EC key of the same kid", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
			return append([]map[string]any{ecJWK(keys[0]["kid"].(string), &ecKey().PublicKey)}, keys...)
		})
		s.accepts(t, "/login/demo")
	})
}

func ecKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func d13TenKeys(t *testing.T) {
	for _, others := range []int{9, 10} {
		t.Run(fmt.Sprint(others, " keys before the right one"), func(t *testing.T) {
			t.Parallel()
			s := siteOf(t, authtest.Config{SigningAlg: "ES256"}, nil)
			s.idp.EditJWKS(func(keys []map[string]any) []map[string]any {
				var all []map[string]any
				for i := range others {
					all = append(all, ecJWK(fmt.Sprint("other", i), &ecKey().PublicKey))
				}
				return append(all, keys...)
			})
			s.idp.EditIDToken(func(header, _ map[string]any) { delete(header, "kid") })
			if others < 10 {
				s.accepts(t, "/login/demo")
				return
			}
			s.refuses(t, "/login/demo", ginauth.ErrIDTokenInvalid, wrongSig, 1)
		})
	}
}
