package ginauth_test

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/seal"
	"github.com/ginauth/ginauth/internal/wire"
)

// Whatever is done to a cookie, its bearer is nobody: no error, no panic.
func faultAlteredCookies(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	line := s.mint(&ginauth.User{Subject: "ada"})
	grace := s.mint(&ginauth.User{Subject: "grace"})
	if s.stolen(line) != "ada" || s.stolen(grace) != "grace" {
		t.Fatal("the cookies are no sessions")
	}
	name, value, _ := strings.Cut(line, "=")
	_, other, _ := strings.Cut(grace, "=")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	refuse := func(what, value string) {
		if who := s.stolen(name + "=" + value); who != "" {
			t.Errorf("%s: %q is signed in", what, who)
		}
	}
	for i := range value {
		bit := alphabet[strings.IndexByte(alphabet, value[i])^1<<(i%6)]
		refuse(fmt.Sprintf("byte %d changed", i), value[:i]+string(bit)+value[i+1:])
	}
	for i := 7; i < len(value); i += 7 {
		refuse(fmt.Sprintf("cut to %d", i), value[:i])
		refuse(fmt.Sprintf("begun at %d", i+1), value[i+1:])
		if mixed := value[:i+1] + other[i+1:]; mixed != other { // they begin with the same key's name
			refuse(fmt.Sprintf("ada up to %d, then grace", i), mixed)
		}
	}
	for _, what := range []string{"=", "==", "A", "AAAA", ".", "%00", "\"", "\x80", "ü"} {
		refuse("with "+what, value+what)
	}
	for _, value := range []string{"", "1", "2", "3", "null", "undefined", "{}", strings.Repeat("A", 5000), "1" + strings.Repeat("/", 400)} {
		refuse("nonsense", value)
	}
	wrong := s.replica(func(o *ginauth.Options) { o.Keys = []string{"another key for tests, also longer than 32 bytes"} })
	if wrong.stolen(line) != "" || s.stolen(wrong.mint(&ginauth.User{Subject: "ada"})) != "" {
		t.Error("a session under another key is alive")
	}
	if strings.Contains(s.logs.String(), "request failed") {
		t.Errorf("what anybody can send was logged as a failure: %.500s", s.logs)
	}
}

// Of several cookies of the name those count that open; of two sessions it
// cannot be told which is meant.
func faultTwoSessions(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	ada, grace := s.mint(&ginauth.User{Subject: "ada"}), s.mint(&ginauth.User{Subject: "grace"})
	name, value, _ := strings.Cut(ada, "=")
	forged := name + "=1" + strings.Repeat("A", len(value)-1)
	for _, tt := range []struct {
		name, line, want string
		cleared          bool
	}{
		{"forged before valid", forged + "; " + ada, "ada", false},
		{"forged behind valid", ada + "; " + forged, "ada", false},
		{"empty before valid", name + "=; " + ada, "ada", false},
		{"three forged before valid", strings.Repeat(forged+"; ", 3) + ada, "ada", false},
		{"the same twice", ada + "; " + ada, "ada", false},
		{"two people", ada + "; " + grace, "", true},
		{"two people the other way round", grace + "; " + ada, "", true},
		{"two people among forged ones", forged + "; " + grace + "; " + forged + "; " + ada, "", true},
		{"a flood of forged ones", strings.Repeat(forged+"; ", 30), "", false},
	} {
		p := s.askAs(s.newBrowser(), "GET", "/who", "Cookie", tt.line)
		if who := p.Text(); p.Status == http.StatusOK != (tt.want != "") || tt.want != "" && who != tt.want {
			t.Errorf("%s: %d %q, want %q", tt.name, p.Status, who, tt.want)
		}
		expired := name + "=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
		if got := p.Header.Values("Set-Cookie"); tt.cleared && !slices.Equal(got, []string{expired}) || !tt.cleared && len(got) > 0 {
			t.Errorf("%s: cookies %q", tt.name, got)
		}
	}
}

