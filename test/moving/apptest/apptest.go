// Package apptest runs an application over HTTP, first the version before ginauth and then,
// at the same address, the version after, while the browsers of its users stay open.
package apptest

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth/authtest"
)

// Main runs the tests of a package, without the log of the applications.
func Main(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultWriter = io.Discard
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// Site is an installation of an application.
type Site struct {
	URL string // the public URL, without a trailing slash

	t       testing.TB
	address string // the address on which the server listens
	handler atomic.Pointer[http.Handler]
}

// New starts a site without an application, at a host name. The name localhost is this
// machine's; a browser of the site finds it under any other, too.
func New(t testing.TB, host string) *Site {
	t.Helper()
	s := &Site{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s.address = server.Listener.Addr().String()
	_, port, _ := strings.Cut(s.address, ":")
	s.URL = "http://" + host + ":" + port
	return s
}

// Run replaces the running application.
func (s *Site) Run(app http.Handler, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	s.handler.Store(&app)
}

// Handler returns the running application.
func (s *Site) Handler() http.Handler { return *s.handler.Load() }

// Provider starts a provider that accepts these redirect URIs of the site and no other.
func (s *Site) Provider(config authtest.Config, callbacks ...string) *authtest.Provider {
	s.t.Helper()
	for _, path := range callbacks {
		config.RedirectURIs = append(config.RedirectURIs, s.URL+path)
	}
	idp, err := authtest.Start(config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(idp.Close)
	return idp
}

// Visitor is a user with a browser.
type Visitor struct {
	*authtest.Browser
	Page *authtest.Page // the current page

	site *Site
}

// Visitor opens a new browser.
func (s *Site) Visitor() *Visitor {
	b := authtest.NewBrowser()
	s.t.Cleanup(b.Close)
	u, _ := url.Parse(s.URL)
	b.Resolve(u.Hostname(), s.address)
	return &Visitor{Browser: b, site: s}
}

func (v *Visitor) see(page *authtest.Page, err error) string {
	v.site.t.Helper()
	if err != nil {
		v.site.t.Fatal(err)
	}
	v.Page = page
	return fmt.Sprintf("%d %s %s", page.Status, page.URL.RequestURI(), page.Text())
}

// Opens visits an address of the site, as if it were typed. Like the methods below it
// returns the status, the path and the text of the page where that ends.
func (v *Visitor) Opens(path string) string { return v.see(v.Get(v.site.URL + path)) }

// Clicks a link on the page.
func (v *Visitor) Clicks(link string) string { return v.see(v.ClickLink(v.Page, link)) }

// Goes to the address that a script on the page opens.
func (v *Visitor) Goes(href string) string { return v.see(v.Click(v.Page, href)) }

// Presses a button on the page, with these fields: name, value, name, value, ….
func (v *Visitor) Presses(button string, fields ...string) string {
	return v.see(v.SubmitForm(v.Page, button, form(fields)))
}

// Posts a form from a page of the origin, "" for the site's own.
func (v *Visitor) Posts(origin, path string, fields ...string) string {
	return v.see(v.Submit(v.from(origin), v.site.URL+path, form(fields)))
}

// Fetches as a script does on a page of the origin, "" for the site's own. Headers are
// name, value, name, value, ….
func (v *Visitor) Fetches(origin, method, path, body string, headers ...string) string {
	h := http.Header{"Accept": {"application/json"}}
	if body != "" {
		h.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return v.see(v.Fetch(v.from(origin), method, v.site.URL+path, h, body))
}

func (v *Visitor) from(origin string) *authtest.Page {
	if origin == "" {
		origin = v.site.URL
	}
	return authtest.At(origin + "/")
}

// Lasting returns the number of cookies that the browser keeps when it closes.
func (v *Visitor) Lasting() (n int) {
	for _, c := range v.Cookies(v.site.URL) {
		if !c.Expires.IsZero() || c.MaxAge > 0 {
			n++
		}
	}
	return n
}

// Asks sends a request without cookies, like a program, and returns status and body.
func (s *Site) Asks(method, path string, headers ...string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.address+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = strings.TrimPrefix(s.URL, "http://")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", response.StatusCode, body)
}

// Has fails the test unless a text contains all of these.
func Has(t testing.TB, got string, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(got, text) {
			t.Fatalf("%q is not in\n%s", text, got)
		}
	}
}

// Hasnt fails the test if a text contains one of these.
func Hasnt(t testing.TB, got string, unwanted ...string) {
	t.Helper()
	for _, text := range unwanted {
		if strings.Contains(got, text) {
			t.Fatalf("%q is in\n%s", text, got)
		}
	}
}

func form(fields []string) url.Values {
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return values
}
