package mistakes

import (
	"errors"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

func TestBrand(t *testing.T) {
	for _, color := range []string{"", "#24292f", "#FFFFFF"} {
		err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) { o.Providers[0].Color, o.Providers[0].Icon = color, sitetest.Icon }))
		if err != nil {
			t.Errorf("%s: %v", color, err)
		}
	}
}

// An icon is inserted into the sign-in page unchanged.
func TestMistakesInTheBrand(t *testing.T) {
	var all []mistake
	for _, color := range []string{"24292f", "#24292", "#24292ff", "#24292g", "red", "#fff;x:y", "#ＦＦＦ"} {
		all = append(all, onProvider("colour "+color, func(p *ginauth.Provider) { p.Color = color }, "provider.color.malformed", `"#24292f"`))
	}
	in := func(inner string) string { return `<svg xmlns="http://www.w3.org/2000/svg">` + inner + `</svg>` }
	for _, m := range []struct{ name, svg, what, part string }{
		{"a script", in(`<script>alert(1)</script>`), "element", ""},
		{"a handler", in(`<path onload="alert(1)"/>`), "attribute", ""},
		{"a handler on the root", `<svg onload="alert(1)"/>`, "attribute", ""},
		{"a link", in(`<a href="https://evil.example"/>`), "element", ""},
		{"a picture", in(`<image href="https://evil.example/x.png"/>`), "element", ""},
		{"a use", in(`<use href="#x"/>`), "element", ""},
		{"a linked attribute", in(`<path xlink:href="https://evil.example"/>`), "attribute", ""},
		{"HTML inside", in(`<foreignObject><p/></foreignObject>`), "element", ""},
		{"a style", in(`<style>*{}</style>`), "element", ""},
		{"a style attribute", in(`<path style="fill:url(x)"/>`), "attribute", ""},
		{"an id", in(`<path id="login"/>`), "attribute", ""},
		{"an animation", in(`<animate attributeName="d"/>`), "element", ""},
		{"a reference in fill", in(`<path fill="url(https://evil.example)"/>`), "reference", ""},
		{"a reference in stroke", in(`<path stroke="URL(//evil.example)"/>`), "reference", ""},
		{"a prefix", `<x:svg xmlns:x="http://www.w3.org/2000/svg"/>`, "element", ""},
		{"another namespace", `<svg xmlns="http://www.w3.org/1999/xhtml"/>`, "namespace", ""},
		{"an entity", in(`<title>&lt;script></title>`), "markup", ""},
		{"a doctype", `<!DOCTYPE svg>` + in(""), "markup", ""},
		{"an instruction", `<?xml version="1.0"?>` + in(""), "markup", ""},
		{"a comment", in(`<!-- x -->`), "markup", ""},
		{"CDATA", in(`<![CDATA[<script>]]>`), "markup", ""},
		{"text", in(`Corp`), "text", ""},
		{"text before", "Corp" + in(""), "text", ""},
		{"no element", "Corp", "text", ""},
		{"two elements", in("") + in(""), "malformed", ""},
		{"another element", `<g/>`, "malformed", ""},
		{"one in the other", in(in("")), "malformed", ""},
		{"half an element", `<svg><g>`, "malformed", ""},
		{"an element that ends as another", `<svg><g></svg></g>`, "malformed", ""},
		{"an end alone", `</svg>`, "malformed", ""},
		{"an address", "https://corp.example/logo.svg", "text", ""},
		{"too much", in(`<path d="` + strings.Repeat("M0 0", 1025) + `"/>`), "too_long", "4096"},
	} {
		all = append(all, onProvider(m.name, func(p *ginauth.Provider) { p.Icon = m.svg }, "provider.icon."+m.what, m.part))
	}
	reports(t, all)
}

// Mount reports the errors that functions of package providers found in their arguments, instead
// of consequential errors.
func TestMistakesInArguments(t *testing.T) {
	tenant := &ginauth.Error{Code: ginauth.ErrInvalidOptions, Op: "tenant", Reason: `"../x" is no tenant`, Fix: "write its id"}
	reports(t, []mistake{
		onProvider("an argument", func(p *ginauth.Provider) { p.Err, p.Issuer = tenant, "https://login.example.com/../x" }, "provider.tenant.invalid", `"../x"`),
		onProvider("any error", func(p *ginauth.Provider) { p.Err = errors.New("the key is no key") }, "provider.err.invalid", "the key is no key"),
	})
	err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.Providers[0].Err, o.Providers[0].ClientID = errors.Join(tenant, errors.New("the key is no key")), ""
	}))
	sitetest.WantInvalid(t, err, "provider.client_id.empty", "provider.tenant.invalid", "provider.err.invalid")
}
