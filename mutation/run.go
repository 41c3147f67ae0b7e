package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// outcome is the result for a mutant.
type outcome int

const (
	open     outcome = iota // not tried
	survived                // perhaps because no test can distinguish it from the original
	caught
	hung // counts as caught: the test did not end
)

// alive reports whether no test caught the mutant.
func (m *mutant) alive() bool { return m.outcome == open || m.outcome == survived }

// patience returns how long tests may take: some time, plus five times their normal time, for a busy
// machine.
func patience(some time.Duration, units []*unit) time.Duration {
	for _, u := range units {
		some += 5 * u.time
	}
	return some
}

// inParallel calls f for every index below n, with that many workers.
func inParallel(workers, n int, f func(i int)) {
	next := make(chan int)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
}

// cover records which tests can distinguish which mutants from the original. Tests that fail when run
// alone are omitted, and returned as errors.
func cover(units []*unit, mutants []*mutant, dir string, workers int) error {
	var again []*unit
	var errs []error
	var mu sync.Mutex
	inParallel(workers, len(units), func(i int) {
		u := units[i]
		ids, subtests, err := u.record(dir)
		if err != nil {
			ids, _, err = u.record(dir)
		}
		mu.Lock()
		defer mu.Unlock()
		again = append(again, subtests...)
		errs = append(errs, err)
		u.tells = len(ids)
		for _, id := range ids {
			mutants[id-1].tests = append(mutants[id-1].tests, u)
		}
	})
	if len(again) > 0 {
		errs = append(errs, cover(again, mutants, dir, workers))
	}
	sortTests(mutants)
	return errors.Join(errs...)
}

func sortTests(mutants []*mutant) {
	for _, m := range mutants {
		slices.SortFunc(m.tests, m.compare)
	}
}

// compare orders the tests of a mutant: slow tests last, tests of its own package first, and then
// those that can distinguish the fewest mutants.
func (m *mutant) compare(x, y *unit) int {
	rank := func(u *unit) []int {
		var own, slow int
		if u.binary.pkg != m.pkg.ImportPath {
			own = 1
		}
		if u.slow() {
			slow = 1
		}
		return []int{slow, own, u.tells}
	}
	if c := slices.Compare(rank(x), rank(y)); c != 0 {
		return c
	}
	return strings.Compare(x.title(), y.title())
}

// batches are the numbers of tests in successive processes.
var batches = []int{1, 6, 20, 60, 200}

// hunt searches for a test that catches the mutant: first the one that did last time, then all that
// can, until one does.
func (m *mutant) hunt(before string, wait time.Duration, most int) {
	for _, u := range m.tests {
		if u.title() == before && m.try([]*unit{u}, wait) {
			return
		}
	}
	rest := m.tests
	if most > 0 && most < len(rest) {
		rest = rest[:most]
	} else {
		defer func() {
			if m.outcome == open {
				m.outcome = survived
			}
		}()
	}
	for i := 0; len(rest) > 0; i++ {
		batch := rest[:min(batches[min(i, len(batches)-1)], len(rest))]
		rest = rest[len(batch):]
		for _, b := range byBinary(batch) {
			if m.try(b, wait) {
				return
			}
		}
	}
}

// byBinary splits units by their binary, in the order of its first unit.
func byBinary(units []*unit) (split [][]*unit) {
	at := map[*binary]int{}
	for _, u := range units {
		i, ok := at[u.binary]
		if !ok {
			i = len(split)
			at[u.binary] = i
			split = append(split, nil)
		}
		split[i] = append(split[i], u)
	}
	return split
}

// try runs tests against the mutant. A test that fails together with others must fail alone too, so
// that the mutant is known to be the cause.
func (m *mutant) try(units []*unit, wait time.Duration) bool {
	r := units[0].binary.start(pattern(units), patience(wait, units), fmt.Sprintf("MUTANT=%d", m.id))
	if !r.failed {
		return false
	}
	if len(units) == 1 {
		if u := units[0]; (r.hung || u.slow()) && u.binary.start(pattern(units), patience(wait, units)).failed {
			return false // it fails without the change too: the machine is busy
		}
		m.caught, m.outcome = units[0].title(), caught
		if r.hung {
			m.outcome = hung
		}
		return true
	}
	// The test that failed is tried first. Without a name it can be any of them.
	slices.SortStableFunc(units, func(x, y *unit) int { return blame(r.names, y) - blame(r.names, x) })
	return slices.ContainsFunc(units, func(u *unit) bool { return m.try([]*unit{u}, wait) })
}

func blame(names []string, u *unit) int {
	for _, name := range names {
		if name == u.name || strings.HasPrefix(name, u.name+"/") {
			return 1
		}
	}
	return 0
}
