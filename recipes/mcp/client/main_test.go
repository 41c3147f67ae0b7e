package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type note struct {
	Text string `json:"text"`
}

// The browser comes back to the client, also at a server that leaves the metadata to Mount:
// then the API is the whole application, and the client finds it at the root.
func TestTheBrowserComesBack(t *testing.T) {
	gin.SetMode(gin.TestMode)
	site := httptest.NewUnstartedServer(nil)
	base := "http://" + site.Listener.Addr().String()
	idp, err := authtest.Start(authtest.Config{Public: true, APIs: map[string][]string{base: {"notes"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	idp.SignInAs("grace")
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "add_note"}, func(ctx context.Context, _ *mcp.CallToolRequest, in note) (*mcp.CallToolResult, note, error) {
		return nil, note{ginauth.CurrentUser(ctx).Subject + ": " + in.Text}, nil
	})
	app := gin.New()
	guard, err := ginauth.Mount(app, ginauth.Options{
		BaseURL: base, Logger: slog.New(slog.DiscardHandler),
		Providers: []ginauth.Provider{{Name: "corp", Issuer: idp.Issuer, Audience: base}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tools := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	app.Any("/mcp", guard.RequireAuth(ginauth.HasScope("notes")), gin.WrapH(tools))
	site.Config.Handler = app
	site.Start()
	t.Cleanup(site.Close)

	var out bytes.Buffer
	open := func(address string) {
		if p, err := authtest.NewBrowser().Get(address); err != nil || p.Text() != "You can close this page.\n" {
			t.Errorf("%v: %s", err, p.Text())
		}
	}
	if err := run(t.Context(), base+"/mcp", idp.ClientID, open, &out); err != nil || out.String() != `{"text":"grace: water the plants"}`+"\n" {
		t.Errorf("%q %v", out.String(), err)
	}
	if n := idp.Count(authtest.Authorize); n != 1 {
		t.Errorf("the person had to come %d times", n)
	}
}
