package mistakes

import (
	"html/template"
	"testing"

	"github.com/ginauth/ginauth"
)

func TestMistakesInPages(t *testing.T) {
	reports(t, []mistake{
		{"a template that fails", func(o *ginauth.Options) {
			o.Pages.Template = template.Must(template.New("").Parse(`{{if eq .Kind "ended"}}{{.Nothing}}{{end}}`))
		}, "options.pages.template.fails", []string{`"ended"`, "*ginauth.Page"}},
		{"a text that is not on any page", func(o *ginauth.Options) {
			o.Pages.Texts = map[string]map[string]string{"en": {"nonsense": "x"}}
		}, "options.pages.texts.invalid", []string{`"nonsense"`, "choose.title", "docs/pages.md"}},
		{"a language that is none", func(o *ginauth.Options) {
			o.Pages.Texts = map[string]map[string]string{"klingon!": {"home": "x"}}
		}, "options.pages.texts.invalid", []string{`"klingon!"`, `"pt-BR"`}},
	})
}
