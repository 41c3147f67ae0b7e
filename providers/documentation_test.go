package providers_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

const documentation = "../docs/providers.md"

// TestDocumentation holds docs/providers.md against the catalogue; go generate
// writes it.
func TestDocumentation(t *testing.T) {
	head, err := os.ReadFile("providers.head.md")
	if err != nil {
		t.Fatal(err)
	}
	var doc bytes.Buffer
	doc.Write(head)
	presets := providers.Catalogue()
	slices.SortFunc(presets, func(a, b providers.Preset) int { return strings.Compare(a.Name, b.Name) })
	signatures := signatures(t)
	for _, p := range presets {
		section(&doc, p, signatures[p.Function])
	}
	if *update {
		if err := os.WriteFile(documentation, doc.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(documentation); err != nil || !bytes.Equal(got, doc.Bytes()) {
		t.Errorf("docs/providers.md is not the catalogue's: run go generate ./providers (%v)", err)
	}
}

// TestDocumentationOfSecretsInAddresses: docs/observability.md names every
// preset whose requests have a secret in their address.
func TestDocumentationOfSecretsInAddresses(t *testing.T) {
	text, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Secrets in addresses\n")
	section, _, _ = strings.Cut(section, "\n#")
	var listed, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(section, -1) {
		listed = append(listed, strings.Split(strings.Trim(row[1], "`"), "`, `")...)
	}
	for _, p := range providers.Catalogue() {
		d, _ := readDialect(t, p.Name)
		if d.Token.Method == http.MethodGet || slices.ContainsFunc(d.Requests, func(r request) bool {
			return strings.Contains(r.URL, "{access_token}") || strings.Contains(r.URL, "{proof}") || strings.Contains(r.URL, "{client_secret}")
		}) {
			want = append(want, p.Name)
		}
	}
	slices.Sort(listed)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(listed, want) {
		t.Errorf("docs/observability.md lists %q, and secrets are in the addresses of %q", listed, want)
	}
}

// section writes what there is to know of a preset.
func section(doc *bytes.Buffer, p providers.Preset, signature string) {
	made := made(p)
	kind := "OpenID Connect"
	if made.Issuer == "" {
		kind = "OAuth 2.0"
	}
	title := made.DisplayName
	if title == "" {
		title = "Any OpenID provider"
	}
	fmt.Fprintf(doc, "\n## %s: %s\n\n`providers.%s` (%s)\n\n", p.Name, title, signature, kind)
	if p.Console != "" {
		fmt.Fprintf(doc, "- **Register** at <%s>. Redirect URI: `BaseURL/authorize/%s`. %s\n", p.Console, p.Name, p.Register)
	} else {
		fmt.Fprintf(doc, "- **Register** in the provider's console. Redirect URI: `BaseURL/authorize/%s`. %s\n", p.Name, p.Register)
	}
	prefix := strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))
	variables := []string{"`" + prefix + "_CLIENT_ID`"}
	if !p.NoSecret {
		variables = append(variables, "`"+prefix+"_CLIENT_SECRET`")
	}
	for _, a := range p.Args {
		variable := "`" + prefix + a.Env + "`"
		if a.Optional {
			variable += " (optional)"
		}
		variables = append(variables, variable)
	}
	fmt.Fprintf(doc, "- **Environment**: %s\n", strings.Join(variables, ", "))
	for _, a := range p.Args {
		example := fmt.Sprintf(", as in `%s`", a.Example)
		if a.Example == "" {
			example = ""
		}
		fmt.Fprintf(doc, "- **%s**: %s%s\n", a.Name, a.About, example)
	}
	fmt.Fprintf(doc, "- **Scopes**: %s\n- **User**: %s\n- **Refresh tokens**: %s\n", scopes(made), p.User, refreshing(p.Refresh))
	switch {
	case p.API != "":
		fmt.Fprintf(doc, "- **[Access tokens for your API](api-tokens.md#which-providers-issue-such-tokens)**: %s\n", p.API)
	case p.NoAPI != "":
		fmt.Fprintf(doc, "- **[Access tokens for your API](api-tokens.md#which-providers-issue-such-tokens)**: none. %s.\n", upper(p.NoAPI))
	}
	for _, quirk := range p.Quirks {
		fmt.Fprintf(doc, "- %s\n", quirk)
	}
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// TestDocumentationOfAPITokens: docs/api-tokens.md names every preset of which it is known
// whether it issues access tokens for an API, in the row that it belongs to.
func TestDocumentationOfAPITokens(t *testing.T) {
	text, err := os.ReadFile("../docs/api-tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Which providers issue such tokens\n")
	section, _, _ = strings.Cut(section, "\n#")
	rows := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (yes|no) \| (.*) \|$`).FindAllStringSubmatch(section, -1) {
		for _, link := range regexp.MustCompile(`\[([a-z0-9-]+)\]\(providers\.md#([a-z0-9-]+)\)`).FindAllStringSubmatch(row[2], -1) {
			rows[row[1]] = append(rows[row[1]], link[1])
		}
	}
	want := map[string][]string{}
	for _, p := range providers.Catalogue() {
		switch {
		case p.API != "":
			want["yes"] = append(want["yes"], p.Name)
		case p.NoAPI != "":
			want["no"] = append(want["no"], p.Name)
		}
		if made := made(p); made.Issuer == "" && p.API != "" {
			t.Errorf("%s: a plain OAuth 2.0 provider cannot have an Audience", p.Name)
		}
	}
	for _, answer := range []string{"yes", "no"} {
		slices.Sort(rows[answer])
		slices.Sort(want[answer])
		if len(want[answer]) == 0 || !slices.Equal(rows[answer], want[answer]) {
			t.Errorf("in the rows %q docs/api-tokens.md has %q, want %q", answer, rows[answer], want[answer])
		}
	}
}

// refreshing says how Offline asks for a refresh token, and what is known of it.
func refreshing(r providers.RefreshTokens) string {
	var how string
	switch asks := asked(r); {
	case r.Unknown:
		return "the provider's documentation does not mention them. `Offline` is an error."
	case r.Never != "":
		return r.Never + ". `Offline` is an error."
	case asks != "":
		how = "`Offline` adds " + asks + "."
	case r.Always:
		how = "issued at each sign-in; `Offline` adds nothing."
	default:
		how = "`Offline` adds nothing."
	}
	return strings.Join(strings.Fields(how+" "+r.Console+" "+r.About), " ")
}

// asked is what Offline adds to a preset; Markdown.
func asked(r providers.RefreshTokens) string {
	var added []string
	if r.Scope != "" {
		added = append(added, "the scope `"+r.Scope+"`")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		added = append(added, "`"+name+"="+r.Params[name]+"`")
	}
	return strings.Join(added, " and ")
}

// scopes are those that are asked for by default.
func scopes(p ginauth.Provider) string {
	list := p.Scopes
	switch {
	case list == nil && p.Issuer != "":
		list = []string{"openid", "profile", "email"}
	case len(list) == 0:
		return "none"
	}
	return strings.ReplaceAll("`"+strings.Join(list, "` `")+"`", testClientID, "CLIENT_ID")
}

// signatures are how the functions of this package are called, by name.
func signatures(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set, all := token.NewFileSet(), map[string]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && returnsProvider(f) {
				var text bytes.Buffer
				f.Type.Results = nil
				_ = printer.Fprint(&text, set, f.Type)
				all[f.Name.Name] = f.Name.Name + strings.TrimPrefix(text.String(), "func")
			}
		}
	}
	return all
}
