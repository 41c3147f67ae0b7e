package interop

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/providers"
)

// zitadel is zitadel/oidc in this process, with its example storage and its
// example login form. It keeps no sessions: it asks for the password each time.
type zitadel struct {
	issuer string
	legacy bool // the second of the library's two HTTP servers
	jwt    bool // tools that are registered from now on get JWTs, and no opaque tokens

	mu      sync.Mutex
	count   map[string]int // requests, by path
	clients map[string]zitadelClient
	keys    []zitadelKey  // the one that signs comes first
	ago     time.Duration // people are taken to have authenticated that long ago
	tokens  map[string]zitadelToken
	storage *storage.Storage
	handler http.Handler // nil while it is down
}

// newZitadel starts the provider under an issuer that ends in path.
func newZitadel(t *testing.T, path string, legacy bool) *zitadel {
	t.Helper()
	z := &zitadel{legacy: legacy, count: map[string]int{}, clients: map[string]zitadelClient{}}
	server := httptest.NewUnstartedServer(z)
	z.issuer = "http://" + server.Listener.Addr().String() + path
	z.up(t)
	server.Start()
	t.Cleanup(server.Close)
	return z
}

// up starts it with a new key under the old kid, and with nothing remembered but
// its clients.
func (z *zitadel) up(t *testing.T) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	z.keys = []zitadelKey{newZitadelKey(t, "first")}
	z.tokens = map[string]zitadelToken{}
	z.storage = storage.NewStorageWithClients(zitadelPeople{}, nil)
	z.handler = exampleop.SetupServer(z.issuer, zitadelStorage{z.storage, z}, nil, z.legacy)
}

func (z *zitadel) down(*testing.T) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.handler = nil
}

func (z *zitadel) setAgo(ago time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.ago = ago
}

func (z *zitadel) rotate(t *testing.T) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	z.keys = append([]zitadelKey{newZitadelKey(t, newName())}, z.keys...)
}

// ServeHTTP counts the request and lets the provider answer it.
func (z *zitadel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	z.mu.Lock()
	z.count[r.URL.Path]++
	handler := z.handler
	z.mu.Unlock()
	switch {
	case handler == nil:
		panic(http.ErrAbortHandler) // the connection ends without an answer
	case r.URL.Path == "/refuse":
		z.answerNo(w, r)
	default:
		handler.ServeHTTP(w, r)
	}
}

// answerNo is where the "No" of a consent page would lead, which the example
// does not have: it gives the answer that the library gives for it.
func (z *zitadel) answerNo(w http.ResponseWriter, r *http.Request) {
	request, err := z.storage.AuthRequestByID(r.Context(), r.FormValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	denied := oidc.ErrAccessDenied()
	denied.State = request.GetState()
	location, err := op.AuthResponseURL(request.GetRedirectURI(), request.GetResponseType(), request.GetResponseMode(), denied, oidc.NewEncoder())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, location, http.StatusFound)
}

// requests is how often a path was asked for.
func (z *zitadel) requests(path string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.count[path]
}

