package fetch_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
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

// wantError checks the ID of err, that its text has every one of names, and that neither its text
// nor that of any cause contains the secret.
func wantError(t *testing.T, err error, id string, names ...string) *fetch.Error {
	t.Helper()
	var e *fetch.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v (%T), want a *fetch.Error", err, err)
	}
	if e.ID != id || e.Detail == "" {
		t.Errorf("got %s %q, want %s", e.ID, e, id)
	}
	for _, name := range names {
		if !strings.Contains(e.Error(), name) {
			t.Errorf("%q does not have %q", e, name)
		}
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
		want        string // the error's ID; "" if accepted
	}{
		{"JSON is accepted", "application/json", nil, ""},
		{"parameters do not matter", "application/json; charset=utf-8", nil, ""},
		{"a broken parameter does not matter", "application/json; charset", nil, ""},
		{"case does not matter", "Application/JSON", nil, ""},
		{"a kind of JSON is accepted", "application/jwk-set+json", nil, ""},
		{"an odd type is accepted from who says so", "text/javascript; charset=UTF-8", []string{"text/javascript"}, ""},
		{"an odd type is accepted from nobody else", "text/javascript", []string{"text/plain"}, "content_type.other"},
		{"a page is refused", "text/html; charset=utf-8", nil, "content_type.other"},
		{"text is refused", "text/plain", nil, "content_type.other"},
		{"a kind of JSON outside application is refused", "text/x+json", nil, "content_type.other"},
		{"JSON outside application is refused", "text/json", nil, "content_type.other"},
		{"a form is refused", "application/x-www-form-urlencoded", nil, "content_type.other"},
		{"a JWT is refused", "application/jwt", nil, "content_type.other"},
		{"no type is refused", "", nil, "content_type.none"},
		{"no type is refused even beside an odd one", "", []string{""}, "content_type.none"},
		{"a broken type is refused", "application/json/x", nil, "content_type.none"},
		{"a text in place of a type is not repeated", secret + "/" + strings.Repeat("x", 99), nil, "content_type.none"},
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
			e := wantError(t, err, tt.want)
			if media, _, _ := strings.Cut(tt.media, ";"); tt.want == "content_type.other" && !strings.Contains(e.Detail, media) {
				t.Errorf("%q does not have %q", e.Detail, media)
			}
		})
	}
}

func TestJSONStatus(t *testing.T) {
	tests := []struct {
		name   string
		status int
	}{
		{"201 is refused", 201},
		{"204 is refused", 204},
		{"206 is refused", 206},
		{"400 is refused", 400},
		{"401 is refused", 401},
		{"404 is refused", 404},
		{"500 is refused", 500},
		{"503 is refused", 503},
		{"a status without a name is refused", 599},
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
			e := wantError(t, err, "status", "userinfo: "+strings.TrimPrefix(srv.URL, "http://")+": ", strconv.Itoa(tt.status), http.StatusText(tt.status))
			if obj != nil || e.Status != tt.status || header.Get("WWW-Authenticate") == "" {
				t.Errorf("got %v, %d, %v", obj, e.Status, header)
			}
		})
	}
}

func TestJSONBodies(t *testing.T) {
	tests := []struct{ name, body, reason, member string }{
		{"an empty body is refused", "", "empty", ""},
		{"an array is refused", `[]`, "not_an_object", ""},
		{"a duplicate member is refused", `{"issuer":"a","issuer":"s3cr3t"}`, "member.duplicate", `"issuer"`},
		{"a cut body is refused", `{"issuer":"s3cr3t`, "end", ""},
		{"a page that claims to be JSON is refused", `<html>s3cr3t`, "character", ""},
		{"a byte order mark is refused", "\ufeff{}", "byte_order_mark", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, tt.body)
			})
			_, err := get(t, nil, srv.URL)
			e := wantError(t, err, "malformed.json", tt.member)
			if cause, ok := e.Err.(*strictjson.Error); !ok || cause.ID != tt.reason {
				t.Errorf("got %#v, want %s", e.Err, tt.reason)
			}
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
	e := wantError(t, err, "too_large")
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
		name, address, want string
	}{
		{"an address that does not parse", "https://idp.example/%zz?code=" + secret, "malformed.url"},
		{"a control character", "https://idp.example/\n" + secret, "malformed.url"},
		{"no scheme", "idp.example?code=" + secret, "network.failed"},
		{"a file", "file:///etc/passwd?code=" + secret, "network.failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			_, _, err := fetch.JSON(t.Context(), fetch.Client(nil, ""), fetch.Request{Op: "discovery", URL: tt.address})
			wantError(t, err, tt.want, "discovery: ")
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
	e := wantError(t, err, "network.canceled")
	if !errors.Is(err, context.Canceled) || e.Host == "" {
		t.Errorf("got %#v", e)
	}
}
