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
		}, []string{"Options.Pages.Template: ", `fails on a page of kind "ended"`, "it gets a *ginauth.Page"}},
		{"a text that is not on any page", func(o *ginauth.Options) {
			o.Pages.Texts = map[string]map[string]string{"en": {"nonsense": "x"}}
		}, []string{"Options.Pages.Texts: ", `en has a text called "nonsense"`, "choose.title", "docs/pages.md"}},
		{"a language that is none", func(o *ginauth.Options) {
			o.Pages.Texts = map[string]map[string]string{"klingon!": {"home": "x"}}
		}, []string{"Options.Pages.Texts: ", `"klingon!" is no language`, `"pt-BR"`}},
	})
}
