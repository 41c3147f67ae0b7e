package page

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

//go:embed texts/*.json
var files embed.FS

// builtIn are the languages of texts/; the first is the default.
var builtIn = []string{"en", "de", "es", "fr", "ja", "ko", "zh"}

// headerLimit is how much of an Accept-Language header is read; browsers send
// less than a hundred bytes.
const headerLimit = 400

// Texts are the sentences of the pages, by language and name.
type Texts struct {
	names   []string // of the languages, as written
	table   map[string]map[string]string
	matcher language.Matcher
}

// NewTexts returns the built-in texts, changed by an application's own. A
// language that is not built in says in English what it leaves out.
func NewTexts(own map[string]map[string]string) (*Texts, error) {
	t := &Texts{names: slices.Clone(builtIn), table: map[string]map[string]string{}}
	maps.Copy(t.table, loaded())
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if _, err := language.Parse(name); err != nil {
			return nil, fmt.Errorf("%q is no language: write a tag such as \"ko\" or \"pt-BR\"", name)
		}
		if t.table[name] == nil {
			t.table[name] = t.table["en"]
			t.names = append(t.names, name)
		}
		t.table[name] = maps.Clone(t.table[name])
		for key, text := range own[name] {
			if _, known := t.table["en"][key]; !known {
				return nil, fmt.Errorf("%s has a text called %q; there are %s", name, key, strings.Join(t.Keys(), ", "))
			}
			t.table[name][key] = text
		}
	}
	tags := make([]language.Tag, len(t.names))
	for i, name := range t.names {
		tags[i] = language.Make(name)
	}
	t.matcher = language.NewMatcher(tags)
	return t, nil
}

// loaded returns the texts of the files, by language. They are parsed once and
// shared by all Texts, which saves half a millisecond of each Mount.
var loaded = sync.OnceValue(func() map[string]map[string]string {
	table := map[string]map[string]string{}
	for _, name := range builtIn {
		var texts map[string]string
		raw, err := files.ReadFile("texts/" + name + ".json")
		if err == nil {
			err = json.Unmarshal(raw, &texts)
		}
		if err != nil { // the tests have read the files before
			panic(err)
		}
		table[name] = texts
	}
	return table
})

// Keys are the names of the texts.
func (t *Texts) Keys() []string { return slices.Sorted(maps.Keys(t.table["en"])) }

// Language returns the one that fits an Accept-Language header best.
func (t *Texts) Language(header string) string {
	if header == "" || len(header) > headerLimit {
		return t.names[0]
	}
	_, i := language.MatchStrings(t.matcher, header)
	return t.names[i]
}

// Get returns a text, or "" if there is none of that name.
func (t *Texts) Get(lang, key string) string { return t.table[lang][key] }

// Fill returns a text with a value in place of {name}.
func (t *Texts) Fill(lang, key, name, value string) string {
	return strings.ReplaceAll(t.Get(lang, key), "{"+name+"}", value)
}
