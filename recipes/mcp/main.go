// Command mcp is an MCP server whose users sign in with their MCP client: see docs/mcp.md.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	const base = "http://localhost:8080"
	idp, err := authtest.Start(authtest.Config{ // your provider
		Addr: "127.0.0.1:9000", ClientID: "mcp-client", ClientName: "Your MCP client", Public: true,
		APIs: map[string][]string{base + "/mcp": {"notes"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	app, err := application(ginauth.Options{
		BaseURL:   base,
		Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: base + "/mcp"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(app.Run("localhost:8080"))
}

func application(opts ginauth.Options) (*gin.Engine, error) {
	app := gin.New()
	guard, err := ginauth.Mount(app, opts)
	if err != nil {
		return nil, err
	}
	server := newServer(new(notebooks))
	tools := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	app.Any("/mcp", guard.RequireAuth(ginauth.HasScope("notes")), gin.WrapH(withUser(tools)))
	return app, nil
}

// withUser passes the user whom the guard admitted to the SDK, at each request.
func withUser(next http.Handler) http.Handler {
	verify := func(_ context.Context, _ string, r *http.Request) (*auth.TokenInfo, error) {
		user := ginauth.CurrentUser(r.Context())
		if user == nil || user.Grant == nil {
			return nil, auth.ErrInvalidToken
		}
		// UserID binds the SDK's sessions, if it keeps any, to one user.
		return &auth.TokenInfo{UserID: user.ID(), Scopes: user.Grant.Scopes, Extra: map[string]any{"user": user}}, nil
	}
	// The guard has checked the token's expiry.
	return auth.RequireBearerToken(verify, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(next)
}

// userOf returns the user of the request that contained the call. The context of a tool belongs
// to the SDK's session, which may have begun with another token: do not read the user from it.
func userOf(call *mcp.CallToolRequest) *ginauth.User {
	return call.Extra.TokenInfo.Extra["user"].(*ginauth.User)
}

func newServer(all *notebooks) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "add_note", Description: "Adds a note to the user's notebook"}, all.add)
	mcp.AddTool(server, &mcp.Tool{Name: "list_notes", Description: "Lists the notes of the user"}, all.list)
	return server
}

// notebooks stands in for a table of yours. Its key is User.ID.
type notebooks struct {
	mu    sync.Mutex
	notes map[string][]string
}

type note struct {
	Text string `json:"text" jsonschema:"what to write down"`
}

type notes struct {
	Of    string   `json:"of"`
	Notes []string `json:"notes"`
}

func (n *notebooks) add(_ context.Context, call *mcp.CallToolRequest, in note) (*mcp.CallToolResult, notes, error) {
	if len(in.Text) > 1000 {
		return nil, notes{}, errors.New("a note has 1000 bytes at most")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.notes == nil {
		n.notes = map[string][]string{}
	}
	id := userOf(call).ID()
	n.notes[id] = append(n.notes[id], in.Text)
	return nil, n.of(userOf(call)), nil
}

func (n *notebooks) list(_ context.Context, call *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, notes, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return nil, n.of(userOf(call)), nil
}

func (n *notebooks) of(u *ginauth.User) notes {
	return notes{Of: u.Subject, Notes: append([]string{}, n.notes[u.ID()]...)}
}
