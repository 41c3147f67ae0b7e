package providers_test

import (
	"encoding/json"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/errid"
	"github.com/ginauth/ginauth/providers"
)

var update = flag.Bool("update", false, "write golden files and docs/providers.md anew")

// made is a preset made of the examples of its arguments.
func made(p providers.Preset) ginauth.Provider { return madeWith(p, nil) }

// madeWith is made with other arguments for some.
func madeWith(p providers.Preset, other map[string]string) ginauth.Provider {
	args := map[string]string{}
	for _, a := range p.Args {
		if args[a.Name] = a.Example; testArguments[a.Name] != nil {
			args[a.Name] = testArguments[a.Name]()
		}
		if value, there := other[a.Name]; there {
			args[a.Name] = value
		}
	}
	secret := testClientSecret
	if p.NoSecret {
		secret = ""
	}
	return p.Make(testClientID, secret, args)
}

// testArguments are those that cannot stand in the documentation.
var testArguments = map[string]func() string{"privateKey": func() string { return p8(teamKey()) }}

// mount mounts a provider as an application on the internet would.
func mount(p ginauth.Provider) error {
	_, err := ginauth.Mount(gin.New(), ginauth.Options{
		BaseURL: "https://app.example.com", Keys: []string{"a key for tests, which is 32 bytes and more"},
		Providers: []ginauth.Provider{p}, Logger: slog.New(slog.DiscardHandler),
	})
	return err
}

// mistakes returns the ids of all mistakes that an error is made of. It is nil if one of
// them is not ErrInvalidOptions.
func mistakes(err error) (ids []string) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			found := mistakes(err)
			if found == nil {
				return nil
			}
			ids = append(ids, found...)
		}
		return ids
	}
	if e, ok := err.(*ginauth.Error); ok && errors.Is(e, ginauth.ErrInvalidOptions) && e.Reason != "" && e.Fix != "" {
		return []string{e.ID}
	}
	return nil
}

// argumentID begins the ids of mistakes in an argument.
func argumentID(name string) string { return errid.Of("Provider."+name, "") }

// Every preset signs somebody in, through a stand-in that speaks its dialect,
// and the User is that of testdata/NAME/user.golden.json.
func TestPresetsSignIn(t *testing.T) {
	for _, p := range providers.Catalogue() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t, p.Name)
			u := s.app(s.provider()).signIn()
			s.everything()
			golden(t, p.Name, u)
		})
	}
}

// golden compares a User with its file.
func golden(t *testing.T, name string, u *ginauth.User) {
	t.Helper()
	got := userJSON(u)
	file := filepath.Join("testdata", name, "user.golden.json")
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != string(got) {
		t.Errorf("signed in as\n%s\nwant\n%s\n%v", got, want, err)
	}
}

// userJSON is a User as golden files have it: without when they signed in.
func userJSON(u *ginauth.User) []byte {
	var fields map[string]any
	raw, err := json.Marshal(u)
	if err == nil {
		err = json.Unmarshal(raw, &fields)
	}
	if err != nil {
		panic(err)
	}
	delete(fields, "auth_time")
	text, _ := json.MarshalIndent(fields, "", "  ")
	return append(text, '\n')
}

// A preset is complete: it mounts as it is, for an application on the internet.
func TestPresetsMount(t *testing.T) {
	for _, p := range providers.Catalogue() {
		if err := mount(made(p)); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

func TestPresetsSayWhatIsMissing(t *testing.T) {
	for _, p := range providers.Catalogue() {
		err := mount(p.Make("", "", map[string]string{}))
		ids := mistakes(err)
		if !slices.Contains(ids, "provider.client_id.empty") {
			t.Errorf("%s: got %q: %v", p.Name, ids, err)
		}
		for _, a := range p.Args {
			if !a.Optional && !slices.Contains(ids, argumentID(a.Name)+"empty") && !slices.Contains(ids, "provider.issuer.empty") {
				t.Errorf("%s: the mistakes have nothing of %s: %q: %v", p.Name, a.Name, ids, err)
			}
		}
	}
}

// An argument becomes part of a URL. One that changes the rest of the URL could choose
// the provider.
func TestPresetsRefuseArguments(t *testing.T) {
	for _, p := range providers.Catalogue() {
		for _, a := range p.Args {
			if a.Free {
				continue
			}
			for _, value := range []string{
				"../evil", "..", ".", "a/b", "a/../b", "/", "?x", "a?b=c", "a#b", "a@evil.example", "@", "a b", " ", " " + a.Example, a.Example + "\n", a.Example + "/",
				"http://" + a.Example, "https://evil.example", "javascript:alert(1)", "a\\b", "a%2fb", "ä", "{tenant}", "<tenant>", a.Example + "?", a.Example + ":x", a.Example + ":0", a.Example + ":65536",
				strings.Repeat("a", 300),
			} {
				err := mount(madeWith(p, map[string]string{a.Name: value}))
				ids := mistakes(err)
				if len(ids) != 1 || !strings.HasPrefix(ids[0], argumentID(a.Name)+"not_a_") || !strings.Contains(err.Error(), `provider "`+p.Name+`": `+a.Name+": ") {
					t.Errorf("%s with the %s %q: %q: %v", p.Name, a.Name, value, ids, err)
				}
			}
		}
	}
}

// TestCatalogue checks what holds for every preset.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range providers.Catalogue() {
		made := made(p)
		if seen[p.Name] || strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || made.Name != p.Name {
			t.Errorf("%s: the name is there twice, does not fit into an address, or is not the Provider's (%s)", p.Name, made.Name)
		}
		seen[p.Name] = true
		if p.Function == "" || p.Register == "" || p.User == "" || p.Console == "" && p.Domains != nil || made.DisplayName == "" && p.Name != "oidc" {
			t.Errorf("%s: the row is not complete", p.Name)
		}
		if made.Color == "" && p.Name != "oidc" {
			t.Errorf("%s: it has no colour", p.Name)
		}
		if made.Issuer == "" == slices.Contains(made.Scopes, "openid") && made.Scopes != nil {
			t.Errorf("%s: openid is to be asked for exactly with an issuer; scopes are %v", p.Name, made.Scopes)
		}
		if made.Err != nil {
			t.Errorf("%s: its own examples do not fit: %v", p.Name, made.Err)
		}
		for _, text := range append([]string{p.Register, p.User}, p.Quirks...) {
			if text = strings.TrimSpace(text); !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q is no sentence", p.Name, text)
			}
		}
	}
}

