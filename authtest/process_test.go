package authtest_test

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// The other process: a provider until its input ends.
func TestProviderProcess(t *testing.T) {
	if os.Getenv("AUTHTEST_PROVIDER") == "" {
		return // TestAProviderInAnotherProcess runs it
	}
	p, err := authtest.Start(authtest.Config{Addr: "idp.localhost:0", TLS: os.Getenv("AUTHTEST_PROVIDER") == "https", ClientID: "shop", ClientSecret: "of the shop"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	certificate, err := p.CertificatePEM()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"issuer": p.Issuer, "certificate": string(certificate)}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// An application signs people in at a provider of another process, with what that one
// printed, over https too and under a name that the system need not know.
func TestAProviderInAnotherProcess(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestProviderProcess$")
			cmd.Env = append(os.Environ(), "AUTHTEST_PROVIDER="+scheme)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
			var said struct{ Issuer, Certificate string }
			line, err := bufio.NewReader(out).ReadBytes('\n')
			if err == nil {
				err = json.Unmarshal(line, &said)
			}
			if err != nil || !strings.HasPrefix(said.Issuer, scheme+"://idp.localhost:") {
				t.Fatalf("the process said %q: %v", line, err)
			}
			client, err := authtest.LocalClient([]byte(said.Certificate))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Get("https://example.com/"); err == nil || !strings.Contains(err.Error(), "Browser.Resolve") {
				t.Errorf("another machine: %v", err)
			}
			app := gin.New()
			auth, err := ginauth.Mount(app, ginauth.Options{BaseURL: "http://localhost:8080", HTTPClient: client, Logger: slog.New(slog.DiscardHandler),
				Providers: []ginauth.Provider{{Name: "corp", Issuer: said.Issuer, ClientID: "shop", ClientSecret: "of the shop"}}})
			if err != nil {
				t.Fatal(err)
			}
			app.GET("/", auth.RequireAuth(), func(c *gin.Context) { c.String(http.StatusOK, "Hello, %s!", ginauth.CurrentUser(c).Name) })
			server := httptest.NewServer(app)
			t.Cleanup(server.Close)
			browser := authtest.NewBrowser()
			t.Cleanup(browser.Close)
			browser.Resolve("localhost", server.Listener.Addr().String())
			block, _ := pem.Decode([]byte(said.Certificate))
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			browser.Trust(certificate)
			page, err := browser.Get("http://localhost:8080/")
			if err == nil {
				page, err = browser.SubmitForm(page, "Ada Lovelace", nil)
			}
			if err != nil || page.Text() != "Hello, Ada Lovelace!" {
				t.Errorf("the sign-in ended with %v: %v", page, err)
			}
		})
	}
}

func TestLocalClientTakesCertificatesAlone(t *testing.T) {
	for name, text := range map[string]string{"text": "no certificate", "a key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := authtest.LocalClient([]byte(text)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := authtest.LocalClient(nil); err != nil {
		t.Error(err)
	}
}

// Demo is what the README's first program has: a mistake in it is an error of Mount.
func TestDemo(t *testing.T) {
	if p := authtest.Demo("corp"); p.Err != nil || p.Name != "corp" || p.Issuer == "" || p.ClientSecret == "" {
		t.Errorf("got %+v, %v", p, p.Err)
	}
}
