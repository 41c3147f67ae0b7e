package authtest

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html", "pages/*.svg"))

// page is the data of every page's template.
type page struct {
	Nonce string // of its style and script
	Data  any
}

// showPage writes a page that loads nothing from elsewhere. Its policy has no form-action, which
// browsers would also apply to the redirect back to the client.
func showPage(w http.ResponseWriter, status int, name string, data any) {
	nonce := randomString(16)
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "strict-origin")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; script-src 'nonce-"+nonce+"'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	render(w, status, name+".html", page{Nonce: nonce, Data: data})
}

func render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "authtest: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

func showProblem(w http.ResponseWriter, problem string) {
	showPage(w, http.StatusBadRequest, "problem", problem)
}

// choice is one user on the page.
type choice struct {
	Person
	Avatar string // not Picture, which may be at any URL
}

func (p *Provider) showPeople(w http.ResponseWriter, params url.Values) {
	var choices []choice
	for _, person := range p.everyone() {
		choices = append(choices, choice{Person: person, Avatar: strings.TrimPrefix(p.avatar(person.Subject), p.Issuer)})
	}
	showPage(w, http.StatusOK, "people", map[string]any{
		"Client":  p.config.ClientName,
		"People":  choices,
		"Hint":    params.Get("login_hint"),
		"Action":  choosePath,
		"Request": params.Encode(),
	})
}

// serveIndex answers a user that opens the issuer's URL in a browser.
func (p *Provider) serveIndex(w http.ResponseWriter, _ *http.Request) {
	showPage(w, http.StatusOK, "index", map[string]any{"Issuer": p.Issuer, "Metadata": p.URL(Discovery)})
}
