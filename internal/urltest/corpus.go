package urltest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The parts of hostile return paths. In host names, some Unicode characters are removed or mapped to
// others (UTS 46): dots, slashes, full-width forms. Some bytes are invalid UTF-8: surrogates,
// overlong forms, fragments.
var (
	slashes = []string{"/", "//", "///", `\`, `\\`, `/\`, `\/`, "/./", "/../", "/%2f", "%2F", "%5c", "%5C", "/%09/", "/\t/", "/\n/", "/\r\n/", "／", "＼", "∕", "⁄", "⧸", "╱", "/;/", "/ /"}
	openers = []string{"//", "///", `/\`, `\\`, `\/`, "/\t/", "\t//", "/\n\\", "\r\n//", " //", "https://", "https:/", "https:", "HTTP://", `http:\\`, "/.//", "/..//", "/x/..//", "/%2e//", "javascript://", "//\t", "/\\\t/"}
	spaces  = []string{"\t", "\n", "\r", "\r\n", "\v", "\f", "\x00", "\x01", "\x1f", " ", "\x7f", "\u0085", "\u00a0", "\u1680", "\u2028", "\u2029", "\u3000", "\ufeff", "\u00ad", "\u200b", "\u200d", "\u202e", "\u180e"}
	dots    = []string{".", "..", "...", "%2e", "%2E%2e", ".%2e", "%252e", "．", "。", "｡", "‥", "․", "．．", ". ", "..;"}
	schemes = []string{"https:", "http:", "HtTpS:", "javascript:", "data:", "file:", "blob:https:", "about:", "ftp:", "ws:", "x:", "https%3a", "https：", "ht\ttps:", "java\nscript:", ":"}
	users   = []string{"", "", "", "@", "user@", "user:pass@", "app.example.com@", "app.example.com:8443@", "%40", "＠", ":@", "a%2f@", `a\@`}
	hosts   = []string{"evil.example", "EVIL.EXAMPLE", "app.example.com", "app.example.com:8443", "app.example.com.evil.example", "evil-app.example.com", "ｅvil.example", "evil。example", "evil｡example",
		"evil．example", "еvil.example", "xn--vil-8ed.example", "ev\u00adil.example", "evil%2eexample", "%65vil.example", "faß.example", "ⓔvil.example", "℀.example", "[::1]", "[::ffff:7f00:1]",
		"127.1", "0x7f.1", "2130706433", "①②⑦.⓪.⓪.①", "", "localhost", "evil.example:", "evil.example:80", "evil.example:8443", "-", "a b", "%", "\xed\xa0\x80.example"}
	words  = []string{"x", "a", "index.html", "~user", "日本", "한국어", "ü", "%C3%BC", "a b", "a+b", "a%20b", "100%25", "%", "%zz", "%2", "$", "!'()*", "|", "^", "`", "{id}", "[0]", `"`, "<b>", ",", ";v=1", "a:b", "a@b", "&", "=", "\xff", "\xc0\xaf", "\xed\xb0\x80", "\xf0\x9f\x92", "💩", "e\u0301", "ſ", "K", "İ", "ı"}
	tails  = []string{"", "", "", "", "?", "#", "?x=1", "?x=a%2Fb&y=c+d", "?next=//evil.example", "?a=b#c", "#//evil.example", "#/route?x=1", "?%00", "?\r\nSet-Cookie: a=b", "#%zz", "?#", "#a#b", "?q=\"'<>`|^{}[]", "#\"<>`{}|^", "?q=日本", "#한국어", "?a?b/c"}
	routes = []string{"/login", "/login/one", "/login/two", "/authorize/one", "/authorize/one/", "/logout", "/logout/return", "/logout/one/backchannel", "/logout/one/frontchannel"}
	mounts = []string{"", "", "/Desk", "/desk", "/DESK", "/base", "/base/Desk", "/Desk/..", "/DeſK", "/DesK"}
)

// generator makes hostile strings. The same seed gives the same strings.
type generator struct{ *rand.Rand }

// Corpus returns n strings for a seed: return paths of attackers and of applications.
func Corpus(seed uint64, n int) []string {
	g := generator{rand.New(rand.NewPCG(seed, 0x67696e61757468))}
	kinds := []func() string{g.foreign, g.foreign, g.soup, g.disguised, g.disguised, g.page, g.page, g.bytes}
	all := make([]string, n)
	for i := range all {
		s := kinds[g.IntN(len(kinds))]()
		for g.IntN(4) == 0 {
			s = g.spoiled(s)
		}
		for depth := g.IntN(12); depth > 6; depth-- { // up to five deep
			s = g.encoded(s)
		}
		if g.IntN(500) == 0 {
			s = g.long(s)
		}
		all[i] = s
	}
	return all
}

func (g generator) one(list []string) string { return list[g.IntN(len(list))] }

// maybe returns one of list, or "".
func (g generator) maybe(list []string) string {
	if g.IntN(2) == 0 {
		return ""
	}
	return g.one(list)
}

// foreign returns the address of another site, or a similar string.
func (g generator) foreign() string {
	if g.IntN(2) == 0 {
		return g.one(openers) + g.one(users) + g.one(hosts) + g.one(tails)
	}
	scheme := ""
	if g.IntN(3) == 0 {
		scheme = g.one(schemes)
	}
	return g.maybe(slashes) + scheme + g.one(slashes) + g.maybe(slashes) + g.one(users) + g.one(hosts) + g.maybe([]string{"/", "/x", `\`, ":80"}) + g.one(tails)
}

// soup returns random parts in random order.
func (g generator) soup() string {
	var b strings.Builder
	if g.IntN(4) > 0 {
		b.WriteByte('/')
	}
	lists := [][]string{slashes, slashes, dots, spaces, schemes, users, hosts, words, words, tails}
	for range 1 + g.IntN(8) {
		b.WriteString(g.one(lists[g.IntN(len(lists))]))
	}
	return b.String()
}

// disguised returns one of ginauth's own routes in disguise, or a similar path.
func (g generator) disguised() string {
	path := g.one(mounts) + g.one(routes)
	switch g.IntN(6) {
	case 0:
		path = strings.ToUpper(path)
	case 1:
		path = strings.ReplaceAll(path, "/", g.one([]string{"//", "/./", "/x/../", `\`, "%2f", "/;/", "/%2e/", "/.;/"}))
	case 2:
		path = "/" + g.one(words) + "/" + g.one(dots) + path
	case 3:
		path = g.one(slashes) + path
	case 4:
		path += g.one(slashes) + g.maybe(dots) + g.maybe(words)
	}
	if g.IntN(3) == 0 {
		path = g.scattered(path)
	}
	return path + g.one(tails)
}

// page returns the path of an application's page.
func (g generator) page() string {
	var b strings.Builder
	for range 1 + g.IntN(4) {
		b.WriteString("/" + g.one(words) + g.maybe(words))
	}
	return b.String() + g.maybe([]string{"/", "//", "/" + g.one(dots)}) + g.one(tails)
}

// bytes returns random bytes.
func (g generator) bytes() string {
	b := []byte("/")
	for range g.IntN(24) {
		b = append(b, byte(g.IntN(256)))
	}
	return string(b[g.IntN(2):])
}

// spoiled inserts a part at a random place, or repeats one.
func (g generator) spoiled(s string) string {
	i := g.IntN(len(s) + 1)
	if g.IntN(4) == 0 {
		return s[:i] + s[i/2:]
	}
	return s[:i] + g.one([][]string{slashes, dots, spaces, words, tails}[g.IntN(5)]) + s[i:]
}

// scattered percent-encodes some characters.
func (g generator) scattered(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if g.IntN(4) == 0 {
			fmt.Fprintf(&b, g.one([]string{"%%%02x", "%%%02X"}), s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// encoded percent-encodes the characters that have a meaning in a URL.
func (g generator) encoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && (strings.IndexByte("/\\%.:@?# \t\r\n", s[i]) >= 0 || s[i] >= 0x80) {
			fmt.Fprintf(&b, g.one([]string{"%%%02x", "%%%02X"}), s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// long makes a string about as long as a return path may be, or much longer.
func (g generator) long(s string) string {
	part := g.one(words)
	n := []int{2000, 2040, 2047, 2048, 2049, 4096, 9000}[g.IntN(7)] - len(s)
	if n <= 0 {
		return s
	}
	i := g.IntN(len(s) + 1)
	return s[:i] + strings.Repeat(part, 1+n/len(part)) + s[i:]
}
