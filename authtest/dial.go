package authtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// loopbackTransport connects only to loopback addresses. resolve maps a host name to an address;
// localhost and *.localhost need no mapping.
func loopbackTransport(resolve func(host string) string, trusted ...*x509.Certificate) *http.Transport {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		target, err := loopbackAddress(address, resolve)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, target)
	}
	return &http.Transport{
		DialContext:     dial,
		TLSClientConfig: &tls.Config{RootCAs: roots(trusted...), MinVersion: tls.VersionTLS12},
		IdleConnTimeout: 10 * time.Second,
	}
}

func loopbackAddress(address string, resolve func(string) string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if mapped := resolve(host); mapped != "" {
		host = mapped
		if h, p, err := net.SplitHostPort(mapped); err == nil {
			host, port = h, p
		}
	}
	if !isLoopback(host) {
		return "", fmt.Errorf("authtest: %s is not on this machine; map it to a test server with Browser.Resolve", host)
	}
	if net.ParseIP(host) == nil {
		host = "127.0.0.1" // without resolving *.localhost
	}
	return net.JoinHostPort(host, port), nil
}

// isLoopback reports whether host is localhost, below it, or a loopback address.
func isLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
