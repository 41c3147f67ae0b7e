package fetch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ginauth/ginauth/internal/fetch"
)

// bomb is 200 MiB of spaces, as 200 gzip members of a mebibyte.
func bomb(t *testing.T) []byte {
	t.Helper()
	var member bytes.Buffer
	w := gzip.NewWriter(&member)
	w.Write(bytes.Repeat([]byte{' '}, 1<<20))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(member.Bytes(), 200)
}

func asJSON(w http.ResponseWriter, encoding string) {
	w.Header().Set("Content-Type", "application/json")
	if encoding != "" {
		w.Header().Set("Content-Encoding", encoding)
	}
}

func hugeHeader(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
}

func TestBodiesAreCapped(t *testing.T) {
	packed := bomb(t)
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	tests := []struct {
		name   string
		base   *http.Client
		answer http.HandlerFunc
		id     string
	}{
		{"a gzip bomb is cut after unpacking", nil, func(w http.ResponseWriter, _ *http.Request) {
			asJSON(w, "gzip")
			w.Write(packed)
		}, "too_large"},
		{"a gzip bomb that nobody asked for is not unpacked", plain, func(w http.ResponseWriter, _ *http.Request) {
			asJSON(w, "gzip")
			w.Write(packed)
		}, "malformed.encoding"},
		{"another encoding is refused", nil, func(w http.ResponseWriter, _ *http.Request) {
			asJSON(w, "br")
			w.Write(packed)
		}, "malformed.encoding"},
		{"gzip that is none is refused", nil, func(w http.ResponseWriter, _ *http.Request) {
			asJSON(w, "gzip")
			io.WriteString(w, secret+strings.Repeat("x", 100))
		}, "malformed.gzip"},
		{"an endless body is cut", nil, func(w http.ResponseWriter, r *http.Request) {
			asJSON(w, "")
			for chunk := bytes.Repeat([]byte{' '}, 32<<10); r.Context().Err() == nil; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "too_large"},
		{"a body one byte too large is refused", nil, func(w http.ResponseWriter, _ *http.Request) {
			asJSON(w, "")
			io.WriteString(w, "{}"+strings.Repeat(" ", fetch.MaxBody-1))
		}, "too_large"},
		{"a huge header is refused", nil, hugeHeader, "network.failed"},
		{"a huge header is refused, where base says nothing", &http.Client{Transport: &http.Transport{}}, hugeHeader, "network.failed"},
		{"a header above what base allows is refused", &http.Client{Transport: &http.Transport{MaxResponseHeaderBytes: 4 << 10}},
			func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 32<<10)) }, "network.failed"},
		{"a huge header is refused, whatever base allows", &http.Client{Transport: &http.Transport{MaxResponseHeaderBytes: 1 << 30}},
			hugeHeader, "network.failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, tt.answer)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := get(t, tt.base, srv.URL)
			runtime.ReadMemStats(&after)
			wantError(t, err, tt.id)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
				t.Errorf("allocated %d bytes", grown)
			}
		})
	}
}

func TestTheCapHoldsForEveryReader(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", fetch.MaxBody+1))
	})
	resp, err := fetch.Client(nil, "").Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	wantError(t, err, "too_large")
	if n != fetch.MaxBody {
		t.Errorf("read %d bytes", n)
	}
	if n, err := resp.Body.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("read %d more, %v", n, err)
	}
}

// The limit also holds if the whole body arrives in one read.
func TestTheCapHoldsForALargeBuffer(t *testing.T) {
	base := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(strings.Repeat("x", 2*fetch.MaxBody)))}, nil
	})}
	resp, err := fetch.Client(base, "").Get("https://idp.example/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := resp.Body.Read(make([]byte, 2*fetch.MaxBody))
	wantError(t, err, "too_large")
	if n != fetch.MaxBody {
		t.Errorf("read %d bytes", n)
	}
}

func TestABodyOfTheLimitIsRead(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asJSON(w, "")
		io.WriteString(w, "{}"+strings.Repeat(" ", fetch.MaxBody-2))
	})
	if _, err := get(t, nil, srv.URL); err != nil {
		t.Error(err)
	}
}

