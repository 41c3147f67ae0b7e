// Package jws parses tokens in JWS compact serialization (RFC 7515, section 7.1), and verifies
// their signatures with one algorithm and one key (RFC 7518, section 3). It does not read the
// header: the caller, and never the token, decides the algorithm and the key.
package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"math/big"
	"strings"

	"github.com/ginauth/ginauth/internal/base64url"
)

// Token is a parsed token. Do not trust Header or Payload until Verify returns true.
type Token struct {
	Header, Payload []byte
	Compact         []byte // as received
	signed          []byte // header and payload, as received
	signature       []byte
}

// Split parses a token: three non-empty parts in canonical base64url, and nothing else.
func Split(compact string) (*Token, error) {
	header, rest, _ := strings.Cut(compact, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if header == "" || payload == "" || signature == "" {
		return nil, errForm
	}
	t := &Token{Compact: []byte(compact)}
	t.signed = t.Compact[:len(header)+1+len(payload)]
	decoded := make([]byte, base64url.Size(len(header))+base64url.Size(len(payload))+base64url.Size(len(signature)))
	for _, part := range [...]struct {
		text string
		into *[]byte
	}{{header, &t.Header}, {payload, &t.Payload}, {signature, &t.signature}} {
		n := base64url.Size(len(part.text))
		*part.into, decoded = decoded[:n:n], decoded[n:]
		if !base64url.DecodeInto(*part.into, part.text) {
			return nil, errForm
		}
	}
	return t, nil
}

var errForm = errors.New("the token is not in JWS compact serialization")

// Verify reports whether the token was signed with that algorithm by that key: an
// *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey, or with HS256 the secret that both
// sides know, a []byte. It is false for everything else, and for a key that is not of the
// algorithm's kind.
func (t *Token) Verify(alg string, key any) bool {
	hash := Hash(alg)
	if hash == 0 || t == nil {
		return false
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		switch alg[:2] {
		case "RS":
			return rsa.VerifyPKCS1v15(key, hash, Sum(alg, t.signed), t.signature) == nil
		case "PS":
			// 3.5: "The size of the salt value is the same size as the hash function
			// output." Without options, Go takes the size from the signature.
			salt := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(key, hash, Sum(alg, t.signed), t.signature, &salt) == nil
		}
	case *ecdsa.PublicKey:
		return alg[:2] == "ES" && t.verifyECDSA(alg, key)
	case []byte: // 3.2: "A key of the same size as the hash output […] or larger MUST be used"
		if alg != "HS256" || len(key) < hash.Size() {
			return false
		}
		mac := hmac.New(hash.New, key)
		mac.Write(t.signed)
		return hmac.Equal(mac.Sum(nil), t.signature)
	case ed25519.PublicKey:
		return alg == "EdDSA" && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, t.signed, t.signature)
	}
	return false
}

// curves has the curve of each algorithm (RFC 7518, 3.4).
var curves = map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

// verifyECDSA verifies an ECDSA signature. 3.4: R and S each have the length of the curve's
// order, for any values.
func (t *Token) verifyECDSA(alg string, key *ecdsa.PublicKey) bool {
	size := (key.Curve.Params().BitSize + 7) / 8
	if key.Curve.Params().Name != curves[alg] || len(t.signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(t.signature[:size]), new(big.Int).SetBytes(t.signature[size:])
	return ecdsa.Verify(key, Sum(alg, t.signed), r, s)
}

// Hash returns the hash of an algorithm, or 0 for an unknown one.
func Hash(alg string) crypto.Hash {
	switch alg {
	case "RS256", "PS256", "ES256", "HS256":
		return crypto.SHA256
	case "RS384", "PS384", "ES384":
		return crypto.SHA384
	case "RS512", "PS512", "ES512", "EdDSA": // the hash that Ed25519 uses
		return crypto.SHA512
	}
	return 0
}

// Sum hashes data with an algorithm's hash, which must be known.
func Sum(alg string, data []byte) []byte {
	switch Hash(alg) {
	case crypto.SHA256:
		sum := sha256.Sum256(data)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(data)
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512(data)
		return sum[:]
	}
	panic("jws: no hash belongs to this algorithm")
}
