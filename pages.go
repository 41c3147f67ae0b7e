package ginauth

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ginauth/ginauth/internal/page"
)

// Pages changes the built-in pages. The zero value changes nothing. For an application's own
// page to choose a provider, use [Options.LoginPage] and [Auth.Providers]; for its own error
// pages, [Hooks.OnError].
type Pages struct {
	// Template renders every page; its data is a *[Page]. A style element needs
	// nonce="{{.Nonce}}". Style sheets, fonts and images may come from the application's own
	// origin; scripts do not run. Mount executes it once for every kind of page and returns
	// its errors. Default: the built-in layout.
	Template *template.Template `json:"-"`

	// Texts replaces texts by language and name, and may add languages:
	// Texts["en"]["choose.title"] = "Welcome". docs/pages.md lists the names. The language is
	// chosen by the browser's Accept-Language, else English. Default: Chinese, English,
	// French, German, Japanese, Korean and Spanish.
	Texts map[string]map[string]string
}

// Page is the content of a page, in the language Lang, for [Pages.Template].
type Page struct {
	// Kind is "choose" (the choice of providers), "error", "ended" (a form was sent after its
	// session had ended), "step_up" (the user must authenticate again), "sign_out" (asks for
	// confirmation) or "signed_out".
	Kind string

	Lang      string // BCP 47, for the lang attribute
	Title     string
	Text      string       // a sentence, or ""
	Actions   []PageAction // what to do next; the first one is the primary action
	Code      Code         // of an error, or ""
	RequestID string       // of an error, or ""; also in the log
	Footer    string       // Code and RequestID as text, or ""
	Reason    string       // for developers; set only on a loopback BaseURL
	Fix       string
	Docs      string // the section that explains the error, set with Reason: "docs/errors.md#check.group"
	Nonce     string // for the style element
}

// PageAction is a button: a link, or a form with method POST.
type PageAction struct {
	Label  string
	URL    string
	Post   bool
	Fields map[string]string // of the form

	// Set for a provider to choose.
	Provider string        // Provider.Name
	Note     string        // "Last used", or ""
	Color    string        // Provider.Color
	Ink      string        // the text colour on Color: white, or black if white is unreadable
	Icon     template.HTML // Provider.Icon, which Mount has checked
	Letter   string        // shown without an Icon
}

// pageRenderer renders and writes pages.
type pageRenderer struct {
	texts  *page.Texts
	layout *template.Template // the application's, or nil
}

// checkPages prepares the pages. An application's template is executed for every kind of page,
// so that a mistake in it is found by Mount rather than by a user.
func (c *config) checkPages(wrong *mistakes) {
	texts, err := page.NewTexts(c.Pages.Texts)
	if err != nil {
		wrong.add("Options.Pages.Texts", "invalid", err.Error(), "see docs/pages.md for the template's data")
	}
	c.pages = &pageRenderer{texts: texts, layout: c.Pages.Template}
	if c.pages.layout == nil {
		return
	}
	for _, kind := range []string{"choose", "error", "ended", "step_up", "sign_out", "signed_out"} {
		sample := &Page{Kind: kind, Lang: "en", Title: "t", Text: "t", Code: ErrStateInvalid, RequestID: "r", Footer: "f", Reason: "r", Fix: "f", Docs: "d", Nonce: "n",
			Actions: []PageAction{{Label: "l", URL: "/", Provider: "p", Note: "n"}, {Label: "l", URL: "/", Post: true, Fields: map[string]string{"n": "v"}}}}
		if err := c.pages.layout.Execute(io.Discard, sample); err != nil {
			wrong.add("Options.Pages.Template", "fails", fmt.Sprintf("fails for a page of kind %q: %v", kind, err), "use the fields of *ginauth.Page, which is the template's data")
			return
		}
	}
}

// text returns a text in the language of the page.
func (k *pageRenderer) text(p *Page, key string) string { return k.texts.Get(p.Lang, key) }

// newPage returns a page for a request.
func (k *pageRenderer) newPage(r *http.Request, kind string) *Page {
	return &Page{Kind: kind, Lang: k.texts.Language(r.Header.Get("Accept-Language")), Nonce: page.Nonce()}
}

// newTitledPage returns a page with the title and the text of its kind.
func (k *pageRenderer) newTitledPage(r *http.Request, kind string) *Page {
	p := k.newPage(r, kind)
	p.Title, p.Text = k.text(p, kind+".title"), k.text(p, kind+".text")
	return p
}

// write writes a page. If the application's template fails in spite of the check at Mount, the
// built-in one is used.
func (k *pageRenderer) write(w http.ResponseWriter, status int, p *Page, formTo string) error {
	may := page.Sources{Form: slices.ContainsFunc(p.Actions, func(a PageAction) bool { return a.Post }), To: formTo}
	w.Header().Set("Content-Language", p.Lang)
	if k.layout != nil {
		own := may
		own.Own = true
		if err := page.Write(w, status, k.layout, p, p.Nonce, own); err == nil || w.Header().Get("Content-Type") != "" {
			return err
		}
	}
	return page.Write(w, status, page.Layout, p, p.Nonce, may)
}

