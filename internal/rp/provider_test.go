package rp_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/rp"
)

// The secrets of a sign-in in these tests, which no error may contain.
const (
	theSecret  = "s3cr3t-of-the-client-0123456789abcdef" // long enough for HS256
	theCode    = "c0de-of-the-answer"
	theState   = "st4te-of-the-request"
	theNonce   = "n0nce-of-the-request"
	theProof   = "verifi3r-of-the-request-0123456789-0123456789"
	theAccess  = "acc3ss-token"
	theRefresh = "refr3sh-token"
)

var secrets = []string{theSecret, theCode, theState, theNonce, theProof, theAccess, theRefresh}

const (
	theClient   = "the client" // with a space, which has to be escaped in Basic and the authorization URL
	theRedirect = "https://app.example/authorize/corp"
	theSubject  = "ann"
)

// absent stands for a member that an edit removes.
var absent = new(int)

// edit returns a copy of members with edits applied.
func edit(members, edits map[string]any) map[string]any {
	edited := map[string]any{}
	maps.Copy(edited, members)
	maps.Copy(edited, edits)
	maps.DeleteFunc(edited, func(_ string, v any) bool { return v == any(absent) })
	return edited
}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// add sets the clock forward, or back if d is negative.
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// request is a request to a provider.
type request struct {
	method, body  string
	query         string
	header        http.Header
	form          url.Values // of the body, or of the query for a GET
	authorization string
	from          string // the address of the client, which identifies the connection
}

// warning is a call of Config.Warn.
type warning struct {
	id, msg string
	err     error
}

// provider is an identity provider on loopback. By default, every sign-in succeeds. Tests change its
// fields between requests.
type provider struct {
	*httptest.Server
	t     *testing.T
	clock *clock

	doc     map[string]any // edits of the discovery document
	header  map[string]any // edits of the header of ID tokens
	claims  map[string]any // edits of the claims of ID tokens
	answer  map[string]any // edits of the token response
	info    map[string]any // edits of the userinfo
	signer  *signer        // of ID tokens
	keys    []any          // of the key set; nil for the signer's
	ahead   time.Duration  // of the Date header
	handle  map[string]http.HandlerFunc
	mu      sync.Mutex
	asked   map[string][]request
	warned  []warning
	skipped bool // the ID token is not added to the token response
}

// The paths of a provider's endpoints.
const (
	pathDiscovery  = "/.well-known/openid-configuration"
	pathAuthorize  = "/authorize"
	pathToken      = "/token"
	pathKeys       = "/keys"
	pathUserinfo   = "/userinfo"
	pathEndSession = "/logout"
)

// newProvider starts a provider. Its clock stands at noon.
func newProvider(t *testing.T) *provider { return startProvider(t, (*httptest.Server).Start) }

func startProvider(t *testing.T, start func(*httptest.Server)) *provider {
	t.Helper()
	p := &provider{
		t: t, clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		signer: rsaKey(), handle: map[string]http.HandlerFunc{}, asked: map[string][]request{},
	}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	start(p.Server)
	t.Cleanup(p.Close)
	return p
}

// serve answers a request with the handler that the test has set for the path, or as a provider
// does.
func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got := request{method: r.Method, body: string(body), query: r.URL.RawQuery, header: r.Header, authorization: r.Header.Get("Authorization"), from: r.RemoteAddr}
	got.form, _ = url.ParseQuery(string(body))
	if r.Method == http.MethodGet {
		got.form = r.URL.Query()
	}
	p.mu.Lock()
	p.asked[r.URL.Path] = append(p.asked[r.URL.Path], got)
	handler := p.handle[r.URL.Path]
	p.mu.Unlock()

	w.Header().Set("Date", p.clock.Now().Add(p.ahead).Format(http.TimeFormat))
	switch {
	case handler != nil:
		handler(w, r)
	case r.URL.Path == pathDiscovery:
		writeJSON(w, p.document())
	case r.URL.Path == pathToken:
		writeJSON(w, p.tokenResponse())
	case r.URL.Path == pathKeys:
		writeJSON(w, map[string]any{"keys": p.published()})
	case r.URL.Path == pathUserinfo:
		writeJSON(w, p.userinfo())
	default:
		http.NotFound(w, r)
	}
}

