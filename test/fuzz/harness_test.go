package fuzz

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

const (
	stageURL    = "https://app.example.com"
	stageIDP    = "https://idp.example"
	stageClient = "client-of-the-stage"
	stageSecret = "5eCret-of-the-client-81f3"
	stageCode   = "c0de-4Ff2Qz8d71-of-this-sign-in"
	stageToken  = "t0ken-9sWq3Hh5x2Lm-of-this-sign-in"
	whoPath     = "/page/x"
)

// stage is an application behind ginauth and a provider, connected directly: without sockets or
// a browser, and with a stopped clock. Fuzzing needs thousands of sign-ins a second, and the
// same result for the same input, so fresh discards the state of the last input.
type stage struct {
	engine *gin.Engine
	auth   *ginauth.Auth
	now    time.Time
	answer map[string]http.HandlerFunc // the provider's, by path
	asked  []*http.Request             // requests to the provider, with their forms parsed
	login  *ginauth.Login              // the argument of OnLogin
	ran    int                         // guarded handlers that ran
	ledger
	log bytes.Buffer
}

// newStage mounts ginauth for one provider, "demo", with change applied.
func newStage(t testing.TB, change func(p *ginauth.Provider, o *ginauth.Options)) *stage {
	t.Helper()
	s := &stage{engine: gin.New(), now: fuzzTime}
	s.answer = map[string]http.HandlerFunc{
		"/.well-known/openid-configuration": sends(stageMetadata()), "/keys": sends(stageKeys()),
	}
	demo := ginauth.Provider{Name: "demo", Issuer: stageIDP, ClientID: stageClient, ClientSecret: stageSecret, Userinfo: "never"}
	o := ginauth.Options{
		BaseURL: stageURL, Keys: []string{sitetest.Key}, Now: func() time.Time { return s.now }, Revocations: &s.ledger,
		HTTPClient: &http.Client{Transport: s}, Logger: slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Hooks: ginauth.Hooks{OnLogin: func(_ *gin.Context, login *ginauth.Login) error { s.login = login; return nil }},
	}
	if change != nil {
		change(&demo, &o)
	}
	o.Providers = append(o.Providers, demo)
	auth, err := ginauth.Mount(s.engine, o)
	if err != nil {
		t.Fatal(err)
	}
	s.auth = auth
	s.engine.Any("/page/*any", auth.RequireAuth(), func(c *gin.Context) {
		s.ran++
		c.JSON(http.StatusOK, ginauth.CurrentUser(c))
	})
	return s
}

// fresh discards the state of the last input, and limits the cost of this one, which has that
// many bytes.
func (s *stage) fresh(t *testing.T, size int) {
	s.forget()
	before, start := allocated(), time.Now()
	t.Cleanup(func() {
		if used, may := allocated()-before, uint64(8<<20+200*size); used > may {
			t.Errorf("%d bytes of memory were used, and at most %d may be", used, may)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func (s *stage) forget() {
	s.now, s.asked, s.login, s.ran, s.ledger = fuzzTime, nil, nil, 0, ledger{}
	s.log.Reset()
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// RoundTrip implements http.RoundTripper: it is the provider.
func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.ParseForm() // empty for a malformed form
	s.asked = append(s.asked, r)
	w := httptest.NewRecorder()
	if answer := s.answer[r.URL.Path]; answer != nil {
		answer(w, r)
	} else {
		w.WriteHeader(http.StatusNotFound)
	}
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// count returns the number of requests to a path of the provider.
func (s *stage) count(path string) (n int) {
	for _, r := range s.asked {
		if r.URL.Path == path {
			n++
		}
	}
	return n
}

// ledger is Revocations that can be cleared.
type ledger struct {
	spent map[ginauth.RevocationKey]bool
	marks map[ginauth.RevocationKey]time.Time
}

func (l *ledger) Revoke(_ context.Context, key ginauth.RevocationKey, at time.Time, _ time.Duration) error {
	if l.marks == nil {
		l.marks = map[ginauth.RevocationKey]time.Time{}
	}
	if at.After(l.marks[key]) {
		l.marks[key] = at
	}
	return nil
}

func (l *ledger) Watermarks(_ context.Context, keys [4]ginauth.RevocationKey) (marks [4]time.Time, _ error) {
	for i, key := range keys {
		marks[i] = l.marks[key]
	}
	return marks, nil
}

func (l *ledger) Once(_ context.Context, key ginauth.RevocationKey, _ time.Duration) (bool, error) {
	if l.spent == nil {
		l.spent = map[ginauth.RevocationKey]bool{}
	}
	first := !l.spent[key]
	l.spent[key] = true
	return first, nil
}

// ask sends a request to the application, with one Cookie header if cookies is not empty.
func (s *stage) ask(method, path, query, cookies string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, stageURL+path, nil)
	r.URL.RawQuery = query
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	return s.send(r)
}

func (s *stage) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.engine.ServeHTTP(w, r)
	return w
}

// attempt is a sign-in that was begun: the authorization request, and the browser's cookies.
type attempt struct{ state, nonce, name, value string }

func (a attempt) cookie() string { return a.name + "=" + a.value }

// begin opens /login/demo and stops before the provider.
func (s *stage) begin(t testing.TB, query string) attempt {
	t.Helper()
	return s.beginWith(t, "demo", query)
}

func (s *stage) beginWith(t testing.TB, provider, query string) attempt {
	t.Helper()
	w := s.ask("GET", "/login/"+provider, query, "")
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther {
		t.Fatalf("/login/%s responded %d %s\n%s", provider, w.Code, w.Body, &s.log)
	}
	name, value, _ := strings.Cut(jarOf(w), "=")
	q := to.Query()
	return attempt{state: q.Get("state"), nonce: q.Get("nonce"), name: name, value: value}
}

// answerOf returns the query of the provider's valid response to an attempt.
func answerOf(a attempt) string {
	return "code=" + stageCode + "&state=" + a.state + "&iss=" + url.QueryEscape(stageIDP)
}

// jarOf returns the Cookie header that a browser would send after a response.
func jarOf(w *httptest.ResponseRecorder) string {
	var pairs []string
	for _, line := range w.Header()["Set-Cookie"] {
		if pair, _, _ := strings.Cut(line, ";"); !strings.HasSuffix(pair, "=") {
			pairs = append(pairs, pair)
		}
	}
	return strings.Join(pairs, "; ")
}

// who returns the user that is signed in with these cookies, or nil.
func (s *stage) who(t testing.TB, cookies string) *ginauth.User {
	t.Helper()
	w := s.ask("GET", whoPath, "", cookies)
	if w.Code != http.StatusOK {
		return nil
	}
	u := new(ginauth.User)
	if err := json.Unmarshal(w.Body.Bytes(), u); err != nil {
		t.Fatal(err)
	}
	return u
}

// closes checks the common properties of a response of ginauth's routes: the security headers,
// each on one line, and no secrets, in the response or in the log.
func (s *stage) closes(t *testing.T, w *httptest.ResponseRecorder, secrets ...string) {
	t.Helper()
	h := w.Header()
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"} {
		if h.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, h.Get(name), want)
		}
	}
	if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("Content-Security-Policy is %q", h.Get("Content-Security-Policy"))
	}
	text := w.Body.String() + s.log.String()
	for name, values := range h {
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n\x00") || name == "Location" && !strings.HasPrefix(v, stageURL+"/") && !strings.HasPrefix(v, stageIDP+"/") {
				t.Errorf("%s is %q", name, v)
			}
			if name != "Set-Cookie" && name != "Location" {
				text += v
			}
		}
	}
	for _, r := range s.asked {
		secrets = append(secrets, r.Form.Get("code_verifier"))
	}
	for _, secret := range append(secrets, stageSecret, sitetest.Key) {
		if secret != "" && strings.Contains(text, secret[:min(len(secret), 16)]) {
			t.Errorf("the page or the log has the secret %q:\n%s", secret, text)
		}
	}
}

