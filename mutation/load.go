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
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// pkg is a package whose checks are changed.
type pkg struct {
	ImportPath string
	Dir        string
	Name       string
	Export     string
	GoFiles    []string
	DepOnly    bool
	Module     *struct{ Path, Dir string }

	files []*source
	types *types.Info
}

// last is the last part of the package's path.
func (p *pkg) last() string { return path.Base(p.ImportPath) }

// source is a file of a package.
type source struct {
	*ast.File
	path string // on disk
	name string // slash-separated, from the module's root
	text []byte
	set  *token.FileSet
}

func (s *source) offset(p token.Pos) int { return s.set.Position(p).Offset }

// excerpt returns a piece of the source on one line.
func (s *source) excerpt(from, to token.Pos) string {
	return strings.Join(strings.Fields(string(s.text[s.offset(from):s.offset(to)])), " ")
}

// load lists, parses and type-checks the packages that match patterns in dir. It omits programs and
// packages that, by their name, are only for tests.
func load(dir string, patterns []string) ([]*pkg, error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Name,Export,GoFiles,DepOnly,Module"}, patterns...)
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

// listTests returns the test binaries of the packages that match patterns in dir, without those that
// do not contain any of the changed packages.
func listTests(dir string, patterns []string, changed []*pkg, out string) (list []*binary, err error) {
	text, err := goCommand(dir, append([]string{"list", "-test", "-json=ImportPath,Dir,Deps,Module"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		var p struct {
			ImportPath, Dir string
			Deps            []string
			Module          *struct{ Path string }
		}
		if err := decoder.Decode(&p); err == io.EOF {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		// A test binary is named after its package. A package that is recompiled for it is called
		// "example.com/fixture [example.com/fixture.test]".
		path, binaryOf := strings.CutSuffix(p.ImportPath, ".test")
		if !binaryOf || !slices.ContainsFunc(p.Deps, func(dep string) bool {
			dep, _, _ = strings.Cut(dep, " ")
			return slices.ContainsFunc(changed, func(c *pkg) bool { return c.ImportPath == dep })
		}) {
			continue
		}
		b := &binary{path: filepath.Join(out, fmt.Sprintf("%d.test", len(list))), dir: p.Dir, pkg: path}
		if below, ok := strings.CutPrefix(path, p.Module.Path+"/"); ok {
			b.prefix = strings.TrimPrefix(below, "internal/") + "."
		}
		list = append(list, b)
	}
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
