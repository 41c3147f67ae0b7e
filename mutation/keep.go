package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// kept is the state of a run that is saved in its directory, so that a later run can continue it.
type kept struct {
	Sources  string // a hash of the sources: for others the state is invalid
	Units    []keptUnit
	Verdicts map[int]verdict
}

type keptUnit struct {
	Package, Name string
	Time          time.Duration
	Tells         []int
}

type verdict struct {
	Outcome outcome
	Caught  string
}

const keptName = "kept.json"

// readKept reads the state of an earlier run. It returns nil if that had other sources.
func readKept(dir, sources string) (*kept, error) {
	text, err := os.ReadFile(filepath.Join(dir, keptName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	k := new(kept)
	if err := json.Unmarshal(text, k); err != nil || k.Sources != sources {
		return nil, err
	}
	return k, nil
}

func (k *kept) write(dir string) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	part := filepath.Join(dir, keptName+".part")
	if err := os.WriteFile(part, text, 0o600); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(dir, keptName))
}

// keep records which tests can distinguish which mutants, and the outcomes.
func keep(sources string, mutants []*mutant) *kept {
	k := &kept{Sources: sources, Verdicts: map[int]verdict{}}
	tells := map[*unit][]int{}
	for _, m := range mutants {
		for _, u := range m.tests {
			tells[u] = append(tells[u], m.id)
		}
		if m.outcome != open {
			k.Verdicts[m.id] = verdict{m.outcome, m.caught}
		}
	}
	for u, ids := range tells {
		k.Units = append(k.Units, keptUnit{u.binary.pkg, u.name, u.time, ids})
	}
	return k
}

// apply sets the recorded state in the mutants.
func (k *kept) apply(mutants []*mutant, binaries []*binary) {
	of := map[string]*binary{}
	for _, b := range binaries {
		of[b.pkg] = b
	}
	for _, u := range k.Units {
		one := &unit{binary: of[u.Package], name: u.Name, time: u.Time, tells: len(u.Tells)}
		for _, id := range u.Tells {
			mutants[id-1].tests = append(mutants[id-1].tests, one)
		}
	}
	for id, v := range k.Verdicts {
		mutants[id-1].outcome, mutants[id-1].caught = v.Outcome, v.Caught
	}
	sortTests(mutants)
}

// hints have the test that caught a change in an earlier run, by the change's row in the table. It is
// tried first, even if the sources have changed.
type hints struct {
	mu    sync.Mutex
	name  string
	tests map[string]string
}

const hintsName = "caught.json"

func readHints(dir string) (*hints, error) {
	h := &hints{name: filepath.Join(dir, hintsName), tests: map[string]string{}}
	text, err := os.ReadFile(h.name)
	if errors.Is(err, os.ErrNotExist) {
		return h, nil
	} else if err != nil {
		return nil, err
	}
	return h, json.Unmarshal(text, &h.tests)
}

func (h *hints) of(m *mutant) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tests[m.row()]
}

func (h *hints) add(m *mutant) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.caught != "" {
		h.tests[m.row()] = m.caught
	}
}

// write may be called while others add outcomes, so that an interrupted run saves them too.
func (h *hints) write() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, err := json.Marshal(h.tests)
	if err != nil {
		return err
	}
	return os.WriteFile(h.name, text, 0o600)
}

// hashSources hashes the module's files without those of nested modules.
func hashSources(dir string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, own := os.Stat(filepath.Join(name, "go.mod"))
			if name != dir && (own == nil || strings.HasPrefix(d.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(name); ext != ".go" && ext != ".mod" && ext != ".html" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		sum.Write([]byte(name + "\x00" + string(text) + "\x00"))
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
