package faults

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
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestFaultsSignature(t *testing.T) {
	runFaults(t, []fault{
		{"C24_encrypted_id_token", c24EncryptedIdToken},
		{"D1_alg_none", d1AlgNone},
		{"D1_alg_none_or_hs256_is_all_that_is_offered", d1AlgNoneOrHs256IsAllThatIsOffered},
		{"D2_hs256_with_the_public_key_or_the_secret", d2Hs256WithThePublicKeyOrTheSecret},
		{"D3_alg_not_configured", d3AlgNotConfigured},
		{"D4_key_in_the_header", d4KeyInTheHeader},
		{"D5_crit", d5Crit},
		{"D6_header_with_two_algs", d6HeaderWithTwoAlgs},
		{"D7_json_serialization", d7JsonSerialization},
		{"D8_white_space_around_the_token", d8WhiteSpaceAroundTheToken},
		{"D9_segments_and_padding", d9SegmentsAndPadding},
		{"D10_wrong_signature", d10WrongSignature},
		{"D10_wrong_signature_ec_and_ed", d10WrongSignatureEcAndEd},
	})
}

func c24EncryptedIdToken(t *testing.T) {
	jwe := func(header string) rawCase {
		return rawCase{header, sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string {
			body := base64.RawURLEncoding.EncodeToString([]byte(c))
			return sitetest.Base64([]byte(header)) + "." + sitetest.Base64(make([]byte, 64)) + "." + sitetest.Base64(make([]byte, 12)) + "." + body + "." + sitetest.Base64(make([]byte, 16))
		}}
	}
	rawCases(t, []rawCase{
		jwe(`{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT"}`),
		jwe(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAA"}`),
		jwe(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`),
		{"three parts and zip", sitetest.OddHeader, func(s *sitetest.Site, _, header, payload string) string {
			return s.IDP.SignRaw([]byte(sitetest.Adding(`"zip":"DEF"`)(header)), []byte(payload))
		}},
		{"three parts and enc", sitetest.OddHeader, func(s *sitetest.Site, _, header, payload string) string {
			return s.IDP.SignRaw([]byte(sitetest.Adding(`"enc":"A256GCM"`)(header)), []byte(payload))
		}},
	})
}

func d1AlgNone(t *testing.T) {
	alg := func(name, id string, value any) tokenCase {
		return tokenCase{name, id, func(_ *sitetest.Site, header, _ sitetest.Claims) { sitetest.Put(header, "alg", value) }}
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{
		alg("None, with a signature", sitetest.WrongAlg, "None"),
		alg("NONE", sitetest.WrongAlg, "NONE"),
		alg("empty", sitetest.WrongAlg, ""),
		alg("absent", sitetest.WrongAlg, nil),
		alg("a list", sitetest.WrongAlg, []string{"RS256"}),
		alg("rs256", sitetest.WrongAlg, "rs256"),
		alg("none, without a signature", sitetest.WrongForm, "none"),
	})
	rawCases(t, []rawCase{{"none, with a signature", sitetest.WrongAlg, func(_ *sitetest.Site, compact, _, payload string) string {
		return sitetest.Base64([]byte(`{"alg":"none"}`)) + "." + sitetest.Base64([]byte(payload)) + "." + strings.Split(compact, ".")[2]
	}}})
}

func d1AlgNoneOrHs256IsAllThatIsOffered(t *testing.T) {
	for name, offered := range map[string][]string{
		"none": {"none"}, "HS256": {"HS256"}, "none and HS256": {"none", "HS256", "HS512"}, "a made-up one": {"RS999"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.EditMetadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = offered })
			p := s.Get("/login/demo")
			s.FailsClosed(t, p, sitetest.Closed{Code: ginauth.ErrProviderMisconfigured})
			if err := s.Auth.Warm(t.Context()); !sitetest.HasID(err, "discovery.algorithms") {
				t.Errorf("Warm returned %v", err)
			}
		})
	}
}

func d2Hs256WithThePublicKeyOrTheSecret(t *testing.T) {
	der := func(s *sitetest.Site) []byte {
		b, err := x509.MarshalPKIXPublicKey(s.IDP.PublicKey())
		if err != nil {
			panic(err)
		}
		return b
	}
	secrets := map[string]func(s *sitetest.Site) []byte{
		"the public key in PEM": func(s *sitetest.Site) []byte {
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der(s)})
		},
		"the public key in DER":     der,
		"the public key in PKCS #1": func(s *sitetest.Site) []byte { return x509.MarshalPKCS1PublicKey(s.IDP.PublicKey().(*rsa.PublicKey)) },
		"the modulus":               func(s *sitetest.Site) []byte { return s.IDP.PublicKey().(*rsa.PublicKey).N.Bytes() },
		"the client secret":         func(s *sitetest.Site) []byte { return []byte(s.IDP.ClientSecret) },
		"nothing":                   func(*sitetest.Site) []byte { return nil },
	}
	for name, secret := range secrets {
		for _, offered := range [][]string{{"RS256"}, {"RS256", "HS256"}} {
			t.Run(fmt.Sprint(name, " where the metadata offers ", offered), func(t *testing.T) {
				t.Parallel()
				s := sitetest.New(t, nil)
				s.IDP.EditMetadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = offered })
				s.IDP.ReplaceIDToken(func(compact string) string {
					return sitetest.SignHS256(secret(s), `{"alg":"HS256","typ":"JWT","kid":"`+s.IDP.KeyID()+`"}`, sitetest.JWTPart(compact, 1))
				})
				s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.WrongAlg, 1)
			})
		}
	}
}

func d3AlgNotConfigured(t *testing.T) {
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
		{nil, "PS384", true}, // no restriction: all accepted algorithms
	} {
		t.Run(fmt.Sprint(tt.alg, " where the metadata offers ", tt.offered), func(t *testing.T) {
			t.Parallel()
			s := sitetest.New(t, nil)
			s.IDP.EditMetadata(func(m map[string]any) { m["id_token_signing_alg_values_supported"] = tt.offered })
			s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
				delete(keys[0], "alg") // the key allows any RSA algorithm
				return keys
			})
			s.IDP.EditIDToken(func(header, c map[string]any) {
				header["alg"] = tt.alg
				delete(c, "at_hash")
			})
			if tt.good {
				s.AcceptsSignIn(t, "/login/demo")
				return
			}
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.WrongAlg, 1)
		})
	}
}

func d4KeyInTheHeader(t *testing.T) {
	members := map[string]func(s *sitetest.Site) any{
		"jwk": func(*sitetest.Site) any { return sitetest.RSAJWK("evil", &sitetest.StrangerKey().PublicKey) },
		"jku": func(s *sitetest.Site) any { return s.IDP.EvilURL() },
		"x5u": func(s *sitetest.Site) any { return s.IDP.EvilURL() },
		"x5c": func(*sitetest.Site) any { return []string{base64.StdEncoding.EncodeToString(selfSigned(t))} },
	}
	for name, value := range members {
		for kid, id := range map[string]string{"published": sitetest.WrongSig, "unknown": sitetest.NoKey} {
			t.Run(name+" with a kid that is "+kid, func(t *testing.T) {
				t.Parallel()
				s := sitetest.New(t, nil)
				s.IDP.ReplaceIDToken(func(compact string) string {
					header := map[string]any{"alg": "RS256", "kid": kid, name: value(s)}
					if kid == "published" {
						header["kid"] = s.IDP.KeyID()
					}
					return sitetest.SignJWT(sitetest.StrangerKey(), header, sitetest.JWTPart(compact, 1))
				})
				s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, id, 1)
				if n := s.IDP.EvilRequests(); n != 0 {
					t.Errorf("the key's address was called %d times", n)
				}
			})
		}
	}
}

func selfSigned(t *testing.T) []byte {
	t.Helper()
	key := sitetest.StrangerKey()
	cert := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func d5Crit(t *testing.T) {
	header := func(name string, members sitetest.Claims) tokenCase {
		return tokenCase{name, sitetest.OddHeader, func(_ *sitetest.Site, header, _ sitetest.Claims) {
			for k, v := range members {
				header[k] = v
			}
		}}
	}
	tokenCases(t, "/login/demo", nil, []tokenCase{
		header("unknown", sitetest.Claims{"crit": []string{"bork"}, "bork": true}),
		header("empty", sitetest.Claims{"crit": []string{}}),
		header("null", sitetest.Claims{"crit": nil}),
		header("b64 that must be understood", sitetest.Claims{"crit": []string{"b64"}, "b64": false}),
		header("b64 that need not be", sitetest.Claims{"b64": false}),
		header("zip", sitetest.Claims{"zip": "DEF"}),
	})
}

func d6HeaderWithTwoAlgs(t *testing.T) {
	var cases []rawCase
	const twice, ambiguous = "jwt.header_json", "jwt.header_ambiguous"
	for name, tt := range map[string]struct{ members, id string }{
		"the same one twice": {`"alg":"RS256"`, twice}, "another": {`"alg":"RS512"`, twice}, "escaped": {`"\u0061lg":"RS512"`, twice},
		"in upper case": {`"ALG":"RS512"`, ambiguous}, "with another kid": {`"Kid":"x"`, ambiguous}, "with a Typ": {`"Typ":"JWT"`, ambiguous},
		"with a JWK": {`"JWK":{}`, ambiguous}, "with a CRIT": {`"CRIT":[]`, ambiguous},
	} {
		cases = append(cases, rawCase{name, tt.id, func(s *sitetest.Site, _, header, payload string) string {
			return s.IDP.SignRaw([]byte(sitetest.Adding(tt.members)(header)), []byte(payload))
		}})
	}
	rawCases(t, cases)
}

func d7JsonSerialization(t *testing.T) {
	part := func(compact string, n int) string { return strings.Split(compact, ".")[n] }
	rawCases(t, []rawCase{
		{"flattened", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string {
			return sitetest.JSON(sitetest.Claims{"protected": part(c, 0), "payload": part(c, 1), "signature": part(c, 2)})
		}},
		{"general", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string {
			return sitetest.JSON(sitetest.Claims{"payload": part(c, 1), "signatures": []sitetest.Claims{{"protected": part(c, 0), "signature": part(c, 2)}}})
		}},
	})
}

func d8WhiteSpaceAroundTheToken(t *testing.T) {
	around := func(name, before, after string) rawCase {
		return rawCase{name, sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string { return before + c + after }}
	}
	rawCases(t, []rawCase{
		around("a space before", " ", ""), around("a line break behind", "", "\n"), around("a tab behind", "", "\t"),
		{"a line break within", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string { return c[:40] + "\n" + c[40:] }},
		around("nothing", "", ""),
	}[:4])
}

func d9SegmentsAndPadding(t *testing.T) {
	rawCases(t, []rawCase{
		{"padded", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string { return strings.Replace(c, ".", "==.", 1) }},
		{"in the other alphabet", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string { return c[:len(c)-1] + "+" }},
		{"two", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string { return c[:strings.LastIndex(c, ".")] }},
		{"two and a dot", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string { return c[:strings.LastIndex(c, ".")+1] }},
		{"four", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string { return c + ".AAAA" }},
		{"five, as encrypted tokens have", sitetest.WrongForm, func(*sitetest.Site, string, string, string) string { return "AAAA.AAAA.AAAA.AAAA.AAAA" }},
		{"an empty one", sitetest.WrongForm, func(*sitetest.Site, string, string, string) string { return ".." }},
		{"a header that is no object", "jwt.header_json", func(s *sitetest.Site, _, _, payload string) string {
			return s.IDP.SignRaw([]byte(`"RS256"`), []byte(payload))
		}},
		{"a header with spare bits", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string {
			return sitetest.Base64([]byte(`{"a":1}`))[:9] + "R" + c[strings.Index(c, "."):]
		}},
		{"a signature with spare bits", sitetest.WrongForm, func(_ *sitetest.Site, c, _, _ string) string {
			return c[:len(c)-1] + string(c[len(c)-1]+1) // A, Q, g and w leave none
		}},
		{"a hundred thousand dots", "jwt.too_long", func(*sitetest.Site, string, string, string) string { return strings.Repeat(".", 100_000) }},
		{"a token of 70 KB", "jwt.too_long", func(s *sitetest.Site, _, header, payload string) string {
			return s.IDP.SignRaw([]byte(header), []byte(sitetest.Adding(`"x":"`+strings.Repeat("x", 70<<10)+`"`)(payload)))
		}},
	})
}

func d10WrongSignature(t *testing.T) {
	signature := func(change func(sig []byte) []byte) func(*sitetest.Site, string, string, string) string {
		return func(_ *sitetest.Site, c, _, _ string) string {
			dot := strings.LastIndex(c, ".")
			sig, _ := base64.RawURLEncoding.DecodeString(c[dot+1:])
			return c[:dot+1] + sitetest.Base64(change(sig))
		}
	}
	rawCases(t, []rawCase{
		{"another key", sitetest.WrongSig, func(s *sitetest.Site, _, _, payload string) string {
			return sitetest.SignJWT(sitetest.StrangerKey(), sitetest.Claims{"alg": "RS256", "kid": s.IDP.KeyID()}, payload)
		}},
		{"one bit differs", sitetest.WrongSig, signature(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })},
		{"cut short", sitetest.WrongSig, signature(func(b []byte) []byte { return b[:len(b)-1] })},
		{"a byte more", sitetest.WrongSig, signature(func(b []byte) []byte { return append(b, 0) })},
		{"a zero byte before", sitetest.WrongSig, signature(func(b []byte) []byte { return slices.Insert(b, 0, 0) })},
		{"all zero", sitetest.WrongSig, signature(func(b []byte) []byte { return make([]byte, len(b)) })},
		{"one byte", sitetest.WrongSig, signature(func([]byte) []byte { return []byte{1} })},
		{"a claim changed", sitetest.WrongSig, func(_ *sitetest.Site, c, _, payload string) string {
			parts := strings.Split(c, ".")
			return parts[0] + "." + sitetest.Base64([]byte(strings.Replace(payload, `"ada"`, `"eve"`, 1))) + "." + parts[2]
		}},
		{"a header changed", sitetest.WrongSig, func(_ *sitetest.Site, c, header, _ string) string {
			_, rest, _ := strings.Cut(c, ".")
			return sitetest.Base64([]byte(sitetest.Adding(`"x":1`)(header))) + "." + rest
		}},
	})
	t.Run("the fault of a provider", func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.Fail(authtest.Token, authtest.WrongSignature)
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.WrongSig, 1)
	})
}

// d10WrongSignatureEcAndEd has mistakes of libraries for elliptic curves: zeros that verify for
// every key (CVE-2022-21449), ASN.1 in the place of two numbers, a second form of the same
// signature.
func d10WrongSignatureEcAndEd(t *testing.T) {
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
			s := sitetest.NewWith(t, authtest.Config{SigningAlg: tt.alg}, nil)
			s.IDP.ReplaceIDToken(func(c string) string {
				dot := strings.LastIndex(c, ".")
				sig, _ := base64.RawURLEncoding.DecodeString(c[dot+1:])
				return c[:dot+1] + sitetest.Base64(tt.change(sig))
			})
			s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, sitetest.WrongSig, 1)
			s.IDP.ReplaceIDToken(nil)
			s.AcceptsSignIn(t, "/login/demo")
		})
	}
}

// keyCase publishes the signing key with members changed.
func keyCase(t *testing.T, name, id string, members sitetest.Claims) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		s := sitetest.New(t, nil)
		s.IDP.EditJWKS(func(keys []map[string]any) []map[string]any {
			for member, value := range members {
				sitetest.Put(keys[0], member, value)
			}
			return keys
		})
		if id == "" {
			s.AcceptsSignIn(t, "/login/demo")
			return
		}
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, id, 1)
	})
}

func ecKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// Any member of the header that a program may read case-insensitively is rejected in another
// case.
func TestHeadersInAnotherCase(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	for i, name := range []string{"ALG", "TYP", "KID", "CRIT", "B64", "CTY", "ENC", "ZIP", "JWK", "JKU", "X5U", "X5C"} {
		s.IDP.ReplaceIDToken(func(compact string) string {
			return s.IDP.SignRaw([]byte(sitetest.Adding(`"`+name+`":"x"`)(sitetest.JWTPart(compact, 0))), []byte(sitetest.JWTPart(compact, 1)))
		})
		s.Logs.Reset()
		s.RefusesSignIn(t, "/login/demo", ginauth.ErrIDTokenInvalid, "jwt.header_ambiguous", i+1)
		sitetest.WantNames(t, s.Logs.String(), fmt.Sprintf(`\"%s\"`, name))
	}
}

// A header whose decodable part is JSON is still not base64url.
func TestHeaderWithHalfAByteMore(t *testing.T) {
	t.Parallel()
	rawCases(t, []rawCase{{"half a byte behind the header", "jwt.malformed", func(_ *sitetest.Site, compact, header, _ string) string {
		for len(header)%3 != 0 {
			header += " "
		}
		_, rest, _ := strings.Cut(compact, ".")
		return sitetest.Base64([]byte(header)) + "A." + rest
	}}})
}
