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

// Browser is one person's browser, without scripts: it visits pages, follows
// redirects, keeps cookies and presses buttons. Its cookies, its Fetch-Metadata,
// Origin and Referer headers are those that Chromium would send, and where
// browsers differ the stricter way is taken.
//
// It reaches loopback addresses alone; see Resolve for other names. A Browser
// may be used by several goroutines at once, like one with several tabs; its
// fields must be set before.
type Browser struct {
	// NoFetchMetadata makes it one from before the Sec-Fetch headers.
	NoFetchMetadata bool

	// StopAt, if not nil, is asked before a redirect is followed, and before a
	// form submits itself: if it says true, that is the page, and Follow goes
	// on from there.
	StopAt func(next *url.URL) bool

	// Header is laid over the headers of every request.
	Header http.Header

	// Now is the clock that cookies expire by. Default time.Now.
	Now func() time.Time

	mu        sync.Mutex
	past      *past
	jar       jar
	hosts     map[string]string
	trusted   []*x509.Certificate
	transport *http.Transport
}

// Page is what a visit ended with.
type Page struct {
	Status int
	URL    *url.URL // with the fragment, as the address bar shows it
	Header http.Header
	Body   []byte
	// Hops are the requests that led here, the last one being the page's own.
	Hops []Hop

	next *trip // where a redirect that was not followed leads
}

// Hop is one request on the way to a page, and what was answered.
type Hop struct {
	Method  string
	URL     *url.URL
	Request http.Header
	Status  int
	Header  http.Header
	Body    []byte
}

// past is what browsers remember of their requests.
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

// History is the last thousand requests of the browser and its clones, oldest
// first, with what was answered: for a test that wants to know where a login
// went, or that no page of it says too much.
func (b *Browser) History() []Hop {
	b.past.mu.Lock()
	defer b.past.mu.Unlock()
	return slices.Clone(b.past.hops)
}

// Text is the page's source.
func (p *Page) Text() string { return string(p.Body) }

// At is a page that nobody loaded, for a request that some other site makes:
//
//	browser.Submit(authtest.At("https://evil.example/"), app.URL+"/logout", nil)
//
// It panics if no page can have this address.
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

// Clone returns a browser with a copy of the cookies and the same settings.
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

// Trust accepts the certificate, of a test server for instance. Those made by
// [Certificate] need no Trust.
func (b *Browser) Trust(certificate *x509.Certificate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trusted = append(b.trusted, certificate)
	b.transport.CloseIdleConnections()
	b.transport = loopbackTransport(b.resolve, b.trusted...)
}

// Resolve sends requests for host, such as "app.example.com", to a server on
// this machine. The address may have a port, which then replaces the URL's.
// localhost and the names below it need no Resolve.
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

// Close closes the connections that the browser keeps open. A test that counts
// goroutines needs it, others do not.
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

// Get visits an address that the user typed and follows redirects, and forms that
// submit themselves, to the page where they end. A response with any status is a
// page. Like the other methods that visit, it returns an error if the address is not
// one of this machine (see [Browser.Resolve]), if there is no complete response, or
// after too many redirects.
func (b *Browser) Get(rawURL string) (*Page, error) { return b.visit(nil, rawURL, true) }

// Open is Get without following anything. Follow goes on.
func (b *Browser) Open(rawURL string) (*Page, error) { return b.visit(nil, rawURL, false) }

// Click visits where a link on the page leads; href is relative to the page.
func (b *Browser) Click(p *Page, href string) (*Page, error) { return b.visit(p, href, true) }

// ClickLink clicks the page's first link whose text is text, or else contains it. It
// returns an error if there is none.
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

// Follow goes on where [Browser.Open] or StopAt stopped. It returns an error if the
// page does not redirect.
func (b *Browser) Follow(p *Page) (*Page, error) {
	if p.next == nil {
		return nil, fmt.Errorf("authtest: %s does not redirect", p.URL)
	}
	t := *p.next
	t.open = false
	return b.run(&t)
}

// Submit posts a form from a page: its own, or, with [At], that of another site. It
// returns an error if the page's Content-Security-Policy forbids the form.
func (b *Browser) Submit(p *Page, action string, form url.Values) (*Page, error) {
	t, err := navigation(p, action)
	if err != nil {
		return nil, err
	}
	return b.run(t.post(form))
}

// Frame loads an address into a frame of the page.
func (b *Browser) Frame(p *Page, href string) (*Page, error) {
	t, err := navigation(p, href)
	if err != nil {
		return nil, err
	}
	t.dest, t.user = "iframe", false
	return b.run(t)
}

// Fetch makes a request as a script on the page does, with credentials. It is
// bolder than browsers let scripts be: nothing asks for permission first, and
// every answer can be read. header is laid over what the browser sends: with
// "Sec-Fetch-Mode: no-cors" and "Sec-Fetch-Dest: image" it loads an image.
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
		t.mode = mode // whether there is an Origin depends on it
	}
	return b.run(t)
}

// Do sends a request as it is, with the browser's cookies for a visit of the
// URL, and keeps those of the answer. It follows nothing. Use it for requests
// that no browser makes.
func (b *Browser) Do(request *http.Request) (*Page, error) {
	request = request.Clone(request.Context())
	v := typedVisit(request.URL)
	if line := b.cookieHeader(v); line != "" {
		request.Header.Add("Cookie", line)
	}
	return b.exchange(request, v)
}

// exchange sends one request and keeps the answer's cookies.
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
		_ = b.jar.set(parseSetCookie(line, b.now()), v, b.now()) // RefusedCookies has the reason
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

// send makes the request of a trip's present stage.
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
