// Program mutation proves that every check has a test: it changes the checks
// one at a time, runs the tests that could notice, and writes which of them
// did. See README.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

// job is what to do.
type job struct {
	dir      string         // of the module whose checks are changed
	packages []string       // patterns
	table    string         // the file that the result goes to
	accepted string         // the file of mutants that may survive
	only     *regexp.Regexp // of mutants; nil for all
	tests    *regexp.Regexp // of tests; nil for all
	workers  int
	wait     time.Duration // for a test that does not end, beside its own time
	say      func(format string, args ...any)
}

func main() {
	j := job{say: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}
	var packages, only, tests string
	flag.StringVar(&j.dir, "dir", "..", "directory of the module")
	flag.StringVar(&packages, "packages", ". ./internal/...", "packages whose checks are changed")
	flag.StringVar(&j.table, "table", "../docs/mutation.md", "file that the result is written to")
	flag.StringVar(&j.accepted, "accepted", "accepted.txt", "file of what may survive")
	flag.StringVar(&only, "only", "", "regular expression: change only checks whose \"file function: check: change\" it matches, and write no table")
	flag.StringVar(&tests, "tests", "", "regular expression: run only tests that it matches, and write no table")
	flag.IntVar(&j.workers, "workers", 2, "processes at a time")
	flag.DurationVar(&j.wait, "wait", 20*time.Second, "how long to wait for a test that does not end, beside the time that it takes")
	flag.Parse()
	j.packages = strings.Fields(packages)
	if only != "" {
		j.only = regexp.MustCompile(only)
	}
	if tests != "" {
		j.tests = regexp.MustCompile(tests)
	}
	ok, err := j.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if !ok {
		os.Exit(1)
	}
}

// run does the job, and says whether every mutant is caught or accepted.
func (j *job) run() (ok bool, err error) {
	list, err := readAccepted(j.accepted)
	if err != nil {
		return false, err
	}
	before, err := readTable(j.table)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	mutants, err := j.prepare(dir)
	if err != nil {
		return false, err
	}
	chosen := j.choose(mutants)
	var done atomic.Int64
	inParallel(j.workers, len(chosen), func(i int) {
		chosen[i].hunt(before[chosen[i].row()], j.wait)
		if chosen[i].alive() && chosen[i].excuse(list) == nil {
			j.say("%s", chosen[i])
		}
		if n := done.Add(1); n%100 == 0 {
			j.say("%d of %d", n, len(chosen))
		}
	})
	if j.only == nil && j.tests == nil {
		if err := os.WriteFile(j.table, []byte(table(mutants, list)), 0o644); err != nil {
			return false, err
		}
	} else {
		list = about(list, chosen)
	}
	wrong := judge(chosen, list)
	j.say("%d changes; %d complaints\n%s", len(chosen), len(wrong), strings.Join(wrong, "\n"))
	return len(wrong) == 0, nil
}

// prepare finds the mutants, builds the tests, and sees which can tell which.
func (j *job) prepare(dir string) ([]*mutant, error) {
	pkgs, err := load(j.dir, j.packages)
	if err != nil {
		return nil, err
	}
	mutants := find(pkgs)
	overlay, err := rewrite(pkgs, mutants, dir)
	if err != nil {
		return nil, err
	}
	binaries, err := build(pkgs, overlay, dir)
	if err != nil {
		return nil, err
	}
	units := 0
	for _, b := range binaries {
		if err := b.list(j.tests); err != nil {
			return nil, err
		}
		units += len(b.units)
	}
	j.say("%d changes to %s; looking which of %d tests could tell", len(mutants), filepath.Base(pkgs[0].Module.Path), units)
	if err := cover(binaries, mutants, dir, j.workers); err != nil {
		j.say("%v", err)
	}
	return mutants, nil
}

// choose returns the mutants that were asked for.
func (j *job) choose(mutants []*mutant) (chosen []*mutant) {
	for _, m := range mutants {
		if j.only == nil || j.only.MatchString(m.file+" "+m.function+": "+m.check+": "+m.change) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// about returns the entries that speak of these mutants.
func about(list []*accepted, mutants []*mutant) (some []*accepted) {
	for _, m := range mutants {
		if a := m.excuse(list); a != nil {
			some = append(some, a)
		}
	}
	return some
}
