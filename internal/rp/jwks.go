package rp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
)

const (
	keysAge      = time.Hour        // then keys are fetched again, since a leaked key may have been withdrawn
	keysCooldown = 15 * time.Second // after a request that did not return the needed key
	keysLimit    = 512 << 10        // bytes
	keysMost     = 100
	keysTried    = 10 // for a token without a kid
)

// keySet holds a provider's signing keys and ignores those that it cannot use. RFC 7517, 5:
// "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key type) values that
// are not understood by them, that are missing required members, or for which values are out
// of the supported ranges." Keys stay in use during an outage of the provider.
type keySet struct {
	url    string
	http   *http.Client
	now    func() time.Time
	shared bool // several issuers share the keys; a key may name its issuer
	flight singleflight.Group
	held   atomic.Pointer[heldKeys]
	failed atomic.Pointer[failure]                 // the last request, if it failed, with its cool-down
	vain   [fromAnyone + 1]atomic.Pointer[failure] // by source: the last request, if it did not return the needed key, with its cool-down
}

// source is the channel by which a token arrived. Each has its own cool-down, so that forged
// tokens in requests cannot delay fetching the key of an ID token.
type source int

const (
	fromProvider source = iota // in a response of the token endpoint
	fromAnyone                 // in a request to this application
)

// signingKey is a public key of the provider, or the client secret.
type signingKey struct {
	jose.JSONWebKey
	issuer string // issuer that the key is for, in a key set that several share (Microsoft); or ""
}

// passedKey is a key that cannot be used.
type passedKey struct {
	kid, why string
	other    bool // the key is not for signatures, which is no problem
}

// heldKeys is an immutable result of fetching the keys.
type heldKeys struct {
	keys    []signingKey
	passed  []passedKey
	fetched time.Time
}

func newKeySet(url string, h *http.Client, now func() time.Time, shared bool) *keySet {
	k := &keySet{url: url, http: h, now: now, shared: shared}
	k.held.Store(&heldKeys{})
	return k
}

// find returns the keys that may have signed a token with this header. RFC 7517, 4.5: the
// kid "is used, for instance, to choose among a set of keys within a JWK Set during key
// rollover". OpenID Connect Core, 10.1.1: "The verifier knows to go back to the jwks_uri
// location to re-retrieve the keys when it sees an unfamiliar kid value." So find fetches the
// keys if no key matches, at once after a rotation, but not more often than the cool-down
// allows, since anyone can invent a kid.
func (k *keySet) find(ctx context.Context, kid, alg string, from source) ([]*signingKey, error) {
	// strict while the keys may be out of date: a key without a kid must not match instead of
	// one that was added since.
	held := k.held.Load()
	found := held.match(kid, alg, true)
	if len(found) > 0 && fresh(held.fetched, k.now(), keysAge) {
		return found, nil
	}
	// Keys older than an hour stay in use if newer ones cannot be fetched: an outage of
	// jwks_uri must not stop every sign-in.
	err := k.refresh(ctx, from, func(h *heldKeys) bool { return kid != "" && len(h.match(kid, alg, true)) > 0 })
	if again := k.held.Load().match(kid, alg, false); len(again) > 0 {
		return again, nil
	}
	return nil, err
}

// known fetches the keys unless they were fetched before.
func (k *keySet) known(ctx context.Context) error {
	if !k.held.Load().fetched.IsZero() {
		return nil
	}
	return k.refresh(ctx, fromProvider, func(*heldKeys) bool { return true })
}

// match returns the keys for a kid and algorithm. Several keys may have one kid: RFC 7517,
// 4.5, says only that "different keys within the JWK Set SHOULD use distinct "kid" values".
// Without a kid, every key that fits matches. strict excludes keys without a kid.
func (h *heldKeys) match(kid, alg string, strict bool) (found []*signingKey) {
	var unnamed []*signingKey
	for i := range h.keys {
		switch key := &h.keys[i]; {
		case !fits(key, alg):
		case kid == "" || key.KeyID == kid:
			found = append(found, key)
		case key.KeyID == "":
			unnamed = append(unnamed, key)
		}
	}
	if len(found) == 0 && !strict {
		found = unnamed
	}
	// Anyone can send a token without a kid, and each candidate costs a signature verification:
	// a hundred RSA keys would take two milliseconds of CPU for each token.
	return found[:min(len(found), keysTried)]
}

// has reports whether a key with that kid is published, usable or not.
func (h *heldKeys) has(kid string) bool {
	return slices.ContainsFunc(h.keys, func(key signingKey) bool { return key.KeyID == kid }) ||
		slices.ContainsFunc(h.passed, func(key passedKey) bool { return key.kid == kid })
}

