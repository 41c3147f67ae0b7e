package rp_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/rp"
)

// keyRequests checks how many requests for keys there have been.
func (p *provider) keyRequests(want int) {
	p.t.Helper()
	if got := len(p.requests(pathKeys)); got != want {
		p.t.Errorf("%d requests for keys, want %d", got, want)
	}
}

// rejects signs in where the ID token is rejected.
func (p *provider) rejects(c *rp.Client, id string) {
	p.t.Helper()
	_, err := p.signIn(c)
	wantError(p.t, err, rp.IDTokenInvalid, id)
}

func TestKeysAreFetchedOnceAnHour(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	for range 3 {
		p.mustSignIn(c)
	}
	p.keyRequests(1)
	p.clock.add(time.Hour - time.Second)
	p.mustSignIn(c)
	p.keyRequests(1)
	p.clock.add(time.Second)
	p.mustSignIn(c)
	p.keyRequests(2)
}

func TestKeyThatIsWithdrawnVerifiesForAnHour(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.keys = []any{otherRSA().jwk()}
	p.mustSignIn(c)
	p.clock.add(time.Hour)
	p.rejects(c, "jwt.no_key")
}

// Core, 10.1.1: an unfamiliar kid is a reason to fetch the keys again, at once and
// as often as keys change.
func TestKeysThatChange(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	for i, s := range []*signer{rsaKey(), otherRSA(), ecKey(), edKey()} {
		p.signer = s
		p.mustSignIn(c)
		p.keyRequests(i + 1)
	}
}

// TestNewKeyUnderAnOldKid: a provider that starts anew, in development, makes a new
// key and calls it as before.
func TestNewKeyUnderAnOldKid(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	for _, s := range []*signer{otherRSA().as("rsa", "RS256"), newEC("rsa", "ES256", elliptic.P256()), rsaKey()} {
		p.signer = s
		p.mustSignIn(c)
	}
	p.keyRequests(4)
	// Logout tokens are opened by the same keys.
	p.signer = otherRSA().as("rsa", "RS256")
	if _, err := c.VerifyLogoutToken(t.Context(), p.logoutToken(nil, nil)); err != nil {
		t.Error(err)
	}
}

// Anyone can invent a kid: it costs the provider one request in a quarter of a
// minute.
func TestInventedKeyIDs(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	for i := range 10 {
		p.header = map[string]any{"kid": fmt.Sprint("invented", i)}
		p.rejects(c, "jwt.no_key")
	}
	p.keyRequests(2)
	p.header = nil
	p.mustSignIn(c) // with a key that is held
	p.clock.add(15*time.Second - 1)
	p.signer = otherRSA()
	p.rejects(c, "jwt.no_key")
	p.keyRequests(2)
	p.clock.add(1)
	p.mustSignIn(c)
	p.keyRequests(3)
}

// TestWrongSignaturesAreNoFlood: anyone can send a token with a kid that is known.
func TestWrongSignaturesAreNoFlood(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	forged := otherRSA().as("rsa", "RS256")
	forge := func() error {
		_, err := c.VerifyLogoutToken(t.Context(), forged.sign(map[string]any{"alg": "RS256", "kid": "rsa"}, p.idClaims()))
		return err
	}
	for range 20 {
		wantError(t, forge(), rp.LogoutTokenInvalid, "jwt.signature")
	}
	p.keyRequests(2)
	p.clock.add(16 * time.Second)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _ = forge() })
	}
	all.Wait()
	p.keyRequests(3)
	p.mustSignIn(c)
}

// TestWrongSignatureOfAWithdrawnKey: the keys that are fetched for it say that there is
// none of that name any more.
func TestWrongSignatureOfAWithdrawnKey(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.signer, p.keys = otherRSA().as("rsa", "RS256"), []any{ecKey().jwk()}
	p.rejects(c, "jwt.no_key")
	p.keyRequests(2)
}