func (z *zitadel) register(_ *testing.T, c client) ginauth.Provider {
	made := storage.WebClient(c.ID, c.Secret, c.RedirectURI)
	if c.AuthMethod == "none" {
		made = storage.NativeClient(c.ID, c.RedirectURI)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.clients[c.ID] = zitadelClient{made, c, z.jwt}
	return providers.OIDC("corp", z.issuer, c.ID, c.Secret)
}

func (*zitadel) asks(p *authtest.Page) bool { return p.URL.Path == "/login/username" }

func (*zitadel) logIn(b *authtest.Browser, form *authtest.Page, username, password string) (*authtest.Page, error) {
	return b.SubmitForm(form, "Login", url.Values{"username": {username}, "password": {password}})
}

func (*zitadel) refuse(b *authtest.Browser, form *authtest.Page) (*authtest.Page, error) {
	return b.Click(form, "/refuse?id="+url.QueryEscape(form.URL.Query().Get("authRequestID")))
}

// zitadelClient has an address to go to after signing out at the provider, which
// the example's clients do not have.
type zitadelClient struct {
	op.Client
	known client
	jwt   bool // its access tokens are JWTs
}

func (c zitadelClient) AccessTokenType() op.AccessTokenType {
	if c.jwt {
		return op.AccessTokenTypeJWT
	}
	return c.Client.AccessTokenType()
}

func (c zitadelClient) GrantTypes() []oidc.GrantType {
	return append(c.Client.GrantTypes(), oidc.GrantTypeClientCredentials)
}

func (c zitadelClient) IsScopeAllowed(scope string) bool {
	return c.Client.IsScopeAllowed(scope) || strings.HasPrefix(scope, "orders:")
}

func (c zitadelClient) PostLogoutRedirectURIs() []string { return []string{c.known.PostLogoutURI} }

// zitadelStorage has clients that come while it runs, keys that change, and
// people with groups.
type zitadelStorage struct {
	*storage.Storage
	z *zitadel
}

func (s zitadelStorage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	if c, ok := s.z.clients[id]; ok {
		return c, nil
	}
	return nil, errors.New("there is no such client")
}

func (s zitadelStorage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	if c, ok := s.z.clients[id]; !ok || c.known.Secret != secret {
		return errors.New("the secret is wrong")
	}
	return nil
}

func (s zitadelStorage) SigningKey(context.Context) (op.SigningKey, error) {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	return s.z.keys[0], nil
}

func (s zitadelStorage) KeySet(context.Context) ([]op.Key, error) {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	var all []op.Key
	for _, key := range s.z.keys {
		all = append(all, zitadelPublicKey{key})
	}
	return all, nil
}

func (s zitadelStorage) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string) error {
	err := s.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin)
	info.AppendClaims("groups", map[string][]string{ada: {"staff", "admins"}, ben: {"staff"}}[subject])
	return err
}

// zitadelToken is what the storage remembers of an access token. That is the application's to
// write: the example answers an introspection without aud and iat.
type zitadelToken struct {
	client           string
	audience, scopes []string
	issued           time.Time
}

func (s zitadelStorage) remember(id string, request op.TokenRequest) {
	token := zitadelToken{request.GetSubject(), request.GetAudience(), request.GetScopes(), time.Now()}
	if of, ok := request.(interface{ GetClientID() string }); ok {
		token.client = of.GetClientID()
	}
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	s.z.tokens[id] = token
}

func (s zitadelStorage) CreateAccessToken(ctx context.Context, request op.TokenRequest) (string, time.Time, error) {
	id, expires, err := s.Storage.CreateAccessToken(ctx, request)
	s.remember(id, request)
	return id, expires, err
}

func (s zitadelStorage) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, refresh string) (string, string, time.Time, error) {
	id, refresh, expires, err := s.Storage.CreateAccessAndRefreshTokens(ctx, request, refresh)
	s.remember(id, request)
	return id, refresh, expires, err
}

func (s zitadelStorage) SetIntrospectionFromToken(_ context.Context, r *oidc.IntrospectionResponse, id, subject, _ string) error {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	token, known := s.z.tokens[id]
	if !known {
		return errors.New("there is no such token")
	}
	r.Subject, r.ClientID, r.Audience, r.Scope, r.IssuedAt = subject, token.client, token.audience, token.scopes, oidc.FromTime(token.issued)
	return nil
}

func (s zitadelStorage) RevokeToken(_ context.Context, id, _, client string) *oidc.Error {
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	if s.z.tokens[id].client != client {
		return oidc.ErrInvalidClient().WithDescription("the token is not this client's")
	}
	delete(s.z.tokens, id)
	return nil
}

// GetPrivateClaimsFromScopes adds the scopes to a JWT, which the library does not.
func (s zitadelStorage) GetPrivateClaimsFromScopes(ctx context.Context, subject, client string, scopes []string) (map[string]any, error) {
	claims, err := s.Storage.GetPrivateClaimsFromScopes(ctx, subject, client, scopes)
	if claims == nil {
		claims = map[string]any{}
	}
	claims["scope"] = strings.Join(scopes, " ")
	return claims, err
}

func (s zitadelStorage) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	if err := s.AuthorizeClientIDSecret(ctx, id, secret); err != nil {
		return nil, err
	}
	return s.GetClientByClientID(ctx, id)
}

