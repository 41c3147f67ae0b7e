package rp

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/printable"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// PrivateKeyJWT is the authentication method in which the client signs an assertion instead of
// sending a secret (OpenID Connect Core 1.0, section 9; RFC 7523).
const PrivateKeyJWT = "private_key_jwt"

// assertionLife is how long a client assertion is valid. Core, 9, of exp: "Expiration time
// on or after which the JWT MUST NOT be accepted for processing." It is used at once.
const assertionLife = time.Minute

// keyBits is the minimum size of an RSA key. RFC 7518, 3.3: "A key of size 2048 bits or larger MUST
// be used with these algorithms."
const keyBits = 2048

// AssertionAlgs returns the algorithms with which a key can sign client assertions, the preferred
// one first, or an error that says why there are none.
func AssertionAlgs(key crypto.Signer) ([]string, error) {
	algs, err := contain.Call(func() ([]string, error) { return assertionAlgs(key) })
	if _, panicked := err.(*contain.Panic); panicked {
		return nil, errors.New("has no public key (was the key file read?)")
	}
	return algs, err
}

func assertionAlgs(key crypto.Signer) (algs []string, err error) {
	if public, ok := key.Public().(*rsa.PublicKey); ok && public.N.BitLen() < keyBits {
		return nil, fmt.Errorf("is an RSA key of %d bits", public.N.BitLen())
	}
	if private, ok := key.(ed25519.PrivateKey); ok && len(private) != ed25519.PrivateKeySize { // Public would succeed, but Sign panics
		return nil, fmt.Errorf("is an Ed25519 key of %d bytes, not %d", len(private), ed25519.PrivateKeySize)
	}
	for _, alg := range cryptosigner.Opaque(key).Algs() {
		if slices.Contains(signingAlgs, string(alg)) {
			algs = append(algs, string(alg))
		}
	}
	// For RSA only the two with SHA-256: providers accept one or the other.
	algs = slices.DeleteFunc(algs, func(alg string) bool {
		return strings.HasPrefix(alg, "RS") && alg != "RS256" || strings.HasPrefix(alg, "PS") && alg != "PS256"
	})
	if len(algs) == 0 {
		return nil, errors.New("is neither RSA, nor ECDSA on P-256, P-384 or P-521, nor Ed25519")
	}
	return algs, nil
}

// chooseAssertionAlg chooses the algorithm of client assertions. Discovery 1.0, 3, of
// token_endpoint_auth_signing_alg_values_supported: "Servers SHOULD support RS256", and it
// is OPTIONAL. If the provider has the list, the algorithm is one of it.
func (c *Client) chooseAssertionAlg(m *metadata, doc map[string]any) error {
	if c.cfg.PrivateKey == nil { // validation permits a key only with PrivateKeyJWT
		return nil
	}
	algs, _ := AssertionAlgs(c.cfg.PrivateKey) // validation has rejected keys without an algorithm
	offered := strictjson.Strings(doc["token_endpoint_auth_signing_alg_values_supported"])
	for _, alg := range algs {
		if len(offered) == 0 || slices.Contains(offered, alg) {
			m.assertionAlg = alg
			return nil
		}
	}
	return c.misconfigured("discovery", "discovery.assertion_alg", fmt.Sprintf("the provider accepts client assertions signed with %s, but PrivateKey signs with %q",
		printable.Clip(fmt.Sprintf("%q", offered)), algs), "generate a key of another type: RSA for RS256 or PS256, ECDSA on P-256 for ES256, Ed25519 for EdDSA")
}

// assertion signs a new client assertion for each request: RFC 7523, 3, lets the server remember
// each jti and reject an assertion that it has seen.
func (c *Client) assertion(m *metadata) (string, error) {
	now := c.cfg.Now()
	signed, err := contain.Call(func() (string, error) {
		options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", c.keyID())
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(m.assertionAlg), Key: cryptosigner.Opaque(c.cfg.PrivateKey)}, options)
		if err != nil {
			return "", err
		}
		// RFC 7523, 3: iss and sub are the client id. "The JWT MUST contain an "exp""; iat may
		// limit its age.
		claims, _ := json.Marshal(map[string]any{ // cannot fail: strings and numbers
			"iss": c.cfg.ClientID, "sub": c.cfg.ClientID, "aud": c.assertionAudience(m), "jti": rand.Text(),
			"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
		})
		token, err := signer.Sign(claims)
		if err != nil {
			return "", err
		}
		return token.CompactSerialize()
	})
	if err != nil {
		return "", &Error{Code: ProviderMisconfigured, ID: "token.client_assertion", Op: "client assertion", Provider: c.cfg.Name,
			Reason: "signing with PrivateKey failed", Fix: "see error= for the error of the key or the key management service", Cause: err}
	}
	return signed, nil
}

// assertionAudience returns the aud of an assertion: the issuer as a single string, not the token
// endpoint. Otherwise a malicious provider whose metadata names the token endpoint of an honest
// one would get an assertion that the honest one accepts (draft-ietf-oauth-rfc7523bis).
//
// The token endpoint is the fallback if the issuer is unknown: without an Issuer there is no
// discovery, so that the endpoint was configured. It is the fallback too if the issuer has a
// placeholder, and so stands for many.
func (c *Client) assertionAudience(m *metadata) string {
	for _, issuer := range []string{m.issuer, c.cfg.Issuer, c.cfg.ResponseIssuer} {
		if issuer != "" && !strings.ContainsAny(issuer, "{}") {
			return issuer
		}
		if issuer != "" {
			break
		}
	}
	return m.tokenURL
}

// keyID returns the kid of PrivateKey. The default is the thumbprint of RFC 7638, a hash of the
// public key.
func (c *Client) keyID() string {
	if c.cfg.KeyID != "" {
		return c.cfg.KeyID
	}
	sum, _ := (&jose.JSONWebKey{Key: c.cfg.PrivateKey.Public()}).Thumbprint(crypto.SHA256) // nil for other kinds of keys
	return base64.RawURLEncoding.EncodeToString(sum)
}

// jwks returns the JWK Set (RFC 7517) to register at the provider, or nil without a PrivateKey.
func (c *Client) jwks(m *metadata) []byte {
	if c.cfg.PrivateKey == nil {
		return nil
	}
	set, _ := contain.Call(func() ([]byte, error) { // nil if the key has no valid public key
		key := jose.JSONWebKey{Key: c.cfg.PrivateKey.Public(), KeyID: c.keyID(), Use: "sig"}
		if m != nil {
			key.Algorithm = m.assertionAlg
		}
		return json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	})
	return set
}

// tryAssertion signs an assertion and discards it.
func (c *Client) tryAssertion(ctx context.Context, m *metadata) error {
	err := contain.Within(ctx, diagnoseWait, func(context.Context) error {
		_, err := c.assertion(m)
		return err
	})
	if _, ok := err.(*Error); err != nil && !ok {
		e := c.misconfigured("client assertion", "token.client_assertion", "signing with PrivateKey failed", "see error= for the error of the key or the key management service")
		e.Cause, err = err, e
	}
	return err
}