// TestWrongSignatureOfTheFirstToken: keys that were fetched for this very token are
// not fetched again.
func TestWrongSignatureOfTheFirstToken(t *testing.T) {
	p := newProvider(t)
	p.keys = []any{otherRSA().as("rsa", "RS256").jwk()}
	p.rejects(p.client(), "jwt.signature")
	p.keyRequests(1)
}

// TestWrongSignatureInAnOutage: the keys that are known still say that it is wrong,
// and verify what is right.
func TestWrongSignatureInAnOutage(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.on(pathKeys, answering(http.StatusServiceUnavailable, "text/plain", "down"))
	p.signer = otherRSA().as("rsa", "RS256")
	p.rejects(c, "jwt.signature")
	p.signer = rsaKey()
	p.mustSignIn(c)
}

// A token without a kid is tried with the keys that fit, those that are held first.
func TestTokensWithoutAKeyID(t *testing.T) {
	p := newProvider(t)
	p.header = map[string]any{"kid": absent}
	p.keys = []any{ecKey().jwk(), otherRSA().jwk(), rsaKey().jwk()}
	c := p.client()
	for range 3 {
		p.mustSignIn(c)
	}
	p.keyRequests(1)
	// Whether the keys that came were those sought is not known: the cool-down holds.
	p.signer = newEC("first", "ES256", elliptic.P256())
	p.rejects(c, "jwt.signature")
	p.keyRequests(1)
	p.clock.add(15 * time.Second)
	p.signer = rsaKey()
	p.mustSignIn(c)
	p.keyRequests(1)

	p.signer = newEC("new", "ES256", elliptic.P256())
	p.rejects(c, "jwt.signature")
	p.keyRequests(2)
	p.keys = append(p.keys, p.signer.jwk())
	p.rejects(c, "jwt.signature") // within the cool-down
	p.keyRequests(2)
	p.clock.add(15 * time.Second)
	p.mustSignIn(c)
	p.keyRequests(3)
}

// A key without a kid serves tokens that have one, but does not hide that the key of
// that kid was published meanwhile.
func TestKeysWithoutAKeyID(t *testing.T) {
	p := newProvider(t)
	unnamed := edit(rsaKey().jwk(), map[string]any{"kid": absent})
	p.keys = []any{unnamed}
	c := p.client()
	for range 3 {
		p.mustSignIn(c)
	}
	p.keyRequests(1)
	p.clock.add(15 * time.Second)
	p.mustSignIn(c) // with the same key, though one of that kid may be there by now
	p.keyRequests(2)
	p.clock.add(15 * time.Second)
	p.signer = otherRSA()
	p.keys = []any{unnamed, otherRSA().jwk()}
	p.mustSignIn(c)
	p.keyRequests(3)

	p.keys = []any{edit(ecKey().jwk(), map[string]any{"kid": absent}), rsaKey().jwk()}
	p.signer = otherRSA().as("rsa", "RS256")
	p.clock.add(time.Hour)
	p.rejects(c, "jwt.signature") // by the key of its kid alone
}

func TestKeysOutliveAnOutage(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.on(pathKeys, answering(http.StatusBadGateway, "text/plain", ""))
	p.clock.add(time.Hour)
	for range 3 {
		p.mustSignIn(c)
	}
	p.keyRequests(2)
	p.clock.add(5*time.Second - 1)
	p.mustSignIn(c)
	p.keyRequests(2)
	p.clock.add(1)
	p.mustSignIn(c)
	p.keyRequests(3)
	p.header = map[string]any{"kid": "new"}
	_, err := p.signIn(c)
	wantError(t, err, rp.ProviderUnavailable, "http.status")
}

// A failure is the answer for five seconds, whatever token comes.
func TestFailureToFetchKeysIsRemembered(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.on(pathKeys, answering(http.StatusNotFound, "text/plain", ""))
	for _, kid := range []string{"a", "b", "c"} {
		p.header = map[string]any{"kid": kid}
		_, err := p.signIn(c)
		wantError(t, err, rp.ProviderUnavailable, "http.not_found")
	}
	p.keyRequests(1)
	p.clock.add(5 * time.Second)
	p.on(pathKeys, nil)
	p.header = nil
	p.mustSignIn(c)
	p.keyRequests(2)
}

