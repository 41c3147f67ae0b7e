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
	"strings"
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
		id   string
		is   error // which errors.Is still finds
	}{
		{"a refused connection", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "network.system",
			syscall.ECONNREFUSED},
		{"a proxy that refuses", &net.OpError{Op: "proxyconnect", Err: dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))},
			"network.proxy", syscall.ECONNREFUSED},
		{"a name that does not exist", dial(&net.DNSError{Err: "no such host", IsNotFound: true}), "network.host_not_found", nil},
		{"a name server that fails", dial(&net.DNSError{Err: "server misbehaving"}), "network.host_lookup", nil},
		{"a name server that is slow", dial(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), "timeout", nil},
		{"a slow connection", dial(os.ErrDeadlineExceeded), "timeout", os.ErrDeadlineExceeded},
		{"a deadline", context.DeadlineExceeded, "timeout", context.DeadlineExceeded},
		{"a browser that went away", context.Canceled, "network.canceled", context.Canceled},
		{"an end too early", io.ErrUnexpectedEOF, "network.closed", io.ErrUnexpectedEOF},
		{"an unknown authority", x509.UnknownAuthorityError{}, "tls.unknown_authority", nil},
		{"a certificate for something else", x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}, "tls.invalid", nil},
		{"anything else", own, "network.failed", own},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := "https://ann:" + secret + "@idp.example:8443/token?code=" + secret
			wrapped := fmt.Errorf("oauth2: %w", &url.Error{Op: "Post", URL: address, Err: tt.err})
			e := fetch.Classify("token endpoint", address, wrapped)
			wantError(t, e, tt.id)
			if kind, _, _ := strings.Cut(tt.id, "."); e.Kind() != fetch.Kind(kind) {
				t.Errorf("%s is of kind %q", e.ID, e.Kind())
			}
			if want := "token endpoint: idp.example:8443: " + e.Detail; e.Error() != want {
				t.Errorf("says %q, want %q", e, want)
			}
			var number syscall.Errno
			if errors.As(tt.err, &number) && !strings.Contains(e.Detail, number.Error()) {
				t.Errorf("%q does not have %q", e.Detail, number)
			}
			if tt.is != nil && !errors.Is(e, tt.is) {
				t.Errorf("%v is lost", tt.is)
			}
		})
	}
}

func TestClassifyKeepsWhatIsClassified(t *testing.T) {
	first := &fetch.Error{ID: "too_large", Host: "idp.example", Status: 200, Detail: "detail"}
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
	blank := fetch.Classify("discovery", "https://idp.example/x", &fetch.Error{ID: "status", Detail: "detail"})
	if blank.Error() != "discovery: idp.example: detail" {
		t.Errorf("got %q", blank)
	}
}

func TestErrorLeavesOutWhatIsUnknown(t *testing.T) {
	e := fetch.Classify("discovery", "::", errors.New(secret))
	if e.Error() != "discovery: "+e.Detail || e.Detail == "" {
		t.Errorf("got %q", e)
	}
}