// Addresses are https, at hosts of the provider: a typing mistake in a preset
// would send people and secrets elsewhere.
func TestPresetsStayAtHome(t *testing.T) {
	for _, p := range providers.Catalogue() {
		made := made(p)
		d, discovery := readDialect(t, p.Name)
		addresses := []string{p.Console, made.Issuer, made.AuthorizeURL, made.TokenURL, made.UserinfoURL, made.JWKSURL, made.Logout.EndSessionURL, made.Logout.URL, made.Namespace, made.ResponseIssuer}
		for _, host := range d.hosts(discovery) {
			addresses = append(addresses, "https://"+host)
		}
		for _, address := range addresses {
			u, err := url.Parse(address)
			if address == "" {
				continue
			}
			if err != nil || u.Scheme != "https" || !atHome(p, u.Hostname()) {
				t.Errorf("%s: %q is not https at one of its hosts", p.Name, address)
			}
		}
	}
}

// atHome says whether a host has the preset's name in it, is below one of its
// domains, or comes from an argument.
func atHome(p providers.Preset, host string) bool {
	main, _, _ := strings.Cut(p.Name, "-")
	if slices.Contains(strings.FieldsFunc(host, func(r rune) bool { return r == '.' || r == '-' }), main) {
		return true
	}
	within := func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }
	return slices.ContainsFunc(p.Domains, within) ||
		slices.ContainsFunc(p.Args, func(a providers.Argument) bool { return !a.Free && within(a.Example) })
}

// A new function is not forgotten, nor a directory of testdata.
func TestTheCatalogueIsComplete(t *testing.T) {
	var inCatalogue, names []string
	for _, p := range providers.Catalogue() {
		inCatalogue = append(inCatalogue, p.Function)
		names = append(names, p.Name)
	}
	set := token.NewFileSet()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	functions := 0
	for _, file := range files {
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Recv != nil || strings.HasSuffix(file, "_test.go") || !returnsProvider(f) {
				continue
			}
			if functions++; !slices.Contains(inCatalogue, f.Name.Name) {
				t.Errorf("%s is not in the catalogue", f.Name.Name)
			}
		}
	}
	if functions != len(inCatalogue) {
		t.Errorf("there are %d presets and %d functions", len(inCatalogue), functions)
	}
	dirs, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if !slices.Contains(names, dir.Name()) {
			t.Errorf("testdata/%s belongs to no preset", dir.Name())
		}
	}
}

// returnsProvider says whether a function returns a ginauth.Provider and
// nothing else, and does not make it of another one, as Offline does.
func returnsProvider(f *ast.FuncDecl) bool {
	isProvider := func(field *ast.Field) bool {
		s, ok := field.Type.(*ast.SelectorExpr)
		return ok && s.Sel.Name == "Provider"
	}
	return f.Type.Results != nil && len(f.Type.Results.List) == 1 && isProvider(f.Type.Results.List[0]) &&
		!slices.ContainsFunc(f.Type.Params.List, isProvider)
}

// Provider.Preset says which preset made a Provider.
func TestPresetsNameThemselves(t *testing.T) {
	for _, p := range providers.Catalogue() {
		if got := made(p).Preset; got != p.Name {
			t.Errorf("%s: its Provider.Preset is %q", p.Name, got)
		}
	}
}