// passedOver returns the error for a token whose key is published but unusable for it, or nil.
func (h *heldKeys) passedOver(kid, alg string) *Error {
	if kid == "" || slices.ContainsFunc(h.keys, func(key signingKey) bool { return key.KeyID == kid && fits(&key, alg) }) {
		return nil
	}
	told := func(why, fix string) *Error {
		return fault("jwt.no_key", "the signature cannot be verified: the published key that the token names is unusable: "+why, fix, nil)
	}
	for _, key := range h.passed {
		if key.kid == kid {
			return told(key.why, unusableKeyFix)
		}
	}
	for i := range h.keys {
		if key := &h.keys[i]; key.KeyID == kid { // the key does not fit alg
			return told(fmt.Sprintf("it is %s, but the token is signed with %s", describe(key), alg), "have the provider publish its keys with their actual algorithm")
		}
	}
	return nil
}

const unusableKeyFix = "have the provider publish the public keys that sign ID tokens: RSA with 2048 bits or more, P-256, P-384, P-521 or Ed25519"

// describe names the type and algorithm of a key.
func describe(key *signingKey) string {
	kind := "an Ed25519 key"
	switch pub := key.Key.(type) {
	case *rsa.PublicKey:
		kind = "an RSA key"
	case *ecdsa.PublicKey:
		kind = "a " + pub.Curve.Params().Name + " key"
	}
	if key.Algorithm != "" {
		kind += fmt.Sprintf(" for %.20q", key.Algorithm)
	}
	return kind
}

