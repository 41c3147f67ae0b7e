package providers_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"html/template"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

const (
	testClientID     = "client-of-tests"
	testClientSecret = "s3cret/with+signs&of=32 bytes and more"
	testCode         = "code/of+tests"
	testToken        = "access-token.of-tests"
)

// standIn plays a provider at the provider's own addresses: one server on
// loopback is all hosts. It speaks the dialect of testdata/NAME, and fails the
// test for every request that the provider would not take. Tests change its
// fields before they sign in.
type standIn struct {
	dialect
	t         *testing.T
	name      string
	discovery map[string]any
	claims    map[string]any    // of the ID token, beside the protocol's
	answers   map[string][]byte // in place of files
	status    map[string]int    // in place of 200, by file
	form      url.Values        // what Apple and its like put into the answer
	denial    map[string]string // the person cancels, and this is how the provider says so
	lenient   bool              // requests that the provider would refuse do not fail the test
	sign      func(claims map[string]any) string

	server *httptest.Server
	leaf   *x509.Certificate

	mu     sync.Mutex
	params url.Values // of the authorization request
	token  url.Values // of the token request
	asked  []string   // method and address of all requests
}

// signingKey is one for all tests: making one takes a while.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newStandIn(t *testing.T, name string) *standIn {
	t.Helper()
	s := &standIn{t: t, name: name, answers: map[string][]byte{}, status: map[string]int{}, claims: map[string]any{}, form: url.Values{}}
	s.dialect, s.discovery = readDialect(t, name)
	if has(name, "claims.json") {
		decode(t, name+"/claims.json", &s.claims)
	}
	s.sign = s.signed
	certificate, err := authtest.Certificate(s.hosts(s.discovery)...)
	if err != nil {
		t.Fatal(err)
	}
	s.leaf = certificate.Leaf
	s.server = httptest.NewUnstartedServer(s)
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// client reaches the stand-in under every name.
func (s *standIn) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(s.leaf)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.server.Listener.Addr().String())
		},
	}}
}

// provider is the preset, made of the catalogue's examples.
func (s *standIn) provider() ginauth.Provider {
	s.t.Helper()
	i := slices.IndexFunc(providers.Catalogue(), func(p providers.Preset) bool { return p.Name == s.name })
	if i < 0 {
		s.t.Fatalf("no preset is called %q", s.name)
	}
	return made(providers.Catalogue()[i])
}

// app is an application that signs in at the stand-in.
func (s *standIn) app(p ginauth.Provider) *app {
	s.t.Helper()
	a := newAppWith(s.t, p, s.client())
	s.resolve(a)
	return a
}

// resolve brings the browser here, under every name.
func (s *standIn) resolve(a *app) {
	for _, host := range s.hosts(s.discovery) {
		a.browser.Resolve(host, s.server.Listener.Addr().String())
	}
}

// fill puts values in the place of their names.
func (s *standIn) fill(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.NewReplacer("{client_id}", testClientID, "{client_secret}", testClientSecret, "{code}", testCode, "{access_token}", testToken,
		"{state}", s.params.Get("state"), "{redirect_uri}", s.params.Get("redirect_uri")).Replace(text)
}

// demand fails the test for a request that the provider would not take.
func (s *standIn) demand(ok bool, format string, args ...any) bool {
	if !ok && !s.lenient {
		s.t.Errorf(s.name+": "+format, args...)
	}
	return ok
}

// ServeHTTP implements http.Handler.
func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	address := "https://" + r.Host + r.URL.EscapedPath()
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+address)
	s.mu.Unlock()
	switch jwks, _ := s.discovery["jwks_uri"].(string); address {
	case s.Discovery:
		s.send(w, "application/json", 200, mustJSON(s.discovery))
	case jwks:
		s.send(w, "application/json", 200, mustJSON(publicKeys(s.IDToken.Alg)))
	case bare(s.Authorize.URL):
		s.authorize(w, r)
	case bare(s.Token.URL):
		s.redeem(w, r)
	default:
		s.profile(w, r)
	}
}

// bare is an address without its query.
func bare(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}

