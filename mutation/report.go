package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const cellLimit = 160 // maximum number of characters of code in a cell of the table

// judge matches survivors with the list, and returns the differences: survivors that are not in the
// list, and entries whose mutants were caught.
func judge(mutants []*mutant, list []*accepted) (wrong []string) {
	for _, m := range mutants {
		if !m.alive() {
			continue
		}
		if a := m.excuse(list); a != nil {
			a.used = true
		} else {
			wrong = append(wrong, m.String())
		}
	}
	for _, a := range list {
		if !a.used {
			wrong = append(wrong, "accepted, and no survivor\n"+a.String())
		}
	}
	return wrong
}

// String implements fmt.Stringer: a survivor, in the format of accepted.txt.
func (m *mutant) String() string {
	what := "survived"
	if m.outcome == open {
		what = "not looked at to the end"
	}
	return fmt.Sprintf("%s: %s, with %d tests that could tell\nfunction: %s\ncheck: %s\nchange: %s\n", m.file, what, len(m.tests), m.function, m.check, m.change)
}

// cell returns code or words in the form of a table cell.
func cell(text string) string {
	if runes := []rune(text); len(runes) > cellLimit {
		text = string(runes[:cellLimit]) + "…"
	}
	return strings.ReplaceAll(text, "|", `\|`)
}

func codeCell(text string) string {
	fence := "`"
	if strings.Contains(text, "`") {
		fence = "``"
	}
	return fence + cell(text) + fence
}

// row returns the mutant's row in the table without the last cell.
func (m *mutant) row() string {
	change := m.change
	if what, ok := strings.CutPrefix(change, "without "); ok {
		change = "without " + codeCell(what)
	}
	return fmt.Sprintf("| %s | %s | %s |", codeCell(m.function), codeCell(m.check), change)
}

func (m *mutant) verdict(list []*accepted) string {
	switch m.outcome {
	case caught:
		return codeCell(m.caught)
	case hung:
		return codeCell(m.caught) + " (does not end)"
	}
	if a := m.excuse(list); a != nil {
		return "accepted: " + strings.ReplaceAll(a.reason, "|", `\|`)
	}
	return "**nobody**"
}

// readTable returns the tests in an earlier table, by row.
func readTable(name string) (map[string]string, error) {
	text, err := readOptional(name)
	before := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSpace(line), " |")
		if i := strings.LastIndex(line, "| "); i > 0 && strings.HasPrefix(line, "| ") {
			test, _, _ := strings.Cut(strings.Trim(line[i+2:], "`"), "`")
			before[strings.TrimSpace(line[:i+1])] = test
		}
	}
	return before, err
}

// table returns the whole report. It contains no times, line numbers or machine names, so that its
// diff shows only real changes.
func table(mutants []*mutant, list []*accepted) string {
	var b strings.Builder
	b.WriteString(heading)
	count := func(of []*mutant) string {
		n := map[outcome]int{}
		for _, m := range of {
			n[m.outcome]++
		}
		return fmt.Sprintf("%d | %d | %d | %d", len(of), n[caught], n[hung], n[survived]+n[open])
	}
	b.WriteString("| file | changes | caught by a failing test | by a test that does not end | accepted |\n|---|---|---|---|---|\n")
	files := slices.SortedFunc(keys(mutants), compareFiles)
	for _, file := range files {
		fmt.Fprintf(&b, "| %s | %s |\n", file, count(of(mutants, file)))
	}
	fmt.Fprintf(&b, "| **all** | %s |\n", count(mutants))
	for _, file := range files {
		fmt.Fprintf(&b, "\n## %s\n\n| function | check | change | caught by |\n|---|---|---|---|\n", file)
		for _, m := range of(mutants, file) {
			fmt.Fprintf(&b, "%s %s |\n", m.row(), m.verdict(list))
		}
	}
	return b.String()
}

func keys(mutants []*mutant) func(func(string) bool) {
	return func(yield func(string) bool) {
		seen := map[string]bool{}
		for _, m := range mutants {
			if !seen[m.file] && !yield(m.file) {
				return
			}
			seen[m.file] = true
		}
	}
}

// compareFiles orders the files of the root before those of other packages.
func compareFiles(x, y string) int {
	return cmp.Or(strings.Count(x, "/")-strings.Count(y, "/"), strings.Compare(x, y))
}

func of(mutants []*mutant, file string) (list []*mutant) {
	for _, m := range mutants {
		if m.file == file {
			list = append(list, m)
		}
	}
	return list
}

const heading = `# The checks, and the tests that prove them

Written by the program in ` + "`mutation`" + `; do not edit. It takes every check out of the code, one at
a time, and runs the tests. A check is a condition, an operand of one, a value
of a case or of a list, a call that is made for its effect, or the error of a
last call. "Never holds" and "always holds" mean that the condition as a whole came out so, "without" that only this
part was left out. The test that is named failed then: without it, or one like
it, the check could be deleted and nobody would notice. What is accepted without
a test says why.

`
