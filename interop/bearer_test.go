package interop

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// theAPI is what the servers call the application's API: the aud of access tokens for it.
const theAPI = "https://api.example/orders"

// bearerSite is a site with an API, and a tool: another client of the server, which gets
// access tokens for the API and sends them.
type bearerSite struct {
	*site
	tool   client
	issuer string
	asking url.Values // what the tool adds to its requests for tokens of the API
	ahead  *atomic.Int64
	logs   *logs
}

// bearerConfig says how the API takes tokens.
type bearerConfig struct {
	audience string     // default: theAPI
	asking   url.Values // see bearerSite
	change   func(*ginauth.Provider, *ginauth.Options)
}

func newBearerSite(t *testing.T, with server, conf bearerConfig) *bearerSite {
	t.Helper()
	b := &bearerSite{
		tool:   client{ID: "Tool-" + newName(), Secret: "the secret of a tool", AuthMethod: "client_secret_basic", RedirectURI: "http://localhost:1/tool", Tool: true},
		asking: conf.asking, ahead: new(atomic.Int64), logs: new(logs),
	}
	show := func(c *gin.Context) { c.JSON(http.StatusOK, ginauth.CurrentUser(c)) }
	b.site = newSite(t, with, config{
		change: func(p *ginauth.Provider, o *ginauth.Options) {
			b.issuer = p.Issuer
			if p.Audience = theAPI; conf.audience != "" {
				p.Audience = conf.audience
			}
			o.Now = func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }
			o.Logger = slog.New(slog.NewTextHandler(io.MultiWriter(testLog{t}, b.logs), nil))
			if conf.change != nil {
				conf.change(p, o)
			}
		},
		routes: func(router *gin.Engine, auth *ginauth.Auth) {
			router.GET("/orders", auth.RequireAuth(ginauth.HasScope("orders:read")), show)
			router.GET("/change", auth.RequireAuth(ginauth.HasScope("orders:write")), show)
			router.GET("/job", auth.RequireAuth(ginauth.IsClient(b.tool.ID)), show)
		},
	})
	with.register(t, b.tool)
	return b
}

// withoutClient makes the application one that only takes tokens.
func withoutClient(p *ginauth.Provider, _ *ginauth.Options) {
	*p = ginauth.Provider{Name: p.Name, Issuer: p.Issuer, Audience: p.Audience}
}

func introspects(p *ginauth.Provider, _ *ginauth.Options) { p.Introspect = true }

// tokens are what the tool got.
type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
}

// endpoint returns one of the server's addresses, from its metadata.
func (b *bearerSite) endpoint(name string) string {
	b.t.Helper()
	var metadata map[string]any
	call(b.t, http.MethodGet, strings.TrimSuffix(b.issuer, "/")+"/.well-known/openid-configuration", nil, nil, &metadata)
	address, _ := metadata[name].(string)
	if address == "" {
		b.t.Fatalf("the server has no %s", name)
	}
	return address
}

// post sends a form to one of the server's endpoints, as the tool.
func (b *bearerSite) post(endpoint string, form url.Values, header http.Header, out any) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(b.tool.ID), url.QueryEscape(b.tool.Secret))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s: %s %v", endpoint, answer.Status, text, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		b.t.Fatalf("%s: %v: %s", endpoint, err, text)
	}
}

func (b *bearerSite) redeem(form url.Values, header http.Header) (got tokens) {
	b.t.Helper()
	b.post(b.endpoint("token_endpoint"), form, header, &got)
	return got
}

// person signs somebody in to the tool, in a browser of their own.
func (b *bearerSite) person(username, scope string) tokens {
	b.t.Helper()
	return b.codeFlow(b.newBrowser(), username, scope)
}

// personIn gets the tool tokens of the person who is signed in at the server in a browser.
func (b *bearerSite) personIn(browser *authtest.Browser, scope string) tokens {
	b.t.Helper()
	return b.codeFlow(browser, "", scope)
}

