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

// The seed and the number of the strings in testdata.
const (
	expectSeed = 20111
	expectMany = 3000
)

// away stands for the path of a reference that leads to another origin or is invalid.
const away = "away"

// Expectation is how Node resolves one string, on the pages of the first of the Sites.
type Expectation struct {
	Raw   string // the string
	Leads string // the path to which the unchanged string leads a browser, or "away"
	Path  string // the admitted path, or ""
	Ends  string // the path to which a redirect to Path leads
}

// Expect returns the contents of the file of expectations, resolved by Node.
func Expect(s *Site, node *Node) ([]byte, error) {
	var b bytes.Buffer
	for _, raw := range Corpus(expectSeed, expectMany) {
		if len(raw) > 200 { // other tests are about the limit
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

// path returns the path of a URL on this site, or away. It encodes ^, which the standard does only
// since 2024, so that releases of Node differ.
func (s *Site) path(u URL) string {
	if u.Origin != s.Origin {
		return away
	}
	return strings.ReplaceAll(u.Path, "^", "%5E")
}

// Expectations returns the results of Node in testdata.
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
