package ginauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
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

// inCore reports whether the file is of the root package or below internal:
// what an application compiles when it imports ginauth. A package whose name
// ends in "test" is compiled by tests alone.
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

// walkModule calls visit for every file of the repository that somebody wrote
// by hand.
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

// goFiles parses the Go files of this module that want asks for, without those
// of the modules inside it.
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
		t.Fatal("no files found: the test looks at nothing")
	}
	return files
}

func core(f *goFile) bool { return f.inCore() && !f.isTest() }

func root(f *goFile) bool { return path.Dir(f.path) == "." && !f.isTest() }

// Rule 1: in Gin, returning does not stop the chain. One place aborts, and
// handlers return errors to it; then no refused request reaches the handlers
// behind the guard because somebody forgot.
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
		t.Error("nothing aborts: this test, or the guard, looks at the wrong thing")
	}
}

// Rule 2: who imports ginauth compiles neither presets nor test tools.
func TestTheRootImportsNoneOfItsSatellites(t *testing.T) {
	for _, f := range goFiles(t, core) {
		for spec, name := range f.imports {
			for _, satellite := range []string{"providers", "authtest", "example", "revokeredis", "stores", "internal/storetest"} {
				if within(name, modulePath+"/"+satellite) {
					t.Errorf("%s imports %s", f.at(spec), name)
				}
			}
		}
	}
}

// The other half of rule 2: the root's tests use it as its users do. Nothing
// is exported for them alone.
func TestTestsOfTheRootStandOutside(t *testing.T) {
	for _, f := range goFiles(t, func(f *goFile) bool { return path.Dir(f.path) == "." && f.isTest() }) {
		if f.Name.Name != "ginauth_test" {
			t.Errorf("%s is in package %s, want ginauth_test", f.path, f.Name.Name)
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

// export is a name that a file exports, with what is written about it.
type export struct {
	name, doc string
	node      ast.Node
	own       bool // the comment is about this name alone
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
