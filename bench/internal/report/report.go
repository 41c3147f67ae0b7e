// Package report writes what was measured into the pages that show it.
package report

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Pages are where results go, from the directory of this module.
const (
	Performance = "../docs/performance.md"
	Load        = "../docs/performance-tables.md"
	Readme      = "../README.md"
)

// Replace puts text between the two comments of that name in a page:
//
//	<!-- begin NAME -->
//	<!-- end NAME -->
func Replace(path, name, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	replaced, err := replaced(string(page), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(replaced), 0o644)
}

// Text returns what stands between these comments.
func Text(path, name string) (string, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(page), "<!-- begin "+name+" -->\n")
	text, _, ok := strings.Cut(rest, "<!-- end "+name+" -->\n")
	if !ok {
		return "", fmt.Errorf("%s: there is no %s", path, name)
	}
	return text, nil
}

func replaced(page, name, text string) (string, error) {
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	before, rest, ok := strings.Cut(page, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("there is no place for %s: it needs the lines %q and %q", name, begin, end)
	}
	return before + begin + strings.TrimRight(text, "\n") + "\n" + end + after, nil
}

// Table writes a table; all columns but the first are numbers.
func Table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	b.WriteString("|---|" + strings.Repeat("---:|", len(head)-1) + "\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

// Machine says where and when a run was made.
func Machine() string {
	return fmt.Sprintf("%s, %d cores, %s %s/%s, %s", CPU(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Now().UTC().Format("2 January 2006"))
}

// CPU is what this machine's processor calls itself.
func CPU() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "unknown processor"
}

// Busy says what else the machine does, before a run begins.
func Busy() string {
	text, err := os.ReadFile("/proc/loadavg")
	load, _, ok := strings.Cut(string(text), " ")
	if err != nil || !ok {
		return "load average unknown"
	}
	return "load average before it: " + load
}

// Result is what a run of a benchmark reported, by unit.
type Result map[string]float64

// Parse reads the one result that a run of a benchmark prints.
func Parse(out string) (Result, error) {
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		r := Result{}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			r[fields[i+1]] = v
		}
		return r, nil
	}
	return nil, errors.New("the benchmark printed no result:\n" + out)
}

// Median of some numbers.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Number writes a number as people read it: three digits that count, and
// thousands apart.
func Number(v float64) string {
	switch {
	case v < 1000 && math.Abs(v-math.Round(v)) < 1e-9:
		return fmt.Sprint(math.Round(v))
	case v >= 1000:
		return thousands(int64(v + 0.5))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
