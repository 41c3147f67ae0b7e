package sitetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth"
)

// OtherKey is a key that no Site uses.
const OtherKey = "the key of another replica, 32 bytes and more"

// Nowhere configures a provider that does not exist, for applications that send it no requests.
var Nowhere = ginauth.Provider{Name: "demo", Issuer: "https://id.example.com", ClientID: "c0ffee", ClientSecret: "9a8b7c6d5e4f"}

// MountError mounts opts on a new engine and returns the error.
func MountError(opts ginauth.Options) error {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	_, err := ginauth.Mount(gin.New(), opts)
	return err
}

// WantInvalid asserts that err reports exactly the mistakes with these IDs, in this order, and that
// each is ErrInvalidOptions, names the field of its ID, and has a reason and a fix.
func WantInvalid(t testing.TB, err error, ids ...string) {
	t.Helper()
	mistakes := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		mistakes = several.Unwrap()
	}
	var got []string
	for _, mistake := range mistakes {
		e, ok := mistake.(*ginauth.Error)
		if !ok || !errors.Is(mistake, ginauth.ErrInvalidOptions) {
			t.Fatalf("got %v, want ErrInvalidOptions", mistake)
		}
		got = append(got, e.ID)
		field := strings.ToLower(e.Op[strings.LastIndex(e.Op, " ")+1:]) // provider "corp": ClientID
		if !strings.Contains(strings.ReplaceAll(e.ID, "_", ""), field+".") {
			t.Errorf("%s is about the field %q", e.ID, field)
		}
		if e.Reason == "" || e.Fix == "" {
			t.Errorf("%s has no reason or no fix: %v", e.ID, e)
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("the mistakes are %q, want %q: %v", got, ids, err)
	}
}

// HasID reports whether err is an error with this ID.
func HasID(err error, id string) bool {
	e, ok := errors.AsType[*ginauth.Error](err)
	return ok && e.ID == id
}

// WantInvalidIn asserts that err reports one mistake, in the field with this ID.
func WantInvalidIn(t testing.TB, err error, field string) {
	t.Helper()
	e, ok := errors.AsType[*ginauth.Error](err)
	if !ok || !strings.HasPrefix(e.ID, field+".") {
		t.Errorf("got %v, want a mistake in %s", err, field)
		return
	}
	WantInvalid(t, err, e.ID)
}

// WantNames asserts that a text contains all of these names: settings, values, commands.
func WantNames(t testing.TB, text string, names ...string) {
	t.Helper()
	for _, name := range names {
		if !strings.Contains(text, name) {
			t.Errorf("%q is missing: %s", name, text)
		}
	}
}

// NoProfile is a Provider.Profile that returns nothing.
func NoProfile(context.Context, *http.Client, *oauth2.Token) (map[string]any, error) { return nil, nil }

// HexKey is the key of GoodOptions.
const HexKey = "6c1f0d7a93e25b48c0ffa1d2e3b4958677a8b9cadbecfd0e1f20314253647586"

// GoodOptions returns valid Options for a public address.
func GoodOptions() ginauth.Options {
	return ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{HexKey},
		Providers: []ginauth.Provider{GoodProvider()},
	}
}

// GoodProvider returns a valid OpenID Connect Provider.
func GoodProvider() ginauth.Provider {
	return ginauth.Provider{Name: "corp", Issuer: "https://login.example.com", ClientID: "web", ClientSecret: "s3cr3t-of-corp"}
}

// PlainProvider returns a valid plain OAuth 2.0 Provider.
func PlainProvider() ginauth.Provider {
	return ginauth.Provider{
		Name: "plain", ClientID: "web", ClientSecret: "s3cr3t-of-plain", Namespace: "https://plain.example",
		AuthorizeURL: "https://plain.example/authorize", TokenURL: "https://plain.example/token", UserinfoURL: "https://plain.example/me",
	}
}

// FiveKeys returns the maximum number of Options.Keys.
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

// Offline configures a provider that does not exist and needs no discovery, so that a sign-in can
// begin.
func Offline(name string) ginauth.Provider {
	const idp = "https://idp.example"
	return ginauth.Provider{Name: name, Issuer: idp, ClientID: "id-of-" + name, ClientSecret: "a client's secret",
		AuthorizeURL: idp + "/authorize", TokenURL: idp + "/token", JWKSURL: idp + "/keys"}
}
