package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ginauth/ginauth/bench/internal/report"
)

// sample is what the application had at one moment.
type sample struct {
	After      time.Duration `json:"-"`
	Heap       float64       `json:"heap"`     // MB, after a garbage collection
	Resident   float64       `json:"resident"` // MB
	Goroutines int           `json:"goroutines"`
}

// watched are the samples of a run.
type watched []sample

// watch samples the application until the time is over.
func watch(base string, length time.Duration) (watched, error) {
	var all watched
	start := time.Now()
	ticks := time.NewTicker(length / samples)
	defer ticks.Stop()
	for len(all) < samples {
		<-ticks.C
		s, err := ask(base)
		if err != nil {
			return nil, err
		}
		s.After = time.Since(start)
		all = append(all, s)
	}
	return all, nil
}

func ask(base string) (s sample, err error) {
	answer, err := http.Get(base + "/stats")
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	return s, json.NewDecoder(answer.Body).Decode(&s)
}

// table shows every fifth sample.
func (w watched) table(length time.Duration, speed int) string {
	var rows [][]string
	for i := samples/8 - 1; i < len(w); i += samples / 8 {
		s := w[i]
		rows = append(rows, []string{s.After.Round(time.Second).String(), (s.After * time.Duration(speed)).Round(time.Minute).String(),
			report.Number(s.Heap) + " MB", report.Number(s.Resident) + " MB", fmt.Sprint(s.Goroutines)})
	}
	return report.Table([]string{"after", "on its clock", "heap", "resident", "goroutines"}, rows)
}

// flat compares the third quarter of the run with the last one: by then, what is
// kept for a while has been kept for that while, and is forgotten as fast as it
// comes.
func (w watched) flat() error {
	third, last := w[samples/2:samples*3/4], w[samples*3/4:]
	heap := func(s sample) float64 { return s.Heap }
	goroutines := func(s sample) float64 { return float64(s.Goroutines) }
	if before, after := middle(third, heap), middle(last, heap); after > before*1.1+1 {
		return fmt.Errorf("the heap grows: %.1f MB, and then %.1f MB", before, after)
	}
	if before, after := middle(third, goroutines), middle(last, goroutines); after > before*1.1+visitors {
		return fmt.Errorf("goroutines are left behind: %.0f, and then %.0f", before, after)
	}
	return nil
}

func middle(some []sample, of func(sample) float64) float64 {
	var values []float64
	for _, s := range some {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