// Names that some parser takes for ours, as a sibling subdomain can set them,
// with a session of the attacker's own in them.
func faultCookieNames(t *testing.T) {
	t.Parallel()
	s := newTLSSite(t, nil)
	s.guarded("/who", who)
	eve, ada := s.mint(&ginauth.User{Subject: "eve"}), s.mint(&ginauth.User{Subject: "ada"})
	name, value, _ := strings.Cut(eve, "=")
	if s.stolen(eve) != "eve" || !strings.HasPrefix(name, "__Host-") {
		t.Fatalf("%q is no session", eve)
	}
	for _, planted := range []string{
		"\u2000" + eve, "\u00a0" + eve, "\u3000" + eve, "\ufeff" + eve, "\x85" + eve,
		strings.ToLower(name) + "=" + value, strings.ToUpper(name) + "=" + value, "__host-" + strings.TrimPrefix(eve, "__Host-"),
		strings.TrimPrefix(eve, "__Host-"), "__Secure-" + strings.TrimPrefix(eve, "__Host-"),
		"$Version=1," + eve, "$Version=\"1\", " + eve, "x=\"1; " + eve + "\"", "=" + eve, name + " =" + value, name + "\t=" + value,
		name + "%3D" + value, name + "[]=" + value, name + "-1=" + value, name + "x=" + value, "x" + eve, name, name + ":" + value,
	} {
		if who := s.stolen(planted); who != "" {
			t.Errorf("%.30q is a session of %q", planted, who)
		}
		for _, line := range []string{planted + "; " + ada, ada + "; " + planted} {
			if who := s.stolen(line); who != "ada" {
				t.Errorf("beside %.30q ada is %q", planted, who)
			}
		}
	}
}

// A session in two cookies, and everything that can happen to them.
func faultParts(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	large := func(subject string) (first, second string) {
		first, second, ok := strings.Cut(s.mint(&ginauth.User{Subject: subject, Groups: groupsOf(4000)}), "; ")
		if !ok {
			t.Fatal("the session fits into one cookie")
		}
		return first, second
	}
	a1, a2 := large("ada")
	g1, g2 := large("grace")
	small := s.mint(&ginauth.User{Subject: "zoe"})
	name, _, _ := strings.Cut(a1, "=")
	_, rest, _ := strings.Cut(a2, "=")
	many := func(n int, part string) (line string) {
		for i := range n {
			line += fmt.Sprintf("; %s-%d=%s", name, i+2, part)
		}
		return line
	}
	for _, tt := range []struct{ name, line, want string }{
		{"both", a1 + "; " + a2, "ada"},
		{"both, in the other order", a2 + "; " + a1, "ada"},
		{"the second missing", a1, ""},
		{"the first missing", a2, ""},
		{"the first twice", a1 + "; " + a1 + "; " + a2, "ada"},
		{"the second twice", a1 + "; " + a2 + "; " + a2, "ada"},
		{"the first of one and the second of another", a1 + "; " + g2, ""},
		{"the other way round", g1 + "; " + a2, ""},
		{"the second of another beside ours", a1 + "; " + g2 + "; " + a2, "ada"},
		{"two whole people", a1 + "; " + a2 + "; " + g1 + "; " + g2, ""},
		{"a stale second beside a small session", small + "; " + a2, "zoe"},
		{"the second cut", a1 + "; " + a2[:len(a2)-5], ""},
		{"the second with more behind it", a1 + "; " + a2 + "AAAA", ""},
		{"the second empty", a1 + "; " + name + "-2=", ""},
		{"the first marked as whole", strings.Replace(a1, "=2", "=1", 1) + "; " + a2, ""},
		{"the first with a mark of no version", strings.Replace(a1, "=2", "=9", 1) + "; " + a2, ""},
		{"a small session marked as a part", strings.Replace(small, "=1", "=2", 1), ""},
		{"a small session cut into two by somebody else", strings.Replace(small, "=1", "=2", 1) + "; " + name + "-2=", "zoe"},
		{"everything in the first", a1 + rest, ""},
		{"everything in the first, marked whole, beyond any browser's limit", strings.Replace(a1, "=2", "=1", 1) + rest, "ada"},
		{"fifty parts", a1 + many(50, rest), "ada"},
		{"fifty parts and no first", strings.TrimPrefix(many(50, rest), "; "), ""},
		{"fifty seconds", a1 + strings.Repeat("; "+name+"-2=AAAA", 50) + "; " + a2, ""},
		{"parts as others number them", a1 + "; " + name + ".0=" + rest + "; " + name + ".1=" + rest + "; " + name + "-1=" + rest, ""},
		{"parts of other names", a1 + "; " + name + ".foo=" + rest + "; " + name + "-foo=" + rest + "; " + name + "-22=" + rest, ""},
	} {
		if who := s.stolen(tt.line); who != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, who, tt.want)
		}
	}
	// A stale part goes when the session is next written.
	s.clock.Advance(3 * 60 * 60 * 1e9)
	p := s.askAs(s.newBrowser(), "GET", "/who", "Cookie", small+"; "+a2)
	if got := strings.Join(p.Header.Values("Set-Cookie"), "\n"); !strings.Contains(got, name+"-2=; Path=/; Max-Age=0") || !strings.Contains(got, name+"=1") {
		t.Errorf("the stale part was not expired: %q", got)
	}
}