// sends returns an endpoint that responds with v as JSON.
func sends(v any) http.HandlerFunc {
	return sitetest.AnswerWith(http.StatusOK, "application/json", sitetest.JSON(v))
}

func stageMetadata() map[string]any {
	return map[string]any{
		"issuer": stageIDP, "authorization_endpoint": stageIDP + "/authorize", "token_endpoint": stageIDP + "/token", "jwks_uri": stageIDP + "/keys",
		"userinfo_endpoint": stageIDP + "/userinfo", "id_token_signing_alg_values_supported": []string{"EdDSA", "ES256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic"}, "authorization_response_iss_parameter_supported": true,
	}
}

// The provider's keys, "ed" and "ec", and a foreign one. They are the same in every run, as
// seeds and findings require.
var (
	stageEd    = ed25519.NewKeyFromSeed(seedOf("ed"))
	stageEC    = mustKey(ecdsa.ParseRawPrivateKey(elliptic.P256(), seedOf("ec")))
	stageAlien = ed25519.NewKeyFromSeed(seedOf("alien"))
)

func seedOf(name string) []byte {
	sum := sha256.Sum256([]byte("a key for fuzzing: " + name))
	return sum[:]
}

func mustKey(key *ecdsa.PrivateKey, err error) *ecdsa.PrivateKey {
	if err != nil {
		panic(err)
	}
	return key
}

func edJWK(kid string, key ed25519.PrivateKey) map[string]any {
	return map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": "EdDSA", "x": sitetest.Base64(key.Public().(ed25519.PublicKey))}
}

func stageKeys() map[string]any {
	return map[string]any{"keys": []map[string]any{edJWK("ed", stageEd), sitetest.ECJWK("ec", &stageEC.PublicKey)}}
}

// signES256 signs deterministically (RFC 6979).
func signES256(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	der, err := stageEC.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		panic(err)
	}
	return append(sig.R.FillBytes(make([]byte, 32)), sig.S.FillBytes(make([]byte, 32))...)
}

// edToken is a JWT signed with the provider's key "ed".
func edToken(header map[string]any, payload string) string {
	full := map[string]any{"alg": "EdDSA", "kid": "ed"}
	for name, v := range header {
		sitetest.Put(full, name, v)
	}
	input := sitetest.Base64([]byte(sitetest.JSON(full))) + "." + sitetest.Base64([]byte(payload))
	return input + "." + sitetest.Base64(ed25519.Sign(stageEd, []byte(input)))
}

// goodClaims returns the claims of a valid ID token.
func (s *stage) goodClaims(a attempt) map[string]any {
	return map[string]any{"iss": stageIDP, "sub": "ada", "aud": stageClient, "iat": s.now.Unix(), "exp": s.now.Unix() + 600, "nonce": a.nonce}
}

// tokenAnswer makes the token endpoint respond with that ID token.
func (s *stage) tokenAnswer(idToken string) {
	s.answer["/token"] = sends(map[string]any{"access_token": stageToken, "token_type": "Bearer", "id_token": idToken})
}
