package ginauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// siteOf is newSite with a provider of another kind.
func siteOf(t testing.TB, config authtest.Config, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{}, logs: &logs{}}
	config.Now = s.clock.Now
	s.idp = startIDP(t, config)
	s.start(func(o *ginauth.Options) {
		o.Providers = []ginauth.Provider{s.idp.Client("demo")}
		if change != nil {
			change(s, o)
		}
	})
	return s
}

// refuses signs in at path, and asserts that it failed closed with the code,
// for the reason that the log gives, after so many requests for tokens. The
// attempt is over then.
func (s *site) refuses(t testing.TB, path string, code ginauth.Code, reason string, tokens int, hide ...string) *authtest.Page {
	t.Helper()
	p := s.get(path)
	s.failsClosed(t, p, closed{code: code, tokens: tokens, hide: hide})
	if s.hasCookie("-a-") {
		t.Error("the attempt's cookie is still there")
	}
	if !strings.Contains(s.logs.String(), reason) {
		t.Errorf("the log does not say %q:\n%s", reason, s.logs)
	}
	return p
}

// accepts asserts that a sign-in works: the check beside it refuses one thing,
// not everything.
func (s *site) accepts(t testing.TB, path string) *ginauth.User {
	t.Helper()
	p := s.get(path)
	u := s.user()
	if p.Status != http.StatusOK || u == nil {
		t.Fatalf("the sign-in ended at %s with status %d: %.600s\n%s", p.URL, p.Status, p.Text(), s.logs)
	}
	return u
}

type claims = map[string]any

func put(m map[string]any, name string, value any) {
	if m[name] = value; value == nil {
		delete(m, name)
	}
}

// adding adds members, written by hand, to the end of a JSON object.
func adding(members string) func(string) string {
	return func(object string) string { return strings.TrimSuffix(object, "}") + "," + members + "}" }
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decoded(compact string, part int) string {
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[part])
	if err != nil {
		panic(err)
	}
	return string(b)
}

func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func hs256(secret []byte, header, payload string) string {
	mac := hmac.New(sha256.New, secret)
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// signed makes a JWT with a key that the provider does not have.
func signed(key crypto.Signer, header map[string]any, payload string) string {
	input := b64([]byte(jsonOf(header))) + "." + b64([]byte(payload))
	hash := crypto.SHA256
	switch header["alg"] {
	case "ES384":
		hash = crypto.SHA384
	case "ES512":
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write([]byte(input))
	var sig []byte
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(nil, key, hash, h.Sum(nil))
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		size := (key.Curve.Params().BitSize + 7) / 8
		sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}

// strangerKey is an RSA key that no provider publishes unless a test says so.
var strangerKey = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(2048) })

// weakKey has 1024 bits.
var weakKey = sync.OnceValue(func() *rsa.PrivateKey { return rsaKey(1024) })

func rsaKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func rsaJWK(kid string, pub *rsa.PublicKey) map[string]any {
	return map[string]any{"kty": "RSA", "kid": kid, "n": b64(pub.N.Bytes()), "e": b64(big.NewInt(int64(pub.E)).Bytes())}
}

func ecJWK(kid string, pub *ecdsa.PublicKey) map[string]any {
	point, err := pub.Bytes()
	if err != nil {
		panic(err)
	}
	n := (len(point) - 1) / 2
	return map[string]any{"kty": "EC", "kid": kid, "crv": pub.Curve.Params().Name, "x": b64(point[1 : 1+n]), "y": b64(point[1+n:])}
}

// quick is a client that gives a provider up after a moment, so that a test
// need not wait for the ten seconds that people do.
func quick(after time.Duration) *http.Client { return &http.Client{Timeout: after} }

// answers makes an endpoint answer with this status, media type and body.
func answers(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if media != "" {
			w.Header().Set("Content-Type", media)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}
