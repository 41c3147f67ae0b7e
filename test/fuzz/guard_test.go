package fuzz

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/sitetest"
)

// guardHeaders are seeds: the headers of a request, one per line.
var guardHeaders = []string{
	"", "Accept: text/html", "Accept: text/html,application/xhtml+xml;q=0.9\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nSec-Fetch-Site: none\nSec-Fetch-User: ?1", "Accept: application/json", "Accept: */*",
	"Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nSec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe\nSec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nUpgrade: websocket\nConnection: Upgrade",
	"Sec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\nSec-Fetch-Site: same-origin\nAccept: text/html", "Sec-Fetch-Mode: no-cors\nSec-Fetch-Dest: image\nSec-Fetch-Site: cross-site", "Sec-Fetch-Mode: websocket\nSec-Fetch-Dest: empty\nOrigin: https://evil.example\nUpgrade: websocket",
	"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate\nSec-Fetch-Dest: empty", "Sec-Fetch-Mode: Navigate\nSec-Fetch-Dest: document", "Accept: text/html\nX-Requested-With: XMLHttpRequest", "Accept: TEXT/HTML", "Accept: application/json, text/html",
	"HX-Request: true", "HX-Request: true\nHX-Current-URL: https://app.example.com/page/y?z=1#f", "HX-Request: true\nHX-Current-URL: https://app.example.com//evil.example", "HX-Request: true\nHX-Current-URL: https://app.example.com.evil.example/x",
	"HX-Request: true\nHX-Current-URL: https://app.example.com@evil.example/x", "HX-Request: true\nHX-Current-URL: https://evil.example/", "HX-Request: true\nHX-Current-URL: /page/y", "HX-Request: true\nHX-Current-URL: https://app.example.com/logout", "HX-Request: true\nHX-Current-URL: javascript:alert(1)",
	"HX-Request: True", "HX-Request: true\nHX-Boosted: true", "HX-Request: false\nAccept: text/html", "HX-Request: true\nUpgrade: websocket", "HX-Current-URL: https://app.example.com/y\nAccept: text/html", "HX-Request: true\nHX-Current-URL: https://app.example.com",
	"Origin: https://evil.example", "Origin: https://app.example.com", "Origin: null", "Origin: http://app.example.com", "Origin: https://app.example.com.evil.example\nSec-Fetch-Site: same-site", "Origin: https://app.example.com\nSec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin\nOrigin: https://evil.example",
	"Sec-Fetch-Site: same-site", "Sec-Fetch-Site: none", "Sec-Fetch-Site: ", "Sec-Fetch-Site: SAME-ORIGIN", "Sec-Fetch-Site: cross-site\nSec-Fetch-Site: same-origin", "Upgrade: websocket\nOrigin: https://evil.example", "Upgrade: h2c", "Upgrade: ", "Upgrade: \nUpgrade: websocket\nOrigin: https://evil.example", "Origin: 0\nUpgrade: ",
	"Host: evil.example", "X-Forwarded-Host: evil.example\nX-Forwarded-Proto: http\nAccept: text/html", "Forwarded: host=evil.example\nX-Forwarded-Prefix: //evil.example\nX-Original-URL: //evil.example\nX-Rewrite-URL: /x\nAccept: text/html", "X-Request-ID: abc", "X-Request-ID: a\"b<script>",
	"X-User: root\nRemote-User: root\nX-Forwarded-User: root", "Authorization: Bearer x", "User-Agent: kube-probe/1.29", "Access-Control-Request-Method: POST\nOrigin: https://evil.example", "Sec-Purpose: prefetch\nAccept: text/html", "Cookie: __Host-ginauth=1x; a=b", "X-HTTP-Method-Override: GET",
}

// guardPaths are seeds: path and query of a request.
var guardPaths = []string{
	"/page/x", "/page/x?y=z&a=%2F", "/page//evil.example", "/page/..%2f..%2flogin", "/page/%2e%2e/%2e%2e/evil.example", "/page/\\evil.example", "/page/%0d%0aSet-Cookie:a=b", "/page/%00", "/page/x?next=https://evil.example", "/page/x?%zz", "/page/ä?ö",
}

// fuzzedRequest makes a request from a path and lines of headers. ok is false if a server would
// reject it.
func fuzzedRequest(method, target, lines string) (r *http.Request, ok bool) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, "/page/") || strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, false
	}
	r = httptest.NewRequest(method, stageURL+"/page/", nil)
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = u.Path, u.RawPath, u.RawQuery
	for line := range strings.SplitSeq(lines, "\n") {
		name, value, found := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !found || !plainName.MatchString(name) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			continue
		}
		if name = http.CanonicalHeaderKey(name); name == "Host" {
			r.Host = value
		} else {
			r.Header[name] = append(r.Header[name], value)
		}
	}
	return r, true
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// prefetches is the reference: whether a browser loads a page before its user asks.
func prefetches(r *http.Request) bool {
	said := strings.ToLower(strings.Join(slices.Concat(r.Header["Sec-Purpose"], r.Header["Purpose"], r.Header["X-Purpose"], r.Header["X-Moz"]), "\n"))
	return slices.ContainsFunc([]string{"prefetch", "prerender", "preview"}, func(word string) bool { return strings.Contains(said, word) })
}

