package docs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/doctest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// Every program in docs compiles, unchanged and after each of the changes on the page, in a
// module as a reader of the page has it; the tests in docs pass.
func TestDocsCompile(t *testing.T) {
	t.Parallel()
	doctest.Vet(t, ".", "")
}

// Programs that need other dependencies are compiled by the tests of another module, which must
// have the same test as this one.
func TestDocsOfOtherModulesAreCompiledThere(t *testing.T) {
	for _, page := range doctest.ReadAll(t, ".") {
		for _, p := range page.Programs {
			compiled := path.Join(p.Module, "docs_test.go")
			if p.Module == "" {
				compiled = "test/docs/pages_test.go"
			}
			if _, err := os.Stat(compiled); err != nil {
				t.Errorf("%s is compiled nowhere: %v", p.Name, err)
			}
		}
	}
}

// gin.Recovery, which gin.Default adds, writes the headers of some requests to the log, and with
// them the session cookie.
func TestProgramsLogNoCookies(t *testing.T) {
	check := func(name, text string) {
		for _, call := range []string{"gin.Default()", "gin.Recovery()"} {
			if strings.Contains(text, call) {
				t.Errorf("%s calls %s, which can log session cookies: see docs/observability.md", name, call)
			}
		}
	}
	for _, page := range doctest.ReadAll(t, ".") {
		for _, p := range page.Programs {
			for file, text := range p.Files {
				check(p.Name+"/"+file, text)
			}
		}
	}
	for _, file := range files(t, ".go") {
		if dir, _, _ := strings.Cut(file, "/"); dir == "example" || dir == "recipes" || strings.HasSuffix(file, "example_test.go") {
			check(file, sitetest.File(t, file))
		}
	}
}

// head is the beginning of docs/providers.md.
const head = "providers/providers.head.md"

// The pages' links to each other have an existing file and heading as their target; so do the
// addresses of pages in Go files.
func TestDocsLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`(?:\]\(|(?:src|srcset|href)=")([^)#:\s"]*)(?:#([^)\s"]*))?[)"]`)
	code := regexp.MustCompile("(?s)```.*?```|`[^`]*`")
	for _, page := range markdown(t) {
		if page == head {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(sitetest.File(t, page), ""), -1) {
			target := page
			if m[1] != "" {
				target = path.Join(path.Dir(page), m[1])
			}
			leads(t, page, target, m[2])
		}
	}
	named := regexp.MustCompile(`(?:^|[\s"(])docs/([a-z0-9-]+\.md)(?:#([a-z0-9._-]*[a-z0-9_-]))?`)
	for _, file := range files(t, ".go") {
		if path.Dir(file) == "internal/doctest" { // its tests have their own pages
			continue
		}
		for _, m := range named.FindAllStringSubmatch(sitetest.File(t, file), -1) {
			leads(t, file, "docs/"+m[1], m[2])
		}
	}
}

// leads fails the test unless the target of a link is a file, and a heading in it.
func leads(t *testing.T, page, target, anchor string) {
	t.Helper()
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s: a link to %s leads nowhere", page, target)
	} else if anchor != "" && !slices.Contains(anchors(sitetest.File(t, target)), anchor) {
		t.Errorf("%s: a link to %s: there is no heading #%s", page, target, anchor)
	}
}

// anchors returns GitHub's anchors of a page's headings, and the page's own anchors. A repeated
// heading has a number.
func anchors(text string) (all []string) {
	for _, m := range regexp.MustCompile(`<a id="([^"]*)"></a>`).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	odd := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	seen := map[string]int{}
	for line := range strings.Lines(regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && line[0] == '#' {
			name := strings.ReplaceAll(odd.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")
			if seen[name]++; seen[name] > 1 {
				name += fmt.Sprintf("-%d", seen[name]-1)
			}
			all = append(all, name)
		}
	}
	return all
}

// Only the README and docs contain Go code, where each block is compiled: see doctest.Read and
// the tests of the README.
func TestGoCodeIsShownWhereItIsCompiled(t *testing.T) {
	for _, name := range markdown(t) {
		if name == "README.md" || path.Dir(name) == "docs" || name == head {
			continue
		}
		shown, err := doctest.Blocks(sitetest.File(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, b := range shown {
			if b.Language == "go" {
				t.Errorf("%s:%d: no test compiles this: move it to docs", name, b.Line)
			}
		}
	}
}

// docs/diagnose.md lists the cookies, as Diagnose does.
func TestDocsListTheCookies(t *testing.T) {
	_, table, _ := strings.Cut(sitetest.File(t, "docs/diagnose.md"), "\n## What each cookie is for\n")
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`….*?) \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`…([^`]*)`").FindAllStringSubmatch(row[1], -1) {
			listed[name[1]] = true
		}
	}
	set := map[string]bool{}
	for _, store := range []sessions.Store{nil, memstore.NewStore([]byte("the store's own key, of 32 bytes"))} {
		auth, err := ginauth.Mount(gin.New(), ginauth.Options{BaseURL: "http://localhost", Sessions: store, Logger: slog.New(slog.DiscardHandler),
			Providers: []ginauth.Provider{
				{Name: "a", Issuer: "http://localhost:1", ClientID: "id", ClientSecret: "secret"},
				{Name: "b", Issuer: "http://localhost:2", ClientID: "id", ClientSecret: "secret", ResponseMode: "form_post"},
			}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range auth.Diagnose(t.Context()).Cookies {
			set[regexp.MustCompile("^ginauth-[A-Z2-7]{6}").ReplaceAllString(c.Name, "")] = true
		}
	}
	if len(set) == 0 || !maps.Equal(listed, set) {
		t.Errorf("docs/diagnose.md lists %q, and the cookies are %q", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(set)))
	}
}

// docs/pages.md lists the texts that can be changed, as they are.
func TestDocsListTheTexts(t *testing.T) {
	var texts map[string]string
	if err := json.Unmarshal([]byte(sitetest.File(t, "internal/page/texts/en.json")), &texts); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(sitetest.File(t, "docs/pages.md"), "\n## The names of the texts\n")
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]*)` \\| (.*) \\|$").FindAllStringSubmatch(table, -1) {
		listed[row[1]] = row[2]
	}
	if len(texts) == 0 || !maps.Equal(listed, texts) {
		t.Errorf("docs/pages.md lists %q, and the texts are %q", listed, texts)
	}
}
