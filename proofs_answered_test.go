package ginauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/ginauth/ginauth"
)

// What OnError answers bears its own headers: ours are put back only where it
// did not answer, also where it answered with the status that was there.
func TestOnErrorHasItsOwnHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) {
			c.Header("Cache-Control", "private")
			c.String(http.StatusOK, "ours")
		}
	})
	p := s.get("/login/nobody")
	if p.Status != http.StatusOK || p.Text() != "ours" || p.Header.Get("Cache-Control") != "private" || p.Header.Get("Content-Security-Policy") != "" {
		t.Errorf("%d %q %v", p.Status, p.Text(), p.Header)
	}
}

// HTMX gets no page that it would put into the middle of its own.
func TestHTMXIsToldInJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.as("ada")
	p := s.ask("GET", "/admin", "HX-Request", "true", "Accept", "text/html, */*")
	if p.Status != http.StatusForbidden || !strings.HasPrefix(p.Header.Get("Content-Type"), "application/json") {
		t.Errorf("%d %s", p.Status, p.Header.Get("Content-Type"))
	}
}

// Return paths that another program could read in another way lead home, each
// for its own reason.
func TestReturnPathsWithOddCharacters(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	for _, path := range []string{"/a\x7fb", `/a\b`, "/a?x=\x7f", `/a?x=\b`, "/a#\\", "/page/%5c%5cevil", "/page/..%2f..%2f%2fevil.example"} {
		if got := s.returned(t, returnTo(path)); got != "/" {
			t.Errorf("%q leads to %q", path, got)
		}
	}
}
