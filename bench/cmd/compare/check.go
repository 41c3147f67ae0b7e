package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ginauth/ginauth/bench/internal/report"
)

// room is how much worse a ratio may be than it was.
const room = 1.25

// again is how many more rounds decide about what failed.
const again = 7

// baselineFile has the numbers of the last full run.
const baselineFile = "baseline.json"

// baseline is what later runs are compared with.
type baseline struct {
	Machine string             `json:"machine"`
	Rounds  int                `json:"rounds"`
	Values  map[string]float64 `json:"values"` // by the names of the targets, as they are shown
	Judged  map[string]float64 `json:"judged"` // and as they are compared
}

// take puts in what was measured.
func (b *baseline) take(all []round) {
	b.Machine, b.Rounds = report.Machine(), len(all)
	for i, t := range targets {
		if all[0].has(needs(targets[i : i+1])) {
			b.Values[t.name], b.Judged[t.name] = report.Median(over(all, t.of)), report.Median(over(all, t.judged()))
		}
	}
}

func (b baseline) write() error {
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(baselineFile, append(text, '\n'), 0o644)
}

func readBaseline() (b baseline, err error) {
	text, err := os.ReadFile(baselineFile)
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("%s: %w", baselineFile, err)
	}
	return b, nil
}

// complete says which targets the baseline does not know, and how to measure them.
func (b baseline) complete() error {
	var missing []target
	var names []string
	for _, t := range targets {
		if b.Values[t.name] == 0 || b.Judged[t.name] == 0 {
			missing, names = append(missing, t), append(names, t.name)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("%s does not know %q: on a quiet machine, make a full run, or\n./run.sh compare -only '^(%s)$' -write", baselineFile, names, strings.Join(needs(missing), "|"))
}

// judge fails if something got worse. Machines that do other things too give
// odd numbers now and then: what fails is measured again, alone, and fails if
// it fails again.
func judge(m *meter, all []round) error {
	base, err := readBaseline()
	if err != nil {
		return err
	}
	if err := base.complete(); err != nil {
		return err
	}
	var failed []string
	for i := range targets {
		t, rounds := &targets[i], all
		verdict := t.verdict(rounds, base)
		if verdict != "" {
			fmt.Printf("%s: %s; once more\n", t.name, verdict)
			if rounds, err = m.rounds(again, needs(targets[i:i+1])); err != nil {
				return err
			}
			verdict = t.verdict(rounds, base)
		}
		fmt.Println(t.line(rounds, base, verdict))
		if verdict != "" {
			failed = append(failed, t.name+": "+verdict)
		}
	}
	if failed != nil {
		return errors.New("this got worse:\n" + strings.Join(failed, "\n"))
	}
	return nil
}

// line is what the check prints of a target.
func (t *target) line(all []round, base baseline, verdict string) string {
	mark := "ok"
	if verdict != "" {
		mark = "FAILED"
	}
	return fmt.Sprintf("%-6s  %-64s %9s %-5s  target %-12s  baseline %s", mark, strings.ReplaceAll(t.name, "`", ""),
		report.Number(report.Median(over(all, t.of))), t.unit, t.wanted(), report.Number(base.Values[t.name]))
}

// verdict is what is wrong, or "".
func (t *target) verdict(all []round, base baseline) string {
	is, was := report.Median(over(all, t.judged())), base.Judged[t.name]
	most, least := was*room, was/room
	switch {
	case t.count:
		most = max(t.most, was*1.02) // room for what was allocated once in the whole run
	case t.guard != nil: // a time may be what it is to be, in terms of a time of this run
		most = max(most, t.most*was/base.Values[t.name])
	}
	switch {
	case t.most != 0 && is > most:
		return fmt.Sprintf("%.3g, and was %.3g: more than %.3g", is, was, most)
	case t.least != 0 && is < least:
		return fmt.Sprintf("%.3g, and was %.3g: less than %.3g", is, was, least)
	}
	return ""
}