// codeFlow signs somebody in to the tool, without a nonce: nothing but the server's own claims
// shows then that the ID token is one. The login form comes up if there is a username.
func (b *bearerSite) codeFlow(browser *authtest.Browser, username, scope string) tokens {
	b.t.Helper()
	const verifier = "a-verifier-that-is-as-long-as-a-verifier-has-to-be"
	challenge := sha256.Sum256([]byte(verifier))
	tool, err := url.Parse(b.tool.RedirectURI)
	if err != nil {
		b.t.Fatal(err)
	}
	code := ""
	defer func() { browser.StopAt = nil }()
	browser.StopAt = func(next *url.URL) bool {
		if next.Host != tool.Host || next.Path != tool.Path {
			return false
		}
		code = next.Query().Get("code")
		return true
	}
	request := url.Values{
		"response_type": {"code"}, "client_id": {b.tool.ID}, "redirect_uri": {b.tool.RedirectURI}, "scope": {scope}, "state": {"a state of the tool"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	if strings.Contains(scope, "offline_access") {
		request.Set("prompt", "consent") // without which oidc-provider gives no refresh token
	}
	maps.Copy(request, b.asking)
	p := b.must(browser.Get(b.endpoint("authorization_endpoint") + "?" + request.Encode()))
	if username != "" {
		b.wantLoginForm(p)
		p = b.must(b.server.logIn(browser, p, username, password))
	}
	if code == "" {
		b.t.Fatalf("signing in to the tool ended at %s with status %d: %s", p.URL, p.Status, p.Text())
	}
	exchange := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {b.tool.RedirectURI}, "code_verifier": {verifier}}
	maps.Copy(exchange, b.asking)
	return b.redeem(exchange, nil)
}

// program gets a token for the tool itself (RFC 6749, section 4.4).
func (b *bearerSite) program(scope string) tokens {
	b.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	maps.Copy(form, b.asking)
	return b.redeem(form, nil)
}

// send calls the API.
func (b *bearerSite) send(path, token string) (status int, challenge, body string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("WWW-Authenticate"), string(text)
}

// admitted calls the API, which has to take the token, and returns the user.
func (b *bearerSite) admitted(path, token string) *ginauth.User {
	b.t.Helper()
	status, challenge, body := b.send(path, token)
	u := new(ginauth.User)
	if err := json.Unmarshal([]byte(body), u); status != http.StatusOK || err != nil || u.Grant == nil || u.Grant.Client != b.tool.ID {
		b.t.Fatalf("%s: status %d, challenge %q: %s", path, status, challenge, body)
	}
	return u
}

// refused calls the API, which must refuse the token with that status and error.
func (b *bearerSite) refused(path, token string, status int, code ginauth.Code) {
	b.t.Helper()
	got, challenge, body := b.send(path, token)
	want := map[ginauth.Code]string{ginauth.ErrInvalidToken: `Bearer error="invalid_token"`, ginauth.ErrInsufficientScope: `Bearer error="insufficient_scope"`}[code]
	if got != status || !strings.Contains(body, string(code)) || !strings.HasPrefix(challenge, want) {
		b.t.Errorf("%s: status %d, challenge %q, want %d %s: %s", path, got, challenge, status, code, body)
	}
}

func (b *bearerSite) invalid(token string) {
	b.t.Helper()
	b.refused("/orders", token, http.StatusUnauthorized, ginauth.ErrInvalidToken)
}

// revoke ends a token at the server (RFC 7009).
func (b *bearerSite) revoke(token string) {
	b.t.Helper()
	b.post(b.endpoint("revocation_endpoint"), url.Values{"token": {token}, "token_type_hint": {"access_token"}}, nil, nil)
}

// tryBearer sends the API what a server issues for it, and what it does not.
func tryBearer(t *testing.T, with server, conf bearerConfig) {
	b := newBearerSite(t, with, conf)
	got := b.person(ada, "openid offline_access orders:read")
	if got.ID == "" || got.Refresh == "" {
		t.Fatalf("got %+v", got)
	}
	u := b.admitted("/orders", got.Access)
	if u.Issuer != b.issuer || u.Grant.Program || len(u.Grant.Scopes) == 0 {
		t.Errorf("the user is %+v with %+v", u, u.Grant)
	}
	if len(b.auth.Providers()) > 0 {
		// The same person as in a browser: groups, and what is stored by User.ID, are theirs.
		if who := b.signIn("/private", ada); who.ID != u.ID() {
			t.Errorf("the token is of %s, and the session of %s", u.ID(), who.ID)
		}
	}
	b.refused("/change", got.Access, http.StatusForbidden, ginauth.ErrInsufficientScope)
	b.refused("/private", got.Access, http.StatusForbidden, ginauth.ErrInsufficientScope)
	b.refused("/job", got.Access, http.StatusForbidden, ginauth.ErrForbidden)
	b.admitted("/change", b.person(ada, "openid orders:read orders:write").Access)

	b.invalid(got.ID)
	other := *b
	other.asking = nil
	if token := other.person(ada, "openid").Access; token != "" {
		b.invalid(token)
	}
	b.invalid(got.Refresh)
	b.invalid(got.Access[:len(got.Access)-5] + "AAAAA")

	if err := b.auth.LogoutEverywhere(t.Context(), u.ID()); err != nil {
		t.Fatal(err)
	}
	b.invalid(got.Access)
}

// tryBearerProgram sends the API a token that the tool has for itself.
func tryBearerProgram(t *testing.T, with server, conf bearerConfig) {
	b := newBearerSite(t, with, conf)
	token := b.program("orders:read").Access
	if u := b.admitted("/job", token); !u.Grant.Program {
		t.Errorf("the program is %+v with %+v", u, u.Grant)
	}
	b.refused("/orders", token, http.StatusForbidden, ginauth.ErrInsufficientScope)
	b.refused("/private", token, http.StatusForbidden, ginauth.ErrInsufficientScope)
}

// tryBearerRevoked revokes an opaque token at the server, which the application hears of
// within a minute.
func tryBearerRevoked(t *testing.T, with server, conf bearerConfig) {
	b := newBearerSite(t, with, conf)
	token := b.person(ada, "openid orders:read").Access
	b.admitted("/orders", token)
	b.revoke(token)
	b.admitted("/orders", token) // what the server said is believed
	b.ahead.Add(int64(61 * time.Second))
	b.invalid(token)
}

// tryBearerBound sends the API a token that is bound to a key of the tool's (RFC 9449), as if
// somebody had stolen it.
func tryBearerBound(t *testing.T, with server, conf bearerConfig) {
	b := newBearerSite(t, with, conf)
	key := newClientKey(t, "ES256")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	endpoint := b.endpoint("token_endpoint")
	claims, err := json.Marshal(map[string]any{"htm": "POST", "htu": endpoint, "iat": time.Now().Unix(), "jti": newName()})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}}
	maps.Copy(form, b.asking)
	b.refused("/job", b.redeem(form, http.Header{"Dpop": {proof}}).Access, http.StatusUnauthorized, ginauth.ErrInvalidToken)
	if !b.logs.has("id=access_token.bound") {
		t.Error("the log does not say that the token is bound")
	}
}

// claimsOf decodes a JWT, which nothing verifies here.
func claimsOf(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %s", token)
	}
	for i, out := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, out)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// logs is what an application has logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logs) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// wantClaims checks some claims of a token; nil is one that is not there.
func wantClaims(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if !reflect.DeepEqual(got[name], value) {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
}