// on sets the handler of a path, or removes it.
func (p *provider) on(path string, handler http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handle[path] = handler
}

// until waits until a condition holds that another goroutine brings about.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); runtime.Gosched() {
		if time.Since(start) > 30*time.Second {
			t.Fatal("the condition does not become true")
		}
	}
}

// rediscover sets the clock forward by a day, and waits until c uses the new metadata.
func (p *provider) rediscover(c *rp.Client) {
	p.t.Helper()
	newer := fmt.Sprint(p.URL, pathAuthorize, len(p.requests(pathDiscovery)))
	p.doc = edit(p.doc, map[string]any{"authorization_endpoint": newer})
	p.clock.add(24 * time.Hour)
	until(p.t, func() bool {
		location, _, err := c.AuthorizationURL(p.t.Context(), rp.Request{}, nil)
		return err == nil && strings.HasPrefix(location, newer+"?")
	})
}

// requests returns the requests for a path.
func (p *provider) requests(path string) []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked[path])
}

// warnings returns the calls of Config.Warn.
func (p *provider) warnings() []warning {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.warned)
}

// document returns the discovery document.
func (p *provider) document() map[string]any {
	return edit(map[string]any{
		"issuer":                 p.URL,
		"authorization_endpoint": p.URL + pathAuthorize,
		"token_endpoint":         p.URL + pathToken,
		"jwks_uri":               p.URL + pathKeys,
		"userinfo_endpoint":      p.URL + pathUserinfo,
		"end_session_endpoint":   p.URL + pathEndSession,
	}, p.doc)
}

// published returns the keys of the key set.
func (p *provider) published() []any {
	if p.keys == nil {
		return []any{p.signer.jwk()}
	}
	return p.keys
}

// userinfo returns the response of the userinfo endpoint.
func (p *provider) userinfo() map[string]any {
	return edit(map[string]any{"sub": theSubject, "name": "Ann of the userinfo"}, p.info)
}

// idClaims returns the claims of an ID token.
func (p *provider) idClaims() map[string]any {
	now := p.clock.Now().Unix()
	return edit(map[string]any{
		"iss": p.URL, "sub": theSubject, "aud": theClient, "iat": now, "exp": now + 300, "nonce": theNonce,
	}, p.claims)
}

// idToken returns a signed ID token.
func (p *provider) idToken() string {
	return p.signer.sign(edit(map[string]any{"alg": p.signer.alg, "kid": p.signer.kid}, p.header), p.idClaims())
}

// tokenResponse returns the response of the token endpoint.
func (p *provider) tokenResponse() map[string]any {
	members := map[string]any{"access_token": theAccess, "token_type": "Bearer", "expires_in": 3600}
	if !p.skipped {
		members["id_token"] = p.idToken()
	}
	return edit(members, p.answer)
}

// logoutToken returns a signed logout token with edits applied.
func (p *provider) logoutToken(header, claims map[string]any) string {
	now := p.clock.Now().Unix()
	return p.signer.sign(
		edit(map[string]any{"alg": p.signer.alg, "kid": p.signer.kid, "typ": "logout+jwt"}, header),
		edit(map[string]any{
			"iss": p.URL, "sub": theSubject, "sid": "s1d", "aud": theClient, "iat": now, "exp": now + 120, "jti": "1",
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}, claims))
}

// client returns a Client of this provider.
func (p *provider) client(edits ...func(*rp.Config)) *rp.Client { return rp.New(p.config(edits...)) }

