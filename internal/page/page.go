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

// Sources are the sources that a page may load from and send to, besides its own styles.
type Sources struct {
	Own  bool   // styles, fonts and pictures of the application
	Form bool   // the page has a form
	To   string // origin that a form may be redirected to
}

// Nonce returns the nonce of a page's style element.
func Nonce() string { return rand.Text() }

// Write renders data with a template as the response. If the template fails, nothing is
// written.
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
