package sitetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
)

// OtherKey is a key that no Site has.
const OtherKey = "the key of another replica, 32 bytes and more"

// Nowhere configures a provider that does not exist, for applications that never
// ask it.
var Nowhere = ginauth.Provider{Name: "demo", Issuer: "https://id.example.com", ClientID: "c0ffee", ClientSecret: "9a8b7c6d5e4f"}

// MountError mounts opts on a new engine and returns the error.
func MountError(opts ginauth.Options) error {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	_, err := ginauth.Mount(gin.New(), opts)
	return err
}

// WantInvalid asserts that err is ErrInvalidOptions and contains all texts.
func WantInvalid(t testing.TB, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, ginauth.ErrInvalidOptions) {
		t.Fatalf("got %v, want ErrInvalidOptions", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

// NoProfile is a Provider.Profile that returns nothing.
func NoProfile(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return nil, nil }

// HexKey is the key of GoodOptions.
const HexKey = "6c1f0d7a93e25b48c0ffa1d2e3b4958677a8b9cadbecfd0e1f20314253647586"

// GoodOptions returns Options without a mistake, for a public address.
func GoodOptions() ginauth.Options {
	return ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{HexKey},
		Providers: []ginauth.Provider{GoodProvider()},
	}
}

// GoodProvider returns an OpenID Connect Provider without a mistake.
func GoodProvider() ginauth.Provider {
	return ginauth.Provider{Name: "corp", Issuer: "https://login.example.com", ClientID: "web", ClientSecret: "s3cr3t-of-corp"}
}

// PlainProvider returns a plain OAuth 2.0 Provider without a mistake.
func PlainProvider() ginauth.Provider {
	return ginauth.Provider{
		Name: "plain", ClientID: "web", ClientSecret: "s3cr3t-of-plain", Namespace: "https://plain.example",
		AuthorizeURL: "https://plain.example/authorize", TokenURL: "https://plain.example/token", UserinfoURL: "https://plain.example/me",
	}
}

// FiveKeys returns as many Options.Keys as there may be.
func FiveKeys() (keys []string) {
	for i := range 5 {
		keys = append(keys, fmt.Sprint(i, HexKey))
	}
	return keys
}

// GoodOptionsWith returns GoodOptions with a change.
func GoodOptionsWith(change func(*ginauth.Options)) ginauth.Options {
	o := GoodOptions()
	change(&o)
	return o
}

// Icon is a Provider's icon, as SVG.
const Icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><title>Corp</title><g fill="#fff"><path d="M0 0h24v24z"/><circle cx="12" cy="12" r="4"></circle></g></svg>`

// Offline configures a provider that does not exist and needs no discovery: a
// sign-in can begin.
func Offline(name string) ginauth.Provider {
	const idp = "https://idp.example"
	return ginauth.Provider{Name: name, Issuer: idp, ClientID: "id-of-" + name, ClientSecret: "a client's secret",
		AuthorizeURL: idp + "/authorize", TokenURL: idp + "/token", JWKSURL: idp + "/keys"}
}
