package bench_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"github.com/ginauth/ginauth"
)

const apiAudience = "https://api.example.com"

// bearers is an API, and the provider's key that its access tokens are signed with.
type bearers struct {
	handler http.Handler
	method  jwt.SigningMethod
	private crypto.Signer
	cookies string
}

// newBearers mounts an API that takes access tokens beside sessions.
func newBearers(method jwt.SigningMethod, private crypto.Signer) *bearers {
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { send(w, jwks(method, private)) }))
	defer keys.Close() // the first token fetches them
	p := corp()
	p.Audience, p.JWKSURL = apiAudience, keys.URL
	p.Issuer, p.AuthorizeURL, p.TokenURL = keys.URL, keys.URL+"/authorize", keys.URL+"/token"
	engine := gin.New()
	auth := must(ginauth.Mount(engine, ginauth.Options{BaseURL: "https://app.example.com", Keys: []string{key}, Providers: []ginauth.Provider{p}, Logger: quiet(),
		Hooks: ginauth.Hooks{OnToken: nil}}))
	b := &bearers{handler: routes(engine, welcome, auth.RequireAuth(ginauth.HasScope("read"))), method: method, private: private}
	b.cookies, _ = signInOurs(auth, adaUser())
	if got := b.bearer(b.token(keys.URL, 0)); !got.visit() {
		panic(got.writer.status)
	}
	b.issuer = keys.URL
	return b
}
