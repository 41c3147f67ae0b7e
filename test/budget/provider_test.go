package budget

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// remoteProviderEnv makes the test binary run as a provider: see startRemoteProvider.
const remoteProviderEnv = "GINAUTH_TEST_REMOTE_PROVIDER"

// remoteProvider is a provider in a separate process, so that measurements in this process
// include only the application. It is stateless: a code is the nonce for its ID token.
type remoteProvider struct {
	Issuer, ClientID, ClientSecret string

	noHint bool // the ID token is not kept for the sign-out
}

// startRemoteProvider starts a provider. A thin one puts no name into the ID token, so that
// userinfo must be requested.
func startRemoteProvider(t testing.TB, thin bool) remoteProvider {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=thin:%v", remoteProviderEnv, thin))
	cmd.Stderr = os.Stderr
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
	t.Cleanup(func() {
		_ = in.Close() // it ends with its input
		_ = cmd.Wait()
	})
	var f remoteProvider
	if err := json.NewDecoder(out).Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f remoteProvider) provider() ginauth.Provider {
	p := ginauth.Provider{Name: "demo", Issuer: f.Issuer, ClientID: f.ClientID, ClientSecret: f.ClientSecret}
	p.Logout.NoIDTokenHint = f.noHint
	return p
}

// serveRemoteProvider runs in the other process.
func serveRemoteProvider(kind string) error {
	idp, err := authtest.Start(authtest.Config{})
	if err != nil {
		return err
	}
	person := map[string]any{
		"sub": "248289761001", "name": "Ada Lovelace", "preferred_username": "ada", "email": "ada@example.com", "email_verified": true, "locale": "en-GB",
		"picture": "https://pictures.example.com/a/ACg8ocKx1s8mB2v9f0j3qQnZ7yXw4tUeRk6LhD5pGcVbNaMzWqYs=s96-c",
	}
	const access = "ya29.a0AfH6SMBx1s8mB2v9f0j3qQnZ7yXw4tUeRk6LhD5pGcVbNaMzWqYsTgHjKlOpIuYtReWqAsDfGhJkLzXcVbNmQwErTyUiOp"
	idp.Handle(authtest.Token, func(w http.ResponseWriter, r *http.Request) {
		claims := map[string]any{
			"iss": idp.Issuer, "aud": idp.ClientID, "azp": idp.ClientID, "sub": person["sub"], "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "nonce": r.FormValue("code"),
		}
		for name, v := range person {
			if kind != "thin:true" {
				claims[name] = v
			}
		}
		answerJSON(w, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 3599, "scope": "openid profile email", "id_token": idp.Sign(nil, claims)})
	})
	idp.Handle(authtest.Userinfo, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, person) })
	if err := json.NewEncoder(os.Stdout).Encode(remoteProvider{Issuer: idp.Issuer, ClientID: idp.ClientID, ClientSecret: idp.ClientSecret}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
