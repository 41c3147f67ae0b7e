// Package cookie reads and writes the cookies of one application, and ignores all others.
package cookie

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Each calls visit for every cookie of the request whose name begins with prefix, in the order of
// the header. It does not parse the others, of which a request may have hundreds. It returns the
// number of all cookies.
func Each(h http.Header, prefix string, visit func(name, value string)) (total int) {
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			// Only space and tab: any other character that a sibling domain puts before a
			// name must not make it ours.
			pair = trim(pair)
			if pair == "" {
				continue
			}
			total++
			if !strings.HasPrefix(pair, prefix) {
				continue
			}
			if name, value, ok := strings.Cut(pair, "="); ok {
				visit(name, trim(value))
			}
		}
	}
	return total
}

// trim is strings.Trim(s, " \t"), which would take longer than the rest of Each.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// Values returns the values of the cookies called name, at most limit of them. Normally there is
// one; a sibling domain can add others.
func Values(h http.Header, name string, limit int) (values []string) {
	Each(h, name, func(n, value string) {
		if n == name && len(values) < limit {
			values = append(values, value)
		}
	})
	return values
}

// Only returns the value of the cookie called name, or "" if there is not exactly one. It is a
// faster Values for requests with a session.
func Only(h http.Header, name string) (value string) {
	found := false
	for _, line := range h["Cookie"] {
		for line != "" {
			pair := line
			if end := strings.IndexByte(line, ';'); end >= 0 {
				pair, line = line[:end], line[end+1:]
			} else {
				line = ""
			}
			for pair != "" && (pair[0] == ' ' || pair[0] == '\t') {
				pair = pair[1:]
			}
			if len(pair) <= len(name) || pair[len(name)] != '=' || pair[:len(name)] != name {
				continue
			}
			if found {
				return ""
			}
			value, found = trim(pair[len(name)+1:]), true
		}
	}
	return value
}

// Current returns the request as the browser would send it after the response so far: with the
// cookies that the response sets, and without those that it expires. Only the cookies called
// names count: if the response sets or expires none of them, Current returns r itself; otherwise
// it returns a copy without any other cookies.
func Current(w http.ResponseWriter, r *http.Request, names ...string) *http.Request {
	var lines, pairs []string
	for _, line := range w.Header()["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, "="); slices.Contains(names, name) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return r
	}
	for _, name := range names {
		if slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+"=") }) {
			continue
		}
		Each(r.Header, name, func(n, value string) {
			if n == name {
				pairs = append(pairs, name+"="+value)
			}
		})
	}
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		if _, value, _ := strings.Cut(pair, "="); value != "" {
			pairs = append(pairs, pair)
		}
	}
	one := r.WithContext(r.Context()) // a shallow copy
	one.Header = http.Header{"Cookie": {strings.Join(pairs, "; ")}}
	return one
}

// Jar writes cookies that all share the same attributes.
type Jar struct {
	// Secure is false only if the application uses http.
	Secure bool
	// Path limits the cookies to requests at and below this path. Default: "/".
	Path string
}

// UntilClosed is the life of a session cookie, which the browser deletes when it is closed.
const UntilClosed time.Duration = math.MaxInt64

// Set adds a cookie that expires after life. It replaces a cookie of the same name in the
// response.
func (j Jar) Set(h http.Header, name, value string, life time.Duration) {
	if life == UntilClosed {
		j.write(h, name, value, "")
		return
	}
	j.write(h, name, value, "; Max-Age="+strconv.Itoa(max(int(life/time.Second), 1)))
}

// Expire deletes a cookie in the browser.
func (j Jar) Expire(h http.Header, name string) { j.write(h, name, "", "; Max-Age=0") }

// write needs no escaping: names and values are ours, and values are base64url and dots.
func (j Jar) write(h http.Header, name, value, maxAge string) {
	attributes := "; HttpOnly; SameSite=Lax"
	if j.Secure {
		attributes = "; HttpOnly; Secure; SameSite=Lax"
	}
	Put(h, name+"="+value+"; Path="+cmp.Or(j.Path, "/")+maxAge+attributes)
}

// WithoutLife returns a Set-Cookie line without the attributes Max-Age and Expires, which make a
// cookie persistent (RFC 6265, 5.3).
func WithoutLife(line string) string {
	pair, attributes, _ := strings.Cut(line, ";")
	for attribute := range strings.SplitSeq(attributes, ";") {
		name, _, _ := strings.Cut(attribute, "=")
		if name = trim(name); name != "" && !strings.EqualFold(name, "Max-Age") && !strings.EqualFold(name, "Expires") {
			pair += ";" + attribute
		}
	}
	return pair
}

// Put adds a complete Set-Cookie line. It replaces a line for the same name.
func Put(h http.Header, line string) {
	name, _, _ := strings.Cut(line, "=")
	lines := h["Set-Cookie"]
	kept := lines[:0]
	for _, other := range lines {
		if !strings.HasPrefix(other, name+"=") {
			kept = append(kept, other)
		}
	}
	h["Set-Cookie"] = append(kept, line)
}
