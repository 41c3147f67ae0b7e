package sitetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
)

// Root returns the directory of the module, relative to that of the test.
func Root(t testing.TB) string {
	t.Helper()
	for dir := "."; ; dir = filepath.Join(dir, "..") {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if strings.HasPrefix(string(text), "module github.com/ginauth/ginauth\n") {
			return dir
		}
		if err == nil || len(dir) > 60 {
			t.Fatal("the test does not run inside the module")
		}
	}
}

// File returns the text of a file, by its path from the root of the module.
func File(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// GoFile is a parsed source file.
type GoFile struct {
	*ast.File
	Path string // slash-separated, from the root of the module
	set  *token.FileSet
}

// At returns the position of a node in the file.
func (f *GoFile) At(n ast.Node) string {
	return f.Path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

// GoFiles parses the Go files of a directory of the module, without its tests.
// It fails the test if there are none.
func GoFiles(t testing.TB, dir string) (files []*GoFile) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(Root(t), dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, &GoFile{parsed, path.Join(filepath.ToSlash(dir), filepath.Base(name)), set})
	}
	if len(files) == 0 {
		t.Fatalf("%s has no Go files, so the test checks nothing", dir)
	}
	return files
}

// EventRow is the row of an event in docs/observability.md.
type EventRow struct {
	Level string
	With  []string // the attributes that its line in the log has
}

var eventRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z ]+) \\| .* \\| (.*) \\|$")

// DocumentedEvents returns the table of docs/observability.md.
func DocumentedEvents(t testing.TB) map[ginauth.EventName]EventRow {
	t.Helper()
	rows := map[ginauth.EventName]EventRow{}
	for _, m := range eventRow.FindAllStringSubmatch(File(t, "docs/observability.md"), -1) {
		rows[ginauth.EventName(m[1])] = EventRow{m[2], strings.Split(strings.ReplaceAll(m[3], "`", ""), ", ")}
	}
	if len(rows) == 0 {
		t.Fatal("docs/observability.md has no events, so the test checks nothing")
	}
	return rows
}

// Constants returns the values of the constants of a type, by name, that a file
// of the module declares.
func Constants(t testing.TB, name, kind string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(Root(t), name), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == kind {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found[spec.Names[0].Name] = value
		}
		return true
	})
	if len(found) == 0 {
		t.Fatalf("%s has no constants of type %s, so the test checks nothing", name, kind)
	}
	return found
}
