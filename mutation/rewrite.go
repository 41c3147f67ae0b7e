package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const runtimeName = "mutant"

//go:embed runtime.go.txt
var runtimeText string

// rewrite writes copies of the sources that contain every mutant into dir, and returns the overlay
// file that makes the go command use them. The copies have the same lines as the originals.
func rewrite(pkgs []*pkg, mutants []*mutant, dir string) (overlay string, err error) {
	module := pkgs[0].Module
	path := module.Path + "/internal/" + runtimeName
	replace := map[string]string{}
	write := func(original string, text []byte) error {
		copied := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		replace[original] = copied
		return os.WriteFile(copied, text, 0o600)
	}
	edits := map[*source][]*mutant{}
	for _, m := range mutants {
		edits[m.edit.source] = append(edits[m.edit.source], m)
	}
	for _, p := range pkgs {
		for _, s := range p.files {
			if len(edits[s]) > 0 {
				if err := write(s.path, s.rewritten(edits[s], path)); err != nil {
					return "", err
				}
			}
		}
	}
	text := fmt.Sprintf("%s\nconst size = %d\n", runtimeText, len(mutants))
	if err := write(filepath.Join(module.Dir, "internal", runtimeName, runtimeName+".go"), []byte(text)); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

// insertion is text to insert into a file. At the same position, ends come before beginnings, and
// inner edits are closed first and opened last.
type insertion struct {
	at   int
	rank [3]int
	text string
}

func (s *source) rewritten(mutants []*mutant, runtimePath string) []byte {
	inserts := []insertion{{at: s.offset(s.Name.End()), text: fmt.Sprintf("; import %s %q", runtimeName, runtimePath)}}
	for _, m := range mutants {
		e := m.edit
		inserts = append(inserts,
			insertion{e.from, [3]int{1, -e.to, m.id}, fmt.Sprintf(e.before, m.id)},
			insertion{e.to, [3]int{0, -e.from, -m.id}, e.after})
	}
	slices.SortFunc(inserts, func(a, b insertion) int {
		if a.at != b.at {
			return a.at - b.at
		}
		return slices.Compare(a.rank[:], b.rank[:])
	})
	var out bytes.Buffer
	done := 0
	for _, i := range inserts {
		out.Write(s.text[done:i.at])
		out.WriteString(i.text)
		done = i.at
	}
	out.Write(s.text[done:])
	return out.Bytes()
}

// build compiles the test binaries, all with the same mutants.
func build(binaries []*binary, overlay string) error {
	for _, b := range binaries {
		if _, err := goCommand(b.dir, "test", "-c", "-vet=off", "-buildvcs=false", "-overlay", overlay, "-o", b.path, "."); err != nil {
			return err
		}
	}
	return nil
}
