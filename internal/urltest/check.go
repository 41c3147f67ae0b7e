package urltest

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Base is the page that a reference of the site stands on.
func (s *Site) Base() string { return s.Origin + s.Prefix + s.Mount + "/logout" }

// refs are what Node is asked about a path that was admitted.
func (s *Site) refs(raw string, w Written) []Ref {
	return []Ref{{w.Location, s.Base()}, {w.Link, s.Base()}, {w.Path, s.Origin + "/"}, {raw, s.Origin + "/"}}
}

// check holds Node's answers against what was written, and returns what is
// wrong.
func (s *Site) check(raw string, w Written, answers []URL) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	location, link, href, asked := answers[0], answers[1], answers[2], answers[3]
	wrong = append(wrong, s.strays(location)...)
	if link.Origin != s.Origin || link.Path != s.Prefix+s.Mount+"/login/one" || link.ReturnTo != w.Path {
		add("the link %q leads to %+v", w.Link, link)
	}
	if w.Field != w.Path {
		add("the form's field says %q", w.Field)
	}
	if href.Origin != s.Origin {
		add("as a link it leads to %+v", href)
	}
	if utf8.ValidString(raw) && !same(href, asked) {
		add("it meant %+v and means %+v", asked, href)
	}
	return wrong
}

// strays says what is wrong with where a redirect ends.
func (s *Site) strays(to URL) (wrong []string) {
	if to.Origin != s.Origin {
		return []string{fmt.Sprintf("the redirect leads to %+v", to)}
	}
	page, ok := strings.CutPrefix(to.Path, s.Prefix)
	if !ok || !strings.HasPrefix(page, "/") {
		return []string{fmt.Sprintf("the redirect leads out of the application, to %s", to.Path)}
	}
	if route := s.Own(page); route != "" {
		wrong = append(wrong, fmt.Sprintf("the redirect leads to ginauth's own %s, by Gin", route))
	}
	for _, reading := range readings(page) {
		if strings.HasPrefix(reading, "//") {
			wrong = append(wrong, fmt.Sprintf("the redirect leads to %q for who decodes it", reading))
		}
		for _, route := range []string{"/login", "/authorize", "/logout"} {
			if r := strings.ToLower(path.Clean(reading)) + "/"; strings.HasPrefix(r, strings.ToLower(s.Mount)+route+"/") {
				wrong = append(wrong, fmt.Sprintf("the redirect leads to ginauth's own %s, for who decodes it: %q", route, reading))
			}
		}
	}
	return wrong
}

// readings are what servers make of a path that decode it once, twice, …
func readings(page string) []string {
	all := []string{page}
	for range 8 {
		next := unescape(all[len(all)-1])
		if next == all[len(all)-1] {
			break
		}
		all = append(all, next)
	}
	return all
}

// unescape decodes every %XX there is, and leaves what is none.
func unescape(s string) string {
	parts := strings.Split(s, "%")
	for i, part := range parts[1:] {
		if c, err := url.PathUnescape("%" + part[:min(2, len(part))]); err == nil {
			parts[i+1] = c + part[2:]
		} else {
			parts[i+1] = "%" + part
		}
	}
	return strings.Join(parts, "")
}

// same reports whether two URLs ask for the same: they may differ in what is
// percent-encoded, but not in what is a slash and what is an encoded one.
func same(a, b URL) bool {
	segments := func(p string) []string {
		list := strings.Split(p, "/")
		for i := range list {
			list[i] = unescape(list[i])
		}
		return list
	}
	// A backslash in a query stays what it is in browsers, and is written as %5C: the
	// same to everyone who reads the query.
	search := strings.ReplaceAll(b.Search, `\`, "%5C")
	return a.Origin == b.Origin && a.Search == search && unescape(a.Hash) == unescape(b.Hash) && slices.Equal(segments(a.Path), segments(b.Path))
}

// Report is what a comparison saw.
type Report struct {
	Strings  int      // that were compared
	Away     int      // of them that lead a browser away from the application as they are
	Admitted int      // by the first site
	Wrong    []string // what must not be
}

// Compare writes each of the strings at each of the sites, and asks Node where
// it leads.
func Compare(sites []*Site, node *Node, corpus []string) (*Report, error) {
	report := &Report{Strings: len(corpus)}
	for batch := range slices.Chunk(corpus, 5000) {
		if err := report.compare(sites, node, batch); err != nil {
			return nil, err
		}
	}
	return report, nil
}

func (r *Report) compare(sites []*Site, node *Node, batch []string) error {
	type question struct {
		site *Site
		raw  string
		w    Written
		at   int // of its first reference
	}
	var questions []question
	var refs []Ref
	for _, raw := range batch {
		refs = append(refs, Ref{raw, sites[0].Base()})
	}
	for _, raw := range batch {
		for _, s := range sites {
			w, err := s.Write(raw)
			if err != nil {
				r.Wrong = append(r.Wrong, fmt.Sprintf("%q: %v", raw, err))
			} else if w.Path != "" {
				questions = append(questions, question{s, raw, w, len(refs)})
				refs = append(refs, s.refs(raw, w)...)
			}
		}
	}
	answers, err := node.Resolve(refs)
	if err != nil {
		return err
	}
	for _, answer := range answers[:len(batch)] {
		if answer.Origin != sites[0].Origin {
			r.Away++
		}
	}
	for _, q := range questions {
		if q.site == sites[0] {
			r.Admitted++
		}
		for _, wrong := range q.site.check(q.raw, q.w, answers[q.at:q.at+4]) {
			r.Wrong = append(r.Wrong, fmt.Sprintf("%q, admitted by %s as %q: %s", q.raw, q.site.Base(), q.w.Path, wrong))
		}
	}
	return nil
}
