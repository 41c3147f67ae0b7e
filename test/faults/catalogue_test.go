package faults

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	catalogueRow = regexp.MustCompile(`(?m)^\| ([A-S])([1-9][0-9]*) \|.*\| ([^|]+) \|$`)
	rowName      = regexp.MustCompile(`^([A-S][1-9][0-9]*)_[a-z0-9_]+$`)
	inBackticks  = regexp.MustCompile("`([^`]+)`")
)

// testedRows returns the files that have a fault for each row of the catalogue.
func testedRows(t *testing.T) map[string][]string {
	t.Helper()
	names, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || len(lit.Elts) != 2 {
				return true
			}
			text, ok := lit.Elts[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			fault, _ := strconv.Unquote(text.Value)
			if m := rowName.FindStringSubmatch(fault); m != nil && !slices.Contains(rows[m[1]], name) {
				rows[m[1]] = append(rows[m[1]], name)
			}
			return true
		})
	}
	if len(rows) < 250 {
		t.Fatalf("%d rows are tested: the test checks the wrong thing", len(rows))
	}
	return rows
}

// Every row of CATALOGUE.md is tested in the file that it names, or has a reason why not; and
// every fault is a row.
func TestTheCatalogueIsTested(t *testing.T) {
	text, err := os.ReadFile("CATALOGUE.md")
	if err != nil {
		t.Fatal(err)
	}
	tested := testedRows(t)
	number := map[string]int{}
	counts := map[string]int{}
	for _, m := range catalogueRow.FindAllStringSubmatch(string(text), -1) {
		row, status := m[1]+m[2], m[3]
		if number[m[1]]++; fmt.Sprint(number[m[1]]) != m[2] {
			t.Errorf("%s is row %d of its area", row, number[m[1]])
		}
		files := tested[row]
		delete(tested, row)
		switch reason, _, _ := strings.Cut(status, " "); {
		case reason == "waits" || reason == "dropped:":
			counts[reason]++
			if files != nil {
				t.Errorf("%s is tested in %v, and the catalogue says %q", row, files, status)
			}
		default:
			var listed []string
			for _, file := range inBackticks.FindAllStringSubmatch(status, -1) {
				if !strings.Contains(file[1], "/") {
					listed = append(listed, file[1])
				} else if _, err := os.Stat(file[1]); err != nil {
					t.Errorf("%s: %v", row, err)
				}
			}
			counts["tested"]++
			if slices.Sort(files); !slices.Equal(listed, files) || status == "" {
				t.Errorf("%s is tested in %v, and the catalogue says %q", row, files, status)
			}
		}
	}
	for row, files := range tested {
		t.Errorf("%s of %v is not in the catalogue", row, files)
	}
	if counts["tested"] < 250 {
		t.Errorf("%d rows of the catalogue are tested: the test checks the wrong thing", counts["tested"])
	}
	t.Logf("%v", counts)
}