func (zitadelStorage) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{theAPI}, Scopes: scopes}, nil
}

// zitadelRequest is a sign-in of somebody who authenticated some time ago.
type zitadelRequest struct {
	op.AuthRequest
	ago time.Duration
}

// GetAudience adds the API that the scopes are for.
func (r zitadelRequest) GetAudience() []string {
	if slices.ContainsFunc(r.GetScopes(), func(scope string) bool { return strings.HasPrefix(scope, "orders:") }) {
		return append(r.AuthRequest.GetAudience(), theAPI)
	}
	return r.AuthRequest.GetAudience()
}

func (r zitadelRequest) GetAuthTime() time.Time { return r.AuthRequest.GetAuthTime().Add(-r.ago) }

func (s zitadelStorage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	request, err := s.Storage.AuthRequestByCode(ctx, code)
	s.z.mu.Lock()
	defer s.z.mu.Unlock()
	return zitadelRequest{request, s.z.ago}, err
}

type zitadelKey struct {
	kid     string
	private *rsa.PrivateKey
}

func newZitadelKey(t *testing.T, kid string) zitadelKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return zitadelKey{kid, private}
}

func (zitadelKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k zitadelKey) Key() any                                  { return k.private }
func (k zitadelKey) ID() string                                { return k.kid }

type zitadelPublicKey struct{ zitadelKey }

func (zitadelPublicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (zitadelPublicKey) Use() string                        { return "sig" }
func (k zitadelPublicKey) Key() any                         { return &k.private.PublicKey }

// zitadelPeople are whom the example storage knows.
type zitadelPeople struct{}

func (zitadelPeople) GetUserByID(id string) *storage.User {
	last, ok := map[string]string{ada: "Ada Lovelace", ben: "Ben Jonson"}[id]
	if !ok {
		return nil
	}
	first, last, _ := strings.Cut(last, " ")
	return &storage.User{
		ID: id, Username: id, Password: password, FirstName: first, LastName: last,
		Email: id + "@example.com", EmailVerified: true, PreferredLanguage: language.German,
	}
}

func (p zitadelPeople) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }
func (zitadelPeople) ExampleClientID() string                       { return storage.ServiceUserID }

func TestZitadel(t *testing.T) {
	with := newZitadel(t, "", false)
	everyServer(t, with)
	t.Run("form_post", func(t *testing.T) { tryFormPost(t, with) })
	t.Run("a new key under an old kid", func(t *testing.T) { tryANewKeyUnderAnOldKid(t, with) })
}

// The library has a second HTTP server, and both take issuers with a slash.
func TestZitadelServers(t *testing.T) {
	for name, tt := range map[string]struct {
		path   string
		legacy bool
	}{
		"issuer with a slash":    {"/", false},
		"the other HTTP server":  {"", true},
		"the other, and a slash": {"/", true},
	} {
		t.Run(name, func(t *testing.T) {
			with := newZitadel(t, tt.path, tt.legacy)
			t.Run("signing in", func(t *testing.T) { trySigningIn(t, with) })
			t.Run("the person refuses", func(t *testing.T) { tryRefusing(t, with) })
			t.Run("signing out", func(t *testing.T) { trySigningOut(t, with) })
		})
	}
}

// What a sign-in asks of the provider, which is nothing where it was refused.
func TestZitadelRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		try  func(*testing.T, server)
		want map[string]int
	}{
		"signing in": {trySigningIn, map[string]int{
			"/.well-known/openid-configuration": 1, "/keys": 1, "/oauth/token": 1, "/userinfo": 1,
		}},
		"many at once":           {tryManyAtOnce, map[string]int{"/.well-known/openid-configuration": 1, "/oauth/token": 6, "/userinfo": 6}},
		"refused, and again":     {tryRefusing, map[string]int{"/oauth/token": 1}},
		"a wrong client secret":  {tryAWrongClientSecret, map[string]int{"/oauth/token": 1, "/userinfo": 0}},
		"an answer opened again": {tryAnAnswerAgain, map[string]int{"/oauth/token": 1}},
		"signing out":            {trySigningOut, map[string]int{"/end_session": 1}},
		"signing out here alone": {trySigningOutHere, map[string]int{"/end_session": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			with := newZitadel(t, "", false)
			tt.try(t, with)
			for path, want := range tt.want {
				if n := with.requests(path); n != want {
					t.Errorf("%s was asked %d times, want %d", path, n, want)
				}
			}
		})
	}
}

