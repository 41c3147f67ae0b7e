package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ginauth/ginauth/bench/internal/report"
)

// sample is what one run of a benchmark reported, by unit.
type sample map[string]float64

// round is one sample of everything, by name. All ratios are taken inside a
// round: machines are faster and slower by the minute.
type round map[string]sample

// has says whether all of these were measured.
func (r round) has(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return r[name] == nil })
}

// kinds are the benchmarks that it is of.
func (r round) kinds() []string {
	var kinds []string
	for name := range r {
		kind, _, _ := strings.Cut(name, "/")
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// meter runs benchmarks, each in a process of its own.
type meter struct {
	dir    string
	each   time.Duration
	names  []string
	titles map[string]string
	busy   string // what else the machine did
}

// newMeter builds the benchmarks and asks them what there is.
func newMeter(each time.Duration) (*meter, error) {
	dir, err := os.MkdirTemp("", "ginauth-bench-")
	if err != nil {
		return nil, err
	}
	m := &meter{dir: dir, each: each, titles: map[string]string{}, busy: report.Busy()}
	build := exec.Command("go", "test", "-c", "-o", m.binary(), ".")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		m.close()
		return nil, err
	}
	list := exec.Command(m.binary())
	list.Env = append(os.Environ(), "GINAUTH_BENCH_CHILD=list")
	out, err := list.Output()
	if err != nil {
		m.close()
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		name, title, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if !strings.HasPrefix(name, "Parallel/") {
			m.add(name, title)
			continue
		}
		m.add(name+"@1", title)
		m.add(name+"@2", title)
	}
	return m, nil
}

func (m *meter) add(name, title string) {
	if _, there := m.titles[name]; !there {
		m.names = append(m.names, name)
	}
	m.titles[name] = title
}

func (m *meter) binary() string { return filepath.Join(m.dir, "bench.test") }

func (m *meter) close() { _ = os.RemoveAll(m.dir) }

func (m *meter) all() []string { return slices.Clone(m.names) }

// rounds measures everything that is wanted, and then again.
func (m *meter) rounds(n int, wanted []string) ([]round, error) {
	var all []round
	for i := range n {
		start := time.Now()
		r := round{}
		for _, name := range wanted {
			s, err := m.measure(name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			r[name] = s
		}
		all = append(all, r)
		fmt.Fprintf(os.Stderr, "round %d of %d: %d measurements, %s\n", i+1, n, len(wanted), time.Since(start).Round(time.Second))
	}
	return all, nil
}

// measure runs one benchmark. Requests are measured on one core, which then
// also collects their garbage; whatever talks to another process, on all.
func (m *meter) measure(name string) (sample, error) {
	bench, cores, _ := strings.Cut(name, "@")
	switch {
	case strings.HasPrefix(name, "Request/"), strings.HasPrefix(name, "Beside/"):
		cores = "1"
	case cores == "":
		cores = strconv.Itoa(runtime.NumCPU())
	}
	length := m.each.String()
	switch {
	case name == "Revocations":
		length = "1x"
	case strings.HasPrefix(name, "Socket/"), strings.HasPrefix(name, "SignIn/"), strings.HasPrefix(name, "Tokens/"): // two processes and the kernel
		length = (3 * m.each).String()
	}
	pattern := "^Benchmark" + strings.ReplaceAll(bench, "/", "$/^") + "$"
	cmd := exec.Command(m.binary(), "-test.run=^$", "-test.bench="+pattern, "-test.benchtime="+length, "-test.cpu="+cores)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, out, stderr.String())
	}
	result, err := report.Parse(string(out))
	return sample(result), err
}

// over is a quantity in each round.
func over(all []round, q quantity) []float64 {
	values := make([]float64, len(all))
	for i, r := range all {
		values[i] = q(r.get)
	}
	return values
}

// get is one number of a round. What was not measured is a mistake in here.
func (r round) get(name, unit string) float64 {
	v, ok := r[name][unit]
	if !ok {
		panic(fmt.Sprintf("%s has no %s", name, unit))
	}
	return v
}
