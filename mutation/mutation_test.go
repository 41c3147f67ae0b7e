package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// door runs the program on the fixture and the tests that match patterns, with its files in dir.
func door(t *testing.T, dir string, tests ...string) (ok bool, table, said string) {
	t.Helper()
	var lines strings.Builder
	j := job{
		dir: "testdata/fixture", packages: []string{"."}, tests: tests, workers: 2, wait: 2 * time.Second,
		table: filepath.Join(dir, "table.md"), accepted: filepath.Join(dir, "accepted.txt"), ignored: filepath.Join(dir, "ignored.txt"),
		say: func(format string, args ...any) { fmt.Fprintf(&lines, format+"\n", args...) },
	}
	write(t, j.ignored, "# signs\nGreet*\n")
	ok, err := j.do()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(j.table)
	if err != nil {
		t.Fatal(err)
	}
	return ok, string(text), lines.String()
}

// rows returns the rows in a table's last part, without the columns that are the same in all.
func rows(table string) []string {
	_, table, _ = strings.Cut(table, "\n## ")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	return lines[4:]
}

// The changes that the fixture's tests catch, and those that survive.
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
	ok, table, said := door(t, dir, ".")
	if ok || !strings.Contains(said, "16 changes; 6 complaints") || !strings.Contains(said, "check: if g.Age < 18\nchange: never holds") {
		t.Errorf("survivors are not told about: %v %s", ok, said)
	}
	if !strings.Contains(table, "| door.go | 16 | 9 | 1 | 6 |") {
		t.Errorf("the totals are wrong:\n%s", table)
	}
	if got := rows(table); !slices.Equal(got, proved) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(proved, "\n"))
	}
	// Now the survivors are accepted; nothing else changes.
	accept(t, dir, table)
	ok, again, said := door(t, dir, ".")
	if !ok {
		t.Errorf("accepted survivors are wrong: %s", said)
	}
	if want := strings.ReplaceAll(table, "**nobody**", "accepted: it is a fixture"); again != want {
		t.Errorf("the second table is\n%s\nwant\n%s", again, want)
	}
}