func TestTokenWithoutAKeyIDWhileKeysCannotBeFetched(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.on(pathKeys, answering(http.StatusBadGateway, "text/plain", ""))
	p.header, p.signer = map[string]any{"kid": absent}, otherRSA()
	p.rejects(c, "jwt.signature")
	p.keyRequests(2)
}

// What was fetched "later" than now is fetched again; what was to be left alone until
// then is not left alone.
func TestKeysWhenTheClockIsPutBack(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.header = map[string]any{"kid": "new"}
	p.rejects(c, "jwt.no_key")
	p.keyRequests(2)
	p.clock.add(-time.Hour)
	p.signer = rsaKey().as("new", "RS256")
	p.mustSignIn(c)
	p.keyRequests(3)
	p.clock.add(-time.Second)
	p.mustSignIn(c)
	p.keyRequests(4)
}

// A metadata document that is newer is no reason to forget keys, unless it names
// another address for them.
func TestKeysOutliveTheMetadata(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	p.mustSignIn(c)
	p.on(pathKeys, answering(http.StatusBadGateway, "text/plain", ""))
	p.rediscover(c)
	p.mustSignIn(c)

	p.doc["jwks_uri"] = p.URL + "/newer"
	p.on("/newer", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"keys": []any{otherRSA().jwk()}})
	})
	p.rediscover(c)
	p.rejects(c, "jwt.no_key")
	p.signer = otherRSA()
	p.mustSignIn(c)
}

func TestKeysThatArePassedOver(t *testing.T) {
	weak := newRSA("weak", 1024)
	private := func(s *signer) map[string]any {
		jwk := s.jwk()
		d := must(s.key.(*ecdsa.PrivateKey).Bytes())
		return edit(jwk, map[string]any{"d": b64(d)})
	}
	point := must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey().Bytes()
	for _, test := range []struct {
		name string
		s    *signer
		jwk  any
		id   string // "" for a key that is used
	}{
		{"use sig", rsaKey(), edit(rsaKey().jwk(), map[string]any{"use": "sig"}), ""},
		{"key_ops verify", rsaKey(), edit(rsaKey().jwk(), map[string]any{"key_ops": []string{"encrypt", "verify"}}), ""},
		{"alg that is the token's", rsaKey(), edit(rsaKey().jwk(), map[string]any{"alg": "RS256"}), ""},
		{"unknown members", rsaKey(), edit(rsaKey().jwk(), map[string]any{"cloud_instance": "x"}), ""},
		{"use enc", rsaKey(), edit(rsaKey().jwk(), map[string]any{"use": "enc"}), "jwt.no_key"},
		{"use null", rsaKey(), edit(rsaKey().jwk(), map[string]any{"use": nil}), ""},
		{"key_ops without verify", rsaKey(), edit(rsaKey().jwk(), map[string]any{"key_ops": []string{"encrypt"}}), "jwt.no_key"},
		{"key_ops empty", rsaKey(), edit(rsaKey().jwk(), map[string]any{"key_ops": []string{}}), ""},
		{"key_ops text", rsaKey(), edit(rsaKey().jwk(), map[string]any{"key_ops": "verify"}), "jwt.no_key"},
		{"another alg", rsaKey(), edit(rsaKey().jwk(), map[string]any{"alg": "RS512"}), "jwt.no_key"},
		{"alg of encryption", rsaKey(), edit(rsaKey().jwk(), map[string]any{"alg": "RSA-OAEP"}), "jwt.no_key"},
		{"too weak", weak, weak.jwk(), "jwt.no_key"},
		{"private", ecKey(), private(ecKey()), "jwt.no_key"},
		{"no modulus", rsaKey(), edit(rsaKey().jwk(), map[string]any{"n": absent}), "jwt.no_key"},
		{"no type", rsaKey(), edit(rsaKey().jwk(), map[string]any{"kty": absent}), "jwt.no_key"},
		{"a point that is not on the curve", ecKey(), edit(ecKey().jwk(), map[string]any{"x": ecKey().jwk()["y"]}), "jwt.no_key"},
		{"kid that is not text", rsaKey(), edit(rsaKey().jwk(), map[string]any{"kid": 1}), "jwt.no_key"},
		{"P-384 for ES256", newEC("ec", "ES256", elliptic.P384()), nil, "jwt.no_key"},
		{"P-521 for ES256", newEC("ec", "ES256", elliptic.P521()), nil, "jwt.no_key"},
		{"P-256 for ES384", newEC("ec", "ES384", elliptic.P256()), nil, "jwt.no_key"},
		{"P-256 for ES512", newEC("ec", "ES512", elliptic.P256()), nil, "jwt.no_key"},
		{"Ed25519 for RS256", edKey().as("ed", "RS256"), nil, "jwt.no_key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.signer = test.s
			if test.jwk == nil {
				test.jwk = test.s.jwk()
			}
			p.keys = []any{ // around it, what must not make it unusable
				nil, "key", 1, []any{}, map[string]any{}, map[string]any{"kty": "new", "kid": test.s.kid},
				map[string]any{"kty": "oct", "k": b64([]byte(theSecret)), "kid": test.s.kid},
				map[string]any{"kty": "OKP", "crv": "X25519", "x": b64(point), "kid": test.s.kid},
				test.jwk, map[string]any{"kty": "RSA", "n": "!", "e": "AQAB"},
			}
			if test.id == "" {
				p.mustSignIn(p.client())
			} else {
				p.rejects(p.client(), test.id)
			}
		})
	}
}

