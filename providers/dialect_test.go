package providers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dialect is what a provider demands of requests and how it answers:
// testdata/NAME/dialect.json, written from the provider's documentation and not
// from the preset, so that the two check each other. Unless it says otherwise,
// a provider keeps to RFC 6749 and OpenID Connect, and its endpoints are those
// of testdata/NAME/discovery.json.
//
// In params, headers and URLs these stand for what they name: {client_id},
// {client_secret}, {code}, {state}, {redirect_uri}, {access_token}.
type dialect struct {
	Discovery string // where discovery.json is
	Authorize struct {
		URL    string
		Params map[string]string // must be exactly so
		Absent []string          // must not be there
		Answer map[string]string // comes with code and state
		HMAC   string            // the parameter with a MAC of all others
		Hash   string            // must stand behind #
	}
	Token struct {
		URL         string
		Method      string // default POST
		Auth        string // client_secret_basic, client_secret_post, none, or other, which a test checks
		Params      map[string]string
		Absent      []string
		Header      map[string]string
		ContentType string // default application/json
	}
	IDToken struct {
		Alg string // default RS256; HS256 is signed with the client's secret
	}
	Requests []request // with the access token; userinfo.json needs none

	// Denials are what comes with the state, each if the person cancels in another
	// way. Default: RFC 6749's access_denied.
	Denials []map[string]string

	ClientID, ClientSecret, Verifier string // what client_id, client_secret and code_verifier are called
}

// request is one that the provider answers beside those of the protocol.
type request struct {
	Method string // default GET
	URL    string // with its query
	Auth   string // default "Bearer {access_token}"; "none" for no header
	Header map[string]string
	Body   string // all of it, if it matters
	Answer string // file
	Status int    // default 200
	Type   string // default application/json
}

// readDialect reads a dialect, and fills in what is by the book.
func readDialect(t *testing.T, name string) (d dialect, discovery map[string]any) {
	t.Helper()
	decode(t, filepath.Join(name, "dialect.json"), &d)
	if has(name, "discovery.json") {
		decode(t, filepath.Join(name, "discovery.json"), &discovery)
	}
	endpoint := func(into *string, key string) {
		if s, ok := discovery[key].(string); ok && *into == "" {
			*into = s
		}
	}
	endpoint(&d.Authorize.URL, "authorization_endpoint")
	endpoint(&d.Token.URL, "token_endpoint")
	if discovery != nil && d.Discovery == "" {
		endpoint(&d.Discovery, "issuer")
		d.Discovery = strings.TrimSuffix(d.Discovery, "/") + "/.well-known/openid-configuration"
	}
	if d.Denials == nil {
		d.Denials = []map[string]string{{"error": "access_denied"}}
	}
	if userinfo, ok := discovery["userinfo_endpoint"].(string); ok && has(name, "userinfo.json") {
		d.Requests = append(d.Requests, request{URL: userinfo, Answer: "userinfo.json"})
	}
	for _, v := range []struct {
		into *string
		or   string
	}{
		{&d.Token.Method, "POST"}, {&d.Token.ContentType, "application/json"}, {&d.IDToken.Alg, "RS256"},
		{&d.ClientID, "client_id"}, {&d.ClientSecret, "client_secret"}, {&d.Verifier, "code_verifier"},
	} {
		if *v.into == "" {
			*v.into = v.or
		}
	}
	return d, discovery
}

// hosts are those that the stand-in plays.
func (d *dialect) hosts(discovery map[string]any) (all []string) {
	addresses := []string{d.Discovery, d.Authorize.URL, d.Token.URL}
	for _, r := range d.Requests {
		addresses = append(addresses, r.URL)
	}
	if keys, ok := discovery["jwks_uri"].(string); ok {
		addresses = append(addresses, keys)
	}
	for _, address := range addresses {
		if u, err := url.Parse(address); err == nil && u.Host != "" && !slices.Contains(all, u.Hostname()) {
			all = append(all, u.Hostname())
		}
	}
	return all
}

func has(name, file string) bool {
	_, err := os.Stat(filepath.Join("testdata", name, file))
	return err == nil
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(read(t, file))))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprint("testdata: ", err))
	}
	return bytes.TrimSpace(b)
}