// The provider has no sessions, so that prompt=none always gets login_required.
func TestZitadelPromptNone(t *testing.T) {
	s := newSite(t, newZitadel(t, "", false), config{change: func(p *ginauth.Provider, _ *ginauth.Options) {
		p.LoginParams = []string{"prompt", "max_age"}
	}})
	s.wantRefused(s.get("/auth/login/corp?prompt=none"), ginauth.ErrProviderDenied)
	s.loginForm("/auth/login/corp?prompt=login")
	wantAda(t, s.profileOn(s.logIn(s.loginForm("/auth/login/corp?return_to=/private&max_age=60"), ada, password)))
}

// The provider's ID tokens have no profile.
func TestZitadelUserinfo(t *testing.T) {
	for mode, requests := range map[string]int{"missing": 1, "always": 1, "never": 0} {
		t.Run(mode, func(t *testing.T) {
			with := newZitadel(t, "", false)
			s := newSite(t, with, config{change: func(p *ginauth.Provider, _ *ginauth.Options) { p.Userinfo = mode }})
			u := s.signIn("/private", ada).User
			if want := map[int]string{1: "Ada Lovelace"}[requests]; u.Name != want || u.Subject != ada || with.requests("/userinfo") != requests {
				t.Errorf("got %+v with %d userinfo requests, want %q with %d", u, with.requests("/userinfo"), want, requests)
			}
		})
	}
}

func TestZitadelClaimOfACustomScope(t *testing.T) {
	s := newSite(t, newZitadel(t, "", false), config{change: func(p *ginauth.Provider, o *ginauth.Options) {
		p.Scopes = []string{"openid", "profile", "email", storage.CustomScope}
		p.Userinfo = "always"
		o.KeepClaims = []string{storage.CustomClaim}
	}})
	claim, _ := s.signIn("/private", ada).Claims[storage.CustomClaim].(map[string]any)
	if claim["client"] != s.client.ID || claim["other"] != "stuff" {
		t.Errorf("the claim is %v", claim)
	}
}

// Access tokens for an API, whose aud the storage decides on.
func TestBearerZitadel(t *testing.T) {
	for name, jwt := range map[string]bool{"JWTs": true, "opaque tokens": false} {
		for legacy, server := range map[bool]string{false: "", true: ", of the other HTTP server"} {
			with, conf := newZitadel(t, "", legacy), bearerConfig{change: introspects}
			with.jwt = jwt
			t.Run(name+server, func(t *testing.T) { tryBearer(t, with, conf) })
			t.Run(name+server+", of a program", func(t *testing.T) { tryBearerProgram(t, with, conf) })
			if !jwt {
				t.Run("a revoked opaque token"+server, func(t *testing.T) { tryBearerRevoked(t, with, conf) })
			}
		}
	}
	t.Run("what is in the tokens", func(t *testing.T) {
		with := newZitadel(t, "", false)
		with.jwt = true
		b := newBearerSite(t, with, bearerConfig{})
		got := b.person(ada, "openid orders:read")
		header, claims := claimsOf(t, got.Access)
		wantClaims(t, header, map[string]any{"typ": "JWT"})
		wantClaims(t, claims, map[string]any{"aud": []any{b.tool.ID, theAPI}, "client_id": b.tool.ID, "sub": ada, "sid": nil, "at_hash": nil})
		_, claims = claimsOf(t, got.ID)
		// It has the same aud, so that at_hash alone shows what it is.
		wantClaims(t, claims, map[string]any{"aud": []any{b.tool.ID, theAPI}, "client_id": b.tool.ID, "nonce": nil, "scope": nil})
		if claims["at_hash"] == nil {
			t.Error("the ID token has no at_hash")
		}
	})
}