func TestSlowServers(t *testing.T) {
	hold := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	tests := []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"one that never answers", hold},
		{"one that sends a header and no body", func(w http.ResponseWriter, r *http.Request) {
			asJSON(w, "")
			http.NewResponseController(w).Flush()
			hold(w, r)
		}},
		{"one that drips", func(w http.ResponseWriter, r *http.Request) {
			asJSON(w, "")
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				io.WriteString(w, " ")
				http.NewResponseController(w).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name+" is given up", func(t *testing.T) {
			srv := serve(t, tt.answer)
			_, err := get(t, &http.Client{Timeout: 200 * time.Millisecond}, srv.URL)
			wantError(t, err, "timeout")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v is not context.DeadlineExceeded", err)
			}
		})
	}
}

func TestTenSecondsInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		start := time.Now()
		_, err := get(t, base, "https://idp.example/")
		wantError(t, err, "timeout", "discovery: idp.example: ")
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestACanceledRequestEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, _, err := fetch.JSON(ctx, fetch.Client(nil, ""), fetch.Request{Op: "userinfo", URL: srv.URL + "?x=" + secret})
	wantError(t, err, "network.canceled")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
}

// hijack responds with raw bytes and closes the connection, with a reset if reset is true.
func hijack(raw string, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, raw)
		if reset {
			conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
	}
}

func TestBrokenServers(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
	tests := []struct {
		name   string
		answer http.HandlerFunc
		id     string
		is     error
	}{
		{"one that hangs up", hijack("", false), "network.closed", nil},
		{"one that resets the connection", hijack("", true), "network.system", syscall.ECONNRESET},
		{"one that hangs up in the body", hijack(head+`{"a":"`+secret, false), "network.closed", nil},
		{"one that does not speak HTTP", hijack("SSH-2.0-"+strings.ToUpper(secret)+"\r\n\r\n", false), "network.failed", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name+" is a network error", func(t *testing.T) {
			srv := serve(t, tt.answer)
			_, err := get(t, nil, srv.URL)
			e := wantError(t, err, tt.id)
			if tt.is != nil && !errors.Is(e, tt.is) {
				t.Errorf("got %v, want %v", e.Err, tt.is)
			}
			if strings.Contains(err.Error(), "S3CR3T") {
				t.Errorf("says %v", err)
			}
		})
	}
	t.Run("one that is down is a network error", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(okay))
		srv.Close()
		_, err := get(t, nil, srv.URL)
		if e := wantError(t, err, "network.system"); !errors.Is(e, syscall.ECONNREFUSED) {
			t.Errorf("got %v", e.Err)
		}
	})
}

// secure starts a TLS server and returns it with a base client that trusts it.
func secure(t *testing.T, config *tls.Config) (*httptest.Server, *http.Transport) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(okay))
	srv.EnableHTTP2 = true
	srv.TLS = config
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, srv.Client().Transport.(*http.Transport).Clone()
}

func expired(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSIsVerified(t *testing.T) {
	srv, trusted := secure(t, nil)
	old, _ := secure(t, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	cert, pool := expired(t)
	stale, _ := secure(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	plain := serve(t, okay)

	lax := trusted.Clone()
	lax.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	elsewhere := trusted.Clone()
	elsewhere.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	outdated := trusted.Clone()
	outdated.TLSClientConfig.MinVersion = tls.VersionTLS10
	aged := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}

	tests := []struct {
		name    string
		base    http.RoundTripper
		address string
		id      string
	}{
		{"a certificate of nobody we know is refused", nil, srv.URL, "tls.unknown_authority"},
		{"a base that does not verify is made to", lax, srv.URL, "tls.unknown_authority"},
		{"a certificate for another host is refused", elsewhere, "https://wrong.test", "tls.host"},
		{"an expired certificate is refused", aged, stale.URL, "tls.expired"},
		{"TLS 1.1 is refused, whatever base allows", outdated, old.URL, "tls.alert"},
		{"a server without TLS is refused", nil, "https" + strings.TrimPrefix(plain.URL, "http"), "tls.not_spoken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := get(t, &http.Client{Transport: tt.base}, tt.address)
			wantError(t, err, tt.id)
		})
	}
}

func TestHTTP2SurvivesHardening(t *testing.T) {
	srv, trusted := secure(t, nil)
	resp, err := fetch.Client(&http.Client{Transport: trusted}, "").Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, err := fetch.Read(resp, "discovery", fetch.MaxBody)
	if err != nil || resp.ProtoMajor != 2 || string(body) != `{"ok":true}` {
		t.Errorf("got %s with %q, %v", resp.Proto, body, err)
	}
}
