package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// manySubtests is the number of subtests from which on a test is run subtest by subtest.
const manySubtests = 100

// binary is the test binary of a package.
type binary struct {
	path, dir string
	prefix    string // before its tests' names
	pkg       string // the package's path
}

// unit is a test, or a subtest of one that has many.
type unit struct {
	binary *binary
	name   string // "TestFaultsLoginState/B6_provider_swap"
	time   time.Duration
	tells  int // number of mutants that it can distinguish from the original
}

func (u *unit) title() string { return u.binary.prefix + u.name }

// slow reports whether the test takes longer than five seconds, like tests that wait. It is run last.
func (u *unit) slow() bool { return u.time > 5*time.Second }

// pattern returns the value of -test.run that selects only these units.
func pattern(units []*unit) string {
	var all []string
	for _, u := range units {
		parts := strings.Split(u.name, "/")
		for i, part := range parts {
			parts[i] = "^" + regexp.QuoteMeta(part) + "$"
		}
		all = append(all, strings.Join(parts, "/"))
	}
	return strings.Join(all, "|")
}

// run is the result of running some units.
type run struct {
	failed bool
	hung   bool
	names  []string // of the tests that failed or did not end
	output []byte
}

var (
	failLine = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+) \(`)
	passLine = regexp.MustCompile(`(?m)^ *--- (?:PASS|SKIP): (\S+) \(`)
	runLine  = regexp.MustCompile(`(?m)^=== RUN +(\S+)$`)
)

// start runs tests of a binary in a separate process.
func (b *binary) start(pattern string, limit time.Duration, env ...string) run {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, "-test.run="+pattern, "-test.v", "-test.failfast", "-test.paniconexit0", "-test.timeout=0")
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	r := run{failed: err != nil, hung: errors.Is(ctx.Err(), context.DeadlineExceeded), output: out.Bytes()}
	if r.failed {
		r.names = culprits(out.Bytes())
	}
	return r
}

// culprits returns the tests that failed or, if there are none, those that did not end.
func culprits(output []byte) (names []string) {
	for _, m := range failLine.FindAllSubmatch(output, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) > 0 {
		return names
	}
	ended := map[string]bool{}
	for _, m := range passLine.FindAllSubmatch(output, -1) {
		ended[string(m[1])] = true
	}
	for _, m := range runLine.FindAllSubmatch(output, -1) {
		if name := string(m[1]); !ended[name] {
			names = append(names, name)
		}
	}
	return names
}

// list returns the tests of a binary that match only, which may be nil.
func (b *binary) list(only *regexp.Regexp) ([]*unit, error) {
	cmd := exec.Command(b.path, "-test.list=.")
	cmd.Dir = b.dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests of %s: %w", b.pkg, err)
	}
	var units []*unit
	for name := range strings.FieldsSeq(string(out)) {
		u := &unit{binary: b, name: name}
		if !strings.HasPrefix(name, "Benchmark") && (only == nil || only.MatchString(u.title())) {
			units = append(units, u)
		}
	}
	return units, nil
}

// subtests returns the units of a test with many subtests, from the output of its run.
func (u *unit) subtests(output []byte) (list []*unit) {
	if !strings.HasPrefix(u.name, "Test") {
		return nil // the seeds of a fuzz target test the same
	}
	for _, m := range runLine.FindAllSubmatch(output, -1) {
		name := string(m[1])
		if rest, ok := strings.CutPrefix(name, u.name+"/"); ok && !strings.ContainsAny(rest, "/|") {
			list = append(list, &unit{binary: u.binary, name: name})
		}
	}
	if len(list) < manySubtests {
		return nil
	}
	return list
}

// record runs a unit alone and returns the mutants that it can distinguish from the original: those
// whose changed check has another result in this test. For a test with many subtests, it returns the
// subtests instead.
func (u *unit) record(dir string) (ids []int, subtests []*unit, err error) {
	f, err := os.CreateTemp(dir, "record")
	if err != nil {
		return nil, nil, err
	}
	defer os.Remove(f.Name())
	f.Close()
	began := time.Now()
	r := u.binary.start(pattern([]*unit{u}), 5*time.Minute, "MUTANT_RECORD="+f.Name())
	u.time = time.Since(began)
	if subtests := u.subtests(r.output); subtests != nil {
		return nil, subtests, nil
	}
	if r.failed {
		return nil, nil, fmt.Errorf("%s fails when it is run alone, and proves nothing:\n%.4000s", u.title(), r.output)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.FieldsSeq(string(text)) {
		id, err := strconv.Atoi(line)
		if err != nil {
			return nil, nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil, nil
}
