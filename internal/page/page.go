// Package page renders the built-in pages: one layout without scripts or external resources,
// in the language that the browser requests.
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

// Sources says what a page may load and where its forms may go, for the Content-Security-Policy.
// Its inline styles are always allowed.
type Sources struct {
	Own  bool   // styles, fonts and pictures of the application are allowed
	Form bool   // the page has a form
	To   string // origin to which the response to the form may redirect
}

// Nonce returns the nonce of a page's style element.
func Nonce() string { return rand.Text() }

// Write writes a page that layout renders from data. If the template fails, Write writes nothing.
func Write(w http.ResponseWriter, status int, layout *template.Template, data any, nonce string, may Sources) error {
	var body bytes.Buffer
	if err := layout.Execute(&body, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", may.policy(nonce))
	if may.Form { // with the policy no-referrer, browsers send "Origin: null" with a form
		h.Set("Referrer-Policy", "same-origin")
	}
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}

// policy returns the Content-Security-Policy. Every page may load images of its origin, since
// browsers request the site's icon on their own, and Firefox logs an error if that is forbidden.
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
