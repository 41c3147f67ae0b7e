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
	keysAge      = time.Hour        // then keys are fetched again: one that leaked is withdrawn
	keysCooldown = 15 * time.Second // after a request for keys that did not bring the one asked for
	keysLimit    = 512 << 10        // bytes
	keysMost     = 100
	keysTried    = 10 // for a token that does not name its key
)

// keySet holds a provider's signing keys. It uses the keys that it can and passes over
// the rest. RFC 7517, 5: "Implementations SHOULD ignore JWKs within a JWK Set that use
// "kty" (key type) values that are not understood by them, that are missing required
// members, or for which values are out of the supported ranges." One key of an unknown
// kind does not make the good ones unusable. Keys outlive an outage.
type keySet struct {
	url    string
	http   *http.Client
	now    func() time.Time
	shared bool // several issuers sign with these keys, which may name the one that they are for
	flight singleflight.Group
	held   atomic.Pointer[heldKeys]
	failed atomic.Pointer[failure]                 // the last request, and until when not to ask again
	vain   [fromAnyone + 1]atomic.Pointer[failure] // until when not to ask again for a token that came this way
}

// source is the channel by which a token arrived. Each has its own cool-down: what anyone
// sends here does not keep the keys from being fetched that have signed an ID token.
type source int

const (
	fromProvider source = iota // in an answer of its token endpoint
	fromAnyone                 // in a request to this application
)

// signingKey is a key of the provider, or the secret that it shares with us.
type signingKey struct {
	jose.JSONWebKey
	issuer string // whose tokens it is for, where one set of keys serves several (Microsoft); or ""
}

// passedKey is a key that cannot be used here.
type passedKey struct {
	kid, why string
	other    bool // it is not for signatures, so that nothing is amiss
}

// heldKeys are keys as they were fetched. They are immutable; newer ones replace them.
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
// rollover". OpenID Connect
// Core, 10.1.1: "The verifier knows to go back to the jwks_uri location to re-retrieve
// the keys when it sees an unfamiliar kid value." So it asks the provider if it has
// none, at once after a rotation, but not more often than the cool-down allows: anyone
// can invent key ids.
func (k *keySet) find(ctx context.Context, kid, alg string, from source) ([]*signingKey, error) {
	// strict while the keys may be old: a key without a kid must not hide that the one
	// asked for has been added since.
	held := k.held.Load()
	found := held.match(kid, alg, true)
	if len(found) > 0 && fresh(held.fetched, k.now(), keysAge) {
		return found, nil
	}
	// Keys that are older than an hour serve on if there are no newer ones to be had: an
	// outage of jwks_uri alone must not end every sign-in.
	err := k.refresh(ctx, from, func(h *heldKeys) bool { return kid != "" && len(h.match(kid, alg, true)) > 0 })
	if again := k.held.Load().match(kid, alg, false); len(again) > 0 {
		return again, nil
	}
	return nil, err
}

// known fetches the keys if they never were.
func (k *keySet) known(ctx context.Context) error {
	if !k.held.Load().fetched.IsZero() {
		return nil
	}
	return k.refresh(ctx, fromProvider, func(*heldKeys) bool { return true })
}

// match returns the keys for a kid and algorithm. There may be several of one kid: RFC
// 7517, 4.5: "different keys within the JWK Set SHOULD use distinct "kid" values". Without
// a kid every key that fits may be tried. strict leaves out keys that have no kid themselves.
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
	// Anyone can send a token without a kid, and each key tried is a signature verified: a
	// hundred RSA keys would take milliseconds of processor for every one.
	return found[:min(len(found), keysTried)]
}

// has reports whether a key of that kid is published, usable here or not.
func (h *heldKeys) has(kid string) bool {
	return slices.ContainsFunc(h.keys, func(key signingKey) bool { return key.KeyID == kid }) ||
		slices.ContainsFunc(h.passed, func(key passedKey) bool { return key.kid == kid })
}

// passedOver says why the key that a token names, though it is published, cannot
// have made its signature; nil if that is not so.
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
		if key := &h.keys[i]; key.KeyID == kid { // and does not fit
			return told(fmt.Sprintf("it is %s, but the token is signed with %s", describe(key), alg), "have the provider publish its keys with their actual algorithm")
		}
	}
	return nil
}

