package urltest

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Base returns the URL of the page that contains the site's references.
func (s *Site) Base() string { return s.Origin + s.Prefix + s.Mount + "/logout" }

// refs returns the references that Node resolves for an admitted path.
func (s *Site) refs(raw string, w Written) []Ref {
	return []Ref{{w.Location, s.Base()}, {w.Link, s.Base()}, {w.Path, s.Origin + "/"}, {raw, s.Origin + "/"}}
}

// check compares the URLs that Node resolved with the return path, and describes what is wrong. The
// first word of each description names the check.
func (s *Site) check(raw string, w Written, answers []URL) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	location, link, href, asked := answers[0], answers[1], answers[2], answers[3]
	wrong = append(wrong, s.strays(location)...)
	if link.Origin != s.Origin || link.Path != s.Prefix+s.Mount+"/login/one" || link.ReturnTo != w.Path {
		add("link: %q leads to %+v", w.Link, link)
	}
	if w.Field != w.Path {
		add("field: it has %q", w.Field)
	}
	if href.Origin != s.Origin {
		add("href: as a link it leads to %+v", href)
	}
	if utf8.ValidString(raw) && !same(href, asked) {
		add("meaning: it meant %+v and means %+v", asked, href)
	}
	return wrong
}

// strays describes what is wrong with the target of a redirect.
func (s *Site) strays(to URL) (wrong []string) {
	if to.Origin != s.Origin {
		return []string{fmt.Sprintf("redirect.site: the redirect leads to %+v", to)}
	}
	page, ok := strings.CutPrefix(to.Path, s.Prefix)
	if !ok || !strings.HasPrefix(page, "/") {
		return []string{fmt.Sprintf("redirect.outside: the redirect leads out of the application, to %s", to.Path)}
	}
	if route := s.Own(page); route != "" {
		wrong = append(wrong, fmt.Sprintf("redirect.own: the redirect leads to ginauth's own %s, by Gin", route))
	}
	for _, reading := range readings(page) {
		if strings.HasPrefix(reading, "//") {
			wrong = append(wrong, fmt.Sprintf("redirect.decoded: the redirect leads to %q if decoded again", reading))
		}
		for _, route := range []string{"/login", "/authorize", "/logout"} {
			if r := strings.ToLower(path.Clean(reading)) + "/"; strings.HasPrefix(r, strings.ToLower(s.Mount)+route+"/") {
				wrong = append(wrong, fmt.Sprintf("redirect.decoded: the redirect leads to ginauth's own %s if decoded again: %q", route, reading))
			}
		}
	}
	return wrong
}

// readings returns a path as it is, and decoded once, twice, and so on.
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

// unescape decodes every valid %XX, and leaves invalid ones unchanged.
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

// same reports whether two URLs are equivalent: they may differ in percent-encoding, but a slash is
// not the same as an encoded slash.
func same(a, b URL) bool {
	segments := func(p string) []string {
		list := strings.Split(p, "/")
		for i := range list {
			list[i] = unescape(list[i])
		}
		return list
	}
	// Browsers leave a backslash in a query unchanged, and ginauth writes it as %5C: parsers of the
	// query decode both to the same.
	search := strings.ReplaceAll(b.Search, `\`, "%5C")
	return a.Origin == b.Origin && a.Search == search && unescape(a.Hash) == unescape(b.Hash) && slices.Equal(segments(a.Path), segments(b.Path))
}

// Report is the result of a comparison.
type Report struct {
	Strings  int      // number of strings that were compared
	Away     int      // number that lead a browser away from the application if unchanged
	Admitted int      // number that the first site admits
	Wrong    []string // descriptions of errors
}

// Compare passes each of the strings to each of the sites, and lets Node resolve the results.
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
