// Command grow measures how the cost of a guarded request, and memory, grow with users,
// revocations and providers, and what a second process brings. It writes the numbers into
// growth.json, and draws them for docs/performance.md.
//
//	./run.sh grow                  # five rounds: a quarter of an hour of a quiet machine
//	./run.sh grow -only processes  # what matches; the other numbers stay
//	./run.sh grow -draw            # the pictures, from growth.json
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/ginauth/ginauth/bench/internal/growth"
	"github.com/ginauth/ginauth/bench/internal/report"
)

const (
	dataFile = "growth.json"
	pictures = "../docs/images"
)

// data is what was measured: by subject and size.
type data struct {
	Machine string           `json:"machine"`
	Busy    string           `json:"busy"`
	Values  map[string]value `json:"values"`
}

// value is the median of some rounds, by unit.
type value struct {
	Rounds  int           `json:"rounds"`
	Medians report.Result `json:"medians"`
}

func main() {
	rounds := flag.Int("rounds", 5, "how often to measure everything")
	each := flag.Duration("time", 500*time.Millisecond, "how long to measure one thing")
	only := flag.String("only", "", "what to measure: a regular expression")
	draw := flag.Bool("draw", false, "measure nothing")
	flag.Parse()
	if err := run(*rounds, *each, *only, *draw); err != nil {
		fmt.Fprintln(os.Stderr, "grow:", err)
		os.Exit(1)
	}
}

func run(rounds int, each time.Duration, only string, draw bool) error {
	d, err := read()
	if err != nil {
		return err
	}
	if !draw {
		if err := d.measure(rounds, each, only); err != nil {
			return err
		}
		if err := d.write(); err != nil {
			return err
		}
	}
	if err := d.complete(); err != nil {
		return err
	}
	for name, picture := range d.pictures() {
		if err := os.WriteFile(filepath.Join(pictures, name), []byte(picture), 0o644); err != nil {
			return err
		}
	}
	return report.Replace(report.Performance, "growth", d.text())
}

// names are the benchmarks, in the order in which they are run.
func names() (all []string) {
	for _, s := range []growth.Subject{growth.Users, growth.Marks, growth.Providers} {
		for _, n := range s.Sizes {
			all = append(all, fmt.Sprintf("%s/%d", s.Name, n))
		}
	}
	for _, a := range growth.Applications {
		all = append(all, "processes/"+a[0])
	}
	return all
}

// measure runs those benchmarks that match in rounds, each in a process of its own.
func (d *data) measure(rounds int, each time.Duration, only string) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ginauth-grow-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d.Machine, d.Busy = report.Machine(), report.Busy()
	binary := filepath.Join(dir, "bench.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	all := map[string][]report.Result{}
	for i := range rounds {
		start := time.Now()
		for _, name := range names() {
			if !wanted.MatchString(name) {
				continue
			}
			result, err := once(binary, name, each)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all[name] = append(all[name], result)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", i+1, rounds, time.Since(start).Round(time.Second))
	}
	for name, results := range all {
		d.Values[name] = value{rounds, medians(results)}
	}
	return nil
}

// once runs a benchmark on one core, which then also collects its garbage.
func once(binary, name string, each time.Duration) (report.Result, error) {
	pattern := "^BenchmarkGrowth$/^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	cmd := exec.Command(binary, "-test.run=^$", "-test.bench="+pattern, "-test.benchtime="+each.String(), "-test.cpu=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s%s", err, out, stderr.String())
	}
	return report.Parse(string(out))
}

// medians are those of what the plots show: how long the benchmark ran is not.
func medians(results []report.Result) report.Result {
	m := report.Result{}
	for _, unit := range []string{growth.Floors, growth.Memory, growth.Single, growth.Double, growth.Factors} {
		var values []float64
		for _, r := range results {
			if v, there := r[unit]; there {
				values = append(values, v)
			}
		}
		if values != nil {
			m[unit] = report.Median(values)
		}
	}
	return m
}

func (d *data) write() error {
	text, err := json.MarshalIndent(d, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(dataFile, append(text, '\n'), 0o644)
}

// read reads the data that is there.
func read() (*data, error) {
	d := &data{Values: map[string]value{}}
	text, err := os.ReadFile(dataFile)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("%s: %w", dataFile, err)
	}
	return d, nil
}

// complete says what was not measured yet.
func (d *data) complete() error {
	for _, name := range names() {
		if d.Values[name].Rounds == 0 {
			return fmt.Errorf("%s does not know %s: measure it", dataFile, name)
		}
	}
	return nil
}
