package doctest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	program = "package main\n\nimport (\n\t\"fmt\"\n)\n\nfunc main() {\n\tfmt.Println(\"one\")\n}\n"
	readme  = "# x\n\n```go\n" + program + "```\n"
)

func block(language, text string) string { return "```" + language + "\n" + text + "```\n" }

func page(t *testing.T, text string) (*Page, error) {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "some.go"), []byte("package x\n\nfunc f() {\n\tfirst()\n\n\tsecond()\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return parse(root, "page", text, readme)
}

// A block that would not be compiled is an error.
func TestPagesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		want  error
		names string // a part of the text
	}{
		"a fragment without a mark":                {block("go", "x := 1\n"), errFragment, "docs/page.md:1: "},
		"a part of a file that does not have it":   {"<!-- part of some.go -->\n" + block("go", "third()\n"), errNoLines, "some.go"},
		"a part of a file that is not there":       {"<!-- part of none.go -->\n" + block("go", "third()\n"), fs.ErrNotExist, "none.go"},
		"a mark that nobody knows":                 {"<!-- on top of it -->\n" + block("go", program), errMark, ""},
		"a file of Go that would not be looked at": {"<!-- file a.go -->\n" + block("go", program), errMark, ""},
		"a mark that a line of text took away":     {"<!-- part of some.go -->\ntext\n" + block("go", "first()\n"), errFragment, ""},
		"a change to lines that are not there":     {block("diff", "-\tfmt.Println(\"two\")\n"), errTimes, "0"},
		"a change to lines that are there twice":   {block("go", strings.Replace(program, "\tfmt", "\tfmt.Println(\"one\")\n\tfmt", 1)) + block("diff", "-\tfmt.Println(\"one\")\n"), errTimes, "2"},
		"a program that is not formatted":          {block("go", strings.Replace(program, "\tfmt.P", "  fmt.P", 1)), errGofmt, ""},
		"a change that is not formatted":           {block("diff", "-\tfmt.Println(\"one\")\n+\tfmt.Println( \"two\")\n"), errGofmt, ""},
		"a change that aligns other lines anew":    {block("go", program+"\nvar x = struct{ a int }{\n\ta: 1,\n}\n") + block("diff", " \ta: 1,\n+\tlonger: 2,\n"), errGofmt, ""},
		"a program that does not parse":            {block("go", "package main\n\nfunc {\n"), nil, "expected"},
		"a change that does not parse":             {block("diff", "-\tfmt.Println(\"one\")\n+\tfmt.Println(\n"), nil, "expected"},
		"a block without an end":                   {"```go\n" + program, errOpen, ""},
		"a block that is indented":                 {"* item\n  ```go\n  x()\n  ```\n", errBlock, "```"},
		"a block with more behind the fence":       {"```go title=x\nx()\n```\n", errBlock, "```"},
		"a screen without a program":               {block("console", "$ go run .\n"), errNoProgram, ""},
		"the same, of two blocks, with both named": {block("go", "x\n") + block("go", "y\n"), errFragment, "docs/page.md:4"},
	} {
		if _, err := page(t, c.text); err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: got %v, want %v with %q", name, err, c.want, c.names)
		}
	}
}

func TestWhatAPageShows(t *testing.T) {
	p, err := page(t, strings.Join([]string{
		block("diff", "-\tfmt.Println(\"one\")\n+\tlog.Println(\"of the readme\")\n"),
		block("go", strings.Replace(program, "one", "whole", 1)),
		block("diff", "-\tfmt.Println(\"whole\")\n+\tfmt.Println(os.Args)\n"),
		"<!-- on top of the change before -->\n" + block("diff", "-\tfmt.Println(os.Args)\n+\tfmt.Println(len(os.Args))\n"),
		block("console", "$ go run .\n1\n"),
		block("go", "func two() int { return strings.Count(\"\", \"\") }\n"),
		block("go", "package main\n\nimport \"testing\"\n\nfunc TestOne(t *testing.T) {}\n"),
		"<!-- compiled in stores -->\n" + block("diff", "-func TestOne(t *testing.T) {}\n+func TestTwo(t *testing.T) {}\n"),
		block("go", "func TestThree(t *testing.T) {}\n"),
		"<!-- on top of the change before -->\n" + block("go", "func TestFour(t *testing.T) {}\n"),
		"<!-- file index.html -->\n" + block("html", "<p>\n"),
		"<!-- part of some.go -->\n" + block("go", "first()\n\nsecond()\n"),
		"<!-- part of some.go -->\n" + block("go", "package x\n\nfunc f() {\n\tfirst()\n\n\tsecond()\n}\n"), // the whole function
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		module, main, test string
		tested             bool
		screens            int
	}{
		{main: "log.Println(\"of the readme\")"},
		{main: "fmt.Println(\"whole\")"},
		{main: "fmt.Println(os.Args)"},
		{main: "fmt.Println(len(os.Args))", screens: 1},
		{main: "func two()"},
		{main: "fmt.Println(\"whole\")", test: "TestOne"}, // a later program contains it
		{main: "fmt.Println(\"whole\")", test: "TestTwo", tested: true, module: "stores"},
		{main: "fmt.Println(\"whole\")", test: "TestThree"},
		{main: "fmt.Println(\"whole\")", test: "TestFour", tested: true},
	}
	if len(p.Programs) != len(want) {
		t.Fatalf("%d programs, want %d", len(p.Programs), len(want))
	}
	for i, w := range want {
		got := p.Programs[i]
		if !strings.Contains(got.Files["main.go"], w.main) || !strings.Contains(got.Files["main_test.go"], w.test) || got.Files["index.html"] != "<p>\n" {
			t.Errorf("%s: %q", got.Name, got.Files)
		}
		if got.Module != w.module || got.Tested() != w.tested || len(got.Screen) != w.screens {
			t.Errorf("%s: module %q, tested %t, %d screens", got.Name, got.Module, got.Tested(), len(got.Screen))
		}
	}
	if main := p.Programs[0].Files["main.go"]; strings.Contains(main, `"fmt"`) || !strings.Contains(main, "\t\"log\"\n") {
		t.Errorf("the imports are not those of the changed program:\n%s", main)
	}
}

// A module is like that of a newcomer, and compilation errors are reported.
func TestModulesCompile(t *testing.T) {
	m := NewModule(t, "../..", "")
	uses := strings.NewReplacer("fmt.Println(\"one\")", "_ = ginauth.CurrentUser", "\"fmt\"", "\"github.com/ginauth/ginauth\"").Replace(program)
	m.Add(&Program{Name: "good", Files: map[string]string{"main.go": uses}})
	if out, err := m.Go("vet", "./..."); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	m.Add(&Program{Name: "bad", Files: map[string]string{"main.go": strings.Replace(uses, "CurrentUser", "NoUser", 1)}})
	if out, err := m.Go("vet", "./..."); err == nil || !strings.Contains(out, "NoUser") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestImportsByAnotherName(t *testing.T) {
	text := "package main\n\nimport (\n\tkept \"example.com/a/b\"\n\t_ \"example.com/c\"\n\t\"github.com/redis/go-redis/v9\"\n)\n\nvar x, y = kept.X, redis.Nil\n"
	if got, err := Imports(text); err != nil || got != text {
		t.Errorf("%v\n%s", err, got)
	}
}
