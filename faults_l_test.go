package ginauth_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
)

// heap is what the process holds on to.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// page is a request as a browser makes it that opens an address.
func page(address string) *http.Request {
	r := httptest.NewRequest("GET", address, nil)
	r.Header.Set("Accept", "text/html")
	return r
}

// serve lets the application answer without a network in between.
func (s *site) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.Host = strings.TrimPrefix(s.URL, "http://")
	s.engine.ServeHTTP(w, r)
	return w
}
