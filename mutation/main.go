// Program mutation proves that every check has a test: it changes the checks one at a time, runs the
// tests that could fail, and records which of them did. See README.md.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// job has the settings of a run.
type job struct {
	dir      string         // of the module whose checks are changed
	packages []string       // patterns: whose checks are changed
	tests    []string       // patterns: whose tests are run
	table    string         // the file for the result
	accepted string         // the file of mutants that may survive
	ignored  string         // the file of functions whose checks are left alone
	partial  bool           // the packages are only a part of those in the lists
	only     *regexp.Regexp // of mutants; nil for all
	run      *regexp.Regexp // of tests; nil for all
	keep     string         // the directory with the state of an interrupted run; "" for none
	workers  int
	wait     time.Duration // for a hanging test, in addition to its normal time
	limit    time.Duration // after which no further change is tried; 0 for none
	most     int           // number of tests to try for each change; 0 for all
	say      func(format string, args ...any)
}

// The packages of the module that are changed by default.
const (
	changedPackages = ". ./internal/..."
	testPackages    = "./..."
)

func main() {
	j := job{say: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}
	var packages, tests, only, run string
	flag.StringVar(&j.dir, "dir", "..", "directory of the module")
	flag.StringVar(&packages, "packages", changedPackages, "packages whose checks are changed; with others than these, no table is written")
	flag.StringVar(&tests, "tests", testPackages, "packages whose tests are run")
	flag.StringVar(&j.table, "table", "RESULTS.md", "file that the result is written to")
	flag.StringVar(&j.accepted, "accepted", "accepted.txt", "file of what may survive")
	flag.StringVar(&j.ignored, "ignored", "ignored.txt", "file of functions whose checks are left alone")
	flag.StringVar(&only, "only", "", "regular expression: change only checks whose \"file function: check: change\" it matches, and write no table")
	flag.StringVar(&run, "run", "", "regular expression: run only tests that it matches, and write no table")
	flag.IntVar(&j.workers, "workers", 2, "processes at a time")
	flag.StringVar(&j.keep, "keep", "", "directory that keeps what was built and found out, for runs with the same sources")
	flag.IntVar(&j.most, "most", 0, "try a change against that many tests at most, and leave it open if they do not notice; for a first look")
	flag.DurationVar(&j.limit, "limit", 0, "begin nothing more after this time; with -keep the next run goes on from there")
	flag.DurationVar(&j.wait, "wait", 20*time.Second, "how long to wait for a test that does not end, beside the time that it takes")
	flag.Parse()
	j.packages, j.tests, j.partial = strings.Fields(packages), strings.Fields(tests), packages != changedPackages
	if only != "" {
		j.only = regexp.MustCompile(only)
	}
	if run != "" {
		j.run = regexp.MustCompile(run)
	}
	ok, err := j.do()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if !ok {
		os.Exit(1)
	}
}

// do runs the job, and reports whether every mutant is caught or accepted.
func (j *job) do() (ok bool, err error) {
	list, err := readAccepted(j.accepted)
	if err != nil {
		return false, err
	}
	ignore, err := readIgnored(j.ignored)
	if err != nil {
		return false, err
	}
	before, err := readTable(j.table)
	if err != nil {
		return false, err
	}
	dir := j.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "mutation"); err != nil {
			return false, err
		}
		defer os.RemoveAll(dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	early, err := readHints(dir)
	if err != nil {
		return false, err
	}
	maps.Copy(early.tests, before)
	mutants, sources, err := j.prepare(dir, ignore, list)
	if err != nil {
		return false, err
	}
	chosen := j.choose(mutants)
	for _, m := range mutants {
		early.add(m) // the outcome of an earlier run with the same sources
	}
	j.hunt(chosen, early, list)
	if err := early.write(); err != nil {
		return false, err
	}
	if err := keep(sources, mutants).write(dir); err != nil {
		return false, err
	}
	if !j.partial && j.only == nil && j.run == nil && !slices.ContainsFunc(mutants, func(m *mutant) bool { return m.outcome == open }) {
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

// hunt searches for tests that catch the mutants, several at a time.
func (j *job) hunt(mutants []*mutant, early *hints, list []*accepted) {
	todo := slices.DeleteFunc(slices.Clone(mutants), func(m *mutant) bool { return m.outcome != open })
	var done atomic.Int64
	stop := time.Now().Add(j.limit)
	inParallel(j.workers, len(todo), func(i int) {
		m := todo[i]
		if j.limit > 0 && time.Now().After(stop) {
			return
		}
		m.hunt(early.of(m), j.wait, j.most)
		early.add(m)
		if m.alive() && m.excuse(list) == nil {
			j.say("%s", m)
		}
		if n := done.Add(1); n%100 == 0 {
			j.say("%d of %d", n, len(todo))
			if err := early.write(); err != nil {
				j.say("%v", err)
			}
		}
	})
}

// prepare finds the mutants, builds the tests, and records which test can distinguish which mutant,
// or takes that over from an earlier run. It fails if the lists do not match the sources.
func (j *job) prepare(dir string, ignore []*ignored, list []*accepted) (mutants []*mutant, sources string, err error) {
	if sources, err = hashSources(j.dir); err != nil {
		return nil, "", err
	}
	sources += fmt.Sprint(j.packages, j.tests, j.run)
	earlier, err := readKept(dir, sources)
	if err != nil {
		return nil, "", err
	}
	pkgs, err := load(j.dir, j.packages)
	if err != nil {
		return nil, "", err
	}
	mutants = find(pkgs, ignore)
	if err := stale(mutants, ignore, list); err != nil && !j.partial {
		return nil, "", err
	}
	binaries, err := listTests(j.dir, j.tests, pkgs, dir)
	if err != nil {
		return nil, "", err
	}
	if earlier != nil {
		earlier.apply(mutants, binaries)
		return mutants, sources, nil
	}
	overlay, err := rewrite(pkgs, mutants, dir)
	if err != nil {
		return nil, "", err
	}
	if err := build(binaries, overlay); err != nil {
		return nil, "", err
	}
	var units []*unit
	for _, b := range binaries {
		some, err := b.list(j.run)
		if err != nil {
			return nil, "", err
		}
		units = append(units, some...)
	}
	j.say("%d changes to %s; looking which of %d tests could tell", len(mutants), filepath.Base(pkgs[0].Module.Path), len(units))
	if err := cover(units, mutants, dir, j.workers); err != nil {
		j.say("%v", err)
	}
	return mutants, sources, keep(sources, mutants).write(dir)
}

// choose returns the selected mutants.
func (j *job) choose(mutants []*mutant) (chosen []*mutant) {
	for _, m := range mutants {
		if j.only == nil || j.only.MatchString(m.file+" "+m.function+": "+m.check+": "+m.change) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// about returns the entries that match these mutants.
func about(list []*accepted, mutants []*mutant) (some []*accepted) {
	for _, m := range mutants {
		if a := m.excuse(list); a != nil {
			some = append(some, a)
		}
	}
	return some
}
