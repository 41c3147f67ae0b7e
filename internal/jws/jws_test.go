package jws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth/internal/jws"
)

// signer is a key, and the algorithms that it can sign with.
type signer struct {
	private crypto.Signer
	algs    []string
}

func signers(t testing.TB) []signer {
	t.Helper()
	must := func(s crypto.Signer, err error) crypto.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	list := []signer{
		{must(rsaKey, err), []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
		{edKey, []string{"EdDSA"}},
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		list = append(list, signer{must(key, err), []string{alg}})
	}
	return list
}

// sign has go-jose sign: what one library signs, the other must admit.
func sign(t testing.TB, alg string, key any, payload string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func split(t testing.TB, compact string) *jws.Token {
	t.Helper()
	token, err := jws.Split(compact)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestVerify(t *testing.T) {
	t.Parallel()
	all, others := signers(t), signers(t)
	const payload = `{"sub":"ada"}`
	for i, s := range all {
		for _, alg := range s.algs {
			token := split(t, sign(t, alg, s.private, payload))
			if string(token.Payload) != payload {
				t.Errorf("%s: the payload is %q", alg, token.Payload)
			}
			for _, other := range all {
				for _, as := range append(other.algs, "", "none", "HS256", "RS", "rs256", "RS1") {
					for j, key := range all {
						if got, want := token.Verify(as, key.private.Public()), as == alg && i == j; got != want {
							t.Errorf("signed with %s: %v as %s by key %d, want %v", alg, got, as, j, want)
						}
					}
				}
			}
			for _, key := range others {
				if token.Verify(alg, key.private.Public()) {
					t.Errorf("%s: somebody else's key fits", alg)
				}
			}
			for _, key := range []any{nil, s.private, "key", []byte("key"), make([]byte, 64), ed25519.PublicKey("short")} {
				if token.Verify(alg, key) {
					t.Errorf("%s: a %T fits", alg, key)
				}
			}
		}
	}
}

// RFC 7518, 3.5: the salt of a PSS signature is as long as the hash, neither
// longer nor shorter, and of each algorithm's own hash.
func TestVerifyPSSOfAnotherSalt(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	longest := func(hash crypto.Hash) int { return key.Size() - 2 - hash.Size() }
	for alg, hash := range map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512} {
		// Not rsa.PSSSaltLengthAuto: the longest that fits, but with GODEBUG=fips140=on that of the hash.
		for _, size := range []int{1, 8, 20, 31, 32, 33, 47, 48, 49, 63, 64, 65, longest(hash) - 1, longest(hash)} {
			signature, err := rsa.SignPSS(rand.Reader, key, hash, jws.Sum(alg, []byte("e30.e30")), &rsa.PSSOptions{SaltLength: size})
			if err != nil {
				t.Fatalf("%s with a salt of %d bytes: %v", alg, size, err)
			}
			token := split(t, "e30.e30."+base64.RawURLEncoding.EncodeToString(signature))
			if got, want := token.Verify(alg, key.Public()), size == hash.Size(); got != want {
				t.Errorf("%s with a salt of %d bytes: %v, want %v", alg, size, got, want)
			}
		}
		// A salt of no bytes at all, which Go does not sign with.
		if split(t, "e30.e30."+base64.RawURLEncoding.EncodeToString(unsalted(t, key, hash, jws.Sum(alg, []byte("e30.e30"))))).Verify(alg, key.Public()) {
			t.Errorf("%s without a salt: true", alg)
		}
	}
}

// unsalted is a PSS signature without a salt (RFC 8017, 9.1.1).
func unsalted(t *testing.T, key *rsa.PrivateKey, hash crypto.Hash, digest []byte) []byte {
	t.Helper()
	sum := func(parts ...[]byte) []byte {
		h := hash.New()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	h := sum(make([]byte, 8), digest)
	message := make([]byte, key.Size()) // the DB's padding, 1, H, 0xbc
	db := message[:len(message)-len(h)-1]
	db[len(db)-1] = 1
	for i := range db { // MGF1
		block := sum(h, []byte{0, 0, 0, byte(i / hash.Size())})
		db[i] ^= block[i%hash.Size()]
	}
	db[0] &= 0x7f
	copy(message[len(db):], h)
	message[len(message)-1] = 0xbc
	signature := new(big.Int).Exp(new(big.Int).SetBytes(message), key.D, key.N).FillBytes(make([]byte, key.Size()))
	if err := rsa.VerifyPSS(&key.PublicKey, hash, digest, signature, nil); err != nil {
		t.Fatal("this is no signature:", err)
	}
	return signature
}

func TestVerifyHS256(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret of 32 bytes, or more: it counts")
	token := split(t, sign(t, "HS256", secret, "{}"))
	other := append([]byte{}, secret...)
	other[0] ^= 1
	for _, tt := range []struct {
		name, alg string
		key       any
		want      bool
	}{
		{"the secret", "HS256", secret, true},
		{"another", "HS256", other, false},
		{"another algorithm's", "HS384", secret, false},
		{"a hash that is not its own", "RS256", secret, false},
		{"a text", "HS256", string(secret), false},
	} {
		if got := token.Verify(tt.alg, tt.key); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	short := secret[:31]
	mac := hmac.New(sha256.New, short)
	mac.Write([]byte("e30.e30"))
	if split(t, "e30.e30."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil))).Verify("HS256", short) {
		t.Error("a secret of 31 bytes fits")
	}
}

// Every byte counts, of what is signed and of the signature.
func TestVerifyAfterAChange(t *testing.T) {
	t.Parallel()
	for _, s := range signers(t) {
		alg := s.algs[0]
		compact := sign(t, alg, s.private, `{"sub":"ada"}`)
		parts := strings.Split(compact, ".")
		for i, part := range parts {
			raw, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			for at := range raw {
				raw[at] ^= 1
				changed := append([]string{}, parts...)
				changed[i] = base64.RawURLEncoding.EncodeToString(raw)
				if split(t, strings.Join(changed, ".")).Verify(alg, s.private.Public()) {
					t.Errorf("%s: part %d is another at %d and fits", alg, i, at)
				}
				raw[at] ^= 1
			}
			for _, size := range []int{0, 1, len(raw) / 2, len(raw) - 1, len(raw) + 1} {
				changed := append([]string{}, parts...)
				changed[i] = base64.RawURLEncoding.EncodeToString(append(raw, 0)[:size])
				// One of no bytes is no part.
				if token, err := jws.Split(strings.Join(changed, ".")); (err == nil) != (size > 0) || token.Verify(alg, s.private.Public()) {
					t.Errorf("%s: part %d of %d bytes, not %d, fits", alg, i, size, len(raw))
				}
			}
		}
	}
}

// TestVerifyECDSAOfNothing: R and S of zero must fit no message and no key
// (CVE-2022-21449).
func TestVerifyECDSAOfNothing(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := key.Params().N.Bytes()
	for _, half := range [][]byte{make([]byte, 32), n} {
		token := split(t, "e30.e30."+base64.RawURLEncoding.EncodeToString(append(append([]byte{}, half...), half...)))
		if token.Verify("ES256", key.Public()) {
			t.Errorf("R and S of %x fit", half)
		}
	}
}

// A curve that is another, or has no name, fits no algorithm, whatever it signed.
func TestVerifyECDSAOfAnotherCurve(t *testing.T) {
	t.Parallel()
	nameless := *elliptic.P256().Params()
	nameless.Name = ""
	for _, tt := range []struct {
		alg           string
		signed, shown elliptic.Curve
		want          bool
	}{
		{"ES256", elliptic.P256(), elliptic.P256(), true},
		{"ES256", elliptic.P384(), elliptic.P384(), false},
		{"ES256", elliptic.P256(), &nameless, false},
		{"RS256", elliptic.P256(), &nameless, false},
	} {
		key, err := ecdsa.GenerateKey(tt.signed, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		digest, size := sha256.Sum256([]byte("e30.e30")), (tt.signed.Params().BitSize+7)/8
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		signature := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		key.PublicKey.Curve = tt.shown
		if got := split(t, "e30.e30."+base64.RawURLEncoding.EncodeToString(signature)).Verify(tt.alg, &key.PublicKey); got != tt.want {
			t.Errorf("%s with %s, said to be %q: %v", tt.alg, tt.signed.Params().Name, tt.shown.Params().Name, got)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	key, _, _ := ed25519.GenerateKey(rand.Reader)
	for _, tt := range []struct{ name, compact string }{
		{"nothing", ""},
		{"one part", "e30"},
		{"two parts", "e30.e30"},
		{"four parts", "e30.e30.c2ln.c2ln"},
		{"an encrypted one", "e30.e30.c2ln.c2ln.c2ln"},
		{"a header that is empty", ".e30.c2ln"},
		{"a payload that is empty", "e30..c2ln"},
		{"a signature that is empty", "e30.e30."},
		{"a line end in the header", "e3\n0.e30.c2ln"},
		{"a line end in the signature", "e30.e30.c2\rln"},
		{"a line end in the payload", "e30.e3\n0.c2ln"},
		{"a line end behind the signature", "e30.e30.c2ln\r\n"},
		{"padding", "e30.e30=.c2ln"},
		{"the other alphabet", "e30.e30.+/+/"},
		{"bits that mean nothing, in the header", "e31.e30.c2ln"},
		{"bits that mean nothing, in the payload", "e30.e31.c2ln"},
		{"bits that mean nothing, in the signature", "e30.e30.e31"},
		{"half a byte", "e30.e30.c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if token, err := jws.Split(tt.compact); err == nil || token.Verify("EdDSA", key) {
				t.Errorf("%q is a token", tt.compact)
			}
		})
	}
}

// FuzzSplit compares with go-jose: what we admit, it admits, with the same
// payload.
func FuzzSplit(f *testing.F) {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	compact := sign(f, "EdDSA", key, `{"sub":"ada"}`)
	f.Add(compact)
	f.Add(compact[:len(compact)-1] + "=")
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, compact string) {
		token, err := jws.Split(compact)
		if err != nil || !token.Verify("EdDSA", key.Public()) {
			return
		}
		theirs, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := theirs.Verify(key.Public())
		if err != nil || string(payload) != string(token.Payload) {
			t.Fatal(fmt.Sprintf("%q, %q: ", token.Payload, payload), err)
		}
	})
}
