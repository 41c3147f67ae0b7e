package authtest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Form is a form on a page.
type Form struct {
	ID, Name string
	Action   string // as in the page
	Method   string // GET or POST
	Fields   url.Values
	Buttons  []Button

	submitsItself bool
}

// Button is a submit button of a form.
type Button struct {
	Text, Name, Value string

	action, method string // "" for the form's own
}

// SubmitForm submits a form of the page by one of its buttons, with fields overriding the
// form's. button is the text or value of the button, or part of its text; "" is the first
// button of the first form. It returns an error that lists the buttons if none matches, and
// one if the page's Content-Security-Policy forbids the form.
func (b *Browser) SubmitForm(p *Page, button string, fields url.Values) (*Page, error) {
	form, pressed, err := findButton(p.Forms(), button)
	if err != nil {
		return nil, fmt.Errorf("authtest: %s: %w", p.URL, err)
	}
	return b.submit(p, form, pressed, fields)
}

// SubmitFormAt submits the n-th form of the page, counted from 0, by its first button. It
// returns an error if the page has fewer forms.
func (b *Browser) SubmitFormAt(p *Page, n int, fields url.Values) (*Page, error) {
	forms := p.Forms()
	if n < 0 || n >= len(forms) {
		return nil, fmt.Errorf("authtest: %s has %d forms", p.URL, len(forms))
	}
	return b.submit(p, &forms[n], forms[n].firstButton(), fields)
}

func (b *Browser) submit(p *Page, form *Form, pressed *Button, fields url.Values) (*Page, error) {
	t, err := form.trip(p, pressed, fields)
	if err != nil {
		return nil, err
	}
	return b.run(t)
}

func (f *Form) firstButton() *Button {
	if len(f.Buttons) == 0 {
		return nil
	}
	return &f.Buttons[0]
}

func findButton(forms []Form, wanted string) (*Form, *Button, error) {
	if wanted == "" && len(forms) > 0 {
		return &forms[0], forms[0].firstButton(), nil
	}
	exact := func(b Button) bool { return b.Text == wanted || b.Value == wanted }
	within := func(b Button) bool { return strings.Contains(b.Text, wanted) }
	var seen []string
	for _, matches := range []func(Button) bool{exact, within} {
		for i := range forms {
			if n := slices.IndexFunc(forms[i].Buttons, matches); n >= 0 {
				return &forms[i], &forms[i].Buttons[n], nil
			}
		}
	}
	for _, form := range forms {
		for _, button := range form.Buttons {
			seen = append(seen, button.Text)
		}
	}
	return nil, nil, fmt.Errorf("no button %q in %d forms; the buttons are %q", wanted, len(forms), seen)
}

// trip returns the trip that submitting the form begins.
func (f *Form) trip(p *Page, pressed *Button, fields url.Values) (*trip, error) {
	action, method, sent := f.Action, f.Method, url.Values{}
	for name, values := range f.Fields {
		sent[name] = slices.Clone(values)
	}
	if pressed != nil {
		if pressed.Name != "" {
			sent.Add(pressed.Name, pressed.Value)
		}
		if pressed.action != "" {
			action = pressed.action
		}
		if pressed.method != "" {
			method = pressed.method
		}
	}
	for name, values := range fields {
		if sent[name] = values; len(values) == 0 {
			delete(sent, name)
		}
	}
	t, err := navigation(p, action)
	if err != nil {
		return nil, err
	}
	if action == "" {
		t.url.Fragment = ""
	}
	if method == http.MethodPost {
		return t.post(sent), nil
	}
	t.url.RawQuery, t.form = sent.Encode(), true
	return t, nil
}
