package bench_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ginauth/ginauth"
)

const apiAudience = "https://api.example.com"

// api is an application that takes access tokens beside sessions, and the provider's key.
type api struct {
	app
	forget  func() // the tokens that it has seen
	method  jwt.SigningMethod
	private crypto.Signer
}

// RoundTrip answers with the provider's keys.
func (a *api) RoundTrip(*http.Request) (*http.Response, error) {
	body := must(json.Marshal(map[string]any{"keys": []any{jwkOf(a.method.Alg(), a.private.Public())}}))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

func jwkOf(alg string, public crypto.PublicKey) map[string]string {
	encode := base64.RawURLEncoding.EncodeToString
	key := map[string]string{"use": "sig", "alg": alg, "kid": "1"}
	switch public := public.(type) {
	case *rsa.PublicKey:
		key["kty"], key["n"], key["e"] = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point := must(public.Bytes())
		key["kty"], key["crv"], key["x"], key["y"] = "EC", "P-256", encode(point[1:33]), encode(point[33:])
	case ed25519.PublicKey:
		key["kty"], key["crv"], key["x"] = "OKP", "Ed25519", encode(public)
	}
	return key
}

func newAPI(method jwt.SigningMethod, private crypto.Signer) *api {
	a := &api{method: method, private: private}
	p := corp()
	p.Audience = apiAudience
	engine := gin.New()
	auth := must(ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{key}, Providers: []ginauth.Provider{p}, Logger: quiet(), HTTPClient: &http.Client{Transport: a}}))
	a.handler = routes(engine, welcome, auth.RequireAuth(ginauth.HasScope("read")))
	a.cookies, _ = signInOurs(auth, adaUser())
	a.forget = func() {
		if err := auth.SetProviders([]ginauth.Provider{p}); err != nil {
			panic(err)
		}
	}
	return a
}

// token returns ada's n-th access token, as Keycloak's are: claims of the person in it.
func (a *api) token(n int) string {
	now := time.Now()
	u := ada()
	t := jwt.NewWithClaims(a.method, jwt.MapClaims{
		"iss": issuer, "sub": u.ID, "aud": apiAudience, "client_id": "cli", "scope": "read write", "jti": fmt.Sprint(n), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"name": u.Name, "email": u.Email, "email_verified": true, "picture": u.Picture, "groups": u.Roles,
	})
	t.Header["kid"], t.Header["typ"] = "1", "at+jwt"
	return must(t.SignedString(a.private))
}

// visitor returns one that comes with an access token.
func (a *api) visitor(token string) *visitor {
	v := newVisitor(app{handler: a.handler})
	v.template.Header["Cookie"] = nil
	v.template.Header["Authorization"] = []string{bearer(token)}
	return v
}

func bearer(token string) string { return "Bearer " + token }

// take makes a request with an Authorization header.
func (v *visitor) take(b *testing.B, header string) {
	v.template.Header["Authorization"][0] = header
	if !v.visit() {
		b.Fatalf("answered with %d", v.writer.status)
	}
}

// bearers are the signature algorithms that are measured.
var bearers = []struct {
	name    string
	method  jwt.SigningMethod
	private func() crypto.Signer
}{
	{"rs256", jwt.SigningMethodRS256, func() crypto.Signer { return rsaKey() }},
	{"es256", jwt.SigningMethodES256, func() crypto.Signer { return ecKey() }},
	{"eddsa", jwt.SigningMethodEdDSA, func() crypto.Signer { _, key, _ := ed25519.GenerateKey(rand.Reader); return key }},
}

// freshTokens come one after the other, and are then forgotten.
const freshTokens = 1 << 11

// BenchmarkBearer measures a request with an access token. The first time, beside the
// verification of its signature alone; afterwards, beside the same request with a cookie.
func BenchmarkBearer(b *testing.B) {
	b.Run("seen", func(b *testing.B) {
		a := newAPI(bearers[0].method, bearers[0].private())
		cookie, bearer := newVisitor(a.app), a.visitor(a.token(0))
		visiting := func(v *visitor) func() {
			return func() {
				if !v.visit() {
					b.Fatalf("answered with %d", v.writer.status)
				}
			}
		}
		inTurns(b, 500, visiting(cookie), visiting(bearer))
	})
	for _, alg := range bearers {
		b.Run("first-"+alg.name, func(b *testing.B) {
			a := newAPI(alg.method, alg.private())
			tokens, headers := make([]string, freshTokens), make([]string, freshTokens)
			for i := range tokens {
				tokens[i] = a.token(i)
				headers[i] = bearer(tokens[i])
			}
			v, verified, taken := a.visitor(tokens[0]), 0, 0
			public := a.private.Public()
			inTurns(b, 50, func() {
				token := tokens[verified%freshTokens]
				at := strings.LastIndexByte(token, '.')
				if err := alg.method.Verify(token[:at], must(base64.RawURLEncoding.DecodeString(token[at+1:])), public); err != nil {
					b.Fatal(err)
				}
				verified++
			}, func() {
				if taken%freshTokens == 0 {
					a.forget()
				}
				v.take(b, headers[taken%freshTokens])
				taken++
			})
		})
	}
}

// BenchmarkMillionTokens sends a million different tokens, and reports what stays in memory.
// It takes minutes: run it by its name, with -benchtime 1x.
func BenchmarkMillionTokens(b *testing.B) {
	a := newAPI(bearers[2].method, bearers[2].private())
	v := a.visitor(a.token(0))
	before := heap()
	var most float64
	for b.Loop() {
		for i := range million {
			v.take(b, bearer(a.token(i)))
			if i%(million/10) == 0 {
				most = max(most, heap())
			}
		}
	}
	most = max(most, heap())
	b.ReportMetric((most-before)/(1<<20), "MB")
	runtime.KeepAlive(a)
}
