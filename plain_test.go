package ginauth_test

import (
	"testing"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// plainSite is a site with a plain OAuth 2.0 provider whose profile is given as
// JSON.
func plainSite(t *testing.T, profile string, change func(s *site, p *ginauth.Provider)) *site {
	t.Helper()
	s := newSite(t, func(s *site, o *ginauth.Options) {
		plain(s, o)
		if change != nil {
			change(s, &o.Providers[0])
		}
	})
	if profile != "" {
		s.idp.Handle(authtest.Userinfo, answers(200, "application/json", profile))
	}
	return s
}
