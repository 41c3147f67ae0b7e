package doctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Names returns the names of the pages in docs.
func Names(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if len(files) == 0 {
		err = errors.Join(err, errors.New("there are no pages, so nothing is tested"))
	}
	for i, name := range files {
		files[i] = strings.TrimSuffix(filepath.Base(name), ".md")
	}
	return files, err
}

// ReadAll reads all pages.
func ReadAll(t testing.TB, root string) []*Page {
	t.Helper()
	names, err := Names(root)
	if err != nil {
		t.Fatal(err)
	}
	var pages []*Page
	for _, name := range names {
		p, err := Read(root, name)
		if err != nil {
			t.Error(err)
		}
		if p != nil {
			pages = append(pages, p)
		}
	}
	return pages
}

// Module is a module in a temporary directory, like that of a reader who follows a page from an empty
// directory, but with the ginauth of this checkout.
type Module struct {
	t   testing.TB
	dir string
}

var moduleLine = regexp.MustCompile(`(?m)^module .*$`)

// NewModule creates a module with the dependencies of the module in directory name below root ("" for
// the root module).
func NewModule(t testing.TB, root, name string) *Module {
	t.Helper()
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	m := &Module{t: t, dir: t.TempDir()}
	for _, file := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name, file))
		if err != nil {
			t.Fatal(err)
		}
		if file == "go.mod" {
			text = moduleLine.ReplaceAll(text, []byte("module docs"))
			text = regexp.MustCompile(`(?m)^replace github.com/ginauth/ginauth => .*$`).ReplaceAll(text, nil)
			if name == "" {
				text = append(text, "\nrequire github.com/ginauth/ginauth v0.0.0\n"...)
			}
			text = fmt.Appendf(text, "\nreplace github.com/ginauth/ginauth => %s\n", root)
		}
		m.write(file, string(text))
	}
	return m
}

func (m *Module) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		m.t.Fatal(err)
	}
}

// Add adds a program to the module.
func (m *Module) Add(p *Program) {
	m.t.Helper()
	for name, text := range p.Files {
		m.write(p.Name+"/"+name, text)
	}
}

// Go runs the go command in the module.
func (m *Module) Go(args ...string) (string, error) {
	cmd := exec.CommandContext(m.t.Context(), "go", args...)
	cmd.Dir, cmd.Env = m.dir, append(os.Environ(), "GOWORK=off", "GIN_MODE=release")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Vet compiles and vets the programs of all pages that belong to the module name, and runs their
// tests.
func Vet(t testing.TB, root, name string) {
	t.Helper()
	m := NewModule(t, root, name)
	n, tested := 0, []string{"test"}
	for _, page := range ReadAll(t, root) {
		for _, p := range page.Programs {
			if p.Module != name {
				continue
			}
			n++
			m.Add(p)
			if p.Tested() {
				tested = append(tested, "./"+p.Name)
			}
		}
	}
	if n == 0 {
		t.Fatal("no page has a program for this module, so nothing is tested")
	}
	if out, err := m.Go("vet", "./..."); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
	if len(tested) == 1 {
		return
	}
	if out, err := m.Go(tested...); err != nil {
		t.Errorf("go test: %v\n%s", err, out)
	}
}