// TestUnusedMembersOfKeys: what nothing here uses may be as it likes.
func TestUnusedMembersOfKeys(t *testing.T) {
	p := newProvider(t)
	ofOtherKinds := map[string]map[string]any{"RS256": {"crv": 5, "x": "odd!", "y": []string{}}, "ES256": {"n": 1, "e": "odd!"}, "EdDSA": {"y": 1, "n": []string{}}}
	for _, s := range []*signer{rsaKey(), ecKey(), edKey()} {
		p.signer = s
		for _, members := range []map[string]any{
			ofOtherKinds[s.alg],
			{"x5c": []string{""}}, {"x5c": []string{}}, {"x5c": "MIIB"}, {"x5c": nil}, {"x5c": []any{1}}, {"x5c": []string{"bm90IGEgY2VydGlmaWNhdGU="}},
			{"x5t": "odd!"}, {"x5t": 1}, {"x5t": ""}, {"x5t#S256": "AAAA"}, {"x5t#S256": []string{}}, {"x5u": "://"}, {"x5u": 7}, {"x5u": ""},
			{"use": ""}, {"use": nil}, {"use": "sig"}, {"key_ops": []string{}}, {"key_ops": nil}, {"key_ops": []string{"sign", "verify"}},
			{"alg": ""}, {"alg": nil}, {"alg": s.alg}, {"d": nil}, {"ext": true}, {"oth": nil}, {"nbf": 1, "exp": "never", "iat": "x"}, {"pub": 1},
			{"issuer": 5}, {"issuer": []string{}}, {"issuer": "https://other.example"},
		} {
			p.keys = []any{edit(s.jwk(), members)}
			if _, err := p.signIn(p.client()); err != nil {
				t.Errorf("%s, %v: %v", s.alg, members, err)
			}
		}
	}
}