func (s *standIn) send(w http.ResponseWriter, media string, status int, body []byte) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// file is an answer.
func (s *standIn) file(name string) []byte {
	if body, there := s.answers[name]; there {
		return body
	}
	return read(s.t, s.name+"/"+name)
}

// authorize is the authorization endpoint, at which everybody is signed in.
func (s *standIn) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.mu.Lock()
	s.params = q
	s.mu.Unlock()
	s.demand(q.Get(s.ClientID) == testClientID && q.Get("response_type") == "code" && q.Get("state") != "" && q.Get("redirect_uri") != "",
		"the authorization request is %v", q)
	s.demand(!strings.Contains(r.URL.RawQuery, "+"), "the authorization request has a + for a space: %s", r.URL.RawQuery)
	s.compare("authorization request", q, s.Authorize.Params, s.Authorize.Absent)
	answer := maps.Clone(s.form)
	answer.Set("code", testCode)
	answer.Set("state", q.Get("state"))
	for name, value := range s.Authorize.Answer {
		answer.Set(name, value)
	}
	if s.denial != nil {
		answer = url.Values{"state": answer["state"]}
		if iss, ok := s.Authorize.Answer["iss"]; ok {
			answer.Set("iss", iss)
		}
		for name, value := range s.denial {
			answer.Set(name, value)
		}
	}
	if s.Authorize.HMAC != "" {
		answer.Set(s.Authorize.HMAC, answerMAC(answer))
	}
	if q.Get("response_mode") == "form_post" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = formPost.Execute(w, map[string]any{"Action": q.Get("redirect_uri"), "Fields": answer})
		return
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

var formPost = template.Must(template.New("").Parse(`<!doctype html><title>One moment</title><form method="post" action="{{.Action}}" id="form_post">
{{range $name, $values := .Fields}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}<button>Continue</button></form>`))

func (s *standIn) compare(what string, got url.Values, want map[string]string, absent []string) {
	for name, value := range want {
		s.demand(got.Has(name) && got.Get(name) == s.fill(value), "%s: %s is %q, want %q", what, name, got.Get(name), s.fill(value))
	}
	for _, name := range absent {
		s.demand(!got.Has(name), "%s: %s is there: %q", what, name, got.Get(name))
	}
}

// redeem is the token endpoint.
func (s *standIn) redeem(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	if s.Token.Method == http.MethodGet {
		form = r.URL.Query()
	}
	s.mu.Lock()
	s.token = form
	start := s.params
	s.mu.Unlock()
	s.demand(err == nil && r.Method == s.Token.Method, "the token request is a %s", r.Method)
	s.demand(form.Get("code") == testCode && form.Get("grant_type") == "authorization_code" && form.Get("redirect_uri") == start.Get("redirect_uri"),
		"the token request has %v", slices.Sorted(maps.Keys(form)))
	s.authenticated(r, form)
	if challenge := start.Get("code_challenge"); challenge != "" {
		sum := sha256.Sum256([]byte(form.Get(s.Verifier)))
		s.demand(base64.RawURLEncoding.EncodeToString(sum[:]) == challenge, "the verifier does not fit")
	}
	s.compare("token request", form, s.Token.Params, s.Token.Absent)
	for name, value := range s.Token.Header {
		s.demand(r.Header.Get(name) == s.fill(value), "token request: the header %s is %q, want %q", name, r.Header.Get(name), value)
	}
	s.send(w, s.Token.ContentType, max(s.status["token.json"], 200), s.tokenAnswer(s.file("token.json")))
}

// authenticated checks how the client says who it is, and that it does so in
// one way.
func (s *standIn) authenticated(r *http.Request, form url.Values) {
	id, secret, basic := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	var ok bool
	switch s.Token.Auth {
	case "client_secret_basic":
		ok = basic && id == testClientID && secret == testClientSecret && !form.Has(s.ClientSecret)
	case "client_secret_post":
		ok = !basic && form.Get(s.ClientID) == testClientID && form.Get(s.ClientSecret) == testClientSecret
	case "none":
		ok = !basic && form.Get(s.ClientID) == testClientID && !form.Has(s.ClientSecret)
	case "other":
		ok = !basic && form.Get(s.ClientID) == testClientID
	}
	s.demand(ok, "the client did not authenticate by %q", s.Token.Auth)
}

