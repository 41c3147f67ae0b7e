package ginauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"slices"
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
	keysAge      = time.Hour        // then they are asked for again: a key that leaked is withdrawn
	keysCooldown = 15 * time.Second // after a request for keys that did not bring the one asked for
	keysLimit    = 512 << 10        // bytes
	keysMost     = 100
	keysTried    = 10 // for a token that does not name its key
)

// keySet holds a provider's signing keys. Of a set of keys it takes those it
// can use and passes over the rest: one key of an unknown kind does not make
// the good ones unusable. Keys outlive an outage.
type keySet struct {
	url    string
	name   string // of the provider
	http   *http.Client
	now    func() time.Time
	flight singleflight.Group
	held   atomic.Pointer[heldKeys]
	rest   atomic.Pointer[failure] // until when not to ask again, and what went wrong if it did
}

// signingKey is a provider's, or the secret it shares with us.
type signingKey struct {
	jose.JSONWebKey
	issuer string // whose tokens it is for, where one set of keys serves several (Microsoft); or ""
}

type heldKeys struct {
	keys    []signingKey
	fetched time.Time
}

func newKeySet(url, name string, h *http.Client, now func() time.Time) *keySet {
	k := &keySet{url: url, name: name, http: h, now: now}
	k.held.Store(&heldKeys{})
	return k
}

// find returns the keys that may have signed a token with this header. It asks
// the provider when it has none for it, at once after a rotation, but not more
// often than the cool-down allows: key ids are anybody's to invent.
func (k *keySet) find(ctx context.Context, kid, alg string) ([]*signingKey, error) {
	held := k.held.Load()
	found := held.match(kid, alg, true)
	if len(found) > 0 && k.now().Sub(held.fetched) < keysAge {
		return found, nil
	}
	err := k.refresh(ctx, kid, alg)
	if again := k.held.Load().match(kid, alg, false); len(again) > 0 {
		return again, nil
	}
	return nil, err
}

// match returns the keys for a kid and algorithm. Without a kid every key
// that fits may be tried; strict leaves out keys that bear no name themselves.
func (h *heldKeys) match(kid, alg string, strict bool) (found []*signingKey) {
	var nameless []*signingKey
	for i := range h.keys {
		switch key := &h.keys[i]; {
		case !fits(key, alg):
		case kid == "" || key.KeyID == kid:
			found = append(found, key)
		case key.KeyID == "":
			nameless = append(nameless, key)
		}
	}
	if len(found) == 0 && !strict {
		found = nameless
	}
	return found[:min(len(found), keysTried)]
}

// renew returns the keys that a token may be signed with which names none, and
// which those that are held do not fit: they may have been changed.
func (k *keySet) renew(ctx context.Context, alg string) []*signingKey {
	if k.refresh(ctx, "", alg) != nil {
		return nil
	}
	return k.held.Load().match("", alg, true)
}

// refresh asks for the keys, unless it did so in vain a moment ago. An answer
// that has the key does not start the cool-down: the next change of keys may
// follow at once.
func (k *keySet) refresh(ctx context.Context, kid, alg string) error {
	done := k.flight.DoChan("keys", func() (any, error) {
		now := k.now()
		if r := k.rest.Load(); r != nil && r.holds(now) {
			return nil, r.err
		}
		keys, err := contain.Call(func() ([]signingKey, error) { return k.fetch(context.WithoutCancel(ctx)) })
		if err != nil {
			k.rest.Store(newFailure(err, now, retryMost))
			return nil, err
		}
		held := &heldKeys{keys: keys, fetched: now}
		k.held.Store(held)
		if kid == "" || len(held.match(kid, alg, true)) == 0 {
			k.rest.Store(newFailure(nil, now, keysCooldown))
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

func (k *keySet) fetch(ctx context.Context) (keys []signingKey, err error) {
	doc, _, err := fetch.JSON(ctx, k.http, fetch.Request{
		Op: "signing keys", URL: k.url, Limit: keysLimit, Accept: []string{"application/jwk-set+json"},
	})
	if err != nil {
		return nil, err
	}
	list, _ := doc["keys"].([]any)
	for _, item := range list[:min(len(list), keysMost)] {
		if key, ok := usable(item); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// usable reads one key, and passes over what is no public key for checking
// signatures: a secret one that was published by mistake, one for encryption,
// one of a kind we do not know, one that is too weak (NIST SP 800-131A).
func usable(item any) (key signingKey, ok bool) {
	m, _ := item.(map[string]any) // what is no object is no key either
	if use, there := m["use"]; there && use != "sig" {
		return key, false
	}
	if ops, there := m["key_ops"]; there && !slices.Contains(strictjson.Strings(ops), "verify") {
		return key, false
	}
	raw, _ := json.Marshal(m) // it was JSON before
	if json.Unmarshal(raw, &key.JSONWebKey) != nil || !key.Valid() || !key.IsPublic() {
		return key, false
	}
	if pub, isRSA := key.Key.(*rsa.PublicKey); isRSA && pub.N.BitLen() < 2048 {
		return key, false
	}
	key.issuer, _ = m["issuer"].(string)
	return key, true
}

// fits says whether a key can have made a signature of that algorithm.
func fits(key *signingKey, alg string) bool {
	if key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch pub := key.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return alg == "ES256" && pub.Curve == elliptic.P256() || alg == "ES384" && pub.Curve == elliptic.P384() ||
			alg == "ES512" && pub.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
