// Command cli is a command line tool that calls an API as its signed-in user: see docs/cli.md.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.UserConfigDir()
	if err == nil {
		t := &tool{
			api: "http://localhost:8080", clientID: "orders-tool", scopes: []string{"orders:read", "offline_access"},
			file: filepath.Join(dir, "orders", "token.json"), out: os.Stdout, notes: os.Stderr,
		}
		err = t.run(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

type tool struct {
	api        string // URL of the API, without a trailing slash
	clientID   string // the tool's client ID at the provider: a public client with the device flow enabled
	scopes     []string
	file       string
	out, notes io.Writer
}

// client follows no redirects: they could send a token to another server.
var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// What the user may have to change.
var (
	errSignIn = errors.New("you are not signed in, or the sign-in has ended: run orders login")
	errDenied = errors.New("you did not allow it")
	errLate   = errors.New("the code has expired: try again")
)

// What an administrator may have to change. These follow an address.
var (
	errNoServer     = errors.New("does not say where to sign in")
	errIssuer       = errors.New("has the metadata of another server")
	errNoDeviceFlow = errors.New("has no device flow")
	errNotHTTPS     = errors.New("is not https")
)

func (t *tool) run(ctx context.Context, args []string) error {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	switch strings.Join(args, " ") {
	case "login":
		return t.login(ctx)
	case "list":
		return t.list(ctx)
	case "logout":
		return t.logout(ctx)
	}
	return errors.New("write one of: orders login, orders list, orders logout")
}

// server is the part of the authorization server's metadata that the tool needs (RFC 8414,
// RFC 8628).
type server struct {
	Issuer string `json:"issuer"`
	Device string `json:"device_authorization_endpoint"`
	Token  string `json:"token_endpoint"`
	Revoke string `json:"revocation_endpoint"`
}

// discover reads the API's metadata for its authorization server, and that server's metadata
// for its endpoints.
func (t *tool) discover(ctx context.Context) (*server, error) {
	var api struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	if err := get(ctx, t.api+"/.well-known/oauth-protected-resource", &api); err != nil {
		return nil, err
	}
	// RFC 9728, 3.3: the metadata must be that of this API, not of another.
	if api.Resource != t.api || len(api.Servers) == 0 {
		return nil, fmt.Errorf("%s %w", t.api, errNoServer)
	}
	var s server
	if err := get(ctx, strings.TrimSuffix(api.Servers[0], "/")+"/.well-known/openid-configuration", &s); err != nil {
		return nil, err
	}
	switch {
	case s.Issuer != api.Servers[0]: // RFC 8414, 3.3
		return nil, fmt.Errorf("%s %w: %s", api.Servers[0], errIssuer, s.Issuer)
	case s.Device == "":
		return nil, fmt.Errorf("%s %w", s.Issuer, errNoDeviceFlow)
	}
	return &s, errors.Join(encrypted(s.Device), encrypted(s.Token), encrypted(s.Revoke))
}

// get reads JSON from a URL.
func get(ctx context.Context, address string, v any) error {
	if err := encrypted(address); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, response.Status)
	}
	return json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(v)
}

// encrypted rejects URLs that would receive a token unencrypted.
func encrypted(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	local := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	if address == "" || u.Scheme == "https" || u.Scheme == "http" && local {
		return nil
	}
	return fmt.Errorf("%s %w", address, errNotHTTPS)
}

func (t *tool) config(device, token string) *oauth2.Config {
	return &oauth2.Config{ClientID: t.clientID, Scopes: t.scopes, Endpoint: oauth2.Endpoint{
		DeviceAuthURL: device, TokenURL: token,
		AuthStyle: oauth2.AuthStyleInParams, // public client; trying both styles would poll the server twice as often as it allows
	}}
}

// login signs the user in with the device flow (RFC 8628).
func (t *tool) login(ctx context.Context) error {
	s, err := t.discover(ctx)
	if err != nil {
		return err
	}
	config, resource := t.config(s.Device, s.Token), oauth2.SetAuthURLParam("resource", t.api) // RFC 8707: which API the token is for
	device, err := config.DeviceAuth(ctx, resource)
	if err != nil {
		return explain(err)
	}
	fmt.Fprintf(t.notes, "Open %s and type the code %s\n", device.VerificationURI, device.UserCode)
	token, err := config.DeviceAccessToken(ctx, device, resource)
	if err != nil {
		return explain(err)
	}
	fmt.Fprintln(t.notes, "You are signed in.")
	return t.locked(ctx, func() error { return t.save(&saved{API: t.api, TokenURL: s.Token, RevokeURL: s.Revoke, Token: token}) })
}

// explain translates an error of the authorization server for the user.
func explain(err error) error {
	e, _ := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case e == nil && !errors.Is(err, context.DeadlineExceeded):
		return err
	case e == nil || e.ErrorCode == "expired_token":
		return errLate
	case e.ErrorCode == "access_denied":
		return errDenied
	case e.ErrorCode == "invalid_grant":
		return errSignIn
	}
	return fmt.Errorf("the authorization server refused: %s %s", e.ErrorCode, e.ErrorDescription)
}

// list calls the API.
func (t *tool) list(ctx context.Context) error {
	token, err := t.token(ctx)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.api+"/orders", nil)
	if err != nil {
		return err
	}
	token.SetAuthHeader(request)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		_, err = io.Copy(t.out, response.Body)
		fmt.Fprintln(t.out)
		return err
	case http.StatusUnauthorized:
		return errSignIn
	}
	return fmt.Errorf("%s: %s", t.api, response.Status)
}

// logout deletes the token, and revokes it at the authorization server (RFC 7009).
func (t *tool) logout(ctx context.Context) error {
	var s *saved
	err := t.locked(ctx, func() (err error) {
		if s, err = t.load(); err != nil {
			return err
		}
		return os.Remove(t.file)
	})
	if err != nil || s.RevokeURL == "" {
		return err
	}
	response, err := client.PostForm(s.RevokeURL, url.Values{"client_id": {t.clientID}, "token": {cmp.Or(s.Token.RefreshToken, s.Token.AccessToken)}})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("signed out here, but %s: %s", s.RevokeURL, response.Status)
	}
	return nil
}