// TestUnusableKeys: a key that cannot be used is not, and where the token names it,
// the error says why.
func TestUnusableKeys(t *testing.T) {
	p := newProvider(t)
	d := b64(rsaKey().key.(*rsa.PrivateKey).D.Bytes())
	weak := newRSA("weak", 1024)
	for _, tt := range []struct {
		signer *signer
		key    map[string]any
		why    string // part of the reason
	}{
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"use": "enc"}), "enc"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"use": "signature"}), "signature"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"use": []string{"sig"}}), "use"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"key_ops": []string{"encrypt"}}), "key_ops"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"key_ops": "verify"}), "key_ops"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"d": d}), "private"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"p": "AQ"}), "private"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"alg": 256}), "alg"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"alg": "PS256"}), "PS256"},
		{rsaKey(), edit(rsaKey().jwk(), map[string]any{"n": absent}), "RSA"},
		{rsaKey(), edit(ecKey().jwk(), map[string]any{"kid": "rsa"}), "P-256"},
		{rsaKey(), map[string]any{"kid": "rsa", "kty": "oct", "k": "c2VjcmV0"}, "private"},
		{rsaKey(), map[string]any{"kid": "rsa", "kty": "AKP", "alg": "ML-DSA-44", "pub": "AQ"}, "AKP"},
		{weak, weak.jwk(), "1024 bits"},
		{newEC("ec", "ES256", elliptic.P256()), newEC("ec", "ES384", elliptic.P384()).jwk(), "P-384"},
	} {
		t.Run(fmt.Sprint(tt.why, tt.key["kty"]), func(t *testing.T) {
			p.signer, p.keys = tt.signer, []any{tt.key, otherRSA().jwk()}
			_, err := p.signIn(p.client())
			if e := wantError(t, err, rp.IDTokenInvalid, "jwt.no_key"); !strings.Contains(e.Reason, tt.why) || strings.Contains(e.Reason, `for ""`) || e.Fix == "" {
				t.Errorf("the reason does not have %q, or is for nothing: %v", tt.why, e)
			}
		})
	}
}

// TestGoodKeyBesideUnusableOne: with the same kid, the good one counts.
func TestGoodKeyBesideUnusableOne(t *testing.T) {
	p := newProvider(t)
	p.keys = []any{edit(rsaKey().jwk(), map[string]any{"use": "enc"}), rsaKey().jwk(), nil, 7, "key", map[string]any{}}
	p.mustSignIn(p.client())
	p.signer = otherRSA().as("rsa", "RS256")
	p.rejects(p.client(), "jwt.signature")
}

// A key whose private part, or a part of that, is published is everyone's.
func TestPrivateMembersOfKeys(t *testing.T) {
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		for v, id := range map[any]string{"AQ": "jwt.no_key", 1: "jwt.no_key", "": "", nil: ""} {
			p := newProvider(t)
			p.keys = []any{edit(rsaKey().jwk(), map[string]any{name: v})}
			if id == "" {
				p.mustSignIn(p.client())
			} else {
				p.rejects(p.client(), id)
			}
		}
	}
}

// TestPublicKeyBesideItsPrivateKey: everyone can sign what it verifies, in whichever
// entry of the key set the private key is, and whatever else is the matter with that.
func TestPublicKeyBesideItsPrivateKey(t *testing.T) {
	private := func(s *signer) map[string]any {
		d := []byte{1}
		switch key := s.key.(type) {
		case *rsa.PrivateKey:
			d = key.D.Bytes()
		case *ecdsa.PrivateKey:
			d = must(key.Bytes())
		case ed25519.PrivateKey:
			d = key.Seed()
		}
		return edit(s.jwk(), map[string]any{"d": b64(d)})
	}
	for _, s := range []*signer{rsaKey(), ecKey(), edKey()} {
		other := map[string]any{"kid": "other"}
		for name, keys := range map[string][]any{
			"before it":                   {private(s), s.jwk()},
			"after it":                    {s.jwk(), private(s)},
			"under another kid":           {edit(private(s), other), s.jwk()},
			"as a key to sign with":       {edit(private(s), map[string]any{"key_ops": []string{"sign"}}), s.jwk()},
			"as a key for encryption":     {edit(private(s), map[string]any{"use": "enc"}), s.jwk()},
			"with a kid that is a number": {edit(private(s), map[string]any{"kid": 1}), s.jwk()},
			"behind a hundred keys":       append(slices.Repeat([]any{s.jwk()}, 100), private(s)),
		} {
			t.Run(s.alg+", "+name, func(t *testing.T) {
				p := newProvider(t)
				p.signer, p.keys = s, keys
				_, err := p.signIn(p.client())
				if e := wantError(t, err, rp.IDTokenInvalid, "jwt.no_key"); !strings.Contains(e.Reason, "private key") {
					t.Errorf("the reason is %q", e.Reason)
				}
			})
		}
		t.Run(s.alg+", another's", func(t *testing.T) {
			p := newProvider(t)
			p.signer, p.keys = s, []any{s.jwk(), edit(private(otherRSA()), other), edit(private(newEC("spare", "ES256", elliptic.P256())), other)}
			p.mustSignIn(p.client())
		})
	}
	t.Run("a key that is too weak as well", func(t *testing.T) {
		p := newProvider(t)
		weak := newRSA("weak", 1024)
		p.signer, p.keys = weak, []any{weak.jwk(), private(weak)}
		p.rejects(p.client(), "jwt.no_key")
	})
	t.Run("another public exponent", func(t *testing.T) {
		p := newProvider(t)
		p.keys = []any{edit(private(rsaKey()), map[string]any{"e": "Aw", "kid": "three"}), rsaKey().jwk()}
		p.rejects(p.client(), "jwt.no_key")
	})
}

