package fetch_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/fetch"
)

// secret stands for the texts that must never be in an error: a code in a query, a body, a
// header.
const secret = "s3cr3t"

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return srv
}

// get requests address?code=secret with a client made from base.
func get(t *testing.T, base *http.Client, address string) (map[string]any, error) {
	t.Helper()
	client := fetch.Client(base, "ginauth-test")
	t.Cleanup(client.CloseIdleConnections)
	obj, _, err := fetch.JSON(t.Context(), client, fetch.Request{Op: "discovery", URL: address + "?code=" + secret})
	return obj, err
}

// wantError checks the kind of err, a part of its text, and that neither its text nor that of
// any cause contains the secret.
func wantError(t *testing.T, err error, kind fetch.Kind, text string) *fetch.Error {
	t.Helper()
	var e *fetch.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v (%T), want a *fetch.Error", err, err)
	}
	if e.Kind != kind || !strings.Contains(e.Error(), text) {
		t.Errorf("got %s %q, want %s with %q", e.Kind, e, kind, text)
	}
	if strings.ContainsAny(e.Error(), "\r\n") || len(e.Error()) > 500 {
		t.Errorf("%q is not fit for one line of a log", e)
	}
	for err := error(e); err != nil; err = errors.Unwrap(err) {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%T says %q", err, err)
		}
	}
	return e
}

func TestJSONMediaTypes(t *testing.T) {
	tests := []struct {
		name, media string
		accept      []string
		want        string // the error's text; "" if accepted
	}{
		{"JSON is accepted", "application/json", nil, ""},
		{"parameters do not matter", "application/json; charset=utf-8", nil, ""},
		{"a broken parameter does not matter", "application/json; charset", nil, ""},
		{"case does not matter", "Application/JSON", nil, ""},
		{"a kind of JSON is accepted", "application/jwk-set+json", nil, ""},
		{"an odd type is accepted from who says so", "text/javascript; charset=UTF-8", []string{"text/javascript"}, ""},
		{"an odd type is accepted from nobody else", "text/javascript", []string{"text/plain"}, "responded with text/javascript, not JSON"},
		{"a page is refused", "text/html; charset=utf-8", nil, "responded with text/html, not JSON"},
		{"text is refused", "text/plain", nil, "responded with text/plain, not JSON"},
		{"a kind of JSON outside application is refused", "text/x+json", nil, "responded with text/x+json, not JSON"},
		{"JSON outside application is refused", "text/json", nil, "responded with text/json, not JSON"},
		{"a form is refused", "application/x-www-form-urlencoded", nil, "responded with application/x-www-form-urlencoded, not JSON"},
		{"a JWT is refused", "application/jwt", nil, "responded with application/jwt, not JSON"},
		{"no type is refused", "", nil, "responded without a media type, not JSON"},
		{"no type is refused even beside an odd one", "", []string{""}, "responded without a media type, not JSON"},
		{"a broken type is refused", "application/json/x", nil, "responded without a media type, not JSON"},
		{"a text in place of a type is not repeated", secret + "/" + strings.Repeat("x", 99), nil, "responded without a media type, not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tt.media}
				io.WriteString(w, `{"issuer":"x"}`)
			})
			obj, header, err := fetch.JSON(t.Context(), fetch.Client(nil, ""),
				fetch.Request{Op: "discovery", URL: srv.URL, Accept: tt.accept})
			if header == nil {
				t.Error("no header")
			}
			if tt.want == "" {
				if err != nil || !reflect.DeepEqual(obj, map[string]any{"issuer": "x"}) {
					t.Errorf("got %v, %v", obj, err)
				}
				return
			}
			wantError(t, err, fetch.ContentType, tt.want)
		})
	}
}

func TestJSONStatus(t *testing.T) {
	tests := []struct {
		name   string
		status int
		want   string
	}{
		{"201 is refused", 201, "responded with 201 Created"},
		{"204 is refused", 204, "responded with 204 No Content"},
		{"206 is refused", 206, "responded with 206 Partial Content"},
		{"400 is refused", 400, "responded with 400 Bad Request"},
		{"401 is refused", 401, "responded with 401 Unauthorized"},
		{"404 is refused", 404, "responded with 404 Not Found"},
		{"500 is refused", 500, "responded with 500 Internal Server Error"},
		{"503 is refused", 503, "responded with 503 Service Unavailable"},
		{"a status without a name is refused", 599, "responded with 599"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
				w.WriteHeader(tt.status)
				if tt.status != 204 {
					io.WriteString(w, `{"error":"`+secret+`"}`)
				}
			})
			obj, header, err := fetch.JSON(t.Context(), fetch.Client(nil, ""), fetch.Request{Op: "userinfo", URL: srv.URL})
			e := wantError(t, err, fetch.Status, "userinfo: "+strings.TrimPrefix(srv.URL, "http://")+": "+tt.want)
			if obj != nil || e.Status != tt.status || header.Get("WWW-Authenticate") == "" {
				t.Errorf("got %v, %d, %v", obj, e.Status, header)
			}
		})
	}
}

