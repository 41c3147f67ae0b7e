// Command compare measures ginauth beside what people would use in its place,
// and writes the tables of docs/performance.md and the README, and the baseline
// that later runs are compared with.
//
//	./run.sh compare             # ten rounds, half an hour of a quiet machine
//	./run.sh compare -check      # three short ones: fails where it got worse
//	./run.sh compare -only limit # what matches, without writing anything
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

func main() {
	check := flag.Bool("check", false, "compare with the targets and the baseline, and write nothing")
	rounds := flag.Int("rounds", 0, "how often to measure everything: 10, or 3 with -check")
	each := flag.Duration("time", 0, "how long to measure one thing: 1s, or 150ms with -check")
	only := flag.String("only", "", "what to measure: a regular expression; nothing is written without -write")
	writes := flag.Bool("write", false, "with -only: write the tables of which everything was measured")
	flag.Parse()
	usual, length := 10, time.Second
	if *check {
		usual, length = 3, 150*time.Millisecond
	}
	if *rounds == 0 {
		*rounds = usual
	}
	if *each == 0 {
		*each = length
	}
	if err := run(*check, *rounds, *each, *only, *writes); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(check bool, rounds int, each time.Duration, only string, writes bool) error {
	m, err := newMeter(each)
	if err != nil {
		return err
	}
	defer m.close()
	wanted := m.all()
	if check {
		wanted = needs(targets)
	}
	if only != "" {
		if wanted, err = matching(wanted, only); err != nil {
			return err
		}
	}
	all, err := m.rounds(rounds, wanted)
	switch {
	case err != nil:
		return err
	case only != "" && !writes:
		fmt.Print(raw(all, wanted))
		return nil
	case check:
		return judge(m, all)
	}
	return write(m, all)
}

func matching(names []string, pattern string) (found []string, err error) {
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if expression.MatchString(name) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing matches %q", pattern)
	}
	return found, nil
}