// TestIssuerOfAKeyThatIsNotText: whose tokens such a key is for is unknown.
func TestIssuerOfAKeyThatIsNotText(t *testing.T) {
	p := newProvider(t)
	p.claims = map[string]any{"iss": "https://tenants.example/a", "tid": "a"}
	admit := func(cfg *rp.Config) {
		cfg.TokenIssuer = func(claims map[string]any) (string, error) { return claims["iss"].(string), nil }
	}
	for _, issuer := range []any{[]string{"https://tenants.example/personal"}, map[string]any{}, 7, false} {
		p.keys = []any{edit(rsaKey().jwk(), map[string]any{"issuer": issuer})}
		_, err := p.signIn(p.client(admit))
		if e := wantError(t, err, rp.IDTokenInvalid, "jwt.no_key"); !strings.Contains(e.Reason, "issuer") {
			t.Errorf("%v: the reason is %q", issuer, e.Reason)
		}
	}
	p.keys = []any{edit(rsaKey().jwk(), map[string]any{"issuer": nil})}
	p.mustSignIn(p.client(admit))
}

// TestKidThatIsNotText: such a key has no name to be found by.
func TestKidThatIsNotText(t *testing.T) {
	p := newProvider(t)
	p.keys = []any{edit(rsaKey().jwk(), map[string]any{"kid": 7})}
	p.rejects(p.client(), "jwt.no_key")
}

// What is said of a key that a token names is said of no other token.
func TestReasonsAboutKeys(t *testing.T) {
	p := newProvider(t)
	reason := func(id string, keys ...any) string {
		t.Helper()
		p.keys = append([]any{}, keys...)
		_, err := p.signIn(p.client())
		return wantError(t, err, rp.IDTokenInvalid, id).Reason
	}
	unusable := edit(rsaKey().jwk(), map[string]any{"use": "enc"})
	p.header = map[string]any{"kid": "gone"}
	without := reason("jwt.no_key")
	if got := reason("jwt.no_key", unusable); got != without {
		t.Errorf("beside one that is passed over: %q, else %q", got, without)
	}
	if got := reason("jwt.no_key", ecKey().jwk()); got != without {
		t.Errorf("beside one of another kind: %q, else %q", got, without)
	}
	p.header = map[string]any{"kid": "rsa"}
	if got := reason("jwt.no_key", unusable); got == without {
		t.Errorf("the reason does not say why the key is passed over: %q", got)
	}
	// A token that names no key is not about the one that has no name.
	p.header, p.signer = map[string]any{"kid": absent}, otherRSA().as("", "RS256")
	reason("jwt.signature", rsaKey().jwk(), edit(unusable, map[string]any{"kid": absent}))
}

