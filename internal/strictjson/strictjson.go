// Package strictjson decodes JSON from untrusted sources: metadata, keys, token responses, ID
// token claims, profiles.
//
// RFC 8259 does not define the meaning of duplicate names, lone surrogates and huge numbers,
// so two decoders can read two different users from one ID token. This package rejects such
// texts, so that every accepted text has one meaning:
//
//   - one value in valid UTF-8, no byte order mark, nothing after it;
//   - no object names a member twice, however the name is escaped;
//   - no lone surrogate and no NUL in any string or name;
//   - numbers are kept as written, have at most 100 characters, and an exponent between
//     -400 and 400;
//   - nesting is at most 32 levels, an object has at most 2,000 members, and the text has
//     at most 20,000 values in total.
//
// The time is linear in the size of the text, which the caller must limit. Errors may name a
// member but never contain a value, which may be a secret.
package strictjson

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The limits are an order of magnitude above what providers send: a user in 10,000 groups, a key
// set of 100 keys, a page of 100 teams.
const (
	maxDepth    = 32     // levels of nesting, including the outermost
	maxMembers  = 2_000  // members of one object
	maxValues   = 20_000 // values in total, of all kinds
	maxNumber   = 100    // characters of a number
	maxExponent = 400    // of a number, positive or negative
)

// Error is the error of a text that is rejected. It may name a member but has no values.
type Error struct {
	ID     string // of the reason, stable: "member.duplicate"
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// Object decodes a text whose value is an object. Its values are string, json.Number, bool, nil,
// []any and map[string]any. Strings without escapes share the memory of the text: clone a string
// that must outlive the rest.
func Object[T string | []byte](data T) (map[string]any, error) {
	v, err := decode(string(data))
	if err != nil {
		return nil, err
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, &Error{"not_an_object", "not a JSON object"}
	}
	return obj, nil
}

// Array is Object for a text whose value is an array.
func Array[T string | []byte](data T) ([]any, error) {
	v, err := decode(string(data))
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, &Error{"not_an_array", "not a JSON array"}
	}
	return list, nil
}

func decode(text string) (any, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{"utf8", "invalid UTF-8"}
	}
	d := decoder{text: text}
	if strings.HasPrefix(d.text, "\ufeff") {
		return nil, &Error{"byte_order_mark", "begins with a byte order mark"}
	}
	d.space()
	if d.pos == len(d.text) {
		return nil, &Error{"empty", "empty"}
	}
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	d.space()
	if d.pos < len(d.text) {
		return nil, d.fault("data_after", "data after the value")
	}
	return v, nil
}

// Names is a set of member names that a program reads: Check rejects variants of them.
type Names struct {
	all   []string
	exact map[string]struct{} // all
	other []string            // those of all for which isLower is false
}

// NewNames returns the set of these names.
func NewNames(names ...string) *Names {
	n := &Names{all: names, exact: make(map[string]struct{}, len(names))}
	for _, name := range names {
		n.exact[name] = struct{}{}
		if !isLower(name) {
			n.other = append(n.other, name)
		}
	}
	return n
}

// isLower reports whether a name is ASCII without capitals. Two such names never differ only in
// case.
func isLower(name string) bool {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// CaseError is the error of Names.Check: Member differs from Name only in case.
type CaseError struct{ Member, Name string }

// Error implements error. The text has both names, quoted and cut.
func (e *CaseError) Error() string {
	return fmt.Sprintf("member %s is a variant of %s", quote(e.Member), quote(e.Name))
}

// Check returns a *CaseError if obj has a member whose name differs from one of n only in case:
// "SUB" or "ſub" for "sub". encoding/json stores such a member in the struct field sub, a map does
// not, and two programs would disagree about who signed in. A member whose name is exactly one of
// n is always accepted.
func (n *Names) Check(obj map[string]any) error {
	for member := range obj {
		if _, exact := n.exact[member]; exact {
			continue
		}
		names := n.all
		if isLower(member) {
			names = n.other
		}
		for _, name := range names {
			if strings.EqualFold(name, member) {
				return &CaseError{Member: member, Name: name}
			}
		}
	}
	return nil
}

// quote makes a name from the data fit for a log line: quoted ASCII, so that a look-alike letter
// is visible, and at most 40 bytes of it.
func quote(name string) string {
	if len(name) > 40 {
		name = strings.ToValidUTF8(name[:40], "") + "…"
	}
	return strconv.QuoteToASCII(name)
}
