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

// An icon stands in the sign-in page as it is.
func TestMistakesInTheBrand(t *testing.T) {
	var all []mistake
	for _, color := range []string{"24292f", "#24292", "#24292ff", "#24292g", "red", "#fff;x:y", "#ＦＦＦ"} {
		all = append(all, onProvider("colour "+color, func(p *ginauth.Provider) { p.Color = color }, "Color: ", "is not a colour", `"#24292f"`))
	}
	in := func(inner string) string { return `<svg xmlns="http://www.w3.org/2000/svg">` + inner + `</svg>` }
	for _, m := range []struct{ name, svg, why string }{
		{"a script", in(`<script>alert(1)</script>`), `the element "script"`},
		{"a handler", in(`<path onload="alert(1)"/>`), `the attribute "onload"`},
		{"a handler on the root", `<svg onload="alert(1)"/>`, `the attribute "onload"`},
		{"a link", in(`<a href="https://evil.example"/>`), `the element "a"`},
		{"a picture", in(`<image href="https://evil.example/x.png"/>`), `the element "image"`},
		{"a use", in(`<use href="#x"/>`), `the element "use"`},
		{"a linked attribute", in(`<path xlink:href="https://evil.example"/>`), `the attribute "href"`},
		{"HTML inside", in(`<foreignObject><p/></foreignObject>`), `the element "foreignObject"`},
		{"a style", in(`<style>*{}</style>`), `the element "style"`},
		{"a style attribute", in(`<path style="fill:url(x)"/>`), `the attribute "style"`},
		{"an id", in(`<path id="login"/>`), `the attribute "id"`},
		{"an animation", in(`<animate attributeName="d"/>`), `the element "animate"`},
		{"a reference in fill", in(`<path fill="url(https://evil.example)"/>`), `a reference in "fill"`},
		{"a reference in stroke", in(`<path stroke="URL(//evil.example)"/>`), `a reference in "stroke"`},
		{"a prefix", `<x:svg xmlns:x="http://www.w3.org/2000/svg"/>`, `the element "svg"`},
		{"another namespace", `<svg xmlns="http://www.w3.org/1999/xhtml"/>`, "another namespace"},
		{"an entity", in(`<title>&lt;script></title>`), "an entity"},
		{"a doctype", `<!DOCTYPE svg>` + in(""), "an entity"},
		{"an instruction", `<?xml version="1.0"?>` + in(""), "an entity"},
		{"a comment", in(`<!-- x -->`), "an entity"},
		{"CDATA", in(`<![CDATA[<script>]]>`), "an entity"},
		{"text", in(`Corp`), "has text"},
		{"text before", "Corp" + in(""), "has text"},
		{"no element", "Corp", "has text"},
		{"two elements", in("") + in(""), "not one well-formed"},
		{"another element", `<g/>`, "not one well-formed"},
		{"one in the other", in(in("")), "not one well-formed"},
		{"half an element", `<svg><g>`, "not one well-formed"},
		{"an element that ends as another", `<svg><g></svg></g>`, "not one well-formed"},
		{"an end alone", `</svg>`, "not one well-formed"},
		{"an address", "https://corp.example/logo.svg", "has text"},
		{"too much", in(`<path d="` + strings.Repeat("M0 0", 1025) + `"/>`), "more than 4096"},
	} {
		all = append(all, onProvider(m.name, func(p *ginauth.Provider) { p.Icon = m.svg }, "Icon: ", m.why, "plain shapes"))
	}
	reports(t, all)
}

// What a function of package providers found wrong with its arguments, Mount
// reports, in place of what followed from it.
func TestMistakesInArguments(t *testing.T) {
	tenant := &ginauth.Error{Code: ginauth.ErrInvalidOptions, Op: "tenant", Reason: `"../x" is no tenant`, Fix: "write its id"}
	reports(t, []mistake{
		onProvider("an argument", func(p *ginauth.Provider) { p.Err, p.Issuer = tenant, "https://login.example.com/../x" }, `tenant: "../x" is no tenant`, "write its id"),
		onProvider("any error", func(p *ginauth.Provider) { p.Err = errors.New("the key is no key") }, "Err: the key is no key", "correct"),
	})
	err := sitetest.MountError(sitetest.GoodOptionsWith(func(o *ginauth.Options) {
		o.Providers[0].Err, o.Providers[0].ClientID = errors.Join(tenant, errors.New("the key is no key")), ""
	}))
	sitetest.WantInvalid(t, err, `provider "corp": tenant: `, `provider "corp": Err: the key is no key`, `provider "corp": ClientID: is empty`)
}
