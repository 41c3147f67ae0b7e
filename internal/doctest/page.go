// Package doctest compiles the Go code of the pages in docs, and runs their tests and console blocks.
// CONTRIBUTING.md describes how a page marks its code.
package doctest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Block is a fenced block of a page.
type Block struct {
	Line     int    // of the fence
	Language string // after the opening fence
	Text     string
	notes    []string // the comments directly above it
}

// note returns what follows a prefix in one of the comments above the block.
func (b *Block) note(prefix string) (rest string, there bool) {
	for _, n := range b.notes {
		if rest, there = strings.CutPrefix(n, prefix); there {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// Program is a program that a page shows, in full or as a change to another.
type Program struct {
	Name   string            // "first-sign-in-line-12": the page, and where the code is
	Module string            // the directory of its module; "" for the root module
	Files  map[string]string // by name
	Screen []*Block          // the console blocks that show it running
	last   string            // the file that was shown last
	inside bool              // a later program contains all of it
}

// Page is a page of documentation with its blocks and programs.
type Page struct {
	Name     string // without directory and .md
	Blocks   []*Block
	Programs []*Program
}

// Tested reports whether the program has tests that no other program contains.
func (p *Program) Tested() bool {
	for name := range p.Files {
		if strings.HasSuffix(name, "_test.go") {
			return !p.inside
		}
	}
	return false
}

var (
	fence   = regexp.MustCompile("^```([a-z]*)$")
	comment = regexp.MustCompile(`^<!-- (.*) -->$`)
)

// Why a page is rejected.
var (
	errBlock     = errors.New("unsupported beginning of a block")
	errOpen      = errors.New("the block is not closed")
	errMark      = errors.New("unknown mark")
	errFragment  = errors.New("this is a fragment: show a whole program or a diff, or name its file above it: <!-- part of FILE -->")
	errNoLines   = errors.New("the file does not have these lines")
	errNoProgram = errors.New("there is no program to run")
	errTimes     = errors.New("the program must have the lines to change once")
	errGofmt     = errors.New("gofmt would change this program")
)

// Blocks returns the fenced blocks of a text.
func Blocks(text string) ([]*Block, error) {
	var all []*Block
	var open *Block
	var notes []string
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch c := comment.FindStringSubmatch(line); {
		case open != nil && line == "```":
			all, open = append(all, open), nil
		case open != nil:
			open.Text += line + "\n"
		case m != nil:
			open, notes = &Block{Line: i + 1, Language: m[1], notes: notes}, nil
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			return nil, fmt.Errorf("line %d: %q: %w", i+1, line, errBlock)
		case c != nil:
			notes = append(notes, c[1])
		default:
			notes = nil
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: %w", open.Line, errOpen)
	}
	return all, nil
}

// Read reads the page docs/NAME.md. It is an error if a block of Go could not be compiled, so that no
// block is skipped.
func Read(root, name string) (*Page, error) {
	text, err := os.ReadFile(filepath.Join(root, "docs", name+".md"))
	if err != nil {
		return nil, err
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return nil, err
	}
	return parse(root, name, string(text), string(readme))
}

func parse(root, name, text, readme string) (*Page, error) {
	blocks, err := Blocks(text)
	if err != nil {
		return nil, fmt.Errorf("docs/%s.md: %w", name, err)
	}
	p := &Page{Name: name, Blocks: blocks}
	first, err := Blocks(readme)
	if err != nil {
		return nil, fmt.Errorf("README.md: %w", err)
	}
	r := &reader{root: root, page: p, files: map[string]string{}}
	for _, b := range first {
		if b.Language == "go" { // a page without its own program changes this one
			r.base = &Program{Files: map[string]string{"main.go": b.Text}, last: "main.go"}
			break
		}
	}
	var wrong []error
	for _, b := range blocks {
		if err := r.read(b); err != nil {
			wrong = append(wrong, fmt.Errorf("docs/%s.md:%d: %w", name, b.Line, err))
		}
	}
	for _, program := range p.Programs {
		maps.Copy(program.Files, r.files)
	}
	return p, errors.Join(wrong...)
}

// reader reads a page from top to bottom.
type reader struct {
	root  string
	page  *Page
	base  *Program          // the program that diffs apply to
	now   *Program          // the program that was shown last
	files map[string]string // added to all programs
}

// mark matches the comments that are allowed directly above a block.
var mark = regexp.MustCompile(`^(part of \S+|file \S+\.(css|html|js|json)|compiled in \S+|on top of the change before)$`)

var declaration = regexp.MustCompile(`^(//.*\n)*(func|type|var|const) `)

func (r *reader) read(b *Block) error {
	for _, n := range b.notes {
		if !mark.MatchString(n) {
			return fmt.Errorf("%q: %w", n, errMark)
		}
	}
	if name, there := b.note("file "); there {
		r.files[name] = b.Text
		return nil
	}
	switch b.Language {
	case "go":
		return r.golang(b)
	case "diff":
		return r.diff(b)
	case "console":
		if r.now == nil {
			return errNoProgram
		}
		r.now.Screen = append(r.now.Screen, b)
	}
	return nil
}

func (r *reader) golang(b *Block) error {
	file, part := b.note("part of ")
	switch {
	case part:
		return r.part(b, file)
	case regexp.MustCompile(`(?m)^package `).MatchString(b.Text):
		return r.whole(b)
	case declaration.MatchString(b.Text):
		from := r.from(b)
		from.inside = true
		return r.imported(b, from, from.last, from.Files[from.last]+"\n"+b.Text)
	}
	return errFragment
}

// part checks that the block is in a file that is compiled anyway.
func (r *reader) part(b *Block, file string) error {
	text, err := os.ReadFile(filepath.Join(r.root, file))
	if err != nil {
		return err
	}
	for _, indent := range []string{"", "\t", "\t\t"} {
		inside := "\n" + indent + strings.ReplaceAll(strings.TrimSuffix(b.Text, "\n"), "\n", "\n"+indent) + "\n"
		if strings.Contains("\n"+string(text), strings.ReplaceAll(inside, "\n"+indent+"\n", "\n\n")) {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", file, errNoLines)
}

// whole reads a complete file: a program, or tests of the previous program.
func (r *reader) whole(b *Block) error {
	if err := Formatted(b.Text); err != nil {
		return err
	}
	if strings.Contains(b.Text, "\n\t\"testing\"\n") || strings.Contains(b.Text, "\nimport \"testing\"\n") {
		r.change(b, r.base, "main_test.go", b.Text)
	} else {
		r.change(b, &Program{}, "main.go", b.Text)
	}
	r.base = r.now
	return nil
}

// diff applies the changes to the file that has the lines to change.
func (r *reader) diff(b *Block) error {
	from := r.from(b)
	var why error
	for _, name := range slices.Sorted(maps.Keys(from.Files)) {
		changed, err := Apply(from.Files[name], b.Text)
		if err == nil {
			return r.imported(b, from, name, changed)
		}
		why = errors.Join(why, fmt.Errorf("%s: %w", name, err))
	}
	return why
}

// from returns the program that a block changes: the base, or the result of the last change.
func (r *reader) from(b *Block) *Program {
	if _, there := b.note("on top of the change before"); there && r.now != nil {
		return r.now
	}
	return r.base
}

func (r *reader) imported(b *Block, from *Program, name, text string) error {
	if strings.HasSuffix(name, ".go") {
		err := Formatted(text)
		if err != nil {
			return err
		}
		if text, err = Imports(text); err != nil {
			return err
		}
	}
	r.change(b, from, name, text)
	return nil
}

// change adds a program that differs from another in one file.
func (r *reader) change(b *Block, from *Program, name, text string) {
	p := &Program{Name: fmt.Sprintf("%s-line-%d", r.page.Name, b.Line), Module: from.Module, Files: map[string]string{}, last: name}
	maps.Copy(p.Files, from.Files)
	p.Files[name] = text
	if module, there := b.note("compiled in "); there {
		p.Module = module
	}
	r.page.Programs = append(r.page.Programs, p)
	r.now = p
}
