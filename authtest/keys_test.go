package authtest_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth/authtest"
)

// published are the keys at the provider's jwks_uri.
func published(t *testing.T, p *authtest.Provider) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	_, body := get(t, p, p.URL(authtest.JWKS))
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// verified returns the payload of a token that go-jose verifies with the
// published key of the token's kid.
func verified(t *testing.T, p *authtest.Provider, compact, alg string) ([]byte, error) {
	t.Helper()
	token, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, err
	}
	set := published(t, p)
	keys := set.Key(token.Signatures[0].Header.KeyID)
	if len(keys) != 1 {
		t.Fatalf("%d keys for the token's kid", len(keys))
	}
	return token.Verify(keys[0])
}

func TestIDTokenSignature(t *testing.T) {
	for _, alg := range []string{"", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "EdDSA"} {
		t.Run("alg "+alg, func(t *testing.T) {
			p := start(t, authtest.Config{SigningAlg: alg})
			answer := tokens(t, p, "ada")
			if alg == "" {
				alg = "RS256"
			}
			payload, err := verified(t, p, answer["id_token"].(string), alg)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(answer["access_token"].(string)))
			hash := sum[:]
			if strings.HasSuffix(alg, "384") {
				sum := sha512.Sum384([]byte(answer["access_token"].(string)))
				hash = sum[:]
			} else if strings.HasSuffix(alg, "512") || alg == "EdDSA" {
				sum := sha512.Sum512([]byte(answer["access_token"].(string)))
				hash = sum[:]
			}
			want := base64.RawURLEncoding.EncodeToString(hash[:len(hash)/2])
			if got := object(t, string(payload))["at_hash"]; got != want {
				t.Errorf("at_hash %v, want %v", got, want)
			}
		})
	}
}

func TestSign(t *testing.T) {
	p := start(t, authtest.Config{})
	for _, test := range []struct {
		name   string
		header map[string]any
		alg    string
		valid  bool
	}{
		{"as published", nil, "RS256", true},
		{"another hash", map[string]any{"alg": "RS512"}, "RS512", true},
		{"PSS", map[string]any{"alg": "PS256"}, "PS256", true},
		{"an algorithm that the key cannot do", map[string]any{"alg": "ES256"}, "ES256", false},
		{"a type of its own", map[string]any{"typ": "logout+jwt"}, "RS256", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			compact := p.Sign(test.header, map[string]any{"sub": "x"})
			if _, err := verified(t, p, compact, test.alg); (err == nil) != test.valid {
				t.Errorf("verified: %v", err)
			}
		})
	}
}

func TestSignOddHeaders(t *testing.T) {
	p := start(t, authtest.Config{ClientSecret: "a secret of more than thirty-two bytes"})
	none := p.Sign(map[string]any{"alg": "none", "kid": nil, "typ": nil}, map[string]any{"sub": "x"})
	if header, _ := decode(strings.Split(none, ".")[0]); string(header) != `{"alg":"none"}` || !strings.HasSuffix(none, ".") {
		t.Errorf("alg none: %s", none)
	}
	token, err := jose.ParseSignedCompact(p.Sign(map[string]any{"alg": "HS256"}, nil), []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify([]byte(p.ClientSecret)); err != nil {
		t.Errorf("HS256: %v", err)
	}
	const payload = `{"sub":"a","sub":"b"}`
	raw := p.SignRaw([]byte(`{"alg":"RS256","kid":"`+p.KeyID()+`"}`), []byte(payload))
	if got, err := verified(t, p, raw, "RS256"); err != nil || string(got) != payload {
		t.Errorf("raw: %s, %v", got, err)
	}
	if got := p.SignRaw([]byte("no JSON"), []byte("x")); strings.Count(got, ".") != 2 {
		t.Errorf("a header that is no JSON: %s", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("claims that are no JSON were signed")
		}
	}()
	p.Sign(nil, map[string]any{"f": func() {}})
}

func TestRotateKey(t *testing.T) {
	p, other := start(t, authtest.Config{}), start(t, authtest.Config{})
	before, old := tokens(t, p, "ada")["id_token"].(string), p.KeyID()
	p.RotateKey()
	keys := published(t, p)
	if len(keys.Keys) != 1 || keys.Keys[0].KeyID != p.KeyID() || p.KeyID() == old {
		t.Fatalf("published %d keys, the first %q", len(keys.Keys), keys.Keys[0].KeyID)
	}
	if _, err := verified(t, p, tokens(t, p, "ada")["id_token"].(string), "RS256"); err != nil {
		t.Errorf("a new token: %v", err)
	}
	for name, key := range map[string]any{"new": p.PublicKey(), "another provider's": other.PublicKey()} {
		token, err := jose.ParseSignedCompact(before, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.Verify(key); err == nil {
			t.Errorf("the old token verifies with the %s key", name)
		}
	}
}
