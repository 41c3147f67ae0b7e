package fetch

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/ginauth/ginauth/internal/contain"
)

const (
	maxTime   = 10 * time.Second // for a request, including the response body
	maxHeader = 64 << 10         // bytes of a response header
)

// Client returns an HTTP client for requests to providers. It follows no redirects (any 3xx is
// an error: the request may carry a secret, and a 307 would repeat it elsewhere), takes at
// most ten seconds in all, keeps no cookies, reads at most MaxBody bytes of a body, and
// verifies TLS. Classify turns its errors into errors that are safe to show.
//
// base allows a proxy, private certificate authorities and tracing. It is not modified, and
// later changes to it have no effect: an *http.Transport is cloned and restricted; any other
// RoundTripper is used unchanged, and only its responses are limited. A nil base, or one
// without a Transport, gets a new transport, which uses only HTTPS_PROXY and similar variables
// of the process.
func Client(base *http.Client, userAgent string) *http.Client {
	t := &transport{agent: userAgent, timeout: maxTime}
	if base != nil {
		t.next = base.Transport
		if base.Timeout > 0 {
			t.timeout = min(maxTime, base.Timeout)
		}
	}
	switch next := t.next.(type) {
	case nil:
		t.next = newTransport()
	case *http.Transport:
		t.next = harden(next.Clone())
	}
	return &http.Client{
		Transport: t, // has the timeout too: http.Client would start a goroutine for each request
		// The transport already rejects redirects. This is for callers that replace it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// DialsTLS reports whether base has an *http.Transport that leaves TLS to a function of the
// application. Client cannot restrict that function, which may not verify certificates.
func DialsTLS(base *http.Client) bool {
	if base == nil {
		return false
	}
	t, _ := base.Transport.(*http.Transport)
	if t == nil {
		return false
	}
	//lint:ignore SA1019 deprecated, and still called
	return t.DialTLSContext != nil || t.DialTLS != nil
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		// A hanging provider holds at most this many connections.
		MaxConnsPerHost:   64,
		ForceAttemptHTTP2: true,
		// Without a ping, a connection that a firewall dropped fails every login
		// until the kernel gives it up, a quarter of an hour later.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// harden disables settings that no provider needs. Private certificate authorities belong in
// RootCAs.
func harden(t *http.Transport) *http.Transport {
	if c := t.TLSClientConfig; c != nil {
		c.InsecureSkipVerify = false
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	}
	if t.MaxResponseHeaderBytes <= 0 || t.MaxResponseHeaderBytes > maxHeader {
		t.MaxResponseHeaderBytes = maxHeader
	}
	return t
}

// transport limits the responses of next.
type transport struct {
	next    http.RoundTripper
	agent   string
	timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), t.timeout)
	req = req.WithContext(ctx) // a shallow copy
	req.Header = maps.Clone(req.Header)
	delete(req.Header, "Cookie")
	delete(req.Header, "Referer")
	// http.Transport requests gzip on its own and decompresses it, so that the limit below
	// counts decompressed bytes. If the request had this header, the body would stay compressed.
	delete(req.Header, "Accept-Encoding")
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", t.agent)
	}
	resp, err := t.send(req)
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, left: MaxBody, host: req.URL.Host, done: cancel}
	if e := refuse(req.URL, resp); e != nil {
		resp.Body.Close()
		return nil, e
	}
	return resp, nil
}

// send calls the next RoundTripper, which may be the application's. A panic is an error, and so
// is a nil response without an error.
func (t *transport) send(req *http.Request) (*http.Response, error) {
	resp, err := contain.Call(func() (*http.Response, error) { return t.next.RoundTrip(req) })
	if p, panicked := err.(*contain.Panic); panicked {
		detail := strings.Join(strings.Fields(p.Error()), " ") // on one line
		return nil, &Error{ID: "malformed.panic", Host: req.URL.Host, Detail: detail}
	}
	if err == nil && resp == nil {
		err = &Error{ID: "network.no_response", Host: req.URL.Host, Detail: "the HTTP client returned no response"}
	}
	return resp, err
}

func refuse(from *url.URL, resp *http.Response) *Error {
	if resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		e := &Error{Host: from.Host, Status: resp.StatusCode}
		e.ID, e.Detail = redirected(from, resp)
		return e
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &Error{ID: "malformed.encoding", Host: from.Host, Status: resp.StatusCode, Detail: "responded in a content encoding that was not requested"}
	}
	return nil
}

// redirected describes a redirect by its host; the rest of the URL may be secret.
func redirected(from *url.URL, resp *http.Response) (id, detail string) {
	location := resp.Header.Get("Location")
	if location == "" {
		return "redirect.nowhere", answered(resp.StatusCode)
	}
	to, err := from.Parse(location)
	switch {
	case err != nil || !plainHost.MatchString(to.Host) || to.Scheme != "http" && to.Scheme != "https":
		return "redirect.unusable", "redirected to an unusable address (not followed)"
	case to.Host == from.Host && to.Scheme == from.Scheme:
		return "redirect.path", "redirected to another path (not followed)"
	case to.Host == from.Host:
		return "redirect.scheme", "redirected to " + to.Scheme + " (not followed)"
	}
	return "redirect.host", "redirected to host " + to.Host + " (not followed)"
}

// plainHost matches hosts. Any other text in their place is not repeated in an error.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.:_\[\]-]{1,255}$`)

// cappedBody reads left bytes. If the body is longer, it then returns an error, not io.EOF, so
// that a truncated response is not taken for a complete one.
type cappedBody struct {
	io.ReadCloser
	left int64
	host string
	done func() // called by Close
}

// Read implements io.Reader.
func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.tooLarge()
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more byte, to distinguish the end of the body from the limit
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, b.tooLarge()
	}
	return n, err
}

// Close implements io.Closer.
func (b *cappedBody) Close() error {
	err := b.ReadCloser.Close()
	b.done()
	return err
}

func (b *cappedBody) tooLarge() error {
	return &Error{ID: "too_large", Host: b.host, Detail: "responded with more bytes than the limit allows"}
}
