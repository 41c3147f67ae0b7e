package authtest

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// tag is a start or end tag and the text up to the next one.
type tag struct {
	name    string
	closing bool
	attrs   map[string]string
	text    string
}

var attribute = regexp.MustCompile(`([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>` + "`" + `]+)))?`)

// tags splits a page into its tags. It is not an HTML parser: it suffices for forms and links on
// well-formed pages.
func tags(source string) []tag {
	var found []tag
	for {
		before, rest, ok := strings.Cut(source, "<")
		if n := len(found); n > 0 {
			found[n-1].text += before
		}
		if !ok {
			return found
		}
		if strings.HasPrefix(rest, "!--") {
			_, source, _ = strings.Cut(rest, "-->")
			continue
		}
		end := tagEnd(rest)
		t := parseTag(rest[:end])
		source = rest[min(end+1, len(rest)):]
		switch t.name {
		case "":
			continue
		case "script", "style", "title", "textarea":
			if i := strings.Index(strings.ToLower(source), "</"+t.name); i >= 0 && !t.closing {
				t.text, source = source[:i], source[i:]
			}
		}
		found = append(found, t)
	}
}

// tagEnd returns the index of the tag's ">", ignoring those in quotes.
func tagEnd(s string) int {
	quote := rune(0)
	for i, r := range s {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"', r == '\'':
			quote = r
		case r == '>':
			return i
		}
	}
	return len(s)
}

func parseTag(s string) tag {
	t := tag{attrs: map[string]string{}}
	s, t.closing = strings.CutPrefix(s, "/")
	end := strings.IndexFunc(s, func(r rune) bool { return r == '/' || r <= ' ' })
	if end < 0 {
		end = len(s)
	}
	t.name = strings.ToLower(s[:end])
	if t.name == "" || t.name[0] < 'a' || t.name[0] > 'z' {
		return tag{}
	}
	for _, match := range attribute.FindAllStringSubmatch(s[end:], -1) {
		name := strings.ToLower(match[1])
		if _, twice := t.attrs[name]; !twice {
			t.attrs[name] = html.UnescapeString(match[2] + match[3] + match[4])
		}
	}
	return t
}

func (t tag) has(attr string) bool {
	_, ok := t.attrs[attr]
	return ok
}

// Forms returns the forms of the page.
func (p *Page) Forms() []Form {
	all := tags(p.Text())
	var forms []Form
	inside := -1
	for i, t := range all {
		switch {
		case t.name == "form" && t.closing:
			inside = -1
		case t.name == "form":
			inside = len(forms)
			forms = append(forms, newForm(t))
		case !t.closing && !t.has("disabled"):
			owner := inside
			if id := t.attrs["form"]; id != "" {
				owner = slices.IndexFunc(forms, func(f Form) bool { return f.ID == id })
			}
			if owner >= 0 {
				forms[owner].add(t, all[i+1:])
			}
		}
	}
	return forms
}

func newForm(t tag) Form {
	f := Form{ID: t.attrs["id"], Name: t.attrs["name"], Action: t.attrs["action"], Method: formMethod(t.attrs["method"]), Fields: url.Values{}}
	f.submitsItself = t.has("data-autosubmit") || f.ID == "form_post"
	return f
}

func formMethod(s string) string {
	if strings.EqualFold(s, http.MethodPost) {
		return http.MethodPost
	}
	return http.MethodGet
}

// add adds a control to the form; after are the tags that follow it.
func (f *Form) add(t tag, after []tag) {
	name, kind := t.attrs["name"], strings.ToLower(t.attrs["type"])
	switch {
	case t.name == "button" && (kind == "" || kind == "submit"):
		f.addButton(t, textUntil(t, after))
	case t.name == "input" && (kind == "submit" || kind == "image"):
		f.addButton(t, t.attrs["value"])
	case t.name == "select" && name != "":
		f.Fields[name] = append(f.Fields[name], selected(t, after)...)
	case t.name == "textarea" && name != "":
		f.Fields.Add(name, html.UnescapeString(strings.TrimPrefix(t.text, "\n")))
	case t.name != "input" || name == "" || kind == "button" || kind == "reset" || kind == "file":
	case kind == "checkbox" || kind == "radio":
		if t.has("checked") {
			value := "on"
			if t.has("value") {
				value = t.attrs["value"]
			}
			f.Fields.Add(name, value)
		}
	default:
		f.Fields.Add(name, t.attrs["value"])
	}
}

func (f *Form) addButton(t tag, text string) {
	b := Button{Text: strings.Join(strings.Fields(text), " "), Name: t.attrs["name"], Value: t.attrs["value"], action: t.attrs["formaction"]}
	if t.has("formmethod") {
		b.method = formMethod(t.attrs["formmethod"])
	}
	f.Buttons = append(f.Buttons, b)
}

// textUntil returns the text between a tag and its end tag.
func textUntil(t tag, after []tag) string {
	text := t.text
	for _, inner := range after {
		if inner.name == t.name {
			break
		}
		text += " " + inner.text
	}
	return html.UnescapeString(text)
}

// selected returns the values of the selected options, or the first one if none is selected.
func selected(t tag, after []tag) []string {
	var chosen, all []string
	for _, option := range after {
		if option.name == "select" {
			break
		}
		if option.name != "option" || option.closing || option.has("disabled") {
			continue
		}
		value := strings.TrimSpace(html.UnescapeString(option.text))
		if option.has("value") {
			value = option.attrs["value"]
		}
		all = append(all, value)
		if option.has("selected") {
			chosen = append(chosen, value)
		}
	}
	if len(chosen) == 0 && len(all) > 0 && !t.has("multiple") {
		return all[:1]
	}
	return chosen
}

// findLink returns the href of the first link whose text is, or else contains, text.
func findLink(source, text string) (href string, ok bool) {
	all := tags(source)
	for i, t := range all {
		if t.name != "a" || t.closing || !t.has("href") {
			continue
		}
		label := strings.Join(strings.Fields(textUntil(t, all[i+1:])), " ")
		if label == text {
			return t.attrs["href"], true
		}
		if !ok && strings.Contains(label, text) {
			href, ok = t.attrs["href"], true
		}
	}
	return href, ok
}