func TestJSONBodies(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"an empty body is refused", "", "responded with invalid JSON: empty"},
		{"an array is refused", `[]`, "not a JSON object"},
		{"a duplicate member is refused", `{"issuer":"a","issuer":"s3cr3t"}`, `duplicate member "issuer"`},
		{"a cut body is refused", `{"issuer":"s3cr3t`, "unexpected end"},
		{"a page that claims to be JSON is refused", `<html>s3cr3t`, "unexpected character"},
		{"a byte order mark is refused", "\ufeff{}", "byte order mark"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, tt.body)
			})
			_, err := get(t, nil, srv.URL)
			wantError(t, err, fetch.Malformed, tt.want)
		})
	}
}

func TestJSONLimit(t *testing.T) {
	const body = `{"keys":[]}`
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	})
	client := fetch.Client(nil, "")
	_, _, err := fetch.JSON(t.Context(), client, fetch.Request{Op: "keys", URL: srv.URL, Limit: int64(len(body))})
	if err != nil {
		t.Errorf("a body as large as the limit: %v", err)
	}
	_, header, err := fetch.JSON(t.Context(), client, fetch.Request{Op: "keys", URL: srv.URL, Limit: int64(len(body)) - 1})
	e := wantError(t, err, fetch.TooLarge, "responded with more bytes than the limit allows")
	if e.Op != "keys" || e.Host == "" || e.Status != 200 || header == nil {
		t.Errorf("got %#v, %v", e, header)
	}
}

func TestJSONRequest(t *testing.T) {
	var got *http.Request
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{}`)
	})
	given := http.Header{"Authorization": {"Bearer t"}}
	_, _, err := fetch.JSON(t.Context(), fetch.Client(nil, "ginauth/1"),
		fetch.Request{Op: "userinfo", URL: srv.URL + "/me?x=1", Header: given, Accept: []string{"text/javascript"}})
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Accept":          {"application/json, text/javascript"},
		"Accept-Encoding": {"gzip"},
		"Authorization":   {"Bearer t"},
		"User-Agent":      {"ginauth/1"},
	}
	if got.Method != "GET" || got.URL.String() != "/me?x=1" || !reflect.DeepEqual(got.Header, want) {
		t.Errorf("sent %s %s %v", got.Method, got.URL, got.Header)
	}
	if len(given) != 1 {
		t.Errorf("the header given became %v", given)
	}
}

func TestJSONAddresses(t *testing.T) {
	tests := []struct {
		name, address string
		kind          fetch.Kind
		want          string
	}{
		{"an address that does not parse", "https://idp.example/%zz?code=" + secret, fetch.Malformed, "discovery: not a valid URL"},
		{"a control character", "https://idp.example/\n" + secret, fetch.Malformed, "discovery: not a valid URL"},
		{"no scheme", "idp.example?code=" + secret, fetch.Network, "discovery: request failed"},
		{"a file", "file:///etc/passwd?code=" + secret, fetch.Network, "discovery: request failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			_, _, err := fetch.JSON(t.Context(), fetch.Client(nil, ""), fetch.Request{Op: "discovery", URL: tt.address})
			wantError(t, err, tt.kind, tt.want)
		})
	}
}

func TestReadClosesTheBody(t *testing.T) {
	for _, limit := range []int64{100, 1} {
		body := &closer{Reader: strings.NewReader("four")}
		_, err := fetch.Read(&http.Response{Body: body}, "token endpoint", limit)
		if !body.closed {
			t.Errorf("limit %d: still open, %v", limit, err)
		}
	}
}

// The application's own transport may omit what net/http always provides, or set it wrongly.
func TestReadOfAnOddAnswer(t *testing.T) {
	body := strings.Repeat("x", 10_000)
	for name, resp := range map[string]*http.Response{
		"without a request":    {ContentLength: -1},
		"without an address":   {ContentLength: -1, Request: &http.Request{}},
		"of a negative length": {ContentLength: math.MinInt64},
		"of an absurd length":  {ContentLength: math.MaxInt64},
	} {
		resp.Body = io.NopCloser(strings.NewReader(body))
		if got, err := fetch.Read(resp, "userinfo", fetch.MaxBody); err != nil || string(got) != body {
			t.Errorf("a response %s: %d bytes, %v", name, len(got), err)
		}
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

func TestReadSaysWhoCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := fetch.Client(nil, "").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = fetch.Read(resp, "token endpoint", fetch.MaxBody)
	e := wantError(t, err, fetch.Network, ": canceled")
	if !errors.Is(err, context.Canceled) || e.Host == "" {
		t.Errorf("got %#v", e)
	}
}
