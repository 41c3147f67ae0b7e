package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// door runs the program over the fixture, with its files in dir.
func door(t *testing.T, dir string) (ok bool, table, said string) {
	t.Helper()
	var lines strings.Builder
	j := job{
		dir: "testdata/fixture", packages: []string{"."}, workers: 2, wait: 2 * time.Second,
		table: filepath.Join(dir, "table.md"), accepted: filepath.Join(dir, "accepted.txt"),
		say: func(format string, args ...any) { fmt.Fprintf(&lines, format+"\n", args...) },
	}
	ok, err := j.run()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(j.table)
	if err != nil {
		t.Fatal(err)
	}
	return ok, string(text), lines.String()
}

// rows are the lines of a table's last part, without what is the same in all.
func rows(table string) []string {
	_, table, _ = strings.Cut(table, "\n## ")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	return lines[4:]
}

// What the fixture's tests are known to notice, and what not.
var proved = []string{
	"| `Enter` | `if g == nil \\|\\| g.Ticket == \"\"` | always holds | `TestGuests` |",
	"| `Enter` | `if g == nil \\|\\| g.Ticket == \"\"` | without `g == nil` | `TestTicket` |",
	"| `Enter` | `if g == nil \\|\\| g.Ticket == \"\"` | without `g.Ticket == \"\"` | `TestTicket` |",
	"| `Enter` | `if g.Age < 18` | never holds | **nobody** |",
	"| `Enter` | `if g.Age < 18` | always holds | `TestGuests` |",
	"| `Enter` | `return known(g)` | its error is dropped | `TestGuests` |",
	"| `known` | `greet(g)` | left out | `TestGuests` |",
	"| `known` | `switch g.Name { case \"mallory\", \"eve\" }` | without `\"mallory\"` | **nobody** |",
	"| `known` | `switch g.Name { case \"mallory\", \"eve\" }` | without `\"eve\"` | `TestGuests` |",
	"| `known` | `if g.Name != \"\"` | never holds | `TestGuests` (does not end) |",
	"| `known` | `if g.Name != \"\"` | always holds | **nobody** |",
	"| `known` | `if banned(g)` | never holds | **nobody** |",
	"| `known` | `if banned(g)` | always holds | `TestGuests` |",
	"| `banned` | `return g.banned && g.Age > 0` | never holds | **nobody** |",
	"| `banned` | `return g.banned && g.Age > 0` | without `g.banned` | `TestGuests` |",
	"| `banned` | `return g.banned && g.Age > 0` | without `g.Age > 0` | **nobody** |",
}

func TestWhatIsProvedAndWhatIsNot(t *testing.T) {
	dir := t.TempDir()
	ok, table, said := door(t, dir)
	if ok || !strings.Contains(said, "16 changes; 6 complaints") || !strings.Contains(said, "check: if g.Age < 18\nchange: never holds") {
		t.Errorf("survivors are not told about: %v %s", ok, said)
	}
	if !strings.Contains(table, "| door.go | 16 | 9 | 1 | 6 |") {
		t.Errorf("the totals are wrong:\n%s", table)
	}
	if got := rows(table); !slices.Equal(got, proved) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(proved, "\n"))
	}
	// The survivors are accepted now; nothing else changes.
	accept(t, dir, table)
	ok, again, said := door(t, dir)
	if !ok {
		t.Errorf("accepted survivors are wrong: %s", said)
	}
	if want := strings.ReplaceAll(table, "**nobody**", "accepted: it is a fixture"); again != want {
		t.Errorf("the second table is\n%s\nwant\n%s", again, want)
	}
}

// accept lists every survivor of the fixture as one that may live.
func accept(t *testing.T, dir, table string) {
	t.Helper()
	list := "# what may survive\n\n"
	for _, row := range rows(table) {
		if strings.Contains(row, "**nobody**") {
			cells := strings.Split(strings.ReplaceAll(row, "`", ""), " | ")
			list += fmt.Sprintf("file: door.go\nfunction: %s\ncheck: %s\nchange: %s\nreason: it is a fixture\n\n", strings.TrimPrefix(cells[0], "| "), cells[1], cells[2])
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "accepted.txt"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnEntryThatIsNoSurvivorIsWrong(t *testing.T) {
	m := &mutant{file: "a.go", function: "f", check: "if x", change: "never holds", outcome: caught}
	entry := &accepted{file: "a.go", function: "f", check: "if x", change: "never holds", reason: "r"}
	if wrong := judge([]*mutant{m}, []*accepted{entry}); len(wrong) != 1 {
		t.Errorf("the mutant is caught, and its entry still accepted: %q", wrong)
	}
	m.outcome = survived
	if wrong := judge([]*mutant{m}, []*accepted{entry}); len(wrong) != 0 {
		t.Errorf("the mutant is accepted, and yet wrong: %q", wrong)
	}
}

func TestTheListOfWhatMaySurvive(t *testing.T) {
	name := filepath.Join(t.TempDir(), "accepted.txt")
	for text, ok := range map[string]bool{
		"":          true,
		"# words\n": true,
		"file: a\nfunction: f\ncheck: if a: b\nchange: never holds\nreason: r\n": true,
		"file: a\nfunction: f\ncheck: if a\nchange: never holds\n":               false,
		"file: a\nfunction: f\nline: 7\n":                                        false,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readAccepted(name); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
