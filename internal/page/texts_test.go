package page_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/page"
)

var placeholder = regexp.MustCompile(`\{[a-z]*\}`)

func TestEveryLanguageSaysEverything(t *testing.T) {
	read := func(file string) (texts map[string]string) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &texts); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return texts
	}
	english := read("texts/en.json")
	files, err := filepath.Glob("texts/*.json")
	if err != nil || len(files) != 7 {
		t.Fatalf("there are %d languages (%v), want 7", len(files), err)
	}
	built, err := page.NewTexts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		texts, lang := read(file), strings.TrimSuffix(filepath.Base(file), ".json")
		if missing := slices.DeleteFunc(slices.Sorted(maps.Keys(english)), func(k string) bool { return texts[k] != "" }); len(missing) > 0 || len(texts) != len(english) {
			t.Errorf("%s lacks %q, or has more than English", lang, missing)
		}
		for key, text := range texts {
			if want := placeholder.FindAllString(english[key], -1); !slices.Equal(placeholder.FindAllString(text, -1), want) {
				t.Errorf("%s: %s is %q, want %q in it", lang, key, text, want)
			}
			if lang != "en" && text == english[key] {
				t.Errorf("%s: %s is English", lang, key)
			}
			if built.Get(lang, key) != text {
				t.Errorf("%s: %s is not built in", lang, key)
			}
		}
	}
}

func TestLanguage(t *testing.T) {
	texts, err := page.NewTexts(map[string]map[string]string{"pt-BR": {"home": "Início"}, "ko": {"home": "처음으로"}})
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"": "en", "en-GB,en;q=0.9": "en", "ko-KR,ko;q=0.9,en-US;q=0.8": "ko", "ja": "ja", "zh-CN,zh;q=0.9": "zh", "zh-TW,zh;q=0.9,en;q=0.8": "zh",
		"de-AT": "de", "fr-CA,fr;q=0.8": "fr", "es-419,es;q=0.9": "es", "pt-BR,pt;q=0.9": "pt-BR", "pt": "pt-BR", "sv,ko;q=0.5": "ko", "en;q=0.1,fr": "fr",
		"*": "en", "xx": "en", ";;;,q=": "en", "\xff\x00": "en", "de;q=0": "en", strings.Repeat("de,", 200): "en",
	} {
		if got := texts.Language(header); got != want {
			t.Errorf("Language(%.40q) = %q, want %q", header, got, want)
		}
	}
	for key, want := range map[string]string{"pt-BR/home": "Início", "pt-BR/again": "Try again", "ko/home": "처음으로", "ko/again": "다시 시도", "en/home": "Home"} {
		lang, key, _ := strings.Cut(key, "/")
		if got := texts.Get(lang, key); got != want {
			t.Errorf("%s of %s = %q, want %q", key, lang, got, want)
		}
	}
}

func TestTextsThatAreNone(t *testing.T) {
	for want, own := range map[struct{ Language, Key string }]map[string]map[string]string{
		{Language: "klingon!"}:       {"klingon!": {"home": "x"}},
		{Language: "en", Key: "hom"}: {"en": {"hom": "x"}},
	} {
		_, err := page.NewTexts(own)
		if e, ok := err.(*page.TextError); !ok || e.Language != want.Language || e.Key != want.Key {
			t.Errorf("%v: %v", own, err)
		}
	}
}

// All applications of a process share the built-in texts. An application that overrides some does
// not change those of the others.
func TestTextsAreTheApplicationsOwn(t *testing.T) {
	built, err := page.NewTexts(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := built.Keys()[0]
	for _, language := range []string{"en", "de", "pt-BR"} {
		before := built.Get(language, key)
		own, err := page.NewTexts(map[string]map[string]string{language: {key: "changed"}})
		if err != nil {
			t.Fatal(err)
		}
		again, err := page.NewTexts(nil)
		if err != nil {
			t.Fatal(err)
		}
		if own.Get(language, key) != "changed" || built.Get(language, key) != before || again.Get(language, key) != before || again.Get("en", key) != built.Get("en", key) {
			t.Errorf("%s: one application has %q, the others have %q and %q", language, own.Get(language, key), built.Get(language, key), again.Get(language, key))
		}
	}
}
