package ginauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

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

// The same for an answer that is a status and headers, and no body.
func TestOnErrorSetsAStatusAndItsOwnHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *site, o *ginauth.Options) {
		o.Hooks.OnError = func(c *gin.Context, _ *ginauth.Error) {
			c.Header("Cache-Control", "private")
			c.Status(http.StatusTeapot)
		}
	})
	p := s.get("/login/nobody")
	if p.Status != http.StatusTeapot || p.Header.Get("Cache-Control") != "private" || p.Header.Get("Content-Security-Policy") != "" {
		t.Errorf("%d %v", p.Status, p.Header)
	}
}

// The log blames neither a hook that is not there nor a page that was written.
func TestTheLogBlamesNobodyElse(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.wantErrorStatus(s.get("/login/nobody"), ginauth.ErrUnknownProvider, http.StatusNotFound)
	if got := s.logs.String(); strings.Contains(got, "OnError") || strings.Contains(got, "could not be written") {
		t.Errorf("the log says:\n%s", got)
	}
}

// On loopback programs are told the reason too, where there is one.
func TestAnAnswerWithoutAReasonHasNone(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for path, has := range map[string]bool{"PUT /logout": false, "GET /authorize/demo?state=xyz&code=abc": true} {
		method, path, _ := strings.Cut(path, " ")
		if p := s.ask(method, path); strings.Contains(p.Text(), `"reason"`) != has || !strings.Contains(p.Text(), `"message"`) {
			t.Errorf("%s: %d %s", path, p.Status, p.Text())
		}
	}
}

// What a handler behind the guard flushes is on its way while the handler goes
// on, also where the session is renewed with it.
func TestFlushBehindTheGuard(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.signIn()
	s.clock.Advance(3 * time.Hour)
	arrived := make(chan struct{})
	s.engine.GET("/stream", s.auth.RequireAuth(), func(c *gin.Context) {
		c.Writer.Flush()
		select {
		case <-arrived:
		case <-time.After(10 * time.Second):
			t.Error("nothing has arrived")
		}
	})
	request, err := http.NewRequest("GET", s.URL+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.browser.Cookies(s.URL) {
		request.AddCookie(c)
	}
	answer, err := http.DefaultClient.Do(request)
	close(arrived)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Set-Cookie") == "" {
		t.Errorf("answered %d, without renewing the session", answer.StatusCode)
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
	for _, path := range []string{"/a\x7fb", `/a\b`, "/a?x=\x7f", "/a#\x7f", "/a#\\", "/page/%5c%5cevil", "/page/..%2f..%2f%2fevil.example"} {
		if got := s.returned(t, returnTo(path)); got != "/" {
			t.Errorf("%q leads to %q", path, got)
		}
	}
}

// The limit is on what was sent, too, and not on what is left of it.
func TestReturnPathAtTheLimit(t *testing.T) {
	t.Parallel()
	admit := chooser(t, "")
	path := "/" + strings.Repeat("a", 2047)
	for raw, want := range map[string]string{path: path, path[:2046] + "?#": path[:2046], path[:2047] + "?#": ""} {
		if got := admit(raw); got != want {
			t.Errorf("a path of %d bytes was admitted as one of %d, want %d", len(raw), len(got), len(want))
		}
	}
}

// A path that the application writes into its options is looked at as closely
// as one that a browser brings.
func TestHostilePathsInOptions(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/a/../b", "/%2fevil.example", "/a/%252e%252e/b"} {
		err := mountError(ginauth.Options{
			BaseURL: "https://app.example.com", Keys: []string{testKey}, AfterLogout: path, Providers: []ginauth.Provider{offline("demo")},
		})
		says(t, err, "Options.AfterLogout", "is not a path of the application")
	}
}