// choosePage lists the providers, beginning with the one used last.
func (a *Auth) choosePage(r *http.Request, g *registry, returnTo string) *Page {
	p := a.pages.newTitledPage(r, "choose")
	last := a.lastProvider.of(r, g)
	for _, name := range g.order {
		own := &g.clients[name].provider
		action := PageAction{
			Label: a.pages.texts.Fill(p.Lang, "choose.button", "name", own.DisplayName), URL: withReturn(a.cfg.prefix+a.cfg.mount+"/login/"+name, returnTo),
			Provider: name, Color: own.Color, Ink: ink(own.Color), Icon: template.HTML(own.Icon), Letter: initial(own.DisplayName), // #nosec G203: see unfitIcon
		}
		if name == last {
			action.Note = a.pages.text(p, "choose.last")
			p.Actions = slices.Insert(p.Actions, 0, action)
			continue
		}
		p.Actions = append(p.Actions, action)
	}
	return p
}

// initial returns the first letter of a name, in upper case.
func initial(name string) string {
	first, _ := utf8.DecodeRuneInString(name)
	return strings.ToUpper(string(first))
}

// ink returns a text colour that is readable on a colour: white, as most brands use, or black
// if the contrast of white is less than the 3:1 that large text needs (WCAG 2.2, 1.4.3).
func ink(color string) string {
	raw, err := hex.DecodeString(strings.TrimPrefix(color, "#"))
	if err != nil || len(raw) != 3 {
		return ""
	}
	luminance := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := float64(raw[i]) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		luminance += weight * v
	}
	if 1.05/(luminance+0.05) < 3 {
		return "#000000"
	}
	return "#ffffff"
}

// signOutPage asks whether to sign out.
func (a *Auth) signOutPage(r *http.Request, returnTo string) *Page {
	p := a.pages.newTitledPage(r, "sign_out")
	p.Actions = []PageAction{
		{Label: a.pages.text(p, "sign_out.button"), URL: a.cfg.prefix + a.cfg.mount + "/logout", Post: true, Fields: map[string]string{"return_to": returnTo}},
		{Label: a.pages.text(p, "sign_out.stay"), URL: a.cfg.url(a.cfg.AfterLogin)},
	}
	return p
}

// signedOutPage says that no user is signed in, which makes "/logout" a page for
// Options.AfterLogout.
func (a *Auth) signedOutPage(r *http.Request, returnTo string) *Page {
	p := a.pages.newTitledPage(r, "signed_out")
	p.Actions = []PageAction{
		{Label: a.pages.text(p, "signed_out.button"), URL: withReturn(a.loginPath(), returnTo)},
		{Label: a.pages.text(p, "home"), URL: a.cfg.url(a.cfg.AfterLogin)},
	}
	return p
}

// errorPage explains what happened and what to do next. It does not show the cause.
func (a *Auth) errorPage(r *http.Request, e *Error, id string) *Page {
	p := a.pages.newPage(r, "error")
	p.Title, p.Text = a.pages.text(p, titleKey(e)), a.pages.text(p, cmp.Or(e.text, string(e.Code)))
	p.Code, p.RequestID = e.Code, id
	p.Footer = a.footer(p.Lang, e.Code, id)
	if a.cfg.loopback {
		p.Reason, p.Fix, p.Docs = e.Reason, e.Fix, e.section()
	}
	act := func(key, url string) {
		p.Actions = append(p.Actions, PageAction{Label: a.pages.text(p, key), URL: url})
	}
	if e.retry != "" {
		if e.Code == ErrIdentityRejected && a.canSwitchAccount(e.Provider) {
			act("other", withParam(e.retry, "prompt", "select_account"))
		} else {
			act("again", e.retry)
		}
	}
	if e.Code == ErrForbidden { // signed in, but perhaps with the wrong account
		act("other", a.cfg.prefix+a.cfg.mount+"/logout")
	}
	act("home", a.cfg.url(a.cfg.AfterLogout))
	return p
}

// canSwitchAccount reports whether a sign-in link may ask the provider for another account.
func (a *Auth) canSwitchAccount(provider string) bool {
	c := a.providers.Load().clients[provider]
	return c != nil && slices.Contains(c.provider.LoginParams, "prompt")
}

func titleKey(e *Error) string {
	switch e.Code {
	case ErrForbidden, ErrIdentityRejected, ErrCrossOrigin:
		return "title.access"
	case ErrProviderDenied:
		if e.Event == RequestRefused || e.text == "consent_denied" { // the user is signed in
			return "title.access"
		}
		return "title.denied"
	case ErrUnknownProvider, ErrMethodNotAllowed, ErrBadRequest:
		return "title.request"
	}
	if e.Event != SignInFailed { // a guarded page, or a sign-out
		return "title.request"
	}
	return "title.failed"
}

// message returns the English sentence for JSON responses: that of key or, if key is empty, of
// code.
func (a *Auth) message(key string, code Code) string {
	return a.pages.texts.Get("en", cmp.Or(key, string(code)))
}

// loginFirstPage returns the page for a form whose session ended before the form was sent, or
// whose user must authenticate again.
func (a *Auth) loginFirstPage(r *http.Request, kind string, e *Error, id, login string) *Page {
	p := a.pages.newTitledPage(r, kind)
	p.Code, p.RequestID, p.Footer = e.Code, id, a.footer(p.Lang, e.Code, id)
	label := "sign_in"
	if kind == "consent" { // the user is signed in, and grants a permission
		label = "continue"
	}
	p.Actions = []PageAction{{Label: a.pages.text(p, label), URL: login}}
	return p
}

// footer returns the text that users quote to support.
func (a *Auth) footer(lang string, code Code, id string) string {
	return string(code) + " · " + a.pages.texts.Fill(lang, "request", "id", id)
}
