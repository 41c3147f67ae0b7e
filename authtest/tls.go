package authtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// authority is the certificate authority of this process. Its key never leaves the process,
// and only browsers and clients of this package trust it.
var authority = sync.OnceValues(func() (*tls.Certificate, error) {
	return issue(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "authtest, made for one test run"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, nil)
})

// Certificate returns a TLS certificate for hosts (names, wildcards, IP addresses) that every
// [Browser] and [Provider.HTTPClient] of this process trusts, for a test server at
// https://app.example.com, for example:
//
//	server := httptest.NewUnstartedServer(handler)
//	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
//	server.StartTLS()
//	browser.Resolve("app.example.com", server.Listener.Addr().String())
//
// Without hosts it is for localhost, *.localhost, 127.0.0.1 and ::1.
func Certificate(hosts ...string) (tls.Certificate, error) {
	if len(hosts) == 0 {
		hosts = []string{"localhost", "*.localhost", "127.0.0.1", "::1"}
	}
	parent, err := authority()
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0]},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	certificate, err := issue(template, parent)
	if err != nil {
		return tls.Certificate{}, err
	}
	return *certificate, nil
}

// issue completes template and signs it with parent's key, or with its own key if parent is nil.
func issue(template *x509.Certificate, parent *tls.Certificate) (*tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(1, 0, 0)
	signer, issuer := private, template
	if parent != nil {
		signer, issuer = parent.PrivateKey.(*ecdsa.PrivateKey), parent.Leaf
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, private.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("authtest: make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}, nil
}

// roots returns a pool of the process's authority and more.
func roots(more ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	if parent, err := authority(); err == nil {
		pool.AddCert(parent.Leaf)
	}
	for _, certificate := range more {
		pool.AddCert(certificate)
	}
	return pool
}

// CertificatePEM returns the certificate, in PEM, with which an application in another process
// trusts a provider with Config.TLS: see [LocalClient]. The key of the authority stays in this
// process.
func (p *Provider) CertificatePEM() ([]byte, error) {
	parent, err := authority()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: parent.Certificate[0]}), nil
}

// LocalClient returns a client for Options.HTTPClient of an application whose authtest
// provider runs in another process. It resolves every loopback name and connects only to
// loopback addresses, and it trusts certificates, in PEM, of [Provider.CertificatePEM]; nil
// for a provider on http. It returns an error if certificates is not valid PEM.
func LocalClient(certificates []byte) (*http.Client, error) {
	var trusted []*x509.Certificate
	for rest := bytes.TrimSpace(certificates); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("authtest: LocalClient: not a PEM certificate")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("authtest: LocalClient: %w", err)
		}
		trusted = append(trusted, certificate)
	}
	return &http.Client{Transport: loopbackTransport(func(string) string { return "" }, trusted...)}, nil
}
