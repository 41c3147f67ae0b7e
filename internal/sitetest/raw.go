package sitetest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/authtest"
)

// AskPage ends a raw request of a browser that opens a page.
const AskPage = "Accept: text/html\r\nConnection: close\r\n\r\n"

// PageRequest returns the request of a browser that opens a page, for Serve.
func PageRequest(address string) *http.Request {
	r := httptest.NewRequest("GET", address, nil)
	r.Header.Set("Accept", "text/html")
	return r
}

// Serve lets the application answer a request, without a network.
func (s *Site) Serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.Host = strings.TrimPrefix(s.URL, "http://")
	s.Engine.ServeHTTP(w, r)
	return w
}

// Exactly sends a request with the path unchanged.
func (s *Site) Exactly(method, path string, header ...string) *authtest.Page {
	s.T.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		s.T.Fatal(err)
	}
	u.Opaque = path
	if strings.HasPrefix(path, "//") { // otherwise it would be taken for a host
		u.Opaque = "//" + u.Host + path
	}
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.T.Fatalf("%s %q: %v", method, path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.T.Fatalf("%s %q: %v", method, path, err)
	}
	return &authtest.Page{Status: response.StatusCode, URL: &url.URL{Path: path}, Header: response.Header, Body: body}
}

// Raw sends a request byte for byte, which HTTP clients would normalize.
func (s *Site) Raw(t testing.TB, request string) *authtest.Page {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(request, " ")
	target, _, _ := strings.Cut(line, " ")
	return &authtest.Page{Status: resp.StatusCode, URL: &url.URL{Path: target}, Header: resp.Header, Body: body}
}

// Addr returns the address that the application listens on.
func (s *Site) Addr() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		s.T.Fatal(err)
	}
	return "127.0.0.1:" + u.Port()
}
