package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	m.Run()
}

// The connection ends when the user signs out in another tab, and without a session there is
// none.
func TestTheConnectionEndsWithTheSession(t *testing.T) {
	idp, err := authtest.Start(authtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	idp.SignInAs("ada")
	server := httptest.NewUnstartedServer(nil)
	address := "http://localhost" + strings.TrimLeft(server.Listener.Addr().String(), "0123456789.")
	if server.Config.Handler, err = application(ginauth.Options{
		BaseURL: address, Providers: []ginauth.Provider{idp.Client("corp")}, AfterLogout: "/logout", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}); err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	browser := authtest.NewBrowser()
	t.Cleanup(browser.Close)
	page, err := browser.Get(address + "/")
	if err != nil || !strings.Contains(page.Text(), `id="clock"`) {
		t.Fatalf("the sign-in ended with %v, %v", page, err)
	}
	dial := func() (*websocket.Conn, *http.Response, error) {
		header := http.Header{}
		for _, c := range browser.Cookies(address) {
			header.Add("Cookie", c.String())
		}
		return websocket.Dial(t.Context(), address+"/live", &websocket.DialOptions{HTTPHeader: header})
	}
	socket, _, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	if _, text, err := socket.Read(t.Context()); err != nil || len(text) != len("15:04:05") {
		t.Fatalf("received %q, %v", text, err)
	}
	if _, err := browser.Submit(page, address+"/logout", nil); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = socket.Read(t.Context())
	}
	if code := websocket.CloseStatus(err); code != signedOut {
		t.Errorf("the connection ended with %v", err)
	}
	if _, response, err := dial(); err == nil || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the sign-out: %v, %v", response, err)
	}
}