// opensPage is the reference: whether a request loads a page in a tab (Fetch Metadata, 2.2 and
// 2.3; without it, Accept and X-Requested-With).
func opensPage(r *http.Request) bool {
	first := func(name string) string {
		if values := r.Header[http.CanonicalHeaderKey(name)]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	mode, dest := first("Sec-Fetch-Mode"), first("Sec-Fetch-Dest")
	page := mode == "navigate" && (dest == "document" || dest == "empty") || mode == "" && dest == "" && strings.Contains(first("Accept"), "text/html") && first("X-Requested-With") == ""
	return page && first("HX-Request") != "true" && r.Header["Upgrade"] == nil
}

// fromElsewhere is the reference: whether an unsafe request comes from another origin, according
// to its headers.
func fromElsewhere(r *http.Request) bool {
	unsafe := !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, r.Method) || r.Header["Upgrade"] != nil
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if !unsafe {
		return false
	}
	if site != "" {
		return site != "same-origin" && site != "none"
	}
	return origin != "" && origin != stageURL
}

// leadsToLogin fails the test unless a URL is that of the application's sign-in, with a return
// path in the application, if any.
func leadsToLogin(t *testing.T, what, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, "/login") || u.Path != "/login" || u.Host != "" || u.Scheme != "" || len(u.Query()) > 1 {
		t.Fatalf("%s leads to %q", what, address)
	}
	base, _ := url.Parse(stageURL)
	back := u.Query().Get("return_to")
	if u.RawQuery == "" || back == "" && !u.Query().Has("return_to") {
		return
	}
	if origin, _ := sitetest.WHATWG(base, back); origin != stageURL || !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t\x00") {
		t.Errorf("%s returns to %q, which is at %s", what, back, origin)
	}
}

// FuzzGuard sends requests to a guarded page with any method, URL and headers, unauthenticated
// or as Grace. Unauthenticated requests are never admitted, and only page loads are redirected,
// to the application's sign-in. Grace is admitted except for unsafe requests from another
// origin.
func FuzzGuard(f *testing.F) {
	methods := []string{"GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "CONNECT", "TRACE", "QUERY"}
	for _, lines := range guardHeaders {
		f.Add(uint8(0), guardPaths[1], lines, false)
		f.Add(uint8(1), guardPaths[0], lines, true)
		f.Add(uint8(0), guardPaths[0], lines, true)
	}
	for method := range methods {
		f.Add(uint8(method), guardPaths[0], guardHeaders[1], false)
		f.Add(uint8(method), guardPaths[0], "Origin: https://evil.example", true)
	}
	for _, path := range guardPaths {
		f.Add(uint8(0), path, guardHeaders[2], false)
		f.Add(uint8(0), path, "HX-Request: true\nHX-Current-URL: "+stageURL+path, false)
	}
	s := newStage(f, nil)
	grace := (&sitetest.Site{T: f, Auth: s.auth}).Mint(&ginauth.User{Subject: "grace"})
	f.Fuzz(func(t *testing.T, way uint8, target, lines string, in bool) {
		r, ok := fuzzedRequest(methods[int(way)%len(methods)], target, lines)
		if !ok {
			return
		}
		s.fresh(t, len(target)+len(lines))
		if in {
			r.Header.Add("Cookie", grace)
		}
		w := s.send(r)
		if routed := r.Method != "QUERY"; !routed {
			if w.Code != http.StatusNotFound || s.ran != 0 {
				t.Errorf("%s responded %d", r.Method, w.Code)
			}
			return
		}
		h := w.Header()
		for name, values := range h {
			if len(values) != 1 && name != "Vary" || strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
				t.Errorf("%s is %q", name, values)
			}
		}
		if !strings.Contains(h.Get("Cache-Control"), "no-store") || !slices.Contains(h["Vary"], "Cookie") || h["Set-Cookie"] != nil {
			t.Errorf("the response is %q", h)
		}
		switch elsewhere := fromElsewhere(r); {
		case in && elsewhere:
			if w.Code != http.StatusForbidden || s.ran != 0 || !strings.Contains(w.Body.String(), "cross_origin") {
				t.Errorf("the response is %d %s\n%s", w.Code, w.Body, lines)
			}
		case in:
			if w.Code != http.StatusOK || s.ran != 1 {
				t.Errorf("Grace got %d %s\n%s", w.Code, w.Body, lines)
			}
		case s.ran != 0:
			t.Error("the guarded handler ran")
		default:
			asksToSignIn(t, r, w)
		}
	})
}

// asksToSignIn checks the response to an unauthenticated request.
func asksToSignIn(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	h, page := w.Header(), opensPage(r)
	if prefetches(r) {
		if w.Code != http.StatusServiceUnavailable || h["Location"] != nil || w.Body.Len() > 0 {
			t.Errorf("a prefetch gets %d to %q: %s", w.Code, h["Location"], w.Body)
		}
		return
	}
	if page && (r.Method == "GET" || r.Method == "HEAD") {
		if w.Code != http.StatusSeeOther {
			t.Errorf("a page gets %d", w.Code)
		}
		leadsToLogin(t, "Location", h.Get("Location"))
		return
	}
	if w.Code != http.StatusUnauthorized || h["Location"] != nil {
		t.Errorf("the response is %d to %q", w.Code, h["Location"])
	}
	if page {
		if !strings.HasPrefix(h.Get("Content-Type"), "text/html") || h["Hx-Redirect"] != nil {
			t.Errorf("a form gets %q", h)
		}
		return
	}
	if (h["Hx-Redirect"] != nil) != (r.Header.Get("HX-Request") == "true") {
		t.Errorf("HX-Redirect is %q", h["Hx-Redirect"])
	}
	if to := h.Get("HX-Redirect"); to != "" {
		leadsToLogin(t, "HX-Redirect", to)
	}
	var body struct {
		Error    string `json:"error"`
		LoginURL string `json:"login_url"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error != "unauthenticated" {
		t.Errorf("the response is %s", w.Body)
	}
	leadsToLogin(t, "login_url", body.LoginURL)
}
