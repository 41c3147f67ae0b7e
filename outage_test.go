package ginauth_test

import (
	"testing"
	"time"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/authtest"
)

// deadline is how long the tests' providers may take: less than people's ten
// seconds, and long enough for a busy machine.
const deadline = 1500 * time.Millisecond

var brokenEndpoints = []authtest.Endpoint{authtest.Discovery, authtest.Token, authtest.JWKS, authtest.Userinfo}

// outageSite is a site with a provider that can be broken, and "other", which
// cannot.
func outageSite(t *testing.T, change func(s *site, o *ginauth.Options)) *site {
	t.Helper()
	return newSite(t, func(s *site, o *ginauth.Options) {
		o.HTTPClient = quick(deadline)
		o.Providers[0].Userinfo = "always"
		other := client("other", startIDP(t, authtest.Config{Now: s.clock.Now}))
		o.Providers = append(o.Providers, other)
		if change != nil {
			change(s, o)
		}
	})
}
