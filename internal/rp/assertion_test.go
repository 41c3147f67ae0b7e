package rp_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth/internal/contain"
	"github.com/ginauth/ginauth/internal/rp"
)

// clientKeys are private keys by signature algorithm.
func clientKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	keys := map[string]crypto.Signer{}
	var err error
	if keys["RS256"], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		if keys[alg], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	if _, keys["EdDSA"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return keys
}

// asserting configures a client that signs assertions.
func asserting(key crypto.Signer) func(*rp.Config) {
	return func(cfg *rp.Config) {
		cfg.ClientSecret, cfg.AuthMethod, cfg.PrivateKey = "", rp.PrivateKeyJWT, key
	}
}

// opened verifies an assertion with a key, and returns its header and its claims.
func opened(t *testing.T, compact string, key crypto.Signer) (header jose.Header, claims map[string]any) {
	t.Helper()
	token, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"})
	if err != nil {
		t.Fatalf("%q: %v", compact, err)
	}
	payload, err := token.Verify(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return token.Signatures[0].Header, claims
}

// Core, 9, and RFC 7523, 2.2 and 3: the parameters of a token request with a client assertion.
func TestClientAssertion(t *testing.T) {
	for alg, key := range clientKeys(t) {
		t.Run(alg, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(asserting(key))
			seen := map[any]bool{}
			for range 2 {
				got := p.tokenRequest(c)
				if got.authorization != "" || got.form.Has("client_secret") || got.form.Get("client_id") != theClient ||
					got.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
					t.Errorf("Authorization is %q, the form is %v", got.authorization, got.form)
				}
				header, claims := opened(t, got.form.Get("client_assertion"), key)
				sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
				if err != nil {
					t.Fatal(err)
				}
				if header.Algorithm != alg || header.KeyID != base64.RawURLEncoding.EncodeToString(sum) || header.ExtraHeaders["typ"] != "JWT" {
					t.Errorf("the header is %+v", header)
				}
				now := float64(p.clock.Now().Unix())
				if claims["iss"] != theClient || claims["sub"] != theClient || claims["aud"] != p.URL || claims["iat"] != now || claims["exp"] != now+60 || len(claims) != 6 {
					t.Errorf("the claims are %v", claims)
				}
				if jti, _ := claims["jti"].(string); len(jti) < 16 || seen[jti] {
					t.Errorf("the jti is %q", jti)
				}
				seen[claims["jti"]] = true
			}
		})
	}
}

func TestAlgorithmOfClientAssertions(t *testing.T) {
	keys := clientKeys(t)
	for _, test := range []struct {
		name    string
		key     string
		offered any
		want    string // "" if the configuration is rejected
	}{
		{"RSA, not said", "RS256", absent, "RS256"},
		{"RSA, an empty list", "RS256", []string{}, "RS256"},
		{"RSA, both", "RS256", []string{"ES256", "PS256", "RS256"}, "RS256"},
		{"RSA, PS256 alone", "RS256", []string{"PS256", "ES256"}, "PS256"},
		{"RSA, elliptic curves alone", "RS256", []string{"ES256", "EdDSA"}, ""},
		{"RSA, other hashes alone", "RS256", []string{"RS512", "PS384"}, ""},
		{"ECDSA, not said", "ES256", absent, "ES256"},
		{"ECDSA, RSA alone", "ES256", []string{"RS256"}, ""},
		{"ECDSA, another curve alone", "ES384", []string{"ES256"}, ""},
		{"Ed25519, with others", "EdDSA", []string{"RS256", "EdDSA"}, "EdDSA"},
		{"the client secret alone", "RS256", []string{"HS256", "none"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProvider(t)
			p.doc = map[string]any{"token_endpoint_auth_signing_alg_values_supported": test.offered}
			c := p.client(asserting(keys[test.key]))
			if test.want == "" {
				wantJoined(t, c.Discover(t.Context()), "discovery.assertion_alg")
				return
			}
			if header, _ := opened(t, p.tokenRequest(c).form.Get("client_assertion"), keys[test.key]); header.Algorithm != test.want {
				t.Errorf("signed with %s, want %s", header.Algorithm, test.want)
			}
		})
	}
}

