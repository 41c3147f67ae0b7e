package authtest

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// Request is a recorded request to the provider.
type Request struct {
	Method string
	Host   string
	URL    *url.URL
	Header http.Header
	Body   []byte
	// Form has the parameters of the query and of a form in the body.
	Form url.Values
	// Answer is the response body, up to 64 KB; nil until the response is complete.
	Answer []byte
}

const (
	evilPath      = "/evil"
	maxBody       = 1 << 20
	maxAnswer     = 64 << 10
	maxRemembered = 1000 // requests for each endpoint; older ones are dropped, since a provider may run for weeks
)

// journal records the provider's requests.
type journal struct {
	count    map[Endpoint]int
	requests map[Endpoint][]*Request
	evil     int
}

func (j *journal) add(e Endpoint, r *Request) {
	if j.count == nil {
		j.count, j.requests = map[Endpoint]int{}, map[Endpoint][]*Request{}
	}
	j.count[e]++
	kept := j.requests[e]
	if len(kept) == maxRemembered {
		kept = slices.Delete(kept, 0, 1)
	}
	j.requests[e] = append(kept, r)
}

// observed returns the handler of an endpoint: it records the request, and then applies a
// fault or a replaced handler.
func (p *Provider) observed(e Endpoint) http.Handler {
	own := p.Default(e)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the body is too large or incomplete", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		_ = r.ParseForm() // a body that is not a form leaves the query
		r.Body = io.NopCloser(bytes.NewReader(body))
		request := &Request{Method: r.Method, Host: r.Host, URL: r.URL, Header: r.Header.Clone(), Body: body, Form: maps.Clone(r.Form)}

		p.mu.Lock()
		p.journal.add(e, request)
		fault, handler := p.faults[e], p.handlers[e]
		p.mu.Unlock()

		kept := &answer{ResponseWriter: w}
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			request.Answer = kept.body
		}()
		w = kept
		switch {
		case fault.breaks():
			p.serveFault(w, r, fault)
		case handler != nil:
			handler(w, r)
		default:
			own.ServeHTTP(w, r)
		}
	})
}

// answer records the beginning of a response.
type answer struct {
	http.ResponseWriter
	body []byte
}

func (a *answer) Write(p []byte) (int, error) {
	a.body = append(a.body, p[:min(len(p), maxAnswer-len(a.body))]...)
	return a.ResponseWriter.Write(p)
}

// Flush is for handlers that use http.Flusher, and Unwrap for http.ResponseController.
func (a *answer) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Count returns the number of requests to an endpoint since Start or Reset.
func (p *Provider) Count(e Endpoint) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.journal.count[e]
}

// Requests returns the last thousand requests to an endpoint, oldest first.
func (p *Provider) Requests(e Endpoint) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Request
	for _, r := range p.journal.requests[e] {
		list = append(list, *r)
	}
	return list
}

// LastRequest returns the latest request to an endpoint, or the zero Request.
func (p *Provider) LastRequest(e Endpoint) Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.journal.requests[e]); n > 0 {
		return *p.journal.requests[e][n-1]
	}
	return Request{}
}

// Reset deletes all recorded requests, including those of EvilRequests. Settings of Fail,
// Handle and the Edit methods are kept.
func (p *Provider) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.journal = journal{}
}

// EvilURL returns a URL that no client must request: the target of [Redirecting], and a URL
// for tests to place where a careless client would fetch it.
func (p *Provider) EvilURL() string { return p.Issuer + evilPath }

// EvilRequests returns the number of requests to EvilURL.
func (p *Provider) EvilRequests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.journal.evil
}

func (p *Provider) serveEvil(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	p.journal.evil++
	p.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
