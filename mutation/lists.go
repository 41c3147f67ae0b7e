package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
)

// ignored names functions whose checks are not changed.
type ignored struct {
	text    string // as written in the list
	pkg     string // the last part of the package's path; "" for any
	pattern string // of names: "Provider.check*"
	used    bool
}

// readIgnored reads the list of functions to ignore: one name on each line, in which * stands for any
// letters, with "fetch: " before it to name a package. Lines that are empty or begin with # are
// comments.
func readIgnored(name string) (list []*ignored, err error) {
	text, err := readOptional(name)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		entry := &ignored{text: line, pattern: line}
		if pkg, pattern, ok := strings.Cut(line, ": "); ok {
			entry.pkg, entry.pattern = pkg, pattern
		}
		if _, err := path.Match(entry.pattern, ""); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		list = append(list, entry)
	}
	return list, nil
}

// ignored reports whether an entry matches the mutant, and marks all entries that do.
func (m *mutant) ignored(list []*ignored) (any bool) {
	for _, entry := range list {
		if match, _ := path.Match(entry.pattern, m.function); match && (entry.pkg == "" || entry.pkg == m.pkg.last()) {
			entry.used, any = true, true
		}
	}
	return any
}

// accepted is a mutant that may survive, with the reason.
type accepted struct {
	pkg                             string // the last part of the package's path; "" for any
	function, check, change, reason string
	used                            bool
}

// readAccepted reads the list of mutants that may survive: blocks of lines "package:" (only if the
// rest also matches a mutant in another package), "function:", "check:", "change:" and "reason:", with
// a blank line between blocks. Lines that begin with # are comments.
func readAccepted(name string) (list []*accepted, err error) {
	text, err := readOptional(name)
	if err != nil {
		return nil, err
	}
	var a *accepted
	for i, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		if a == nil && line != "" && line[0] != '#' {
			a = &accepted{}
			list = append(list, a)
		}
		switch {
		case line == "":
			a = nil
		case line[0] == '#':
		case key == "package":
			a.pkg = value
		case key == "function":
			a.function = value
		case key == "check":
			a.check = value
		case key == "change":
			a.change = value
		case key == "reason":
			a.reason = value
		default:
			return nil, fmt.Errorf("%s:%d: neither package, function, check, change nor reason", name, i+1)
		}
	}
	for _, a := range list {
		if a.function == "" || a.check == "" || a.change == "" || a.reason == "" {
			return nil, fmt.Errorf("%s: %s is not complete", name, a.function)
		}
	}
	return list, nil
}

// excuses reports whether the entry matches the mutant.
func (a *accepted) excuses(m *mutant) bool {
	return (a.pkg == "" || a.pkg == m.pkg.last()) && a.function == m.function && a.check == m.check && a.change == m.change
}

// String implements fmt.Stringer: the entry as written in the list.
func (a *accepted) String() string {
	var pkg string
	if a.pkg != "" {
		pkg = "package: " + a.pkg + "\n"
	}
	return fmt.Sprintf("%sfunction: %s\ncheck: %s\nchange: %s\n", pkg, a.function, a.check, a.change)
}

func (m *mutant) excuse(list []*accepted) *accepted {
	for _, a := range list {
		if a.excuses(m) {
			return a
		}
	}
	return nil
}

// stale returns an error with every entry that matches no mutant, or more than one, because the
// sources have changed.
func stale(mutants []*mutant, ignore []*ignored, accept []*accepted) error {
	var errs []error
	for _, entry := range ignore {
		if !entry.used {
			errs = append(errs, fmt.Errorf("ignored, and no function of that name has a check: %s", entry.text))
		}
	}
	for _, a := range accept {
		var n int
		for _, m := range mutants {
			if a.excuses(m) {
				n++
			}
		}
		switch {
		case n == 0:
			errs = append(errs, fmt.Errorf("accepted, and no such change: rename or remove the entry\n%sperhaps it is now\n%s", a, a.nearest(mutants)))
		case n > 1:
			errs = append(errs, fmt.Errorf("accepted, and %d changes in different packages: name the package\n%s", n, a))
		}
	}
	return errors.Join(errs...)
}

// nearest returns the change that has the most words in common with the entry's, as it would be
// written in the list: the likely new form of the entry after a renaming.
func (a *accepted) nearest(mutants []*mutant) *accepted {
	var best accepted
	most := -1.0
	own := a.words()
	for _, m := range mutants {
		other := &accepted{function: m.function, check: m.check, change: m.change}
		common := 0
		theirs := other.words()
		for word := range own {
			if theirs[word] {
				common++
			}
		}
		if likeness := float64(common) / float64(len(own)+len(theirs)-common); likeness > most {
			best, most = *other, likeness
		}
	}
	return &best
}

var word = regexp.MustCompile(`[A-Za-z0-9]+|[^A-Za-z0-9\s]+`)

// words returns the entry's identifiers and operators, each with its line.
func (a *accepted) words() map[string]bool {
	set := map[string]bool{}
	for i, line := range []string{a.function, a.check, a.change} {
		for _, w := range word.FindAllString(line, -1) {
			set[fmt.Sprint(i, w)] = true
		}
	}
	return set
}

// readOptional returns a file's text, or "" if there is no such file.
func readOptional(name string) (string, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}
