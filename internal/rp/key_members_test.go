package rp_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

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
			if e := wantError(t, err, rp.IDTokenInvalid, "jwt.no_key"); !strings.Contains(e.Reason, tt.why) || e.Fix == "" {
				t.Errorf("the reason does not have %q: %v", tt.why, e)
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
	_, err := p.signIn(p.client())
	wantError(t, err, rp.IDTokenInvalid, "jwt.signature")
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
	_, err := p.signIn(p.client())
	wantError(t, err, rp.IDTokenInvalid, "jwt.no_key")
}

// TestDiagnoseNamesUnusableKeys: but not those that are for encryption.
func TestDiagnoseNamesUnusableKeys(t *testing.T) {
	p := newProvider(t)
	p.keys = []any{rsaKey().jwk(), edit(otherRSA().jwk(), map[string]any{"use": "enc"}), newRSA("weak", 1024).jwk()}
	r := p.client().Diagnose(t.Context())
	var about []string
	for _, e := range r.Warnings {
		if e.ID == "diagnose.key_unusable" {
			about = append(about, e.Reason)
		}
	}
	if len(about) != 1 || !strings.Contains(about[0], `"weak"`) || !strings.Contains(about[0], "1024 bits") {
		t.Errorf("Diagnose warns of %q", about)
	}
	if r.Keys["RS256"] != 1 {
		t.Errorf("usable keys: %v", r.Keys)
	}
	p.keys = p.keys[2:]
	r = p.client().Diagnose(t.Context())
	if len(r.Problems) != 1 || r.Problems[0].ID != "diagnose.keys" || r.Problems[0].Cause == nil || !strings.Contains(r.Problems[0].Cause.Error(), "1024 bits") {
		t.Errorf("with that key alone: %v", r.Problems)
	}
}
