package ginauth_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/ginauth/ginauth"

// goFile is a parsed source file.
type goFile struct {
	*ast.File
	path string // slash-separated, from the module's root
	set  *token.FileSet
}

func (f *goFile) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

func (f *goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// inCore reports whether the file is in the root package or below internal, and so compiled by
// applications that import ginauth. Packages whose names end in "test" are compiled only by
// tests.
func (f *goFile) inCore() bool {
	dir := path.Dir(f.path)
	return dir == "." || strings.HasPrefix(dir, "internal/") && !strings.HasSuffix(dir, "test")
}

// imports yields the paths that the file imports.
func (f *goFile) imports(yield func(*ast.ImportSpec, string) bool) {
	for _, spec := range f.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil && !yield(spec, name) {
			return
		}
	}
}

// within reports whether a path is dir or below it.
func within(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}

// walkModule calls visit for every handwritten file of the repository.
func walkModule(t *testing.T, visit func(name string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules", "testdata", "vendor"}, d.Name()):
			return fs.SkipDir
		case d.Type().IsRegular():
			visit(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles parses the Go files of this module that want selects, without those of nested modules.
func goFiles(t *testing.T, want func(*goFile) bool) []*goFile {
	t.Helper()
	var names, inner []string
	walkModule(t, func(name string) {
		switch {
		case path.Base(name) == "go.mod" && name != "go.mod":
			inner = append(inner, path.Dir(name))
		case path.Ext(name) == ".go":
			names = append(names, name)
		}
	})
	set := token.NewFileSet()
	var files []*goFile
	for _, name := range names {
		if slices.ContainsFunc(inner, func(dir string) bool { return within(name, dir) }) {
			continue
		}
		f := &goFile{path: name, set: set}
		if !want(f) {
			continue
		}
		parsed, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		f.File = parsed
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatal("no files found: the test checks nothing")
	}
	return files
}

func core(f *goFile) bool { return f.inCore() && !f.isTest() }

// Rule 1: in Gin, returning does not stop the chain. Only one place aborts, and handlers return
// errors to it; so no rejected request reaches the handlers behind the guard because of a
// forgotten abort.
func TestOnlyRespondAborts(t *testing.T) {
	aborts := 0
	for _, f := range goFiles(t, core) {
		ast.Inspect(f.File, func(n ast.Node) bool {
			method, ok := n.(*ast.SelectorExpr)
			if !ok || !strings.HasPrefix(method.Sel.Name, "Abort") {
				return true
			}
			aborts++
			if f.path != "respond.go" {
				t.Errorf("%s: %s; return an error instead, respond.go aborts", f.at(method), method.Sel.Name)
			}
			return true
		})
	}
	if aborts == 0 {
		t.Error("no call aborts: this test, or the guard, checks the wrong function")
	}
}

// Rule 2: applications that import ginauth compile neither presets nor test tools.
func TestTheRootImportsNoneOfItsSatellites(t *testing.T) {
	for _, f := range goFiles(t, core) {
		for spec, name := range f.imports {
			for _, satellite := range []string{"providers", "authtest", "example", "redisstate", "stores", "test", "internal/storetest", "internal/sitetest", "internal/leaktest"} {
				if within(name, modulePath+"/"+satellite) {
					t.Errorf("%s imports %s", f.at(spec), name)
				}
			}
		}
	}
}

// The other half of rule 2: the root's tests use it as its users do. By convention,
// export_test.go exports the internals that they need; it contains no tests.
func TestTestsOfTheRootStandOutside(t *testing.T) {
	for _, f := range goFiles(t, func(f *goFile) bool { return path.Dir(f.path) == "." && f.isTest() }) {
		if f.path == "export_test.go" {
			for spec, name := range f.imports {
				if name == "testing" {
					t.Errorf("%s imports testing; tests belong elsewhere", f.at(spec))
				}
			}
		} else if f.Name.Name != "ginauth_test" {
			t.Errorf("%s is in package %s, want ginauth_test", f.path, f.Name.Name)
		}
	}
}

// The suites use the package as its users do, and nothing uses them.
func TestSuitesHaveNothingButTests(t *testing.T) {
	suites := goFiles(t, func(f *goFile) bool { return within(f.path, "test") })
	for _, f := range suites {
		if !f.isTest() {
			t.Errorf("%s is no test", f.path)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, f := range goFiles(t, func(f *goFile) bool { return !f.isTest() }) {
		if f.Name.Name == "main" {
			continue
		}
		for _, e := range exported(f) {
			if strings.TrimSpace(e.doc) == "" {
				t.Errorf("%s: %s has no comment", f.at(e.node), e.name)
			} else if e.own && !strings.HasPrefix(e.doc, e.name+" ") {
				t.Errorf("%s: the comment on %s does not begin with its name", f.at(e.node), e.name)
			}
		}
	}
}

// A doc link without a target is displayed in brackets.
func TestDocLinksLeadSomewhere(t *testing.T) {
	packages := map[string][]*goFile{}
	for _, f := range goFiles(t, func(f *goFile) bool { return !f.isTest() && path.Dir(f.path) != "example" }) {
		packages[path.Dir(f.path)] = append(packages[path.Dir(f.path)], f)
	}
	links := 0
	for dir, files := range packages {
		var parsed []*ast.File
		for _, f := range files {
			parsed = append(parsed, f.File)
		}
		pkg, err := doc.NewFromFiles(files[0].set, parsed, path.Join(modulePath, dir), doc.PreserveAST)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			ast.Inspect(f.File, func(n ast.Node) bool {
				group, ok := n.(*ast.CommentGroup)
				if !ok {
					return true
				}
				for _, link := range docLink.FindAllString(group.Text(), -1) {
					links++
					if text := string(pkg.Markdown(link)); text == link || strings.Contains(text, "\\[") {
						t.Errorf("%s: %s is not a name of this package, or of one that the file imports", f.at(n), link)
					}
				}
				return true
			})
		}
	}
	if links < 100 {
		t.Errorf("only %d doc links found: the test looks at the wrong thing", links)
	}
}

var docLink = regexp.MustCompile(`\[\*?[A-Za-z]*\.?[A-Z]\w*(\.[A-Z]\w*)?\]`)

// export is a name that a file exports, with its comment.
type export struct {
	name, doc string
	node      ast.Node
	own       bool // the comment is only about this name
}

// exported lists what a file exports: functions, methods of exported types,
// types, constants and variables.
func exported(f *goFile) []export {
	var all []export
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type))) {
				all = append(all, export{name: d.Name.Name, doc: d.Doc.Text(), node: d, own: true})
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				all = append(all, exportedBy(d, spec)...)
			}
		}
	}
	return all
}

