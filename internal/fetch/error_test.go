package fetch_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"

	"github.com/ginauth/ginauth/internal/fetch"
)

func TestClassify(t *testing.T) {
	own := errors.New("the application's own")
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	tests := []struct {
		name string
		err  error
		kind fetch.Kind
		want string
		is   error // which errors.Is still finds
	}{
		{"a refused connection", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), fetch.Network,
			syscall.ECONNREFUSED.Error(), syscall.ECONNREFUSED},
		{"a proxy that refuses", &net.OpError{Op: "proxyconnect", Err: dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))},
			fetch.Network, "proxy: " + syscall.ECONNREFUSED.Error(), syscall.ECONNREFUSED},
		{"a name that does not exist", dial(&net.DNSError{Err: "no such host", IsNotFound: true}), fetch.Network, "host not found", nil},
		{"a name server that fails", dial(&net.DNSError{Err: "server misbehaving"}), fetch.Network, "host lookup failed", nil},
		{"a name server that is slow", dial(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), fetch.Timeout, "no complete response in time", nil},
		{"a slow connection", dial(os.ErrDeadlineExceeded), fetch.Timeout, "no complete response in time", os.ErrDeadlineExceeded},
		{"a deadline", context.DeadlineExceeded, fetch.Timeout, "no complete response in time", context.DeadlineExceeded},
		{"a browser that went away", context.Canceled, fetch.Network, "canceled", context.Canceled},
		{"an end too early", io.ErrUnexpectedEOF, fetch.Network, "connection closed before the response was complete", io.ErrUnexpectedEOF},
		{"an unknown authority", x509.UnknownAuthorityError{}, fetch.TLS, "tls: certificate signed by unknown authority", nil},
		{"a certificate for something else", x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}, fetch.TLS, "tls: certificate cannot be verified", nil},
		{"anything else", own, fetch.Network, "request failed", own},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := "https://ann:" + secret + "@idp.example:8443/token?code=" + secret
			wrapped := fmt.Errorf("oauth2: %w", &url.Error{Op: "Post", URL: address, Err: tt.err})
			e := fetch.Classify("token endpoint", address, wrapped)
			wantError(t, e, tt.kind, tt.want)
			if want := "token endpoint: idp.example:8443: " + tt.want; e.Error() != want {
				t.Errorf("says %q, want %q", e, want)
			}
			if tt.is != nil && !errors.Is(e, tt.is) {
				t.Errorf("%v is lost", tt.is)
			}
		})
	}
}

func TestClassifyKeepsWhatIsClassified(t *testing.T) {
	first := &fetch.Error{Kind: fetch.TooLarge, Host: "idp.example", Status: 200, Detail: "responded with more bytes than the limit allows"}
	wrapped := &url.Error{Op: "Get", URL: "https://idp.example?code=" + secret, Err: first}
	second := fetch.Classify("userinfo", "https://other.example", wrapped)
	want := *first
	want.Op = "userinfo"
	if *second != want || first.Op != "" {
		t.Errorf("got %#v, first is %#v", second, first)
	}
	if third := fetch.Classify("discovery", "", second); *third != want {
		t.Errorf("got %#v", third)
	}
	blank := fetch.Classify("discovery", "https://idp.example/x", &fetch.Error{Kind: fetch.Status, Detail: "responded with 404 Not Found"})
	if blank.Error() != "discovery: idp.example: responded with 404 Not Found" {
		t.Errorf("got %q", blank)
	}
}

func TestErrorLeavesOutWhatIsUnknown(t *testing.T) {
	e := fetch.Classify("discovery", "::", errors.New(secret))
	if e.Error() != "discovery: request failed" {
		t.Errorf("got %q", e)
	}
}
