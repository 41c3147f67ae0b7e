package sitetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
)

// IDs of the errors for rejected tokens in the log.
const (
	WrongAlg    = "jwt.algorithm"
	WrongForm   = "jwt.malformed"
	WrongSig    = "jwt.signature"
	NoKey       = "jwt.no_key"
	OddHeader   = "jwt.header_unsupported"
	OddClaims   = "jwt.claims_json"
	DoubtClaims = "jwt.claims_ambiguous"
)

// Claims are the claims of a token, by name.
type Claims = map[string]any

// Put sets a member, or deletes it if value is nil.
func Put(m map[string]any, name string, value any) {
	if m[name] = value; value == nil {
		delete(m, name)
	}
}

// Adding returns a function that appends members, written as JSON, to an object.
func Adding(members string) func(string) string {
	return func(object string) string { return strings.TrimSuffix(object, "}") + "," + members + "}" }
}

// Base64 encodes a part of a JWT.
func Base64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// JWTPart decodes a part of a compact JWT: 0 is the header, 1 the payload.
func JWTPart(compact string, part int) string {
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[part])
	if err != nil {
		panic(err)
	}
	return string(b)
}

// JSON returns v as JSON.
func JSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// SignHS256 makes a JWT with a shared secret.
func SignHS256(secret []byte, header, payload string) string {
	mac := hmac.New(sha256.New, secret)
	input := Base64([]byte(header)) + "." + Base64([]byte(payload))
	mac.Write([]byte(input))
	return input + "." + Base64(mac.Sum(nil))
}

// SignJWT makes a JWT with any RSA or ECDSA key.
func SignJWT(key crypto.Signer, header map[string]any, payload string) string {
	input := Base64([]byte(JSON(header))) + "." + Base64([]byte(payload))
	hash := crypto.SHA256
	switch header["alg"] {
	case "ES384":
		hash = crypto.SHA384
	case "ES512":
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write([]byte(input))
	var sig []byte
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(nil, key, hash, h.Sum(nil))
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		size := (key.Curve.Params().BitSize + 7) / 8
		sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	if err != nil {
		panic(err)
	}
	return input + "." + Base64(sig)
}

// StrangerKey returns an RSA key that no provider publishes, unless a test adds it.
var StrangerKey = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(2048) })

// WeakKey returns an RSA key of 1024 bits.
var WeakKey = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(1024) })

func rsaKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// RSAJWK returns the JWK of a key.
func RSAJWK(kid string, pub *rsa.PublicKey) map[string]any {
	return map[string]any{"kty": "RSA", "kid": kid, "n": Base64(pub.N.Bytes()), "e": Base64(big.NewInt(int64(pub.E)).Bytes())}
}

// ECJWK is RSAJWK for elliptic curves.
func ECJWK(kid string, pub *ecdsa.PublicKey) map[string]any {
	point, err := pub.Bytes()
	if err != nil {
		panic(err)
	}
	n := (len(point) - 1) / 2
	return map[string]any{"kty": "EC", "kid": kid, "crv": pub.Curve.Params().Name, "x": Base64(point[1 : 1+n]), "y": Base64(point[1+n:])}
}
