package providers_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

// environ makes the environment of a test: these variables, and no other that
// FromEnv could take for a provider.
func environ(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasSuffix(name, "_CLIENT_ID") || strings.HasSuffix(name, "_CLIENT_SECRET") {
			t.Setenv(name, "")
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

func TestFromEnv(t *testing.T) {
	environ(t, map[string]string{
		"GOOGLE_CLIENT_ID": "g", "GOOGLE_CLIENT_SECRET": "gs",
		"GITHUB_CLIENT_ID": "h", "GITHUB_CLIENT_SECRET": "hs",
		"GOOGLE_WORKSPACE_CLIENT_ID": "w", "GOOGLE_WORKSPACE_CLIENT_SECRET": "ws", "GOOGLE_WORKSPACE_DOMAIN": "kvarnbygd.example",
		"OIDC_CLIENT_ID": "o", "OIDC_CLIENT_SECRET": "os", "OIDC_ISSUER": "https://login.oidc.example",
		"HEAD_OFFICE_CLIENT_ID": "c", "HEAD_OFFICE_CLIENT_SECRET": "cs", "HEAD_OFFICE_ISSUER": "https://login.corp.example",
		"STRIPE_CLIENT_ID": "not ours", "_CLIENT_ID": "of no provider", "CLIENT_SECRET": "of no provider",
	})
	list, err := providers.FromEnv("STRIPE")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range list {
		got = append(got, strings.Join([]string{p.Name, p.ClientID, p.ClientSecret, p.Issuer}, " "))
		if err := mount(p); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"github h hs ", "google g gs https://accounts.google.com", "google-workspace w ws https://accounts.google.com",
		"head-office c cs https://login.corp.example", "oidc o os https://login.oidc.example",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFromEnvOfNothing(t *testing.T) {
	environ(t, map[string]string{"GOOGLE_CLIENT_ID": "", "GOOGLE_CLIENT_SECRET": "", "GOOGLE_DOMAIN": "kvarnbygd.example"})
	if list, err := providers.FromEnv(); len(list) != 0 || err != nil {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestMistakesInTheEnvironment(t *testing.T) {
	const (
		noID, noSecret   = "providers.env.client_id_missing", "providers.env.client_secret_missing"
		unknown, needed  = "providers.env.preset_unknown", "providers.env.argument_missing"
		unused, needless = "providers.env.argument_unused", "providers.env.client_secret_unused"
	)
	about := func(preset, suffix string) string { // of an argument
		for _, p := range providers.Catalogue() {
			for _, a := range p.Args {
				if p.Name == preset && a.Env == suffix {
					return a.About
				}
			}
		}
		t.Fatalf("%s has no argument %s", preset, suffix)
		return ""
	}
	for _, tt := range []struct {
		name  string
		env   map[string]string
		ids   []string
		names []string
	}{
		{"an id without its secret", map[string]string{"GITHUB_CLIENT_ID": "h"}, []string{noSecret}, []string{"GITHUB_CLIENT_SECRET", "GITHUB_CLIENT_ID"}},
		{"a secret without its id", map[string]string{"GITHUB_CLIENT_SECRET": "hunter2hunter2"}, []string{noID}, []string{"GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"}},
		{"a name that means nothing", map[string]string{"GOGLE_CLIENT_ID": "g", "GOGLE_CLIENT_SECRET": "hunter2hunter2"}, []string{unknown},
			[]string{"GOGLE_CLIENT_ID", `"gogle"`, "GOGLE_ISSUER", `FromEnv("GOGLE")`, "google, google-workspace"}},
		{"a secret of a name that means nothing", map[string]string{"GOGLE_CLIENT_SECRET": "hunter2hunter2"}, []string{unknown}, []string{"GOGLE_CLIENT_SECRET"}},
		{"an argument that is missing", map[string]string{"GOOGLE_WORKSPACE_CLIENT_ID": "w", "GOOGLE_WORKSPACE_CLIENT_SECRET": "hunter2hunter2"}, []string{needed},
			[]string{"GOOGLE_WORKSPACE_DOMAIN", "google-workspace", about("google-workspace", "_DOMAIN"), `"kvarnbygd.example"`}},
		{"an argument without an example", map[string]string{"APPLE_CLIENT_ID": "a", "APPLE_TEAM_ID": "b", "APPLE_KEY_ID": "c"}, []string{needed},
			[]string{"APPLE_PRIVATE_KEY", "apple", about("apple", "_PRIVATE_KEY")}},
		{"several arguments that are missing", map[string]string{"APPLE_CLIENT_ID": "a"}, []string{needed, needed, needed}, []string{"APPLE_TEAM_ID", "APPLE_KEY_ID", "APPLE_PRIVATE_KEY"}},
		{"a secret where there is none", map[string]string{"APPLE_CLIENT_ID": "a", "APPLE_CLIENT_SECRET": "hunter2hunter2", "APPLE_TEAM_ID": "b", "APPLE_KEY_ID": "c", "APPLE_PRIVATE_KEY": "d"},
			[]string{needless}, []string{"APPLE_CLIENT_SECRET", "apple"}},
		{"an argument that would do nothing", map[string]string{"GOOGLE_CLIENT_ID": "g", "GOOGLE_CLIENT_SECRET": "hunter2hunter2", "GOOGLE_DOMAIN": "kvarnbygd.example"}, []string{unused},
			[]string{"GOOGLE_DOMAIN", "google"}},
		{"half a company's own", map[string]string{"CORP_ISSUER": "https://login.corp.example", "CORP_CLIENT_ID": "c"}, []string{noSecret}, []string{"CORP_CLIENT_SECRET"}},
		{"several at once", map[string]string{"GITHUB_CLIENT_ID": "h", "GOOGLE_CLIENT_SECRET": "hunter2hunter2"}, []string{noSecret, noID}, []string{"GITHUB_CLIENT_SECRET", "GOOGLE_CLIENT_ID"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			environ(t, tt.env)
			list, err := providers.FromEnv()
			if ids := mistakes(err); list != nil || !slices.Equal(ids, tt.ids) {
				t.Fatalf("got %v, %q, %v; want %q", list, ids, err, tt.ids)
			}
			for _, name := range tt.names {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("the error does not name %q: %v", name, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a secret: %v", err)
			}
		})
	}
}

// Every preset can be had by name and from the environment, and is the one that
// its function makes.
func TestEveryPresetByName(t *testing.T) {
	for _, p := range providers.Catalogue() {
		want := made(p)
		prefix := strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))
		env := map[string]string{prefix + "_CLIENT_ID": want.ClientID, prefix + "_CLIENT_SECRET": want.ClientSecret}
		var args []string
		for _, a := range p.Args {
			value := a.Example
			if testArguments[a.Name] != nil {
				value = testArguments[a.Name]()
			}
			env[prefix+a.Env], args = value, append(args, value)
		}
		environ(t, env)
		fromEnv, err := providers.FromEnv()
		if err != nil || len(fromEnv) != 1 {
			t.Errorf("%s: %v, %v", p.Name, fromEnv, err)
			continue
		}
		byName, err := providers.ByName(p.Name, want.ClientID, want.ClientSecret, args...)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		for _, got := range []ginauth.Provider{fromEnv[0], byName} {
			if got.Name != want.Name || got.Issuer != want.Issuer || got.TokenURL != want.TokenURL || got.Namespace != want.Namespace || got.ClientID != want.ClientID || got.Err != nil {
				t.Errorf("%s: got %v, want %v", p.Name, got, want)
			}
		}
		for name := range env {
			t.Setenv(name, "")
		}
	}
}

func TestByNameSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		id    string
		names []string
	}{
		{"gogle", nil, "providers.by_name.preset_unknown", []string{`"gogle"`, "google, google-workspace", `"oidc"`}},
		{"", nil, "providers.by_name.preset_unknown", []string{`""`}},
		{"Google", nil, "providers.by_name.preset_unknown", []string{`"Google"`}},
		{"google", []string{"kvarnbygd.example"}, "providers.by_name.too_many_arguments", []string{"google", " 0 "}},
		{"google-workspace", nil, "providers.by_name.argument_missing", []string{"google-workspace", "domain"}},
		{"google-workspace", []string{""}, "providers.by_name.argument_missing", []string{"google-workspace", "domain"}},
		{"google-workspace", []string{"a.example", "b"}, "providers.by_name.too_many_arguments", []string{"google-workspace", " 1 "}},
		{"apple", []string{"team", "key", "private key"}, "providers.by_name.client_secret_unused", []string{"apple", `""`}},
	} {
		_, err := providers.ByName(tt.name, "id", "hunter2hunter2", tt.args...)
		if ids := mistakes(err); !slices.Equal(ids, []string{tt.id}) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s %q: got %q, %v; want %s", tt.name, tt.args, ids, err, tt.id)
			continue
		}
		for _, name := range tt.names {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s %q: the error does not name %q: %v", tt.name, tt.args, name, err)
			}
		}
	}
}
