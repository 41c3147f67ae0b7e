package ginauth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ginauth/ginauth"
)

// deadlineWriter is a connection that tells until when it is read from.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (w *deadlineWriter) SetReadDeadline(until time.Time) error {
	w.until = until
	return nil
}

// Under gin's Run nothing else ends a body that never does.
func TestBodiesAreNotWaitedForEver(t *testing.T) {
	s := newSite(t, func(_ *site, o *ginauth.Options) { o.Providers[0].ResponseMode = "form_post" })
	for _, path := range []string{"/login/demo", "/authorize/demo", "/logout", "/logout/demo/backchannel"} {
		r := httptest.NewRequest("POST", s.URL+path, strings.NewReader("a=b"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		s.engine.ServeHTTP(w, r)
		if left := time.Until(w.until); left < time.Second || left > 10*time.Second {
			t.Errorf("POST %s: the body is read for %v, want 10s at most", path, left)
		}
	}
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("GET", s.URL+"/login/demo", http.NoBody)
	r.Body = http.NoBody
	s.engine.ServeHTTP(w, r)
	if !w.until.IsZero() {
		t.Error("a GET without a body got a deadline")
	}
}
