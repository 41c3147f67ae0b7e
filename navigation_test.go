package ginauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// handedOn are the headers of a navigation that a service worker hands on with
// e.respondWith(fetch(e.request)).
var handedOn = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"empty"}}

// Behind a service worker everything works as without one.
func TestNavigationsBehindAServiceWorker(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"a guarded page": "/page/x?y=1", "a link to the sign-in": "/login/demo?return_to=%2Fpage%2Fx%3Fy%3D1", "a link to the choice": "/login?return_to=%2Fpage%2Fx%3Fy%3D1"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			s.browser.Header = handedOn
			if p := s.get(path); p.Status != http.StatusOK || p.URL.RequestURI() != "/page/x?y=1" {
				t.Fatalf("ended at %s with %d: %s", p.URL, p.Status, p.Text())
			}
			p := s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/logout", url.Values{}))
			if p.Status != http.StatusOK || s.idp.Count(authtest.EndSession) != 1 {
				t.Errorf("the sign-out ended at %s with %d, and asked the provider %d times: %s", p.URL, p.Status, s.idp.Count(authtest.EndSession), p.Text())
			}
			p = s.must(s.browser.Submit(authtest.At(s.URL+"/"), s.URL+"/me", url.Values{}))
			if p.Status != http.StatusUnauthorized || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
				t.Errorf("a form after it got %d: %s", p.Status, p.Text())
			}
		})
	}
}

// An empty destination alone is a fetch, which begins no sign-in, and a frame is a
// frame in whatever mode.
func TestEmptyDestinationAloneIsNoNavigation(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, tt := range []struct{ mode, dest string }{
		{"cors", "empty"}, {"no-cors", "empty"}, {"same-origin", "empty"}, {"", "empty"}, {"Navigate", "empty"},
		{"navigate", "iframe"}, {"navigate", "frame"}, {"navigate", "object"}, {"navigate", "embed"}, {"navigate", "fencedframe"}, {"navigate", "Empty"}, {"websocket", "empty"},
	} {
		header := []string{"Sec-Fetch-Dest", tt.dest, "Accept", "text/html"}
		if tt.mode != "" {
			header = append(header, "Sec-Fetch-Mode", tt.mode)
		}
		s.wantError(s.ask("GET", "/login/demo", header...), ginauth.ErrCrossOrigin)
		if p := s.ask("GET", "/me", header...); p.Status != http.StatusUnauthorized || p.Header.Get("Location") != "" {
			t.Errorf("%v: a guarded page answered %d to %q", tt, p.Status, p.Header.Get("Location"))
		}
	}
	if n := s.idp.Count(authtest.Discovery); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
}