// exportedBy lists what one line of a declaration exports. A comment above a
// group of constants or variables, or behind one of them, is about it too.
func exportedBy(d *ast.GenDecl, spec ast.Spec) []export {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			return []export{{name: s.Name.Name, doc: d.Doc.Text() + s.Doc.Text(), node: s, own: true}}
		}
	case *ast.ValueSpec:
		var all []export
		for _, name := range s.Names {
			if name.IsExported() {
				all = append(all, export{name: name.Name, doc: s.Doc.Text() + s.Comment.Text() + d.Doc.Text(), node: name})
			}
		}
		return all
	}
	return nil
}

// receiver is the name of a method's type, without its star and parameters.
func receiver(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func TestNothingIsLeftForLater(t *testing.T) {
	later := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)
	kinds := []string{".go", ".md", ".mod", ".html", ".js", ".sh", ".yml"}
	walkModule(t, func(name string) {
		if !slices.Contains(kinds, path.Ext(name)) && path.Dir(name) != ".ci" {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			return
		}
		for i, line := range strings.Split(string(text), "\n") {
			if later.MatchString(line) {
				t.Errorf("%s:%d: %s", name, i+1, strings.TrimSpace(line))
			}
		}
	})
}

// ecosystems maps file names to Dependabot's names for their ecosystems.
var ecosystems = map[string]string{"go.mod": "gomod", "package.json": "npm", "pom.xml": "maven"}

// Dependabot updates every module, in any language.
func TestDependabotKnowsEveryModule(t *testing.T) {
	want := map[string]bool{"github-actions /": true}
	walkModule(t, func(name string) {
		if ecosystem, ok := ecosystems[path.Base(name)]; ok {
			want[ecosystem+" "+path.Join("/", path.Dir(name))] = true
		}
	})
	text, err := os.ReadFile(".github/dependabot.yml")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	ecosystem := ""
	for _, m := range regexp.MustCompile(`package-ecosystem: (\S+)|"(/[^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			ecosystem = m[1]
		} else {
			listed[ecosystem+" "+m[2]] = true
		}
	}
	if !maps.Equal(listed, want) {
		t.Errorf(".github/dependabot.yml lists %v, and the repository has %v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(want)))
	}
}

// Scripts become root only through the command in SUDO, and only the script that installs
// packages does so.
func TestScriptsDoNotBecomeRootUnasked(t *testing.T) {
	asks := regexp.MustCompile(`\bsudo\b|\bapt-get (update|install)\b`)
	comment := regexp.MustCompile(`(?m)^\s*#.*$`)
	looked := 0
	walkModule(t, func(name string) {
		if path.Ext(name) != ".sh" && path.Dir(name) != ".ci" && path.Base(name) != "Makefile" || name == ".ci/install" {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		looked++
		for _, m := range asks.FindAllString(comment.ReplaceAllString(string(text), ""), -1) {
			t.Errorf("%s: %s; .ci/install does that", name, m)
		}
	})
	if looked == 0 {
		t.Error("no scripts found: the test checks nothing")
	}
}

// The files that CONTRIBUTING.md names exist, in the root or in internal/rp.
func TestContributingLeadsToFiles(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Where things are\n")
	section, _, _ = strings.Cut(section, "\n## ")
	names := regexp.MustCompile(`[a-z_]+\.go`).FindAllString(section, -1)
	if len(names) < 20 {
		t.Fatalf("only %d files are named: the test looks at the wrong thing", len(names))
	}
	for _, name := range names {
		if _, err := os.Stat(name); err != nil {
			if _, err := os.Stat(path.Join("internal/rp", name)); err != nil {
				t.Errorf("there is no %s, in the root or in internal/rp", name)
			}
		}
	}
}