// tokenAnswer puts the access token and, if there are claims, an ID token into
// the recorded answer.
func (s *standIn) tokenAnswer(recorded []byte) []byte {
	text := s.fill(string(recorded))
	if strings.Contains(text, "{id_token}") {
		text = strings.ReplaceAll(text, "{id_token}", s.sign(s.idClaims()))
	}
	return []byte(text)
}

// idClaims are the claims of the ID token: the protocol's, and the person's.
func (s *standIn) idClaims() map[string]any {
	now := time.Now().Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	claims := map[string]any{"iss": s.discovery["issuer"], "aud": testClientID, "iat": now, "exp": now + 600}
	if nonce := s.params.Get("nonce"); nonce != "" {
		claims["nonce"] = nonce
	}
	for name, value := range s.claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// signed signs as the dialect says.
func (s *standIn) signed(claims map[string]any) string {
	key := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.IDToken.Alg), Key: jose.JSONWebKey{Key: signer(s.IDToken.Alg), KeyID: "test"}}
	if s.IDToken.Alg == "HS256" {
		key.Key = []byte(testClientSecret)
	}
	return sign(s.t, key, claims)
}

func sign(t *testing.T, key jose.SigningKey, claims map[string]any) string {
	signer, err := jose.NewSigner(key, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		t.Error(err)
		return ""
	}
	jws, err := signer.Sign(mustJSON(claims))
	if err != nil {
		t.Error(err)
		return ""
	}
	compact, _ := jws.CompactSerialize()
	return compact
}

// profile answers what is asked with the access token.
func (s *standIn) profile(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	for _, q := range s.Requests {
		if q.Method == "" {
			q.Method = http.MethodGet
		}
		want, err := url.Parse(s.fill(q.URL))
		if err != nil || q.Method != r.Method || want.Host != r.Host || want.Path != r.URL.Path || !sameQuery(want.Query(), r.URL.Query()) {
			continue
		}
		s.checkProfile(q, r, body)
		media := q.Type
		if media == "" {
			media = "application/json; charset=utf-8"
		}
		s.send(w, media, max(q.Status, s.status[q.Answer], 200), s.file(q.Answer))
		return
	}
	s.demand(false, "nothing is known of %s https://%s%s", r.Method, r.Host, r.URL)
	http.NotFound(w, r)
}

func (s *standIn) checkProfile(q request, r *http.Request, body []byte) {
	auth := q.Auth
	switch auth {
	case "":
		auth = "Bearer {access_token}"
	case "none":
		auth = ""
	}
	s.demand(r.Header.Get("Authorization") == s.fill(auth), "%s: Authorization is %q, want %q", q.URL, r.Header.Get("Authorization"), s.fill(auth))
	s.demand(strings.HasPrefix(r.UserAgent(), "ginauth/") || q.Header["User-Agent"] != "", "%s: User-Agent is %q", q.URL, r.UserAgent())
	for name, value := range q.Header {
		s.demand(r.Header.Get(name) == s.fill(value), "%s: the header %s is %q, want %q", q.URL, name, r.Header.Get(name), value)
	}
	s.demand(q.Body == "" || string(body) == s.fill(q.Body), "%s: the body is %s", q.URL, body)
}

// sameQuery compares queries. Where {proof} is wanted, a test has to look.
func sameQuery(want, got url.Values) bool {
	return maps.EqualFunc(want, got, func(a, b []string) bool { return slices.Equal(a, b) || slices.Equal(a, []string{"{proof}"}) })
}

// requests are those that were made with that method and address.
func (s *standIn) requests(methodAndAddress string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, asked := range s.asked {
		if asked == methodAndAddress {
			n++
		}
	}
	return n
}

// everything fails the test if the dialect has a request that was not made.
func (s *standIn) everything() {
	s.t.Helper()
	for _, q := range s.Requests {
		method := q.Method
		if method == "" {
			method = http.MethodGet
		}
		if s.requests(method+" "+bare(s.fill(q.URL))) == 0 {
			s.t.Errorf("%s: nobody asked for %s %s", s.name, method, q.URL)
		}
	}
}