// refresh fetches the keys, except during the cool-down that follows a request for a token of
// the same source that did not return the needed key. found reports whether the fetched keys
// include it; then no cool-down starts, and the next rotation may follow at once.
func (k *keySet) refresh(ctx context.Context, from source, found func(*heldKeys) bool) error {
	done := k.flight.DoChan(strconv.Itoa(int(from)), func() (any, error) {
		// Concurrent callers share one request. During a cool-down no request is made, and the
		// error of the last one, if it failed, is returned.
		now := k.now()
		for _, f := range []*failure{k.failed.Load(), k.vain[from].Load()} {
			if f != nil && f.active(now) {
				return nil, f.err
			}
		}
		// Without the caller's cancellation, since others wait for the same keys.
		held, err := contain.Call(func() (*heldKeys, error) { return k.fetch(context.WithoutCancel(ctx)) })
		if err != nil {
			k.failed.Store(newFailure(err, now, longestRetry))
			return nil, err
		}
		held.fetched = now
		k.held.Store(held)
		if !found(held) {
			k.vain[from].Store(newFailure(nil, now, keysCooldown))
		}
		return nil, nil
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (k *keySet) fetch(ctx context.Context) (*heldKeys, error) {
	doc, _, err := fetch.JSON(ctx, k.http, fetch.Request{
		Op: "signing keys", URL: k.url, Limit: keysLimit, Accept: []string{"application/jwk-set+json"},
	})
	if err != nil {
		return nil, err
	}
	held := new(heldKeys)
	// RFC 7517, 5.1: "The value of the "keys" parameter is an array of JWK values." Anything
	// else counts as no keys, which is valid: a provider may withdraw all of them.
	list, _ := doc["keys"].([]any)
	var leaked []any // public keys of the private keys anywhere in the list
	for _, item := range list {
		if m, _ := item.(map[string]any); isPrivate(m) {
			leaked = append(leaked, publicKey(m))
		}
	}
	for _, item := range list[:min(len(list), keysMost)] {
		key, passed := readKey(item, k.shared)
		if slices.ContainsFunc(leaked, func(other any) bool { return samePair(key.Key, other) }) {
			passed = &passedKey{key.KeyID, "its private key is published too, so anyone could sign with it", false}
		}
		if passed == nil {
			held.keys = append(held.keys, key)
		} else {
			held.passed = append(held.passed, *passed)
		}
	}
	return held, nil
}

// privateMembers are the members of a JWK that hold secrets (RFC 7518, sections 6.2.2, 6.3.2
// and 6.4.1).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// isPrivate reports whether a JWK holds a private key or a shared secret.
func isPrivate(jwk map[string]any) bool {
	return slices.ContainsFunc(privateMembers, func(name string) bool { return jwk[name] != nil && jwk[name] != "" })
}

// publicMembers are the members of a JWK that hold a public key, by kty (RFC 7518, sections
// 6.2.1 and 6.3.1; RFC 8037, section 2).
var publicMembers = map[string][]string{"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}}

// publicKey returns the public key of a JWK, or nil if it is missing or of an unsupported type.
// Members that this type of key does not have are ignored.
func publicKey(jwk map[string]any) any {
	kty, _ := jwk["kty"].(string)
	public := map[string]any{"kty": kty}
	for _, name := range publicMembers[kty] {
		public[name] = jwk[name]
	}
	raw, _ := json.Marshal(public) // cannot fail: the values were decoded from JSON
	var decoded jose.JSONWebKey
	if decoded.UnmarshalJSON(raw) != nil || !decoded.Valid() || !decoded.IsPublic() {
		return nil
	}
	return decoded.Key
}

// samePair reports whether one private key can sign for both public keys. For RSA the modulus
// decides: a private exponent factors it, which gives the private exponent of every public
// one.
func samePair(a, b any) bool {
	if a, isRSA := a.(*rsa.PublicKey); isRSA {
		b, isRSA := b.(*rsa.PublicKey)
		return isRSA && a.N.Cmp(b.N) == 0
	}
	public, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b)
}

// readKey reads one key, or returns why it is unusable: it is a private key that was published
// by mistake, a key for encryption, of an unknown type, or too weak (NIST SP 800-131A).
// Members that are not used (x5c, x5t, x5u, and issuer unless the set is shared) may be
// malformed. Empty members count as absent.
func readKey(item any, shared bool) (signingKey, *passedKey) {
	var key signingKey
	m, _ := item.(map[string]any) // nil for anything but an object, which fails below
	for _, member := range []struct {
		name string
		into *string
	}{{"kid", &key.KeyID}, {"use", &key.Use}, {"alg", &key.Algorithm}, {"issuer", &key.issuer}} {
		if member.name == "issuer" && !shared {
			continue
		}
		var isText bool
		if *member.into, isText = m[member.name].(string); !isText && m[member.name] != nil {
			return key, &passedKey{key.KeyID, "its " + member.name + " is not a string", false}
		}
	}
	// Discovery 1.0, 3: "The JWK Set MUST NOT contain private or symmetric key values." Anyone
	// can sign with a private key or shared secret (kty oct) that was published.
	if isPrivate(m) {
		return key, &passedKey{key.KeyID, "it is a private key, so anyone could sign with it", false}
	}
	if why, other := unfitUse(key.Use, m["key_ops"]); why != "" {
		return key, &passedKey{key.KeyID, why, other}
	}
	if key.Key = publicKey(m); key.Key == nil {
		kty, _ := m["kty"].(string)
		crv, _ := m["crv"].(string)
		return key, &passedKey{key.KeyID, fmt.Sprintf("it is malformed or of an unsupported type (kty %.20q, crv %.20q)", kty, crv), false}
	}
	// RFC 7518, 3.3 and 3.5: "A key of size 2048 bits or larger MUST be used with these
	// algorithms."
	if pub, isRSA := key.Key.(*rsa.PublicKey); isRSA && pub.N.BitLen() < 2048 {
		return key, &passedKey{key.KeyID, fmt.Sprintf("its RSA modulus has %d bits, less than 2048", pub.N.BitLen()), false}
	}
	return key, nil
}

// unfitUse returns why a key with this use and key_ops cannot verify signatures, or "". other
// is true if the key has another purpose. RFC 7517, 4.2 and 4.3: use is "sig" or "enc",
// key_ops includes "verify" or not; "if both are used, the information they convey MUST be
// consistent", so either can exclude the key. Discovery 1.0, 3: in a set with encryption keys,
// use "is REQUIRED for all keys", so a key without it is for signatures.
func unfitUse(use string, ops any) (why string, other bool) {
	list, isList := ops.([]any)
	switch {
	case use != "" && use != "sig":
		return fmt.Sprintf("its use is %.20q", use), use == "enc"
	case ops != nil && !isList:
		return "its key_ops is not a list", false
	case len(list) > 0 && !slices.Contains(strictjson.Strings(list), "verify"):
		return "its key_ops does not include verify", true
	}
	return "", false
}

// fits reports whether a key can verify signatures of that algorithm. RFC 7517, 4.4: alg in
// the key names its algorithm. RFC 8725, 3.1: "each key MUST be used with exactly one
// algorithm, and this MUST be checked when the cryptographic operation is performed": the
// token's header selects a key, but never how the key is used.
func fits(key *signingKey, alg string) bool {
	if key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch pub := key.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		// RFC 7518, 3.4: each of these algorithms has its own curve.
		return alg == "ES256" && pub.Curve == elliptic.P256() || alg == "ES384" && pub.Curve == elliptic.P384() ||
			alg == "ES512" && pub.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
