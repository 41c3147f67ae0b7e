package ginauth_test

import (
	"net/http"
	"testing"
)

func TestSignIn(t *testing.T) {
	s := newSite(t, nil)
	p := s.get("/page/one?x=1")
	if got := p.URL.String(); got != s.URL+"/page/one?x=1#" && got != s.URL+"/page/one?x=1" || p.Status != http.StatusOK {
		t.Fatalf("landed on %s with %d: %s\n%s", got, p.Status, p.Text(), s.logs)
	}
	u := s.user()
	t.Logf("%+v", u)
}
