// Package page draws the built-in pages: one layout, no script, nothing
// loaded from anywhere.
package page

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

// Page is what a page says. Everything in it is escaped.
type Page struct {
	Title     string
	Text      string
	Actions   []Action // what to do next; the first one stands out
	Code      string   // of an error
	RequestID string
	Reason    string // for a developer, on loopback alone
	Fix       string
	// FormOrigin may be redirected to by a form, beside this origin.
	FormOrigin string
}

// Action is a button: a link, or a form that posts.
type Action struct {
	Label  string
	URL    string
	Post   bool
	Fields map[string]string // of the form
}

//go:embed page.html
var source string

var layout = template.Must(template.New("page").Parse(source))

// Write answers with a page.
func Write(w http.ResponseWriter, status int, p Page) error {
	nonce := rand.Text()
	var body bytes.Buffer
	if err := layout.Execute(&body, struct {
		Page
		Nonce string
	}{p, nonce}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	form := "'none'"
	for _, a := range p.Actions {
		if a.Post {
			form = strings.TrimSpace("'self' " + p.FormOrigin)
			// Under no-referrer browsers send "Origin: null" with a form.
			h.Set("Referrer-Policy", "same-origin")
		}
	}
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; frame-ancestors 'none'; base-uri 'none'; form-action "+form)
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}
