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

// headerLimit is the longest Accept-Language header that is read, in bytes. Browsers send less
// than a hundred.
const headerLimit = 400

// Texts holds the texts of the pages, by language and name.
type Texts struct {
	names   []string // of the languages, as written
	table   map[string]map[string]string
	matcher language.Matcher
}

// NewTexts returns the built-in texts, overridden and extended by those of the application. A
// language that is not built in falls back to English for missing texts.
func NewTexts(own map[string]map[string]string) (*Texts, error) {
	t := &Texts{names: slices.Clone(builtIn), table: map[string]map[string]string{}}
	maps.Copy(t.table, loaded())
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if _, err := language.Parse(name); err != nil {
			return nil, &TextError{Language: name}
		}
		if t.table[name] == nil {
			t.table[name] = t.table["en"]
			t.names = append(t.names, name)
		}
		t.table[name] = maps.Clone(t.table[name])
		for key, text := range own[name] {
			if _, known := t.table["en"][key]; !known {
				return nil, &TextError{Language: name, Key: key, known: t.Keys()}
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

// TextError is the error of NewTexts: an invalid language tag or, with a Key, an unknown text.
type TextError struct {
	Language, Key string
	known         []string
}

// Error implements error.
func (e *TextError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%q is not a language: use a tag such as \"ko\" or \"pt-BR\"", e.Language)
	}
	return fmt.Sprintf("%s has an unknown text %q; the texts are %s", e.Language, e.Key, strings.Join(e.known, ", "))
}

// loaded returns the built-in texts by language. They are parsed once and shared by all Texts,
// which saves half a millisecond of each Mount.
var loaded = sync.OnceValue(func() map[string]map[string]string {
	table := map[string]map[string]string{}
	for _, name := range builtIn {
		var texts map[string]string
		raw, err := files.ReadFile("texts/" + name + ".json")
		if err == nil {
			err = json.Unmarshal(raw, &texts)
		}
		if err != nil { // impossible: the tests read the same files
			panic(err)
		}
		table[name] = texts
	}
	return table
})

// Keys returns the sorted names of the texts.
func (t *Texts) Keys() []string { return slices.Sorted(maps.Keys(t.table["en"])) }

// Language returns the language that fits an Accept-Language header best.
func (t *Texts) Language(header string) string {
	if header == "" || len(header) > headerLimit {
		return t.names[0]
	}
	_, i := language.MatchStrings(t.matcher, header)
	return t.names[i]
}

// Get returns the text called key, or "" if there is no such text.
func (t *Texts) Get(lang, key string) string { return t.table[lang][key] }

// Fill returns the text called key with {name} replaced by value.
func (t *Texts) Fill(lang, key, name, value string) string {
	return strings.ReplaceAll(t.Get(lang, key), "{"+name+"}", value)
}
