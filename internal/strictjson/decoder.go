package strictjson

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// decoder reads one text, which must be valid UTF-8, from left to right.
type decoder struct {
	text   string
	pos    int
	depth  int
	values int
}

func (d *decoder) fault(id, what string) error {
	return &Error{id, fmt.Sprintf("%s at byte %d", what, d.pos)}
}

func (d *decoder) space() {
	for d.pos < len(d.text) {
		switch d.text[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// skip reads c if it is the next byte, and reports whether it was.
func (d *decoder) skip(c byte) bool {
	if d.pos < len(d.text) && d.text[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

// value reads the value that begins here, without the white space around it.
func (d *decoder) value() (any, error) {
	if d.pos == len(d.text) {
		return nil, d.fault("end", "unexpected end")
	}
	if d.values++; d.values > maxValues {
		return nil, d.fault("limit.values", "too many values")
	}
	switch c := d.text[d.pos]; {
	case c == '{':
		return d.object()
	case c == '[':
		return d.array()
	case c == '"':
		return d.string()
	case c == '-' || isDigit(c):
		return d.number()
	default:
		return d.literal()
	}
}

func (d *decoder) literal() (any, error) {
	for _, l := range literals {
		if strings.HasPrefix(d.text[d.pos:], l.text) {
			d.pos += len(l.text)
			return l.value, nil
		}
	}
	return nil, d.fault("character", "unexpected character")
}

var literals = []struct {
	text  string
	value any
}{{"true", true}, {"false", false}, {"null", nil}}

// enter goes one level down. After an error reading ends, so only the successful paths go back
// up.
func (d *decoder) enter() error {
	if d.depth++; d.depth > maxDepth {
		return d.fault("limit.depth", "nested too deeply")
	}
	d.pos++
	d.space()
	return nil
}

func (d *decoder) object() (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	obj := make(map[string]any, d.expected())
	for more := !d.skip('}'); more; {
		if err := d.member(obj); err != nil {
			return nil, err
		}
		var err error
		if more, err = d.next('}'); err != nil {
			return nil, err
		}
	}
	d.depth--
	return obj, nil
}

// expected estimates the number of members of an object: the outermost has about as many as
// the text has colons outside URLs; the others are small.
func (d *decoder) expected() int {
	if d.depth > 1 {
		return 0
	}
	return min(strings.Count(d.text, ":")-strings.Count(d.text, "://"), 32)
}

func (d *decoder) member(obj map[string]any) error {
	if d.pos == len(d.text) || d.text[d.pos] != '"' {
		return d.fault("member.name", "expected a member name")
	}
	name, err := d.string()
	if err != nil {
		return err
	}
	before := len(obj)
	if before == maxMembers {
		return d.fault("limit.members", "too many members")
	}
	d.space()
	if !d.skip(':') {
		return d.fault("member.colon", "expected a colon")
	}
	d.space()
	if obj[name], err = d.value(); err != nil {
		return err
	}
	if len(obj) == before { // the first value is overwritten, but obj is discarded with the error
		return &Error{"member.duplicate", "duplicate member " + quote(name)}
	}
	return nil
}

func (d *decoder) array() (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	list := []any{}
	for more := !d.skip(']'); more; {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			list = make([]any, 0, 4)
		}
		list = append(list, v)
		if more, err = d.next(']'); err != nil {
			return nil, err
		}
	}
	d.depth--
	return list, nil
}

// next reads what follows an element: a comma if there is another, or end.
func (d *decoder) next(end byte) (more bool, err error) {
	d.space()
	if d.skip(',') {
		d.space()
		return true, nil
	}
	if d.skip(end) {
		return false, nil
	}
	return false, d.fault("comma", "expected a comma or the end of the list")
}

// string reads a string, quotes included.
func (d *decoder) string() (string, error) {
	d.pos++
	start := d.pos
	for ; d.pos < len(d.text); d.pos++ {
		switch c := d.text[d.pos]; {
		case c == '"':
			d.pos++
			return d.text[start : d.pos-1], nil
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", d.fault("string.control", "control character in a string")
		}
	}
	return "", d.fault("end", "unexpected end")
}

// escaped reads the rest of a string that began at start, from its first backslash.
func (d *decoder) escaped(start int) (string, error) {
	var b strings.Builder
	for d.pos < len(d.text) {
		switch c := d.text[d.pos]; {
		case c == '"':
			b.WriteString(d.text[start:d.pos])
			d.pos++
			return b.String(), nil
		case c == '\\':
			b.WriteString(d.text[start:d.pos])
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			start = d.pos
		case c < ' ':
			return "", d.fault("string.control", "control character in a string")
		default:
			d.pos++
		}
	}
	return "", d.fault("end", "unexpected end")
}

// escape reads one escape sequence, or the two of a surrogate pair.
func (d *decoder) escape() (rune, error) {
	if r, ok := d.unit(); ok {
		return d.pair(r)
	}
	if d.pos+1 < len(d.text) {
		if i := strings.IndexByte(`"\/bfnrt`, d.text[d.pos+1]); i >= 0 {
			d.pos += 2
			return rune("\"\\/\b\f\n\r\t"[i]), nil
		}
	}
	return 0, d.fault("string.escape", "bad escape in a string")
}

func (d *decoder) pair(r rune) (rune, error) {
	if r == 0 {
		return 0, d.fault("string.nul", "NUL in a string")
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	low, _ := d.unit()
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, d.fault("string.surrogate", "lone surrogate in a string")
	}
	return r, nil
}

// unit reads a \u escape, if one is next.
func (d *decoder) unit() (rune, bool) {
	rest := d.text[d.pos:]
	if len(rest) < 6 || rest[:2] != `\u` {
		return 0, false
	}
	var r rune
	for _, c := range []byte(rest[2:6]) {
		n, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | n
	}
	d.pos += 6
	return r, true
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case isDigit(c):
		return rune(c - '0'), true
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10), true
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10), true
	}
	return 0, false
}

func (d *decoder) number() (any, error) {
	rest := d.text[d.pos:]
	n, ok := scanNumber(rest)
	switch {
	case n > maxNumber:
		return nil, d.fault("limit.number", "number too long")
	case !ok:
		return nil, d.fault("number", "bad number")
	}
	d.pos += n
	return json.Number(rest[:n]), nil
}

// scanNumber returns the length of the number that s begins with, and whether it is written as
// RFC 8259 requires, with an exponent within the limits.
func scanNumber(s string) (n int, ok bool) {
	if n < len(s) && s[n] == '-' {
		n++
	}
	whole := digits(s[n:])
	if whole == 0 || whole > 1 && s[n] == '0' {
		return n + whole, false
	}
	n += whole
	if n < len(s) && s[n] == '.' {
		fraction := digits(s[n+1:])
		n += 1 + fraction
		if fraction == 0 {
			return n, false
		}
	}
	if n == len(s) || s[n] != 'e' && s[n] != 'E' {
		return n, true
	}
	n++
	if n < len(s) && (s[n] == '+' || s[n] == '-') {
		n++
	}
	exponent := digits(s[n:])
	e, err := strconv.Atoi(s[n : n+exponent])
	return n + exponent, err == nil && e <= maxExponent
}

// digits counts the digits that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
