package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pkg is a package whose checks are changed.
type pkg struct {
	ImportPath   string
	Dir          string
	Name         string
	Export       string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	DepOnly      bool
	Module       *struct{ Path, Dir string }

	files []*source
	types *types.Info
}

func (p *pkg) tested() bool { return len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 }

// source is one of its files.
type source struct {
	*ast.File
	path string // on disk
	name string // slash-separated, from the module's root
	text []byte
	set  *token.FileSet
}

func (s *source) offset(p token.Pos) int { return s.set.Position(p).Offset }

// excerpt is a piece of the source on one line.
func (s *source) excerpt(from, to token.Pos) string {
	return strings.Join(strings.Fields(string(s.text[s.offset(from):s.offset(to)])), " ")
}

// load lists, parses and type-checks the packages that patterns name in dir.
// Those that only tests use, by their name, and programs are left out.
func load(dir string, patterns []string) ([]*pkg, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Name,Export,GoFiles,TestGoFiles,XTestGoFiles,DepOnly,Module"}, patterns...)
	out, err := goCommand(dir, args...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	var found []*pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := decoder.Decode(p); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly && p.Name != "main" && !strings.HasSuffix(p.ImportPath, "test") {
			found = append(found, p)
		}
	}
	set := token.NewFileSet()
	imports := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, p := range found {
		if err := p.parse(set, imports); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (p *pkg) parse(set *token.FileSet, imports types.Importer) error {
	var parsed []*ast.File
	for _, name := range p.GoFiles {
		s := &source{path: filepath.Join(p.Dir, name), set: set}
		var err error
		if s.text, err = os.ReadFile(s.path); err != nil {
			return err
		}
		if s.File, err = parser.ParseFile(set, s.path, s.text, parser.SkipObjectResolution); err != nil {
			return err
		}
		if s.name, err = filepath.Rel(p.Module.Dir, s.path); err != nil {
			return err
		}
		s.name = filepath.ToSlash(s.name)
		p.files = append(p.files, s)
		parsed = append(parsed, s.File)
	}
	p.types = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Importer: imports}
	_, err := config.Check(p.ImportPath, set, parsed, p.types)
	return err
}

// goCommand runs the go command and returns what it prints.
func goCommand(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, complaints.Bytes())
	}
	return out, nil
}
