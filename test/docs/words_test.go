package docs

import (
	"encoding/json"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

// words lists words to avoid in prose: each reads as translated, or must be read twice, and the
// replacement is as short. Keep the table short. It is about words, never about sentences, so
// that every sentence can be improved without a test.
var words = []struct{ pattern, say string }{
	{`nobody`, `"no user", "unauthenticated requests", or turn the sentence round`},
	{`(some|any)body`, `"a user", "another user", "anyone"`},
	{`who(so)?ever`, `"anyone who", or the noun: the attacker, the user`},
	{`(which|what|that) (is|are) (no|none)\b`, `an adjective: invalid, missing`},
	{`of (its|their|his|her) own`, `"its own …", "separate", or nothing`},
	{`(is|are|was|were|be) asked`, `"called", "queried" or "prompted"`},
	{`by (itself|themselves)`, `"automatically", "on its own"`},
	{`any ?more`, `"no longer"`},
	{`all the same`, `"anyway", or nothing`},
	{`(goes|go|went) on`, `"continues"`},
	{`(the|a|one|two|no|whole|each) trips?`, `"the redirect to the provider", "the sign-in"`},
	{`(the|an|its|their|every|each|no|whose) answers?`, `"response"`},
}

var (
	// Code, comments, link targets, and quoted program output.
	notProse = regexp.MustCompile("(?ms)^```.*?^```$|`[^`]*`|<!--.*?-->|\\]\\([^)]*\\)|<[a-z/][^>]*>|https?://\\S+")
	banned   = func() *regexp.Regexp {
		patterns := make([]string, len(words))
		for i, w := range words {
			patterns[i] = "(" + strings.ReplaceAll(strings.ReplaceAll(w.pattern, "(", "(?:"), " ", `\s+`) + ")"
		}
		return regexp.MustCompile(`(?i)\b(?:` + strings.Join(patterns, "|") + `)\b`)
	}()
)

type stray struct {
	line       int
	found, say string
}

// strays finds the words to avoid in a text, outside code.
func strays(text string) (all []stray) {
	prose := notProse.ReplaceAllStringFunc(text, func(code string) string {
		return "\u2060" + strings.Repeat("\n", strings.Count(code, "\n")) // a match must not span it
	})
	for _, m := range banned.FindAllStringSubmatchIndex(prose, -1) {
		group := 0
		for m[2+2*group] < 0 {
			group++
		}
		found := strings.Join(strings.Fields(prose[m[0]:m[1]]), " ")
		all = append(all, stray{1 + strings.Count(prose[:m[0]], "\n"), found, words[group].say})
	}
	return all
}

// The README, the pages, the CHANGELOG and the texts of the built-in pages use the words of the
// field.
func TestWords(t *testing.T) {
	for _, name := range markdown(t) {
		if filepath.Base(name) != "README.md" && path.Dir(name) != "docs" && path.Dir(name) != "." {
			continue // program output, and names of tests
		}
		for _, s := range strays(sitetest.File(t, name)) {
			t.Errorf("%s:%d: %q; say %s", name, s.line, s.found, s.say)
		}
	}
	const english = "internal/page/texts/en.json"
	var texts map[string]string
	if err := json.Unmarshal([]byte(sitetest.File(t, english)), &texts); err != nil || len(texts) == 0 {
		t.Fatal(err)
	}
	for name, text := range texts {
		for _, s := range strays(text) {
			t.Errorf("%s: %s: %q; say %s", english, name, s.found, s.say)
		}
	}
}

func TestWordsAreFoundInProseAlone(t *testing.T) {
	for text, want := range map[string][]string{
		"Nobody is signed in.":                            {"Nobody"},
		"a key of its\nown, and whoever has it":           {"of its own", "whoever"},
		"the `nobody` user, <a href=\"nobody\">x</a>":     nil,
		"one\n\n```go\n// nobody\n```\n\n<!-- nobody -->": nil,
		"[text](nobody.md) and https://nobody.example":    nil,
		"a round trip, and it answers with 401":           nil,
		"the trip to the provider":                        {"the trip"},
		"a token that is none":                            {"that is none"},
	} {
		var got []string
		for _, s := range strays(text) {
			got = append(got, s.found)
		}
		if !slices.Equal(got, want) {
			t.Errorf("in %q: %q, want %q", text, got, want)
		}
	}
	for _, s := range strays("one\n\n```text\ntwo\n```\nnobody") {
		if s.line != 6 {
			t.Errorf("the word is in line %d, want 6", s.line)
		}
	}
}

// markdown returns the Markdown files of the repository.
func markdown(t *testing.T) []string {
	t.Helper()
	names := files(t, ".md")
	if !slices.Contains(names, "docs/testing.md") {
		t.Fatalf("the Markdown files are %q", names)
	}
	return names
}

// files returns the files of the repository with this suffix.
func files(t *testing.T, extension string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata"):
			return filepath.SkipDir
		case !d.IsDir() && filepath.Ext(name) == extension:
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
