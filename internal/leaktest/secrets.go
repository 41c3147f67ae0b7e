package leaktest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	prefixSize = 16 // a secret is recognized by its first characters
	shortest   = 12 // a shorter text is not a secret, or would be found by chance
)

// secrets searches a text for many secrets in one pass.
type secrets struct {
	byKey map[uint64][]pattern // by its first 8 bytes
	maybe [1 << 10]uint64      // bits: whether byKey may contain a key
	known map[string]bool
}

type pattern struct{ text, kind, form string }

func newSecrets() *secrets {
	return &secrets{byKey: map[uint64][]pattern{}, known: map[string]bool{}}
}

// add adds a secret. It is recognized by its beginning: unencoded, percent-encoded, escaped for HTML,
// in base64 and in hexadecimal. If it has parts that are separated by dots, each part is recognized
// too.
func (s *secrets) add(kind, value string) {
	if len(value) < shortest || s.known[kind+value] {
		return
	}
	s.known[kind+value] = true
	parts := strings.Split(value, ".")
	if len(parts) == 3 && strings.HasPrefix(value, "ey") { // a JWT's header is the same for many
		parts = parts[1:]
	} else {
		parts = append(parts, value)
	}
	for _, part := range parts {
		if len(part) < shortest {
			continue
		}
		head := part[:min(len(part), prefixSize)]
		s.pattern(pattern{head, kind, "raw"})
		s.pattern(pattern{url.QueryEscape(head), kind, "percent-encoded"})
		s.pattern(pattern{html.EscapeString(head), kind, "as HTML"})
		s.pattern(pattern{base64.StdEncoding.EncodeToString([]byte(part))[:prefixSize], kind, "base64"})
		s.pattern(pattern{base64.URLEncoding.EncodeToString([]byte(part))[:prefixSize], kind, "base64url"})
		s.pattern(pattern{hex.EncodeToString([]byte(head)), kind, "hexadecimal"})
	}
}

func (s *secrets) pattern(p pattern) {
	key := binary.LittleEndian.Uint64([]byte(p.text))
	for _, other := range s.byKey[key] {
		if other.text == p.text && other.kind == p.kind {
			return
		}
	}
	s.byKey[key] = append(s.byKey[key], p)
	bit := hash(key)
	s.maybe[bit>>6] |= 1 << (bit & 63)
}

// hash spreads keys over the bits of maybe.
func hash(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 48 }

// in returns a description of each secret in a text, except those of allowed kinds.
func (s *secrets) in(text string, may []string) (found []string) {
	data := []byte(text)
	for i := 0; i+8 <= len(data); i++ {
		key := binary.LittleEndian.Uint64(data[i:])
		if bit := hash(key); s.maybe[bit>>6]&(1<<(bit&63)) == 0 {
			continue
		}
		hits := slices.Clone(s.byKey[key])
		hits = slices.DeleteFunc(hits, func(p pattern) bool {
			return !strings.HasPrefix(text[i:], p.text) || p.kind == cookie && slices.Contains(may, cookie)
		})
		if slices.ContainsFunc(hits, func(p pattern) bool { return slices.Contains(may, p.kind) }) {
			continue // the same text may be a secret of two kinds
		}
		for _, p := range hits {
			around := text[max(0, i-60):i]
			found = append(found, fmt.Sprintf("%s %s, %s: …%q and then %.16q…", article(p.kind), p.kind, p.form, around, p.text))
		}
	}
	return found
}

func article(kind string) string {
	if strings.ContainsRune("aeiI", rune(kind[0])) {
		return "an"
	}
	return "a"
}

// answer adds the tokens in a token response.
func (s *secrets) answer(body []byte) {
	var tokens map[string]any
	if json.Unmarshal(body, &tokens) != nil {
		return
	}
	for name, kind := range map[string]string{"access_token": accessToken, "refresh_token": refreshToken, "id_token": idToken} {
		if token, ok := tokens[name].(string); ok {
			s.add(kind, token)
		}
	}
}

var field = regexp.MustCompile(`name="([a-z_]+)" value="([^"]*)"`)

// hidden returns the value of a hidden field of a page's form.
func hidden(page []byte, name string) string {
	for _, m := range field.FindAllSubmatch(page, -1) {
		if string(m[1]) == name {
			return html.UnescapeString(string(m[2]))
		}
	}
	return ""
}
