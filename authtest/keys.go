package authtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
)

// key is a signing key as one provider publishes it.
type key struct {
	id     string
	alg    string // the algorithm it is published with
	signer crypto.Signer
}

// spareKeys holds key pairs that no running provider uses. Generating an RSA key takes longer
// than a whole sign-in, but two providers must not share one, or a token of one would be valid
// at the other.
var spareKeys = struct {
	sync.Mutex
	byKind map[string][]crypto.Signer
}{byKind: map[string][]crypto.Signer{}}

// kindOf names the type of key that alg signs with, "" for an unknown alg.
func kindOf(alg string) string {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return "RSA"
	case "ES256":
		return "EC"
	case "EdDSA":
		return "OKP"
	}
	return ""
}

// hashOf returns the hash function of alg, which at_hash uses, too.
func hashOf(alg string) crypto.Hash {
	switch alg {
	case "RS384", "PS384", "HS384":
		return crypto.SHA384
	case "RS512", "PS512", "HS512", "EdDSA":
		return crypto.SHA512
	}
	return crypto.SHA256
}

func takeKey(alg string) (key, error) {
	kind := kindOf(alg)
	spareKeys.Lock()
	spares := spareKeys.byKind[kind]
	if n := len(spares); n > 0 {
		signer := spares[n-1] // read it now: returnKeys may overwrite its place
		spareKeys.byKind[kind] = spares[:n-1]
		spareKeys.Unlock()
		return key{id: randomString(8), alg: alg, signer: signer}, nil
	}
	spareKeys.Unlock()
	signer, err := makeKey(kind)
	return key{id: randomString(8), alg: alg, signer: signer}, err
}

func makeKey(kind string) (signer crypto.Signer, err error) {
	switch kind {
	case "RSA":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "EC":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "OKP":
		_, signer, err = ed25519.GenerateKey(rand.Reader)
		return signer, err
	}
	return nil, fmt.Errorf("authtest: unknown signing algorithm")
}

func returnKeys(keys []key) {
	spareKeys.Lock()
	defer spareKeys.Unlock()
	for _, k := range keys {
		kind := kindOf(k.alg)
		spareKeys.byKind[kind] = append(spareKeys.byKind[kind], k.signer)
	}
}

// jwk returns the public half, as the jwks_uri publishes it.
func (k key) jwk() map[string]any {
	jwk := map[string]any{"kid": k.id, "use": "sig", "alg": k.alg, "kty": kindOf(k.alg)}
	switch public := k.signer.Public().(type) {
	case *rsa.PublicKey:
		jwk["n"] = encode(public.N.Bytes())
		jwk["e"] = encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := public.Bytes() // 4, x, y; cannot fail for P-256
		jwk["crv"], jwk["x"], jwk["y"] = "P-256", encode(point[1:33]), encode(point[33:])
	case ed25519.PublicKey:
		jwk["crv"], jwk["x"] = "Ed25519", encode(public)
	}
	return jwk
}

// sign signs with alg if the key supports it, and otherwise with the key's own algorithm.
func (k key) sign(alg string, secret, input []byte) ([]byte, error) {
	switch alg {
	case "none":
		return nil, nil
	case "HS256", "HS384", "HS512":
		mac := hmac.New(hashOf(alg).New, secret)
		mac.Write(input)
		return mac.Sum(nil), nil
	}
	if kindOf(alg) != kindOf(k.alg) {
		alg = k.alg
	}
	hash := hashOf(alg)
	digest := digestOf(hash, input)
	switch signer := k.signer.(type) {
	case *rsa.PrivateKey:
		if alg[0] == 'P' {
			return rsa.SignPSS(rand.Reader, signer, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, signer, hash, digest)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, signer, digest)
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	}
	return k.signer.Sign(nil, input, crypto.Hash(0))
}

// verifies reports whether signature is a signature of the key over input.
func (k key) verifies(input, signature []byte) bool {
	hash := hashOf(k.alg)
	digest := digestOf(hash, input)
	switch public := k.signer.Public().(type) {
	case *rsa.PublicKey:
		if k.alg[0] == 'P' {
			return rsa.VerifyPSS(public, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(public, digest, r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, input, signature)
	}
	return false
}

// Sign returns a JWT signed with the provider's current key, for tokens that the provider does
// not issue itself, such as logout tokens. header is merged into {"alg", "kid", "typ": "JWT"};
// a nil value removes a member. It signs with any alg that the key supports (an RSA key: RS256
// to PS512); HS256 to HS512 use the client secret, and "none" leaves the signature empty.
//
// It panics if header or claims cannot be encoded as JSON.
func (p *Provider) Sign(header, claims map[string]any) string {
	k := p.currentKey()
	full := map[string]any{"alg": k.alg, "kid": k.id, "typ": "JWT"}
	for name, value := range header {
		if full[name] = value; value == nil {
			delete(full, name)
		}
	}
	return p.signWith(k, mustJSON(full), mustJSON(claims))
}

// SignRaw is Sign for a literal header and payload, so that duplicate members and other
// malformed JSON are possible.
func (p *Provider) SignRaw(headerJSON, payloadJSON []byte) string {
	return p.signWith(p.currentKey(), headerJSON, payloadJSON)
}

func (p *Provider) signWith(k key, header, payload []byte) string {
	var named struct {
		Alg string `json:"alg"`
	}
	_ = json.Unmarshal(header, &named) // a header that does not parse gets the key's own algorithm
	input := encode(header) + "." + encode(payload)
	signature, err := k.sign(named.Alg, []byte(p.ClientSecret), []byte(input))
	if err != nil {
		panic("authtest: sign: " + err.Error())
	}
	return input + "." + encode(signature)
}

// RotateKey replaces the provider's signing key by a new one with a new kid, and removes the
// old one from the published keys.
func (p *Provider) RotateKey() {
	k, err := takeKey(p.currentKey().alg)
	if err != nil {
		panic(err) // the algorithm was checked by Start, and rand.Reader does not fail
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, k)
}

// KeyID returns the kid of the current key.
func (p *Provider) KeyID() string { return p.currentKey().id }

// PublicKey returns the public key of the current key: an *rsa.PublicKey by default, see
// Config.SigningAlg.
func (p *Provider) PublicKey() crypto.PublicKey { return p.currentKey().signer.Public() }

func (p *Provider) currentKey() key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[len(p.keys)-1]
}

func digestOf(hash crypto.Hash, input []byte) []byte {
	h := hash.New()
	h.Write(input)
	return h.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// randomString returns n random bytes in base64url.
func randomString(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return encode(b)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("authtest: " + err.Error())
	}
	return b
}