// accept lists every survivor of the fixture as accepted.
func accept(t *testing.T, dir, table string) {
	t.Helper()
	list := "# what may survive\n\n"
	for _, row := range rows(table) {
		if strings.Contains(row, "**nobody**") {
			cells := strings.Split(strings.ReplaceAll(row, "`", ""), " | ")
			list += fmt.Sprintf("function: %s\ncheck: %s\nchange: %s\nreason: it is a fixture\n\n", strings.TrimPrefix(cells[0], "| "), cells[1], cells[2])
		}
	}
	write(t, filepath.Join(dir, "accepted.txt"), list)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Tests may be in another package than the checks that they prove. Packages that do not use the
// changed ones are omitted, whatever their tests do.
func TestTestsOfOtherPackagesProveChecks(t *testing.T) {
	_, table, said := door(t, t.TempDir(), "./...")
	want := slices.Clone(proved)
	i := slices.IndexFunc(want, func(row string) bool { return strings.Contains(row, "`if g.Age < 18` | never holds") })
	want[i] = strings.Replace(want[i], "**nobody**", "`test/age.TestAge`", 1)
	if got := rows(table); !slices.Equal(got, want) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(said, "16 changes to fixture; looking which of 3 tests could tell") {
		t.Errorf("the tests of the garden were looked at:\n%s", said)
	}
}

// An entry that matches no change, because something was renamed or removed, is an error before the
// run begins, and so is one that matches several.
func TestEntriesThatMatchNothing(t *testing.T) {
	const (
		fits  = "function: Enter\ncheck: if g.Age < 18\nchange: never holds\nreason: r\n"
		again = "function: known\ncheck: if g.Name != \"\"\nchange: always holds\nreason: r\n"
	)
	for name, c := range map[string]struct{ accepted, ignored, want string }{
		"nothing is listed":            {},
		"all match":                    {accepted: fits + "\n" + again, ignored: "Greeting\n# a comment\nfixture: ban*\n"},
		"of this package":              {accepted: "package: fixture\n" + fits},
		"of another package":           {accepted: "package: window\n" + fits, want: "package: window\nfunction: Enter"},
		"another function":             {accepted: strings.Replace(fits, "Enter", "Leave", 1), want: "function: Leave"},
		"another check":                {accepted: strings.Replace(fits, "18", "21", 1), want: "if g.Age < 21"},
		"a renamed variable":           {accepted: strings.Replace(fits, "g.Age", "guest.Age", 1), want: "\nfunction: Enter\ncheck: if g.Age < 18\nchange: never holds\n"},
		"another change":               {accepted: strings.Replace(fits, "never holds", "without g.Age", 1), want: "without g.Age"},
		"ignored, and without a check": {ignored: "greet\n", want: "greet"},
		"ignored in another package":   {ignored: "window: Greeting\n", want: "window: Greeting"},
		"ignored as a part of a name":  {ignored: "Greet\n", want: "Greet"},
		"ignored and accepted":         {accepted: fits, ignored: "Enter\n", want: "function: Enter"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := job{dir: "testdata/fixture", packages: []string{"."}, tests: []string{"."}, workers: 2,
				accepted: filepath.Join(dir, "accepted.txt"), ignored: filepath.Join(dir, "ignored.txt"),
				only: regexp.MustCompile("nothing at all"), say: func(string, ...any) {}}
			write(t, j.accepted, c.accepted)
			write(t, j.ignored, c.ignored)
			_, err := j.do()
			if j.partial = true; c.want != "" {
				if _, err := j.do(); err != nil {
					t.Errorf("with a part of the packages: %v", err)
				}
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestAnEntryForTwoPackagesNamesOne(t *testing.T) {
	in := func(path string) *mutant {
		return &mutant{pkg: &pkg{ImportPath: path}, function: "New", check: "if err != nil", change: "never holds"}
	}
	mutants := []*mutant{in("example.com/seal"), in("example.com/page")}
	entry := &accepted{function: "New", check: "if err != nil", change: "never holds", reason: "r"}
	if err := stale(mutants, nil, []*accepted{entry}); err == nil {
		t.Error("an entry accepts two changes")
	}
	entry.pkg = "seal"
	if err := stale(mutants, nil, []*accepted{entry}); err != nil {
		t.Error(err)
	}
}

// The lists match the sources. A whole run takes hours: this test shows at once that something was
// renamed.
func TestTheListsFitTheSources(t *testing.T) {
	ignore, err := readIgnored("ignored.txt")
	if err != nil || len(ignore) == 0 {
		t.Fatal("ignored.txt:", err)
	}
	accept, err := readAccepted("accepted.txt")
	if err != nil || len(accept) == 0 {
		t.Fatal("accepted.txt:", err)
	}
	pkgs, err := load("..", strings.Fields(changedPackages))
	if err != nil {
		t.Fatal(err)
	}
	if err := stale(find(pkgs, ignore), ignore, accept); err != nil {
		t.Error(err)
	}
}

func TestAnEntryThatIsNoSurvivorIsWrong(t *testing.T) {
	m := &mutant{pkg: &pkg{ImportPath: "example.com/a"}, function: "f", check: "if x", change: "never holds", outcome: caught}
	entry := &accepted{function: "f", check: "if x", change: "never holds", reason: "r"}
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
		"function: f\ncheck: if a: b\nchange: never holds\nreason: r\n":          true,
		"package: a\nfunction: f\ncheck: if a\nchange: never holds\nreason: r\n": true,
		"package: a\nfunction: f\ncheck: if a\nchange: never holds\n":            false,
		"function: f\nline: 7\n": false,
		"file: a.go\nfunction: f\ncheck: if a\nchange: never holds\nreason: r\n": false,
	} {
		write(t, name, text)
		if _, err := readAccepted(name); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
