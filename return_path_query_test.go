package ginauth_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/ginauth/ginauth/internal/sitetest"
)

// A page with a backslash in its query is returned to.
func TestReturnToAQueryWithABackslash(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, nil)
	p := s.Get(`/page/x?path=C:\Temp&y=\\`)
	if q := p.URL.Query(); p.Status != http.StatusOK || p.URL.Path != "/page/x" || q.Get("path") != `C:\Temp` || q.Get("y") != `\\` {
		t.Errorf("ended at %s with %d", p.URL, p.Status)
	}
	for _, raw := range []string{`/\evil.example?x`, `/x\?y`, `/x#\`, `/x#?\`, `/x?\#\`} {
		s := sitetest.New(t, nil)
		if p := s.Get("/login/demo?return_to=" + url.QueryEscape(raw)); p.URL.Path != "/" {
			t.Errorf("%q led to %s", raw, p.URL)
		}
	}
}
