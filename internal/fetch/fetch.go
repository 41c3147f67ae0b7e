// Package fetch sends HTTP requests to providers.
//
// A provider, or an attacker in its place, may redirect, hang, send one byte at a time, reset
// the connection, respond with an HTML page, or send a few kilobytes that decompress to
// gigabytes. The client limits each request to ten seconds and one mebibyte, and reports a
// failure in one line without quoting the response.
package fetch

import (
	"context"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// Limits of a response body in bytes, after decompression.
const (
	MaxBody   = 1 << 20   // of any response; Client enforces it
	MaxKeySet = 512 << 10 // of a JWKS: a hundred large keys with their certificates
)

// Request is a GET for a JSON object.
type Request struct {
	Op     string      // the operation, for Error.Op: "discovery"
	URL    string      // the address
	Header http.Header // in addition to Accept; may be nil
	Limit  int64       // of the response body in bytes; 0 for MaxBody
	Accept []string    // media types accepted in addition to application/json and application/*+json
}

// JSON sends r and decodes the response strictly. Any response but a 200 with a JSON media
// type is an *Error. The header is returned with every response, so that the caller can
// distinguish rejections.
func JSON(ctx context.Context, client *http.Client, r Request) (map[string]any, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL, http.NoBody)
	if err != nil {
		return nil, nil, Classify(r.Op, r.URL, err)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	req.Header.Set("Accept", strings.Join(append([]string{"application/json"}, r.Accept...), ", "))
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, Classify(r.Op, r.URL, err)
	}
	if err := r.check(resp, req.URL.Host); err != nil {
		resp.Body.Close()
		return nil, resp.Header, err
	}
	limit := r.Limit
	if limit == 0 {
		limit = MaxBody
	}
	body, err := Read(resp, r.Op, limit)
	if err != nil {
		return nil, resp.Header, err
	}
	obj, err := strictjson.Object(body)
	if err != nil {
		return nil, resp.Header, JSONError(r.Op, req.URL.Host, resp.StatusCode, err)
	}
	return obj, resp.Header, nil
}

// check rejects a response that is not a 200 with JSON before its body is read.
func (r Request) check(resp *http.Response, host string) error {
	if resp.StatusCode != http.StatusOK {
		return StatusError(r.Op, host, resp.StatusCode)
	}
	// An invalid parameter does not matter. If the media type is invalid, media is "".
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if isJSON(media) || media != "" && slices.Contains(r.Accept, media) {
		return nil
	}
	return MediaError(r.Op, host, resp.StatusCode, media)
}

func isJSON(media string) bool {
	return media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// plainMedia matches media types. Any other text in their place is not repeated in an error.
var plainMedia = regexp.MustCompile(`^[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}$`)

// Read reads a body of at most limit bytes and closes it. It is for responses that the function
// JSON cannot read: those to other methods, of other media types, or with a list. Every error
// is an *Error.
func Read(resp *http.Response, op string, limit int64) (string, error) {
	defer resp.Body.Close()
	var host string
	if resp.Request != nil && resp.Request.URL != nil {
		host = resp.Request.URL.Host
	}
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	if err := readAll(&cappedBody{ReadCloser: resp.Body, left: limit, host: host}, b); err != nil {
		e := classify(op, host, err)
		e.Status = resp.StatusCode
		return "", e
	}
	return string(*b), nil
}

// buffers are for reading responses, so that only the returned text is allocated. A buffer that
// a long response made large is freed by the second garbage collection.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// readAll is io.ReadAll into an existing buffer. bytes.Buffer would use twice as much memory for
// a long response.
func readAll(r io.Reader, into *[]byte) error {
	b := (*into)[:0]
	for {
		b = slices.Grow(b, 512)
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		*into = b
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
