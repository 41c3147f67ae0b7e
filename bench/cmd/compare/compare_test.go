package main

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/bench/internal/report"
)

// The median of ratios, and not the ratio of medians: a round on a machine that
// is slow for a while counts as any other.
func TestRatiosAreTakenInsideARound(t *testing.T) {
	all := []round{}
	for _, speed := range []float64{1, 2, 7} {
		all = append(all, round{"Request/a": {"cpu-ns/op": 30 * speed}, "Request/b": {"cpu-ns/op": 10 * speed}})
	}
	if got := report.Median(over(all, ratio(spent("a"), spent("b")))); got != 3 {
		t.Error(got)
	}
}

func TestSlope(t *testing.T) {
	get := func(name, _ string) float64 {
		kb := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "Request/ours"), "-"), "k")
		if kb == "" {
			return 1000
		}
		return 1000 + 700*float64(kb[0]-'0')
	}
	if got := slope(get); math.Abs(got-700) > 1e-6 {
		t.Error(got)
	}
}

func TestVerdict(t *testing.T) {
	rounds := func(v float64) []round { return []round{{"x": {"u": v}, "floor": {"u": 2}}} }
	value, floor := of("x", "u"), of("floor", "u")
	base := baseline{Values: map[string]float64{"t": 10}, Judged: map[string]float64{"t": 10}}
	for _, c := range []struct {
		name string
		t    target
		v    float64
		ok   bool
	}{
		{"as it was", target{of: value, most: 12}, 10, true},
		{"a little worse", target{of: value, most: 12}, 12.4, true},
		{"worse by more than a quarter", target{of: value, most: 20}, 12.6, false},
		{"less of what should be much", target{of: value, least: 5}, 7.9, false},
		{"much less of what should be little", target{of: value, most: 12}, 1, true},
		{"a count up to its target", target{of: value, most: 11, count: true}, 11, true},
		{"a count beyond it", target{of: value, most: 11, count: true}, 11.1, false},
		{"a count that missed its target already", target{of: value, most: 5, count: true}, 10.1, true},
		{"a time within its target", target{of: value, most: 40, guard: ratio(value, floor)}, 38, true},
		{"a time beyond it", target{of: value, most: 40, guard: ratio(value, floor)}, 42, false},
	} {
		c.t.name = "t"
		if c.t.guard != nil {
			base.Judged["t"] = 5
		} else {
			base.Judged["t"] = 10
		}
		if verdict := c.t.verdict(rounds(c.v), base); (verdict == "") != c.ok {
			t.Errorf("%s: %q", c.name, verdict)
		}
	}
}

// Each target says what it needs by being asked.
func TestNeeds(t *testing.T) {
	names := needs(targets)
	for _, want := range []string{"Request/ours", "Request/ours-5k", "SignIn/limit-2", "Revocations", "Socket/bare-1c"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among %v", want, names)
		}
	}
}

// A run of a part writes its rows anew, and leaves the others.
func TestTheRestOfATableStays(t *testing.T) {
	part := round{"SignIn/ours": {"begin-cpu-ns": 4000, "begin-allocs": 14, "finish-cpu-ns": 300, "finish-allocs": 261}, "SignIn/limit-1": {"finish-cpu-ns": 200}}
	before := "| what | target | median | rounds | met |\n|---|---:|---:|---:|---:|\n"
	for _, t := range targets {
		before += "| " + t.name + " | " + t.wanted() + " | 1 | 1 – 1 | perhaps |\n"
	}
	after := targetTable([]round{part}, before)
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	if len(old) != len(now) {
		t.Fatalf("%d lines became %d", len(old), len(now))
	}
	for i := range now {
		changed := strings.HasPrefix(now[i], "| `/login/:provider`") || strings.HasPrefix(now[i], "| the callback, a")
		if (now[i] != old[i]) != changed {
			t.Errorf("%q became %q", old[i], now[i])
		}
	}
	b := baseline{Values: map[string]float64{"`Set-Cookie` of the user": 470}, Judged: map[string]float64{}}
	b.take([]round{part})
	if b.Values["`Set-Cookie` of the user"] != 470 || b.Values["the callback, against its limit"] != 1.5 || len(b.Values) != 5 {
		t.Errorf("the baseline became %v", b.Values)
	}
}

// A target that the baseline does not know yet stops a check, which says how to measure
// it; a run of that part alone is enough.
func TestANewTarget(t *testing.T) {
	b, names := baseline{Values: map[string]float64{}, Judged: map[string]float64{}}, needs(targets)
	for _, t := range targets[1:] {
		b.Values[t.name], b.Judged[t.name] = 1, 1
	}
	err := b.complete()
	if err == nil || !strings.Contains(err.Error(), targets[0].name) || !strings.Contains(err.Error(), "'^(Request/ours|Request/floor)$' -write") {
		t.Fatalf("%v", err)
	}
	if found, err := matching(names, "^(Request/ours|Request/floor)$"); err != nil || len(found) != 2 {
		t.Errorf("%v, %v", found, err)
	}
	b.take([]round{{"Request/ours": {"cpu-ns/op": 30, "set-cookie-B": 470}, "Request/floor": {"cpu-ns/op": 10}}})
	if err := b.complete(); err != nil || b.Values[targets[0].name] != 3 {
		t.Errorf("%v, %v", b.Values[targets[0].name], err)
	}
}