// An assertion for one provider must be useless at every other.
func TestAudienceOfClientAssertions(t *testing.T) {
	key := clientKeys(t)["EdDSA"]
	for name, test := range map[string]struct {
		change func(*provider, *rp.Config)
		want   func(*provider) string
	}{
		"the issuer, whatever the token endpoint": {func(p *provider, cfg *rp.Config) { cfg.TokenURL = p.URL + pathToken + "?x=y" }, func(p *provider) string { return p.URL }},
		"the issuer, with nothing discovered": {func(p *provider, cfg *rp.Config) {
			cfg.AuthorizeURL, cfg.TokenURL, cfg.JWKSURL = p.URL+pathAuthorize, p.URL+pathToken, p.URL+pathKeys
		}, func(p *provider) string { return p.URL }},
		"plain OAuth 2.0": {func(p *provider, cfg *rp.Config) { p.plain(cfg) }, func(p *provider) string { return p.URL + pathToken }},
		"plain OAuth 2.0 with an issuer of its responses": {func(p *provider, cfg *rp.Config) {
			p.plain(cfg)
			cfg.ResponseIssuer = "https://as.example"
		}, func(*provider) string { return "https://as.example" }},
		"an issuer of many tenants": {func(p *provider, cfg *rp.Config) {
			p.doc = map[string]any{"issuer": p.URL + "/{tenantid}"}
			cfg.TokenIssuer = func(map[string]any) (string, error) { return p.URL, nil }
		}, func(p *provider) string { return p.URL + pathToken }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(asserting(key), func(cfg *rp.Config) { test.change(p, cfg) })
			_, _ = p.signIn(c) // the result does not matter here
			if n := len(p.requests(pathToken)); n != 1 {
				t.Fatalf("%d token requests", n)
			}
			if _, claims := opened(t, p.requests(pathToken)[0].form.Get("client_assertion"), key); claims["aud"] != test.want(p) {
				t.Errorf("aud is %v, want %s", claims["aud"], test.want(p))
			}
		})
	}
}

func TestKeyIDOfClientAssertions(t *testing.T) {
	key := clientKeys(t)["ES256"]
	p := newProvider(t)
	c := p.client(asserting(key), func(cfg *rp.Config) { cfg.KeyID = "key-7" })
	header, _ := opened(t, p.tokenRequest(c).form.Get("client_assertion"), key)
	if header.KeyID != "key-7" {
		t.Errorf("the kid is %q", header.KeyID)
	}
	report := c.Diagnose(t.Context())
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(report.JWKS, &set); err != nil {
		t.Fatal(err)
	}
	if k := set.Key("key-7"); len(set.Keys) != 1 || len(k) != 1 || k[0].Algorithm != "ES256" || k[0].Use != "sig" || !k[0].IsPublic() || !k[0].Valid() {
		t.Errorf("the set is %s", report.JWKS)
	}
	for _, e := range report.Problems {
		t.Error(e)
	}
	if got := newProvider(t).client().Diagnose(t.Context()).JWKS; got != nil {
		t.Errorf("without a key, the set is %s", got)
	}
}

var errDown = errors.New("the KMS is down")

// brokenKey is a key of an unreachable key service.
type brokenKey struct {
	crypto.Signer
	fail func() ([]byte, error)
}

// Sign implements crypto.Signer.
func (k brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return k.fail() }

// A key that does not sign spends no code.
func TestKeyThatDoesNotSign(t *testing.T) {
	keys := clientKeys(t)
	for name, fail := range map[string]func() ([]byte, error){
		"an error":    func() ([]byte, error) { return nil, errDown },
		"a panic":     func() ([]byte, error) { panic("the KMS is down") },
		"garbage":     func() ([]byte, error) { return []byte("the KMS is down"), nil },
		"nothing":     func() ([]byte, error) { return nil, nil },
		"a huge pair": func() ([]byte, error) { return append([]byte{0x30, 0x44, 2, 0x21, 1}, make([]byte, 0x41)...), nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(asserting(brokenKey{keys["ES256"], fail}))
			_, err := p.signIn(c)
			wantError(t, err, rp.ProviderMisconfigured, "token.client_assertion")
			if name == "an error" && !errors.Is(err, errDown) {
				t.Errorf("the cause is not the key's error: %v", err)
			}
			if n := len(p.requests(pathToken)); n != 0 {
				t.Errorf("%d token requests", n)
			}
			report := c.Diagnose(t.Context())
			if len(report.Problems) != 1 || report.Problems[0].ID != "token.client_assertion" {
				t.Fatalf("Diagnose reports %v", report.Problems)
			}
			if _, twice := report.Problems[0].Cause.(*rp.Error); twice {
				t.Errorf("Diagnose reports an error that wraps another: %v", report.Problems[0])
			}
		})
	}
}