// config returns the Config of client.
func (p *provider) config(edits ...func(*rp.Config)) rp.Config {
	cfg := rp.Config{
		Name: "corp", Issuer: p.URL, ClientID: theClient, ClientSecret: theSecret, RedirectURI: theRedirect,
		Scopes: []string{"openid", "email"}, ResponseMode: "query", ResponseIssuer: p.URL,
		Userinfo: "missing", Complete: func(map[string]any) bool { return true },
		Quirks: rp.Quirks{ClientIDParam: "client_id", ScopeSeparator: " ", TokenMethod: http.MethodPost},
		HTTP:   fetch.Client(p.Client(), "rp test"),
		Now:    p.clock.Now,
		Warn: func(id, msg string, err error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			warned.Store(id, true)
			p.warned = append(p.warned, warning{id, msg, err})
		},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	p.t.Cleanup(cfg.HTTP.CloseIdleConnections)
	return cfg
}

// plain changes a Config to that of a plain OAuth 2.0 provider.
func (p *provider) plain(cfg *rp.Config) {
	cfg.Issuer, cfg.ResponseIssuer, cfg.Namespace, cfg.Scopes = "", "", "https://plain.example", []string{"user"}
	cfg.AuthorizeURL, cfg.TokenURL, cfg.UserinfoURL = p.URL+pathAuthorize, p.URL+pathToken, p.URL+pathUserinfo
}

// begin begins a sign-in and returns its Request.
func (p *provider) begin(c *rp.Client, edits ...func(*rp.Request)) rp.Request {
	p.t.Helper()
	r := rp.Request{State: theState, Nonce: theNonce, Verifier: theProof, Started: p.clock.Now(), MaxAge: -1}
	_, print, err := c.AuthorizationURL(p.t.Context(), r, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Fingerprint = print
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

// response returns an authorization response with a code.
func response() url.Values { return url.Values{"state": {theState}, "code": {theCode}} }

// signIn performs a sign-in from the authorization request to the identity.
func (p *provider) signIn(c *rp.Client, edits ...func(*rp.Request)) (*rp.Identity, error) {
	p.t.Helper()
	r := p.begin(c, edits...)
	if err := c.CheckResponse(p.t.Context(), response()); err != nil {
		p.t.Fatal(err)
	}
	id, err := c.Redeem(p.t.Context(), r, response())
	if err != nil && id != nil {
		p.t.Errorf("signIn returned an identity with the error %v", err)
	}
	return id, err
}

// mustSignIn is signIn for a sign-in that succeeds.
func (p *provider) mustSignIn(c *rp.Client, edits ...func(*rp.Request)) *rp.Identity {
	p.t.Helper()
	id, err := p.signIn(c, edits...)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// wantError checks that err itself, not an error that it wraps, is an *rp.Error with this code and
// ID, that it has a reason and a fix, and that its text contains no secret.
func wantError(t *testing.T, err error, code rp.Code, id string) *rp.Error {
	t.Helper()
	e, ok := err.(*rp.Error)
	if !ok {
		t.Fatalf("got %T (%v), want an error %s, %s", err, err, code, id)
	}
	if e.Code != code || e.ID != id {
		t.Fatalf("got %s, %s (%v); want %s, %s", e.Code, e.ID, e, code, id)
	}
	if text := e.Error(); strings.Contains(text, "%!") || strings.HasSuffix(text, ": ") {
		t.Errorf("the text is incomplete: %q", text)
	}
	if e.Reason == "" || e.Fix == "" {
		t.Errorf("%s has no reason or no fix: %v", e.ID, e)
	}
	if !slices.Contains(reasons[id], code) && !strings.HasPrefix(id, "profile.") { // Config.Profile has its own IDs
		t.Errorf("%s, %s is not in reasons", code, id)
	}
	raised.Store(string(code)+", "+id, true)
	for _, secret := range secrets {
		if strings.Contains(e.Error(), secret) {
			t.Errorf("the error contains %q: %v", secret, e)
		}
	}
	return e
}

// discard returns a log that is discarded.
func discard() *log.Logger { return log.New(io.Discard, "", 0) }

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// answering returns a handler that sends a text with a media type.
func answering(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// signer is a key that signs tokens: an *rsa.PrivateKey, an *ecdsa.PrivateKey, an
// ed25519.PrivateKey, or a []byte for HS256.
type signer struct {
	kid, alg string
	key      any
}

// as returns a signer with the same key but another kid and algorithm.
func (s *signer) as(kid, alg string) *signer { return &signer{kid, alg, s.key} }

var (
	rsaKey   = sync.OnceValue(func() *signer { return newRSA("rsa", 2048) })
	otherRSA = sync.OnceValue(func() *signer { return newRSA("other", 2048) })
	ecKey    = sync.OnceValue(func() *signer { return newEC("ec", "ES256", elliptic.P256()) })
	edKey    = sync.OnceValue(func() *signer {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return &signer{"ed", "EdDSA", must(key, err)}
	})
)

func newRSA(kid string, bits int) *signer {
	return &signer{kid, "RS256", must(rsa.GenerateKey(rand.Reader, bits))}
}

func newEC(kid, alg string, curve elliptic.Curve) *signer {
	return &signer{kid, alg, must(ecdsa.GenerateKey(curve, rand.Reader))}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func marshal(v any) []byte { return must(json.Marshal(v)) }

// A roundTripper is a transport.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// jwk returns the public key for a key set.
func (s *signer) jwk() map[string]any {
	switch key := s.key.(type) {
	case *rsa.PrivateKey:
		return map[string]any{"kty": "RSA", "kid": s.kid, "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PrivateKey:
		point := must(key.PublicKey.Bytes()) // 4, x, y
		size := len(point) / 2
		return map[string]any{"kty": "EC", "kid": s.kid, "crv": key.Curve.Params().Name, "x": b64(point[1 : 1+size]), "y": b64(point[1+size:])}
	case ed25519.PrivateKey:
		return map[string]any{"kty": "OKP", "kid": s.kid, "crv": "Ed25519", "x": b64(key.Public().(ed25519.PublicKey))}
	}
	panic("no public key")
}

// sign returns a JWT, signed with the signer's algorithm, whatever alg the header has.
func (s *signer) sign(header, claims map[string]any) string {
	return s.signText(string(marshal(header)), string(marshal(claims)))
}

// signText is sign for JSON that encoding/json does not produce.
func (s *signer) signText(header, claims string) string {
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	return signed + "." + b64(s.signature([]byte(signed)))
}

func (s *signer) signature(data []byte) []byte {
	if key, ok := s.key.(ed25519.PrivateKey); ok {
		return ed25519.Sign(key, data)
	}
	if key, ok := s.key.([]byte); ok {
		mac := hmac.New(sha256.New, key)
		mac.Write(data)
		return mac.Sum(nil)
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[s.alg[2:]]
	h := hash.New()
	h.Write(data)
	sum := h.Sum(nil)
	switch key := s.key.(type) {
	case *rsa.PrivateKey:
		if s.alg[:2] == "PS" {
			return must(rsa.SignPSS(rand.Reader, key, hash, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPKCS1v15(nil, key, hash, sum))
	case *ecdsa.PrivateKey:
		r, t, err := ecdsa.Sign(rand.Reader, key, sum)
		size := (key.Curve.Params().BitSize + 7) / 8
		signature := must(make([]byte, 2*size), err)
		r.FillBytes(signature[:size])
		t.FillBytes(signature[size:])
		return signature
	}
	panic("no such key")
}

// TestProvider checks that an unmodified sign-in succeeds, so that the other tests fail only for the
// reasons that they test.
func TestProvider(t *testing.T) {
	p := newProvider(t)
	signers := []*signer{ecKey(), newEC("p384", "ES384", elliptic.P384()), newEC("p521", "ES512", elliptic.P521()), edKey()}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		signers = append(signers, rsaKey().as("rsa", alg))
	}
	for _, s := range signers {
		p.signer = s
		id := p.mustSignIn(p.client())
		if id.Issuer != p.URL || id.Claims["sub"] != theSubject || id.Token.AccessToken != theAccess {
			t.Errorf("%s: got %+v", s.alg, id)
		}
	}
	if _, err := p.client().VerifyLogoutToken(context.Background(), p.logoutToken(nil, nil)); err != nil {
		t.Error(err)
	}
	if id := p.mustSignIn(p.client(p.plain)); id.Claims["name"] != "Ann of the userinfo" {
		t.Errorf("plain OAuth 2.0: got %+v", id)
	}
}
