// Command client is a small MCP client that has its person sign in: see docs/mcp.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

func main() {
	open := func(address string) { fmt.Println("Open", address) }
	if err := run(context.Background(), "http://localhost:8080/mcp", "mcp-client", open, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run adds a note, and writes all notes to out. open shows a page to the user.
func run(ctx context.Context, endpoint, clientID string, open func(address string), out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // RFC 8252, 7.3: the browser comes back here
	if err != nil {
		return err
	}
	defer listener.Close()
	answers := make(chan *auth.AuthorizationResult)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/callback" {
			http.NotFound(w, r)
			return
		}
		select {
		case answers <- &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}:
			fmt.Fprintln(w, "You can close this page.")
		case <-r.Context().Done():
		}
	}))
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: &oauthex.ClientCredentials{ClientID: clientID},
		RedirectURL:         "http://" + listener.Addr().String() + "/callback",
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			go open(args.URL)
			select {
			case answer := <-answers:
				return answer, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	})
	if err != nil {
		return err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "notes-client", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: handler}, nil)
	if err != nil {
		return err
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "add_note", Arguments: map[string]any{"text": "water the plants"}})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result.StructuredContent)
}