// rotatedKey is a key of a key service that rotates it.
type rotatedKey struct {
	crypto.Signer
	public crypto.PublicKey
}

// Public implements crypto.Signer.
func (k *rotatedKey) Public() crypto.PublicKey { return k.public }

// The algorithm is chosen when the metadata is read. If the key has another type when it signs,
// that is an error, not a recovered panic.
func TestKeyThatIsOfAnotherTypeWhenItSigns(t *testing.T) {
	keys := clientKeys(t)
	for name, next := range map[string]crypto.PublicKey{"another curve": keys["ES384"].Public(), "no key": nil} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			key := &rotatedKey{keys["ES256"], keys["ES256"].Public()}
			c := p.client(asserting(key))
			if err := c.Discover(t.Context()); err != nil {
				t.Fatal(err)
			}
			key.public = next
			_, err := p.signIn(c)
			e := wantError(t, err, rp.ProviderMisconfigured, "token.client_assertion")
			if _, panicked := e.Cause.(*contain.Panic); panicked || e.Cause == nil {
				t.Errorf("the cause is %v", e.Cause)
			}
		})
	}
}

// Diagnose waits for an unresponsive key service no longer than its context permits.
func TestDiagnoseDoesNotWaitForeverForAKey(t *testing.T) {
	p := newProvider(t)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	c := p.client(asserting(brokenKey{clientKeys(t)["ES256"], func() ([]byte, error) {
		cancel()
		<-release
		return nil, errDown
	}}))
	report := c.Diagnose(ctx)
	if !slices.ContainsFunc(report.Problems, func(e *rp.Error) bool {
		return e.ID == "token.client_assertion" && errors.Is(e, context.Canceled)
	}) {
		t.Errorf("Diagnose reports %v", report.Problems)
	}
}

// The key can be registered before the provider responds: the JWK Set then has it without the
// algorithm, which depends on the metadata.
func TestJWKSOfAProviderThatIsDown(t *testing.T) {
	p := newProvider(t)
	p.on(pathDiscovery, answering(http.StatusServiceUnavailable, "text/plain", "down"))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(p.client(asserting(clientKeys(t)["ES256"])).Diagnose(t.Context()).JWKS, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 1 || set.Keys[0].Algorithm != "" || set.Keys[0].KeyID == "" || !set.Keys[0].IsPublic() {
		t.Errorf("the set is %+v", set)
	}
}

func TestAssertionAlgs(t *testing.T) {
	for alg, key := range clientKeys(t) {
		if algs, err := rp.AssertionAlgs(key); err != nil || algs[0] != alg {
			t.Errorf("%s: %v, %v", alg, algs, err)
		}
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var none *ecdsa.PrivateKey
	for name, key := range map[string]crypto.Signer{
		"a short key": short, "another curve": curve, "a nil key in an interface": none,
		"an RSA key that nothing was read into": &rsa.PrivateKey{}, "an ECDSA key that nothing was read into": &ecdsa.PrivateKey{},
		"no Ed25519 key": ed25519.PrivateKey(nil), "half an Ed25519 key": make(ed25519.PrivateKey, 32), "no key": struct{ crypto.Signer }{},
	} {
		algs, err := rp.AssertionAlgs(key)
		if err == nil {
			t.Errorf("%s: signs with %v", name, algs)
		}
		if _, panicked := err.(*contain.Panic); panicked {
			t.Errorf("%s: the error is a panic: %v", name, err)
		}
	}
}

// ClientSecretFunc may return an assertion that the platform has signed.
func TestAssertionOfThePlatform(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *rp.Config) {
		cfg.ClientSecret, cfg.AuthMethod = "", rp.PrivateKeyJWT
		cfg.ClientSecretFunc = func(context.Context) (string, error) { return "from-the-platform", nil }
	})
	got := p.tokenRequest(c)
	if got.authorization != "" || got.form.Get("client_assertion") != "from-the-platform" || got.form.Has("client_secret") || !strings.HasSuffix(got.form.Get("client_assertion_type"), ":jwt-bearer") {
		t.Errorf("Authorization is %q, the form is %v", got.authorization, got.form)
	}
}
