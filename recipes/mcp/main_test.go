package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

func start(t *testing.T) (endpoint string, idp *authtest.Provider) {
	t.Helper()
	gin.SetMode(gin.TestMode)
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	idp, err := authtest.Start(authtest.Config{Public: true, APIs: map[string][]string{base + "/mcp": {"notes"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	app, err := application(ginauth.Options{
		BaseURL: base, Logger: slog.New(slog.DiscardHandler),
		Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: base + "/mcp"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	return base + "/mcp", idp
}

// signsIn is the part of an MCP client that signs its person in, with a browser.
func signsIn(t *testing.T, idp *authtest.Provider, trips *atomic.Int32) auth.OAuthHandler {
	t.Helper()
	const callback = "http://localhost:7777/callback"
	b := authtest.NewBrowser()
	b.StopAt = func(next *url.URL) bool { return next.Host == "localhost:7777" }
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: &oauthex.ClientCredentials{ClientID: idp.ClientID, Issuer: idp.Issuer},
		RedirectURL:         callback,
		RequestRefreshToken: true,
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			trips.Add(1)
			p, err := b.Get(args.URL)
			if err == nil && p.Status == http.StatusOK {
				p, err = b.SubmitForm(p, "Ada Lovelace", nil)
			}
			if err != nil {
				return nil, err
			}
			to, err := url.Parse(p.Header.Get("Location"))
			if err != nil {
				return nil, err
			}
			q := to.Query()
			return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func connect(t *testing.T, endpoint string, handler auth.OAuthHandler) (*mcp.ClientSession, error) {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: handler, MaxRetries: -1}, nil)
	if err == nil {
		t.Cleanup(func() { session.Close() })
	}
	return session, err
}

func call(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any) notes {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil || result.IsError {
		t.Fatalf("%s: %v %+v", tool, err, result)
	}
	var answer notes
	text, err := json.Marshal(result.StructuredContent)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// bearer is a client that has a token already.
type bearer struct{ token atomic.Pointer[string] }

func (b *bearer) use(token string) { b.token.Store(&token) }

func (b *bearer) TokenSource(context.Context) (oauth2.TokenSource, error) { return b, nil }

func (b *bearer) Token() (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: *b.token.Load()}, nil
}

func (b *bearer) Authorize(_ context.Context, _ *http.Request, response *http.Response) error {
	return response.Body.Close()
}

// The SDK's own client goes the whole way: it is refused, finds the authorization server,
// has its person sign in once, and calls the tools as that person.
func TestAnMCPClientSignsIn(t *testing.T) {
	endpoint, idp := start(t)
	var trips atomic.Int32
	session, err := connect(t, endpoint, signsIn(t, idp, &trips))
	if err != nil {
		t.Fatal(err)
	}
	call(t, session, "add_note", map[string]any{"text": "water the plants"})
	if got := call(t, session, "list_notes", nil); got.Of != "ada" || len(got.Notes) != 1 || got.Notes[0] != "water the plants" {
		t.Errorf("%+v", got)
	}
	if trips.Load() != 1 {
		t.Errorf("the person had to come %d times", trips.Load())
	}
	asked := idp.LastRequest(authtest.Authorize).Form
	if asked.Get("resource") != endpoint || !strings.Contains(asked.Get("scope"), "notes") || !strings.Contains(asked.Get("scope"), "offline_access") {
		t.Errorf("the client asked for %v", asked)
	}
}

// With a token that permits too little, the client asks its person for more.
func TestAClientWithTooFewScopesAsksForMore(t *testing.T) {
	endpoint, idp := start(t)
	var trips atomic.Int32
	inner := signsIn(t, idp, &trips)
	few := new(bearer)
	few.use(idp.AccessToken(authtest.AccessToken{Audience: endpoint, Subject: "ada", Scopes: []string{"other"}}))
	session, err := connect(t, endpoint, &first{OAuthHandler: inner, token: few})
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, session, "list_notes", nil); got.Of != "ada" || trips.Load() != 1 {
		t.Errorf("%+v after %d trips", got, trips.Load())
	}
}

// first has a token to begin with.
type first struct {
	auth.OAuthHandler
	token oauth2.TokenSource
}

func (f *first) TokenSource(ctx context.Context) (oauth2.TokenSource, error) {
	if source, err := f.OAuthHandler.TokenSource(ctx); source != nil || err != nil {
		return source, err
	}
	return f.token, nil
}

// The answer to a request without a token is what RFC 9728, 3.3, asks for: its metadata are
// about the address that was asked.
func TestTheChallengeAndTheMetadata(t *testing.T) {
	endpoint, idp := start(t)
	response, err := http.Post(endpoint, "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	challenges, err := oauthex.ParseWWWAuthenticate(response.Header.Values("WWW-Authenticate"))
	if err != nil || response.StatusCode != http.StatusUnauthorized || len(challenges) != 1 || challenges[0].Scheme != "bearer" || challenges[0].Params["scope"] != "notes" {
		t.Fatalf("%s %v %v", response.Status, challenges, err)
	}
	metadata, err := oauthex.GetProtectedResourceMetadata(t.Context(), challenges[0].Params["resource_metadata"], endpoint, nil)
	if err != nil || len(metadata.AuthorizationServers) != 1 || metadata.AuthorizationServers[0] != idp.Issuer {
		t.Errorf("%+v %v", metadata, err)
	}
}

// Each call has the user of its own request, also if one client changes its token.
func TestEachCallHasItsOwnUser(t *testing.T) {
	endpoint, idp := start(t)
	token := func(subject string) string {
		return idp.AccessToken(authtest.AccessToken{Audience: endpoint, Subject: subject, Scopes: []string{"notes"}})
	}
	b := new(bearer)
	b.use(token("ada"))
	session, err := connect(t, endpoint, b)
	if err != nil {
		t.Fatal(err)
	}
	call(t, session, "add_note", map[string]any{"text": "ada's"})
	b.use(token("grace"))
	if got := call(t, session, "list_notes", nil); got.Of != "grace" || len(got.Notes) != 0 {
		t.Errorf("%+v", got)
	}
	for name, bad := range map[string]string{
		"another API": idp.AccessToken(authtest.AccessToken{Audience: strings.TrimSuffix(endpoint, "/mcp"), Subject: "ada", Scopes: []string{"notes"}}),
		"expired":     idp.AccessToken(authtest.AccessToken{Audience: endpoint, Subject: "ada", Scopes: []string{"notes"}, Fault: authtest.Expired}),
		"no scope":    idp.AccessToken(authtest.AccessToken{Audience: endpoint, Subject: "ada"}),
		"a program":   idp.AccessToken(authtest.AccessToken{Audience: endpoint, Scopes: []string{"notes"}}),
		"not a token": "guess",
	} {
		b.use(bad)
		if result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "list_notes"}); err == nil {
			t.Errorf("%s: %+v", name, result)
		}
		if other, err := connect(t, endpoint, b); err == nil {
			t.Errorf("%s: connected: %v", name, other.ID())
		}
	}
}

// An SDK that keeps sessions rejects the session of another user's token, and a tool sees
// the user of the request, not of the session's first request.
func TestSessionsOfTheSDKBelongToOnePerson(t *testing.T) {
	endpoint, idp := start(t)
	server := newServer(new(notebooks))
	var began atomic.Pointer[ginauth.User]
	mcp.AddTool(server, &mcp.Tool{Name: "scopes"}, func(ctx context.Context, call *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, notes, error) {
		began.Store(ginauth.CurrentUser(ctx))
		return nil, notes{Notes: userOf(call).Grant.Scopes}, nil
	})
	app := gin.New()
	guard, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: "http://localhost:8080", Logger: slog.New(slog.DiscardHandler),
		Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: endpoint}},
	})
	if err != nil {
		t.Fatal(err)
	}
	stateful := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	app.Any("/mcp", guard.RequireAuth(ginauth.HasScope("notes")), gin.WrapH(withUser(stateful)))
	site := httptest.NewServer(app)
	t.Cleanup(site.Close)

	b := new(bearer)
	token := func(subject string, scopes ...string) string {
		return idp.AccessToken(authtest.AccessToken{Audience: endpoint, Subject: subject, Scopes: append(scopes, "notes")})
	}
	b.use(token("ada", "more"))
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, &mcp.ClientOptions{})
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: site.URL + "/mcp", OAuthHandler: b, MaxRetries: -1, DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	b.use(token("ada"))
	if got := call(t, session, "scopes", nil); len(got.Notes) != 1 {
		t.Errorf("the tool sees the scopes %q", got.Notes)
	}
	if user := began.Load(); session.ID() == "" || user == nil || len(user.Grant.Scopes) != 2 {
		t.Errorf("CurrentUser(ctx) is no longer the user of the session's first request, so userOf is unnecessary: %+v", user)
	}
	b.use(token("grace"))
	if result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "scopes"}); err == nil {
		t.Errorf("grace uses ada's session: %+v", result)
	}
}