const unusableKeyFix = "have the provider publish the public keys that sign ID tokens: RSA with 2048 bits or more, P-256, P-384, P-521 or Ed25519"

// describe says what kind of key it is.
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

// refresh fetches the keys, unless it did so in vain a moment ago for a token that
// came the same way: found says whether they are those that were sought. If they are,
// no cool-down starts: the next change of keys may follow at once.
func (k *keySet) refresh(ctx context.Context, from source, found func(*heldKeys) bool) error {
	done := k.flight.DoChan(strconv.Itoa(int(from)), func() (any, error) {
		// Those who wait share the one request. Within the cool-down there is none, and its
		// error, if it failed, is the answer.
		now := k.now()
		for _, f := range []*failure{k.failed.Load(), k.vain[from].Load()} {
			if f != nil && f.active(now) {
				return nil, f.err
			}
		}
		// Not on the context of the one that asks first: others wait for the same keys.
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
	// RFC 7517, 5.1: "The value of the "keys" parameter is an array of JWK values." What is
	// anything else has no keys, which is an answer: a provider may withdraw them all.
	list, _ := doc["keys"].([]any)
	var leaked []any // the public keys of the private ones, wherever in the list those are
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

// privateMembers are those of a JWK that hold secrets (RFC 7518, sections 6.2.2,
// 6.3.2 and 6.4.1).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// isPrivate reports whether a JWK holds a private key or a shared secret.
func isPrivate(jwk map[string]any) bool {
	return slices.ContainsFunc(privateMembers, func(name string) bool { return jwk[name] != nil && jwk[name] != "" })
}

// publicMembers are those of a JWK that hold a public key, by its kty (RFC 7518,
// sections 6.2.1 and 6.3.1; RFC 8037, section 2).
var publicMembers = map[string][]string{"RSA": {"n", "e"}, "EC": {"crv", "x", "y"}, "OKP": {"crv", "x"}}

// publicKey returns the public key of a JWK, or nil if it has none that can be used
// here. Members that its kind of key does not have may be anything.
func publicKey(jwk map[string]any) any {
	kty, _ := jwk["kty"].(string)
	public := map[string]any{"kty": kty}
	for _, name := range publicMembers[kty] {
		public[name] = jwk[name]
	}
	raw, _ := json.Marshal(public) // cannot fail: it was JSON before
	var decoded jose.JSONWebKey
	if decoded.UnmarshalJSON(raw) != nil || !decoded.Valid() || !decoded.IsPublic() {
		return nil
	}
	return decoded.Key
}

// samePair reports whether the private key of the one public key signs for the other
// as well. Of RSA keys the modulus decides: one private exponent factors it, and gives
// those of every public exponent.
func samePair(a, b any) bool {
	if a, isRSA := a.(*rsa.PublicKey); isRSA {
		b, isRSA := b.(*rsa.PublicKey)
		return isRSA && a.N.Cmp(b.N) == 0
	}
	public, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b)
}

// readKey reads one key, or says why it is passed over: it is a private one that
// was published by mistake, one for encryption, one of an unknown kind, or too weak
// (NIST SP 800-131A). Members that are not used here (x5c, x5t, x5u, and issuer
// unless several share the keys) may be malformed, and those that are empty are absent.
func readKey(item any, shared bool) (signingKey, *passedKey) {
	var key signingKey
	m, _ := item.(map[string]any) // anything but an object has no members, and fails below
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
	// Discovery 1.0, 3: "The JWK Set MUST NOT contain private or symmetric key values." A
	// private key or a shared secret (kty oct) that was published is known to everyone, and
	// everyone can sign with it.
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

// unfitUse says why a key with this use and key_ops is not one to verify
// signatures with, or "". other means that it is for something else. RFC 7517, 4.2 and
// 4.3: use is "sig" or "enc", key_ops has "verify" or not; "if both are used, the
// information they convey MUST be consistent": each is a reason. Discovery 1.0, 3: where there
// are keys for encryption as well, use "is REQUIRED for all keys": without it, a key is
// for signatures.
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

// fits reports whether a key can have made a signature of that algorithm. RFC 7517,
// 4.4: alg names the algorithm that the key is for. RFC 8725, 3.1: "each key MUST be used
// with exactly one algorithm, and this MUST be checked when the cryptographic operation
// is performed": the token's header chooses among the keys and never what is done with
// one.
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
