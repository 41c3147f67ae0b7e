package authtest_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

// echo tells what it was asked, and answers as the query wants: set= are
// Set-Cookie lines, to= and status= a redirect, header= other headers, body= a
// page. /loop redirects to itself.
func echo(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for _, line := range query["set"] {
		w.Header().Add("Set-Cookie", line)
	}
	for _, line := range query["header"] {
		name, value, _ := strings.Cut(line, ": ")
		w.Header().Set(name, value)
	}
	if r.URL.Path == "/loop" {
		query.Set("to", "/loop")
	}
	if query.Has("to") {
		status, err := strconv.Atoi(query.Get("status"))
		if err != nil {
			status = http.StatusFound
		}
		w.Header().Set("Location", query.Get("to"))
		w.WriteHeader(status)
		return
	}
	if query.Has("body") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, query.Get("body"))
		return
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.NewEncoder(w).Encode(heard{r.Method, r.Host, r.URL.RequestURI(), r.Header, string(body)})
}

// heard is what echo was asked.
type heard struct {
	Method, Host, URI string
	Header            http.Header
	Body              string
}

func (h heard) get(name string) string { return h.Header.Get(name) }

// hear is what the last request to echo was.
func hear(t *testing.T, p *authtest.Page, err error) heard {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var h heard
	if err := json.Unmarshal(p.Body, &h); err != nil {
		t.Fatalf("%v in %d %q", err, p.Status, p.Text())
	}
	return h
}

// world is a set of names that echo answers for, over http and https.
type world struct {
	http, https string // ports, with the colon
	browser     *authtest.Browser
}

func newWorld(t *testing.T) *world {
	t.Helper()
	plain := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(plain.Close)
	certificate, err := authtest.Certificate("*.example.com", "example.com", "*.example.org", "localhost", "*.localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	w := &world{browser: authtest.NewBrowser()}
	w.http, w.https = ":"+portOf(t, plain.URL), ":"+portOf(t, secure.URL)
	for _, host := range []string{"app.example.com", "www.example.com", "evil.example.org", "example.com"} {
		w.browser.Resolve(host, "127.0.0.1")
	}
	return w
}

func portOf(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// url writes an address of the world: "https://app.example.com/x" gets its
// port, and pairs are added to the query.
func (w *world) url(address string, pairs ...string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	u.Host += map[string]string{"http": w.http, "https": w.https}[u.Scheme]
	query := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		query.Add(pairs[i], pairs[i+1])
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// set makes the browser meet Set-Cookie lines on a visit.
func (w *world) set(t *testing.T, address string, lines ...string) {
	t.Helper()
	var pairs []string
	for _, line := range lines {
		pairs = append(pairs, "set", line)
	}
	if _, err := w.browser.Get(w.url(address, pairs...)); err != nil {
		t.Fatal(err)
	}
}
