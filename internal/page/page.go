// Package page draws the built-in pages: one layout, no script, nothing loaded
// from anywhere, in the language that the browser asks for.
package page

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page.html
var source string

// Layout is the built-in template.
var Layout = template.Must(template.New("page").Parse(source))

// Sources are what a page may load and send, beside its own styles.
type Sources struct {
	Own  bool   // styles, fonts and pictures of the application
	Form bool   // the page has a form
	To   string // origin that a form may be redirected to
}

// Nonce returns what a page's style element has to bear.
func Nonce() string { return rand.Text() }

// Write draws data with a template and answers with it. If the template fails,
// nothing is written.
func Write(w http.ResponseWriter, status int, layout *template.Template, data any, nonce string, may Sources) error {
	var body bytes.Buffer
	if err := layout.Execute(&body, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", may.policy(nonce))
	if may.Form { // under no-referrer browsers send "Origin: null" with a form
		h.Set("Referrer-Policy", "same-origin")
	}
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}

// policy lets every page show the site's icon, which browsers ask for by
// themselves; Firefox complains where it may not.
func (s Sources) policy(nonce string) string {
	load, form := "style-src 'nonce-"+nonce+"'; img-src 'self'", "'none'"
	if s.Own {
		load = "style-src 'self' 'nonce-" + nonce + "'; img-src 'self' data:; font-src 'self'"
	}
	if s.Form {
		form = strings.TrimSpace("'self' " + s.To)
	}
	return "default-src 'none'; " + load + "; frame-ancestors 'none'; base-uri 'none'; form-action " + form
}
