package bench_test

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// fakeProvider is an OpenID provider without interaction: every code is valid, belongs to ada, and is
// the nonce. With a code that begins with offline, the response has a refresh token, and access tokens
// expire after a second. It runs in a separate process, so that the cost of signing tokens is not
// counted.
type fakeProvider struct {
	private *rsa.PrivateKey
	mux     *http.ServeMux
}

func newProvider() http.Handler {
	p := &fakeProvider{private: rsaKey(), mux: http.NewServeMux()}
	p.mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	p.mux.HandleFunc("GET /jwks", p.keys)
	p.mux.HandleFunc("POST /token", p.token)
	p.mux.HandleFunc("GET /userinfo", p.userinfo)
	p.mux.HandleFunc("GET /api/", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ya29.") {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	return p.mux
}

func send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an error means that the client is gone
}

func (p *fakeProvider) discovery(w http.ResponseWriter, r *http.Request) {
	own := "http://" + r.Host
	send(w, map[string]any{
		"issuer": own, "authorization_endpoint": own + "/authorize", "token_endpoint": own + "/token",
		"jwks_uri": own + "/jwks", "userinfo_endpoint": own + "/userinfo",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"},
		"subject_types_supported": []string{"public"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	})
}

func (p *fakeProvider) keys(w http.ResponseWriter, _ *http.Request) {
	encode := base64.RawURLEncoding.EncodeToString
	send(w, map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
		"n": encode(p.private.N.Bytes()), "e": encode(big.NewInt(int64(p.private.E)).Bytes()),
	}}})
}

func (p *fakeProvider) token(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	access := "ya29.a0AfB_byC3kQp8" + strings.Repeat("x7Rw", 40) // as long as those of Google
	hash := sha256.Sum256([]byte(access))
	c := jwt.MapClaims{
		"iss": "http://" + r.Host, "aud": clientID,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(hash[:16]),
	}
	addAda(c)
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 3600, "scope": "openid profile email"}
	code, offline := strings.CutPrefix(r.FormValue("code"), "offline")
	if refreshes := r.FormValue("grant_type") == "refresh_token"; offline || refreshes {
		answer["refresh_token"], answer["expires_in"] = "1//03"+strings.Repeat("k2Zq", 24), 1
	}
	if code != "" {
		c["nonce"] = code
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
	t.Header["kid"] = "1"
	signed, err := t.SignedString(p.private)
	if err != nil {
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
		return
	}
	answer["id_token"] = signed
	send(w, answer)
}

func (p *fakeProvider) userinfo(w http.ResponseWriter, _ *http.Request) {
	c := jwt.MapClaims{}
	addAda(c)
	send(w, c)
}

func addAda(c jwt.MapClaims) {
	u := ada()
	c["sub"], c["name"], c["email"], c["email_verified"], c["picture"], c["groups"] = u.ID, u.Name, u.Email, true, u.Picture, u.Roles
}
