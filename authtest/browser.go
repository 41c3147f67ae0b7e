package authtest

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Browser is the browser of one user, without scripts: it opens pages, follows redirects,
// stores cookies and submits forms. Its cookies and its Fetch-Metadata, Origin and Referer
// headers are those of Chromium; where browsers differ, it is the strictest.
//
// It connects only to loopback addresses; see Resolve for other names. A Browser is safe for
// concurrent use, like several tabs; set its fields before using it.
type Browser struct {
	// NoFetchMetadata simulates a browser without Sec-Fetch headers. Default: false.
	NoFetchMetadata bool

	// StopAt is called before a redirect is followed and before a page submits its form
	// automatically. If it returns true, the navigation ends with that page; Follow continues
	// it. Default: nil, which never stops.
	StopAt func(next *url.URL) bool

	// Header overrides headers of every request. Default: none.
	Header http.Header

	// Now returns the time by which cookies expire. Default time.Now.
	Now func() time.Time

	mu        sync.Mutex
	past      *past
	jar       jar
	hosts     map[string]string
	trusted   []*x509.Certificate
	transport *http.Transport
}

// Page is the final response of a navigation.
type Page struct {
	Status int
	URL    *url.URL // with the fragment, as the address bar shows it
	Header http.Header
	Body   []byte
	// Hops are the requests of the navigation; the last one is that of the page.
	Hops []Hop

	next *trip // the redirect that was not followed; nil if there is none
}

// Hop is one request of a navigation and its response.
type Hop struct {
	Method  string
	URL     *url.URL
	Request http.Header
	Status  int
	Header  http.Header
	Body    []byte
}

// past records the requests of a browser and its clones.
type past struct {
	mu   sync.Mutex
	hops []Hop
}

func (p *past) add(h Hop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.hops) == maxRemembered {
		p.hops = slices.Delete(p.hops, 0, 1)
	}
	p.hops = append(p.hops, h)
}

// History returns the last thousand requests of the browser and its clones with their
// responses, oldest first: for tests of the redirects of a sign-in, or that no response
// contains a secret.
func (b *Browser) History() []Hop {
	b.past.mu.Lock()
	defer b.past.mu.Unlock()
	return slices.Clone(b.past.hops)
}

// Text returns the source of the page.
func (p *Page) Text() string { return string(p.Body) }

// At returns a page at a URL without loading it, for requests from other sites:
//
//	browser.Submit(authtest.At("https://evil.example/"), app.URL+"/logout", nil)
//
// It panics if rawURL is not the URL of a page.
func At(rawURL string) *Page {
	u, err := resolveURL(nil, rawURL)
	if err != nil {
		panic(err)
	}
	return &Page{Status: http.StatusOK, URL: u, Header: http.Header{}}
}

// NewBrowser returns a browser without cookies.
func NewBrowser() *Browser {
	b := &Browser{past: &past{}, jar: jar{cookies: map[cookieKey]*cookie{}}, hosts: map[string]string{}}
	b.transport = loopbackTransport(b.resolve)
	return b
}

// Clone returns a browser with copies of the cookies and the settings.
func (b *Browser) Clone() *Browser {
	b.mu.Lock()
	defer b.mu.Unlock()
	twin := &Browser{
		NoFetchMetadata: b.NoFetchMetadata, StopAt: b.StopAt, Header: b.Header.Clone(), Now: b.Now,
		past: b.past, jar: b.jar.clone(), hosts: maps.Clone(b.hosts), trusted: slices.Clone(b.trusted),
	}
	twin.transport = loopbackTransport(twin.resolve, twin.trusted...)
	return twin
}

// Trust adds a trusted certificate, for example of a test server. Certificates of
// [Certificate] are always trusted.
func (b *Browser) Trust(certificate *x509.Certificate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trusted = append(b.trusted, certificate)
	b.transport.CloseIdleConnections()
	b.transport = loopbackTransport(b.resolve, b.trusted...)
}

// Resolve maps host, such as "app.example.com", to the address of a server on this machine.
// The address may have a port, which replaces the URL's. localhost and names below it need no
// Resolve.
func (b *Browser) Resolve(host, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hosts[strings.ToLower(host)] = address
}

func (b *Browser) resolve(host string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hosts[strings.ToLower(host)]
}

// Close closes idle connections. Only tests that count goroutines need it.
func (b *Browser) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.transport.CloseIdleConnections()
}

func (b *Browser) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

// Get opens a URL as if the user had typed it, and follows redirects and automatically
// submitted forms to the final page. Every complete response is a page, whatever its status.
// Like the other navigation methods, it returns an error for a host that is not on this
// machine (see [Browser.Resolve]), without a complete response, and after too many redirects.
func (b *Browser) Get(rawURL string) (*Page, error) { return b.visit(nil, rawURL, true) }

