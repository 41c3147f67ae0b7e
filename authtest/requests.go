package authtest

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// Request is a request that the provider received.
type Request struct {
	Method string
	Host   string
	URL    *url.URL
	Header http.Header
	Body   []byte
	// Form has the query's parameters, and those of a form in the body.
	Form url.Values
	// Answer is the body of what was answered: its first 64 KB, and nil as long
	// as there is none.
	Answer []byte
}

const (
	evilPath      = "/evil"
	maxBody       = 1 << 20
	maxAnswer     = 64 << 10
	maxRemembered = 1000 // requests for each endpoint, the oldest forgotten: a provider may run for weeks
)

// journal is what the provider remembers of the requests it got.
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

// observed is an endpoint as clients meet it: remembered first, then broken or
// taken over if a test says so.
func (p *Provider) observed(e Endpoint) http.Handler {
	own := p.Default(e)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the body is too large or incomplete", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		_ = r.ParseForm() // a body that is no form leaves the query
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

// answer keeps the beginning of what an endpoint answers.
type answer struct {
	http.ResponseWriter
	body []byte
}

func (a *answer) Write(p []byte) (int, error) {
	a.body = append(a.body, p[:min(len(p), maxAnswer-len(a.body))]...)
	return a.ResponseWriter.Write(p)
}

// Flush is for handlers that ask for an http.Flusher, and Unwrap for an
// http.ResponseController.
func (a *answer) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Count is how often an endpoint was asked since Start or Reset.
func (p *Provider) Count(e Endpoint) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.journal.count[e]
}

// Requests are the last thousand requests to an endpoint, oldest first.
func (p *Provider) Requests(e Endpoint) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Request
	for _, r := range p.journal.requests[e] {
		list = append(list, *r)
	}
	return list
}

// LastRequest is the newest request to an endpoint, empty if there was none.
func (p *Provider) LastRequest(e Endpoint) Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.journal.requests[e]); n > 0 {
		return *p.journal.requests[e][n-1]
	}
	return Request{}
}

// Reset forgets all requests, those of EvilRequests included. What Fail, Handle
// and the Edit methods set stays.
func (p *Provider) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.journal = journal{}
}

// EvilURL is an address that no client must ever ask: where Redirecting sends
// to, and for tests to put where a careless client would fetch it.
func (p *Provider) EvilURL() string { return p.Issuer + evilPath }

// EvilRequests is how many requests EvilURL got all the same.
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
