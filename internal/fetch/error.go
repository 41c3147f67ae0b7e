package fetch

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Kind is the kind of a failure: the first word of Error.ID.
type Kind string

// The kinds of errors.
const (
	Timeout     Kind = "timeout"      // no complete response in time
	Redirect    Kind = "redirect"     // a 3xx, not followed
	TooLarge    Kind = "too_large"    // more bytes than the limit
	Status      Kind = "status"       // not a 200
	ContentType Kind = "content_type" // not JSON by its media type
	TLS         Kind = "tls"          // no trusted connection
	Network     Kind = "network"      // no connection, or a broken one; also canceled
	Malformed   Kind = "malformed"    // an invalid response or URL
)

// The IDs that callers distinguish.
const (
	NotTLS             = "tls.not_spoken" // the server does not speak TLS at this address
	CertificateHost    = "tls.host"       // the certificate is for another host
	CertificateExpired = "tls.expired"
)

// Error is a failed request to a provider. Its text is one line without queries, bodies,
// header values or anything else that may be secret.
//
// Err is only for errors.Is and errors.As. Its text may quote the provider, so it must not be
// logged.
type Error struct {
	ID     string // of the failure, stable: "tls.expired"
	Op     string // the operation: "discovery", "token endpoint"
	Host   string // of the provider, with its port; "" if unknown
	Status int    // of the response; 0 without one
	Detail string // what happened
	Err    error  // the cause; nil if the response is invalid
}

// Error implements error: "discovery: login.example.com: connection refused".
func (e *Error) Error() string {
	parts := make([]string, 0, 3)
	for _, part := range []string{e.Op, e.Host, e.Detail} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Kind returns the kind of the failure.
func (e *Error) Kind() Kind {
	kind, _, _ := strings.Cut(e.ID, ".")
	return Kind(kind)
}

// Classify turns an error of an HTTP client, whose text contains the whole URL with its query,
// into an *Error. If err already wraps an *Error, Classify returns a copy of that, with op and
// the host of address filled in where they are missing. err must not be nil.
func Classify(op, address string, err error) *Error {
	var host string
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	return classify(op, host, err)
}

func classify(op, host string, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		e := *known
		if e.Op == "" {
			e.Op = op
		}
		if e.Host == "" {
			e.Host = host
		}
		return &e
	}
	e := &Error{Op: op, Host: host, Err: err}
	e.ID, e.Detail = explain(err)
	var u *url.Error
	for errors.As(e.Err, &u) {
		e.Err = u.Err
	}
	return e
}

// explain returns the ID of an error, and describes it in our words. It gives no details of an
// unknown error, since net/http quotes input that it cannot parse.
func explain(err error) (id, detail string) {
	var timeout interface{ Timeout() bool }
	var u *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "network.canceled", "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout", "no complete response in time"
	case errors.As(err, &u) && u.Op == "parse":
		return "malformed.url", "not a valid URL"
	}
	for _, explain := range []func(error) (id, detail string){explainTLS, explainBody, explainNetwork} {
		if id, detail = explain(err); id != "" {
			return id, detail
		}
	}
	return "network.failed", "request failed"
}

func explainTLS(err error) (id, detail string) {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		op       *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return "tls.unknown_authority", "tls: certificate signed by unknown authority"
	case errors.As(err, &hostname):
		return CertificateHost, "tls: certificate is for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return CertificateExpired, "tls: certificate has expired or is not yet valid"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "tls.invalid", "tls: certificate cannot be verified"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return NotTLS, "tls: the server does not speak TLS here"
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"):
		return "tls.alert", op.Err.Error() // one of crypto/tls's alerts: "tls: handshake failure"
	}
	return "", ""
}

func explainBody(err error) (id, detail string) {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		return "malformed.gzip", "responded with invalid gzip data"
	}
	return "", ""
}

func explainNetwork(err error) (id, detail string) {
	var (
		lookup *net.DNSError
		number syscall.Errno
		op     *net.OpError
	)
	switch {
	case errors.As(err, &lookup) && lookup.IsNotFound:
		id, detail = "network.host_not_found", "host not found"
	case errors.As(err, &lookup):
		id, detail = "network.host_lookup", "host lookup failed"
	case errors.As(err, &number):
		id, detail = "network.system", number.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		id, detail = "network.closed", "connection closed before the response was complete"
	default:
		return "", ""
	}
	if errors.As(err, &op) && op.Op == "proxyconnect" {
		id, detail = "network.proxy", "proxy: "+detail
	}
	return id, detail
}

// StatusError returns the *Error for a response with an unexpected status.
func StatusError(op, host string, status int) *Error {
	return &Error{ID: "status", Op: op, Host: host, Status: status, Detail: answered(status)}
}

// MediaError returns the *Error for a response whose media type is not that of JSON.
func MediaError(op, host string, status int, media string) *Error {
	if plainMedia.MatchString(media) {
		return &Error{ID: "content_type.other", Op: op, Host: host, Status: status, Detail: "responded with " + media + ", not JSON"}
	}
	return &Error{ID: "content_type.none", Op: op, Host: host, Status: status, Detail: "responded without a media type, not JSON"}
}

// JSONError returns the *Error for a response that package strictjson rejects with err.
func JSONError(op, host string, status int, err error) *Error {
	return &Error{ID: "malformed.json", Op: op, Host: host, Status: status, Detail: "responded with invalid JSON: " + err.Error(), Err: err}
}

func answered(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("responded with %d %s", status, text)
	}
	return fmt.Sprintf("responded with %d", status)
}