// Open sends the one request for a URL and returns its response: a redirect is not followed, so
// the page is the redirect itself, with status 303, say, and its Location header. Use it to
// test a redirect, and [Browser.Get] to see the page that a user sees; [Browser.Follow]
// continues from the redirect to that page.
func (b *Browser) Open(rawURL string) (*Page, error) { return b.visit(nil, rawURL, false) }

// Click opens a link of the page; href is relative to the page.
func (b *Browser) Click(p *Page, href string) (*Page, error) { return b.visit(p, href, true) }

// ClickLink clicks the first link of the page whose text is text, or else contains it. It
// returns an error if no link matches.
func (b *Browser) ClickLink(p *Page, text string) (*Page, error) {
	href, ok := findLink(p.Text(), text)
	if !ok {
		return nil, fmt.Errorf("authtest: %s has no link %q", p.URL, text)
	}
	return b.Click(p, href)
}

func (b *Browser) visit(from *Page, href string, follow bool) (*Page, error) {
	t, err := navigation(from, href)
	if err != nil {
		return nil, err
	}
	t.open = !follow
	return b.run(t)
}

// Follow continues after [Browser.Open] or StopAt, to the final page. It returns an error if the
// page does not redirect.
func (b *Browser) Follow(p *Page) (*Page, error) {
	if p.next == nil {
		return nil, fmt.Errorf("authtest: %s does not redirect", p.URL)
	}
	t := *p.next
	t.open = false
	return b.run(&t)
}

// Submit posts a form from a page or, with [At], from another site. It returns an error if the
// page's Content-Security-Policy forbids it.
func (b *Browser) Submit(p *Page, action string, form url.Values) (*Page, error) {
	t, err := navigation(p, action)
	if err != nil {
		return nil, err
	}
	return b.run(t.post(form))
}

// Frame loads a URL in a frame of the page.
func (b *Browser) Frame(p *Page, href string) (*Page, error) {
	t, err := navigation(p, href)
	if err != nil {
		return nil, err
	}
	t.dest, t.user = "iframe", false
	return b.run(t)
}

// Fetch sends a request as a script of the page does, with credentials. Unlike in a browser,
// there is no preflight, and every response is readable. header overrides the browser's
// headers: with "Sec-Fetch-Mode: no-cors" and "Sec-Fetch-Dest: image" it loads an image.
func (b *Browser) Fetch(p *Page, method, href string, header http.Header, body string) (*Page, error) {
	t, err := navigation(p, href)
	if err != nil {
		return nil, err
	}
	t.method, t.body = method, []byte(body)
	t.mode, t.dest, t.user = "cors", "empty", false
	t.header = http.Header{}
	for name, values := range header {
		t.header[http.CanonicalHeaderKey(name)] = values
	}
	if mode := t.header.Get("Sec-Fetch-Mode"); mode != "" {
		t.mode = mode // it determines whether an Origin is sent
	}
	return b.run(t)
}

// Do sends a request unchanged, with the cookies of a navigation to its URL, and stores the
// response's cookies. It follows no redirects. Use it for requests that browsers do not make.
func (b *Browser) Do(request *http.Request) (*Page, error) {
	request = request.Clone(request.Context())
	v := typedVisit(request.URL)
	if line := b.cookieHeader(v); line != "" {
		request.Header.Add("Cookie", line)
	}
	return b.exchange(request, v)
}

// exchange sends one request and stores the response's cookies.
func (b *Browser) exchange(request *http.Request, v visit) (*Page, error) {
	for name, values := range b.Header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	b.mu.Lock()
	transport := b.transport
	b.mu.Unlock()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("authtest: %s %s: %w", request.Method, request.URL, err)
	}
	defer response.Body.Close()
	body, err := readBody(response.Body)
	if err != nil {
		return nil, fmt.Errorf("authtest: %s %s: %w", request.Method, request.URL, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range response.Header.Values("Set-Cookie") {
		_ = b.jar.set(parseSetCookie(line, b.now()), v, b.now()) // RefusedCookies returns the reason
	}
	hop := Hop{Method: request.Method, URL: request.URL, Request: request.Header, Status: response.StatusCode, Header: response.Header, Body: body}
	b.past.add(hop)
	return &Page{Status: response.StatusCode, URL: request.URL, Header: response.Header, Body: body, Hops: []Hop{hop}}, nil
}

func (b *Browser) cookieHeader(v visit) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var pairs []string
	for _, c := range b.jar.sent(v, b.now()) {
		pairs = append(pairs, c.name+"="+c.value)
	}
	return strings.Join(pairs, "; ")
}

// send sends the current request of a trip.
func (b *Browser) send(t *trip) (*Page, error) {
	request, err := t.request(context.Background())
	if err != nil {
		return nil, err
	}
	if b.NoFetchMetadata {
		for name := range request.Header {
			if strings.HasPrefix(name, "Sec-Fetch-") {
				delete(request.Header, name)
			}
		}
	}
	if line := b.cookieHeader(t.visit()); line != "" {
		request.Header.Set("Cookie", line)
	}
	return b.exchange(request, t.visit())
}
