package main

import "testing"

func TestFlat(t *testing.T) {
	run := func(heap func(i int) float64, goroutines func(i int) int) (w watched) {
		for i := range samples {
			w = append(w, sample{Heap: heap(i), Goroutines: goroutines(i)})
		}
		return w
	}
	still := func(int) float64 { return 20 }
	few := func(int) int { return 30 }
	for name, c := range map[string]struct {
		w    watched
		flat bool
	}{
		"nothing changes":            {run(still, few), true},
		"it fills up, and then ends": {run(func(i int) float64 { return float64(min(i, samples/2)) }, few), true},
		"the heap grows":             {run(func(i int) float64 { return float64(10 + i) }, few), false},
		"goroutines stay":            {run(still, func(i int) int { return 10 * i }), false},
	} {
		if err := c.w.flat(); (err == nil) != c.flat {
			t.Errorf("%s: %v", name, err)
		}
	}
}
