package ginauth

import (
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// Limits of a request to the routes of ginauth.
const (
	queryLimit = 16 << 10 // bytes
	formLimit  = 64 << 10 // bytes
	paramsMost = 50
)

// readParams reads the query of a GET or the form of a POST, never both. The parameters named in
// read must be well-formed, and must not appear only when the text is split at ; as well. Other
// parameters may be malformed.
func readParams(r *http.Request, read ...string) (url.Values, error) {
	raw, limit := r.URL.RawQuery, queryLimit
	if r.Method == http.MethodPost {
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/x-www-form-urlencoded" {
			return nil, &Error{Code: ErrBadRequest, ID: "request.not_form", Reason: "the request body is not a form", Fix: "send application/x-www-form-urlencoded", status: http.StatusUnsupportedMediaType}
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, formLimit+1))
		if err != nil {
			return nil, &Error{Code: ErrBadRequest, ID: "request.body", Reason: "the request body could not be read", Fix: "retry; if it persists, check the proxy in front of the application", Err: err}
		}
		raw, limit = string(body), formLimit
	}
	if len(raw) > limit {
		return nil, &Error{Code: ErrBadRequest, ID: "request.parameters_too_long", Reason: fmt.Sprintf("the parameters exceed %d KB", limit>>10),
			Fix: "send less data", status: http.StatusRequestEntityTooLarge}
	}
	if strings.Count(raw, "&") >= paramsMost {
		return nil, &Error{Code: ErrBadRequest, ID: "request.too_many_parameters", Reason: fmt.Sprintf("the request has more than %d parameters", paramsMost), Fix: "send fewer parameters"}
	}
	params := url.Values{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, ok := readPair(pair, read)
		if !ok {
			return nil, &Error{Code: ErrBadRequest, ID: "request.parameters_malformed", Reason: "a parameter is malformed or contains an unescaped ;",
				Fix: "percent-encode names and values, and ; as %3B"}
		}
		params.Add(name, value)
	}
	return params, nil
}

// readPair decodes a parameter. ok is false if it is one of read and malformed, or if a program
// that also splits at ; would find one of read in it. Other parameters are decoded as far as
// possible.
func readPair(pair string, read []string) (name, value string, ok bool) {
	isRead := func(name string) bool {
		name = strings.ToLower(strings.TrimSpace(name))
		return slices.ContainsFunc(read, func(known string) bool { return name == known || strings.HasPrefix(name, known+"[") })
	}
	if strings.Contains(pair, ";") {
		for piece := range strings.SplitSeq(pair, ";") {
			if name, _, _ := strings.Cut(piece, "="); isRead(decodeField(name)) {
				return "", "", false
			}
		}
	}
	rawName, rawValue, _ := strings.Cut(pair, "=")
	name = decodeField(rawName)
	value, err := url.QueryUnescape(rawValue)
	if err != nil {
		value = decodeField(rawValue)
	}
	if err != nil && isRead(name) {
		return "", "", false
	}
	return name, value, true
}

// decodeField decodes a name or a value of a form. An invalid % is kept.
func decodeField(s string) string { return decodeOnce(strings.ReplaceAll(s, "+", " ")) }

// isUpgrade recognizes a WebSocket handshake, which is a GET with side effects.
func isUpgrade(r *http.Request) bool {
	return len(r.Header["Upgrade"]) > 0 // Connection, which may have several lines, is not checked
}

// isPrefetch recognizes a browser that prefetches, prerenders or previews a page. Sec-Purpose is
// the standard header; older browsers, which are still in use, send the others.
func isPrefetch(r *http.Request) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		for _, line := range r.Header[name] {
			line = strings.ToLower(line)
			if strings.Contains(line, "prefetch") || strings.Contains(line, "prerender") || strings.Contains(line, "preview") {
				return true
			}
		}
	}
	return false
}

// prefetchError is the error of functions called by a handler of the application, which should
// answer with an error: browsers do not reuse error responses for the click.
func prefetchError(op string) *Error {
	return &Error{Code: ErrBadRequest, ID: "request.prefetch", Op: op, Reason: "the request is a browser prefetch, not a user action",
		Fix: "respond with an error, or do this in the handler of a POST form, which browsers do not prefetch"}
}

// scheme is the scheme of the browser's request, as far as this process can tell.
type scheme byte

const (
	unknownScheme scheme = iota // no TLS here, and no proxy header that names the scheme
	overHTTP
	overHTTPS
)

// schemeOf returns the scheme of the first hop according to a proxy. Such headers can be
// forged: they are used only for messages.
func schemeOf(r *http.Request) scheme {
	said, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	if said == "" {
		first, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Forwarded")), ",")
		_, said, _ = strings.Cut(first, "proto=")
		said, _, _ = strings.Cut(said, ";")
	}
	switch strings.ToLower(strings.Trim(said, ` "`)) {
	case "https":
		return overHTTPS
	case "http":
		return overHTTP
	}
	if r.TLS != nil {
		return overHTTPS
	}
	return unknownScheme
}

// hostOf returns the host that the browser requested, as far as this process can tell; like
// schemeOf, only for messages.
func hostOf(r *http.Request) string {
	if first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Host"), ","); first != "" {
		return strings.TrimSpace(first)
	}
	return r.Host
}

// requestIDKey is the context key of the id of a request that had none.
type requestIDKey struct{}

// requestID returns the request's X-Request-ID if it is valid, else a random id that stays the
// same for the request.
func requestID(c *gin.Context) string {
	if id := c.GetString(requestIDKey{}); id != "" {
		return id
	}
	id := c.GetHeader("X-Request-ID")
	if len(id) >= 1 && len(id) <= 64 && strings.Trim(id, base64url+".") == "" {
		return id
	}
	id = rand.Text()[:16]
	c.Set(requestIDKey{}, id)
	return id
}
