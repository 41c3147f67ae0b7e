package urltest

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed testdata/whatwg.tsv
var expected string

// The strings that Node's answers are kept for.
const (
	expectSeed = 20111
	expectMany = 3000
)

// away is Node's path for what leads to another origin, or nowhere.
const away = "away"

// Expectation is what Node says about one string, on the pages of the first of
// the Sites.
type Expectation struct {
	Raw   string // the string
	Leads string // the path that a browser is led to by it as it is, or "away"
	Path  string // as it was admitted, or ""
	Ends  string // the path that a redirect to it ends at
}

// Expect asks Node for the file of expectations.
func Expect(s *Site, node *Node) ([]byte, error) {
	var b bytes.Buffer
	for _, raw := range Corpus(expectSeed, expectMany) {
		if len(raw) > 200 { // the limit has tests of its own
			continue
		}
		w, err := s.Write(raw)
		if err != nil {
			return nil, err
		}
		answers, err := node.Resolve([]Ref{{raw, s.Base()}, {w.Location, s.Base()}})
		if err != nil {
			return nil, err
		}
		leads, ends := s.path(answers[0]), ""
		if w.Path != "" {
			ends = s.path(answers[1])
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", strconv.QuoteToASCII(raw), leads, w.Path, ends)
	}
	return b.Bytes(), nil
}

// path is where a URL leads on this site. The standard began to encode ^ in
// 2024, and releases of Node differ in it.
func (s *Site) path(u URL) string {
	if u.Origin != s.Origin {
		return away
	}
	return strings.ReplaceAll(u.Path, "^", "%5E")
}

// Expectations are what Node said when testdata was written.
func Expectations() (list []Expectation, err error) {
	for line := range strings.Lines(expected) {
		field := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(field) != 4 {
			return nil, fmt.Errorf("a line of testdata/whatwg.tsv has %d fields: %q", len(field), line)
		}
		raw, err := strconv.Unquote(field[0])
		if err != nil {
			return nil, fmt.Errorf("a line of testdata/whatwg.tsv: %w", err)
		}
		list = append(list, Expectation{raw, field[1], field[2], field[3]})
	}
	return list, nil
}
