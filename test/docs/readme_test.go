package docs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
	"github.com/ginauth/ginauth/internal/doctest"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// blocks are the README's code blocks in one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	var found []string
	for _, m := range fence.FindAllStringSubmatch(sitetest.File(t, "README.md"), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("the README has no %s block: this test checks nothing", language)
	}
	return found
}

// ExampleMount runs the program in the README.
func TestReadmeProgramIsExampleMount(t *testing.T) {
	_, rest, _ := strings.Cut(sitetest.File(t, "example_test.go"), "\t// README: func main() {\n")
	body, _, ok := strings.Cut(rest, "\t// README: }\n")
	if !ok {
		t.Fatal("ExampleMount does not say which part of it is the README's")
	}
	program := blocks(t, "go")[0]
	if want := "\nfunc main() {\n" + body + "\tlog.Fatal(app.Run(\"localhost:8080\"))\n}\n"; !strings.HasSuffix(program, want) {
		t.Errorf("the README's program is\n%s\nbut ExampleMount is\n%s", program, want)
	}
	if n := strings.Count(program, "\n"); n > 25 {
		t.Errorf("the README's program has %d lines, more than 25", n)
	}
}

// Other Go code in the README is part of an example.
func TestReadmeSnippetsAreExamples(t *testing.T) {
	examples := sitetest.File(t, "example_test.go")
	for _, snippet := range blocks(t, "go")[1:] {
		inside := "\n\t" + strings.ReplaceAll(strings.TrimSuffix(snippet, "\n"), "\n", "\n\t") + "\n"
		if !strings.Contains(examples, inside) {
			t.Errorf("no example has\n%s", snippet)
		}
	}
}

// The program, and the program after each of the README's changes, compiles, and is formatted.
func TestReadmeProgramsCompile(t *testing.T) {
	t.Parallel()
	first := blocks(t, "go")[0]
	module := doctest.NewModule(t, ".", "")
	module.Add(&doctest.Program{Name: "first", Files: map[string]string{"main.go": first}})
	for i, diff := range blocks(t, "diff") {
		changed, err := doctest.Apply(first, diff)
		if err == nil {
			err = doctest.Formatted(changed)
		}
		if err == nil {
			changed, err = doctest.Imports(changed)
		}
		if err != nil {
			t.Errorf("%v: in\n%s", err, diff)
			continue
		}
		module.Add(&doctest.Program{Name: fmt.Sprint(i), Files: map[string]string{"main.go": changed}})
	}
	if out, err := module.Go("vet", "./..."); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The first program, pasted unchanged, signs a user in: without an account, a variable or a
// second program.
func TestReadmeProgramSignsSomebodyIn(t *testing.T) {
	t.Parallel()
	first := &doctest.Program{Name: "first", Files: map[string]string{"main.go": blocks(t, "go")[0]}}
	running := doctest.Build(t, ".", []*doctest.Program{first}).Start(t, first)
	if err := running.Listens(); err != nil {
		t.Fatal(err)
	}
	browser := authtest.NewBrowser()
	t.Cleanup(browser.Close)
	v := &docVisit{t: t, URL: running.URL, out: running.Out, browser: browser}
	if got := v.saw(browser.Get(running.URL)); !strings.Contains(got, "Grace Hopper") {
		t.Fatalf("the provider shows %s", got)
	}
	if got := v.choose("Grace Hopper"); got != "200 Hello, Grace Hopper!" {
		t.Errorf("after the sign-in: %s\n%s", got, running.Out())
	}
}

// The change with roles, pasted unchanged, admits the users that the README names.
func TestReadmeRolesLetPeopleIn(t *testing.T) {
	t.Parallel()
	all := blocks(t, "diff")
	i := slices.IndexFunc(all, func(diff string) bool { return strings.Contains(diff, "HasGroup") })
	if i < 0 {
		t.Fatal("the README has no change with HasGroup")
	}
	changed, err := doctest.Apply(blocks(t, "go")[0], all[i])
	if err == nil {
		changed, err = doctest.Imports(changed)
	}
	if err != nil {
		t.Fatal(err)
	}
	program := &doctest.Program{Name: "roles", Files: map[string]string{"main.go": changed}}
	running := doctest.Build(t, ".", []*doctest.Program{program}).Start(t, program)
	if err := running.Listens(); err != nil {
		t.Fatal(err)
	}
	v := &docVisit{t: t, URL: running.URL, out: running.Out, browser: authtest.NewBrowser()}
	t.Cleanup(v.browser.Close)
	for name, want := range map[string]string{
		"Ada Lovelace": "200 Hello, Ada Lovelace!", "Grace Hopper": "403 Access denied (forbidden)", "Eve Newcomer": "403 Access denied (identity_rejected)",
	} {
		p := v.another(name)
		got := p.saw(p.page, nil)
		if p.sees(got, want); strings.HasPrefix(got, "403") {
			p.sees(p.page.Text(), "For developers")
		}
	}
}

func TestReadmeIsShort(t *testing.T) {
	for name, most := range map[string]int{"README.md": 250, "doc.go": 80, "example/main.go": 200} {
		if n := strings.Count(sitetest.File(t, name), "\n"); n >= most {
			t.Errorf("%s has %d lines, want fewer than %d", name, n, most)
		}
	}
}