// A key set may be published with a shared secret in it: everyone knows it.
func TestSecretsAmongTheKeysSignNothing(t *testing.T) {
	p := newProvider(t)
	p.keys = []any{map[string]any{"kty": "oct", "k": b64([]byte("published")), "kid": "hmac"}}
	p.signer = &signer{"hmac", "HS256", []byte("published")}
	p.rejects(p.client(), "jwt.algorithm")
	p.rejects(p.client(func(cfg *rp.Config) { cfg.Quirks.HS256 = true }), "jwt.signature")
}

func TestLimitsOfAKeySet(t *testing.T) {
	spare := func(n int) (keys []any) {
		for i := range n {
			keys = append(keys, edit(ecKey().jwk(), map[string]any{"kid": fmt.Sprint("spare", i)}))
		}
		return keys
	}
	t.Run("a hundred keys", func(t *testing.T) {
		p := newProvider(t)
		p.keys = append(spare(99), rsaKey().jwk())
		p.mustSignIn(p.client())
		p.keys = append(spare(100), rsaKey().jwk())
		p.rejects(p.client(), "jwt.no_key")
	})
	t.Run("ten keys for a token that names none", func(t *testing.T) {
		p := newProvider(t)
		p.signer, p.header = newEC("signs", "ES256", elliptic.P256()), map[string]any{"kid": absent}
		p.keys = append(spare(9), p.signer.jwk())
		p.mustSignIn(p.client())
		p.keys = append(spare(10), p.signer.jwk())
		p.rejects(p.client(), "jwt.signature")
	})
	t.Run("half a megabyte", func(t *testing.T) {
		p := newProvider(t)
		sized := func(length int) {
			body := `{"keys":[` + string(marshal(rsaKey().jwk())) + `],"x":""}`
			p.on(pathKeys, answering(http.StatusOK, "application/jwk-set+json", strings.Replace(body, `"x":"`, `"x":"`+strings.Repeat("x", length-len(body)), 1)))
		}
		sized(512 << 10)
		p.mustSignIn(p.client())
		sized(512<<10 + 1)
		_, err := p.signIn(p.client())
		wantError(t, err, rp.ProviderUnavailable, "http.too_large")
	})
}

func TestKeySetsWithoutKeys(t *testing.T) {
	p := newProvider(t)
	for _, body := range []string{`{}`, `{"keys":[]}`, `{"keys":null}`, `{"keys":{}}`, `{"keys":"x"}`} {
		p.on(pathKeys, answering(http.StatusOK, "application/json", body))
		p.rejects(p.client(), "jwt.no_key")
	}
	for _, body := range []string{``, `[]`, `{"keys":[],"keys":[]}`} {
		p.on(pathKeys, answering(http.StatusOK, "application/json", body))
		_, err := p.signIn(p.client())
		wantError(t, err, rp.ProviderUnavailable, "http.unusable")
	}
}

// Sign-ins that need keys at the same time wait for one request.
func TestKeysAreFetchedOnceForAll(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	r := p.begin(c)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if _, err := c.Redeem(t.Context(), r, response()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	p.keyRequests(1)
}

// One that stops waiting does not stop the request that others wait for.
func TestKeysArriveAfterTheFirstStopsWaiting(t *testing.T) {
	p := newProvider(t)
	c := p.client()
	r := p.begin(c)
	ctx, cancel := context.WithCancel(t.Context())
	asked, release := make(chan struct{}), make(chan struct{})
	p.on(pathKeys, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		writeJSON(w, map[string]any{"keys": p.published()})
	})
	var group sync.WaitGroup
	group.Go(func() {
		_, err := c.Redeem(ctx, r, response())
		wantError(t, err, rp.ProviderUnavailable, "http.unusable")
		close(release)
	})
	<-asked
	cancel()
	group.Wait()
	p.mustSignIn(c)
	p.keyRequests(1)
}

// The request is made on a goroutine of its own: a panic there would end the process.
func TestPanicOfTheTransportWhileKeysAreFetched(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *rp.Config) {
		next := cfg.HTTP.Transport
		cfg.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == pathKeys {
				panic("transport")
			}
			return next.RoundTrip(r)
		})}
	})
	_, err := p.signIn(c)
	wantError(t, err, rp.ProviderUnavailable, "http.unusable")
}
