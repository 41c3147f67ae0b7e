package rp_test

import (
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/rp"
)

// TestUnusedMembersOfKeys: what nothing here uses may be as it likes.
func TestUnusedMembersOfKeys(t *testing.T) {
	p := newProvider(t)
	for _, s := range []*signer{rsaKey(), ecKey(), edKey()} {
		p.signer = s
		for _, members := range []map[string]any{
			{"x5c": []string{""}}, {"x5c": []string{}}, {"x5c": "MIIB"}, {"x5c": nil}, {"x5c": []any{1}}, {"x5c": []string{"bm90IGEgY2VydGlmaWNhdGU="}},
			{"x5t": "odd!"}, {"x5t": 1}, {"x5t": ""}, {"x5t#S256": "AAAA"}, {"x5t#S256": []string{}}, {"x5u": "://"}, {"x5u": 7}, {"x5u": ""},
			{"use": ""}, {"use": nil}, {"use": "sig"}, {"key_ops": []string{}}, {"key_ops": nil}, {"key_ops": []string{"sign", "verify"}},
			{"alg": ""}, {"alg": nil}, {"alg": s.alg}, {"d": nil}, {"ext": true}, {"oth": nil}, {"nbf": 1, "exp": "never", "iat": "x"}, {"pub": 1},
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
