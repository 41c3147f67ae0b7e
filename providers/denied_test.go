package providers_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/providers"
)

var denied = regexp.MustCompile(`(?m) level=INFO .* event=sign_in_failed code=provider_denied `)

// However a provider says that the person cancelled, it is no failure: not a
// warning, and no reason to ask the provider anything.
func TestCancelledSignIns(t *testing.T) {
	for _, p := range providers.Catalogue() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t, p.Name)
			for _, denial := range s.Denials {
				s.denial = denial
				a := s.app(s.provider())
				page := a.get("/me")
				if page.Status != http.StatusForbidden || !strings.Contains(page.Text(), string(ginauth.ErrProviderDenied)) {
					t.Errorf("%v ended at %s with status %d: %s", denial, page.URL, page.Status, page.Text())
				}
				if log := a.logs.String(); !denied.MatchString(log) {
					t.Errorf("%v: the log says %s", denial, log)
				}
				if n := s.requests(s.Token.Method + " " + bare(s.Token.URL)); n > 0 {
					t.Errorf("%v: the token endpoint was asked %d times", denial, n)
				}
			}
		})
	}
}