// recordOf opens a session's cookie, as nobody can without the key.
func recordOf(t testing.TB, box *seal.Box, line string) (name, record string) {
	t.Helper()
	name, value, _ := strings.Cut(line, "=")
	plain, _, err := box.Open(value[1:], name)
	if err != nil {
		t.Fatal(err)
	}
	return name, string(plain)
}

func sessionBox(t testing.TB, s *site) *seal.Box {
	t.Helper()
	box, err := seal.New([]string{testKey}, s.URL, "session")
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// Records that an older or newer version wrote, or none of ours did.
func faultUnknownRecords(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	box := sessionBox(t, s)
	name, good := recordOf(t, box, s.mint(&ginauth.User{Subject: "ada", Data: map[string]string{"k": "v"}}))
	text := func(s string) string { return string(wire.AppendString(nil, s)) }
	var asGob bytes.Buffer
	if err := gob.NewEncoder(&asGob).Encode(map[string]string{"sub": "ada"}); err != nil {
		t.Fatal(err)
	}
	if who := s.stolen(name + "=1" + box.Seal([]byte(good), name)); who != "ada" {
		t.Fatalf("the record, sealed again, is %q", who)
	}
	at := strings.Index(good, "demo") + len("demo") // where the issuer's print is
	other := string(good[0]) + good[1:17] + string(good[17]&^2) + good[18:at+8]
	if who := s.stolen(name + "=1" + box.Seal([]byte(other+text(s.idp.Issuer)+good[at+8:]), name)); who != "ada" {
		t.Fatalf("the record with its issuer in full is %q", who)
	}
	records := map[string]string{
		"nothing": "", "version 0": "\x00" + good[1:], "version 1": "\x01" + good[1:], "version 2 of this one's text": "\x02" + good[1:], "version 4": "\x04" + good[1:], "version 255": "\xff" + good[1:], "version alone": good[:1], "no flags": good[:17],
		"JSON": `{"sub":"ada","provider":"demo"}`, "JSON in ours": good[:17] + `{"sub":"ada"}`, "gob": asGob.String(), "more behind it": good + "\x00",
		"an unknown flag": good[:18] + "\x20" + good[19:], "another unknown flag": good[:18] + "\x80" + good[19:], "half of the flags": good[:18],
		"another provider": strings.Replace(good, "demo", "gone", 1), "another issuer": good[:at] + "another " + good[at+8:], "another issuer in full": other + text("https://id.example.com") + good[at+8:],
		"an endless number": good[:17] + strings.Repeat("\xff", 40), "zeroes": good[:1] + strings.Repeat("\x00", 200), "a lone name in the data": good[:len(good)-5] + "\x01\x01k",
	}
	for i := 1; i < len(good); i += 3 {
		records[fmt.Sprint("cut to ", i)] = good[:i]
	}
	for what, record := range records {
		if who := s.stolen(name + "=1" + box.Seal([]byte(record), name)); who != "" {
			t.Errorf("%s: %q is signed in", what, who)
		}
	}
}

// Others' cookies are none of our business, however many.
func faultManyCookies(t *testing.T) {
	t.Parallel()
	s, _ := sessionSite(t, nil)
	line := s.mint(&ginauth.User{Subject: "ada"})
	others := func(n, size int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "other%d=%s; ", i, strings.Repeat("x", size))
		}
		return text.String()
	}
	for name, header := range map[string]string{
		"sixty others before":    others(60, 100) + line,
		"sixty others behind":    line + "; " + others(60, 100),
		"thousands of others":    others(5000, 100) + line,
		"garbage between":        ";;; =; ==; a; \"; " + line + " ; ,",
		"eight lines of a proxy": others(8, 8000) + line,
	} {
		if who := s.stolen(header); who != "ada" {
			t.Errorf("%s: %q", name, who)
		}
	}
	p := s.askAs(s.newBrowser(), "GET", "/who", "Cookie", others(300, 8000)+line)
	if p.Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("more than a server takes: %d, want 431", p.Status)
	}
}
