package authtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is a failure of an endpoint, or an invalid response.
type Fault string

// Faults of the response, for every endpoint.
const (
	Down           Fault = "503"
	ServerError    Fault = "500"
	HTML           Fault = "a page with status 200, as a proxy in between shows"
	Redirecting    Fault = "302 to EvilURL"
	Redirecting307 Fault = "307 to EvilURL, which repeats a POST with its body"
	Oversized      Fault = "200 KB of gzip that inflate to 200 MB"
	Endless        Fault = "a body without an end"
	Dripping       Fault = "a body at a byte now and then, without an end"
	Hanging        Fault = "no answer, until the client gives up or the provider closes"
	Resetting      Fault = "the connection reset"
)

// Faults of the ID token, for the token endpoint. WrongIssuer, WrongAudience, WrongSignature
// and Expired also apply to access tokens for an API.
const (
	WrongNonce     Fault = "another nonce"
	WrongIssuer    Fault = "another issuer"
	WrongAudience  Fault = "another audience"
	WrongSignature Fault = "signed with a key that is not published"
	Expired        Fault = "expired two hours ago"
	NoIDToken      Fault = "no id_token in the answer"
)

var (
	endpointFaults = []Fault{Down, ServerError, HTML, Redirecting, Redirecting307, Oversized, Endless, Dripping, Hanging, Resetting}
	tokenFaults    = []Fault{WrongNonce, WrongIssuer, WrongAudience, WrongSignature, Expired, NoIDToken}

	accessTokenFaults = []Fault{WrongIssuer, WrongAudience, WrongSignature, Expired}
)

const (
	inflatedSize = 200 << 20
	dripInterval = 50 * time.Millisecond
)

// breaks reports whether the fault replaces the whole response.
func (f Fault) breaks() bool { return slices.Contains(endpointFaults, f) }

// Fail sets the fault of an endpoint, replacing an earlier one; "" removes it. It panics if
// the fault does not apply to the endpoint.
func (p *Provider) Fail(e Endpoint, f Fault) {
	if f != "" && !f.breaks() && (e != Token || !slices.Contains(tokenFaults, f)) {
		panic(fmt.Sprintf("authtest: the %s endpoint does not support the fault %q", e, f))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[e] = f
}

// Heal removes all faults.
func (p *Provider) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.faults)
}

func (p *Provider) fault(e Endpoint) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults[e]
}

func (p *Provider) serveFault(w http.ResponseWriter, r *http.Request, f Fault) {
	switch f {
	case Down:
		http.Error(w, "the provider is down", http.StatusServiceUnavailable)
	case ServerError:
		http.Error(w, "the provider failed", http.StatusInternalServerError)
	case HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Welcome</title><p>Please accept the terms of this network.\n")
	case Redirecting:
		redirect(w, p.EvilURL(), http.StatusFound)
	case Redirecting307:
		redirect(w, p.EvilURL(), http.StatusTemporaryRedirect)
	case Oversized:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(oversized())
	case Endless:
		p.serveEndless(w, r)
	case Dripping:
		p.drip(w, r)
	case Hanging:
		p.wait(r)
		panic(http.ErrAbortHandler)
	case Resetting:
		reset(w)
	}
}

// wait returns when the client disconnects or the provider closes.
func (p *Provider) wait(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-p.closing:
	}
}

func (p *Provider) serveEndless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, err := io.WriteString(w, `{"padding":"`)
	chunk := bytes.Repeat([]byte("x"), 32<<10)
	for err == nil && r.Context().Err() == nil {
		_, err = w.Write(chunk)
	}
}

func (p *Provider) drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	out := http.NewResponseController(w)
	ticker := time.NewTicker(dripInterval)
	defer ticker.Stop()
	for next := "{"; ; next = " " {
		if _, err := io.WriteString(w, next); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-p.closing:
			return
		}
	}
}

// oversized returns a JSON string of one megabyte, compressed once and repeated: a gzip file may
// have many members.
var oversized = sync.OnceValue(func() []byte {
	var file bytes.Buffer
	file.Write(gzipped(`{"padding":"`))
	file.Write(bytes.Repeat(gzipped(strings.Repeat("x", 1<<20)), inflatedSize>>20))
	file.Write(gzipped(`"}`))
	return file.Bytes()
})

func gzipped(s string) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // fails only for unknown levels
	_, _ = io.WriteString(w, s)                           // a bytes.Buffer returns no errors
	_ = w.Close()
	return b.Bytes()
}

// reset closes the connection so that the client's kernel reports a reset instead of an ordinary
// end.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	plain := conn
	if encrypted, ok := conn.(interface{ NetConn() net.Conn }); ok {
		plain = encrypted.NetConn()
	}
	if tcp, ok := plain.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = plain.Close()
}

func redirect(w http.ResponseWriter, target string, status int) {
	w.Header().Set("Location", target)
	w.WriteHeader(status)
}
