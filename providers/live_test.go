package providers_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/providers"
)

var (
	live   = flag.Bool("live", false, "ask the real providers for their metadata and print how it differs from testdata")
	liveAt = flag.String("at", "", "with -live, NAME=ISSUER,… of servers to compare with presets that take a host or a tenant")
)

// TestDrift is for maintainers with internet access:
//
//	go test ./providers -run '^TestDrift$' -live
//	go test ./providers -run '^TestDrift$' -live -at keycloak=https://login.example.com/realms/staff
//
// It compares each provider's discovery document with the one in testdata,
// which the presets are tested against, and with what the preset has written
// down beside its issuer. Without -live it asks nobody, and checks that there is
// a document for each preset with an issuer.
func TestDrift(t *testing.T) {
	client := fetch.Client(&http.Client{}, "ginauth-drift")
	servers := servers(t, *liveAt)
	for _, p := range providers.Catalogue() {
		d, recorded := readDialect(t, p.Name)
		made := made(p)
		if made.Issuer != "" && d.Discovery == "" {
			t.Errorf("%s has an issuer, and no discovery.json", p.Name)
		}
		address := d.Discovery
		if server := servers[p.Name]; server != "" && address != "" {
			address, recorded = moved(recorded, server)
			made.AuthorizeURL, made.TokenURL, made.JWKSURL, made.UserinfoURL, made.Logout.EndSessionURL = "", "", "", "", "" // at the example's host
		} else if len(p.Args) > 0 { // whose examples have no server
			continue
		}
		if !*live || address == "" {
			continue
		}
		for _, line := range drift(t, client, address, recorded, made) {
			t.Errorf("%s: %s", p.Name, line)
		}
	}
}

// servers reads -at.
func servers(t *testing.T, list string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for entry := range strings.SplitSeq(list, ",") {
		name, issuer, ok := strings.Cut(entry, "=")
		known := slices.ContainsFunc(providers.Catalogue(), func(p providers.Preset) bool { return p.Name == name && len(p.Args) > 0 })
		if entry != "" && (!ok || !known) {
			t.Fatalf("-at has %q, which is not NAME=ISSUER of a preset with arguments", entry)
		}
		all[name] = issuer
	}
	return all
}

// moved is a recorded document as the server with that issuer would send it, and
// where it would.
func moved(recorded map[string]any, issuer string) (address string, document map[string]any) {
	example, _ := recorded["issuer"].(string)
	text := strings.ReplaceAll(string(mustJSON(recorded)), strings.TrimSuffix(example, "/"), strings.TrimSuffix(issuer, "/"))
	text = strings.ReplaceAll(text, origin(example), origin(issuer))
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration", document
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host
}

// announcements are what a preset would be changed for if a provider began to
// say it. Of other members, only those that testdata has are compared.
var announcements = []string{
	"authorization_response_iss_parameter_supported", "backchannel_logout_supported", "code_challenge_methods_supported",
	"end_session_endpoint", "frontchannel_logout_supported", "token_endpoint_auth_methods_supported", "userinfo_endpoint",
}

// drift asks for a discovery document and says how it differs.
func drift(t *testing.T, client *http.Client, address string, recorded map[string]any, made ginauth.Provider) (lines []string) {
	now, _, err := fetch.JSON(t.Context(), client, fetch.Request{Op: "discovery", URL: address})
	if err != nil {
		return []string{err.Error()}
	}
	names := slices.Concat(slices.Collect(maps.Keys(recorded)), announcements)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if was, is := string(mustJSON(recorded[name])), string(mustJSON(now[name])); was != is {
			lines = append(lines, fmt.Sprintf("%s was %s, is %s", name, was, is))
		}
	}
	for _, e := range []struct{ name, written string }{
		{"issuer", made.Issuer}, {"authorization_endpoint", made.AuthorizeURL}, {"token_endpoint", made.TokenURL},
		{"jwks_uri", made.JWKSURL}, {"userinfo_endpoint", made.UserinfoURL}, {"end_session_endpoint", made.Logout.EndSessionURL},
	} {
		if is, there := now[e.name]; there && e.written != "" && is != e.written && recorded[e.name] == e.written {
			lines = append(lines, fmt.Sprintf("the preset's %s is %s, not %v", e.name, e.written, is))
		}
	}
	return lines
}

// A maintainer's command that found nothing, whatever has changed, would be
// worse than none.
func TestDriftIsNoticed(t *testing.T) {
	_, recorded := readDialect(t, "google")
	made := providers.Google("id", "secret")
	made.TokenURL = "https://oauth2.googleapis.com/token"
	for _, test := range []struct {
		name   string
		change func(map[string]any)
		want   []string
	}{
		{"nothing", func(map[string]any) {}, nil},
		{"an addition that matters to nobody", func(m map[string]any) { m["x_new"] = true }, nil},
		{"another endpoint", func(m map[string]any) { m["token_endpoint"] = "https://new.googleapis.com/token" }, []string{
			`token_endpoint was "https://oauth2.googleapis.com/token", is "https://new.googleapis.com/token"`,
			"the preset's token_endpoint is https://oauth2.googleapis.com/token, not https://new.googleapis.com/token",
		}},
		{"a member that is gone", func(m map[string]any) { delete(m, "jwks_uri") }, []string{`jwks_uri was "https://www.googleapis.com/oauth2/v3/certs", is null`}},
		{"an announcement", func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true }, []string{
			"authorization_response_iss_parameter_supported was null, is true",
		}},
	} {
		document := maps.Clone(recorded)
		test.change(document)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(mustJSON(document))
		}))
		got := drift(t, fetch.Client(server.Client(), "ginauth-drift"), server.URL, recorded, made)
		server.Close()
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: it says %q, want %q", test.name, got, test.want)
		}
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	if got := drift(t, fetch.Client(gone.Client(), "ginauth-drift"), gone.URL, recorded, made); len(got) != 1 || !strings.Contains(got[0], "404") {
		t.Errorf("of a document that is gone it says %q", got)
	}
}

func TestDriftAtAServer(t *testing.T) {
	_, recorded := readDialect(t, "authentik")
	address, document := moved(recorded, "https://login.hollow-oak.example/application/o/forge/")
	if address != "https://login.hollow-oak.example/application/o/forge/.well-known/openid-configuration" ||
		document["issuer"] != "https://login.hollow-oak.example/application/o/forge/" ||
		document["token_endpoint"] != "https://login.hollow-oak.example/application/o/token/" {
		t.Errorf("asked at %s for %v", address, document)
	}
}
