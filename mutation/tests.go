package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// manySubtests is from where on a test is run subtest by subtest.
const manySubtests = 100

// binary is the test binary of a package.
type binary struct {
	path, dir string
	prefix    string // before its tests' names
	pkg       *pkg
	units     []*unit
}

// unit is a test, or a subtest of one that has many.
type unit struct {
	binary *binary
	name   string // "TestFaults/B6_provider_swap"
	time   time.Duration
	tells  int // how many mutants it can tell from the original
}

func (u *unit) title() string { return u.binary.prefix + u.name }

// slow is a test that waits for real seconds: it comes last.
func (u *unit) slow() bool { return u.time > 2*time.Second }

// pattern is what -test.run gets to run these units alone.
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

// run is what became of a run of some units.
type run struct {
	failed bool
	hung   bool
	names  []string // of the tests that failed, or had not ended
	output []byte
}

var (
	failLine = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+) \(`)
	passLine = regexp.MustCompile(`(?m)^ *--- (?:PASS|SKIP): (\S+) \((\d+\.\d+)s\)`)
	runLine  = regexp.MustCompile(`(?m)^=== RUN +(\S+)$`)
)

// start runs tests of a binary in a process of their own.
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

// culprits are the tests that failed, or else those that never ended.
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

// list runs all tests once, to see that they pass, how long they take, and
// which have so many subtests that these are taken one by one. It keeps those
// that only, which may be nil, matches.
func (b *binary) list(only *regexp.Regexp) error {
	r := b.start(".", 10*time.Minute)
	if r.failed {
		return fmt.Errorf("the tests of %s fail before anything is changed:\n%s", b.pkg.ImportPath, r.output)
	}
	times := map[string]time.Duration{}
	below := map[string][]string{}
	for _, m := range passLine.FindAllSubmatch(r.output, -1) {
		name := string(m[1])
		seconds, _ := strconv.ParseFloat(string(m[2]), 64)
		times[name] = time.Duration(seconds * float64(time.Second))
		if top, rest, sub := strings.Cut(name, "/"); sub && !strings.ContainsAny(rest, "/|") {
			below[top] = append(below[top], name)
		}
	}
	for name, time := range times {
		switch {
		case strings.Contains(name, "/"):
		case len(below[name]) < manySubtests:
			b.units = append(b.units, &unit{binary: b, name: name, time: time})
		default:
			for _, sub := range below[name] {
				b.units = append(b.units, &unit{binary: b, name: sub, time: times[sub]})
			}
		}
	}
	if only != nil {
		b.units = slices.DeleteFunc(b.units, func(u *unit) bool { return !only.MatchString(u.title()) })
	}
	slices.SortFunc(b.units, func(x, y *unit) int { return strings.Compare(x.name, y.name) })
	return nil
}

// record runs a unit alone and notes it with every mutant that it can tell
// from the original: where the changed check, in this test, came out otherwise.
func (u *unit) record(dir string, n int) ([]int, error) {
	file := filepath.Join(dir, fmt.Sprintf("record-%d", n))
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	r := u.binary.start(pattern([]*unit{u}), 5*time.Minute, "MUTANT_RECORD="+file)
	if r.failed {
		r = u.binary.start(pattern([]*unit{u}), 5*time.Minute, "MUTANT_RECORD="+file)
	}
	if r.failed {
		return nil, fmt.Errorf("%s fails when it is run alone, and proves nothing:\n%s", u.title(), r.output)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var ids []int
	for line := range strings.FieldsSeq(string(text)) {
		id, err := strconv.Atoi(line)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
